package plan

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// obligation is what a plan must go on admitting: an accepted connection that the
// group rules carry, without the interface it was seen on. Of a connection whose
// opener is undecided each reading is one.
type obligation struct {
	class    int32
	dir      flow.Direction
	remote   flow.Addr
	services netset.Services // one port; a range of which any may have been it; a whole protocol without ports
	days     uint64
}

func (o obligation) compare(p obligation) int {
	return cmp.Or(cmp.Compare(o.class, p.class), cmp.Compare(o.dir, p.dir), o.remote.Compare(p.remote),
		cmp.Compare(o.services.First, p.services.First), cmp.Compare(o.services.Last, p.services.Last))
}

// obligations returns the distinct obligations that res holds, in order.
//
// A connection that the groups admit and the network ACL of the snapshot does not is
// one, too: it was accepted, so a group rule carried it, whatever the snapshot says of
// the ACL.
func obligations(res *engine.Result, w *world) []obligation {
	out := make([]obligation, 0, len(res.Connections))
	for i := range res.Connections {
		c := &res.Connections[i]
		if c.Action == flow.Reject || c.GroupVerdict == policy.Denied && c.Verdict == policy.Denied {
			continue
		}
		s := netset.ServiceOf(c.Proto, netset.PortRange{First: c.Port, Last: max(c.Port, c.PortHi)})
		out = append(out, obligation{w.classOf[c.Interface], c.Direction, c.Remote, s, c.Days})
	}
	slices.SortFunc(out, obligation.compare)
	n := 0
	for i := range out {
		if n > 0 && out[n-1].compare(out[i]) == 0 {
			out[n-1].days |= out[i].days
			continue
		}
		out[n] = out[i]
		n++
	}
	return out[:n]
}

// signature is which rules match an obligation. Indexes into world.rules, ascending.
type signature struct {
	whole   []int32 // admit all of it for certain
	part    []int32 // admit a part of it; kept as they are if no rule admits the whole
	perhaps []int32 // may match: an ICMP type, addresses that are not known
}

// match finds the signature of each obligation: the distinct ones, and for each
// obligation which it has. It costs a search among the prefixes of the class for each
// distinct remote address, one test of each of its rules for each distinct service, and a
// few words for each obligation.
func (w *world) match(obs []obligation) (sigs []signature, of []int32) {
	of = make([]int32, len(obs))
	type span struct {
		lo, hi int
		sigs   []signature
	}
	var spans []span // of one class and direction each
	for lo := 0; lo < len(obs); {
		hi := lo
		for hi < len(obs) && obs[hi].class == obs[lo].class && obs[hi].dir == obs[lo].dir {
			hi++
		}
		spans = append(spans, span{lo: lo, hi: hi})
		lo = hi
	}
	each(len(spans), func(n int) {
		s := &spans[n]
		m := newMatcher(w, w.classes[obs[s.lo].class].rules[side(obs[s.lo].dir)])
		for i := s.lo; i < s.hi; i++ {
			of[i] = m.find(&obs[i], &s.sigs)
		}
	})
	for _, s := range spans {
		for i := s.lo; i < s.hi; i++ {
			of[i] += int32(len(sigs))
		}
		sigs = append(sigs, s.sigs...)
	}
	return sigs, of
}

// matcher finds signatures in one class and direction. Rules are bits.
type matcher struct {
	w     *world
	rules []int32
	words int

	services map[netset.Services]*serviceBits
	odd      []uint64 // rules whose addresses are not all known
	cuts     []cut
	cells    []uint64 // rules that hold the addresses from each cut on, words to a cell
	remote   flow.Addr
	held     []uint64 // those of remote
	known    map[string]int32
	key      []byte
}

type serviceBits struct{ whole, part []uint64 }

func newMatcher(w *world, rules []int32) *matcher {
	m := &matcher{w: w, rules: rules, words: (len(rules) + 63) / 64,
		services: make(map[netset.Services]*serviceBits), known: make(map[string]int32)}
	m.odd, m.held = make([]uint64, m.words), make([]uint64, m.words)
	for b, i := range rules {
		if w.rules[i].perhapsAnywhere() {
			m.odd[b/64] |= 1 << (b % 64)
		}
		for _, a := range w.rules[i].addrs {
			m.cuts = append(m.cuts, cut{a.First, false}, cut{a.Last, true})
		}
	}
	slices.SortFunc(m.cuts, cut.compare)
	m.cuts = slices.Compact(m.cuts)
	m.cells = make([]uint64, len(m.cuts)*m.words)
	for b, i := range rules {
		for _, a := range w.rules[i].addrs {
			at, _ := slices.BinarySearchFunc(m.cuts, cut{a.First, false}, cut.compare)
			for end := (cut{a.Last, true}); m.cuts[at] != end; at++ {
				m.cells[at*m.words+b/64] |= 1 << (b % 64)
			}
		}
	}
	return m
}

// cut is where an interval of addresses begins: at addr, or after it.
type cut struct {
	addr  flow.Addr
	after bool
}

func (c cut) compare(d cut) int {
	return cmp.Or(c.addr.Compare(d.addr), compareBool(c.after, d.after))
}

// hold returns the rules that hold a for certain.
func (m *matcher) hold(a flow.Addr) []uint64 {
	at, found := slices.BinarySearchFunc(m.cuts, cut{a, false}, cut.compare)
	if !found {
		at--
	}
	if at < 0 {
		return m.held[:0]
	}
	return m.cells[at*m.words : (at+1)*m.words]
}

func (m *matcher) bits(s netset.Services) *serviceBits {
	if b, ok := m.services[s]; ok {
		return b
	}
	x := &serviceBits{make([]uint64, m.words), make([]uint64, m.words)}
	for b, i := range m.rules {
		for _, have := range m.w.rules[i].named {
			switch {
			case have.Covers(s):
				x.whole[b/64] |= 1 << (b % 64)
			case have.Overlaps(s):
				x.part[b/64] |= 1 << (b % 64)
			}
		}
	}
	m.services[s] = x
	return x
}

func (m *matcher) find(o *obligation, sigs *[]signature) int32 {
	if o.remote != m.remote {
		m.remote = o.remote
		clear(m.held)
		copy(m.held, m.hold(o.remote))
	}
	s := m.bits(o.services)
	p, _ := o.services.Proto()
	m.key = m.key[:0]
	for k := range m.words {
		whole := m.held[k] & s.whole[k]
		part := m.held[k] & s.part[k] &^ whole
		perhaps := m.odd[k] & (s.whole[k] | s.part[k]) &^ whole
		if p.IsICMP() {
			perhaps, part = perhaps|part, 0
		}
		for _, v := range [3]uint64{whole, part, perhaps} {
			for range 8 {
				m.key = append(m.key, byte(v))
				v >>= 8
			}
		}
	}
	if id, ok := m.known[string(m.key)]; ok {
		return id
	}
	var sig signature
	for b, i := range m.rules {
		at := b / 64 * 24
		bit := func(kind int) bool { return m.key[at+8*kind+b%64/8]>>(b%8)&1 != 0 }
		switch {
		case bit(0):
			sig.whole = append(sig.whole, i)
		case bit(2):
			sig.perhaps = append(sig.perhaps, i)
		case bit(1):
			sig.part = append(sig.part, i)
		}
	}
	id := int32(len(*sigs))
	*sigs = append(*sigs, sig)
	m.known[string(m.key)] = id
	return id
}
