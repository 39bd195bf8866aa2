package store

import (
	"encoding/binary"
	"runtime"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// recordSchema names the columns of [Connections.Record].
var recordSchema = arrow.NewSchema([]arrow.Field{
	{Name: "interface", Type: interfaceType},
	{Name: "side", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "protocol", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "action", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "class", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "client", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "family", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "local", Type: arrow.PrimitiveTypes.Uint32},
	{Name: "remote", Type: arrow.PrimitiveTypes.Uint32},
	{Name: "local_port", Type: arrow.PrimitiveTypes.Uint16},
	{Name: "remote_port", Type: arrow.PrimitiveTypes.Uint16},
	{Name: "port_lo", Type: arrow.PrimitiveTypes.Uint16},
	{Name: "port_hi", Type: arrow.PrimitiveTypes.Uint16},
	{Name: "port_bits", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "flags", Type: arrow.PrimitiveTypes.Uint16},
	{Name: "records", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "packets", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "bytes", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "first", Type: arrow.PrimitiveTypes.Int64},
	{Name: "last", Type: arrow.PrimitiveTypes.Int64},
	{Name: "days", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "remote_free", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "era_lo", Type: arrow.PrimitiveTypes.Uint32},
	{Name: "era_hi", Type: arrow.PrimitiveTypes.Uint32},
}, nil)

var (
	// Long strings: the names of a hostile log may exceed 2 GiB together.
	interfaceType = &arrow.DictionaryType{
		IndexType: arrow.PrimitiveTypes.Uint32, ValueType: arrow.BinaryTypes.LargeString, Ordered: true,
	}
	wideType = &arrow.FixedSizeBinaryType{ByteWidth: 16}
)

// Record returns the rows as one Arrow record, in the order of [Connections.Row]
// and with its fields as columns, which are made for it: 93 bytes a row.
//
// The interface is a dictionary over [Connections.Interfaces]. An address is the
// 32-bit value of an IPv4 address, or an index into [Connections.Wide] where
// family has a bit for it: 1 for remote, 2 for local. No value is null.
//
// The caller releases the record once. c outlives the record and the record outlives c.
func (c *Connections) Record() arrow.Record {
	k := makeColumns(c)
	n := c.Len()
	data := []*array.Data{
		c.interfaceData(k.iface),
		column(arrow.PrimitiveTypes.Uint8, n, k.side),
		column(arrow.PrimitiveTypes.Uint8, n, k.proto),
		column(arrow.PrimitiveTypes.Uint8, n, k.action),
		column(arrow.PrimitiveTypes.Uint8, n, k.class),
		column(arrow.PrimitiveTypes.Uint8, n, k.client),
		column(arrow.PrimitiveTypes.Uint8, n, k.family),
		column(arrow.PrimitiveTypes.Uint32, n, arrow.Uint32Traits.CastToBytes(k.local)),
		column(arrow.PrimitiveTypes.Uint32, n, arrow.Uint32Traits.CastToBytes(k.remote)),
		column(arrow.PrimitiveTypes.Uint16, n, arrow.Uint16Traits.CastToBytes(k.localPort)),
		column(arrow.PrimitiveTypes.Uint16, n, arrow.Uint16Traits.CastToBytes(k.remotePort)),
		column(arrow.PrimitiveTypes.Uint16, n, arrow.Uint16Traits.CastToBytes(k.portLo)),
		column(arrow.PrimitiveTypes.Uint16, n, arrow.Uint16Traits.CastToBytes(k.portHi)),
		column(arrow.PrimitiveTypes.Uint64, n, arrow.Uint64Traits.CastToBytes(k.portBits)),
		column(arrow.PrimitiveTypes.Uint16, n, arrow.Uint16Traits.CastToBytes(k.flags)),
		column(arrow.PrimitiveTypes.Uint64, n, arrow.Uint64Traits.CastToBytes(k.records)),
		column(arrow.PrimitiveTypes.Uint64, n, arrow.Uint64Traits.CastToBytes(k.packets)),
		column(arrow.PrimitiveTypes.Uint64, n, arrow.Uint64Traits.CastToBytes(k.bytes)),
		column(arrow.PrimitiveTypes.Int64, n, arrow.Int64Traits.CastToBytes(k.first)),
		column(arrow.PrimitiveTypes.Int64, n, arrow.Int64Traits.CastToBytes(k.last)),
		column(arrow.PrimitiveTypes.Uint64, n, arrow.Uint64Traits.CastToBytes(k.days)),
		column(arrow.PrimitiveTypes.Uint8, n, k.remoteFree),
		column(arrow.PrimitiveTypes.Uint32, n, arrow.Uint32Traits.CastToBytes(k.eraLo)),
		column(arrow.PrimitiveTypes.Uint32, n, arrow.Uint32Traits.CastToBytes(k.eraHi)),
	}
	columns := make([]arrow.Array, len(data))
	for i, d := range data {
		columns[i] = array.MakeFromData(d)
		d.Release()
	}
	record := array.NewRecord(recordSchema, columns, int64(n)) // retains the columns
	for _, a := range columns {
		a.Release()
	}
	return record
}

// Wide returns the distinct IPv6 addresses of the rows, ascending, 16 bytes each:
// what the address columns of [Connections.Record] refer to. The caller releases
// the array once.
func (c *Connections) Wide() *array.FixedSizeBinary {
	addrs := c.wideAddrs()
	var values []byte
	for _, a := range addrs {
		values = binary.BigEndian.AppendUint64(values, a.Hi)
		values = binary.BigEndian.AppendUint64(values, a.Lo)
	}
	data := column(wideType, len(addrs), values)
	defer data.Release()
	return array.NewFixedSizeBinaryData(data)
}

// column wraps values as the data of a column of n values, none of them null.
func column(t arrow.DataType, n int, values []byte) *array.Data {
	return array.NewData(t, n, []*memory.Buffer{nil, memory.NewBufferBytes(values)}, nil, 0, 0)
}

func (c *Connections) interfaceData(ids []uint32) *array.Data {
	offsets := []int64{0}
	var text []byte
	for _, name := range c.interfaces {
		text = append(text, name...)
		offsets = append(offsets, int64(len(text)))
	}
	names := array.NewData(interfaceType.ValueType, len(c.interfaces), []*memory.Buffer{
		nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(offsets)), memory.NewBufferBytes(text),
	}, nil, 0, 0)
	defer names.Release()
	return array.NewDataWithDictionary(interfaceType, c.Len(), []*memory.Buffer{
		nil, memory.NewBufferBytes(arrow.Uint32Traits.CastToBytes(ids)),
	}, 0, 0, names)
}

