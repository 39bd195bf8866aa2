package flowlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"

	"github.com/sgadvise/sgadvise/ingest/inflate"
)

// The library makes a page of several objects and buffers, reads through a buffer, and
// inflates at half the speed that is possible. Here pages are taken apart in place, and
// only the encodings are the library's. The tests hold what comes out to what its pages
// hold.

var (
	errFewValues = errors.New("a page has fewer values than it says")
	errExpands   = errors.New("a page is damaged: it decompresses to more than it says")
	levelRuns    = rle.Encoding{BitWidth: 1}
)

// pageReader reads the pages of a column chunk of numbers or text, in their order.
type pageReader struct {
	kind     parquet.Kind
	nullable bool
	unpack   *unpacker

	r       io.ReaderAt
	at, end int64 // where the next page begins in r, and the chunk ends
	codec   format.CompressionCodec
	ahead   []byte // what was read of r from at on; a part of buf
	buf     []byte

	// The page at hand.
	rows   int
	def    []byte        // definition levels, nil if no row is null
	codes  []int32       // of a dictionary page, else nil
	values parquetValues // unless codes is set

	dict    parquetValues
	hasDict bool
	newDict bool // since dictionary was last asked

	levels  []byte // memory for def
	numbers []int32
}

// unpacker decompresses the pages of several columns, one after the other.
type unpacker struct {
	gzip inflate.Memory
	buf  []byte
}

// open begins with the chunk of a column in another row group of the file, of the given
// size, that r holds.
func (p *pageReader) open(r io.ReaderAt, size int64, m *format.ColumnMetaData) error {
	p.r, p.at, p.codec, p.ahead = r, m.DataPageOffset, m.Codec, nil
	if m.DictionaryPageOffset != 0 {
		p.at = m.DictionaryPageOffset
	}
	p.end = p.at + m.TotalCompressedSize
	p.rows, p.hasDict, p.newDict = 0, false, false
	if p.at < 0 || m.TotalCompressedSize < 0 || p.end < p.at || p.end > size {
		p.end = p.at
		return errors.New("it lies outside the file")
	}
	return nil
}

// next reads the next page of rows, and a dictionary before it. It returns io.EOF after
// the last. What was taken from the page before is overwritten.
func (p *pageReader) next() error {
	p.rows, p.def, p.codes = 0, nil, nil
	for p.at < p.end {
		h, err := p.header()
		if err != nil {
			return err
		}
		body, err := p.peek(h.compressed)
		if err != nil {
			return err
		}
		body = body[:h.compressed:min(cap(body), h.compressed+unpackSlack)]
		p.skip(h.compressed)
		if h.checksum != 0 && h.checksum != crc32.ChecksumIEEE(body) {
			return errors.New("a page is damaged: its checksum differs")
		}
		if h.kind != format.DictionaryPage {
			return p.data(&h, body)
		}
		if p.hasDict {
			continue
		}
		if err := p.dictionary(&h, body); err != nil {
			return err
		}
	}
	return io.EOF
}

// header reads a page header and steps over it.
func (p *pageReader) header() (pageHeader, error) {
	for size := 1 << 9; ; size *= 2 { // statistics may be long
		n := int(min(int64(size), p.end-p.at))
		b, err := p.peek(n)
		if err != nil {
			return pageHeader{}, err
		}
		w := thriftWalk{data: b}
		if !w.structure(0, 0) {
			if !w.short || int64(len(b)) == p.end-p.at || size >= maxHeader {
				return pageHeader{}, errHeader
			}
			size = max(size, len(b))
			continue
		}
		p.skip(w.off)
		h, err := w.header()
		if err == nil && int64(h.compressed) > p.end-p.at {
			err = fmt.Errorf("%w: a page goes beyond its column", errHeader)
		}
		return h, err
	}
}

const (
	// plainDictionary is what older writers call the encodings of a dictionary, which is
	// plain, and of the references to it, which is RLEDictionary.
	plainDictionary format.Encoding = 2

	maxHeader   = 1 << 26
	unpackSlack = 64 // the decoder of packed bits may look beyond them
)

// peek returns what follows in the chunk: n bytes or more, and at least n are there.
func (p *pageReader) peek(n int) ([]byte, error) {
	if len(p.ahead) >= n {
		return p.ahead, nil
	}
	size := int(min(int64(max(n, readBuffer)), p.end-p.at))
	if cap(p.buf) < size {
		buf := make([]byte, size, size+unpackSlack)
		copy(buf, p.ahead)
		p.buf = buf
	} else {
		p.buf = p.buf[:size]
		copy(p.buf, p.ahead)
	}
	if err := readFull(p.r, p.buf[len(p.ahead):], p.at+int64(len(p.ahead))); err != nil {
		return nil, err
	}
	p.ahead = p.buf
	return p.ahead, nil
}

func (p *pageReader) skip(n int) {
	p.ahead = p.ahead[n:]
	p.at += int64(n)
}

// dictionary reads the dictionary of the chunk.
func (p *pageReader) dictionary(h *pageHeader, body []byte) error {
	body, err := p.unpack.decompress(p.codec, body, h.uncompressed)
	if err != nil {
		return err
	}
	encoding := h.encoding
	if encoding == plainDictionary {
		encoding = format.Plain
	}
	if err := p.dict.decode(p.kind, encoding, body); err != nil {
		return err
	}
	if p.dict.len() < h.values {
		return errFewValues
	}
	p.hasDict, p.newDict = true, true
	return nil
}

