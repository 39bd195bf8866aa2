package engine

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// connect groups the entries of one interface into connections and credits the rules
// that decide them.
func (w *worker) connect(p *part, i int32) {
	slices.SortFunc(w.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.opener, b.opener), cmp.Compare(a.proto, b.proto), a.remote.Compare(b.remote),
			cmp.Compare(a.port, b.port), cmp.Compare(a.portHi, b.portHi), cmp.Compare(a.action, b.action),
			cmp.Compare(a.row, b.row), cmp.Compare(a.reading.Packet, b.reading.Packet))
	})
	for lo := 0; lo < len(w.entries); {
		hi := lo + 1
		for hi < len(w.entries) && w.entries[lo].sameConnection(&w.entries[hi]) {
			hi++
		}
		p.connections = append(p.connections, w.credit(p, i, w.entries[lo:hi]))
		lo = hi
	}
}

// credit makes the connection that all entries in es belong to.
func (w *worker) credit(p *part, i int32, es []entry) Connection {
	e := &es[0]
	c := Connection{Interface: i, Direction: e.opener, Proto: e.proto, Action: e.action, Remote: e.remote, Port: e.port, PortHi: e.portHi,
		Answered: e.proto != flow.TCP}
	w.marks.reset()
	passed := false // any of its packets
	t := &w.e.paths.tables[w.e.paths.class[i]]
	cut := w.e.cut(i)
	var r store.Row
	for n := range es {
		e = &es[n]
		w.e.c.Row(e.row, &r)
		if n == 0 {
			c.First, c.Last = r.First, r.Last
		}
		c.First, c.Last, c.Days = min(c.First, r.First), max(c.Last, r.Last), c.Days|r.Days
		c.Records, c.Packets, c.Bytes = sum(c.Records, r.Records), sum(c.Packets, r.Packets), sum(c.Bytes, r.Bytes)
		c.Certain = c.Certain || e.certain
		c.Proven = c.Proven || e.certain && w.e.openers[e.row].Method.Proven()
		if r.Action == flow.Accept {
			passed = true
			bareReset := r.Class == flow.Midlife && r.Flags&(flow.FIN|flow.SYN|flow.RST) == flow.RST
			if e.reading.IsReply() || r.Class == flow.Midlife {
				c.Answered = c.Answered || !bareReset
			}
		}

		if !cut {
			w.mark(t, e, &r, &w.marks)
			if n == 0 {
				c.Verdict, c.GroupVerdict = w.request.all, w.request.stateful
			}
			continue
		}
		if n == 0 {
			t[side(e.opener)].connection(e.proto, &e.reading, &w.request)
			c.Verdict, c.GroupVerdict = w.request.all, w.request.stateful
		}
	}
	if cut {
		former, carried := w.creditEras(p, i, es)
		if former && passed {
			p.former++
		}
		c.Carried = carried && passed
	}
	if c.Action == flow.Accept && !passed {
		// Nothing but rejected answers: to what, nobody saw. Anyone can send those.
		c.Action = flow.Reject
	}
	c.Signature = w.intern()
	return c
}

// mark adds to m the rules of t that decide row r, read as e says.
func (w *worker) mark(t *[2]compiled, e *entry, r *store.Row, m *marks) {
	t[side(e.opener)].connection(e.proto, &e.reading, &w.request)
	switch {
	case r.Action == flow.Accept:
		m.accepted(&w.request, e.certain)
	case !e.reading.IsReply():
		m.rejected(&w.request, t[side(e.opener)].stages, e.certain)
	}
	if e.reading.IsReply() {
		back := &t[side(e.reading.Packet)]
		back.packet(e.proto, &e.reading, &w.packet)
		if r.Action == flow.Accept {
			m.accepted(&w.packet, e.certain)
		} else if w.request.stateful != policy.Denied {
			m.rejected(&w.packet, back.stages, e.certain && w.request.stateful == policy.Allowed)
		}
	}
}

// marks collects the rules that one connection credits.
type marks struct {
	hits, decisive, possible []int32
	rules                    []*policy.Rule // by id; rules that are not there now have the id past the last
}

func (m *marks) reset() { m.hits, m.decisive, m.possible = m.hits[:0], m.decisive[:0], m.possible[:0] }

