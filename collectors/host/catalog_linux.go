package host

import (
	"github.com/fenghuo-mesh/fenghuo/collectors/host/kernel"
	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

// catalog lists the collectors of Linux.
func catalog(o portable.Options) []Collector { return kernel.Collectors(o) }
