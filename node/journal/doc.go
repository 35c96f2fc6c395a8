// Package journal owns what this host accepted and did, on disk before anything
// is answered: an endless log of records in preallocated segment files.
//
// # Use
//
// Open, Replay once, then Append from anywhere. Append only buffers: it hands
// out positions and says at once, before the caller has changed anything,
// whether there is room. Wait returns when everything up to a position is on
// disk. One goroutine writes and syncs whatever has gathered while the previous
// sync ran, so many callers share one sync. Snapshot replaces the past by the
// caller's present state; ReplayFrom reads the segments that are still kept, so
// that an index can be rebuilt.
//
// # Promises
//
//   - A record for which Wait returned nil is replayed after any crash or power
//     cut, in the order of positions, or Recovery.Lost names the range that a
//     broken disk took.
//   - A record that was appended but not waited for may or may not be replayed;
//     if it is, so is everything before it.
//   - A position is never used for two acknowledged records.
//   - After ErrFull, ErrBusy, ErrFailed, ErrTooLarge and ErrClosed nothing of the
//     call was taken.
//   - An unchanged repeat that needs no record of its own must still wait for
//     End: the record it repeats may not be on disk yet.
//
// # Failing disks
//
// The pages of a failed write or sync are never trusted again. What it covered
// is still in memory and is written once more, at the same positions, to a new
// segment, which overrides the old one from there on. If that fails too, waiters
// and appenders get ErrFailed, and the same is tried again when somebody asks,
// at most once a second. So the log always holds exactly what Append took.
//
// A full disk is noticed before it hurts, because the next segment is allocated
// while the present one is being filled. ErrFull ends by itself when there is
// room again.
//
// # Format, version 1
//
// All integers are little-endian, checksums are CRC-32C. A file starts with 4096
// bytes that hold its header twice, at 0 and at 2048:
//
//	magic[8] version:u32 size:u32 number:u64 first:u64 prevEnd:u64 synced:u64 salt:u64 [unknown fields] crc:u32
//
// size is the header's length with crc; fields that a later version adds stand
// before crc and are skipped. Then records follow, until a length of 0:
//
//	length:u32 crc:u32 kind:u8 data[length-1]
//
// crc covers number and salt of the file, the record's position, length, kind
// and data, so bytes of another life of the disk are never taken for records. It
// is the checksum of kind and data that starts from
//
//	crc(number, salt) xor (position + length<<40) * 0x9e3779b97f4a7c15 >> 32
//
// Kinds from 251 up are the journal's own: a mark (255) carries the position that
// had been synced when it was written, which tells a torn tail from damage; an end
// (254) closes a snapshot with the number of its records.
//
// The position of a record is that of the byte after it. prevEnd is where the
// file before this one ended; what that file holds beyond is void.
package journal
