package store

import (
	"sort"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Spans returns where the rows of each interface begin, in the order of
// [Connections.Interfaces], and after those the number of rows: interface i has rows
// Spans()[i] up to, and without, Spans()[i+1].
func (c *Connections) Spans() []int {
	out := make([]int, len(c.interfaces)+1)
	n := c.Len()
	for i := range c.interfaces {
		lo := out[i]
		out[i+1] = lo + sort.Search(n-lo, func(k int) bool { return c.columns.iface[lo+k] > uint32(i) })
	}
	return out
}

// Records returns the number of records in all rows.
func (c *Connections) Records() uint64 {
	var n uint64
	for _, r := range c.columns.records {
		n = saturatingAdd(n, r)
	}
	return n
}

// Head copies what tells row i apart into r: all but the flags, counts, times and days,
// which keep what they were. It reads half of what [Connections.Row] does.
func (c *Connections) Head(i int, r *Row) {
	k := &c.columns
	r.Interface = k.iface[i]
	r.Side, r.Proto, r.Action = flow.Direction(k.side[i]), flow.Proto(k.proto[i]), flow.Action(k.action[i])
	r.Class, r.Client = flow.FlagClass(k.class[i]), ClientSide(k.client[i])
	if k.family[i] == 0 {
		r.Local, r.Remote = flow.Addr4(k.local[i]), flow.Addr4(k.remote[i])
	} else {
		r.Local = k.addr(k.local[i], k.family[i]&wideLocal != 0)
		r.Remote = k.addr(k.remote[i], k.family[i]&wideRemote != 0)
	}
	r.LocalPort, r.RemotePort = k.localPort[i], k.remotePort[i]
	r.PortLo, r.PortHi, r.PortBits = k.portLo[i], k.portHi[i], k.portBits[i]
	r.EraLo, r.EraHi = 0, 0
	if k.eraLo != nil {
		r.EraLo, r.EraHi = k.eraLo[i], k.eraHi[i]
	}
}
