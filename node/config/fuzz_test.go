package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse wants no panic, no error that isn't Problems, and a file that was
// accepted to be valid still when it is checked again.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/problems/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(seeds, "testdata/full.yml", "../../docs/fenghuo.example.yml") {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f.yml", text)
		var p Problems
		if err != nil {
			if !errors.As(err, &p) || err.Error() == "" {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("valid once, not twice: %v", err)
		}
		var jobs []job
		if err := c.ScrapeConfigs.Decode(&jobs); err != nil && err.Error() == "" {
			t.Fatalf("%T", err)
		}
	})
}
