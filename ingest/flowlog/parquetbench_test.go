package flowlog

import (
	"bytes"
	"context"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// BenchmarkDecodeParquet reads files as the cloud writes them, with dictionaries and
// null where text has "-". The allocations of a run are those of opening the file
// and its row groups: there is none for a row.
func BenchmarkDecodeParquet(b *testing.B) {
	const rows = 50_000
	records := goodRecords(rows)
	for _, c := range []struct {
		name string
		form form
	}{
		{"snappy", form{codec: &parquet.Snappy, optional: true}},
		{"gzip", form{codec: &parquet.Gzip, optional: true}},
		{"plain", form{codec: &parquet.Snappy, plain: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			file := writeParquet(b, c.form, records)
			b.ReportAllocs()
			for b.Loop() {
				stats, err := DecodeParquet(context.Background(), bytes.NewReader(file), int64(len(file)), "x", 1, func(*store.Batch) error { return nil })
				if err != nil || stats.Rows != rows {
					b.Fatal(stats, err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
