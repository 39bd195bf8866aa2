package flowlog

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// odd stands for a value that is not plain: it is missing where a flow needs it,
// breaks its rule, or takes a decision. A row with an odd value goes the slow way,
// through the reading that lines of text have. The value that happens to look like
// odd goes there too, and loses nothing but time.
const odd = math.MaxUint64

var oddAddr = flow.Addr{Hi: odd, Lo: odd}

// parquetColumn reads one column of a file: page after page, run after run of rows.
// The values of a dictionary are parsed once for each row group; a row then costs a
// look-up.
type parquetColumn struct {
	field    Field
	index    int // among the leaf columns of the file
	kind     parquet.Kind
	unsigned bool
	unit     uint64 // of timestamps: how many make a second; else 1
	alibaba  bool   // of a file in that dialect

	pages pageReader
	row   int // the first of the run in the page
	value int // position of its value, which differs from row where there are nulls

	// Of the page: def and codes as in pages, and vals are the values, those of the
	// dictionary if there are codes.
	def   []byte
	codes []int32
	vals  *parquetValues
	at    []int32  // of each row of the run: position in codes or vals, -1: null
	there int      // rows of the run that are not null
	dense []uint64 // scratch: the numbers of those

	// The parsed dictionary: of a column of numbers or words, of addresses, of interfaces.
	num   []uint64
	addr  []flow.Addr
	names []*interned // nil: not yet met
}

// newParquetColumn returns a reader for column c, which holds field f.
func newParquetColumn(c *parquet.Column, f Field) (parquetColumn, error) {
	t := c.Type()
	p := parquetColumn{field: f, index: c.Index(), kind: t.Kind(), unit: 1}
	p.pages.kind, p.pages.nullable = p.kind, c.MaxDefinitionLevel() > 0
	if c.MaxRepetitionLevel() > 0 || c.MaxDefinitionLevel() > 1 {
		return p, errors.New("is a list")
	}
	switch p.kind {
	case parquet.Int32, parquet.Int64, parquet.Double, parquet.ByteArray:
	default:
		return p, fmt.Errorf("has the type %s, not a number or text", p.kind)
	}
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *format.IntType:
			p.unsigned = !l.IsSigned
		case *format.TimestampType:
			switch l.Unit.Value.(type) {
			case *format.MilliSeconds:
				p.unit = 1e3
			case *format.MicroSeconds:
				p.unit = 1e6
			case *format.NanoSeconds:
				p.unit = 1e9
			}
			if f != Start && f != End {
				return p, errors.New("is a timestamp")
			}
		case *format.DecimalType, *format.DateType, *format.TimeType:
			return p, fmt.Errorf("has the type %s", l)
		}
	}
	return p, nil
}

// open starts to read the column in another row group.
func (c *parquetColumn) open(r io.ReaderAt, size int64, m *format.ColumnMetaData) error {
	c.row = 0
	return c.pages.open(r, size, m)
}

// load returns the number of rows left in the page, after fetching the next one if
// there are none. It returns io.EOF after the last.
func (c *parquetColumn) load() (int, error) {
	for c.row == c.pages.rows {
		c.row, c.value = 0, 0
		if err := c.pages.next(); err != nil {
			return 0, err
		}
		p := &c.pages
		c.def, c.codes, c.vals = p.def, p.codes, &p.values
		if c.codes == nil {
			continue
		}
		c.vals = &p.dict
		if p.newDict {
			p.newDict = false
			c.parseDictionary()
		}
	}
	return c.pages.rows - c.row, nil
}

// parseDictionary parses each value of the dictionary once.
func (c *parquetColumn) parseDictionary() {
	n := c.vals.len()
	switch c.field {
	case InterfaceID:
		c.names = resized(c.names, n)
		clear(c.names)
	case SrcAddr, DstAddr, PktSrcAddr, PktDstAddr:
		c.addr = resized(c.addr, n)
		for i := range c.addr {
			c.addr[i] = c.parseAddr(i)
		}
	default:
		c.num = resized(c.num, n)
		for i := range c.num {
			c.num[i] = c.parseNumber(i)
		}
	}
}

func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// locate finds the place of the value of each of the n rows of the run.
func (c *parquetColumn) locate(n int) {
	c.there = n
	if c.def == nil {
		return
	}
	c.at = resized(c.at, n)
	at := int32(c.value)
	for i, level := range c.def[c.row : c.row+n] {
		if level != 1 {
			c.at[i] = -1
			continue
		}
		c.at[i] = at
		at++
	}
	c.there = int(at) - c.value
}

