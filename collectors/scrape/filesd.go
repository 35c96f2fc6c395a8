package scrape

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// sdFile is what a file of targets may be called.
var sdFile = regexp.MustCompile(`^[^*]*(\*[^*/]*)?\.(json|yml|yaml|JSON|YML|YAML)$`)

// maxSDFiles bounds the files of one job.
const maxSDFiles = 100

// sdState is what is known of one file of targets.
type sdState struct {
	size   int64
	mod    time.Time
	groups []StaticConfig
	err    string
}

// look reads the files that are due and have changed, and reports whether targets may be others than before. A file
// that can't be read keeps its last targets; one that is gone has none.
func (j *job) look(now time.Time, log *slog.Logger) bool {
	changed := false
	for i, f := range j.config.FileSDConfigs {
		if now.Sub(j.looked[i]) < time.Duration(f.RefreshInterval) && !j.looked[i].IsZero() {
			continue
		}
		j.looked[i] = now
		changed = j.lookAt(log) || changed
	}
	return changed
}

func (j *job) lookAt(log *slog.Logger) bool {
	present := map[string]bool{}
	for _, f := range j.config.FileSDConfigs {
		for _, pattern := range f.Files {
			found, err := filepath.Glob(pattern)
			if err != nil {
				continue // a bad pattern finds nothing
			}
			for _, path := range found {
				if len(present) < maxSDFiles {
					present[path] = true
				}
			}
		}
	}
	changed := false
	for path := range j.files {
		if !present[path] {
			delete(j.files, path)
			changed = true
		}
	}
	for path := range present {
		old, known := j.files[path]
		info, err := os.Stat(path)
		if err != nil || known && info.Size() == old.size && info.ModTime().Equal(old.mod) {
			continue
		}
		next := sdState{size: info.Size(), mod: info.ModTime()}
		next.groups, err = readGroups(path)
		if err != nil {
			log.Warn("file of targets can't be used, its last content stays in force", "job", j.config.JobName, "path", path, "err", err)
			next.groups, next.err = old.groups, err.Error()
		}
		j.files[path] = next
		changed = true
	}
	return changed
}

func readGroups(path string) ([]StaticConfig, error) {
	text, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	return parseGroups([]byte(text))
}

// parseGroups reads a list of groups; JSON is YAML, too.
func parseGroups(text []byte) ([]StaticConfig, error) {
	var groups []StaticConfig
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&groups); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for i, g := range groups {
		if errs := g.check(); len(errs) > 0 {
			return nil, fmt.Errorf("[%d].%w", i, errors.Join(errs...))
		}
	}
	return groups, nil
}

// discovered are the groups of all files, in order of the files' names.
func (j *job) discovered() []StaticConfig {
	var out []StaticConfig
	paths := make([]string, 0, len(j.files))
	for path := range j.files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		for _, g := range j.files[path].groups {
			labels := map[string]string{"__meta_filepath": path}
			maps.Copy(labels, g.Labels)
			out = append(out, StaticConfig{Targets: g.Targets, Labels: labels})
		}
	}
	return out
}
