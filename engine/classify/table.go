package classify

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Table is a compiled path. It is immutable and safe for concurrent use. The zero
// Table is a path without stages, which allows everything.
type Table struct {
	stages []stage
}

// stage is one compiled stage. Each box of its rules has one bit, in the order in
// which the boxes speak.
type stage struct {
	stateful  bool
	fallback  policy.Action // the default
	defaultID int32

	words   int      // of a row
	pool    []uint64 // the rows, by rowID
	bits    []int32  // bit → index in rules
	rules   []rule
	classes []class
	hasNext bool // some rule passes on to the next tier
	exempt  int  // the bit of exempt remote addresses, in remote rows only; -1: none

	// Where boxes are tried one after the other there is nothing of what follows.
	trials *trials

	services  []service
	serviceOf [256]uint8 // protocol → index in services
	local     side
	remote    side
}

// rule is a rule that has a box; its boxes are the bits lo to hi-1.
type rule struct {
	id     int32
	lo, hi int32
	class  int32
}

// class holds the rules that speak together: one tier, rank and action.
type class struct {
	action policy.Action
	lo, hi int // its bits
	tier   int // one past the last bit of its tier
}

// service holds what a group of protocols that no box tells apart needs.
type service struct {
	protos rowID // the boxes that hold the protocols
	typed  rowID // of them, those that restrict the ICMP type, for ICMP
	ports  bool
	inType bool // typed is not empty
	local  axis // rows are inside protos; no cuts: no box restricts the port
	remote axis
}

// side is the local or the remote address.
type side struct {
	none  rowID // the empty row, for an address of neither family
	in4   axis  // no cuts: every box holds every IPv4 address
	in6   axis6
	open  rowID // the boxes that perhaps hold any address
	doubt bool  // open is not empty
}

// box is one match of a rule with the place from which it speaks.
type box struct {
	tier  int
	rule  *policy.Rule
	match *policy.Match
	id    int32
	order int // of the rule on the path: keeps boxes of one rule together
}

// Compile builds the table of path, whose references have been resolved. index
// gives the caller's number of a rule or default; where it has none the number
// is -1. path is not kept.
func Compile(path []policy.Stage, index func(policy.Ref) (int32, bool)) *Table {
	return build(path, index, (*stage).compile)
}

// build builds the table of path; fill gives each stage what its boxes are found by.
func build(path []policy.Stage, index func(policy.Ref) (int32, bool), fill func(*stage, *policy.Stage, []box)) *Table {
	t := &Table{stages: make([]stage, len(path))}
	number := func(r policy.Ref) int32 {
		if id, ok := index(r); ok {
			return id
		}
		return -1
	}
	for i := range path {
		s, p := &t.stages[i], &path[i]
		s.stateful, s.fallback, s.defaultID = p.Stateful, p.Default, number(p.DefaultRef)
		boxes := orderBoxes(p, number)
		s.rank(boxes)
		fill(s, p, boxes)
	}
	return t
}

// compile builds the axes of s, whose boxes have been ranked.
func (s *stage) compile(p *policy.Stage, boxes []box) {
	n := len(boxes)
	s.exempt = -1
	if len(p.Exempt) > 0 {
		s.exempt = n
		n++
	}
	rows := newRows((n + 63) / 64)
	s.words = rows.words
	set := make([]uint64, s.words)
	rowOf := func(has func(m *policy.Match) bool) rowID {
		clear(set)
		for i := range boxes {
			if has(boxes[i].match) {
				set[i>>6] |= 1 << (i & 63)
			}
		}
		return rows.add(set)
	}

	s.compileServices(boxes, rows, rowOf)
	s.local.compile(boxes, rows, rowOf, func(m *policy.Match) *policy.AddrSet { return &m.Local }, nil, 0)
	s.remote.compile(boxes, rows, rowOf, func(m *policy.Match) *policy.AddrSet { return &m.Remote }, p.Exempt, s.exempt)
	s.pool = rows.done()
}

// orderBoxes returns the boxes of p, the strongest first.
func orderBoxes(p *policy.Stage, number func(policy.Ref) int32) []box {
	n := 0
	for t := range p.Tiers {
		n += len(p.Tiers[t].Rules)
	}
	boxes := make([]box, 0, n)
	order := 0
	for t := range p.Tiers {
		rs := p.Tiers[t].Rules
		for i := range rs {
			id := number(rs[i].Ref)
			for m := range rs[i].Match {
				boxes = append(boxes, box{t, &rs[i], &rs[i].Match[m], id, order})
			}
			order++
		}
	}
	// Paths are in this order as a rule.
	if !slices.IsSortedFunc(boxes, compareBoxes) {
		slices.SortStableFunc(boxes, compareBoxes)
	}
	return boxes
}

func compareBoxes(a, b box) int {
	return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.rule.Rank, b.rule.Rank),
		cmp.Compare(a.rule.Action, b.rule.Action), cmp.Compare(a.id, b.id), cmp.Compare(a.order, b.order))
}

