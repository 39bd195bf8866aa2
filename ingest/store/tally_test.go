package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestTallyAgreesWithOracle(t *testing.T) {
	for seed := range uint64(60) {
		w := randomWorld(seed)
		cfg := w.config()
		recs := w.records(w.next(3000))
		requireSame(t, fmt.Sprintf("seed %d", seed), contentsOf(FromRecords(cfg, recs)), oracle(cfg, recs))
	}
}

// tallyWith adds recs in batches of the given size, dealt out to workers.
func tallyWith(cfg Config, recs []flow.Record, workers, batch int) *Connections {
	cfg.Workers = workers
	tally := NewTally(cfg)
	batches := make(chan []flow.Record)
	var wg sync.WaitGroup
	for range workers {
		w := tally.Worker()
		wg.Go(func() {
			var b Batch
			for part := range batches {
				b.Reset()
				for _, r := range part {
					b.AppendRow(r)
				}
				w.Add(&b)
			}
		})
	}
	for len(recs) > 0 {
		n := min(batch, len(recs))
		batches <- recs[:n]
		recs = recs[n:]
	}
	close(batches)
	wg.Wait()
	return tally.Finish()
}

func TestOrderWorkersAndBatchesDoNotShow(t *testing.T) {
	for seed := range uint64(8) {
		w := randomWorld(100 + seed)
		cfg := w.config()
		recs := w.records(12_000)
		want := contentsOf(FromRecords(cfg, recs))
		for _, workers := range []int{1, 2, 7} {
			for _, batch := range []int{1 + w.next(40), 1000, 9000, 20_000} {
				rng := rand.New(rand.NewPCG(seed, uint64(batch)))
				rng.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
				requireSame(t, fmt.Sprintf("seed %d, %d workers, batches of %d", seed, workers, batch),
					contentsOf(tallyWith(cfg, recs, workers, batch)), want)
			}
		}
	}
}

func TestManyDistinctRowsGrowTheIndex(t *testing.T) {
	const n = 300_000
	recs := make([]flow.Record, 0, n)
	w := randomWorld(5)
	for i := range n {
		r := w.record()
		r.Status, r.Action, r.Interface = flow.StatusOK, flow.Accept, fmt.Sprint("eni-", i%300)
		if i%10 == 0 {
			r.Src = flow.Addr{Hi: 0x20010db8 << 32, Lo: uint64(i)}.Netip()
			r.Dst = flow.Addr{Hi: 0x20010db8 << 32, Lo: uint64(i / 7)}.Netip()
		} else {
			r.Src, r.Dst = flow.Addr4(uint32(i*7919)).Netip(), flow.Addr4(uint32(i/3)).Netip()
		}
		recs = append(recs, r)
	}
	requireSame(t, "two workers", contentsOf(tallyWith(Config{}, recs, 2, BatchSize)), oracle(Config{}, recs))
}
