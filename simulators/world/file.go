package world

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/magneto-iiot/magneto/internal/journal"
)

// writeFile makes a small file durable, whole or not at all.
func writeFile(fs journal.FS, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := fs.Open(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	err = errors.Join(err, f.Truncate(int64(len(b))), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return errors.Join(fs.Rename(name+".new", name), fs.Sync())
}

func readFile(fs journal.FS, name string, v any) error {
	names, err := fs.List()
	if err != nil || !slices.Contains(names, name) {
		return err
	}
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		return err
	}
	return errors.Join(json.Unmarshal(b, v), f.Close())
}
