package flowlog

import (
	"encoding/binary"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// maxNames bounds the interface names kept between batches. A large region has tens
// of thousands of interfaces; beyond that the table starts again.
const maxNames = 1 << 16

// columns fills batches row by row and hands on the full ones. One decoder owns it.
type columns struct {
	emit func(*store.Batch) error
	full store.Batch // every column has the length BatchSize
	out  store.Batch // what is handed on: the filled part of full
	n    int         // rows filled

	// Interface names are interned twice: the string once per decoder, the index
	// once per batch. recent finds the name of most rows without hashing it.
	names  []string // of this batch
	batch  uint32   // number of this batch; 0 before the first
	known  map[string]*interned
	recent [256]*interned
}

type interned struct {
	name  string
	batch uint32 // the batch for which index holds
	index uint32
}

func newColumns(emit func(*store.Batch) error) *columns {
	const n = store.BatchSize
	return &columns{
		emit: emit,
		full: store.Batch{
			Interface: make([]uint32, n),
			Src:       make([]flow.Addr, n), Dst: make([]flow.Addr, n),
			PktSrc: make([]flow.Addr, n), PktDst: make([]flow.Addr, n),
			SrcPort: make([]uint16, n), DstPort: make([]uint16, n),
			Proto:     make([]flow.Proto, n),
			Direction: make([]flow.Direction, n), Action: make([]flow.Action, n),
			Status: make([]flow.Status, n), Flags: make([]flow.TCPFlags, n),
			Packets: make([]uint64, n), Bytes: make([]uint64, n),
			Start: make([]int64, n), End: make([]int64, n),
		},
		known: make(map[string]*interned),
		batch: 1,
	}
}

// next returns the index of a fresh row, whose every column the caller sets. It
// hands on the batch first if that is full.
func (c *columns) next() (int, error) {
	if c.n == store.BatchSize {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	c.n++
	return c.n - 1, nil
}

// flush hands on the rows filled so far, if any.
func (c *columns) flush() error {
	if c.n == 0 {
		return nil
	}
	n, b := c.n, &c.full
	c.out = store.Batch{
		Names:     c.names,
		Interface: b.Interface[:n],
		Src:       b.Src[:n], Dst: b.Dst[:n],
		PktSrc: b.PktSrc[:n], PktDst: b.PktDst[:n],
		SrcPort: b.SrcPort[:n], DstPort: b.DstPort[:n],
		Proto:     b.Proto[:n],
		Direction: b.Direction[:n], Action: b.Action[:n],
		Status: b.Status[:n], Flags: b.Flags[:n],
		Packets: b.Packets[:n], Bytes: b.Bytes[:n],
		Start: b.Start[:n], End: b.End[:n],
	}
	err := c.emit(&c.out)
	c.n = 0
	c.names = c.names[:0]
	c.batch++
	if len(c.known) > maxNames {
		clear(c.known)
		clear(c.recent[:])
	}
	return err
}

// iface returns the index of an interface name in the current batch.
func (c *columns) iface(name []byte) uint32 {
	var slot uint64
	if len(name) >= 8 { // the end of an ENI id is what tells it from others
		slot = binary.LittleEndian.Uint64(name[len(name)-8:]) * 0x9e3779b97f4a7c15 >> 56
	}
	e := c.recent[slot]
	if e == nil || e.name != string(name) {
		e = c.known[string(name)]
		if e == nil {
			e = &interned{name: string(name)}
			c.known[e.name] = e
		}
		c.recent[slot] = e
	}
	if e.batch != c.batch {
		e.batch, e.index = c.batch, uint32(len(c.names))
		c.names = append(c.names, e.name)
	}
	return e.index
}
