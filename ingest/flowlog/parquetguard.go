package flowlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

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

// checkPages checks the headers of all pages of a column chunk.
func checkPages(r io.ReaderAt, size int64, m *format.ColumnMetaData) error {
	at := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		at = m.DictionaryPageOffset
	}
	end := at + m.TotalCompressedSize
	if at < 0 || m.TotalCompressedSize < 0 || end < at || end > size {
		return errors.New("it lies outside the file")
	}
	buf := make([]byte, 1<<9)
	for at < end {
		n := min(int64(len(buf)), end-at)
		if err := readFull(r, buf[:n], at); err != nil {
			return err
		}
		w := thriftWalk{data: buf[:n]}
		if !w.structure(0, 0) {
			if !w.short || n == end-at {
				return errHeader
			}
			buf = make([]byte, 2*len(buf)) // statistics may be long
			if len(buf) > 1<<26 {
				return errHeader
			}
			continue
		}
		at += int64(w.off)
		switch {
		case w.compressed < 0 || w.compressed > end-at:
			return fmt.Errorf("%w: a page goes beyond its column", errHeader)
		case w.uncompressed < 0 || w.uncompressed > maxPageBytes:
			return fmt.Errorf("%w: a page of %d bytes", errHeader, w.uncompressed)
		case w.values < 0 || w.values > maxPageValues:
			return fmt.Errorf("%w: a page of %d values", errHeader, w.values)
		}
		at += w.compressed
	}
	return nil
}

// thriftWalk walks a structure in Thrift's compact protocol without building it. It
// checks that lists and strings fit into the data that is left, and picks up the
// sizes of a page header.
type thriftWalk struct {
	data  []byte
	off   int
	short bool // the data ended too early

	uncompressed, compressed int64 // page_header: fields 2 and 3
	values                   int64 // the greatest num_values: field 1 of fields 5, 7 and 8
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

// structure walks one structure, found in field parent of another at the given depth.
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
			switch {
			case depth == 0 && id == 2:
				w.uncompressed = v
			case depth == 0 && id == 3:
				w.compressed = v
			case depth == 1 && id == 1 && (parent == 5 || parent == 7 || parent == 8):
				w.values = v
			}
			continue
		}
		if kind == thriftTrue || kind == thriftFalse {
			continue // the value is in the type
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
