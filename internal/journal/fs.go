package journal

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
)

// FS is what a journal needs of a file system. All names are within its folder.
type FS interface {
	// Open opens a file to read and write it, and makes it if need be.
	Open(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	List() ([]string, error)
	// Sync makes durable which files there are, under which names.
	Sync() error
	// Space is how many bytes more there is room for, and how many there are in
	// all.
	Space() (free, total int64, err error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes durable what was written.
	Sync() error
}

// folder is an FS of the operating system.
type folder struct {
	root     *os.Root
	readOnly bool
}

// openFolder makes the folder if need be, unless it is to be read only.
func openFolder(dir string, readOnly bool) (folder, error) {
	if !readOnly {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return folder{}, err
		}
	}
	root, err := os.OpenRoot(dir)
	return folder{root, readOnly}, err
}

// none is a file without anything in it.
type none struct{ File }

func (none) Size() (int64, error) { return 0, nil }
func (none) Close() error         { return nil }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f folder) Open(name string) (File, error) {
	flag := os.O_RDWR | os.O_CREATE
	if f.readOnly {
		flag = os.O_RDONLY
	}
	file, err := f.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

func (f folder) Rename(from, to string) error { return f.root.Rename(from, to) }
func (f folder) Remove(name string) error     { return f.root.Remove(name) }

func (f folder) List() (names []string, err error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, filepath.Base(e.Name()))
		}
	}
	return names, err
}

func (f folder) Sync() error {
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f folder) Space() (free, total int64, err error) {
	free, total, err = space(f.root.Name())
	if errors.Is(err, errors.ErrUnsupported) {
		return math.MaxInt64, math.MaxInt64, nil
	}
	return free, total, err
}
