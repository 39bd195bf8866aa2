package engine

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// outlived is the note on a record that the rules of its time do not allow and earlier
// ones did.
const outlived = "outlived"

// cut reports whether the path of interface i changed over time.
func (e *replayer) cut(i int32) bool { return e.changed != nil && e.changed[i] }

// setHistory makes e judge records by what h says was in force.
func (e *replayer) setHistory(h *policy.History) {
	e.hist = h
	for i := range e.snap.Interfaces {
		if h.SharedEras(e.snap.Interfaces[i].ID) != nil {
			if e.changed == nil {
				e.changed = make([]bool, len(e.snap.Interfaces))
			}
			e.changed[i] = true
		}
	}
	from, _ := e.c.Window()
	e.eldest = make([]int, len(e.snap.Interfaces))
	for i := range e.eldest {
		for _, cut := range h.Cuts(e.snap.Interfaces[i].ID) {
			if !reaches(cut, from) {
				e.eldest[i]++
			}
		}
	}
}

// lookback is for how long a connection may have been idle before the window: what ended
// earlier opened none that shows in it, as far as anything is to be concluded from that.
const lookback = 5 * 86400

// reaches reports whether what was in force until some time matters to a window.
func reaches(until, from int64) bool { return until > from-lookback }

// eraTables are the compiled paths of one interface, or of those that share its eras, as
// far as they were asked for. A worker keeps those of the interface it is at: all of all
// interfaces would be too much for a long past.
type eraTables struct {
	of     int32 // the interface asked for last, plus one
	eras   any   // see policy.History.SharedEras
	tables [][]*[2]compiled
}

// tables returns the paths that may have been in force at interface i, which is cut, in
// an era.
func (w *worker) tables(i int32, era uint32) []*[2]compiled {
	h, id := w.e.hist, w.e.snap.Interfaces[i].ID
	if w.era.of != i+1 {
		if eras := h.SharedEras(id); w.era.eras != eras {
			w.era = eraTables{eras: eras, tables: make([][]*[2]compiled, len(h.Cuts(id))+1)}
		}
		w.era.of = i + 1
	}
	era = min(era, uint32(len(w.era.tables)-1))
	if w.era.tables[era] == nil {
		if h.IsPresent(id, int(era)) {
			w.era.tables[era] = []*[2]compiled{w.e.paths.of(i)}
		} else {
			for _, p := range h.Paths(id, int(era)) {
				w.era.tables[era] = append(w.era.tables[era], w.e.paths.compilePast(p))
			}
		}
	}
	return w.era.tables[era]
}

// compilePast compiles the paths of an earlier era. Rules that are not there now have the
// id one past the last.
func (p *paths) compilePast(past policy.Paths) *[2]compiled {
	var t [2]compiled
	for d := range past {
		t[d].stateful = statefulOf(past[d])
		defaults := make(map[policy.Ref]policy.Action)
		for _, st := range past[d] {
			defaults[st.DefaultRef] = st.Default
		}
		t[d].table = classify.Compile(past[d], func(r policy.Ref) (int32, bool) {
			id, ok := p.id(r)
			if action, is := defaults[r]; ok && is && p.rules[id].Action != action {
				ok = false // the stage ended otherwise then
			}
			if !ok {
				id = int32(len(p.rules))
			}
			return id, true
		})
	}
	return &t
}

// judge disposes of r under one reading by the paths that were in force.
func (w *worker) judge(i int32, r *store.Row, x *orient.Reading) (flow.Disposition, string) {
	if !w.e.cut(i) {
		return w.read(w.ruleOf(w.e.paths.of(i), r.Proto, x), i, r, x)
	}
	_, d, cause := w.inForce(i, r, x)
	return d, cause
}

