package journal

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
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

// Folder is an FS of the operating system.
type Folder struct {
	root     *os.Root
	readOnly bool
}

// OpenFolder opens a folder, which it makes if need be. Close it in the end.
func OpenFolder(dir string) (Folder, error) { return openFolder(dir, false) }

func openFolder(dir string, readOnly bool) (Folder, error) {
	if !readOnly {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return Folder{}, err
		}
	}
	root, err := os.OpenRoot(dir)
	return Folder{root, readOnly}, err
}

// Close closes the folder; its open files go on.
func (f Folder) Close() error { return f.root.Close() }

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

// Open implements FS.
func (f Folder) Open(name string) (File, error) {
	flag := os.O_RDWR | os.O_CREATE
	if f.readOnly {
		flag = os.O_RDONLY
	}
	file, err := f.root.OpenFile(name, flag, 0o600)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			e.Path = filepath.Join(f.root.Name(), name)
		}
		return nil, err
	}
	return osFile{file}, nil
}

// Rename implements FS.
func (f Folder) Rename(from, to string) error { return f.root.Rename(from, to) }

// Remove implements FS.
func (f Folder) Remove(name string) error { return f.root.Remove(name) }

// List implements FS.
func (f Folder) List() (names []string, err error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, filepath.Base(e.Name()))
		}
	}
	return names, err
}

// Sync implements FS.
func (f Folder) Sync() error {
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Space implements FS.
func (f Folder) Space() (free, total int64, err error) {
	free, total, err = space(f.root.Name())
	if errors.Is(err, errors.ErrUnsupported) {
		return math.MaxInt64, math.MaxInt64, nil
	}
	return free, total, err
}

// ReadFile reads a file whole; fs.ErrNotExist when it is not there.
func ReadFile(in FS, name string) ([]byte, error) {
	names, err := in.List()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := in.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) && n == len(b) {
		err = nil
	}
	return b[:n], err
}

// ReplaceFile puts data in the place of a file. A process that is killed leaves
// the old one or the new one; so does a loss of power, and once it has returned
// the new one, if durable is set.
func ReplaceFile(in FS, name string, data []byte, durable bool) error {
	fresh := name + ".new"
	f, err := in.Open(fresh)
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = in.Rename(fresh, name)
	}
	if err == nil && durable {
		err = in.Sync()
	}
	return err
}
