package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/collectors/disk"
)

const (
	segmentPrefix  = "segment-"
	snapshotPrefix = "snapshot-"
	snapshotTmp    = "snapshot.tmp"
)

func segmentName(number uint64) string { return fmt.Sprintf("%s%016x", segmentPrefix, number) }
func snapshotName(at Position) string  { return fmt.Sprintf("%s%016x", snapshotPrefix, uint64(at)) }

// parseName reads the number of a file name made by segmentName or snapshotName.
func parseName(name, prefix string) (uint64, bool) {
	hex, ok := strings.CutPrefix(name, prefix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil
}

func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// keeper is the goroutine that allocates segments, and what knows how much room
// there is.
type keeper struct{ *Journal }

// loop allocates segments before they are needed.
func (k *keeper) loop() {
	for {
		select {
		case <-k.stopping:
			return
		case <-k.wantSeg:
		}
		seg, err := k.newSegment()
		k.mu.Lock()
		k.files.spare = seg
		k.setRoom(err)
		close(k.files.preparing)
		k.files.preparing = nil
		k.mu.Unlock()
	}
}

// setRoom notes whether there is room, and logs when that changes. mu is held.
func (k *keeper) setRoom(err error) {
	switch {
	case err != nil && k.files.noRoom == nil:
		k.log.Error("journal has no room, new alerts will be refused", "error", err)
	case err == nil && k.files.noRoom != nil:
		k.log.Info("journal has room again")
	}
	k.files.noRoom, k.files.tried = err, k.opts.Now()
}

// newSegment allocates a segment file. Where there is no room it gives up what
// is kept only for ReplayFrom, oldest first. Its error is an ErrFull.
func (k *keeper) newSegment() (*segment, error) {
	for {
		seg, err := k.allocate()
		if err == nil {
			return seg, nil
		}
		if !errors.Is(err, errNoSpace) || !k.dropOldest() {
			return nil, fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
}

// errNoSpace is why a file can't be allocated now, where less data would help.
var errNoSpace = errors.New("no space")

// roomFor says whether size more bytes may be put on the disk.
func (k *keeper) roomFor(size int64) error {
	k.mu.Lock()
	used := k.diskBytes()
	k.mu.Unlock()
	if used+size > k.opts.MaxBytes {
		return fmt.Errorf("%w: MaxBytes is %d, %d are used", errNoSpace, k.opts.MaxBytes, used)
	}
	return k.freeFor(size)
}

// freeFor says whether the file system has size bytes to spare.
func (k *keeper) freeFor(size int64) error {
	free, err := k.fs.Free()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("free space: %w", err)
	case free < uint64(size)+uint64(k.opts.MinFreeBytes):
		return fmt.Errorf("%w: %d bytes free, MinFreeBytes is %d", errNoSpace, free, k.opts.MinFreeBytes)
	}
	return nil
}

func (k *keeper) allocate() (*segment, error) {
	if err := k.roomFor(k.opts.SegmentBytes); err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.files.number++
	number := k.files.number
	k.mu.Unlock()
	name := segmentName(number)
	f, err := k.fs.Open(name, true)
	if err == nil {
		if err = f.Resize(k.opts.SegmentBytes); err == nil {
			err = f.Sync()
		}
		if err == nil {
			err = k.fs.SyncDir()
		}
		if err == nil {
			return &segment{header: header{number: number}, file: f, size: k.opts.SegmentBytes}, nil
		}
		f.Close()
		k.discard(name)
	}
	if disk.Full(err) {
		return nil, fmt.Errorf("%w: %w", errNoSpace, err)
	}
	return nil, err
}

// discard removes a file that holds nothing of worth.
func (k *keeper) discard(name string) {
	if err := k.fs.Remove(name); err != nil {
		k.log.Warn("journal can't remove a file", "file", name, "error", err)
	}
}

// dropOldest removes the oldest segment that only ReplayFrom needs.
func (k *keeper) dropOldest() bool {
	if !k.filesMu.TryLock() {
		return false
	}
	defer k.filesMu.Unlock()
	k.mu.Lock()
	if len(k.segs) < 2 || !k.superfluous(0) {
		k.mu.Unlock()
		return false
	}
	seg := k.segs[0]
	k.mu.Unlock()
	if err := k.fs.Remove(segmentName(seg.number)); err != nil {
		k.log.Warn("journal can't remove a segment", "segment", seg.number, "error", err)
		return false
	}
	k.forget(seg)
	k.met.dropped()
	return true
}

// forget takes a removed segment off the list.
func (k *keeper) forget(seg *segment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, s := range k.segs {
		if s == seg {
			k.segs = append(k.segs[:i:i], k.segs[i+1:]...)
			return
		}
	}
}

// snapshotRoom says whether there is room for the next part of a snapshot. What
// is kept only for ReplayFrom goes first. MaxBytes doesn't count here: a snapshot
// is what ends being above it.
func (k *keeper) snapshotRoom() error {
	for {
		err := k.freeFor(snapshotChunk)
		if err == nil || !errors.Is(err, errNoSpace) || !k.dropOldest() {
			return err
		}
	}
}

// trim removes the segments that the snapshot has made superfluous, except the
// newest KeepBytes.
func (k *keeper) trim() {
	k.mu.Lock()
	kept := int64(0)
	for i, s := range k.segs {
		if k.superfluous(i) {
			kept += s.size
		}
	}
	excess := kept - k.opts.KeepBytes
	k.mu.Unlock()
	removed := false
	for excess > 0 {
		k.mu.Lock()
		size := k.segs[0].size
		k.mu.Unlock()
		if !k.dropOldest() {
			break
		}
		excess -= size
		removed = true
	}
	if removed {
		if err := k.fs.SyncDir(); err != nil {
			k.log.Warn("journal can't sync its directory", "error", err)
		}
	}
}
