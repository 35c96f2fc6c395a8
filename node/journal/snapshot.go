package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/fenghuo-mesh/fenghuo/collectors/disk"
)

// snapshot describes the newest snapshot; name is empty if there is none.
type snapshot struct {
	header
	name string
	at   Position
	size int64
}

const (
	// snapshotChunk is how much of a snapshot is written at once, and
	// snapshotSync how much is left unsynced: a file system may make the log's
	// next sync wait for it.
	snapshotChunk = 256 << 10
	snapshotSync  = 4 << 20
)

// Snapshot replaces everything up to at by what write emits: a state that
// contains all records up to at and may contain later ones, because these are
// replayed on top of it. The new snapshot is on disk before anything is removed.
// It runs beside Append; a full disk makes it fail with ErrFull and leaves the
// journal as it was. emit copies the record.
func (j *Journal) Snapshot(ctx context.Context, at Position, write func(emit func(Record) error) error) error {
	j.snapMu.Lock()
	defer j.snapMu.Unlock()
	if err := j.Wait(ctx, at); err != nil {
		return fmt.Errorf("journal: snapshot: %w", err)
	}
	j.mu.Lock()
	old := j.files.snap
	j.mu.Unlock()
	if at < old.at {
		return fmt.Errorf("journal: snapshot at %d is older than the present one at %d", at, old.at)
	}
	start := j.opts.Now()
	snap, err := j.writeSnapshot(ctx, at, write)
	j.met.snapshotDone(j.opts.Now().Sub(start), err)
	if err != nil {
		if disk.Full(err) || errors.Is(err, errNoSpace) {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return fmt.Errorf("journal: snapshot: %w", err)
	}
	j.mu.Lock()
	j.files.snap = snap
	j.files.since = int64(j.end - at)
	j.mu.Unlock()
	if old.name != "" && old.name != snap.name {
		(&keeper{j}).discard(old.name)
	}
	(&keeper{j}).trim()
	j.mu.Lock()
	if j.files.noRoom != nil {
		j.askForSegment()
	}
	j.mu.Unlock()
	return nil
}

func (j *Journal) writeSnapshot(ctx context.Context, at Position, write func(emit func(Record) error) error) (snapshot, error) {
	h := header{magic: snapshotMagic, first: at, prevEnd: at, synced: at, salt: newSalt()}
	_ = j.fs.Remove(snapshotTmp) // of a failed attempt whose removal failed
	f, err := j.fs.Open(snapshotTmp, true)
	if err != nil {
		return snapshot{}, err
	}
	w := &snapshotWriter{keeper: keeper{j}, f: f, seed: h.seed(), at: at, buf: make([]byte, headerArea, snapshotChunk+4096)}
	h.put(w.buf)
	err = write(func(r Record) error { return w.emit(ctx, r) })
	if err == nil {
		err = w.finish()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	name := snapshotName(at)
	if err == nil {
		err = j.fs.Rename(snapshotTmp, name)
	}
	if err != nil {
		(&keeper{j}).discard(snapshotTmp)
		return snapshot{}, err
	}
	if err := j.fs.SyncDir(); err != nil {
		return snapshot{}, err
	}
	return snapshot{header: h, name: name, at: at, size: w.off}, nil
}

// snapshotWriter writes the records of a snapshot.
type snapshotWriter struct {
	keeper  keeper
	f       File
	seed    uint32
	at      Position // of the next record
	buf     []byte
	off     int64 // written
	synced  int64
	records uint64
}

func (w *snapshotWriter) emit(ctx context.Context, r Record) error {
	if r.Kind > MaxKind {
		return fmt.Errorf("kind %d is above %d", r.Kind, MaxKind)
	}
	if len(r.Data) > MaxRecordBytes {
		return fmt.Errorf("%w: record of %d bytes", ErrTooLarge, len(r.Data))
	}
	w.add(r.Kind, r.Data)
	w.records++
	if len(w.buf) < snapshotChunk {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.flush()
}

func (w *snapshotWriter) add(kind uint8, data []byte) {
	w.buf = appendRecord(w.buf, w.seed, w.at, kind, data)
	w.at += Position(recordOverhead + len(data))
}

func (w *snapshotWriter) flush() error {
	if err := w.keeper.snapshotRoom(); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(w.buf, w.off); err != nil {
		return err
	}
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	if w.off-w.synced < snapshotSync {
		return nil
	}
	w.synced = w.off
	return w.f.Sync()
}

func (w *snapshotWriter) finish() error {
	var n [8]byte
	le.PutUint64(n[:], w.records)
	w.add(kindEnd, n[:])
	if err := w.flush(); err != nil {
		return err
	}
	return w.f.Sync()
}
