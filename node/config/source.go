package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Bounds of what one source may be given.
const (
	maxNetworks = 64
	maxRate     = 1_000_000
)

// Tokens shorter than this are guessed too easily.
const minToken = 8

func (v *checker) sources() {
	if n := len(v.Intake.Sources); n > maxSources {
		v.fail("intake.sources", "%d entries, more than %d", n, maxSources)
		return
	}
	names, keys := map[string]int{}, map[string]int{}
	for i, s := range v.Intake.Sources {
		at := fmt.Sprintf("intake.sources[%d]", i)
		v.source(at, s)
		if j, twice := names[s.Name]; twice {
			v.fail(at+".name", "%q is the name of intake.sources[%d] already", s.Name, j)
		} else {
			names[s.Name] = i
		}
		if j, twice := keys[s.Type+"/"+s.Key]; twice {
			v.fail(at+".key", "intake.sources[%d] of the same type has this key already", j)
		} else {
			keys[s.Type+"/"+s.Key] = i
		}
	}
}

func (v *checker) source(at string, s Source) {
	v.form(at+".name", s.Name, nameForm, nameWanted)
	v.oneOf(at+".type", s.Type, SourceTypes()...)
	if !keyForm.MatchString(s.Key) {
		v.fail(at+".key", "letters, digits, '.', '_' and '-' are wanted, 1 to 128 of them")
	}
	if s.Tenant != "" {
		v.form(at+".tenant", s.Tenant, nameForm, nameWanted)
	}
	if s.Zone != "" {
		if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "Local" {
			v.fail(at+".zone", "%q is not a zone like Asia/Shanghai", s.Zone)
		}
	}
	v.duration(at+".auto_expiry", s.AutoExpiry, 0, 30*day)
	v.labels(at+".labels", s.Labels)
	switch {
	case s.Type == "generic" && s.MappingFile == "":
		v.fail(at+".mapping_file", "a generic source needs a mapping")
	case s.Type != "generic" && s.MappingFile != "":
		v.fail(at+".mapping_file", "only a generic source has a mapping")
	case s.MappingFile != "":
		v.path(at+".mapping_file", s.MappingFile)
	}
	v.auth(at, s)
	v.limits(at, s)
}

func (v *checker) auth(at string, s Source) {
	if s.Token != "" {
		v.token(at+".token", s.Token)
	}
	switch b := s.Basic; {
	case b == Basic{}:
	case s.Token != "":
		v.fail(at+".basic", "a sender shows a token or a user and password, not both")
	case b.Username == "" || strings.ContainsAny(b.Username, ":\r\n"):
		v.fail(at+".basic.username", "a name without a colon is wanted")
	case b.Password == "":
		v.fail(at+".basic.password", "a password is wanted")
	}
	if s.HMAC == defaultSource().HMAC {
		return
	}
	v.token(at+".hmac.secret", s.HMAC.Secret)
	if !headerForm.MatchString(s.HMAC.Header) {
		v.fail(at+".hmac.header", "%q is not the name of a header", s.HMAC.Header)
	}
	v.oneOf(at+".hmac.algorithm", s.HMAC.Algorithm, "sha256", "sha512", "sha1")
	if h := s.HMAC.TimestampHeader; h != "" && !headerForm.MatchString(h) {
		v.fail(at+".hmac.timestamp_header", "%q is not the name of a header", h)
	}
	v.duration(at+".hmac.max_age", s.HMAC.MaxAge, 0, day)
}

// limits checks who may send from where, and how much.
func (v *checker) limits(at string, s Source) {
	if len(s.Allow) > maxNetworks {
		v.fail(at+".allow", "%d networks, more than %d", len(s.Allow), maxNetworks)
	}
	for i, n := range s.Allow {
		if _, err := netip.ParsePrefix(n); err != nil {
			v.fail(fmt.Sprintf("%s.allow[%d]", at, i), "%q is not a network like 10.1.0.0/16", n)
		}
	}
	if s.Rate < 0 || s.Rate > maxRate {
		v.fail(at+".rate", "%g is not between 0 and %d", s.Rate, maxRate)
	}
	if s.Burst < 0 || s.Burst > maxRate {
		v.fail(at+".burst", "%d is not between 0 and %d", s.Burst, maxRate)
	}
	if s.MaxBody < 0 || s.MaxBody > 64<<20 {
		v.fail(at+".max_body", "%v is not between 0 and 64MiB", s.MaxBody)
	}
}

// token checks a secret without showing it.
func (v *checker) token(field string, s Secret) {
	switch {
	case len(s) < minToken:
		v.fail(field, "at least %d characters are wanted", minToken)
	case strings.ContainsFunc(string(s), func(r rune) bool { return r <= ' ' || r == 0x7f }):
		v.fail(field, "a secret can't hold spaces or control characters")
	}
}

func (v *checker) listeners() {
	if n := len(v.Intake.Listeners); n > maxListeners {
		v.fail("intake.listeners", "%d entries, more than %d", n, maxListeners)
		return
	}
	types := listenerTypes()
	for i, l := range v.Intake.Listeners {
		at := fmt.Sprintf("intake.listeners[%d]", i)
		v.oneOf(at+".protocol", l.Protocol, slices.Sorted(maps.Keys(types))...)
		v.listen(at+".listen", l.Listen)
		j := slices.IndexFunc(v.Intake.Sources, func(s Source) bool { return s.Name == l.Source })
		switch want, known := types[l.Protocol]; {
		case j < 0:
			v.fail(at+".source", "there is no entry %q in intake.sources", l.Source)
		case known && v.Intake.Sources[j].Type != want && v.Intake.Sources[j].Type != l.Protocol:
			v.fail(at+".source", "%s needs a source of type %s, %q is %s", l.Protocol, want, l.Source, v.Intake.Sources[j].Type)
		}
	}
}
