package store

import (
	"encoding/binary"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Connections is the reduced form of a set of flow logs: distinct rows in one
// total order, so that equal input gives equal Connections whatever the order of
// files and lines and the number of workers. It is immutable and safe for
// concurrent use. The zero value is that of no logs.
//
// Rows are kept as columns, 84 bytes a row, 92 where an interface has several eras; see
// [Connections.Record].
type Connections struct {
	columns    columns
	interfaces []string
	coverage   []Coverage
	ledger     flow.Ledger
	outside    uint64
	from, to   int64
}

// columns holds the rows; all have the same length, except wide.
type columns struct {
	iface                              []uint32
	proto, client, side, action, class []uint8

	// An IPv4 address is its value. An IPv6 address is its number in wide, and
	// family has a bit for it. That halves what the columns of the (many) IPv4
	// rows would take as 16 bytes an address.
	family        []uint8
	local, remote []uint32
	wide          []byte // 16 bytes each, ascending, distinct

	localPort, remotePort   []uint16
	portLo, portHi          []uint16
	portBits                []uint64
	flags                   []uint16
	records, packets, bytes []uint64
	first, last             []int64
	days                    []uint64
	eraLo, eraHi            []uint32 // nil if no interface has more than one era
}

const (
	wideRemote = 1 << iota
	wideLocal
)

func makeColumns(n int) columns {
	return columns{
		iface:      make([]uint32, n),
		proto:      make([]uint8, n),
		client:     make([]uint8, n),
		side:       make([]uint8, n),
		action:     make([]uint8, n),
		class:      make([]uint8, n),
		family:     make([]uint8, n),
		local:      make([]uint32, n),
		remote:     make([]uint32, n),
		localPort:  make([]uint16, n),
		remotePort: make([]uint16, n),
		portLo:     make([]uint16, n),
		portHi:     make([]uint16, n),
		portBits:   make([]uint64, n),
		flags:      make([]uint16, n),
		records:    make([]uint64, n),
		packets:    make([]uint64, n),
		bytes:      make([]uint64, n),
		first:      make([]int64, n),
		last:       make([]int64, n),
		days:       make([]uint64, n),
	}
}

// addr returns the address with the given code; wide says it is IPv6.
func (c *columns) addr(code uint32, wide bool) flow.Addr {
	if !wide {
		return flow.Addr4(code)
	}
	b := c.wide[16*int(code):]
	return flow.Addr{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
}

// Len returns the number of rows.
func (c *Connections) Len() int { return len(c.columns.iface) }

// Row copies row i into r. Rows are ordered by interface name, protocol, remote
// address, local address, local port, remote port, client side, side, action, class,
// first era, last era.
func (c *Connections) Row(i int, r *Row) {
	k := &c.columns
	c.Head(i, r)
	r.Flags = flow.TCPFlags(k.flags[i])
	r.Records, r.Packets, r.Bytes = k.records[i], k.packets[i], k.bytes[i]
	r.First, r.Last, r.Days = k.first[i], k.last[i], k.days[i]
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
