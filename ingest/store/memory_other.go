//go:build !linux

package store

import "unsafe"

func mapBlock(size int, _ bool) (unsafe.Pointer, block) { return heapBlock(size), block{} }

func (b block) unmap() {}
