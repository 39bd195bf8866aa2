package flowlog

import (
	"math"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// parseNumber returns the value at place p as the batch holds it, or odd.
func (c *parquetColumn) parseNumber(p int) uint64 {
	n := c.readNumber(p)
	if c.alibaba && c.field == TCPFlags && n != odd {
		return uint64(alibabaFlags(flow.TCPFlags(n)))
	}
	return n
}

func (c *parquetColumn) readNumber(p int) uint64 {
	if p < 0 {
		return absentNumber(c.field)
	}
	if c.kind == parquet.ByteArray {
		return wordOrNumber(c.field, c.alibaba, c.values().bytes(p))
	}
	n, negative, ok := c.integer(p)
	switch {
	case !ok && math.IsNaN(c.values().float(p)):
		return absentNumber(c.field)
	case !ok || negative:
		return odd
	}
	return plainNumber(c.field, n)
}

// integer returns the magnitude and sign of the number at place p, and false if it
// is not an integer.
func (c *parquetColumn) integer(p int) (n uint64, negative, ok bool) {
	var v int64
	switch {
	case c.kind == parquet.Double:
		f := c.values().float(p)
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 0, false, false
		}
		v = int64(f)
	case c.kind == parquet.Int32 && c.unsigned:
		return uint64(uint32(c.values().int(p))), false, true
	case c.unsigned:
		return uint64(c.values().int(p)), false, true
	default:
		v = c.values().int(p)
	}
	if v < 0 {
		return -uint64(v) / c.unit, true, true
	}
	return uint64(v) / c.unit, false, true
}

// parseAddr returns the address at place p: zero if missing, oddAddr if it needs a
// second look.
func (c *parquetColumn) parseAddr(p int) flow.Addr {
	if p < 0 {
		return flow.Addr{}
	}
	if c.kind != parquet.ByteArray {
		return oddAddr
	}
	a, kind := parseAddr(c.values().bytes(p))
	switch kind {
	case addr4, addr6:
		return a
	case addrMissing:
		return flow.Addr{}
	}
	return oddAddr
}

// ofNumber returns the families of rows with a number or word in field f.
func (f Field) ofNumber(n uint64) families {
	switch {
	case n == odd:
		return 0
	case f == Type && n == typeIPv4:
		return family4
	case f == Type && n == typeIPv6:
		return family6
	}
	return anyFamily
}

// ofAddr returns the families of rows with an address in field f.
func (f Field) ofAddr(a flow.Addr) families {
	switch {
	case a == oddAddr:
		return 0
	case a.Is4():
		return family4
	case a.IsValid():
		return family6
	case f == SrcAddr || f == DstAddr:
		return 0
	}
	return anyFamily
}

// absentNumber is what a batch holds where the value of f is missing, or odd if a
// flow needs it.
func absentNumber(f Field) uint64 {
	switch f {
	case Packets, Bytes, TCPFlags, Type, FlowDirection, LogStatus, Version, VSwitchID:
		return 0
	}
	return odd
}

// Words of the field type.
const (
	typeIPv4 = 4
	typeIPv6 = 6
)

// wordOrNumber reads the text of a field that is a word or a number.
func wordOrNumber(f Field, alibaba bool, b []byte) uint64 {
	switch f {
	case Version, VSwitchID: // nothing but signs that a row is not as it should be
		if f == Version && misplaced(b, nil) || f == VSwitchID && misplaced(nil, b) {
			return odd
		}
		return 0
	}
	if missing(b) {
		return absentNumber(f)
	}
	switch f {
	case Action:
		switch string(b) {
		case "ACCEPT":
			return uint64(flow.Accept)
		case "REJECT":
			return uint64(flow.Reject)
		}
		return odd
	case LogStatus:
		if string(b) == "OK" {
			return uint64(flow.StatusOK)
		}
		return odd
	case Type:
		switch string(b) {
		case "IPv4":
			return typeIPv4
		case "IPv6":
			return typeIPv6
		}
		return odd
	case FlowDirection:
		switch {
		case string(b) == "ingress", alibaba && string(b) == "in":
			return uint64(flow.Ingress)
		case string(b) == "egress", alibaba && string(b) == "out":
			return uint64(flow.Egress)
		}
		return odd
	}
	n, ok := parseUint(b)
	if !ok {
		return odd
	}
	return plainNumber(f, n)
}

// plainNumber brings the number n of field f to the form that a batch holds.
func plainNumber(f Field, n uint64) uint64 {
	most := uint64(math.MaxUint64)
	switch f {
	case Packets, Bytes:
	case Version:
		return 0
	case SrcPort, DstPort:
		most = math.MaxUint16
	case Protocol:
		most = math.MaxUint8
	case TCPFlags:
		if n > math.MaxUint8 {
			return odd
		}
		return n | uint64(flow.FlagsKnown)
	case Start, End:
		most = maxTime
		if n > maxTime {
			n /= 1000
		}
	default: // a word given as a number
		return odd
	}
	if n > most {
		return odd
	}
	return n
}

// appendText appends the value of row i of the run to b, as a line of text has it.
func (c *parquetColumn) appendText(b []byte, i int) []byte {
	p := c.place(i)
	if p < 0 {
		return b
	}
	if c.kind == parquet.ByteArray {
		return append(b, c.values().bytes(p)...)
	}
	n, negative, ok := c.integer(p)
	switch {
	case !ok && math.IsNaN(c.values().float(p)):
		return b
	case !ok:
		return strconv.AppendFloat(b, c.values().float(p), 'g', -1, 64)
	case negative:
		b = append(b, '-')
	}
	return strconv.AppendUint(b, n, 10)
}