// accepted credits what allowed j: the log says every stage did, so a stage whose
// rules allow is decisive where its single winner is, whatever another stage says.
func (m *marks) accepted(j *judgement, certain bool) {
	for n := range j.out.Stages {
		st := &j.out.Stages[n]
		if st.Skipped {
			continue
		}
		m.perhaps(st.Possible, policy.Deny)
		switch st.Verdict {
		case policy.Allowed:
			m.add(st.Winners, st.Decisive, certain)
		case policy.Unknown: // it passed, so what might have denied it did not
			m.perhaps(st.Winners, policy.Deny)
		}
	}
}

// perhaps credits rules that may have decided, but those of the action that did not.
func (m *marks) perhaps(ids []int32, not policy.Action) {
	for _, id := range ids {
		if int(id) >= len(m.rules) || (m.rules[id].Action == policy.Deny) != (not == policy.Deny) {
			m.possible = append(m.possible, id)
		}
	}
}

// rejected credits what denied j: a stateless stage's line only where the groups
// would have allowed, since otherwise nothing tells which of the two rejected. A rule is
// decisive if without it the verdict of the path would change: not where another stage
// denies as well.
func (m *marks) rejected(j *judgement, stages []policy.Stage, certain bool) {
	for n := range j.out.Stages {
		st := &j.out.Stages[n]
		if st.Skipped || st.Verdict == policy.Allowed || !stages[st.Stage].Stateful && j.stateful == policy.Denied {
			continue
		}
		m.perhaps(st.Possible, policy.Allow)
		if st.Verdict == policy.Unknown {
			m.perhaps(st.Winners, policy.Allow)
			continue
		}
		alone := !slices.ContainsFunc(j.out.Stages, func(o classify.StageOutcome) bool { return o.Stage != st.Stage && o.Verdict != policy.Allowed })
		m.add(st.Winners, st.Decisive && alone, certain && j.stateful != policy.Unknown)
	}
}

func (m *marks) add(winners []int32, decisive, certain bool) {
	if !certain {
		m.possible = append(m.possible, winners...)
		return
	}
	m.hits = append(m.hits, winners...)
	if decisive {
		m.decisive = append(m.decisive, winners...)
	}
}

// tidy sorts the rules of m and leaves each there once.
func (m *marks) tidy() {
	tidy := func(s []int32) []int32 {
		slices.Sort(s)
		return slices.Compact(s)
	}
	m.hits, m.decisive, m.possible = tidy(m.hits), tidy(m.decisive), tidy(m.possible)
	m.possible = slices.DeleteFunc(m.possible, func(id int32) bool { return has(m.hits, id) })
}

// has reports whether id is in ids, which ascend.
func has(ids []int32, id int32) bool {
	_, ok := slices.BinarySearch(ids, id)
	return ok
}

// intern returns the worker's number for the signature in w.marks.
func (w *worker) intern() int32 {
	m := &w.marks
	m.tidy()
	w.sigKey = w.sigKey[:0]
	for _, s := range [3][]int32{m.hits, m.decisive, m.possible} {
		w.sigKey = binary.AppendUvarint(w.sigKey, uint64(len(s)))
		for _, id := range s {
			w.sigKey = binary.AppendUvarint(w.sigKey, uint64(id+1))
		}
	}
	if n, ok := w.sigs[string(w.sigKey)]; ok {
		return n
	}
	n := int32(len(w.sigList))
	w.sigs[string(w.sigKey)] = n
	w.sigList = append(w.sigList, Signature{keep(m.hits), keep(m.decisive), keep(m.possible)})
	return n
}

func keep(s []int32) []int32 { return append([]int32(nil), s...) }

// sum adds without wrapping.
func sum(a, b uint64) uint64 {
	if a+b < a {
		return ^uint64(0)
	}
	return a + b
}

