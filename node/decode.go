package node

import (
	"errors"
	"io"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake/catalog"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/show"
)

// DecodeOptions are a recorded request of a sender, as a person types it.
type DecodeOptions = show.Options

// Decode writes what a recorded request means, as JSON. Nothing is stored; no
// node need run.
func Decode(w io.Writer, o DecodeOptions) error {
	o.Sources = catalog.Sources()
	return show.Run(w, o)
}

// IsDecodeOption says whether an error of Decode is about an option, not about
// the request.
func IsDecodeOption(err error) bool { return errors.Is(err, show.ErrOption) }

// DecodeSources lists the sources Decode knows.
func DecodeSources() []string { return show.Names(catalog.Sources()) }
