package classify

import (
	"math/bits"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Key is a new connection as one interface sees it, or any packet for
// [Table.DecidePacket]. The ICMP type is never known. Ports are 0 for protocols
// without ports.
type Key struct {
	Proto                 flow.Proto
	Local, Remote         flow.Addr
	LocalPort, RemotePort uint16
}

// Outcome is what a table says of a key. The zero value is ready to use; every
// decision overwrites it and reuses its memory, so what is to be kept must be
// copied. One Outcome may serve many tables, but only one goroutine.
type Outcome struct {
	Verdict policy.Verdict
	Stages  []StageOutcome // the stages that were asked, in path order

	near    []near
	scratch []uint64
}

// StageOutcome is what one stage says of a key. Its fields mean what those of
// [policy.StageDecision] mean.
type StageOutcome struct {
	Stage    int32 // index in the compiled path
	Skipped  bool
	Decisive bool
	Verdict  policy.Verdict
	Action   policy.Action
	Next     policy.Action
	Winners  []int32 // ascending; the default's number if the default speaks
	Possible []int32 // ascending
}

// near remembers where a stage found its last key.
type near struct{ localPort, remotePort, local4, remote4, local6, remote6 int }

// Decide says what the path does with the new connection k, as [policy.Decide]
// does: out.Stages ends with the stage that denied.
func (t *Table) Decide(k *Key, out *Outcome) { t.decide(k, out, false, false) }

// DecideAll is Decide, except that a denial does not end out.Stages: later stages
// are asked as if the earlier ones had allowed. The verdict is the same.
// [policy.AllowAll] ends it all the same, because then no later stage applies.
func (t *Table) DecideAll(k *Key, out *Outcome) { t.decide(k, out, false, true) }

// DecidePacket says what the stateless stages do with a packet that opens nothing,
// as [policy.DecidePacket] does. The table must be of the packet's direction.
func (t *Table) DecidePacket(k *Key, out *Outcome) { t.decide(k, out, true, false) }

// Others says what all stages in o but Stages[i] say together: whether Stages[i]
// matters to the path. It is complete only after [Table.DecideAll].
func (o *Outcome) Others(i int) policy.Verdict {
	v := policy.Allowed
	for j := range o.Stages {
		switch {
		case j == i:
		case o.Stages[j].Verdict == policy.Denied:
			return policy.Denied
		case o.Stages[j].Verdict == policy.Unknown:
			v = policy.Unknown
		}
	}
	return v
}

func (t *Table) decide(k *Key, out *Outcome, statelessOnly, all bool) {
	out.Verdict = policy.Allowed
	out.Stages = out.Stages[:0]
	for len(out.near) < len(t.stages) {
		out.near = append(out.near, near{})
	}
	for i := range t.stages {
		s := &t.stages[i]
		if statelessOnly && s.stateful {
			continue
		}
		so := out.add()
		so.Stage = int32(i)
		s.decide(k, &out.near[i], out.words(2*s.words), so)
		switch {
		case so.Verdict == policy.Denied:
			out.Verdict = policy.Denied
			if !all {
				return
			}
		case so.Verdict == policy.Unknown && out.Verdict == policy.Allowed:
			out.Verdict = policy.Unknown
		}
		if so.Action == policy.AllowAll {
			return
		}
	}
}

// add lengthens o.Stages by one, keeping the memory of a former entry.
func (o *Outcome) add() *StageOutcome {
	if n := len(o.Stages); n < cap(o.Stages) {
		o.Stages = o.Stages[:n+1]
	} else {
		o.Stages = append(o.Stages, StageOutcome{})
	}
	so := &o.Stages[len(o.Stages)-1]
	*so = StageOutcome{Winners: so.Winners[:0], Possible: so.Possible[:0]}
	return so
}

func (o *Outcome) words(n int) []uint64 {
	if len(o.scratch) < n {
		o.scratch = make([]uint64, n)
	}
	return o.scratch[:n]
}

func (s *stage) row(id rowID) []uint64 {
	at := int(id) * s.words
	return s.pool[at : at+s.words : at+s.words]
}

// find returns the row of a; all: every box holds a, and there is no row.
func (sd *side) find(a flow.Addr, near4, near6 *int) (id rowID, all bool) {
	switch {
	case a.Is4():
		if len(sd.in4) == 0 {
			return 0, true
		}
		*near4 = sd.in4.find(a.V4(), *near4)
		return sd.in4[*near4].row, false
	case a.IsValid():
		if len(sd.in6) == 0 {
			return 0, true
		}
		*near6 = sd.in6.find(point{a.Hi, a.Lo}, *near6)
		return sd.in6[*near6].row, false
	}
	return sd.none, false
}

// decide fills out for k. scratch has room for two rows.
func (s *stage) decide(k *Key, at *near, scratch []uint64, out *StageOutcome) {
	remote, anyRemote := s.remote.find(k.Remote, &at.remote4, &at.remote6)
	if s.exempt >= 0 && !anyRemote && s.row(remote)[s.exempt>>6]>>(s.exempt&63)&1 != 0 {
		out.Skipped, out.Verdict, out.Action, out.Next = true, policy.Allowed, policy.Allow, policy.Allow
		return
	}
	local, anyLocal := s.local.find(k.Local, &at.local4, &at.local6)

	// The boxes of the service.
	sv := &s.services[s.serviceOf[k.Proto]]
	sure := scratch[:s.words]
	copy(sure, s.row(sv.protos))
	if sv.ports {
		if len(sv.local) > 0 {
			at.localPort = sv.local.find(uint32(k.LocalPort), at.localPort)
			and(sure, s.row(sv.local[at.localPort].row))
		}
		if len(sv.remote) > 0 {
			at.remotePort = sv.remote.find(uint32(k.RemotePort), at.remotePort)
			and(sure, s.row(sv.remote[at.remotePort].row))
		}
	}

	// What matches at least perhaps; nil: nothing is in doubt.
	var maybe []uint64
	if sv.inType || s.local.doubt || s.remote.doubt {
		maybe = scratch[s.words : 2*s.words]
		copy(maybe, sure)
		if !anyLocal {
			andEither(maybe, s.row(local), s.row(s.local.open))
		}
		if !anyRemote {
			andEither(maybe, s.row(remote), s.row(s.remote.open))
		}
		if sv.inType {
			andNot(sure, s.row(sv.typed))
		}
	}
	if !anyLocal {
		and(sure, s.row(local))
	}
	if !anyRemote {
		and(sure, s.row(remote))
	}
	if s.hasNext {
		s.dropPassedOn(sure, maybe)
	}
	s.speak(sure, maybe, out)
}

// dropPassedOn clears, in each tier, a certain match that passes on to the next
// tier and everything weaker than it in its tier.
func (s *stage) dropPassedOn(sure, maybe []uint64) {
	for b := nextBit(sure, 0); b >= 0; b = nextBit(sure, b) {
		c := &s.classes[s.rules[s.bits[b]].class]
		if c.action != policy.Next {
			b++
			continue
		}
		clearBits(sure, c.lo, c.tier)
		clearBits(maybe, c.lo, c.tier)
		b = c.tier
	}
}

// speak fills out from the boxes that match.
func (s *stage) speak(sure, maybe []uint64, out *StageOutcome) {
	out.Action, out.Next = s.fallback, s.fallback
	end := len(s.bits)
	first := nextBit(sure, 0)
	if first < 0 {
		out.Winners = append(out.Winners, s.defaultID)
	} else {
		c := &s.classes[s.rules[s.bits[first]].class]
		out.Action, end = c.action, c.hi
		out.Winners = s.appendRules(out.Winners, sure, first, end)
		if n := nextBit(sure, end); n >= 0 {
			out.Next = s.classes[s.rules[s.bits[n]].class].action
		}
	}
	unsure := false
	if maybe != nil {
		unsure = s.doubt(sure, maybe, first >= 0, end, out)
	}
	out.Decisive = first >= 0 && len(out.Winners) == 1 && !unsure && out.Next != out.Action
	switch {
	case unsure:
		out.Verdict, out.Action = policy.Unknown, policy.Next
	case out.Action == policy.Deny:
		out.Verdict = policy.Denied
	default:
		out.Verdict = policy.Allowed
	}
}

// appendRules appends the numbers of the rules that have a bit in set, of which
// lo is the lowest, below hi. Groups often have many, so it goes by words: 58 ns a
// decision instead of 93 with nextBit (BenchmarkDecide/rules=300/clustered).
func (s *stage) appendRules(dst []int32, set []uint64, lo, hi int) []int32 {
	last := int32(-1)
	for i := lo >> 6; i<<6 < hi; i++ {
		w := set[i]
		if above := i<<6 + 64 - hi; above > 0 {
			w = w << above >> above
		}
		for ; w != 0; w &= w - 1 {
			if r := s.bits[i<<6+bits.TrailingZeros64(w)]; r != last {
				dst = append(dst, s.rules[r].id)
				last = r
			}
		}
	}
	return dst
}

// doubt fills out.Possible with the rules of the bits below end that match only
// perhaps, reports whether one of them would do other than out.Action, and sets
// out.Next to the action Next if what would speak without the winners is not known.
func (s *stage) doubt(sure, maybe []uint64, won bool, end int, out *StageOutcome) (unsure bool) {
	open := false
	last := int32(-1)
	for b := nextBit(maybe, 0); b >= 0 && b < end; b = nextBit(maybe, b+1) {
		i := s.bits[b]
		if i == last {
			continue
		}
		last = i
		r := &s.rules[i]
		if n := nextBit(sure, int(r.lo)); n >= 0 && n < int(r.hi) {
			continue // another box of it matches for certain
		}
		out.Possible = append(out.Possible, r.id)
		action := s.classes[r.class].action
		unsure = unsure || action != out.Action
		open = open || action != out.Next
	}
	slices.Sort(out.Possible)
	if !won {
		return unsure
	}
	// What is stronger than the next certain match, and does otherwise.
	stop := len(s.bits)
	if n := nextBit(sure, end); n >= 0 {
		stop = s.classes[s.rules[s.bits[n]].class].lo
	}
	for b := nextBit(maybe, end); !open && b >= 0 && b < stop; b = nextBit(maybe, b+1) {
		open = s.classes[s.rules[s.bits[b]].class].action != out.Next
	}
	if open {
		out.Next = policy.Next
	}
	return unsure
}

func and(dst, a []uint64) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] &= a[i]
	}
}

func andEither(dst, a, b []uint64) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] &= a[i] | b[i]
	}
}

func andNot(dst, a []uint64) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] &^= a[i]
	}
}

// nextBit returns the lowest bit of set that is not below from, or -1.
func nextBit(set []uint64, from int) int {
	i := from >> 6
	if i >= len(set) {
		return -1
	}
	w := set[i] >> (from & 63) << (from & 63)
	for w == 0 {
		if i++; i == len(set) {
			return -1
		}
		w = set[i]
	}
	return i<<6 + bits.TrailingZeros64(w)
}

// clearBits clears the bits lo to hi-1; a nil set stays nil.
func clearBits(set []uint64, lo, hi int) {
	for i := range set {
		from, to := max(lo-i<<6, 0), min(hi-i<<6, 64)
		if from < to {
			set[i] &^= ^uint64(0) << from & (^uint64(0) >> (64 - to))
		}
	}
}
