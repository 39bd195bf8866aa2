package flowlog

import (
	"encoding/binary"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// maxNames bounds the interface names kept between batches. A large region has tens
// of thousands of interfaces; beyond that the list starts again.
const maxNames = 1 << 16

// columns fills batches row by row and hands on the full ones. One decoder owns it.
type columns struct {
	emit func(*store.Batch) error
	rows *rows
	out  store.Batch // what is handed on: the filled part of them
	n    int         // rows filled

	// Those of the columns that few logs have which the rows to come have, and those
	// which the batch at hand has.
	needs, has optional

	// The names of interfaces, which keep their indices from batch to batch, and where
	// they are: known has all of them, recent most rows' without hashing the whole name.
	names  []string
	series *store.Series // of batches with these names
	naming uint32        // number of this series, from 1 on
	known  map[string]*interned
	recent [1 << 10][2]recentName
}

// rows are the columns of a batch. Between them is room, since rows that are as many as a
// power of two would put each row's place in every column into the same few lines of the cache.
type rows struct {
	iface     [store.BatchSize]uint32
	_         [1 * 64]byte
	src       [store.BatchSize]flow.Addr
	_         [2 * 64]byte
	dst       [store.BatchSize]flow.Addr
	_         [3 * 64]byte
	srcPort   [store.BatchSize]uint16
	_         [4 * 64]byte
	dstPort   [store.BatchSize]uint16
	_         [5 * 64]byte
	packets   [store.BatchSize]uint64
	_         [6 * 64]byte
	bytes     [store.BatchSize]uint64
	_         [7 * 64]byte
	start     [store.BatchSize]int64
	_         [8 * 64]byte
	end       [store.BatchSize]int64
	_         [9 * 64]byte
	proto     [store.BatchSize]flow.Proto
	_         [10 * 64]byte
	action    [store.BatchSize]flow.Action
	_         [11 * 64]byte
	status    [store.BatchSize]flow.Status
	_         [12 * 64]byte
	pktSrc    [store.BatchSize]flow.Addr
	_         [13 * 64]byte
	pktDst    [store.BatchSize]flow.Addr
	_         [14 * 64]byte
	flags     [store.BatchSize]flow.TCPFlags
	_         [15 * 64]byte
	direction [store.BatchSize]flow.Direction
}

// batch returns the first n rows.
func (r *rows) batch(n int) store.Batch {
	return store.Batch{
		Interface: r.iface[:n],
		Src:       r.src[:n], Dst: r.dst[:n],
		PktSrc: r.pktSrc[:n], PktDst: r.pktDst[:n],
		SrcPort: r.srcPort[:n], DstPort: r.dstPort[:n],
		Proto:     r.proto[:n],
		Direction: r.direction[:n], Action: r.action[:n],
		Status: r.status[:n], Flags: r.flags[:n],
		Packets: r.packets[:n], Bytes: r.bytes[:n],
		Start: r.start[:n], End: r.end[:n],
	}
}

// move moves n rows to an earlier place.
func (r *rows) move(to, from, n int) {
	copy(r.iface[to:], r.iface[from:from+n])
	copy(r.src[to:], r.src[from:from+n])
	copy(r.dst[to:], r.dst[from:from+n])
	copy(r.srcPort[to:], r.srcPort[from:from+n])
	copy(r.dstPort[to:], r.dstPort[from:from+n])
	copy(r.packets[to:], r.packets[from:from+n])
	copy(r.bytes[to:], r.bytes[from:from+n])
	copy(r.start[to:], r.start[from:from+n])
	copy(r.end[to:], r.end[from:from+n])
	copy(r.proto[to:], r.proto[from:from+n])
	copy(r.action[to:], r.action[from:from+n])
	copy(r.status[to:], r.status[from:from+n])
	copy(r.pktSrc[to:], r.pktSrc[from:from+n])
	copy(r.pktDst[to:], r.pktDst[from:from+n])
	copy(r.flags[to:], r.flags[from:from+n])
	copy(r.direction[to:], r.direction[from:from+n])
}

// clear empties the column of a field in some rows.
func (r *rows) clear(f Field, from, to int) {
	switch f {
	case PktSrcAddr:
		clear(r.pktSrc[from:to])
	case PktDstAddr:
		clear(r.pktDst[from:to])
	case SrcPort:
		clear(r.srcPort[from:to])
	case DstPort:
		clear(r.dstPort[from:to])
	case Protocol:
		clear(r.proto[from:to])
	case Packets:
		clear(r.packets[from:to])
	case Bytes:
		clear(r.bytes[from:to])
	case Action:
		clear(r.action[from:to])
	case TCPFlags:
		clear(r.flags[from:to])
	case FlowDirection:
		clear(r.direction[from:to])
	}
}

// optional is a set of the columns that a batch may lack.
type optional uint8

const (
	hasPackets   optional = 1 << iota // the addresses of the packet header
	hasFlags                          // TCP flags
	hasDirection                      // the direction

	hasAll = hasPackets | hasFlags | hasDirection
)

// optional returns the columns that rows of l may fill.
func (l *Layout) optional() (set optional) {
	if l.has(Message) {
		return hasAll
	}
	if l.has(PktSrcAddr) || l.has(PktDstAddr) {
		set |= hasPackets
	}
	if l.has(TCPFlags) {
		set |= hasFlags
	}
	if l.has(FlowDirection) {
		set |= hasDirection
	}
	return set
}

// optional returns the optional columns that field f is in: none or one.
func (f Field) optional() optional {
	switch f {
	case PktSrcAddr, PktDstAddr:
		return hasPackets
	case TCPFlags:
		return hasFlags
	case FlowDirection:
		return hasDirection
	}
	return 0
}

type interned struct {
	name   string
	naming uint32 // the series for which index holds
	index  uint32
}

// recentName is a name of recentSize bytes: the first eight, the next and the last. The
// zero recentName is none.
type recentName struct {
	front, middle, back uint64
	index               uint32
}

// recentSize is the size of the names of nearly all interfaces: eni- and 17 digits.
const recentSize = 21

func newColumns(emit func(*store.Batch) error) *columns {
	return &columns{
		emit:   emit,
		rows:   new(rows),
		series: new(store.Series),
		naming: 1,
		known:  make(map[string]*interned),
		needs:  hasAll,
		has:    hasAll,
	}
}

// need says which optional columns the rows to come may fill.
func (c *columns) need(set optional) {
	c.needs = set
	more := set &^ c.has
	c.has |= set
	if c.n == 0 {
		c.has = set
		return
	}
	if more&hasPackets != 0 {
		clear(c.rows.pktSrc[:c.n])
		clear(c.rows.pktDst[:c.n])
	}
	if more&hasFlags != 0 {
		clear(c.rows.flags[:c.n])
	}
	if more&hasDirection != 0 {
		clear(c.rows.direction[:c.n])
	}
}

// next returns the index of a fresh row, whose every column the caller sets: of the
// optional ones those in has. It hands on the batch first if that is full.
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
	c.out = c.rows.batch(c.n)
	c.out.Names, c.out.Series = c.names, c.series
	if c.has&hasPackets == 0 {
		c.out.PktSrc, c.out.PktDst = nil, nil
	}
	if c.has&hasFlags == 0 {
		c.out.Flags = nil
	}
	if c.has&hasDirection == 0 {
		c.out.Direction = nil
	}
	err := c.emit(&c.out)
	c.n = 0
	c.has = c.needs
	if len(c.names) > maxNames {
		clear(c.names)
		c.names, c.series = c.names[:0], new(store.Series)
		c.naming++
		clear(c.known)
		clear(c.recent[:])
	}
	return err
}

