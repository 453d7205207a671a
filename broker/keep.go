package broker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// keepEvery is how long a retained message may wait until it is on disk.
const keepEvery = time.Second

// The file of retained messages is a header and records. A record is its
// length (4 bytes, of what follows the checksum), the CRC-32C of that (4
// bytes), the QoS (1 byte), the length of the topic (2 bytes), the topic and
// the payload; numbers are little-endian. The last record of a topic counts,
// and one without a payload removes it.
const (
	keepMagic  = "magneto retained 1\n"
	keepHead   = 8
	keepSlack  = 1 << 20 // bytes that are out of date before the file is written anew, at least
	maxTopic16 = 1<<16 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keeper keeps retained messages in a file. Its methods may be called from any
// goroutine, flush and close from one at a time.
type keeper struct {
	file string
	log  *slog.Logger
	get  func(topic string) (Message, bool)
	all  func() []Message

	mu    sync.Mutex
	dirty map[string]bool // guarded by mu; topics that changed since the last flush

	f          *os.File
	size, live int64 // bytes of the file, and of it when it was last written anew
	failed     bool  // it was said that writing fails
}

// openKeeper reads the file, which it makes if need be, cutting off a torn end.
// It returns what is kept, most messages at most.
func openKeeper(file string, most int, log *slog.Logger) (*keeper, []Message, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, nil, fmt.Errorf("broker: keep: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("broker: keep: %w", err)
	}
	k := &keeper{file: file, log: log, dirty: map[string]bool{}, f: f}
	kept, good, err := readKept(bufio.NewReaderSize(f, 1<<16))
	if err != nil && !errors.Is(err, errTorn) {
		return nil, nil, errors.Join(fmt.Errorf("broker: keep: %s: %w", file, err), f.Close())
	}
	if errors.Is(err, errTorn) {
		info, _ := f.Stat()
		if info != nil && info.Size() > 0 {
			log.Warn("broker: the end of the retained messages is damaged, and cut off", "file", file, "from", good, "bytes", info.Size()-good)
		}
	}
	if good == 0 {
		good = int64(len(keepMagic))
		_, err = f.WriteAt([]byte(keepMagic), 0)
	} else {
		err = nil
	}
	if err := errors.Join(err, f.Truncate(good)); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("broker: keep: %w", err), f.Close())
	}
	k.size, k.live = good, int64(len(keepMagic))
	for topic, m := range kept {
		k.live += int64(keepHead + 3 + len(topic) + len(m.Payload))
	}
	messages := make([]Message, 0, len(kept))
	for _, topic := range slices.Sorted(maps.Keys(kept)) {
		if len(messages) == most {
			log.Warn("broker: more retained messages are kept than may be: the rest is left out", "file", file, "left_out", len(kept)-most)
			break
		}
		messages = append(messages, kept[topic])
	}
	return k, messages, nil
}

var (
	errTorn    = errors.New("a record is incomplete or damaged")
	errForeign = errors.New("it is no file of retained messages: move it away")
)

// readKept reads records; good is where the last whole one ends, 0 if not even
// the header is there.
func readKept(r io.Reader) (kept map[string]Message, good int64, err error) {
	kept = map[string]Message{}
	magic := make([]byte, len(keepMagic))
	if n, err := io.ReadFull(r, magic); err != nil || string(magic) != keepMagic {
		if string(magic[:n]) != keepMagic[:n] {
			return kept, 0, errForeign
		}
		return kept, 0, errTorn
	}
	good = int64(len(keepMagic))
	head := make([]byte, keepHead)
	for {
		switch _, err := io.ReadFull(r, head); {
		case err == io.EOF:
			return kept, good, nil
		case err != nil:
			return kept, good, errTorn
		}
		n := binary.LittleEndian.Uint32(head)
		if n < 3 || n > 257<<20 {
			return kept, good, errTorn
		}
		body, err := io.ReadAll(io.LimitReader(r, int64(n))) // grows with what is there, not with what is announced
		if err != nil || len(body) != int(n) || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return kept, good, errTorn
		}
		m, ok := keptMessage(body)
		if !ok {
			return kept, good, errTorn
		}
		if len(m.Payload) == 0 {
			delete(kept, m.Topic)
		} else {
			kept[m.Topic] = m
		}
		good += keepHead + int64(n)
	}
}

func keptMessage(body []byte) (Message, bool) {
	n := int(binary.LittleEndian.Uint16(body[1:]))
	if len(body) < 3+n {
		return Message{}, false
	}
	m := Message{Topic: string(body[3 : 3+n]), Payload: body[3+n:], QoS: body[0], Retain: true}
	return m, m.check() == nil
}

func appendKept(dst []byte, m Message) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, keepHead)...)
	dst = append(dst, m.QoS)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(min(len(m.Topic), maxTopic16)))
	dst = append(append(dst, m.Topic...), m.Payload...)
	body := dst[start+keepHead:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(body, castagnoli))
	return dst
}

// changed notes that the retained message of a topic is another, or gone.
func (k *keeper) changed(topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dirty[topic] = true
}

// run writes what changed, until ctx ends, and then once more.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.flush()
		case <-ctx.Done():
			k.flush()
			if err := k.f.Close(); err != nil {
				k.log.Warn("broker: retained messages", "file", k.file, "err", err)
			}
			return
		}
	}
}

// flush makes durable what changed since the last time. When it cannot, that is
// said once, and tried again.
func (k *keeper) flush() {
	k.mu.Lock()
	dirty := k.dirty
	k.dirty = map[string]bool{}
	k.mu.Unlock()
	if len(dirty) == 0 {
		return
	}
	err := k.write(dirty)
	if err == nil && k.size > 2*k.live+keepSlack {
		err = k.renew()
	}
	if err == nil {
		k.failed = false
		return
	}
	k.mu.Lock()
	for topic := range dirty {
		k.dirty[topic] = true
	}
	k.mu.Unlock()
	if !k.failed {
		k.failed = true
		k.log.Error("broker: retained messages are not kept: they are lost if the broker stops now", "file", k.file, "err", err)
	}
}

func (k *keeper) write(dirty map[string]bool) error {
	var b []byte
	for topic := range dirty {
		m, ok := k.get(topic)
		if !ok {
			m = Message{Topic: topic}
		}
		b = appendKept(b, m)
	}
	if _, err := k.f.WriteAt(b, k.size); err != nil {
		return err
	}
	if err := k.f.Sync(); err != nil {
		return err
	}
	k.size += int64(len(b))
	return nil
}

// renew writes the file anew, without what is out of date.
func (k *keeper) renew() (err error) {
	f, err := os.CreateTemp(filepath.Dir(k.file), filepath.Base(k.file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	size := int64(len(keepMagic))
	_, err = w.WriteString(keepMagic)
	var b []byte
	for _, m := range k.all() {
		b = appendKept(b[:0], m)
		size += int64(len(b))
		_, werr := w.Write(b)
		err = errors.Join(err, werr)
	}
	if err = errors.Join(err, w.Flush(), f.Sync()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), k.file); err != nil {
		return err
	}
	old := k.f
	k.f, k.size, k.live = f, size, size
	return errors.Join(old.Close(), syncFolder(filepath.Dir(k.file)))
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		return nil // some systems do not let folders be opened
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
