package engine

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// connect groups the entries of one interface into connections and credits the rules
// that decide them.
func (w *worker) connect(p *part, i int32) {
	for _, es := range w.entries {
		sortEntries(es)
		for lo := 0; lo < len(es); {
			hi := lo + 1
			for hi < len(es) && es[lo].service == es[hi].service && es[lo].sameHosts(&es[hi]) {
				hi++
			}
			c := w.credit(p, i, es[lo:hi])
			w.pack(p, &c)
			lo = hi
		}
	}
}

// sortEntries sorts entries of one direction by protocol, remote address, service, row,
// and direction of the packets. They come in the order of rows, so that only those of
// one pair of hosts have to be sorted, few as a rule; entries of rows whose local side is
// not known may be anywhere.
func sortEntries(es []entry) {
	byService := func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.row, b.row), cmp.Compare(a.packet, b.packet))
	}
	byHosts := func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.proto, b.proto), a.remote.Compare(b.remote), cmp.Compare(a.remoteFree, b.remoteFree))
	}
	for lo, hi := 0, 0; lo < len(es); lo = hi {
		sorted := true
		for hi = lo + 1; hi < len(es) && es[hi].sameHosts(&es[lo]); hi++ {
			sorted = sorted && es[hi-1].service <= es[hi].service
		}
		if hi < len(es) && byHosts(&es[lo], &es[hi]) > 0 {
			slices.SortFunc(es, func(a, b entry) int { return cmp.Or(byHosts(&a, &b), byService(a, b)) })
			return
		}
		if !sorted {
			slices.SortFunc(es[lo:hi], byService)
		}
	}
}

// credit makes the connection that all entries in es belong to.
func (w *worker) credit(p *part, i int32, es []entry) Connection {
	e := &es[0]
	c := Connection{Interface: i, Direction: e.opener, Proto: e.proto, Action: e.action(), Remote: e.remote, RemoteFree: e.remoteFree, Port: e.port(), PortHi: e.portHi(),
		Verdict: e.verdict, GroupVerdict: e.groupVerdict, Answered: e.proto != flow.TCP, Signature: e.mark}
	passed := false // any of its packets
	cut := w.e.cut(i)
	var r store.Row
	for n := range es {
		e = &es[n]
		w.e.c.Row(int(e.row), &r)
		if n == 0 {
			c.First, c.Last = r.First, r.Last
		}
		c.First, c.Last, c.Days = min(c.First, r.First), max(c.Last, r.Last), c.Days|r.Days
		c.Records, c.Packets, c.Bytes = sum(c.Records, r.Records), sum(c.Packets, r.Packets), sum(c.Bytes, r.Bytes)
		c.Certain = c.Certain || e.certain
		c.Proven = c.Proven || e.certain && w.e.openers[e.row].Method.Proven()
		if r.Action == flow.Accept {
			passed = true
			c.Answered = c.Answered || answers(&r, e.packet != e.opener)
		}
		if cut && n == 0 {
			x := e.reading(&r)
			j := w.ruleOf(w.e.paths.of(i), e.proto, &x).request
			c.Verdict, c.GroupVerdict = j.all, j.stateful
		}
		if !cut {
			c.Signature = w.union(c.Signature, e.mark)
		}
	}
	if cut {
		former, carried := w.creditEras(p, i, es)
		if former && passed {
			p.former++
		}
		c.Carried = carried && passed
		c.Signature = w.intern()
	}
	if c.Action == flow.Accept && !passed {
		// Nothing but rejected answers: to what, nobody saw. Anyone can send those.
		c.Action = flow.Reject
	}
	return c
}

// answers reports whether row r, whose packets passed, shows that the opener was answered:
// replies do, and so does what belongs to a connection that is open.
func answers(r *store.Row, reply bool) bool {
	bareReset := r.Class == flow.Midlife && r.Flags&(flow.FIN|flow.SYN|flow.RST) == flow.RST
	return (reply || r.Class == flow.Midlife) && !bareReset
}

// marked remembers what the last judgements, by their serial numbers, credited.
type marked struct {
	request, packet uint64
	mark            int32
}