// iface returns the index of an interface name in the current batch.
func (c *columns) iface(name []byte) uint32 {
	if len(name) != recentSize {
		return c.index(c.intern(name))
	}
	v := (*[recentSize]byte)(name)
	n := recentName{binary.LittleEndian.Uint64(v[:]), binary.LittleEndian.Uint64(v[8:]), binary.LittleEndian.Uint64(v[recentSize-8:]), 0}
	slot := c.slot(n.back)
	for i := range slot {
		if slot[i].is(n) {
			return slot[i].index
		}
	}
	n.index = c.index(c.intern(v[:]))
	slot[1], slot[0] = slot[0], n
	return n.index
}

// slot returns where a name that ends so is, if it was met lately.
func (c *columns) slot(back uint64) *[2]recentName { return &c.recent[back*0x9e3779b97f4a7c15>>54] }

// is reports whether r and o are the same name.
func (r *recentName) is(o recentName) bool {
	return r.back == o.back && r.middle == o.middle && r.front == o.front && o.back != 0
}

// intern returns the interned name.
func (c *columns) intern(name []byte) *interned {
	e := c.known[string(name)]
	if e == nil {
		e = &interned{name: string(name)}
		c.known[e.name] = e
	}
	return e
}

// index returns the index of a name in the current batch.
func (c *columns) index(e *interned) uint32 {
	if e.naming != c.naming {
		e.naming, e.index = c.naming, uint32(len(c.names))
		c.names = append(c.names, e.name)
	}
	return e.index
}