// merge joins the parts in interface order.
func (e *replayer) merge(parts []part) *Result {
	res := &Result{Snapshot: e.snap, Store: e.c, History: e.hist, Openers: e.openers, Ledger: e.c.Ledger()}
	numbers := make(map[*worker][]int32)
	known := make(map[string]int32)
	for i := range parts {
		p := &parts[i]
		res.Ledger.Merge(&p.ledger)
		for m, n := range p.orientation {
			res.Orientation[m] += n
		}
		res.Former += p.former
		res.Outlived = sum(res.Outlived, p.fidelity.Outlived)
		res.RejectedBy.add(&p.rejected)
		res.Undecided = append(res.Undecided, p.undecided...)
		if p.fidelity.Judged > 0 {
			res.Fidelity.Judged += p.fidelity.Judged
			res.Fidelity.Agree += p.fidelity.Agree
			res.Fidelity.Interfaces = append(res.Fidelity.Interfaces, p.fidelity)
		}
		if p.owner == nil {
			continue
		}
		// Number the signatures by first use, so that no worker shows.
		own := numbers[p.owner]
		if own == nil {
			own = slices.Repeat([]int32{-1}, len(p.owner.sigList))
			numbers[p.owner] = own
		}
		number := func(signature *int32) {
			if own[*signature] < 0 {
				s := p.owner.sigList[*signature]
				k := s.key()
				n, ok := known[k]
				if !ok {
					n = int32(len(res.Signatures))
					known[k] = n
					res.Signatures = append(res.Signatures, s)
				}
				own[*signature] = n
			}
			*signature = own[*signature]
		}
		for j := range p.connections {
			number(&p.connections[j].Signature)
		}
		for j := range p.parts {
			number(&p.parts[j].Signature)
			p.parts[j].Connection += int32(len(res.Connections))
		}
		res.Connections, res.Parts = append(res.Connections, p.connections...), append(res.Parts, p.parts...)
		p.connections, p.parts = nil, nil
	}
	slices.SortFunc(res.Undecided, compareUndecided)
	res.Undecided = res.Undecided[:min(len(res.Undecided), maxUndecided)]
	res.Rules, res.Usage = e.paths.rules, e.usage(res)
	res.checkSum()
	return res
}

func (s *Signature) key() string {
	var b []byte
	for _, l := range [3][]int32{s.Hits, s.Decisive, s.Possible} {
		b = binary.AppendUvarint(b, uint64(len(l)))
		for _, id := range l {
			b = binary.AppendUvarint(b, uint64(id+1))
		}
	}
	return string(b)
}

func compareUndecided(a, b Undecided) int {
	return cmp.Or(cmp.Compare(b.Records, a.Records), strings.Compare(a.Interface, b.Interface), cmp.Compare(a.Proto, b.Proto),
		a.Local.Compare(b.Local), a.Remote.Compare(b.Remote), cmp.Compare(a.LocalPort, b.LocalPort), cmp.Compare(a.RemotePort, b.RemotePort))
}

// usage sums up what the connections say of each rule.
func (e *replayer) usage(res *Result) []Usage {
	all := make([]Usage, len(e.paths.rules))
	for i, r := range e.paths.rules {
		all[i].Ref = r.Ref
	}
	lastInterface := slices.Repeat([]int32{-1}, len(all))
	for i := range res.Connections {
		c := &res.Connections[i]
		s := &res.Signatures[c.Signature]
		for _, id := range s.Hits {
			u, seen := &all[id], res.Seen(i, id)
			if u.Hits == 0 {
				u.First, u.Last = seen.First, seen.Last
			}
			u.Hits++
			u.First, u.Last, u.Days = min(u.First, seen.First), max(u.Last, seen.Last), u.Days|seen.Days
			u.Records, u.Packets, u.Bytes = sum(u.Records, seen.Records), sum(u.Packets, seen.Packets), sum(u.Bytes, seen.Bytes)
			if c.Answered {
				u.Answered++
			}
			if lastInterface[id] != c.Interface {
				lastInterface[id] = c.Interface
				u.Interfaces++
			}
		}
		for _, id := range s.Decisive {
			all[id].Decisive++
			if c.Proven {
				all[id].Proven++
			}
		}
		for _, id := range s.Possible {
			all[id].Possible++
		}
	}
	countPeers(res, all)

	return all
}

// countPeers counts the distinct remote addresses of each rule's hits: connections
// are visited address by address, so a stamp a rule is all the memory it takes.
func countPeers(res *Result, all []Usage) {
	ids := make(map[flow.Addr]int32)
	start := []int32{0}
	for i := range res.Connections {
		a := res.Connections[i].Remote
		id, ok := ids[a]
		if !ok {
			id = int32(len(ids))
			ids[a] = id
			start = append(start, 0)
		}
		start[id+1]++
	}
	for i := 1; i < len(start); i++ {
		start[i] += start[i-1]
	}
	order := make([]int32, len(res.Connections))
	for i := range res.Connections {
		id := ids[res.Connections[i].Remote]
		order[start[id]] = int32(i)
		start[id]++
	}
	stamp := make([]flow.Addr, len(all))
	for _, i := range order {
		c := &res.Connections[i]
		for _, id := range res.Signatures[c.Signature].Hits {
			if stamp[id] != c.Remote {
				stamp[id] = c.Remote
				all[id].Peers++
			}
		}
	}
}
