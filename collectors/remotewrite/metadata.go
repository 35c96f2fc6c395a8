package remotewrite

import "github.com/fenghuo-mesh/fenghuo/collectors/metadata"

// maxMetadata bounds the metrics whose metadata is kept, and those of one request.
const maxMetadata = 5000

// typeName is the name of a type; the numbers are the same in both versions.
func typeName(n uint64) string {
	names := []string{metadata.Unknown, "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}
	if n < uint64(len(names)) {
		return names[n]
	}
	return names[0]
}
