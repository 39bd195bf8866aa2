package store

import (
	"fmt"
	"io"
	"net/netip"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/plain"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// groupWriter writes row groups of segment files a column at a time: each column chunk is one
// page, after that of its dictionary if it has one. A writer of any rows would take four
// times as long, most of it for hashing values that are those of the row before.
type groupWriter struct {
	out    io.Writer
	offset int64
	groups []format.RowGroup
	rows   int64

	n     int // rows at hand
	words [numColumns][]int32
	nums  [numColumns][]int64
	over  []byte

	names, addrs [numColumns]dictionary
	small        [numColumns]numbers

	codes                    []int32
	dict, page, packed, text []byte
	zip                      *zstd.Encoder
}

// groupWriters has writers to use again: they have much memory, and days are many.
var groupWriters = sync.Pool{New: func() any { return newGroupWriter() }}

func newGroupWriter() *groupWriter {
	// The options are sound, so that there is no error.
	zip, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	return &groupWriter{zip: zip}
}

// fileSchema returns what a file says of its columns: that of fileRow.
var fileSchema = sync.OnceValues(func() ([]format.SchemaElement, error) {
	var w sink
	empty := parquet.NewGenericWriter[fileRow](&w)
	if err := empty.Close(); err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(&w, int64(len(w.data)))
	if err != nil {
		return nil, err
	}
	return file.Metadata().Schema, nil
})

// sink is a file in memory.
type sink struct{ data []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.data = append(s.data, p...)
	return len(p), nil
}

func (s *sink) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(s.data)) {
		return 0, io.EOF
	}
	n := copy(p, s.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

const parquetMagic = "PAR1"

// WriteParquet writes the rows of s as a Parquet file. Equal segments give equal bytes.
func (s *Segment) WriteParquet(out io.Writer) error {
	w := groupWriters.Get().(*groupWriter)
	defer groupWriters.Put(w)
	w.out, w.offset, w.groups, w.rows = out, 0, nil, 0
	defer func() { w.out = nil }()
	w.reset()
	if err := w.write([]byte(parquetMagic)); err != nil {
		return err
	}
	err := s.each(func(name string, k *Kept) error {
		w.add(name, k, s.Day)
		if w.n < rowsPerGroup {
			return nil
		}
		return w.flush()
	})
	if err == nil && w.n > 0 {
		err = w.flush()
	}
	if err != nil {
		return err
	}
	return w.close()
}

// reset empties the row group at hand.
func (w *groupWriter) reset() {
	w.n, w.over = 0, w.over[:0]
	for i := range numColumns {
		w.words[i], w.nums[i] = w.words[i][:0], w.nums[i][:0]
		w.names[i].reset()
		w.addrs[i].reset()
	}
}

// add adds a row of the given day.
func (w *groupWriter) add(name string, k *Kept, day int32) {
	localPort, remotePort, bits, days := k.LocalPort, k.RemotePort, uint64(0), uint64(0)
	switch k.Client {
	case LocalClient:
		localPort = k.PortLo
	case RemoteClient:
		remotePort = k.PortLo
	}
	if k.Client != NoClient && k.PortBits != bitsOf(k.PortLo, k.PortHi) {
		bits = k.PortBits
	}
	if day == OddDay {
		days = k.Days
	}
	w.word(colInterface, w.names[colInterface].name(name))
	w.word(colDirection, int32(k.Side))
	w.word(colAction, int32(k.Action))
	w.word(colClass, int32(k.Class))
	w.word(colClient, int32(k.Client))
	w.word(colLocal, w.addrs[colLocal].addr(k.Local))
	w.word(colRemote, w.addrs[colRemote].addr(k.Remote))
	w.word(colSrc, w.addrs[colSrc].addr(k.Src))
	w.word(colDst, w.addrs[colDst].addr(k.Dst))
	w.num(colProtocol, int64(k.Proto))
	w.num(colLocalPort, int64(localPort))
	w.num(colRemotePort, int64(remotePort))
	w.num(colPortHi, int64(k.PortHi))
	w.num(colFlags, int64(k.Flags))
	w.num(colPortBits, int64(bits))
	w.num(colRecords, int64(k.Records))
	w.num(colPackets, int64(k.Packets))
	w.num(colBytes, int64(k.Bytes))
	w.num(colFirst, k.First)
	w.num(colLast, k.Last)
	w.num(colDays, int64(days))
	if w.n%8 == 0 {
		w.over = append(w.over, 0)
	}
	if k.Over {
		w.over[w.n/8] |= 1 << (w.n % 8)
	}
	w.n++
}

func (w *groupWriter) word(col int, code int32) { w.words[col] = append(w.words[col], code) }
func (w *groupWriter) num(col int, value int64) { w.nums[col] = append(w.nums[col], value) }

// flush writes the row group at hand.
func (w *groupWriter) flush() error {
	group := format.RowGroup{NumRows: int64(w.n), FileOffset: w.offset, Ordinal: int16(len(w.groups))}
	for col := range numColumns {
		chunk, err := w.column(col)
		if err != nil {
			return fmt.Errorf("column %s: %w", fileColumns[col], err)
		}
		group.Columns = append(group.Columns, chunk)
		group.TotalByteSize += chunk.MetaData.TotalUncompressedSize
		group.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
	}
	w.groups = append(w.groups, group)
	w.rows += int64(w.n)
	w.reset()
	return nil
}

// column writes a column of the row group at hand.
func (w *groupWriter) column(col int) (format.ColumnChunk, error) {
	var err error
	switch col {
	case colInterface:
		return w.coded(col, format.ByteArray, w.names[col].texts, w.words[col])
	case colDirection, colAction, colClass, colClient:
		return w.coded(col, format.ByteArray, wordTexts(wordsOf[col]), w.words[col])
	case colLocal, colRemote, colSrc, colDst:
		return w.coded(col, format.ByteArray, w.addrs[col].texts, w.words[col])
	case colProtocol, colLocalPort, colRemotePort, colPortHi, colFlags:
		if codes, ok := w.small[col].code(w.nums[col], w.n/8+16); ok {
			w.text = plainInts(w.text[:0], w.small[col].list)
			return w.coded(col, format.Int32, w.text, codes)
		}
		w.codes = w.codes[:0]
		for _, v := range w.nums[col] {
			w.codes = append(w.codes, int32(v))
		}
		if w.page, err = new(delta.BinaryPackedEncoding).EncodeInt32(w.page, w.codes); err != nil {
			return format.ColumnChunk{}, err
		}
		return w.chunk(col, format.Int32, format.DeltaBinaryPacked, nil, 0)
	case colOver:
		w.page = append(w.page[:0], w.over...)
		return w.chunk(col, format.Boolean, format.Plain, nil, 0)
	default:
		if w.page, err = new(delta.BinaryPackedEncoding).EncodeInt64(w.page, w.nums[col]); err != nil {
			return format.ColumnChunk{}, err
		}
		return w.chunk(col, format.Int64, format.DeltaBinaryPacked, nil, 0)
	}
}

// coded writes a column as codes of the values of a dictionary, which is encoded already.
func (w *groupWriter) coded(col int, kind format.Type, dict []byte, codes []int32) (format.ColumnChunk, error) {
	var err error
	if w.page, err = new(rle.DictionaryEncoding).EncodeInt32(w.page, codes); err != nil {
		return format.ColumnChunk{}, err
	}
	return w.chunk(col, kind, format.RLEDictionary, dict, w.sizeOf(col))
}

// sizeOf returns how many values the dictionary of a column has.
func (w *groupWriter) sizeOf(col int) int {
	switch {
	case wordsOf[col] != nil:
		return len(wordsOf[col])
	case col == colInterface:
		return len(w.names[col].byName)
	case len(w.nums[col]) > 0:
		return len(w.small[col].list)
	}
	return len(w.addrs[col].byAddr)
}

// chunk writes the page at hand as a column chunk, after that of its dictionary. Numbers that
// do not shrink are kept as they are.
func (w *groupWriter) chunk(col int, kind format.Type, enc format.Encoding, dict []byte, dictLen int) (format.ColumnChunk, error) {
	codec := format.Zstd
	w.packed = w.zip.EncodeAll(w.page, w.packed[:0])
	if dict == nil && len(w.packed) >= len(w.page)-len(w.page)/16 {
		codec = format.Uncompressed
		w.packed = append(w.packed[:0], w.page...)
	}
	meta := format.ColumnMetaData{
		Type: kind, Encoding: []format.Encoding{enc}, PathInSchema: []string{fileColumns[col]}, Codec: codec, NumValues: int64(w.n),
	}
	start := w.offset
	if dict != nil {
		meta.DictionaryPageOffset = start
		meta.Encoding = append(meta.Encoding, format.Plain)
		w.dict = w.zip.EncodeAll(dict, w.dict[:0])
		size, err := w.writePage(&format.PageHeader{
			Type: format.DictionaryPage, UncompressedPageSize: int32(len(dict)), CompressedPageSize: int32(len(w.dict)),
			DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: int32(dictLen), Encoding: format.Plain}),
		}, w.dict)
		if err != nil {
			return format.ColumnChunk{}, err
		}
		meta.TotalUncompressedSize += size - int64(len(w.dict)) + int64(len(dict))
	}
	meta.DataPageOffset = w.offset
	size, err := w.writePage(&format.PageHeader{
		Type: format.DataPage, UncompressedPageSize: int32(len(w.page)), CompressedPageSize: int32(len(w.packed)),
		DataPageHeader: thrift.New(format.DataPageHeader{
			NumValues: int32(w.n), Encoding: enc, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
		}),
	}, w.packed)
	meta.TotalUncompressedSize += size - int64(len(w.packed)) + int64(len(w.page))
	meta.TotalCompressedSize = w.offset - start
	return format.ColumnChunk{MetaData: meta}, err
}

