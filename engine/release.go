package engine

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// ReplayReleasing is [ReplayHistory] for those who need no row of c afterwards but what
// [Result.AgainstLooks] and [Result.RejectedAnswers] give: it releases the rows of most
// interfaces as it goes. The rows of interfaces that the snapshot does not have stay.
func ReplayReleasing(ctx context.Context, c *store.Connections, h *policy.History, workers int) (*Result, error) {
	how := usual
	how.release = true
	past := h
	if h.IsFlat() {
		past = nil
	}
	return replay(ctx, c, h.Present(), past, workers, how)
}

// Excerpt is what is left of the rows of one interface.
type Excerpt struct {
	Released bool // false: all of them are still there
	Rows     []ExcerptRow
}

// ExcerptRow is a row with its number in Result.Store.
type ExcerptRow struct {
	Number int
	store.Row
}

// maxExcerpt is the share of an interface's rows, one in so many, that an excerpt may
// hold beyond the first few: a row takes three times as much there as it does in the store.
const (
	maxExcerpt = 16
	fewExcerpt = 64
)

// releaser gives rows back interface by interface.
type releaser struct {
	left     []atomic.Int32 // by interface code: spans still to be replayed
	excerpts []Excerpt      // by interface code
}

func newReleaser(interfaces int, spans []rowSpan) *releaser {
	r := &releaser{make([]atomic.Int32, interfaces), make([]Excerpt, interfaces)}
	for _, s := range spans {
		r.left[s.code].Add(1)
	}
	return r
}

// notable reports whether a row may be asked for after the replay.
func notable(r *store.Row, op orient.Opinion, readings []orient.Reading) bool {
	return isRejectedAnswer(r, readings) || isAgainstLooks(r, op)
}

// isAgainstLooks reports whether packets passed, nothing but the rules tells who opened the
// connection, and it does not look as if that one did.
func isAgainstLooks(r *store.Row, op orient.Opinion) bool {
	if op.Method != orient.ByRules || r.Action != flow.Accept {
		return false
	}
	looks := looksLike(r, op)
	return looks != flow.DirectionUnknown && looks != op.Opener
}

// looksLike returns the opener that the ports of r speak for. If neither end looks like the
// client (pings, equal ports), it is the one that op turned down.
func looksLike(r *store.Row, op orient.Opinion) flow.Direction {
	switch r.Client {
	case store.RemoteClient:
		return flow.Ingress
	case store.LocalClient:
		return flow.Egress
	}
	return op.Opener.Reverse()
}

// note notes row, which is r and has the readings at hand, if it is notable.
func (w *worker) note(p *part, row int, r *store.Row, op orient.Opinion) {
	if w.e.releaser != nil && notable(r, op, w.readings) {
		p.noted = append(p.noted, uint32(row))
	}
}

func isRejectedAnswer(r *store.Row, readings []orient.Reading) bool {
	return r.Action == flow.Reject && len(readings) == 1 && readings[0].IsReply()
}

// release releases the rows of the interface of span n, of which parts are, if it was the
// last one of it that was to be replayed.
func (e *replayer) release(parts []*part, n int) {
	code := e.spans[n].code
	if e.known[code] < 0 || e.releaser.left[code].Add(-1) > 0 {
		return
	}
	lo, hi := n, n+1
	for lo > 0 && e.spans[lo-1].code == code {
		lo--
	}
	for hi < len(e.spans) && e.spans[hi].code == code {
		hi++
	}
	noted := 0
	for _, p := range parts[lo:hi] {
		noted += len(p.noted)
	}
	first, end := e.spans[lo].lo, e.spans[hi-1].hi
	if noted > fewExcerpt+(end-first)/maxExcerpt {
		return
	}
	out := &e.releaser.excerpts[code]
	out.Rows = make([]ExcerptRow, 0, noted)
	for _, p := range parts[lo:hi] {
		for _, row := range p.noted {
			x := ExcerptRow{Number: int(row)}
			e.c.Row(x.Number, &x.Row)
			out.Rows = append(out.Rows, x)
		}
		p.noted = nil
	}
	out.Released = true
	e.c.Release(first, end)
}

// AgainstLooks ranges over the accepted rows of which nothing but the rules tells who opened
// the connection, and that do not look as if that one did, with the opener that they look
// like, in order. Each is overwritten by the next.
func (r *Result) AgainstLooks() iter.Seq2[*store.Row, flow.Direction] {
	return func(yield func(*store.Row, flow.Direction) bool) {
		for n, row := range r.rows(func(n int, row *store.Row) bool {
			if r.Openers[n].Method != orient.ByRules {
				return false
			}
			r.Store.Row(n, row)
			return isAgainstLooks(row, r.Openers[n])
		}, func(x *ExcerptRow) bool { return isAgainstLooks(&x.Row, r.Openers[x.Number]) }) {
			if !yield(row, looksLike(row, r.Openers[n])) {
				return
			}
		}
	}
}

// RejectedAnswers ranges over the rejected rows that are answers, in one reading, with
// their numbers, in order. Each is overwritten by the next.
func (r *Result) RejectedAnswers() iter.Seq2[int, *store.Row] {
	var readings []orient.Reading
	isAnswer := func(n int, row *store.Row) bool {
		readings = orient.Readings(readings[:0], row, r.Openers[n])
		return isRejectedAnswer(row, readings)
	}
	return r.rows(func(n int, row *store.Row) bool {
		if r.Store.Head(n, row); row.Action != flow.Reject {
			return false
		}
		r.Store.Row(n, row)
		return isAnswer(n, row)
	}, func(x *ExcerptRow) bool { return isAnswer(x.Number, &x.Row) })
}

// rows ranges over rows: those that there, which gets them, wants and those of excerpts
// that left wants.
func (r *Result) rows(there func(int, *store.Row) bool, left func(*ExcerptRow) bool) iter.Seq2[int, *store.Row] {
	return func(yield func(int, *store.Row) bool) {
		starts := r.Store.Spans()
		var row store.Row
		for code := range len(starts) - 1 {
			if r.Excerpts != nil && r.Excerpts[code].Released {
				list := r.Excerpts[code].Rows
				for i := range list {
					if left(&list[i]) {
						if row = list[i].Row; !yield(list[i].Number, &row) {
							return
						}
					}
				}
				continue
			}
			for n := starts[code]; n < starts[code+1]; n++ {
				if there(n, &row) && !yield(n, &row) {
					return
				}
			}
		}
	}
}
