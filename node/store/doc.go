// Package store owns the history of alerts on this host: an index in badger that
// is built from the journal and can be lost without losing an alert.
//
// # Shape
//
// Documents are gathered and written by the chunk: up to 256 of them, compressed,
// under one key, beside a small key with the chunk's times and a Bloom filter of
// its tokens, and one with the hashes of its IDs. A search reads the small keys and
// only those chunks that may hold what it looks for. So a document costs about a
// microsecond, where a badger key of its own would cost ten.
//
// A document is never changed. A newer version of an ID is another document, and
// hides the older one. What has been gathered and not yet written is found too,
// but is gone after a crash: Indexed says from which journal position on the
// caller has to put again.
//
// # Disk guard
//
// Badger writes through memory maps: on a full disk it dies by SIGBUS, which no
// one can catch, and dies again when it is opened. So free space is checked before
// opening, before every write and before closing; below the limit nothing is
// written (ErrFull). Merges that badger has already begun can't be stopped: for them
// a ballast file is kept, and removed as soon as space runs short. Everything
// continues by itself when there is room for the ballast again.
//
// A database that can't be opened is moved aside (the newest one is kept) and a
// fresh one begun: Rebuilt says so. If that fails too, the store is absent: it
// answers ErrAbsent, counts, and tries again at most every ten seconds.
//
// # Keys, format version 1
//
//	s              version:u8 indexed:u64
//	m seq:u64      chunk's summary, see encodeMeta
//	i seq:u64      version:u8 hash:u64..., sorted
//	c seq:u64 part:u16   chunk, in parts of at most 128 KiB, see encodeChunk
//
// Integers in keys are big-endian, elsewhere little-endian.
package store