// writePage writes a page and returns its size with the header.
func (w *groupWriter) writePage(h *format.PageHeader, body []byte) (int64, error) {
	head, err := thrift.Marshal(new(thrift.CompactProtocol), h)
	if err == nil {
		err = w.write(head)
	}
	if err == nil {
		err = w.write(body)
	}
	return int64(len(head) + len(body)), err
}

func (w *groupWriter) write(p []byte) error {
	n, err := w.out.Write(p)
	w.offset += int64(n)
	return err
}

// close writes the end of the file.
func (w *groupWriter) close() error {
	schema, err := fileSchema()
	if err != nil {
		return err
	}
	foot, err := thrift.Marshal(new(thrift.CompactProtocol), &format.FileMetaData{
		Version: 1, Schema: schema, NumRows: w.rows, RowGroups: w.groups, CreatedBy: "sgadvise",
	})
	if err != nil {
		return err
	}
	n := uint32(len(foot))
	return w.write(append(foot, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), 'P', 'A', 'R', '1'))
}

// dictionary gives names or addresses codes in the order in which it meets them. Texts are
// its values as a page of plain strings has them.
type dictionary struct {
	byName   map[string]int32
	byAddr   map[flow.Addr]int32
	texts    []byte
	lastName string
	lastAddr flow.Addr
	last     int32 // below 0: none yet
}