// columns holds the rows; all have the same length.
type columns struct {
	iface                              []uint32
	proto, client, side, action, class []uint8
	family, remoteFree                 []uint8
	local, remote                      []uint32
	localPort, remotePort              []uint16
	portLo, portHi                     []uint16
	portBits                           []uint64
	flags                              []uint16
	records, packets, bytes            []uint64
	first, last                        []int64
	days                               []uint64
	eraLo, eraHi                       []uint32
}

const (
	wideRemote = 1 << iota
	wideLocal
)

func makeColumns(c *Connections) *columns {
	n := c.Len()
	k := &columns{
		iface: make([]uint32, n), proto: make([]uint8, n), client: make([]uint8, n), side: make([]uint8, n),
		action: make([]uint8, n), class: make([]uint8, n), family: make([]uint8, n), remoteFree: make([]uint8, n),
		local: make([]uint32, n), remote: make([]uint32, n), localPort: make([]uint16, n), remotePort: make([]uint16, n),
		portLo: make([]uint16, n), portHi: make([]uint16, n), portBits: make([]uint64, n), flags: make([]uint16, n),
		records: make([]uint64, n), packets: make([]uint64, n), bytes: make([]uint64, n),
		first: make([]int64, n), last: make([]int64, n), days: make([]uint64, n),
		eraLo: make([]uint32, n), eraHi: make([]uint32, n),
	}
	wide := c.wideAddrs()
	code := func(a flow.Addr, bit uint8, family *uint8) uint32 {
		if a.Is4() {
			return a.V4()
		}
		*family |= bit
		at, _ := slices.BinarySearchFunc(wide, a, flow.Addr.Compare)
		return uint32(at)
	}
	var r Row
	for i := range n {
		c.Row(i, &r)
		k.iface[i], k.proto[i], k.client[i], k.side[i] = r.Interface, uint8(r.Proto), uint8(r.Client), uint8(r.Side)
		k.action[i], k.class[i] = uint8(r.Action), uint8(r.Class)
		k.local[i], k.remote[i] = code(r.Local, wideLocal, &k.family[i]), code(r.Remote, wideRemote, &k.family[i])
		k.localPort[i], k.remotePort[i] = r.LocalPort, r.RemotePort
		k.portLo[i], k.portHi[i], k.portBits[i], k.flags[i] = r.PortLo, r.PortHi, r.PortBits, uint16(r.Flags)
		k.records[i], k.packets[i], k.bytes[i] = r.Records, r.Packets, r.Bytes
		k.first[i], k.last[i], k.days[i] = r.First, r.Last, r.Days
		k.remoteFree[i] = r.RemoteFree
		k.eraLo[i], k.eraHi[i] = r.EraLo, r.EraHi
	}
	return k
}

// wideAddrs returns the IPv6 addresses of all rows, ascending and distinct.
func (c *Connections) wideAddrs() []flow.Addr {
	var out []flow.Addr
	for i := range c.len {
		if n, wide := c.find(i); wide {
			r := c.wide.at(n)
			for _, a := range [...]flow.Addr{r.local, r.remote} {
				if !a.Is4() {
					out = append(out, a)
				}
			}
		}
	}
	runtime.KeepAlive(c)
	slices.SortFunc(out, flow.Addr.Compare)
	return slices.Compact(out)
}
