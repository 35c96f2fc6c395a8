package scrape

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// Secret is a string that is not shown when the configuration is.
type Secret string

// MarshalYAML hides the secret.
func (s Secret) MarshalYAML() (any, error) {
	if s == "" {
		return "", nil
	}
	return "<secret>", nil
}

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "<secret>"
}

// BasicAuth is HTTP basic authentication.
type BasicAuth struct {
	Username string `yaml:"username"`
	Password Secret `yaml:"password,omitempty"`
	// PasswordFile is read with every scrape.
	PasswordFile string `yaml:"password_file,omitempty"`
}

func (a *BasicAuth) check() []error {
	switch {
	case a == nil:
		return nil
	case a.Username == "":
		return []error{errors.New("basic_auth.username: is empty")}
	case a.Password != "" && a.PasswordFile != "":
		return []error{errors.New("basic_auth.password: can't be used together with password_file")}
	}
	return nil
}

// Authorization is an Authorization header.
type Authorization struct {
	// Type is Bearer by default.
	Type        string `yaml:"type,omitempty"`
	Credentials Secret `yaml:"credentials,omitempty"`
	// CredentialsFile is read with every scrape.
	CredentialsFile string `yaml:"credentials_file,omitempty"`
}

func (a *Authorization) check() []error {
	switch {
	case a == nil:
		return nil
	case strings.EqualFold(strings.TrimSpace(a.Type), "basic"):
		return []error{errors.New("authorization.type: use basic_auth for Basic")}
	case strings.ContainsAny(a.Type, " \r\n"):
		return []error{fmt.Errorf("authorization.type: %q is not one word", a.Type)}
	case a.Credentials != "" && a.CredentialsFile != "":
		return []error{errors.New("authorization.credentials: can't be used together with credentials_file")}
	case a.Credentials == "" && a.CredentialsFile == "":
		return []error{errors.New("authorization.credentials: is empty, and so is credentials_file")}
	}
	return nil
}

// TLSConfig says whom to trust and who to be.
type TLSConfig struct {
	CAFile             string `yaml:"ca_file,omitempty"`
	CertFile           string `yaml:"cert_file,omitempty"`
	KeyFile            string `yaml:"key_file,omitempty"`
	ServerName         string `yaml:"server_name,omitempty"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify,omitempty"`
}

func (t *TLSConfig) check() []error {
	if t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		return []error{errors.New("tls_config.cert_file: needs key_file, and the other way round")}
	}
	return nil
}

// build reads the CA once and the client's certificate with every handshake, as it is renewed behind our back.
func (t *TLSConfig) build() (*tls.Config, error) {
	if t == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CAFile != "" {
		pem, err := readSmall(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls_config.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, fmt.Errorf("tls_config.ca_file: %s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("tls_config.cert_file: %w", err)
			}
			return &cert, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// authorize sets the header of a request.
func (c *Config) authorize(r *http.Request) error {
	if a := c.BasicAuth; a != nil {
		password, err := secret(a.Password, a.PasswordFile)
		if err != nil {
			return fmt.Errorf("basic_auth.password_file: %w", err)
		}
		r.SetBasicAuth(a.Username, password)
	}
	if a := c.Authorization; a != nil {
		credentials, err := secret(a.Credentials, a.CredentialsFile)
		if err != nil {
			return fmt.Errorf("authorization.credentials_file: %w", err)
		}
		kind := strings.TrimSpace(a.Type)
		if kind == "" {
			kind = "Bearer"
		}
		r.Header.Set("Authorization", kind+" "+credentials)
	}
	return nil
}

// secrets are what the configuration's text doesn't show.
func (c *Config) secrets() string {
	var all []string
	if c.BasicAuth != nil {
		all = append(all, string(c.BasicAuth.Password))
	}
	if c.Authorization != nil {
		all = append(all, string(c.Authorization.Credentials))
	}
	return strings.Join(all, "\xff")
}

func secret(s Secret, file string) (string, error) {
	if file == "" {
		return string(s), nil
	}
	text, err := readSmall(file)
	return strings.TrimSpace(text), err
}

// maxSecretBytes bounds the files of secrets, certificates and targets.
const maxSecretBytes = 1 << 20

func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // opened for reading
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxSecretBytes {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecretBytes)
	}
	return string(b), nil
}

// Size is a number of bytes, written as a number or with a unit of 1,024: 16MB, 16MiB, 512KB.
type Size int64

// UnmarshalYAML reads a number or a number with unit.
func (s *Size) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	n, err := parseSize(text)
	*s = n
	return err
}

// MarshalYAML writes what UnmarshalYAML reads.
func (s Size) MarshalYAML() (any, error) { return s.String(), nil }

// String is the shortest form with a unit that divides it.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.n == 0 {
			return strconv.FormatInt(int64(s/u.n), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

var units = []struct {
	name string
	n    Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}

func parseSize(text string) (Size, error) {
	number, unit := strings.TrimSpace(text), Size(1)
	for _, u := range units {
		if short, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(short), u.n
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > int64(maxBodyLimit) || Size(n) > maxBodyLimit/unit {
		return 0, fmt.Errorf("%q is not a size between 0 and %v such as 16MiB", text, maxBodyLimit)
	}
	return Size(n) * unit, nil
}
