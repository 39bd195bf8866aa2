package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/cover"
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
	free     uint8           // low bits of remote that are folded: all of that prefix has to be admitted
	services netset.Services // one port; a range of which any may have been it; a whole protocol without ports
	days     uint64
}

func (o obligation) compare(p obligation) int {
	return cmp.Or(cmp.Compare(o.class, p.class), cmp.Compare(o.dir, p.dir), o.remote.Compare(p.remote), cmp.Compare(p.free, o.free),
		cmp.Compare(o.services.First, p.services.First), cmp.Compare(o.services.Last, p.services.Last))
}

// obligations returns the distinct obligations that res holds, in order.
//
// A connection that the groups admit and the network ACL of the snapshot does not is
// one, too: it was accepted, so a group rule carried it, whatever the snapshot says of
// the ACL.
func obligations(res *engine.Result, w *world) []obligation {
	out := make([]obligation, 0, res.Connections.Len())
	for _, c := range res.Connections.All() {
		if c.Action == flow.Reject || c.GroupVerdict == policy.Denied && c.Verdict == policy.Denied {
			continue
		}
		s := netset.ServiceOf(c.Proto, netset.PortRange{First: c.Port, Last: max(c.Port, c.PortHi)})
		out = append(out, obligation{w.classOf[c.Interface], c.Direction, c.Remote, c.RemoteFree, s, c.Days})
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

// addrs returns the addresses of the peers.
func (o *obligation) addrs() netset.Addrs { return netset.Folded(o.remote, o.free) }

// slack bounds how much more the best rules for obs may admit than those for the peers
// behind them, as an exposure: take the best cover of the peers, and replace in it each
// prefix that lies inside a folded one by that. There are no more rules then, and each
// folded prefix adds at most its own exposure, less that of a peer, which it holds at least.
// It is empty if none is folded.
func slack(obs []obligation) string {
	var all, least []netset.Box
	for i := range obs {
		if o := &obs[i]; o.free > 0 {
			all = append(all, netset.Box{Services: o.services, Addrs: o.addrs()})
			least = append(least, netset.Box{Services: o.services, Addrs: netset.OneAddr(o.remote)})
		}
	}
	if len(all) == 0 {
		return ""
	}
	return cover.Exposure(all).Sub(cover.Exposure(least)).String()
}

// signature is which rules match an obligation. Indexes into world.rules, ascending.
type signature struct {
	whole   []int32  // admit all of it for certain
	part    []int32  // admit a part of it; kept as they are if no rule admits the whole
	perhaps []int32  // may match: an ICMP type, addresses that are not known
	free    carriers // admit it whatever the rules do: then none of them is obliged to
}

// match finds the signature of each obligation: the distinct ones, and for each
// obligation which it has. Rules that a stronger deny keeps from an obligation are not in
// its signature. It costs a search among the prefixes of the class for each
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
		m := newMatcher(w, &w.classes[obs[s.lo].class], obs[s.lo].dir)
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

// matcher finds signatures in one class and direction. What it matches are bits.
type matcher struct {
	all   []matched
	list  *ordered // nil: all of them allow and speak together
	words int

	services map[netset.Services]*serviceBits
	odd      []uint64 // those whose addresses are not all known
	vague    []uint64 // those that restrict what is not known of an obligation, or may miss what they name
	cuts     []cut
	cells    []uint64 // those that hold the addresses from each cut on, words to a cell
	remote   netset.Addrs
	held     []uint64 // those that hold all of remote
	some     []uint64 // those that hold any of it
	exempt   bool     // remote is
	known    map[string]int32
	key      []byte
}

// matched is a rule, or an implicit line of an ordered list, as a matcher reads it.
type matched struct {
	rule     int32 // index into world.rules; negative: none
	deny     bool
	by       carrier
	named    []netset.Services
	addrs    []netset.Addrs
	anywhere bool // it may match addresses it is not known to hold
	vague    bool // what it holds it matches perhaps
}

type serviceBits struct{ whole, part []uint64 }

func newMatcher(w *world, c *class, d flow.Direction) *matcher {
	m := &matcher{list: c.lists[side(d)], services: make(map[netset.Services]*serviceBits), known: make(map[string]int32)}
	switch {
	case c.opaque: // no rule is asked: all are kept
	case m.list != nil:
		for i := range m.list.lines {
			m.all = append(m.all, w.readLine(m.list, i))
		}
	default:
		for _, i := range c.rules[side(d)] {
			r := &w.rules[i]
			m.all = append(m.all, matched{rule: i, named: r.named, addrs: r.addrs, anywhere: r.perhapsAnywhere(), vague: r.mixed})
		}
	}
	m.words = (len(m.all) + 63) / 64
	m.odd, m.vague = make([]uint64, m.words), make([]uint64, m.words)
	m.held, m.some = make([]uint64, m.words), make([]uint64, m.words)
	for b := range m.all {
		if m.all[b].anywhere {
			m.odd[b/64] |= 1 << (b % 64)
		}
		if m.all[b].vague {
			m.vague[b/64] |= 1 << (b % 64)
		}
		for _, a := range m.all[b].addrs {
			m.cuts = append(m.cuts, cut{a.First, false}, cut{a.Last, true})
		}
	}
	slices.SortFunc(m.cuts, cut.compare)
	m.cuts = slices.Compact(m.cuts)
	m.cells = make([]uint64, len(m.cuts)*m.words)
	for b := range m.all {
		for _, a := range m.all[b].addrs {
			at, _ := slices.BinarySearchFunc(m.cuts, cut{a.First, false}, cut.compare)
			for end := (cut{a.Last, true}); m.cuts[at] != end; at++ {
				m.cells[at*m.words+b/64] |= 1 << (b % 64)
			}
		}
	}
	return m
}

// readLine returns line i of o as a matcher reads it.
func (w *world) readLine(o *ordered, i int) matched {
	x, l := &o.list.Lines[i], &o.lines[i]
	m := matched{rule: l.rule, deny: x.Rule.Action == policy.Deny, by: l.by}
	var more []netset.Addrs
	if l.rule < 0 {
		m.named = []netset.Services{netset.AllServices}
		m.vague = !x.Exact
		for k := range x.Rule.Match {
			m.anywhere = m.anywhere || x.Rule.Match[k].Remote.Unknown
			for _, p := range x.Rule.Match[k].Remote.Prefixes {
				more = append(more, netset.AddrsOf(p))
			}
		}
	} else {
		r := &w.rules[l.rule]
		m.named, m.addrs = r.named, r.addrs
		m.anywhere, m.vague = r.unknown || r.behind, r.odd || r.mixed || r.slack()
		if r.odd {
			for _, b := range x.Perhaps {
				more = append(more, b.Addrs)
			}
		}
	}
	if len(more) > 0 {
		m.addrs = outermost(more)
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

// hold finds the rules that hold all of a for certain, and those that hold any of it.
func (m *matcher) hold(a netset.Addrs) {
	clear(m.held)
	clear(m.some)
	at, found := slices.BinarySearchFunc(m.cuts, cut{a.First, false}, cut.compare)
	if !found {
		at--
	}
	if at >= 0 {
		copy(m.held, m.cells[at*m.words:(at+1)*m.words])
		copy(m.some, m.held)
	}
	// The snapshot's own rules do not cut what the store has rolled up; those of a plan may.
	for at++; at < len(m.cuts) && m.cuts[at].compare(cut{a.Last, false}) <= 0; at++ {
		for k, v := range m.cells[at*m.words : (at+1)*m.words] {
			m.held[k] &= v
			m.some[k] |= v
		}
	}
}

func (m *matcher) bits(s netset.Services) *serviceBits {
	if b, ok := m.services[s]; ok {
		return b
	}
	x := &serviceBits{make([]uint64, m.words), make([]uint64, m.words)}
	for b := range m.all {
		for _, have := range m.all[b].named {
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
	if a := o.addrs(); a != m.remote {
		m.remote = a
		m.hold(a)
		m.exempt = m.list != nil && slices.ContainsFunc(m.list.exempt, func(p netip.Prefix) bool { return netset.AddrsOf(p).Covers(a) })
	}
	s := m.bits(o.services)
	p, _ := o.services.Proto()
	m.key = m.key[:0]
	for k := range m.words {
		whole := m.held[k] & s.whole[k] &^ m.vague[k]
		part := (m.some[k]&(s.whole[k]|s.part[k]) | m.held[k]&s.part[k]) &^ whole &^ m.vague[k]
		perhaps := (m.odd[k] | m.some[k]&m.vague[k]) & (s.whole[k] | s.part[k]) &^ whole
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
	if m.exempt {
		m.key = append(m.key[:0], 1) // no list of any length has a key of one byte
	}
	if id, ok := m.known[string(m.key)]; ok {
		return id
	}
	id := int32(len(*sigs))
	*sigs = append(*sigs, m.signature())
	m.known[string(m.key)] = id
	return id
}

// bit reports whether match b is of this kind under the key: 0 whole, 1 part, 2 perhaps.
func (m *matcher) bit(b, kind int) bool {
	return m.key[b/64*24+8*kind+b%64/8]>>(b%8)&1 != 0
}

// signature returns what the key says. In an ordered list the first deny that matches
// for certain ends it; one that perhaps matches makes all that it outranks perhaps.
func (m *matcher) signature() signature {
	var sig signature
	if m.exempt {
		sig.free = byPlatform
		return sig
	}
	tainted := false
	for b := range m.all {
		x := &m.all[b]
		whole, perhaps := m.bit(b, 0), m.bit(b, 2)
		part := !whole && !perhaps && m.bit(b, 1)
		switch {
		case !whole && !perhaps && !part:
		case x.deny && whole:
			sig.sort()
			return sig
		case x.deny:
			tainted = true
		case x.rule < 0:
			if whole && !tainted {
				sig.free |= x.by
			}
		case perhaps || tainted:
			sig.perhaps = append(sig.perhaps, x.rule)
		case whole:
			sig.whole = append(sig.whole, x.rule)
		default:
			sig.part = append(sig.part, x.rule)
		}
	}
	if m.list != nil {
		if m.list.everything != nil && !tainted {
			sig.free |= byDefault
		}
		sig.sort()
	}
	return sig
}

// sort puts rules in the order of their indexes.
func (s *signature) sort() {
	slices.Sort(s.whole)
	slices.Sort(s.part)
	slices.Sort(s.perhaps)
}
