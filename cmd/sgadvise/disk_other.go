//go:build !unix

package main

// freeSpace does not know how to ask here.
func freeSpace(string) (bytes uint64, known bool, err error) { return 0, false, nil }
