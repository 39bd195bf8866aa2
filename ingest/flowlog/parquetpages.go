package flowlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/sgadvise/sgadvise/ingest/inflate"
)

// The library makes a page of several objects and buffers, reads through a buffer, and
// inflates at half the speed that is possible. Here pages are taken apart in place, and
// only the encodings that few writers use are the library's. The tests hold what comes
// out to what its pages hold.

var (
	errFewValues = errors.New("a page has fewer values than it says")
	errExpands   = errors.New("a page is damaged: it decompresses to more than it says")
)

// pageReader reads the pages of a column chunk of numbers or text, in their order.
type pageReader struct {
	kind     parquet.Kind
	nullable bool
	unpack   *unpacker

	r       io.ReaderAt
	at, end int64 // where the next page begins in r, and the chunk ends
	codec   format.CompressionCodec
	ahead   []byte // what was read of r from at on; a part of next
	next    []byte

	// The page at hand.
	rows   int
	nulls  []int32 // the rows that are null, in their order
	coded  bool    // its values are references to the dictionary
	codes  hybrid  // those
	values parquetValues
	body   []byte // memory of the page

	dict     parquetValues
	dictBody []byte
	hasDict  bool
	newDict  bool // since dictionary was last asked

	// Of a column that may repeat another one, which is read first; see parquettwin.go.
	like     *pageReader
	repeats  bool // the page is the one that like is at, and is not decoded
	dictLike bool // the dictionary is that of like, and is not decoded

	// As they stand in the file, with keep until they are overwritten.
	keep             bool
	page, dictionary storedPage
}

// unpacker decompresses the pages of several columns, one after the other.
type unpacker struct {
	gzip   inflate.Memory
	stored []byte
}

// open begins with the chunk of a column in another row group of the file, of the given
// size, that r holds.
func (p *pageReader) open(r io.ReaderAt, size int64, m *format.ColumnMetaData) error {
	p.r, p.at, p.codec, p.ahead = r, m.DataPageOffset, m.Codec, nil
	if m.DictionaryPageOffset != 0 {
		p.at = m.DictionaryPageOffset
	}
	p.end = p.at + m.TotalCompressedSize
	p.rows, p.hasDict, p.newDict, p.dictLike = 0, false, false, false
	p.page.body, p.dictionary.body = nil, nil
	if p.at < 0 || m.TotalCompressedSize < 0 || p.end < p.at || p.end > size {
		p.end = p.at
		return errors.New("it lies outside the file")
	}
	return nil
}

// load reads the next page of rows, and a dictionary before it. It returns io.EOF after
// the last. What was taken from the page before is overwritten. aligned says that the rows
// of like's page are the same ones if they are as many.
func (p *pageReader) load(aligned bool) error {
	p.rows, p.nulls, p.coded, p.repeats, p.page.body = 0, p.nulls[:0], false, false, nil
	for p.at < p.end {
		h, err := p.header()
		if err != nil {
			return err
		}
		if h.kind != format.DictionaryPage {
			if aligned {
				if p.repeats, err = p.repeated(&h); err != nil || p.repeats {
					return err
				}
			}
			p.ownDictionary()
			return p.data(&h)
		}
		if p.hasDict {
			p.skip(h.compressed)
			continue
		}
		if err := p.readDictionary(&h); err != nil {
			return err
		}
	}
	return io.EOF
}

const (
	// plainDictionary is what older writers call the encodings of a dictionary, which is
	// plain, and of the references to it, which is RLEDictionary.
	plainDictionary format.Encoding = 2

	headerSize  = 1 << 9 // bytes read of a page header at first; statistics may be long
	maxHeader   = 1 << 26
	unpackSlack = 64 // packed bits, and what is decompressed, may be looked at beyond their end
)

