package store

import (
	"sync"
	"unsafe"
)

const (
	// segmentRows rows are taken from the system at once: address space, which
	// becomes memory as it is touched.
	segmentBits = 17
	segmentRows = 1 << segmentBits

	// chunkRows rows are given to a shard at once: few enough that what the shards have
	// not filled yet is little, many enough to ask rarely.
	chunkRows = 1 << 8
)

// rows are rows by number. They never move and are never copied to grow.
type rows[T any] struct{ segments []*[segmentRows]T }

func (r *rows[T]) at(i uint32) *T { return &r.segments[i>>segmentBits][i%segmentRows] }

// table gives out rows, all zero, a chunk at a time, so that the rows of all shards
// follow each other in memory and each page is touched once. It is safe for concurrent use.
type table[T any] struct {
	mem  *arena
	mu   sync.Mutex
	all  rows[T]
	next uint32 // rows given out
}

// chunk returns the number of the first row of a new chunk, and the rows as they are
// known to have it: later segments are appended behind what was returned.
func (t *table[T]) chunk() (first uint32, known rows[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first = t.next
	if first%segmentRows == 0 {
		t.all.segments = append(t.all.segments, alloc[[segmentRows]T](t.mem, first > 0))
	}
	t.next += chunkRows
	// Written before it is read, a fresh page is made once; read first it would be that of
	// zeros, which all share, and then another one.
	*t.all.at(first) = *new(T)
	return first, t.all
}

func (t *table[T]) len() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}

// truncate makes the table n rows long, up to the next chunk, and gives back the memory of
// the others, which are zero.
func (t *table[T]) truncate(n uint32) {
	n = (n + chunkRows - 1) / chunkRows * chunkRows
	keep := (int(n) + segmentRows - 1) / segmentRows
	for _, s := range t.all.segments[keep:] {
		t.mem.release(unsafe.Pointer(s))
	}
	clear(t.all.segments[keep:])
	t.all.segments = t.all.segments[:keep]
	t.next = n
}

// region is what one shard has of a table.
type region[T any] struct {
	rows[T]
	table     *table[T]
	next, end uint32 // of the chunk being filled
}

// append adds a copy of r and returns its number.
func (g *region[T]) append(r *T) uint32 {
	if g.next == g.end {
		g.next, g.rows = g.table.chunk()
		g.end = g.next + chunkRows
	}
	n := g.next
	*g.at(n) = *r
	g.next++
	return n
}
