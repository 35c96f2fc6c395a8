package fenghuo

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the list of dependencies again")

// TestDependencies compares the modules that are linked into the program with
// a list that is checked in, so that a new dependency shows in review. Versions
// are left out: go.mod shows them.
func TestDependencies(t *testing.T) {
	const list = "docs/deps-linux-amd64.txt"
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/fenghuo")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	got := strings.Join(slices.Compact(modules), "\n") + "\n"
	if *update {
		if err := os.WriteFile(list, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	before, now := strings.Fields(string(want)), strings.Fields(got)
	for _, m := range now {
		if !slices.Contains(before, m) {
			t.Errorf("%s is linked into the program and not in %s: if it is meant, run make deps", m, list)
		}
	}
	for _, m := range before {
		if !slices.Contains(now, m) {
			t.Errorf("%s is in %s and no longer linked: run make deps", m, list)
		}
	}
}
