//go:build !unix

package evaluate

import "time"

// cpuTime isn't known here.
func cpuTime() time.Duration { return 0 }
