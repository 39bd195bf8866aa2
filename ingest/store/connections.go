package store

import (
	"math/bits"
	"runtime"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Connections is the reduced form of a set of flow logs: distinct rows in one
// total order, so that equal input gives equal Connections whatever the order of
// files and lines and the number of workers. It is immutable, but for
// [Connections.Drop] and [Connections.Release], and safe for concurrent use. The zero value is that of no logs.
//
// A row of two IPv4 addresses takes 64 bytes, one line of the cache; any other, and one
// with more than 32 bits of records or packets, 104. They are where the Tally put
// them, outside the collector's heap; as columns there is [Connections.Record].
type Connections struct {
	mem    *arena
	narrow rows[narrowRow]
	wide   rows[wideRow]
	len    int
	starts []int // where the rows of each interface begin; then their number
	// Rows of both forms are in one order: bit i%64 of isWide[i/64] says that row i is
	// wide, and wideBefore how many wide rows are before those of a word. Without wide
	// rows both are nil.
	isWide     []uint64
	wideBefore []uint32
	// The interface of a row is its place in interfaces; if any has several eras, it is
	// one in eras, and that has the place.
	eras       []eraKey
	interfaces []string
	coverage   []Coverage
	ledger     flow.Ledger
	outside    uint64
	from, to   int64
	records    uint64
	rolled     *RollUp // after Drop or Release
	released   releases
	roll       rollUp // with the numbers that rows have for their interface
}

func (c *Connections) interfaceOf(id uint32) uint32 {
	if c.eras == nil {
		return id
	}
	return c.eras[id].iface
}

// find returns the number of row i in its form.
func (c *Connections) find(i int) (n uint32, wide bool) {
	if c.isWide == nil {
		return uint32(i), false
	}
	word, bit := c.isWide[i/64], uint64(1)<<(i%64)
	before := c.wideBefore[i/64] + uint32(bits.OnesCount64(word&(bit-1)))
	if word&bit != 0 {
		return before, true
	}
	return uint32(i) - before, false
}

// Len returns the number of rows.
func (c *Connections) Len() int { return c.len }

// Row copies row i into r. Rows are ordered by interface name, protocol, remote
// address, the prefix that is folded into it, if any, local address, local port, remote port, client side, side, action, class,
// first era, last era.
func (c *Connections) Row(i int, r *Row) {
	if n, wide := c.find(i); wide {
		w := c.wide.at(n)
		c.wideHead(w, r)
		r.Flags, r.Records, r.Packets, r.Bytes = w.flags, w.records, w.packets, w.bytes
		r.First, r.Last, r.Days = w.first, w.last, w.days
	} else {
		w := c.narrow.at(n)
		c.narrowHead(w, r)
		r.Flags, r.Records, r.Packets, r.Bytes = w.flags, uint64(w.records), uint64(w.packets), w.bytes
		r.First, r.Last, r.Days = int64(w.firstSec), int64(w.lastSec), w.days
	}
	runtime.KeepAlive(c) // holds the memory of the rows
}

// Drop gives the memory of the rows back: from then on there are none, and Len is 0. What
// is known of all of them together stays. Nobody may look at rows meanwhile.
func (c *Connections) Drop() {
	u := c.RollUp()
	c.rolled = &u
	if c.mem != nil {
		c.mem.releaseAll()
	}
	c.narrow, c.wide, c.isWide, c.wideBefore = rows[narrowRow]{}, rows[wideRow]{}, nil, nil
	c.len, c.starts = 0, nil
}

// Interfaces returns the names that Row.Interface indexes, ascending. It includes
// interfaces with coverage rows only.
func (c *Connections) Interfaces() []string { return c.interfaces }

// Coverage returns what is known of each interface, in the order of Interfaces.
func (c *Connections) Coverage() []Coverage { return c.coverage }

// Ledger returns the dispositions settled while reading: nodata, skipdata and
// unsupported records. Those of the rows are not in it.
func (c *Connections) Ledger() flow.Ledger { return c.ledger }

// Outside returns the number of records left out because they lie outside the window.
func (c *Connections) Outside() uint64 { return c.outside }

// Window returns the least start and the greatest end of all rows, in Unix
// seconds; 0, 0 if there are none.
func (c *Connections) Window() (from, to int64) { return c.from, c.to }
