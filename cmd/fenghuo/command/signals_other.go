//go:build !unix

package command

import "os"

func stopSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// reloadSignals is empty where there is no SIGHUP: POST /-/reload instead.
func reloadSignals() []os.Signal { return nil }
