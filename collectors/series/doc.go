// Package series owns the host's samples: it stores them for days in Prometheus's time-series database and answers PromQL over them.
//
// # Use
//
// Open, then Run in a goroutine for compaction, Append for each tick, Instant and Range for queries, Close at the end.
// Every method may be called by many goroutines at once. The package is the only home of upstream's tsdb and promql:
// their Go interfaces change with every release, and whoever evaluates or checks an expression does it here (Parse,
// CheckExpr, Instant).
//
// # Promises
//
//   - A bad sample never stops a batch; every sample of a batch is accounted for in Appended.
//   - What Append acknowledged survives the death of the process. A loss of power may take the last seconds, because
//     the log isn't synced on every commit: samples come again in 15 seconds, and alerts have a journal of their own.
//   - A full disk refuses samples (ErrFull) and nothing else; it ends by itself. If a write failed in the middle, the
//     head is first written to a block from memory and the log begins anew, so that nothing acknowledged is lost.
//   - Damage doesn't keep the node from starting: torn logs are cut at the tear, unreadable blocks and heads are moved to
//     Dir/aside, and the log says which time is lost. Only the latest damage is kept, and it goes first when the disk is full.
//   - A clock that was ahead and is set back doesn't silence the host until the true time catches up: samples of the
//     future are moved aside within a minute. Ones a little ahead (Options.MaxAhead) are tolerated; the rest is refused.
//   - A query is bounded in time, series, samples and steps, and by a gate; rules of the node itself pass beside it
//     (QueryOptions.Own).
//   - Nothing returned is shared with the store.
//
// Expressions are parsed for every evaluation, 5 to 8 us, because the engine changes the tree it runs: a tree used twice
// panics inside upstream.
//
// # Cost
//
// Measured by BenchmarkEightDays (1,000 series at 15 s, 8 days on a synthetic clock, GOGC=50, all compactions driven by
// Maintain; the numbers are of the whole test process and are read from /proc/self/status):
//
//	anonymous memory: 5 MB at the start, peak 12.2 MB over all compactions, 10.9 MB live after eight days
//	disk: 11 to 18 MB a day in blocks, 7 MB of log and head chunks, 13 blocks after eight days
//	close and open again with two hours of head: 0.11 s
//	one tick of 1,000 known series (BenchmarkAppendTick): 0.3 to 0.4 ms of CPU
//	sum by (kind) (rate(x[5m])) over 20 series (BenchmarkInstantRate): 0.2 ms
//
//	go test ./collectors/series -run - -bench EightDays -benchtime 1x      (FENGHUO_BENCH_DAYS=2 for a short one)
//
// The settings behind it stand in options.go with what each would cost otherwise. The head's own map serves as the
// cache of series references; a second one would hold every label set twice.
package series