// inForce returns the paths that r, under one reading, was judged by, with the outcome:
// those of the eras that it touches; if all of those deny what was accepted, and its
// opening is not in sight, those of the latest era before that allows it.
//
// The record agrees with the policy if it does under any of those paths.
func (w *worker) inForce(i int32, r *store.Row, x *orient.Reading) ([]*[2]compiled, flow.Disposition, string) {
	w.during = w.during[:0]
	for era := r.EraLo; era <= r.EraHi; era++ {
		for _, t := range w.tables(i, era) {
			if !slices.Contains(w.during, t) {
				w.during = append(w.during, t)
			}
		}
	}
	d, cause := w.best(w.during, i, r, x)
	if d != flow.Unexplained || r.Class == flow.Opener || r.Class == flow.Answer {
		return w.during, d, cause
	}
	open := false // whether earlier rules allowed it may not be known
	for era := int(r.EraLo) - 1; era >= 0; era-- {
		earlier := w.tables(i, uint32(era))
		switch then, _ := w.best(earlier, i, r, x); then {
		case flow.Permitted, flow.Reply:
			return earlier, then, outlived
		case flow.Unscoped:
			open = open || era >= w.e.eldest[i]
		}
	}
	if open {
		return w.during, flow.Unscoped, ""
	}
	return w.during, d, cause
}

// best returns the outcome of r under those of the paths that explain it best, the latest
// first.
func (w *worker) best(ts []*[2]compiled, i int32, r *store.Row, x *orient.Reading) (flow.Disposition, string) {
	rank := func(d flow.Disposition) int {
		switch d {
		case flow.Unexplained, flow.Contradicted:
			return 0
		case flow.Unscoped:
			return 1
		}
		return 2
	}
	var d flow.Disposition
	var cause string
	for n := len(ts) - 1; n >= 0; n-- {
		dn, cn := w.read(w.ruleOf(ts[n], r.Proto, x), i, r, x)
		if n == len(ts)-1 || rank(dn) > rank(d) {
			d, cause = dn, cn
		}
	}
	return d, cause
}

// dated is an entry with its time.
type dated struct {
	row          int
	eraLo, eraHi uint32
	reading      orient.Reading
	certain      bool
}

// markEras credits the rules that decided row r, read as e says, at its time. Only rules
// on which all paths agree that may have been in force are hits. What the present rules
// would decide is possible: they were not all there. It reports whether rules carried
// the row that are not there now, and whether the rules of its time did, whichever of those that may have been in force. opened
// says that the opening of such a connection was seen at that time, or need not show.
func (w *worker) markEras(i int32, e *dated, r *store.Row, opened bool) (former, carried bool) {
	now := w.e.paths.of(i)
	ts, _, _ := w.inForce(i, r, &e.reading)
	carried = !slices.ContainsFunc(ts, func(t *[2]compiled) bool { return !w.allows(t, i, r, &e.reading) })
	if len(ts) == 1 && ts[0] == now && opened {
		w.mark(now, w.ruleOf(now, r.Proto, &e.reading), r, &e.reading, e.certain, &w.marks)
		return false, carried
	}
	former = true
	last := int32(len(w.e.paths.rules))
	for n, t := range ts {
		w.one.reset()
		w.mark(t, w.ruleOf(t, r.Proto, &e.reading), r, &e.reading, e.certain, &w.one)
		former = former && slices.Contains(w.one.hits, last)
		w.one.drop(last)
		w.marks.possible = append(append(w.marks.possible, w.one.hits...), w.one.possible...)
		if n == 0 {
			w.common.reset()
			w.common.hits = append(w.common.hits, w.one.hits...)
			w.common.decisive = append(w.common.decisive, w.one.decisive...)
			continue
		}
		w.common.keep(&w.one)
	}
	if !opened {
		w.openedBefore(i, e, r)
	}
	w.marks.hits = append(w.marks.hits, w.common.hits...)
	w.marks.decisive = append(w.marks.decisive, w.common.decisive...)
	w.one.reset()
	w.mark(now, w.ruleOf(now, r.Proto, &e.reading), r, &e.reading, e.certain, &w.one)
	w.marks.possible = append(append(w.marks.possible, w.one.hits...), w.one.possible...)
	return former, carried
}