// header reads a page header and steps over it.
func (p *pageReader) header() (pageHeader, error) {
	for size := headerSize; ; size *= 2 {
		if err := p.look(size); err != nil {
			return pageHeader{}, err
		}
		w := thriftWalk{data: p.ahead}
		if !w.structure(0, 0) {
			if !w.short || int64(len(p.ahead)) == p.end-p.at || size >= maxHeader {
				return pageHeader{}, errHeader
			}
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

// look makes ahead that many bytes long, or as long as the rest of the chunk.
func (p *pageReader) look(n int) error {
	n = int(min(int64(n), p.end-p.at))
	if len(p.ahead) >= n {
		return nil
	}
	if cap(p.next) < n {
		next := make([]byte, n)
		copy(next, p.ahead)
		p.next = next
	} else {
		p.next = p.next[:n]
		copy(p.next, p.ahead)
	}
	if err := readFull(p.r, p.next[len(p.ahead):], p.at+int64(len(p.ahead))); err != nil {
		return err
	}
	p.ahead = p.next
	return nil
}

func (p *pageReader) skip(n int) {
	p.ahead = p.ahead[min(n, len(p.ahead)):]
	p.at += int64(n)
}

// read reads the n bytes of a page to buf[from:], and beyond them what may be the header of the
// next page, to save a call. It returns buf, which may have moved, as long as the page
// reaches; there is slack behind that.
func (p *pageReader) read(buf []byte, from, n int) ([]byte, error) {
	known := p.ahead[:min(n, len(p.ahead))]
	more := 0
	if len(known) < n {
		more = int(min(headerSize, p.end-p.at-int64(n)))
	}
	buf = resized(buf, from+n+max(more, unpackSlack))
	copy(buf[from:], known)
	if err := readFull(p.r, buf[from+len(known):from+n+more], p.at+int64(len(known))); err != nil {
		return buf, err
	}
	p.skip(n)
	if more > 0 {
		p.next = append(p.next[:0], buf[from+n:from+n+more]...)
		p.ahead = p.next
	}
	return buf[:from+n], nil
}

// resized returns a slice of n values in the memory of s, if that is enough. What they are
// is undefined. There is room for some more, for pages of a column have nearly one size.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/8)
	}
	return s[:n]
}

// storedPage is a page as it stands in the file.
type storedPage struct {
	header pageHeader
	body   []byte // nil: not kept
	memory []byte
}

// fetch reads a page and decompresses what comes after the first plain bytes of it, in
// the memory of buf. It returns that memory, and the two parts, which hold until the next call.
func (p *pageReader) fetch(buf []byte, h *pageHeader, kept *storedPage, plain int, compressed bool) (memory, first, rest []byte, err error) {
	codec := p.codec
	if !compressed {
		codec = format.Uncompressed
	}
	var stored []byte
	room := 0 // before what is stored, for what it decompresses to
	switch codec {
	case format.Uncompressed, format.Snappy:
		if codec == format.Snappy {
			if h.uncompressed > maxSnappy*h.compressed {
				return buf, nil, nil, decompressing(errSnappy)
			}
			room = h.uncompressed + unpackSlack
		}
		buf, err = p.read(buf, room, h.compressed)
		stored = buf[min(room, len(buf)):]
	default:
		memory := &p.unpack.stored
		if p.keep {
			memory = &kept.memory
		}
		*memory, err = p.read(*memory, 0, h.compressed)
		stored = *memory
	}
	if err == nil {
		err = h.check(stored)
	}
	if err != nil {
		return buf, nil, nil, err
	}
	if p.keep {
		kept.header, kept.body = *h, stored
	}
	first, rest = stored[:plain:plain], stored[plain:]
	switch codec {
	case format.Uncompressed:
	case format.Snappy:
		rest, err = unsnappy(buf, room+plain, h.uncompressed)
		err = decompressing(err)
	default:
		buf, err = p.unpack.decompress(codec, buf[:0], rest, h.uncompressed)
		rest = buf
	}
	return buf, first, rest, err
}

// check checks the checksum of a page, if it has one.
func (h *pageHeader) check(stored []byte) error {
	if h.checksum != 0 && h.checksum != crc32.ChecksumIEEE(stored) {
		return errors.New("a page is damaged: its checksum differs")
	}
	return nil
}

// readDictionary reads the dictionary of the chunk.
func (p *pageReader) readDictionary(h *pageHeader) (err error) {
	if p.dictLike, err = p.repeatedDictionary(h); err != nil || p.dictLike {
		p.hasDict = p.dictLike
		return err
	}
	var body []byte
	if p.dictBody, _, body, err = p.fetch(p.dictBody, h, &p.dictionary, 0, true); err != nil {
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
func (p *pageReader) data(h *pageHeader) (err error) {
	var levels, body []byte
	if h.kind == format.DataPageV2 {
		n := h.repetition + h.definition
		compressed := !h.stored && h.compressed > n // some writers leave nothing of no values
		p.body, levels, body, err = p.fetch(p.body, h, &p.page, n, compressed)
		if err != nil {
			return err
		}
		levels = levels[h.repetition:]
	} else if p.body, _, body, err = p.fetch(p.body, h, &p.page, 0, true); err != nil {
		return err
	}
	if p.nullable && h.kind == format.DataPage {
		if len(body) < 4 || int64(binary.LittleEndian.Uint32(body)) > int64(len(body)-4) {
			return errFewValues
		}
		n := 4 + int(binary.LittleEndian.Uint32(body))
		levels, body = body[4:n], body[n:]
	}
	if p.nullable {
		if h.levels != format.RLE {
			return fmt.Errorf("definition levels in the encoding %s are not read", h.levels)
		}
		if p.nulls, err = appendNulls(p.nulls, levels, h.values); err != nil {
			return err
		}
	}
	if err := p.decode(h, body, h.values-len(p.nulls)); err != nil {
		return err
	}
	p.rows = h.values
	return nil
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
	p.coded = true
	if len(body) == 0 {
		body = []byte{0} // some writers leave nothing of no values
	}
	return p.codes.open(body[1:], uint(body[0]), need)
}

// decompress appends what a page of at most that many bytes was before it was compressed.
func (u *unpacker) decompress(codec format.CompressionCodec, dst, stored []byte, most int) ([]byte, error) {
	var err error
	if codec == format.Gzip {
		dst, err = u.gzip.Append(dst, stored, most)
	} else {
		dst = slices.Grow(dst, min(most, maxBelieved)+unpackSlack)
		dst, err = parquet.LookupCompressionCodec(codec).Decode(dst, stored)
	}
	if err == nil && len(dst) > most {
		err = errExpands
	}
	return slices.Grow(dst, unpackSlack), decompressing(err)
}

// maxBelieved is for how many bytes memory is had before they are seen.
const maxBelieved = 8 << 20

// decompressing says where an error comes from.
func decompressing(err error) error {
	switch err {
	case nil, errExpands:
		return err
	case inflate.ErrTooLong:
		return errExpands
	}
	return fmt.Errorf("decompressing a page: %w", err)
}
