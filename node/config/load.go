package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the largest file Load reads, in bytes.
const MaxFile = 4 << 20

// Load reads the file at path, lays the overlays over it in order (a later one
// wins), fills in what is missing and validates the result. Mistakes in the
// file are returned as Problems, all of them at once.
func Load(path string, over ...Overlay) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("configuration: %s is larger than %d bytes", path, MaxFile)
	}
	return Parse(path, data, over...)
}

// Parse is Load for a file that was read already. name is used in messages,
// and relative paths in the file are taken from the folder it lies in.
func Parse(name string, data []byte, over ...Overlay) (*Config, error) {
	c := Default()
	d := &decoder{origin: origin{file: name, line: map[string]int{}, name: map[string]string{}}}
	root, err := document(name, data)
	if err != nil {
		return nil, err
	}
	if root != nil {
		d.value("", root, reflect.ValueOf(c).Elem())
	}
	c.origin = d.origin
	c.anchor(filepath.Dir(name))
	if d.problems != nil {
		// What was read is checked too, so that one run shows everything.
		return nil, append(d.problems, unreported(c.With(over...), d.problems)...).err()
	}
	if err := c.With(over...); err != nil {
		return nil, err
	}
	return c, nil
}

// unreported drops what the decoder has said about the same setting.
func unreported(err error, said Problems) Problems {
	var all, out Problems
	if !errors.As(err, &all) {
		return nil
	}
	fields := map[string]bool{}
	for _, p := range said {
		for f := p.Field; f != ""; f = parent(f) {
			fields[f] = true
		}
	}
	for _, p := range all {
		if !fields[p.Field] {
			out = append(out, p)
		}
	}
	return out
}

// With lays overlays over the configuration, fills in what is missing and
// validates the result. It changes c and is meant for a fresh one.
func (c *Config) With(over ...Overlay) error {
	for _, o := range over {
		o.apply(c)
	}
	c.complete()
	return c.Validate()
}

// yamlError is how the library writes its errors.
var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// document parses the only document of the file; nil if it is empty.
func document(name string, data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		if err2 := dec.Decode(&second); err2 == nil {
			return nil, Problems{{File: name, Line: second.Line, Reason: "a second document begins here; one file holds one"}}
		} else if !errors.Is(err2, io.EOF) {
			err = err2
		}
	}
	if err != nil {
		p := Problem{File: name, Reason: err.Error()}
		if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
			p.Line, _ = strconv.Atoi(m[1]) // no number, no line
			p.Reason = m[2]
		}
		return nil, Problems{p}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// anchor makes the paths of the file independent of the working directory.
func (c *Config) anchor(dir string) {
	fix := func(field string, p *string) {
		if _, set := c.origin.line[field]; set && *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	fix("node.data_dir", &c.Node.DataDir)
	fix("alertmanager.config_file", &c.Alertmanager.ConfigFile)
	for i := range c.Rules.Files {
		fix(fmt.Sprintf("rules.files[%d]", i), &c.Rules.Files[i])
	}
	for i := range c.Rules.Parameters {
		fix(fmt.Sprintf("rules.parameters[%d]", i), &c.Rules.Parameters[i])
	}
	for i := range c.Intake.Sources {
		fix(fmt.Sprintf("intake.sources[%d].mapping_file", i), &c.Intake.Sources[i].MappingFile)
	}
}