// data takes a data page apart.
func (p *pageReader) data(h *pageHeader, body []byte) error {
	var levels []byte
	var err error
	if h.kind == format.DataPageV2 {
		levels, body = body[h.repetition:h.repetition+h.definition], body[h.repetition+h.definition:]
		if !h.stored && len(body) > 0 { // some writers leave nothing of no values
			body, err = p.unpack.decompress(p.codec, body, h.uncompressed)
		}
	} else {
		body, err = p.unpack.decompress(p.codec, body, h.uncompressed)
	}
	if err != nil {
		return err
	}
	if p.nullable && h.kind == format.DataPage {
		if len(body) < 4 || int64(binary.LittleEndian.Uint32(body)) > int64(len(body)-4) {
			return errFewValues
		}
		n := 4 + int(binary.LittleEndian.Uint32(body))
		levels, body = body[4:n], body[n:]
	}
	need := h.values
	if p.nullable {
		nulls, err := p.definitions(h, levels)
		if err != nil {
			return err
		}
		need -= nulls
	}
	if err := p.decode(h, body, need); err != nil {
		return err
	}
	p.rows = h.values
	return nil
}

// definitions reads definition levels, and returns how many rows are null.
func (p *pageReader) definitions(h *pageHeader, levels []byte) (nulls int, err error) {
	if h.levels != format.RLE {
		return 0, fmt.Errorf("definition levels in the encoding %s are not read", h.levels)
	}
	if err := checkRuns(levels, 1, h.values); err != nil {
		return 0, err
	}
	if u, n := binary.Uvarint(levels); n == len(levels)-1 && u&1 == 0 && u>>1 >= uint64(h.values) && levels[n] == 1 {
		return 0, nil // one run: no row is null
	}
	p.levels = resized(p.levels, h.values)
	p.levels, err = levelRuns.DecodeLevels(p.levels, levels)
	if err != nil {
		return 0, err
	}
	if len(p.levels) < h.values {
		return 0, errFewValues
	}
	def := p.levels[:h.values]
	for _, level := range def {
		if level != 1 {
			nulls++
		}
	}
	if nulls > 0 {
		p.def = def
	}
	return nulls, nil
}

// decode decodes the values of a page, of which need must be there.
func (p *pageReader) decode(h *pageHeader, body []byte, need int) error {
	if h.encoding != plainDictionary && h.encoding != format.RLEDictionary {
		if need == 0 && len(body) == 0 {
			p.values.clear()
			return nil
		}
		if err := p.values.decode(p.kind, h.encoding, body); err != nil {
			return err
		}
		if p.values.len() < need {
			return errFewValues
		}
		return nil
	}
	if !p.hasDict {
		return errors.New("a page refers to a dictionary that is not there")
	}
	if len(body) > 0 {
		if err := checkRuns(body[1:], uint(body[0]), need); err != nil {
			return err
		}
	}
	var err error
	if p.numbers, err = parquet.RLEDictionary.DecodeInt32(p.numbers, body); err != nil {
		return err
	}
	if len(p.numbers) < need {
		return errFewValues
	}
	p.codes = p.numbers[:need:need]
	if p.codes == nil {
		p.codes = []int32{}
	}
	return nil
}

// decompress returns what a page of at most that many bytes was before it was compressed,
// which holds until the next call.
func (u *unpacker) decompress(codec format.CompressionCodec, stored []byte, most int) ([]byte, error) {
	var err error
	switch codec {
	case format.Uncompressed:
		return stored, nil
	case format.Gzip:
		u.buf, err = u.gzip.Append(u.buf[:0], stored, most)
	case format.Snappy:
		u.buf, err = unsnappy(u.buf, stored, most)
	default:
		u.buf = slices.Grow(u.buf[:0], min(most, maxBelieved)+unpackSlack)
		u.buf, err = parquet.LookupCompressionCodec(codec).Decode(u.buf[:0], stored)
	}
	switch {
	case err == inflate.ErrTooLong || err == errExpands || err == nil && len(u.buf) > most:
		return nil, errExpands
	case err != nil:
		return nil, fmt.Errorf("decompressing a page: %w", err)
	}
	return u.buf, nil
}

// maxBelieved is for how many bytes memory is had before they are seen.
const maxBelieved = 8 << 20

// parquetValues are the values of a page or dictionary; one of the slices is set.
type parquetValues struct {
	i32  []int32
	i64  []int64
	f64  []float64
	data []byte
	offs []uint32
}

func (v *parquetValues) clear() {
	v.i32, v.i64, v.f64, v.data, v.offs = v.i32[:0], v.i64[:0], v.f64[:0], v.data[:0], v.offs[:0]
}

// decode sets v to the values of the kind that are encoded in data, in the memory that
// v has.
func (v *parquetValues) decode(kind parquet.Kind, encoding format.Encoding, data []byte) (err error) {
	e := parquet.LookupEncoding(encoding)
	switch kind {
	case parquet.Int32:
		v.i32, err = e.DecodeInt32(v.i32[:0], data)
	case parquet.Int64:
		v.i64, err = e.DecodeInt64(v.i64[:0], data)
	case parquet.Double:
		v.f64, err = e.DecodeDouble(v.f64[:0], data)
	default:
		v.data, v.offs, err = e.DecodeByteArray(v.data[:0], data, v.offs[:0])
	}
	return err
}

func (v *parquetValues) len() int {
	return len(v.i32) + len(v.i64) + len(v.f64) + max(0, len(v.offs)-1)
}

func (v *parquetValues) bytes(p int) []byte { return v.data[v.offs[p]:v.offs[p+1]] }
