//go:build linux || darwin || freebsd

package journal

import "syscall"

// space is the room that a user without privileges has, and the size of the
// disk.
func space(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize) //nolint:unconvert // of another type on other systems
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}
