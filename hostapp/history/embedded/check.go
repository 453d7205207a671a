package embedded

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// checks is what the store knows of its own files, so that it notices when it is
// opened that some are not what they were: neither the TSDB nor SQLite looks at
// all of them then, and both take a log that is shorter for one that has ended.
// The file is written by Sync and Close and is itself of no consequence: without
// it less is noticed.
type checks struct {
	Blocks map[string]blockCheck `json:"blocks"` // by ULID
	Logs   map[string]int64      `json:"logs"`   // least size, of files below the store's folder
	Whole  map[string]fileCheck  `json:"whole"`  // files that nobody writes while the store is closed
	// Syncs is what the catalogue must have in its table synced, or more: SQLite
	// drops the end of a damaged log without a word.
	Syncs int64 `json:"syncs"`
}

type blockCheck struct {
	MaxTime int64                `json:"max_time"`
	Files   map[string]fileCheck `json:"files"` // below the block's folder
}

type fileCheck struct {
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc"` // CRC-32C
}

const checksFile = "checks.json"

// verifyBytes bounds what is read of the blocks when a store is opened, the
// newest first, and of the catalogue when it is closed: seconds on a slow disk,
// and about as much as a journal of a GiB can write again.
const verifyBytes = 256 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// loadChecks reads the file: a CRC-32C in hexadecimal, a blank, JSON. A store
// without a readable one is not to be trusted.
func loadChecks(dir string) (c checks, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, checksFile))
	if err != nil || len(b) < 9 || string(b[:9]) != sumOf(b[9:]) || json.Unmarshal(b[9:], &c) != nil {
		return checks{}, false
	}
	return c, true
}

func sumOf(b []byte) string { return fmt.Sprintf("%08x ", crc32.Checksum(b, castagnoli)) }

// store replaces the file. A loss of power may bring an older one back, unless
// it is durable.
func (c *checks) store(dir string, durable bool) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, checksFile)
	if err := os.WriteFile(file+".new", append([]byte(sumOf(b)), b...), 0o600); err != nil {
		return err
	}
	if durable {
		err = fsync(file + ".new")
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err == nil && durable {
		err = fsync(dir)
	}
	return err
}

func checkOf(path string) (c fileCheck, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	sum := crc32.New(castagnoli)
	c.Size, err = io.Copy(sum, f)
	c.CRC = sum.Sum32()
	return c, err
}

// blockOf checks the files of a block, which are never written again: nothing is
// ever deleted from one, and of meta.json it is enough that it can be read.
func blockOf(dir string, maxTime int64) (b blockCheck, err error) {
	b = blockCheck{maxTime, map[string]fileCheck{}}
	names, err := filepath.Glob(filepath.Join(dir, "chunks", "*"))
	if err != nil {
		return b, err
	}
	for _, name := range append(names, filepath.Join(dir, "index"), filepath.Join(dir, "tombstones")) {
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return b, err
		}
		if b.Files[rel], err = checkOf(name); err != nil {
			return b, err
		}
	}
	return b, nil
}

// damage is a file that is not what it was.
type damage struct {
	path  string // below the store's folder
	what  string
	block string // ULID of the block that it is of, or empty
}

func (d damage) String() string { return d.path + ": " + d.what }

// verify compares the files of a store that is closed with what is known of them.
func (c *checks) verify(dir string, oldest int64) (all []damage) {
	for name, want := range c.Whole {
		if got, err := checkOf(filepath.Join(dir, name)); err != nil || got != want {
			all = append(all, damage{path: name, what: "is not what was written"})
		}
	}
	for name, least := range c.Logs {
		if what := c.shorter(dir, name, least); what != "" {
			all = append(all, damage{path: name, what: what})
		}
	}
	merged := mergedBlocks(filepath.Join(dir, "tsdb"))
	ids := slices.SortedFunc(maps.Keys(c.Blocks), func(a, b string) int { return cmp.Compare(c.Blocks[b].MaxTime, c.Blocks[a].MaxTime) })
	left := int64(verifyBytes)
	for _, id := range ids {
		b := c.Blocks[id]
		if b.MaxTime <= oldest || merged[id] || left < 0 {
			continue
		}
		for name, want := range b.Files {
			path := filepath.Join("tsdb", id, name)
			got, err := checkOf(filepath.Join(dir, path))
			if left -= got.Size; err != nil || got != want {
				all = append(all, damage{path: path, what: "is not what was written", block: id})
				break
			}
		}
		if _, err := readBlockMeta(filepath.Join(dir, "tsdb", id)); err != nil {
			all = append(all, damage{path: filepath.Join("tsdb", id, "meta.json"), what: "cannot be read", block: id})
		}
	}
	all = append(all, c.unknown(dir, left)...)
	slices.SortFunc(all, func(a, b damage) int { return cmp.Compare(a.path, b.path) })
	return all
}

