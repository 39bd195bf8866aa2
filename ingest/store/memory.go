package store

import (
	"runtime"
	"sync"
	"unsafe"
)

// arena is a set of blocks outside the heap of Go's collector, where the system has
// such. Millions of rows without pointers are nothing to the collector, but on its heap
// they would let garbage grow in proportion, be found by the system in small pages, each
// a fault, and stay after they are dropped. The blocks live until the arena is
// unreachable, or released; whoever reads them keeps it alive until then.
type arena struct {
	mu     sync.Mutex
	blocks *map[unsafe.Pointer]block
}

// block is what the system was asked for, of which rows use the aligned part.
type block struct{ mapped []byte }

func newArena() *arena {
	m := &arena{blocks: &map[unsafe.Pointer]block{}}
	runtime.AddCleanup(m, func(blocks *map[unsafe.Pointer]block) {
		for _, b := range *blocks {
			b.unmap()
		}
	}, m.blocks)
	return m
}

// alloc returns a zero T, which has no pointers, in a block of its own: in huge pages if
// all of it is going to be used.
func alloc[T any](m *arena, huge bool) *T {
	return (*T)(m.alloc(int(unsafe.Sizeof(*new(T))), huge))
}

// allocSlice returns n zero values of T, which has no pointers, in a block of their own.
func allocSlice[T any](m *arena, n int) []T {
	return unsafe.Slice((*T)(m.alloc(n*int(unsafe.Sizeof(*new(T))), true)), n)
}

func (m *arena) alloc(size int, huge bool) unsafe.Pointer {
	p, b := mapBlock(size, huge)
	if b.mapped != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		(*m.blocks)[p] = b
	}
	return p
}

// release gives the block at p back at once.
func (m *arena) release(p unsafe.Pointer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	(*m.blocks)[p].unmap()
	delete(*m.blocks, p)
}

// releaseAll gives all blocks back at once.
func (m *arena) releaseAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, b := range *m.blocks {
		b.unmap()
		delete(*m.blocks, p)
	}
}

// heapBlock returns size zero bytes of the collector's heap, aligned to 8.
func heapBlock(size int) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
}
