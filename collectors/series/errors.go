package series

import "errors"

// The errors of this package. All travel wrapped; compare with errors.Is.
var (
	// ErrClosed answers every call after Close.
	ErrClosed = errors.New("sample store is closed")
	// ErrFull refuses appends while the disk has less than Options.MinFreeBytes free, or the write-ahead log has
	// outgrown its share of Options.MaxBytes. Queries go on, and appends resume by themselves.
	ErrFull = errors.New("sample store is full")
	// ErrBusy refuses a query because Options.MaxConcurrent run and Options.MaxQueued wait already.
	ErrBusy = errors.New("too many queries at once")
	// ErrTimeout ends a query that ran longer than its timeout.
	ErrTimeout = errors.New("query timed out")
	// ErrCanceled ends a query whose caller went away.
	ErrCanceled = errors.New("query was canceled")
	// ErrLimit ends a query that would touch more series or samples than Options allow.
	ErrLimit = errors.New("query exceeds a limit")
	// ErrBadQuery refuses a query whose parameters make no sense; expressions that can't be read give a *ParseError.
	ErrBadQuery = errors.New("bad query")
	// ErrExecution ends a query that was well-formed but can't be computed on the data, e.g. many-to-many matching.
	ErrExecution = errors.New("query failed")
	// ErrStorage says that reading samples failed, not the query.
	ErrStorage = errors.New("reading samples failed")
)
