package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// A segment is a file of records, named for the position of the first. A
// record is its length (4 bytes, of the payload), a CRC-32C of all that follows
// it (4 bytes), its position (8 bytes), its time in ms (8 bytes) and the
// payload; numbers are little-endian.
const (
	recordHead = 4 + 4 + 8 + 8
	maxRecord  = 64 << 20
	suffix     = ".log"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is one file and what is known of it.
type segment struct {
	file        File
	first, next uint64 // positions: of its first record, and after its last
	size        int64
	newest      int64 // time of its last record, ms
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, suffix) }

func segmentFirst(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && first > 0
}

// appendRecord appends the bytes of a record.
func appendRecord(dst []byte, pos uint64, at int64, payload []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, pos)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at))
	dst = append(dst, payload...)
	binary.LittleEndian.PutUint32(dst[start+4:], checksum(dst[start:]))
	return dst
}

// checksum is over a record's length and all that comes after the checksum.
func checksum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(record[:4], castagnoli), castagnoli, record[8:])
}

// errTorn says that a record is incomplete or damaged.
var errTorn = errors.New("journal: a record is incomplete or damaged")

// record is one record as it was read.
type record struct {
	pos     uint64
	at      int64
	payload []byte // good until the next read
	bytes   int64
}

// reader reads the records of a segment, one after another.
type reader struct {
	file File
	at   int64 // where the next record begins
	size int64
	buf  []byte // of the file from off on
	off  int64
}

// readAhead is how much is read at once.
const readAhead = 64 << 10

// bytes returns n bytes from at on, which must be in the file.
func (r *reader) bytes(n int64) ([]byte, error) {
	if r.at >= r.off && r.at+n <= r.off+int64(len(r.buf)) {
		return r.buf[r.at-r.off:][:n], nil
	}
	want := min(max(n, readAhead), r.size-r.at)
	if int64(cap(r.buf)) < want {
		r.buf = make([]byte, want)
	}
	r.buf, r.off = r.buf[:want], r.at
	if _, err := r.file.ReadAt(r.buf, r.at); err != nil {
		r.buf = r.buf[:0]
		return nil, fmt.Errorf("journal: read: %w", err)
	}
	return r.buf[:n], nil
}

// next reads a record; io.EOF at the end.
func (r *reader) next() (record, error) {
	left := r.size - r.at
	if left == 0 {
		return record{}, io.EOF
	}
	if left < recordHead {
		return record{}, errTorn
	}
	head, err := r.bytes(recordHead)
	if err != nil {
		return record{}, err
	}
	n := int64(binary.LittleEndian.Uint32(head))
	if n > maxRecord || n > left-recordHead {
		return record{}, errTorn
	}
	whole, err := r.bytes(recordHead + n)
	if err != nil {
		return record{}, err
	}
	if checksum(whole) != binary.LittleEndian.Uint32(whole[4:]) {
		return record{}, errTorn
	}
	r.at += recordHead + n
	return record{
		pos: binary.LittleEndian.Uint64(whole[8:]), at: int64(binary.LittleEndian.Uint64(whole[16:])),
		payload: whole[recordHead:], bytes: recordHead + n,
	}, nil
}

// scan reads a segment to its end, or to where it is damaged, and notes what it
// holds. good is how many bytes that is.
func (s *segment) scan() (good int64, err error) {
	size, err := s.file.Size()
	if err != nil {
		return 0, err
	}
	r := reader{file: s.file, size: size}
	s.next = s.first
	for {
		rec, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return s.size, nil
		case errors.Is(err, errTorn), err == nil && rec.pos != s.next:
			return s.size, errTorn
		case err != nil:
			return s.size, err
		}
		s.next++
		s.size += rec.bytes
		s.newest = rec.at
	}
}