// creditEras credits the rules that decided the entries es of one connection, each at its
// time: all of them in w.marks, and where they are not the same at all times, those of
// each time in a part. It reports whether rules carried any of it that are not there
// now, and whether the rules of the time certainly carried all of it.
func (w *worker) creditEras(p *part, i int32, entries []entry) (former, carried bool) {
	var r store.Row
	es := w.dated[:0]
	for n := range entries {
		e := &entries[n]
		w.e.c.Row(int(e.row), &r)
		es = append(es, dated{int(e.row), r.EraLo, r.EraHi, e.reading(&r), e.certain})
	}
	w.dated = es
	slices.SortStableFunc(es, func(a, b dated) int { return cmp.Or(cmp.Compare(a.eraLo, b.eraLo), cmp.Compare(a.eraHi, b.eraHi)) })
	carried = true
	w.whole.reset()
	type time struct {
		seen Seen
		Signature
	}
	var times []time
	for lo, hi := 0, 0; lo < len(es); lo = hi {
		var seen Seen
		w.marks.reset()
		opened := false // in sight
		for ; hi < len(es) && es[hi].eraLo == es[lo].eraLo && es[hi].eraHi == es[lo].eraHi; hi++ {
			w.e.c.Row(es[hi].row, &r)
			opened = opened || r.Class != flow.Midlife
		}
		for n := lo; n < hi; n++ {
			w.e.c.Row(es[n].row, &r)
			seen.add(Seen{r.Records, r.Packets, r.Bytes, r.First, r.Last, r.Days})
			byFormer, byThose := w.markEras(i, &es[n], &r, opened)
			former, carried = former || byFormer, carried && byThose
		}
		w.marks.tidy()
		w.whole.hits = append(w.whole.hits, w.marks.hits...)
		w.whole.decisive = append(w.whole.decisive, w.marks.decisive...)
		w.whole.possible = append(w.whole.possible, w.marks.possible...)
		times = append(times, time{seen, Signature{keep(w.marks.hits), keep(w.marks.decisive), keep(w.marks.possible)}})
	}
	w.whole.tidy()
	differ := false
	for n := range times {
		// What is a hit at one time says all that the connection can say of the rule.
		t := &times[n]
		t.Possible = slices.DeleteFunc(t.Possible, func(id int32) bool { return has(w.whole.hits, id) })
		differ = differ || t.key() != times[0].key()
	}
	for n := range times {
		if !differ {
			break
		}
		w.marks.reset()
		w.marks.hits, w.marks.decisive, w.marks.possible = append(w.marks.hits, times[n].Hits...), append(w.marks.decisive, times[n].Decisive...), append(w.marks.possible, times[n].Possible...)
		p.parts = append(p.parts, Part{int32(len(w.packing[0].done()) + len(w.packing[1].done())), w.intern(), times[n].seen})
	}
	w.marks.reset()
	w.marks.hits, w.marks.decisive, w.marks.possible = append(w.marks.hits, w.whole.hits...), append(w.marks.decisive, w.whole.decisive...), append(w.marks.possible, w.whole.possible...)
	return former, carried
}

// openedBefore leaves in w.common the rules that earlier ones needed, too: row r shows a
// connection in mid-life, which may have been opened under those. A connection is matched
// when it is opened, never again.
func (w *worker) openedBefore(i int32, e *dated, r *store.Row) {
	if r.Action != flow.Accept {
		return
	}
	for era := int(r.EraLo) - 1; era >= w.e.eldest[i]; era-- {
		for _, t := range w.tables(i, uint32(era)) {
			if w.allows(t, i, r, &e.reading) {
				w.one.reset()
				w.mark(t, w.ruleOf(t, r.Proto, &e.reading), r, &e.reading, e.certain, &w.one)
				w.common.keep(&w.one)
			}
		}
	}
}

// allows reports whether the paths t allow row r, which was accepted.
func (w *worker) allows(t *[2]compiled, i int32, r *store.Row, x *orient.Reading) bool {
	d, _ := w.read(w.ruleOf(t, r.Proto, x), i, r, x)
	return d == flow.Permitted || d == flow.Reply
}

// keep leaves in m the hits that o has as well.
func (m *marks) keep(o *marks) {
	m.hits = slices.DeleteFunc(m.hits, func(id int32) bool { return !slices.Contains(o.hits, id) })
	m.decisive = slices.DeleteFunc(m.decisive, func(id int32) bool { return !slices.Contains(o.decisive, id) })
}

// drop leaves out rules with the id past, which are not there now.
func (m *marks) drop(past int32) {
	is := func(id int32) bool { return id == past }
	m.hits, m.decisive, m.possible = slices.DeleteFunc(m.hits, is), slices.DeleteFunc(m.decisive, is), slices.DeleteFunc(m.possible, is)
}
