package flowlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"

	"github.com/sgadvise/sgadvise/ingest/inflate"
)

// pageKinds are what a page may hold, and the encodings that it may be in.
var pageKinds = map[string]struct {
	node      parquet.Node
	encodings []encoding.Encoding
	value     func(*rand.Rand) parquet.Value
}{
	"int32": {parquet.Leaf(parquet.Int32Type), []encoding.Encoding{&parquet.Plain, &parquet.RLEDictionary, &parquet.DeltaBinaryPacked},
		func(r *rand.Rand) parquet.Value { return parquet.Int32Value(int32(r.Uint32()) >> r.IntN(32)) }},
	"int64": {parquet.Leaf(parquet.Int64Type), []encoding.Encoding{&parquet.Plain, &parquet.RLEDictionary, &parquet.DeltaBinaryPacked},
		func(r *rand.Rand) parquet.Value { return parquet.Int64Value(int64(r.Uint64()) >> r.IntN(64)) }},
	"double": {parquet.Leaf(parquet.DoubleType), []encoding.Encoding{&parquet.Plain, &parquet.RLEDictionary, &parquet.ByteStreamSplit},
		func(r *rand.Rand) parquet.Value { return parquet.DoubleValue(float64(r.IntN(1000))) }},
	"text": {parquet.String(), []encoding.Encoding{&parquet.Plain, &parquet.RLEDictionary, &parquet.DeltaLengthByteArray, &parquet.DeltaByteArray},
		func(r *rand.Rand) parquet.Value {
			return parquet.ByteArrayValue(fmt.Appendf(nil, "%0*d", r.IntN(9), r.IntN(300)))
		}},
}

// TestPagesAreThoseOfTheLibrary writes columns in every type and encoding, form of page
// and compression that the library writes, and reads them page by page.
func TestPagesAreThoseOfTheLibrary(t *testing.T) {
	t.Parallel()
	const rows = 3000
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Brotli} {
		for version := 1; version <= 2; version++ {
			for _, nulls := range []int{-1, 0, 2, 100} { // per cent; below 0: the columns are required
				rng := rand.New(rand.NewPCG(uint64(version), uint64(nulls)))
				group := parquet.Group{}
				values := map[string]func(*rand.Rand) parquet.Value{}
				for kind, k := range pageKinds {
					for i, e := range k.encodings {
						name := fmt.Sprintf("%s%d", kind, i)
						node := parquet.Encoded(k.node, e)
						if nulls >= 0 {
							node = parquet.Optional(node)
						}
						group[name], values[name] = node, k.value
					}
				}
				schema := parquet.NewSchema("x", group)
				var out bytes.Buffer
				w := parquet.NewGenericWriter[any](&out, schema, parquet.Compression(codec), parquet.DataPageVersion(version), parquet.PageBufferSize(2000))
				last := make(parquet.Row, len(schema.Columns()))
				for r := range rows {
					row := make(parquet.Row, len(last))
					for at, path := range schema.Columns() {
						switch {
						case nulls >= 0 && rng.IntN(100) < nulls:
							row[at] = parquet.NullValue().Level(0, 0, at)
							continue
						case r > 0 && r/200%2 == 0 && !last[at].IsNull(): // runs
							row[at] = last[at]
							continue
						case nulls >= 0:
							row[at] = values[path[0]](rng).Level(0, 1, at)
						default:
							row[at] = values[path[0]](rng).Level(0, 0, at)
						}
					}
					copy(last, row)
					if _, err := w.WriteRows([]parquet.Row{row}); err != nil {
						t.Fatal(err)
					}
					if r == rows*2/3 {
						if err := w.Flush(); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				comparePages(t, fmt.Sprintf("%T version %d nulls %d", codec, version, nulls), out.Bytes())
			}
		}
	}
}

// comparePages compares every column of a file.
func comparePages(t *testing.T, name string, b []byte) {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(name, err)
	}
	for at, c := range file.Root().Columns() {
		p := pageReader{kind: c.Type().Kind(), nullable: c.Optional(), unpack: new(unpacker)}
		for g, group := range file.RowGroups() {
			want, err := libraryValues(group.ColumnChunks()[at].Pages())
			if err != nil {
				t.Fatal(name, c.Name(), err)
			}
			if err := p.open(bytes.NewReader(b), int64(len(b)), &file.Metadata().RowGroups[g].Columns[at].MetaData); err != nil {
				t.Fatal(name, c.Name(), err)
			}
			got, err := pageValues(&p)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: column %s of row group %d: error %v, %d values %.300q, want %d: %.300q", name, c.Name(), g, err, len(got), got, len(want), want)
			}
		}
	}
}

func libraryValues(pages parquet.Pages) (all []string, err error) {
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		values := make([]parquet.Value, page.NumValues())
		if n, err := page.Values().ReadValues(values); n != len(values) || err != nil && err != io.EOF {
			return nil, fmt.Errorf("%d of %d values: %w", n, len(values), err)
		}
		for _, v := range values {
			all = append(all, v.String())
		}
		parquet.Release(page)
	}
}

