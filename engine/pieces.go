package engine

import "github.com/sgadvise/sgadvise/ingest/store"

// pieceRows rows of an interface are replayed at once, and up to the end of those of a host.
const pieceRows = 1 << 17

// split cuts the rows of large interfaces, so that one alone keeps all workers busy.
func (e *replayer) split() {
	var spans []rowSpan
	for _, s := range e.spans {
		i := e.known[s.code]
		for i >= 0 && !e.means.entries && !e.cut(i) && s.hi-s.lo > e.means.piece {
			at := e.endOfHost(s.lo+e.means.piece, s.hi)
			if at == s.hi {
				break
			}
			spans = append(spans, rowSpan{s.code, s.lo, at})
			e.paths.more(i)
			s.lo = at
		}
		spans = append(spans, s)
	}
	e.spans = spans
}

// endOfHost returns the first row from at, below hi, that is of another host than the one
// before it.
func (e *replayer) endOfHost(at, hi int) int {
	var r store.Row
	e.c.Head(at-1, &r)
	was := hostsOf(&r)
	for ; at < hi; at++ {
		if e.c.Head(at, &r); hostsOf(&r) != was {
			break
		}
	}
	return at
}

// restray replays those interfaces again of which rows are not in the order of hosts. Of
// several parts of one the first is all of it then.
func (e *replayer) restray(parts []*part, workers int) {
	var again [][2]int // the parts of an interface
	for lo, hi := 0, 0; lo < len(parts); lo = hi {
		strayed := false
		for ; hi < len(parts) && e.spans[hi].code == e.spans[lo].code; hi++ {
			strayed = strayed || parts[hi].strayed
		}
		if strayed {
			again = append(again, [2]int{lo, hi})
		}
	}
	each(len(again), workers, func(w, n int) {
		lo, hi := again[n][0], again[n][1]
		parts[lo] = e.workers[w].collected(rowSpan{e.spans[lo].code, e.spans[lo].lo, e.spans[hi-1].hi})
		clear(parts[lo+1 : hi])
	})
}
