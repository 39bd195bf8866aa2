package flowlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go/format"
)

// The library allocates what the counts and sizes in a file claim. These checks walk
// the claims first, so that a damaged file cannot ask for more than it could hold.

// Bounds of what is believed. Writers cut pages at about 1 MiB and 20,000 rows; the
// bounds are far above what any is known to write.
const (
	maxFooter     = 256 << 20
	maxPageBytes  = 1 << 30
	maxPageValues = 1 << 24
)

var (
	errFooter = errors.New("the footer is damaged")
	errHeader = errors.New("a page header is damaged")
	errRuns   = errors.New("a page is damaged: it has more values than it says, or their end is missing")
)

// checkFooter checks the frame of a file and the structure of its footer.
func checkFooter(r io.ReaderAt, size int64) error {
	const magic = "PAR1"
	if size < int64(2*len(magic)+4) {
		return errors.New("not a complete Parquet file: too short")
	}
	var head [4]byte
	var tail [8]byte
	if err := readFull(r, head[:], 0); err != nil {
		return err
	}
	if err := readFull(r, tail[:], size-8); err != nil {
		return err
	}
	switch {
	case string(head[:]) == "PARE" || string(tail[4:]) == "PARE":
		return errors.New("encrypted Parquet is not read")
	case string(head[:]) != magic:
		return errors.New("not a Parquet file")
	case string(tail[4:]) != magic:
		return errors.New("not a complete Parquet file: its end is missing")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > size-12 || n > maxFooter {
		return fmt.Errorf("not a complete Parquet file: %w", errFooter)
	}
	footer := make([]byte, n)
	if err := readFull(r, footer, size-8-n); err != nil {
		return err
	}
	w := thriftWalk{data: footer}
	if !w.structure(0, 0) {
		return fmt.Errorf("not a complete Parquet file: %w", errFooter)
	}
	return nil
}

// readFull reads all of b at off.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// pageHeader is what the header of a page says.
type pageHeader struct {
	kind                     format.PageType
	compressed, uncompressed int
	checksum                 uint32 // 0: none
	values                   int
	encoding, levels         format.Encoding // of the values, and of the definition levels

	// Of data pages in their second form alone, where the levels come before what is compressed.
	repetition, definition int // bytes of them
	stored                 bool
}

// header returns what the header walked over says, if that can be.
func (w *thriftWalk) header() (h pageHeader, err error) {
	top := &w.fields[0]
	if !top.has(1, 2, 3) {
		return h, errHeader
	}
	h.kind, h.checksum = format.PageType(top.at[1]), uint32(top.at[4])
	h.compressed, h.uncompressed = int(top.at[3]), int(top.at[2])
	switch {
	case top.at[3] < 0 || top.at[3] > math.MaxInt32:
		return h, errHeader
	case top.at[2] < 0 || top.at[2] > maxPageBytes:
		return h, fmt.Errorf("%w: a page of %d bytes", errHeader, top.at[2])
	}
	var of *thriftFields
	switch h.kind {
	case format.DataPage:
		if of = &w.fields[5]; !of.has(1, 2, 3) {
			return h, errHeader
		}
		h.encoding, h.levels = format.Encoding(of.at[2]), format.Encoding(of.at[3])
	case format.DictionaryPage:
		if of = &w.fields[7]; !of.has(1, 2) {
			return h, errHeader
		}
		h.encoding = format.Encoding(of.at[2])
	case format.DataPageV2:
		if of = &w.fields[8]; !of.has(1, 4, 5, 6) {
			return h, errHeader
		}
		h.encoding, h.levels = format.Encoding(of.at[4]), format.RLE
		definition, repetition := of.at[5], of.at[6]
		if definition < 0 || repetition < 0 || definition > top.at[3] || repetition > top.at[3]-definition {
			return h, fmt.Errorf("%w: levels go beyond their page", errHeader)
		}
		h.definition, h.repetition = int(definition), int(repetition)
		h.stored = of.has(7) && of.at[7] == 0
	default:
		return h, fmt.Errorf("%w: a page of type %d", errHeader, top.at[1])
	}
	if of.at[1] < 0 || of.at[1] > maxPageValues {
		return h, fmt.Errorf("%w: a page of %d values", errHeader, of.at[1])
	}
	h.values = int(of.at[1])
	return h, nil
}

// thriftWalk walks a structure in Thrift's compact protocol without building it. It
// checks that lists and strings fit into the data that is left, and picks up the
// numbers in a page header.
type thriftWalk struct {
	data  []byte
	off   int
	short bool // the data ended too early

	// The numbers and truth values in fields 1 to 7 of a page header, at 0, and of the
	// structures in its fields 1 to 8.
	fields [9]thriftFields
}

// thriftFields are numbers in the fields of a structure.
type thriftFields struct {
	at   [8]int64
	seen uint8 // the bit of each field that is there
}

// has reports whether all fields with these numbers are there.
func (f *thriftFields) has(ids ...int) bool {
	for _, id := range ids {
		if f.seen>>id&1 == 0 {
			return false
		}
	}
	return true
}

// note notes the number in field id of a structure that is field parent of another.
func (w *thriftWalk) note(depth int, parent, id, v int64) {
	if depth == 0 {
		parent = 0
	} else if depth > 1 || parent < 1 || parent >= int64(len(w.fields)) {
		return
	}
	if f := &w.fields[parent]; id >= 1 && id < int64(len(f.at)) {
		f.at[id] = v
		f.seen |= 1 << id
	}
}

// Types of the compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// maxThriftDepth is above the depth of every structure that Parquet defines.
const maxThriftDepth = 16

// structure walks one structure, found in field parent of another, at the given depth.
func (w *thriftWalk) structure(depth int, parent int64) bool {
	if depth > maxThriftDepth {
		return false
	}
	id := int64(0)
	for {
		h, ok := w.byte()
		if !ok {
			return false
		}
		if h == 0 {
			return true
		}
		if delta := h >> 4; delta != 0 {
			id += int64(delta)
		} else if id, ok = w.integer(); !ok {
			return false
		}
		kind := h & 15
		if kind >= thriftByte+1 && kind <= thriftI64 {
			v, ok := w.integer()
			if !ok {
				return false
			}
			w.note(depth, parent, id, v)
			continue
		}
		if kind == thriftTrue || kind == thriftFalse {
			w.note(depth, parent, id, int64(thriftFalse-kind)) // the value is in the type
			continue
		}
		if !w.value(kind, depth, id) {
			return false
		}
	}
}

// value walks a value of the given type; id is the field it is in or under.
func (w *thriftWalk) value(kind byte, depth int, id int64) bool {
	switch kind {
	case thriftTrue, thriftFalse, thriftByte: // a byte each, in lists
		return w.skip(1)
	case thriftByte + 1, thriftByte + 2, thriftI64:
		_, ok := w.integer()
		return ok
	case thriftDouble:
		return w.skip(8)
	case thriftBinary:
		n, ok := w.uvarint()
		return ok && w.skip(n)
	case thriftList, thriftSet:
		h, ok := w.byte()
		if !ok {
			return false
		}
		n := uint64(h >> 4)
		if n == 15 {
			if n, ok = w.uvarint(); !ok {
				return false
			}
		}
		return w.items(n, depth, id, h&15)
	case thriftMap:
		n, ok := w.uvarint()
		if !ok || n == 0 {
			return ok
		}
		h, ok := w.byte()
		return ok && w.items(n, depth, id, h>>4, h&15)
	case thriftStruct:
		return w.structure(depth+1, id)
	}
	return false
}

// items walks n items, each of which has values of the given types.
func (w *thriftWalk) items(n uint64, depth int, id int64, kinds ...byte) bool {
	if n > uint64(len(w.data)-w.off) { // an item has a byte at least
		w.short = true
		return false
	}
	if depth++; depth > maxThriftDepth {
		return false
	}
	for range n {
		for _, kind := range kinds {
			if !w.value(kind, depth, id) {
				return false
			}
		}
	}
	return true
}

func (w *thriftWalk) byte() (byte, bool) {
	if w.off == len(w.data) {
		w.short = true
		return 0, false
	}
	w.off++
	return w.data[w.off-1], true
}

func (w *thriftWalk) skip(n uint64) bool {
	if n > uint64(len(w.data)-w.off) {
		w.short = true
		return false
	}
	w.off += int(n)
	return true
}

func (w *thriftWalk) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(w.data[w.off:])
	if n <= 0 {
		w.short = n == 0
		return 0, false
	}
	w.off += n
	return v, true
}

func (w *thriftWalk) integer() (int64, bool) {
	v, ok := w.uvarint()
	return int64(v>>1) ^ -int64(v&1), ok
}
