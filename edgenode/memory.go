package edgenode

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"

	"github.com/magneto-iiot/magneto/internal/journal"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// initialValue reads a value from the configuration.
func initialValue(t sparkplug.DataType, v any) (sparkplug.Value, error) {
	var raw []byte
	var err error
	if s, ok := v.(string); ok && (t.Numeric() || t == sparkplug.TypeBoolean) {
		raw = []byte(s) // from a tag file, where everything is text
		if !json.Valid(raw) {
			raw = strconv.AppendQuote(nil, s)
		}
	} else if raw, err = json.Marshal(v); err != nil {
		return sparkplug.Value{}, err
	}
	return sparkplug.ParseJSON(t, raw)
}

// saved is the file that keeps what must survive a restart.
type saved struct {
	// NextBdSeq of the session; persisted before each CONNECT.
	NextBdSeq uint8 `json:"next_bdseq"`
	// Births is the number of the last NBIRTH; persisted before each.
	Births uint64 `json:"births"`
	// Acks is the host that has acknowledged deliveries; empty: none has.
	Acks string `json:"acks,omitempty"`
	// Values of the metrics held in memory, by device and name.
	Values map[string]map[string]savedValue `json:"values,omitempty"`
}

type savedValue struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
	Time  int64           `json:"time"`
}

// disk keeps a saved in one file. It is used by one goroutine.
type disk struct {
	files journal.FS
	data  saved
}

const stateFile = "edge-state.json"

// openDisk reads the file, or begins one.
func openDisk(files journal.FS) (*disk, error) {
	d := &disk{files: files, data: saved{Values: map[string]map[string]savedValue{}}}
	b, err := journal.ReadFile(files, stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return d, d.write() // so that a folder that cannot be written is found now
	}
	if err != nil {
		return nil, fmt.Errorf("edgenode: data_dir: %w", err)
	}
	if err := json.Unmarshal(b, &d.data); err != nil {
		return nil, fmt.Errorf("edgenode: data_dir: %s: %w; remove the file to start with bdSeq 0", stateFile, err)
	}
	if d.data.Values == nil {
		d.data.Values = map[string]map[string]savedValue{}
	}
	return d, nil
}

// write makes the file durable: whole or not at all, also over a power cut.
func (d *disk) write() error {
	b, err := json.MarshalIndent(&d.data, "", "  ")
	if err != nil {
		return err
	}
	if err := journal.ReplaceFile(d.files, stateFile, append(b, '\n'), true); err != nil {
		return fmt.Errorf("edgenode: data_dir: %w", err)
	}
	return nil
}

// setNext persists the bdSeq of the next CONNECT.
func (d *disk) setNext(next uint8) error {
	if d.data.NextBdSeq == next {
		return nil
	}
	was := d.data.NextBdSeq
	d.data.NextBdSeq = next
	err := d.write()
	if err != nil {
		d.data.NextBdSeq = was // to be tried again
	}
	return err
}

// nextBirth persists the number of the NBIRTH that comes now.
func (d *disk) nextBirth() error {
	d.data.Births++
	return d.write()
}

// setAcks persists that a host acknowledges.
func (d *disk) setAcks(host string) error {
	if d.data.Acks == host {
		return nil
	}
	was := d.data.Acks
	d.data.Acks = host
	err := d.write()
	if err != nil {
		d.data.Acks = was
	}
	return err
}

// setValue persists the value of a metric held in memory.
func (d *disk) setValue(device, name string, v sparkplug.Value, at int64) error {
	// A copy, so that the map that is being read elsewhere never changes.
	m := maps.Clone(d.data.Values[device])
	if m == nil {
		m = map[string]savedValue{}
	}
	m[name] = savedValue{v.Type().String(), sparkplug.AppendJSON(nil, v), at}
	d.data.Values[device] = m
	return d.write()
}

// value is what was persisted of a metric, if it still has that type.
func (d *disk) value(device, name string, t sparkplug.DataType) (v sparkplug.Value, at int64, ok bool) {
	s, ok := d.data.Values[device][name]
	if !ok || s.Type != t.String() {
		return v, 0, false
	}
	if string(s.Value) == "null" {
		return sparkplug.Null(t), s.Time, true
	}
	v, err := sparkplug.ParseJSON(t, s.Value)
	return v, s.Time, err == nil
}
