package store

import (
	"testing"
)

func FuzzTally(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("any bytes make records, two for each choice of a small world"))
	for seed := range byte(8) {
		long := make([]byte, 1200)
		for i := range long {
			long[i] = byte(i*i)*seed ^ byte(i>>3)
		}
		f.Add(long)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := byteWorld(data)
		cfg := w.config()
		recs := w.records(min(2+len(data)/30, 200))
		want := oracle(cfg, recs)
		requireSame(t, "one worker", contentsOf(FromRecords(cfg, recs)), want)
		cut := w.next(len(recs) + 1)
		requireSame(t, "merged parts", contentsOf(Merge(FromRecords(cfg, recs[cut:]), FromRecords(cfg, recs[:cut]))), want)
	})
}
