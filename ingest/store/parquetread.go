package store

import (
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// groupReader reads row groups of segment files, a column after the other.
type groupReader struct {
	rows  []Kept
	names []string

	ids   map[string]uint32
	addrs map[string]flow.Addr
	codes []uint32
	parse []flow.Addr
}

// read sets rows and names to those of g.
func (r *groupReader) read(g parquet.RowGroup, day int32) error {
	n := int(g.NumRows())
	r.rows = slices.Grow(r.rows[:0], n)[:n]
	clear(r.rows)
	r.names, r.ids = nil, make(map[string]uint32)
	if r.addrs == nil || len(r.addrs) > 1<<20 {
		r.addrs = make(map[string]flow.Addr)
	}
	for col, chunk := range g.ColumnChunks() {
		if err := r.column(col, chunk); err != nil {
			return fmt.Errorf("column %s: %w", fileColumns[col], err)
		}
	}
	for i := range r.rows {
		k := &r.rows[i]
		switch k.Client {
		case LocalClient:
			k.PortLo = k.LocalPort
		case RemoteClient:
			k.PortLo = k.RemotePort
		}
		if k.Client != NoClient && k.PortBits == 0 {
			k.PortBits = bitsOf(k.PortLo, k.PortHi)
		}
		if day != OddDay {
			k.Days = 1 << (day & 63)
		}
	}
	return nil
}

// column reads a column into the rows.
func (r *groupReader) column(col int, chunk parquet.ColumnChunk) error {
	pages := chunk.Pages()
	defer pages.Close()
	at := 0
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			if at != len(r.rows) {
				return fmt.Errorf("has %d rows of %d", at, len(r.rows))
			}
			return nil
		}
		if err != nil {
			return err
		}
		n := int(page.NumRows())
		if n > len(r.rows)-at {
			return fmt.Errorf("has more than %d rows", len(r.rows))
		}
		err = r.page(col, page, r.rows[at:at+n])
		parquet.Release(page)
		if err != nil {
			return err
		}
		at += n
	}
}

// page reads a page into rows, which are as many.
func (r *groupReader) page(col int, page parquet.Page, rows []Kept) error {
	data := page.Data()
	var codes []int32
	if dict := page.Dictionary(); dict != nil {
		codes = data.Int32()
		values := dict.Page()
		data = values.Data()
	}
	switch col {
	case colInterface, colDirection, colAction, colClass, colClient:
		return r.words(col, texts(data.ByteArray()), codes, rows)
	case colLocal, colRemote, colSrc, colDst:
		return r.addresses(col, texts(data.ByteArray()), codes, rows)
	case colProtocol, colLocalPort, colRemotePort, colPortHi, colFlags:
		v := data.Uint32()
		if codes != nil {
			v = looked(v, codes)
		}
		return small(col, v, rows)
	case colOver:
		for i := range rows {
			rows[i].Over = data.Boolean()[i/8]>>(i%8)&1 != 0
		}
	case colFirst, colLast:
		v := data.Int64()
		for i := range rows {
			if col == colFirst {
				rows[i].First = v[i]
			} else {
				rows[i].Last = v[i]
			}
		}
	default:
		v := data.Uint64()
		if codes != nil {
			v = looked(v, codes)
		}
		return large(col, v, rows)
	}
	return nil
}

// text is the values of a page or dictionary of strings.
type text struct {
	data []byte
	offs []uint32
}

func texts(data []byte, offs []uint32) text { return text{data, offs} }

func (t text) len() int        { return max(0, len(t.offs)-1) }
func (t text) at(i int) []byte { return t.data[t.offs[i]:t.offs[i+1]] }

// looked returns the values that the codes stand for.
func looked[T any](values []T, codes []int32) []T {
	out := make([]T, len(codes))
	for i, c := range codes {
		out[i] = values[c]
	}
	return out
}

// words reads a column of names or of words of a fixed set.
func (r *groupReader) words(col int, t text, codes []int32, rows []Kept) error {
	r.codes = r.codes[:0]
	for i := range t.len() {
		n, err := r.word(col, t.at(i))
		if err != nil {
			return err
		}
		r.codes = append(r.codes, n)
	}
	for i := range rows {
		n := i
		if codes != nil {
			n = int(codes[i])
		}
		v, k := r.codes[n], &rows[i]
		switch col {
		case colInterface:
			k.Interface = v
		case colDirection:
			k.Side = flow.Direction(v)
		case colAction:
			k.Action = flow.Action(v)
		case colClass:
			k.Class = flow.FlagClass(v)
		default:
			k.Client = ClientSide(v)
		}
	}
	return nil
}

// word returns the number of a word in its column.
func (r *groupReader) word(col int, b []byte) (uint32, error) {
	set := wordsOf[col]
	if set == nil {
		n, ok := r.ids[string(b)]
		if !ok {
			n = uint32(len(r.names))
			r.names = append(r.names, string(b))
			r.ids[r.names[n]] = n
		}
		return n, nil
	}
	n := slices.Index(set, string(b))
	if n < 0 {
		return 0, fmt.Errorf("%q is not one of %q", b, set)
	}
	return uint32(n), nil
}

// addresses reads a column of addresses.
func (r *groupReader) addresses(col int, t text, codes []int32, rows []Kept) error {
	r.parse = r.parse[:0]
	for i := range t.len() {
		a, err := r.address(t.at(i))
		if err != nil {
			return err
		}
		r.parse = append(r.parse, a)
	}
	for i := range rows {
		n := i
		if codes != nil {
			n = int(codes[i])
		}
		v, k := r.parse[n], &rows[i]
		switch col {
		case colLocal:
			k.Local = v
		case colRemote:
			k.Remote = v
		case colSrc:
			k.Src = v
		default:
			k.Dst = v
		}
	}
	return nil
}

func (r *groupReader) address(b []byte) (flow.Addr, error) {
	if len(b) == 0 {
		return flow.Addr{}, nil
	}
	a, ok := r.addrs[string(b)]
	if !ok {
		parsed, err := netip.ParseAddr(string(b))
		if err != nil {
			return a, err
		}
		a = flow.AddrFrom(parsed)
		r.addrs[string(b)] = a
	}
	return a, nil
}

// small reads a column of numbers below 65,536.
func small(col int, v []uint32, rows []Kept) error {
	for i := range rows {
		k, n := &rows[i], v[i]
		if n > 1<<16-1 || col == colProtocol && n > 1<<8-1 {
			return fmt.Errorf("%d is too large", n)
		}
		switch col {
		case colProtocol:
			k.Proto = flow.Proto(n)
		case colLocalPort:
			k.LocalPort = uint16(n)
		case colRemotePort:
			k.RemotePort = uint16(n)
		case colPortHi:
			k.PortHi = uint16(n)
		default:
			k.Flags = flow.TCPFlags(n)
		}
	}
	return nil
}

// large reads a column of numbers of any size.
func large(col int, v []uint64, rows []Kept) error {
	for i := range rows {
		k, n := &rows[i], v[i]
		switch col {
		case colPortBits:
			k.PortBits = n
		case colRecords:
			k.Records = n
		case colPackets:
			k.Packets = n
		case colBytes:
			k.Bytes = n
		default:
			k.Days = n
		}
	}
	return nil
}