// rank fills bits, rules and classes.
func (s *stage) rank(boxes []box) {
	s.bits, s.rules = make([]int32, 0, len(boxes)), make([]rule, 0, len(boxes))
	for i := range boxes {
		b := &boxes[i]
		var prev *box
		if i > 0 {
			prev = &boxes[i-1]
		}
		if prev == nil || prev.tier != b.tier || prev.rule.Rank != b.rule.Rank || prev.rule.Action != b.rule.Action {
			s.classes = append(s.classes, class{action: b.rule.Action, lo: i})
			s.hasNext = s.hasNext || b.rule.Action == policy.Next
		}
		if prev == nil || prev.order != b.order {
			s.rules = append(s.rules, rule{id: b.id, lo: int32(i), class: int32(len(s.classes) - 1)})
		}
		s.classes[len(s.classes)-1].hi = i + 1
		s.rules[len(s.rules)-1].hi = int32(i + 1)
		s.bits = append(s.bits, int32(len(s.rules)-1))
	}
	end := len(boxes)
	for c := len(s.classes) - 1; c >= 0; c-- {
		if hi := s.classes[c].hi; hi < len(boxes) && boxes[hi].tier != boxes[hi-1].tier {
			end = hi
		}
		s.classes[c].tier = end
	}
}

// compileServices groups the protocols that the same boxes hold and builds the
// port axes of each group.
func (s *stage) compileServices(boxes []box, rows *rows, rowOf func(func(*policy.Match) bool) rowID) {
	s.serviceOf = protocolClasses(boxes)
	for v, class := range s.serviceOf {
		if int(class) < len(s.services) {
			continue
		}
		p := flow.Proto(v) // stands for its class
		in := func(m *policy.Match) bool { return m.Protos.Has(p) }
		sv := service{protos: rowOf(in), ports: p.HasPorts()}
		if p.IsICMP() {
			restricts := func(m *policy.Match) bool { return in(m) && (m.ICMP.Type >= 0 || m.ICMP.Code >= 0) }
			sv.typed = rowOf(restricts)
			sv.inType = slices.ContainsFunc(boxes, func(b box) bool { return restricts(b.match) })
		}
		if sv.ports {
			sv.local = portAxis(boxes, rows, in, func(m *policy.Match) netset.PortRange { return m.LocalPorts })
			sv.remote = portAxis(boxes, rows, in, func(m *policy.Match) netset.PortRange { return m.RemotePorts })
		}
		s.services = append(s.services, sv)
	}
}

// protocolClasses numbers the groups of protocols that no box and no kind (ports,
// ICMP types) tells apart, in order of their least protocol.
func protocolClasses(boxes []box) [256]uint8 {
	var of [256]uint8
	split := func(apart func(flow.Proto) bool) {
		var known [256][2]int // class, apart or not → new class, plus one
		classes := 0
		for v := range of {
			n := &known[of[v]][0]
			if apart(flow.Proto(v)) {
				n = &known[of[v]][1]
			}
			if *n == 0 {
				classes++
				*n = classes
			}
			of[v] = uint8(*n - 1)
		}
	}
	split(flow.Proto.HasPorts)
	split(flow.Proto.IsICMP)
	seen := []policy.ProtoSet{policy.AnyProto} // few are different
	for i := range boxes {
		if s := boxes[i].match.Protos; !slices.Contains(seen, s) {
			seen = append(seen, s)
			split(s.Has)
		}
	}
	return of
}

// portAxis builds the axis of the boxes of one protocol, nil if none restricts the port.
func portAxis(boxes []box, rows *rows, in func(*policy.Match) bool, ports func(*policy.Match) netset.PortRange) axis {
	spans := rows.in4[:0]
	restricted := false
	for i := range boxes {
		if m := boxes[i].match; in(m) {
			r := ports(m)
			restricted = restricted || r != netset.AllPorts
			if s, ok := portSpan(r, i); ok {
				spans = append(spans, s)
			}
		}
	}
	rows.in4 = spans
	if !restricted {
		return nil
	}
	return buildAxis(spans, lastPort, rows)
}

// compile builds the axes of one side. extra are prefixes of the bit extraBit.
func (sd *side) compile(boxes []box, rows *rows, rowOf func(func(*policy.Match) bool) rowID,
	set func(*policy.Match) *policy.AddrSet, extra []netip.Prefix, extraBit int) {
	in4, in6 := rows.in4[:0], rows.in6[:0]
	full4, full6 := len(extra) == 0, len(extra) == 0
	add := func(p netip.Prefix, bit int) (all4, all6 bool) {
		sp, is4, ok := prefixSpan(p, bit)
		switch {
		case !ok:
			return false, false
		case is4:
			in4 = append(in4, sp)
			return p.Bits() == 0, false
		}
		in6 = append(in6, sp)
		return false, p.Bits() == 0
	}
	for i := range boxes {
		all4, all6 := false, false
		for _, p := range set(boxes[i].match).Prefixes {
			a4, a6 := add(p, i)
			all4, all6 = all4 || a4, all6 || a6
		}
		full4, full6 = full4 && all4, full6 && all6
	}
	for _, p := range extra {
		add(p, extraBit)
	}
	rows.in4, rows.in6 = in4, in6
	open := func(m *policy.Match) bool { a := set(m); return a.Unknown || len(a.Refs) > 0 }
	sd.doubt = slices.ContainsFunc(boxes, func(b box) bool { return open(b.match) })
	sd.open = rowOf(open)
	sd.none = rowOf(func(*policy.Match) bool { return false })
	if !full4 {
		sd.in4 = buildAxis(in4, last4, rows)
	}
	if !full6 {
		sd.in6 = buildAxis6(in6, rows)
	}
}