// markOf returns the number of the signature that row r alone, read as x, of which the
// paths t say j, credits.
func (w *worker) markOf(t *[2]compiled, j ruling, r *store.Row, x *orient.Reading, certain bool) int32 {
	request, packet := j.request.serial, uint64(0)
	if j.packet != nil {
		packet = j.packet.serial
	}
	index := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	m := &w.marked[side(x.Opener)][side(x.Packet)][index(r.Action == flow.Accept)][index(certain)]
	if m.request != request || m.packet != packet || request == 0 {
		w.marks.reset()
		w.mark(t, j, r, x, certain, &w.marks)
		*m = marked{request, packet, w.intern()}
	}
	return m.mark
}

// mark adds to m the rules of t that decide row r, read as x, of which t says j.
func (w *worker) mark(t *[2]compiled, j ruling, r *store.Row, x *orient.Reading, certain bool, m *marks) {
	request := j.request
	switch {
	case r.Action == flow.Accept:
		m.accepted(request, certain)
	case !x.IsReply():
		m.rejected(request, t[side(x.Opener)].stateful, certain)
	}
	if packet := j.packet; packet != nil {
		if r.Action == flow.Accept {
			m.accepted(packet, certain)
		} else if request.stateful != policy.Denied {
			m.rejected(packet, t[side(x.Packet)].stateful, certain && request.stateful == policy.Allowed)
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
func (m *marks) rejected(j *judgement, stateful []bool, certain bool) {
	for n := range j.out.Stages {
		st := &j.out.Stages[n]
		if st.Skipped || st.Verdict == policy.Allowed || !stateful[st.Stage] && j.stateful == policy.Denied {
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
	hash := uint32(0)
	for _, s := range [3][]int32{m.hits, m.decisive, m.possible} {
		for _, id := range s {
			hash = (hash ^ uint32(id)) * 0x9e3779b1 // 2^32 over the golden ratio: spreads any input
		}
		hash = (hash ^ uint32(len(s))) * 0x9e3779b1
	}
	at := &w.interned[hash>>22%lately]
	if at.signature > 0 && slices.Equal(at.hits, m.hits) && slices.Equal(at.decisive, m.decisive) && slices.Equal(at.possible, m.possible) {
		return at.signature - 1
	}
	at.hits, at.decisive, at.possible = append(at.hits[:0], m.hits...), append(at.decisive[:0], m.decisive...), append(at.possible[:0], m.possible...)
	at.signature = w.internTidy() + 1
	return at.signature - 1
}

// internTidy is intern for marks that were not asked for lately.
func (w *worker) internTidy() int32 {
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
	k := string(w.sigKey)
	w.sigs[k] = n
	w.sigKeys = append(w.sigKeys, k)
	w.sigList = append(w.sigList, Signature{keep(m.hits), keep(m.decisive), keep(m.possible)})
	return n
}

// union returns the worker's number for the signature of what credits a and b.
func (w *worker) union(a, b int32) int32 {
	if a == b {
		return a
	}
	u := &w.unions[uint32(a*31+b)%lately]
	if u.a != a || u.b != b {
		w.marks.reset()
		for _, s := range [2]*Signature{&w.sigList[a], &w.sigList[b]} {
			w.marks.hits, w.marks.decisive = append(w.marks.hits, s.Hits...), append(w.marks.decisive, s.Decisive...)
			w.marks.possible = append(w.marks.possible, s.Possible...)
		}
		*u = union{a, b, w.intern()}
	}
	return u.both
}

// lately is how many signatures, and unions of two, are found at once if they were asked
// for lately.
const lately = 1 << 10

// union is two signatures, and that of both.
type union struct{ a, b, both int32 }

// interned is marks as they were before they were tidied, and their signature.
type interned struct {
	hits, decisive, possible []int32
	signature                int32 // plus one
}

func keep(s []int32) []int32 { return append([]int32(nil), s...) }

// sum adds without wrapping.
func sum(a, b uint64) uint64 {
	if a+b < a {
		return ^uint64(0)
	}
	return a + b
}

func compareUndecided(a, b Undecided) int {
	return cmp.Or(cmp.Compare(b.Records, a.Records), strings.Compare(a.Interface, b.Interface), cmp.Compare(a.Proto, b.Proto),
		a.Local.Compare(b.Local), a.Remote.Compare(b.Remote), cmp.Compare(a.RemoteFree, b.RemoteFree), cmp.Compare(a.LocalPort, b.LocalPort), cmp.Compare(a.RemotePort, b.RemotePort))
}