// unknown reads the blocks of which nothing is known yet, as far as left bytes go.
func (c *checks) unknown(dir string, left int64) (all []damage) {
	for _, name := range blockDirs(filepath.Join(dir, "tsdb")) {
		if _, ok := c.Blocks[name]; ok || left < 0 {
			continue
		}
		path := filepath.Join("tsdb", name)
		size, err := readBlock(filepath.Join(dir, path))
		if left -= size; err != nil {
			all = append(all, damage{path: path, what: err.Error(), block: name})
		}
	}
	return all
}

// shorter says what is wrong with a log. The TSDB removes segments that it does
// not need any more, so one may be gone if newer ones are there.
func (c *checks) shorter(dir, name string, least int64) string {
	info, err := os.Stat(filepath.Join(dir, name))
	switch {
	case err == nil && info.Size() < least:
		return fmt.Sprintf("has %d bytes of %d", info.Size(), least)
	case !errors.Is(err, fs.ErrNotExist):
		return ""
	}
	entries, err := os.ReadDir(filepath.Join(dir, filepath.Dir(name)))
	if err == nil && name != catalogWAL {
		for _, e := range entries {
			if e.Type().IsRegular() && e.Name() > filepath.Base(name) && strings.Trim(e.Name(), "0123456789") == "" {
				return ""
			}
		}
	}
	return "is gone"
}

// blockMeta is what we need of a block's meta.json.
type blockMeta struct {
	ULID       ulid.ULID `json:"ulid"`
	MaxTime    int64     `json:"maxTime"`
	Compaction struct {
		Sources []ulid.ULID `json:"sources"`
	} `json:"compaction"`
}

func readBlockMeta(dir string) (m blockMeta, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(b, &m)
}

// blockDirs are the blocks in a TSDB's folder.
func blockDirs(tsdb string) (names []string) {
	dirs, err := os.ReadDir(tsdb)
	if err != nil {
		return nil
	}
	for _, d := range dirs {
		if _, err := ulid.ParseStrict(d.Name()); err == nil && d.IsDir() {
			names = append(names, d.Name())
		}
	}
	return names
}

// mergedBlocks are those whose samples other blocks have.
func mergedBlocks(tsdb string) map[string]bool {
	merged := map[string]bool{}
	for _, name := range blockDirs(tsdb) {
		m, err := readBlockMeta(filepath.Join(tsdb, name))
		if err != nil {
			continue
		}
		for _, id := range m.Compaction.Sources {
			if id != m.ULID {
				merged[id.String()] = true
			}
		}
	}
	return merged
}

// note brings what is known of blocks up to date with those that are there.
func (c *checks) note(tsdb string, blocks map[string]int64) error {
	if c.Blocks == nil {
		c.Blocks = map[string]blockCheck{}
	}
	maps.DeleteFunc(c.Blocks, func(id string, _ blockCheck) bool { _, there := blocks[id]; return !there })
	for id, maxTime := range blocks {
		if _, ok := c.Blocks[id]; ok {
			continue
		}
		b, err := blockOf(filepath.Join(tsdb, id), maxTime)
		if errors.Is(err, fs.ErrNotExist) {
			continue // merged meanwhile
		}
		if err != nil {
			return err
		}
		c.Blocks[id] = b
	}
	return nil
}

// setAside moves files below the store's folder into its folder "damaged", for
// whoever wants to look at them, and says where that is.
func setAside(dir string, at time.Time, paths ...string) (string, error) {
	base := filepath.Join(dir, "damaged", at.UTC().Format("20060102T150405.000Z"))
	to := base
	for n := 2; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s.%d", base, n)
	}
	for _, p := range paths {
		target := filepath.Join(to, p)
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return to, err
		}
		if err := os.Rename(filepath.Join(dir, p), target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return to, err
		}
	}
	return to, nil
}
