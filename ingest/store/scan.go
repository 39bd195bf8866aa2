package store

import (
	"runtime"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Spans returns where the rows of each interface begin, in the order of
// [Connections.Interfaces], and after those the number of rows: interface i has rows
// Spans()[i] up to, and without, Spans()[i+1]. The caller does not change it.
func (c *Connections) Spans() []int {
	if c.starts == nil {
		return []int{0}
	}
	return c.starts
}

// Records returns the number of records in all rows.
func (c *Connections) Records() uint64 { return c.records }

// Head copies what tells row i apart into r: all but the flags, counts, times and days,
// which keep what they were.
func (c *Connections) Head(i int, r *Row) {
	if n, wide := c.find(i); wide {
		c.wideHead(c.wide.at(n), r)
	} else {
		c.narrowHead(c.narrow.at(n), r)
	}
	runtime.KeepAlive(c) // holds the memory of the rows
}

func (c *Connections) narrowHead(w *narrowRow, r *Row) {
	r.Proto, r.Client, r.Side, r.Action, r.Class = w.kind.split()
	r.Local, r.Remote = flow.Addr4(uint32(w.ends)), flow.Addr4(uint32(w.remote>>32))
	r.LocalPort, r.RemotePort = uint16(w.remote>>16), uint16(w.remote)
	r.PortLo, r.PortHi, r.PortBits = w.portLo, w.portHi, w.portBits
	r.RemoteFree = 0
	c.place(w.iface(), r)
}

func (c *Connections) wideHead(w *wideRow, r *Row) {
	r.Proto, r.Client, r.Side, r.Action, r.Class = w.kind.split()
	r.Local, r.Remote, r.LocalPort, r.RemotePort = w.local, w.remote, w.localPort, w.remotePort
	r.PortLo, r.PortHi, r.PortBits = w.portLo, w.portHi, w.portBits
	r.RemoteFree = w.free
	c.place(w.iface, r)
}

// place sets the interface and the eras of r, whose row has the given id.
func (c *Connections) place(id uint32, r *Row) {
	r.Interface, r.EraLo, r.EraHi = id, 0, 0
	if c.eras != nil {
		era := c.eras[id]
		r.Interface, r.EraLo, r.EraHi = era.iface, era.lo, era.hi
	}
}

// Times returns the least start and the greatest end of row i, in Unix seconds.
func (c *Connections) Times(i int) (first, last int64) {
	if n, wide := c.find(i); wide {
		w := c.wide.at(n)
		first, last = w.first, w.last
	} else {
		w := c.narrow.at(n)
		first, last = int64(w.firstSec), int64(w.lastSec)
	}
	runtime.KeepAlive(c) // holds the memory of the rows
	return first, last
}