func pageValues(p *pageReader) (all []string, err error) {
	for {
		if err := p.load(false); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		at := 0
		codes := make([]uint32, p.rows-len(p.nulls))
		if p.coded {
			p.codes.read(codes)
		}
		for row := range p.rows {
			if slices.Contains(p.nulls, int32(row)) {
				all = append(all, parquet.NullValue().String())
				continue
			}
			values, i := &p.values, at
			if p.coded {
				values, i = &p.dict, int(codes[at])
			}
			at++
			switch p.kind {
			case parquet.Int32:
				all = append(all, parquet.Int32Value(int32(values.int(i))).String())
			case parquet.Int64:
				all = append(all, parquet.Int64Value(values.int(i)).String())
			case parquet.Double:
				all = append(all, parquet.DoubleValue(values.float(i)).String())
			default:
				all = append(all, string(values.bytes(i)))
			}
		}
	}
}

// TestPagesFallBackFromTheDictionary reads a chunk whose writer gave up its dictionary
// in the middle, as writers do when it becomes large.
func TestPagesFallBackFromTheDictionary(t *testing.T) {
	t.Parallel()
	schema := parquet.NewSchema("x", parquet.Group{"v": parquet.Encoded(parquet.String(), &parquet.RLEDictionary)})
	var out bytes.Buffer
	w := parquet.NewGenericWriter[any](&out, schema, parquet.Compression(&parquet.Gzip), parquet.PageBufferSize(1000), parquet.DictionaryMaxBytes(5000))
	for r := range 5000 {
		if _, err := w.WriteRows([]parquet.Row{{parquet.ByteArrayValue(fmt.Appendf(nil, "value %d", r)).Level(0, 0, 0)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	p := pageReader{kind: parquet.ByteArray, unpack: new(unpacker)}
	if err := p.open(bytes.NewReader(out.Bytes()), int64(out.Len()), &file.Metadata().RowGroups[0].Columns[0].MetaData); err != nil {
		t.Fatal(err)
	}
	coded, plain := 0, 0
	for p.load(false) == nil {
		if p.coded {
			coded++
		} else {
			plain++
		}
	}
	if coded == 0 || plain == 0 {
		t.Fatalf("%d pages of codes, %d of values: the file does not try it", coded, plain)
	}
	comparePages(t, "fallback", out.Bytes())
}

func TestPageThatExpandsBeyondItsSizeIsRefused(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("flow"), 50_000)
	for codec, c := range map[format.CompressionCodec]compress.Codec{
		format.Gzip: &parquet.Gzip, format.Snappy: &parquet.Snappy, format.Zstd: &parquet.Zstd, format.Brotli: &parquet.Brotli,
	} {
		stored, err := c.Encode(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		decompress := func(stored []byte, most int) ([]byte, error) {
			p := pageReader{r: bytes.NewReader(stored), end: int64(len(stored)), codec: codec, unpack: new(unpacker)}
			_, _, body, err := p.fetch(nil, &pageHeader{compressed: len(stored), uncompressed: most}, &p.page, 0, true)
			return body, err
		}
		if got, err := decompress(stored, len(text)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, error %v", codec, len(got), err)
		}
		if _, err := decompress(stored, len(text)-1); err != errExpands {
			t.Errorf("%s, a byte too long: error %v", codec, err)
		}
		if _, err := decompress(stored[:len(stored)/2], len(text)); err == nil {
			t.Errorf("%s, cut off: no error", codec)
		}
	}
	// What the compressed bytes can never stand for is not allocated.
	claim := append(binary.AppendUvarint(nil, 1<<30), 0, 0)
	p := pageReader{r: bytes.NewReader(claim), end: int64(len(claim)), codec: format.Snappy, unpack: new(unpacker)}
	if buf, _, _, err := p.fetch(nil, &pageHeader{compressed: len(claim), uncompressed: 1 << 30}, &p.page, 0, true); err == nil || cap(buf) > 1<<20 {
		t.Errorf("snappy: error %v, %d bytes allocated", err, cap(buf))
	}
	var u unpacker
	if buf, err := u.decompress(format.Gzip, nil, []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), 1<<30); !errors.Is(err, io.ErrUnexpectedEOF) || cap(buf) > 1<<20 {
		t.Errorf("gzip: error %v, %d bytes allocated", err, cap(buf))
	}
	if _, err := u.decompress(format.Gzip, nil, []byte("not gzip, surely"), 100); !errors.Is(err, inflate.ErrHeader) {
		t.Errorf("not gzip: error %v", err)
	}
}

func TestRunsThatClaimTooMuchAreRefused(t *testing.T) {
	t.Parallel()
	run := func(count uint64, packed uint64, data ...byte) []byte {
		return append(binary.AppendUvarint(nil, count<<1|packed), data...)
	}
	for _, c := range []struct {
		name string
		data []byte
		ok   bool
	}{
		{"nothing", nil, true},
		{"a run", run(100, 0, 1), true},
		{"two runs", append(run(50, 0, 1), run(50, 0, 0)...), true},
		{"packed", run(13, 1, make([]byte, 13*3)...), true},
		{"too long", run(1<<21, 0, 1), false},
		{"far too long", run(1<<40, 0, 1), false},
		{"too many packed", run(1<<20, 1, make([]byte, 3<<20)...), false},
		{"packed, cut off", run(13, 1, make([]byte, 13*3-1)...), false},
		{"run, cut off", run(100, 0), false},
		{"no header", []byte{0x80}, false},
		{"many runs", []byte(strings.Repeat(string(run(1000, 0, 1)), 50)), false},
	} {
		if _, err := checkRuns(c.data, 3, 100); (err == nil) != c.ok {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	if _, err := checkRuns(run(1, 0, make([]byte, 5)...), 33, 1); err == nil {
		t.Error("33 bits: no error")
	}
}
