package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// MaxRecordBytes is the longest Data a Record may have.
const MaxRecordBytes = 4 << 20

// MaxKind is the highest Kind a caller may use.
const MaxKind = 250

const (
	formatVersion  = 1
	headerArea     = 4096 // where records begin: one page, so that headers are never torn by records
	headerCopy     = 2048 // where the header's second copy stands
	headerSize     = 60
	recordOverhead = 9
	markBytes      = recordOverhead + 8

	kindMark = 255
	kindEnd  = 254
)

var (
	segmentMagic  = [8]byte{'F', 'H', 'J', 'R', 'N', 'L', '0', '\n'}
	snapshotMagic = [8]byte{'F', 'H', 'S', 'N', 'A', 'P', '0', '\n'}
	castagnoli    = crc32.MakeTable(crc32.Castagnoli)
	le            = binary.LittleEndian
)

// ErrNewer means that a newer version of this program wrote the journal; this
// one must not touch it.
var ErrNewer = errors.New("journal: written by a newer version")

var (
	errNoHeader  = errors.New("no header")      // zeros: a prepared file, most likely never used
	errBadHeader = errors.New("damaged header") // bytes that are no header
)

// header stands at the beginning of every file.
type header struct {
	magic   [8]byte
	number  uint64
	first   Position // position of the first byte behind the header area
	prevEnd Position // where the file before ended
	synced  Position // what was synced when this file was begun
	salt    uint64
}

// put writes both copies into area, which is headerArea long.
func (h header) put(area []byte) {
	clear(area)
	b := area[:headerSize]
	copy(b, h.magic[:])
	le.PutUint32(b[8:], formatVersion)
	le.PutUint32(b[12:], headerSize)
	le.PutUint64(b[16:], h.number)
	le.PutUint64(b[24:], uint64(h.first))
	le.PutUint64(b[32:], uint64(h.prevEnd))
	le.PutUint64(b[40:], uint64(h.synced))
	le.PutUint64(b[48:], h.salt)
	le.PutUint32(b[56:], crc32.Checksum(b[:56], castagnoli))
	copy(area[headerCopy:], b)
}

// seed starts the checksum of every record of the file.
func (h header) seed() uint32 {
	var b [16]byte
	le.PutUint64(b[:], h.number)
	le.PutUint64(b[8:], h.salt)
	return crc32.Checksum(b[:], castagnoli)
}

// readHeader reads the header with the given magic. It returns errNoHeader for
// a file that was prepared and never used, errBadHeader, or ErrNewer.
func readHeader(r io.ReaderAt, magic [8]byte) (header, error) {
	area := make([]byte, headerArea+recordOverhead)
	n, err := r.ReadAt(area, 0)
	if err != nil && err != io.EOF {
		return header{}, fmt.Errorf("%w: %w", errBadHeader, err)
	}
	area = area[:n]
	for _, at := range []int{0, headerCopy} {
		h, err := parseHeader(area[min(at, len(area)):], magic)
		if err == nil || errors.Is(err, ErrNewer) {
			return h, err
		}
	}
	// Header and first records are synced together. So where both copies are
	// zeros, or the first is torn and nothing stands behind it, nothing was ever
	// acknowledged.
	if len(area) < headerArea || isZero(area[headerCopy:]) || isZero(area[:headerSize]) && isZero(area[headerCopy:headerCopy+headerSize]) {
		return header{}, errNoHeader
	}
	return header{}, errBadHeader
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

func parseHeader(b []byte, magic [8]byte) (header, error) {
	if len(b) < headerSize || !bytes.Equal(b[:8], magic[:]) {
		return header{}, errBadHeader
	}
	size := le.Uint32(b[12:])
	if size < headerSize || size > headerCopy || int(size) > len(b) {
		return header{}, errBadHeader
	}
	if crc32.Checksum(b[:size-4], castagnoli) != le.Uint32(b[size-4:]) {
		return header{}, errBadHeader
	}
	if v := le.Uint32(b[8:]); v > formatVersion {
		return header{}, fmt.Errorf("%w (format %d, this one reads up to %d)", ErrNewer, v, formatVersion)
	}
	return header{
		magic:   magic,
		number:  le.Uint64(b[16:]),
		first:   Position(le.Uint64(b[24:])),
		prevEnd: Position(le.Uint64(b[32:])),
		synced:  Position(le.Uint64(b[40:])),
		salt:    le.Uint64(b[48:]),
	}, nil
}

// appendRecord adds a record that begins at position at.
func appendRecord(dst []byte, seed uint32, at Position, kind uint8, data []byte) []byte {
	i := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	dst = append(dst, data...)
	le.PutUint32(dst[i:], uint32(1+len(data)))
	le.PutUint32(dst[i+4:], checksum(seed, at, dst[i:]))
	return dst
}

func appendMark(dst []byte, seed uint32, at, synced Position) []byte {
	var v [8]byte
	le.PutUint64(v[:], uint64(synced))
	return appendRecord(dst, seed, at, kindMark, v[:])
}

// checksum covers position, length, kind and data of a record's bytes. Position
// and length go in by way of the start value: a slice of them would have to be
// allocated for every record.
func checksum(seed uint32, at Position, rec []byte) uint32 {
	mix := (uint64(at) + uint64(le.Uint32(rec))<<40) * 0x9e3779b97f4a7c15
	return crc32.Update(seed^uint32(mix>>32), castagnoli, rec[8:])
}
