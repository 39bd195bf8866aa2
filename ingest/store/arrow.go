package store

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
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
// and with its fields as columns. Nothing is copied but the interface names: the
// columns are those of c and must not be written to. Where no interface has more than
// one era, both columns of eras are one run of zeros.
//
// The interface is a dictionary over [Connections.Interfaces]. An address is the
// 32-bit value of an IPv4 address, or an index into [Connections.Wide] where
// family has a bit for it: 1 for remote, 2 for local. No value is null.
//
// The caller releases the record once. As the memory belongs to Go's collector,
// c outlives the record and the record outlives c.
func (c *Connections) Record() arrow.Record {
	k := &c.columns
	n := c.Len()
	eraLo, eraHi := k.eraLo, k.eraHi
	if eraLo == nil {
		eraLo = make([]uint32, n)
		eraHi = eraLo
	}
	data := []*array.Data{
		c.interfaceData(),
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
		column(arrow.PrimitiveTypes.Uint32, n, arrow.Uint32Traits.CastToBytes(eraLo)),
		column(arrow.PrimitiveTypes.Uint32, n, arrow.Uint32Traits.CastToBytes(eraHi)),
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
	data := column(wideType, len(c.columns.wide)/16, c.columns.wide)
	defer data.Release()
	return array.NewFixedSizeBinaryData(data)
}

// column wraps values as the data of a column of n values, none of them null.
func column(t arrow.DataType, n int, values []byte) *array.Data {
	return array.NewData(t, n, []*memory.Buffer{nil, memory.NewBufferBytes(values)}, nil, 0, 0)
}

func (c *Connections) interfaceData() *array.Data {
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
		nil, memory.NewBufferBytes(arrow.Uint32Traits.CastToBytes(c.columns.iface)),
	}, 0, 0, names)
}
