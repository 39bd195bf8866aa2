package flowlog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

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

	twin  *parquetColumn // nil, or the column whose pages it may repeat
	pages pageReader
	row   int // the first of the run in the page
	value int // position of its value, which differs from row where there are nulls
	null  int // how many of the nulls of the page come before it

	// Of the run.
	nulls []int32  // as in pages: the rows of the page that are null
	there int      // rows that are not null
	codes []uint32 // of each row the place in the dictionary, one beyond it for null; nil if pages has values
	same  bool     // all codes are
	room  []uint32 // memory for codes
	text  []byte   // memory for one value

	parsed parsedValues // of the dictionary
}

// parsedValues are what the values of a dictionary are to a batch, and after them what null is.
type parsedValues struct {
	num    []uint64    // of numbers and words
	addr   []flow.Addr // of addresses
	iface  []uint32    // of names: the index in the batches of a naming, notYet if that was not asked for
	naming uint32

	class []families // of each value
	plain bool       // all are anyFamily
}

// notYet is no index of an interface.
const notYet = math.MaxUint32

// families say of which families of addresses a row may be, as far as one of its values goes.
// A row that is left with none is not plain.
type families uint8

const (
	family4 families = 1 << iota
	family6
	anyFamily = family4 | family6
)

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
		c.row, c.value, c.null = 0, 0, 0
		if err := c.pages.load(c.twin != nil && c.twin.row == 0); err != nil {
			return 0, err
		}
		if c.pages.coded && c.pages.newDict {
			c.pages.newDict = false
			c.parseDictionary()
		}
	}
	return c.pages.rows - c.row, nil
}

// values are those that codes are places of, or else those of the page.
func (c *parquetColumn) values() *parquetValues {
	if c.pages.repeats {
		return c.twin.values()
	}
	if c.codes != nil {
		return &c.pages.dict
	}
	return &c.pages.values
}

// begin makes the next n rows the run at hand.
func (c *parquetColumn) begin(n int) error {
	rest := c.pages.nulls[c.null:]
	nulls, _ := slices.BinarySearch(rest, int32(c.row+n))
	c.nulls, c.there, c.codes = rest[:nulls], n-nulls, nil
	if !c.pages.coded {
		return nil
	}
	c.room = resized(c.room, n)
	c.codes = c.room
	c.same = c.pages.codes.read(c.codes[:c.there])
	if nulls > 0 {
		c.same = false
		null := uint32(c.pages.dict.len())
		for _, code := range c.codes[:c.there] {
			if code >= null {
				return c.beyond(int(code))
			}
		}
		spread(c, c.codes, null)
	}
	return nil
}

// end steps over the n rows of the run.
func (c *parquetColumn) end(n int) {
	c.row += n
	c.value += c.there
	c.null += len(c.nulls)
}

// spread moves the values of the run, which stand at the beginning of out, to their rows, and
// puts absent where there is null.
func spread[T any](c *parquetColumn, out []T, absent T) {
	from, end := c.there, len(out)
	for k := len(c.nulls) - 1; k >= 0; k-- {
		row := int(c.nulls[k]) - c.row
		n := end - row - 1
		copy(out[row+1:end], out[from-n:from])
		from -= n
		out[row] = absent
		end = row
	}
}

// place returns the position of the value of row i of the run in values, -1 if null.
func (c *parquetColumn) place(i int) int {
	if c.pages.repeats {
		return c.twin.place(i)
	}
	if c.codes != nil {
		if p := int(c.codes[i]); p != c.pages.dict.len() || c.there == len(c.codes) {
			return p
		}
		return -1
	}
	if len(c.nulls) == 0 {
		return c.value + i
	}
	before, null := slices.BinarySearch(c.nulls, int32(c.row+i))
	if null {
		return -1
	}
	return c.value + i - before
}

// check checks that the value of row i of the run is in the dictionary.
func (c *parquetColumn) check(i int) error {
	if p := c.place(i); p >= c.values().len() {
		return c.beyond(p)
	}
	return nil
}

// beyond says that a page refers to place p of the dictionary, which is shorter.
func (c *parquetColumn) beyond(p int) error {
	return fmt.Errorf("it refers to value %d of %d", p, c.values().len())
}

// endOf turns the end of the pages before the last row into an error.
func endOf(err error) error {
	if err == io.EOF {
		return errors.New("it has fewer rows than its row group")
	}
	return err
}