func (d *dictionary) reset() {
	clear(d.byName)
	clear(d.byAddr)
	d.texts, d.last = d.texts[:0], -1
}

func (d *dictionary) name(name string) int32 {
	if d.last >= 0 && name == d.lastName {
		return d.last
	}
	code, ok := d.byName[name]
	if !ok {
		if d.byName == nil {
			d.byName = make(map[string]int32)
		}
		code = int32(len(d.byName))
		d.byName[name] = code
		d.texts = plain.AppendByteArrayString(d.texts, name)
	}
	d.lastName, d.last = name, code
	return code
}

func (d *dictionary) addr(a flow.Addr) int32 {
	if d.last >= 0 && a == d.lastAddr {
		return d.last
	}
	code, ok := d.byAddr[a]
	if !ok {
		if d.byAddr == nil {
			d.byAddr = make(map[flow.Addr]int32)
		}
		code = int32(len(d.byAddr))
		d.byAddr[a] = code
		d.texts = appendAddr(d.texts, a)
	}
	d.lastAddr, d.last = a, code
	return code
}

// appendAddr appends the text of an address, which is empty for none, after its length.
func appendAddr(b []byte, a flow.Addr) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	switch {
	case a.Is4():
		v := a.V4()
		b = netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).AppendTo(b)
	case a.IsValid():
		b = append(b, a.String()...)
	}
	b[at] = byte(len(b) - at - 4) // of 45 at the most
	return b
}

// numbers gives the numbers below 65,536 of a column codes.
type numbers struct {
	codeOf map[int64]int32
	list   []int32
	codes  []int32
}

// code returns the codes of values, unless more than most of them are different.
func (d *numbers) code(values []int64, most int) (codes []int32, ok bool) {
	if d.codeOf == nil {
		d.codeOf = make(map[int64]int32)
	}
	clear(d.codeOf)
	d.list, d.codes = d.list[:0], d.codes[:0]
	last, code := int64(-1), int32(0)
	for _, v := range values {
		if v != last {
			var ok bool
			if code, ok = d.codeOf[v]; !ok {
				if len(d.list) >= most {
					return nil, false
				}
				code = int32(len(d.list))
				d.codeOf[v], d.list = code, append(d.list, int32(v))
			}
			last = v
		}
		d.codes = append(d.codes, code)
	}
	return d.codes, true
}

// plainInts appends numbers as a page of plain ones has them.
func plainInts(b []byte, list []int32) []byte {
	for _, v := range list {
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return b
}

// wordTexts are words as a page of plain strings has them.
func wordTexts(words []string) (b []byte) {
	for _, w := range words {
		b = plain.AppendByteArrayString(b, w)
	}
	return b
}