// place returns the position of the value of row i of the run in vals, -1 if null.
func (c *parquetColumn) place(i int) int {
	p := c.value + i
	if c.def != nil {
		if p = int(c.at[i]); p < 0 {
			return -1
		}
	}
	if c.codes != nil {
		p = int(uint32(c.codes[p])) // a damaged file may have a negative code
	}
	return p
}

// advance steps over the n rows of the run.
func (c *parquetColumn) advance(n int) {
	c.value += c.there
	c.row += n
}

// numbers fills out with what the run holds of a column of numbers or words.
func (c *parquetColumn) numbers(out []uint64) {
	if c.def == nil {
		c.present(out)
		return
	}
	c.dense = resized(c.dense, c.there)
	c.present(c.dense)
	absent := absentNumber(c.field)
	for i, at := range c.at {
		if at < 0 {
			out[i] = absent
		} else {
			out[i] = c.dense[int(at)-c.value]
		}
	}
}

// present fills out with the numbers or words of the run that are not null.
func (c *parquetColumn) present(out []uint64) {
	lo, hi := c.value, c.value+len(out)
	switch {
	case c.codes != nil:
		for i, code := range c.codes[lo:hi] {
			out[i] = c.num[code]
		}
	case c.kind == parquet.Int32 && !c.unsigned && c.unit == 1:
		for i, v := range c.vals.i32[lo:hi] {
			out[i] = uint64(int64(v))
		}
		plainNumbers(c.field, out)
	case c.kind == parquet.Int64 && !c.unsigned && c.unit == 1:
		for i, v := range c.vals.i64[lo:hi] {
			out[i] = uint64(v)
		}
		plainNumbers(c.field, out)
	default:
		for i := range out {
			out[i] = c.parseNumber(lo + i)
		}
	}
}

// plainNumbers is plainNumber for signed numbers, all at once; what is negative
// becomes odd.
func plainNumbers(f Field, v []uint64) {
	most := uint64(math.MaxInt64)
	switch f {
	case SrcPort, DstPort:
		most = math.MaxUint16
	case Protocol:
		most = math.MaxUint8
	case Packets, Bytes:
	default:
		for i, n := range v {
			if v[i] = odd; int64(n) >= 0 {
				v[i] = plainNumber(f, n)
			}
		}
		return
	}
	for i, n := range v {
		if n > most {
			v[i] = odd
		}
	}
}

// addresses fills out with the addresses of the run.
func (c *parquetColumn) addresses(out []flow.Addr) {
	if c.def == nil && c.codes != nil {
		for i, code := range c.codes[c.value : c.value+len(out)] {
			out[i] = c.addr[code]
		}
		return
	}
	for i := range out {
		switch p := c.place(i); {
		case p < 0:
			out[i] = flow.Addr{}
		case c.codes != nil:
			out[i] = c.addr[p]
		default:
			out[i] = c.parseAddr(p)
		}
	}
}

// parseAddr returns the address at place p: zero if missing, oddAddr if it needs a
// second look.
func (c *parquetColumn) parseAddr(p int) flow.Addr {
	if c.kind != parquet.ByteArray {
		return oddAddr
	}
	a, kind := parseAddr(c.vals.bytes(p))
	switch kind {
	case addr4, addr6:
		return a
	case addrMissing:
		return flow.Addr{}
	}
	return oddAddr
}

// checkNames checks that the codes of the n rows of the run are in the dictionary,
// for name looks them up where a panic would not be caught.
func (c *parquetColumn) checkNames(n int) error {
	if c.codes == nil {
		return nil
	}
	for i := range n {
		if p := c.place(i); p >= c.vals.len() {
			return fmt.Errorf("it refers to value %d of %d", p, c.vals.len())
		}
	}
	return nil
}

// name returns the index of the interface of row i of the run in the current batch.
func (c *parquetColumn) name(i int, columns *columns) uint32 {
	p := c.place(i)
	if p < 0 || c.kind != parquet.ByteArray {
		return columns.iface(ifaceName(c.appendText(nil, i)))
	}
	if c.codes == nil {
		return columns.iface(ifaceName(c.vals.bytes(p)))
	}
	e := c.names[p]
	if e == nil {
		e = columns.intern(ifaceName(c.vals.bytes(p)))
		c.names[p] = e
	}
	return columns.index(e)
}

// endOf turns the end of the pages before the last row into an error.
func endOf(err error) error {
	if err == io.EOF {
		return errors.New("it has fewer rows than its row group")
	}
	return err
}
