package fenghuo

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A path in a document: the target of a link, or code that begins with a
// folder of the house.
var (
	linkForm = regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
	pathForm = regexp.MustCompile("`([A-Za-z0-9_.-]+/[A-Za-z0-9_./-]+)`")
)

// TestDocumentsNameWhatExists follows every link and path in the documents: a
// reading path with a broken step is worse than none.
func TestDocumentsNameWhatExists(t *testing.T) {
	all, err := paths()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, p := range all {
		if path.Ext(p) != ".md" || strings.Contains(p, "testdata/") {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			var named []string
			for _, m := range linkForm.FindAllStringSubmatch(line, -1) {
				named = append(named, path.Join(path.Dir(p), m[1]))
			}
			for _, m := range pathForm.FindAllStringSubmatch(line, -1) {
				if top, _, _ := strings.Cut(m[1], "/"); slices.Contains(topLevel, top) {
					named = append(named, strings.TrimSuffix(m[1], "/"))
				}
			}
			for _, n := range named {
				checked++
				if _, err := os.Stat(n); err != nil {
					t.Errorf("%s:%d: there is no %s", p, i+1, n)
				}
			}
		}
	}
	if checked == 0 {
		t.Error("no path found in any document")
	}
}

// TestReadmesSetUpInTwoCommands keeps the first steps to two, and both
// languages alike.
func TestReadmesSetUpInTwoCommands(t *testing.T) {
	var first []string
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "```\n")
		if len(blocks) < 3 {
			t.Fatalf("%s: no commands", name)
		}
		commands := strings.TrimSpace(blocks[1])
		if n := strings.Count(commands, "\n") + 1; n != 2 {
			t.Errorf("%s: set-up takes %d commands, not 2:\n%s", name, n, commands)
		}
		if !strings.Contains(string(text), "\n```\nmake test\n```\n") {
			t.Errorf("%s: the command for the tests must stand alone in a block", name)
		}
		first = append(first, commands)
	}
	if first[0] != first[1] {
		t.Errorf("the readmes begin differently:\n%s\n\n%s", first[0], first[1])
	}
}
