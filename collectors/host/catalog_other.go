//go:build !linux

package host

import (
	"runtime"
	"slices"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

// catalog lists the collectors of systems other than Linux.
func catalog(o portable.Options) []Collector {
	all := append(portable.Collectors(o), portable.CPU(o, modes()), portable.Clock(o, func(*Batch) error { return nil }))
	if runtime.GOOS != "windows" { // it has no load average; the library would start a goroutine for ever to make one up
		all = append(all, portable.Load(o))
	}
	return all
}

// modes are the modes of a CPU that the system counts.
func modes() []portable.Mode {
	want := []string{"idle", "user", "nice", "system"}
	if runtime.GOOS == "windows" {
		want = []string{"idle", "user", "system", "irq"}
	}
	return slices.DeleteFunc(portable.Modes(), func(m portable.Mode) bool { return !slices.Contains(want, m.Name) })
}
