package remotewrite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Sink stores samples. series.DB is one. It must not keep the batch after it has returned.
type Sink interface {
	Append(ctx context.Context, batch []series.Sample) (series.Appended, error)
}

// Options configure New. Zero fields take the default named beside them.
type Options struct {
	// Sink takes the samples. Required.
	Sink Sink
	// MaxBodyBytes bounds a compressed request: 16 MiB.
	MaxBodyBytes int64
	// MaxDecodedBytes bounds a decompressed request: 64 MiB.
	MaxDecodedBytes int64
	// MaxMemoryBytes bounds what all requests together may hold: 96 MiB. At least MaxBodyBytes and MaxDecodedBytes together.
	MaxMemoryBytes int64
	// MaxSeries and MaxSamples bound one request: 100,000 and 1,000,000.
	MaxSeries, MaxSamples int
	// MaxSymbols bounds the symbols of one request of version 2: 200,000.
	MaxSymbols int
	// MaxConcurrent is how many requests are decoded and stored at once: 2.
	MaxConcurrent int
	// MaxWait is how long a request waits for its place before it is told to come back: 5 s.
	MaxWait time.Duration
	// ReadTimeout is how long a sender may take to send its body: 30 s.
	ReadTimeout time.Duration

	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger receives refusals at debug level. Nil discards them.
	Logger *slog.Logger
	// Registerer receives the receiver's metrics. Nil skips them.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() (Options, error) {
	o.MaxBodyBytes = cmp.Or(o.MaxBodyBytes, 16<<20)
	o.MaxDecodedBytes = cmp.Or(o.MaxDecodedBytes, 64<<20)
	o.MaxMemoryBytes = cmp.Or(o.MaxMemoryBytes, max(96<<20, o.MaxBodyBytes+o.MaxDecodedBytes))
	o.MaxSeries = cmp.Or(o.MaxSeries, 100_000)
	o.MaxSamples = cmp.Or(o.MaxSamples, 1_000_000)
	o.MaxSymbols = cmp.Or(o.MaxSymbols, 200_000)
	o.MaxConcurrent = cmp.Or(o.MaxConcurrent, 2)
	o.MaxWait = cmp.Or(o.MaxWait, 5*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.validate()
}

func (o Options) validate() error {
	switch {
	case o.Sink == nil:
		return errors.New("remotewrite: Sink is nil")
	case o.MaxBodyBytes < 1:
		return fmt.Errorf("remotewrite: MaxBodyBytes %d is not positive", o.MaxBodyBytes)
	case o.MaxDecodedBytes < 1:
		return fmt.Errorf("remotewrite: MaxDecodedBytes %d is not positive", o.MaxDecodedBytes)
	case o.MaxMemoryBytes < o.MaxBodyBytes+o.MaxDecodedBytes:
		return fmt.Errorf("remotewrite: MaxMemoryBytes %d is below MaxBodyBytes and MaxDecodedBytes together", o.MaxMemoryBytes)
	case o.MaxSeries < 1 || o.MaxSamples < 1 || o.MaxSymbols < 1:
		return errors.New("remotewrite: MaxSeries, MaxSamples or MaxSymbols is not positive")
	case o.MaxConcurrent < 1:
		return fmt.Errorf("remotewrite: MaxConcurrent %d is not positive", o.MaxConcurrent)
	case o.MaxWait < 0:
		return fmt.Errorf("remotewrite: MaxWait %v is negative", o.MaxWait)
	case o.ReadTimeout < 0:
		return fmt.Errorf("remotewrite: ReadTimeout %v is negative", o.ReadTimeout)
	}
	return nil
}

// errTooLarge says that a request is larger than this node takes.
var errTooLarge = errors.New("request is too large")

// limits bound the parts of a request.
type limits struct {
	maxSeries, maxSamples, maxSymbols int
	maxLabels, maxName, maxValue      int
}

func (l limits) samples(n int) error {
	if n > l.maxSamples {
		return fmt.Errorf("%w: more than %d samples", errTooLarge, l.maxSamples)
	}
	return nil
}
