package flowlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"strconv"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/ingest/store"
)

func appendFloat(b []byte, s string) []byte {
	f, _ := strconv.ParseFloat(s, 64)
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

// withoutChecksums sets the checksums in the page headers of a file to 0, which means
// that there is none, so that damage to pages gets past them.
func withoutChecksums(t testing.TB, file []byte) []byte {
	t.Helper()
	file = bytes.Clone(file)
	f, err := openParquet(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.Metadata().RowGroups {
		for _, c := range g.Columns {
			m := c.MetaData
			at := m.DataPageOffset
			if m.DictionaryPageOffset != 0 {
				at = m.DictionaryPageOffset
			}
			for end := at + m.TotalCompressedSize; at < end; {
				// Fields 1 to 4 of a header are 32-bit integers: type, both sizes, checksum.
				b := file[at:]
				for range 3 {
					_, n := binary.Uvarint(b[1:])
					b = b[1+n:]
				}
				if b[0] != 0x15 {
					t.Fatalf("no checksum at %d", at)
				}
				_, n := binary.Uvarint(b[1:])
				for i := range n - 1 {
					b[1+i] = 0x80
				}
				b[n] = 0
				w := thriftWalk{data: file[at:end]}
				if !w.structure(0, 0) {
					t.Fatalf("no header at %d", at)
				}
				at += int64(w.off) + w.fields[0].at[3]
			}
		}
	}
	return file
}

// FuzzParquet changes a small file at up to four places: no panic, and what is read
// adds up.
func FuzzParquet(f *testing.F) {
	records := append(goodRecords(20), oddRecords()[1:]...)
	var seeds [][]byte
	for _, w := range []form{
		{codec: &parquet.Uncompressed, optional: true, groupRows: 15, pageSize: 64},
		{codec: &parquet.Uncompressed, optional: true, plain: true},
		{codec: &parquet.Snappy, text: true},
		{codec: &parquet.Gzip, optional: true, wide: true},
	} {
		seeds = append(seeds, withoutChecksums(f, writeParquet(f, w, records)))
	}
	for _, w := range []form{{codec: &parquet.Uncompressed, optional: true}, {codec: &parquet.Snappy, text: true, plain: true}} {
		seeds = append(seeds, withoutChecksums(f, writeParquet(f, w, alibabaRecords())))
	}
	f.Add(uint8(0), uint32(1<<31), uint32(0), uint64(0))
	f.Add(uint8(1), uint32(100<<8), uint32(50<<8), uint64(0xff00ff00ff00ff00))
	f.Fuzz(func(t *testing.T, seed uint8, where1, where2 uint32, what uint64) {
		b := bytes.Clone(seeds[int(seed)%len(seeds)])
		for k, where := range []uint32{where1, where2} {
			at := int(where>>1) % len(b)
			if where&1 != 0 { // the footer is small and says everything
				at = len(b) - 1 - int(where>>1)%min(len(b), 2000)
			}
			b[at] ^= byte(what >> (16 * k))
			b[(at+1)%len(b)] ^= byte(what >> (16*k + 8))
		}
		rows := uint64(0)
		stats, err := DecodeParquet(context.Background(), bytes.NewReader(b), int64(len(b)), "x", 1, func(b *store.Batch) error {
			rows += uint64(b.Len())
			for _, i := range b.Interface {
				_ = b.Names[i]
			}
			return nil
		})
		if err == nil && (stats.Rows != rows || stats.Records != rows+stats.Malformed.Total()+stats.Unsupported.Total()) {
			t.Errorf("%d rows, %+v", rows, stats)
		}
	})
}
