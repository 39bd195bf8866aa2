//go:build unix

package main

import "syscall"

// freeSpace returns the bytes that an ordinary user may still write to the file system
// that holds folder.
func freeSpace(folder string) (bytes uint64, known bool, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return 0, false, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true, nil
}
