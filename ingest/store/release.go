package store

import (
	"math/bits"
	"sync"
	"unsafe"
)

// releases says how many rows of each segment nobody will ask for again.
type releases struct {
	mu           sync.Mutex
	narrow, wide []uint32
}

// Release says that nobody will ask for the rows from lo up to, and without, hi again. Once
// that is so for all rows that are next to each other in memory it is given back, and to
// ask for one of them panics. Rows are released once. It is safe for concurrent use, and
// while others look at other rows. What is known of all rows together stays.
func (c *Connections) Release(lo, hi int) {
	if c.mem == nil || lo >= hi {
		return
	}
	narrowLo, wideLo := c.before(lo)
	narrowHi, wideHi := c.before(hi)
	narrows, wides := c.before(c.len)
	c.released.mu.Lock()
	defer c.released.mu.Unlock()
	if c.rolled == nil {
		u := c.RollUp() // looks at rows
		c.rolled = &u
		c.released.narrow, c.released.wide = make([]uint32, len(c.narrow.segments)), make([]uint32, len(c.wide.segments))
	}
	c.narrow.release(c.mem, c.released.narrow, narrowLo, narrowHi, narrows)
	c.wide.release(c.mem, c.released.wide, wideLo, wideHi, wides)
}

// before returns how many rows of each form come before row i.
func (c *Connections) before(i int) (narrow, wide uint32) {
	if c.isWide == nil {
		return uint32(i), 0
	}
	if i == c.len {
		if i == 0 {
			return 0, 0
		}
		narrow, wide = c.before(i - 1)
		if _, isWide := c.find(i - 1); isWide {
			return narrow, wide + 1
		}
		return narrow + 1, wide
	}
	wide = c.wideBefore[i/64] + uint32(bits.OnesCount64(c.isWide[i/64]&(1<<(i%64)-1)))
	return uint32(i) - wide, wide
}

// release counts the rows from lo to hi, of len, into gone, by segment, and gives back the
// segments that are gone as a whole. Who asks for their rows finds a nil pointer.
func (r *rows[T]) release(mem *arena, gone []uint32, lo, hi, len uint32) {
	for lo < hi {
		s := lo >> segmentBits
		end := min((s+1)<<segmentBits, hi)
		gone[s] += end - lo
		if gone[s] == min(segmentRows, len-s<<segmentBits) {
			mem.release(unsafe.Pointer(r.segments[s]))
			r.segments[s] = nil
		}
		lo = end
	}
}
