package flowlog

import (
	"sync/atomic"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// handOver lets goroutines that have no row group to decode take batches off those that
// still have one: nearly all files have fewer row groups than would keep every goroutine at
// work to the end, and what becomes of a batch takes longer than to decode it.
type handOver struct {
	out     *emitter
	batches chan handedBatch // without a buffer: one is handed over only to who waits for it
	at      atomic.Int64     // how many goroutines may still hand over some
}

type handedBatch struct {
	batch store.Batch
	rows  *rows        // its memory
	back  chan<- *rows // where that goes afterwards
}

func newHandOver(out *emitter, decoders int) *handOver {
	h := &handOver{out: out, batches: make(chan handedBatch)}
	h.at.Store(int64(decoders))
	return h
}

// leave says that a goroutine hands over none any more.
func (h *handOver) leave() {
	if h.at.Add(-1) == 0 {
		close(h.batches)
	}
}

// take emits batches until no goroutine is left that hands over some.
func (h *handOver) take() {
	for b := range h.batches {
		_ = h.out.batch(&b.batch) // out keeps the error
		b.back <- b.rows
	}
}

// handing is a decoder's side of it.
type handing struct {
	*handOver
	columns *columns
	back    chan *rows // those that are lent and those that were sent back
	lent    int        // how many of these there are; at most as many as fit in
}

// newHanding returns the side of a decoder that fills columns, where up to others goroutines may take
// its batches.
func newHanding(h *handOver, c *columns, others int) *handing {
	return &handing{handOver: h, columns: c, back: make(chan *rows, others)}
}

// batch emits a batch of the columns, or lets somebody do so who waits for one.
func (h *handing) batch(b *store.Batch) error {
	err := h.one(b)
	if len(b.Names) > maxNames { // the list starts again now
		for h.lent > 0 {
			<-h.back
			h.lent--
		}
	}
	return err
}

func (h *handing) one(b *store.Batch) error {
	var spare *rows
	select {
	case spare = <-h.back:
		h.lent--
	default:
		if h.lent == cap(h.back) {
			return h.out.batch(b)
		}
	}
	select {
	case h.batches <- handedBatch{*b, h.columns.rows, h.back}:
		h.lent++
	default:
		if spare != nil { // keep it
			h.back <- spare
			h.lent++
		}
		return h.out.batch(b)
	}
	if spare == nil {
		spare = new(rows)
	}
	h.columns.rows = spare
	return h.out.failed()
}
