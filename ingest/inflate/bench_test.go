package inflate

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
	"time"

	klauspost "github.com/klauspost/compress/gzip"
)

// BenchmarkReader decompresses the same text with every decoder in turn, so that the
// ratios hold on a machine that has other things to do.
func BenchmarkReader(b *testing.B) {
	text := logText(8 << 20)
	z := compress(text, 6)
	src, m, buf := bytes.NewReader(nil), new(members), make([]byte, bufferSize)
	lib, err := gzip.NewReader(bytes.NewReader(z))
	if err != nil {
		b.Fatal(err)
	}
	fast, err := klauspost.NewReader(bytes.NewReader(z))
	if err != nil {
		b.Fatal(err)
	}
	decoders := []struct {
		name   string
		decode func() (int64, error)
	}{
		{"own", func() (n int64, err error) {
			for err = m.open(src); err == nil; {
				var data []byte
				data, err = m.next(buf)
				n += int64(len(data))
			}
			if err == io.EOF {
				err = nil
			}
			return n, err
		}},
		{"klauspost", func() (int64, error) { fast.Reset(src); return io.CopyBuffer(io.Discard, fast, buf) }},
		{"library", func() (int64, error) {
			lib.Reset(src)
			return io.CopyBuffer(struct{ io.Writer }{io.Discard}, lib, buf)
		}},
	}
	took := make([]time.Duration, len(decoders))
	b.ReportAllocs()
	for b.Loop() {
		for i, d := range decoders {
			src.Reset(z)
			start := time.Now()
			if n, err := d.decode(); err != nil || n != int64(len(text)) {
				b.Fatalf("%s: %d bytes, %v", d.name, n, err)
			}
			took[i] += time.Since(start)
		}
	}
	for i, d := range decoders {
		b.ReportMetric(float64(len(text))*float64(b.N)/took[i].Seconds()/1e6, d.name+"-MB/s")
		if i > 0 {
			b.ReportMetric(took[i].Seconds()/took[0].Seconds(), "times-"+d.name)
		}
	}
}
