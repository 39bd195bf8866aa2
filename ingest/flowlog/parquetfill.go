package flowlog

import (
	"encoding/binary"
	"math"

	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// parseDictionary parses each value of the dictionary once, and null.
func (c *parquetColumn) parseDictionary() {
	c.codes = []uint32{} // values are those of the dictionary
	n, p := c.pages.dict.len(), &c.parsed
	if c.field == InterfaceID {
		p.iface = resized(p.iface, n+1)
		p.naming = 0
		return
	}
	p.class, p.plain = resized(p.class, n+1), true
	place := func(i int) int { // of null, -1
		if i == n {
			return -1
		}
		return i
	}
	switch c.field {
	case SrcAddr, DstAddr, PktSrcAddr, PktDstAddr:
		p.addr = resized(p.addr, n+1)
		for i := range p.addr {
			p.addr[i] = c.parseAddr(place(i))
			p.class[i] = c.field.ofAddr(p.addr[i])
		}
	default:
		p.num = resized(p.num, n+1)
		for i := range p.num {
			p.num[i] = c.parseNumber(place(i))
			p.class[i] = c.field.ofNumber(p.num[i])
		}
	}
	for _, class := range p.class[:n] {
		p.plain = p.plain && class == anyFamily
	}
}

// known returns how many of the parsed values the run may refer to: null only if it has
// some, so that what a damaged file refers to beyond the dictionary is not taken for it.
func (c *parquetColumn) known() int {
	n := c.pages.dict.len()
	if len(c.nulls) > 0 {
		n++
	}
	return n
}

// addresses fills out with the addresses of the run, and leaves to each row in of the families
// that its address lets be.
func (c *parquetColumn) addresses(out []flow.Addr, of []families) {
	of = of[:len(out)]
	if c.codes == nil {
		for i := range out {
			out[i] = c.parseAddr(c.place(i))
			of[i] &= c.field.ofAddr(out[i])
		}
		return
	}
	addr, class := c.parsed.addr[:c.known()], c.parsed.class[:c.known()]
	codes := c.codes[:len(out)]
	for i, code := range codes {
		out[i] = addr[code]
		of[i] &= class[code]
	}
}

// judge does what numbers does, for a column that no batch has.
func (c *parquetColumn) judge(of []families) {
	switch {
	case c.codes == nil:
		for i := range of {
			of[i] &= c.field.ofNumber(c.parseNumber(c.place(i)))
		}
	case !c.same:
		class := c.parsed.class[:c.known()]
		for i, code := range c.codes[:len(of)] {
			of[i] &= class[code]
		}
	default:
		if class := c.parsed.class[:c.known()][c.codes[0]]; class != anyFamily {
			for i := range of {
				of[i] &= class
			}
		}
	}
}

// numbers fills out with the numbers or words of the run, and leaves to each row in of
// the families that its value lets be.
func numbers[T ~uint8 | ~uint16 | ~uint64 | ~int64](c *parquetColumn, out []T, of []families) {
	of = of[:len(out)]
	switch {
	case c.codes != nil:
		coded(c, out, of)
	case plain(c, out[:c.there]):
		if len(c.nulls) == 0 {
			break
		}
		absent := absentNumber(c.field)
		spread(c, out, T(absent))
		if absent != odd {
			break
		}
		for _, row := range c.nulls {
			of[int(row)-c.row] = 0
		}
	default:
		for i := range out {
			n := c.parseNumber(c.place(i))
			out[i] = T(n)
			of[i] &= c.field.ofNumber(n)
		}
	}
}

// coded is numbers for references to the dictionary.
func coded[T ~uint8 | ~uint16 | ~uint64 | ~int64](c *parquetColumn, out []T, of []families) {
	num, class := c.parsed.num[:c.known()], c.parsed.class[:c.known()]
	codes := c.codes[:len(out)]
	if c.same {
		n := T(num[codes[0]])
		for i := range out {
			out[i] = n
		}
		c.judge(of)
		return
	}
	if c.parsed.plain && len(c.nulls) == 0 {
		for i, code := range codes {
			out[i] = T(num[code])
		}
		return
	}
	for i, code := range codes {
		out[i] = T(num[code])
		of[i] &= class[code]
	}
}

// plain fills out with the numbers of the run that are not null, if they are signed
// integers that the batch holds as they are, and reports whether they are.
func plain[T ~uint8 | ~uint16 | ~uint64 | ~int64](c *parquetColumn, out []T) bool {
	if c.unsigned || c.unit != 1 {
		return false
	}
	var most uint64
	switch c.field {
	case SrcPort, DstPort:
		most = math.MaxUint16
	case Protocol:
		most = math.MaxUint8
	case Packets, Bytes:
		most = math.MaxInt64
	case Start, End:
		most = maxTime
	default:
		return false
	}
	bad := uint64(0) // its highest bit, once a number is negative or more
	switch c.kind {
	case parquet.Int32:
		b := c.pages.values.fixed[4*c.value:][:4*len(out)]
		for i := range out {
			n := uint64(int32(binary.LittleEndian.Uint32(b[4*i:])))
			bad |= n | (most - n)
			out[i] = T(n)
		}
	case parquet.Int64:
		b := c.pages.values.fixed[8*c.value:][:8*len(out)]
		for i := range out {
			n := binary.LittleEndian.Uint64(b[8*i:])
			bad |= n | (most - n)
			out[i] = T(n)
		}
	default:
		return false
	}
	return bad>>63 == 0
}

// names fills out with the indices of the interfaces of the run in the current batch, where
// of leaves the row a family.
func (c *parquetColumn) names(out []uint32, of []families, columns *columns) {
	of = of[:len(out)]
	if c.codes == nil || c.kind != parquet.ByteArray {
		for i := range out {
			if of[i] != 0 {
				c.text = c.appendText(c.text[:0], i)
				out[i] = columns.iface(ifaceName(c.text))
			}
		}
		return
	}
	p := &c.parsed
	if p.naming != columns.naming {
		p.naming = columns.naming
		for i := range p.iface {
			p.iface[i] = notYet
		}
	}
	known := p.iface[:c.known()]
	for i, code := range c.codes[:len(out)] {
		at := known[code]
		if at == notYet && of[i] != 0 {
			var name []byte
			if int(code) < c.pages.dict.len() {
				name = c.pages.dict.bytes(int(code))
			}
			at = columns.iface(ifaceName(name))
			known[code] = at
		}
		out[i] = at
	}
}
