package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// state is what a round of tightening may do with a rule.
type state uint8

const (
	fixed  state = iota // stays as it is; others may rely on it
	unused              // nothing observed needs it, and the evidence is enough to say so
	open                // may be removed or narrowed, as long as what was observed stays admitted
)

// states settles what may be done with each rule, given the signatures of all
// obligations. Reasons for leaving a rule alone are noted.
//
// A rule that is no more than perhaps needed is fixed and counts for nothing else.
// Where no rule admits the whole of an obligation (a range of ports of which any may
// have been the service) all that admit a part are fixed.
func (p *planner) states(w *world, sigs []signature) []state {
	hit, perhaps := make([]bool, len(w.rules)), make([]bool, len(w.rules))
	for _, s := range sigs {
		for _, i := range s.whole {
			hit[i] = true
		}
		for _, i := range s.perhaps {
			perhaps[i] = true
		}
		if len(s.whole) == 0 {
			for _, i := range s.part {
				perhaps[i] = true
			}
		}
	}
	out := make([]state, len(w.rules))
	for i := range w.rules {
		r := &w.rules[i]
		if r.Action == policy.Deny && r.touchable() && !p.seen(r.Ref) {
			p.note(r.Ref, denies)
		}
		if r.Action != policy.Allow || r.Implicit || len(r.classes) == 0 {
			continue
		}
		ev := p.evidence(r.Ref)
		switch {
		case !r.editable():
			if r.kept != "" {
				p.note(r.Ref, r.kept)
			} else if !hit[i] && !perhaps[i] {
				p.note(r.Ref, "not editable: it is kept by a service, another account or a default")
			}
		case w.intraMasked(r):
			p.note(r.Ref, intraMasked)
		case perhaps[i]:
			p.note(r.Ref, "accepted traffic may have used it: the log or the snapshot does not say")
		case !hit[i] && p.seen(r.Ref):
			p.note(r.Ref, "accepted traffic used it in a way that cannot be narrowed")
		case !ev.Observable:
			p.note(r.Ref, because("the log could not have shown its use", ev.Why))
		case !hit[i] && ev.UnusedOK:
			if acls := w.maskedBy(r); acls != "" {
				p.note(r.Ref, "masked by "+acls+", which denies all that it admits: two layers are often meant")
				continue
			}
			out[i] = unused
		case !hit[i]:
			p.note(r.Ref, because("no use seen, but it cannot be called unused", ev.Why))
		case !ev.NarrowOK:
			p.note(r.Ref, because("it cannot be narrowed", ev.Why))
		case r.foreign:
			p.note(r.Ref, fmt.Sprintf("no new rule can have its priority of %d: write it anew by hand", r.Rank))
		default:
			out[i] = open
			if !p.seen(r.Ref) && w.doubtfulIntra(r) {
				p.note(r.Ref, "members reach one another by the hidden intra-group rule, but something in the network passes traffic on, which may need this rule")
			}
		}
	}
	return out
}

// intraMasked is why a rule stays that decides nothing beside the hidden intra-group rule.
const intraMasked = "its peers are members who reach one another by the hidden intra-group rule: it is needed as soon as they are isolated"

// intraMasked reports whether what r admits is admitted without it only because the members
// of a group may talk to one another.
func (w *world) intraMasked(r *rule) bool {
	all := func(*rule) bool { return true }
	return r.places != nil && w.covered(r, all, anyCarrier) && !w.covered(r, all, lasting)
}

// doubtfulIntra reports whether r is in force beside a hidden intra-group rule that is
// not relied on.
func (w *world) doubtfulIntra(r *rule) bool {
	return slices.ContainsFunc(r.classes, func(c int32) bool {
		o := w.classes[c].lists[side(r.Direction)]
		return o != nil && w.passing(&w.classes[c]) && slices.ContainsFunc(o.lines, func(l line) bool { return l.by == byIntra })
	})
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// keepFew marks as gone the open rules that are not needed: of all sets of rules that
// meet every signature the one that admits least. Fixed rules serve for nothing, and
// neither do those whose peers a service changes: what they admit today, another rule may
// not admit tomorrow, so they stay.
func (p *planner) keepFew(w *world, sigs []signature, st []state, gone []bool) {
	var openRules []int
	for i := range w.rules {
		switch {
		case st[i] != open:
		case !w.rules[i].shifts:
			openRules = append(openRules, i)
		case p.usage(w.rules[i].Ref).Hits == 0:
			p.note(w.rules[i].Ref, "other rules decide before it, but its peers change without anyone's doing: what it admits tomorrow they may not")
		}
	}
	if len(openRules) == 0 {
		return
	}
	// MinCover breaks ties by index: the better rule first.
	slices.SortFunc(openRules, func(a, b int) int { return p.better(&w.rules[a], &w.rules[b]) })
	number := make(map[int32]int32, len(openRules))
	for k, i := range openRules {
		number[int32(i)] = int32(k)
	}
	var sets [][]int32
	for _, s := range sigs {
		whole := w.certain(s.whole)
		if len(whole) == 0 || s.free != 0 || slices.ContainsFunc(whole, func(i int32) bool { return st[i] == fixed || w.rules[i].shifts }) {
			continue
		}
		var set []int32
		for _, i := range whole {
			set = append(set, number[i])
		}
		slices.Sort(set)
		sets = append(sets, set)
	}
	cost := make([]uint64, len(openRules))
	for k, i := range openRules {
		// The logarithm of what a rule admits, in eighths of a bit; one for being a rule.
		cost[k] = 8 + logSize(w.rules[i].weight)
	}
	for _, i := range openRules {
		gone[i] = true
	}
	keep, _, _ := cover.MinCover(sets, cost, coverNodes)
	for _, k := range keep {
		gone[openRules[k]] = false
	}
}

// coverNodes bounds the search for the least set of rules. The largest kernel measured
// that was solved to the end took 3,552 nodes; beyond the bound the answer is still a
// cover, only perhaps not the least.
const coverNodes = 20000

// logSize returns the logarithm of s to the base 2 in eighths, rounded down, and
// linear between powers of two: exact arithmetic, the same on every machine.
func logSize(s netset.Size) uint64 {
	if s.IsZero() {
		return 0
	}
	frac, exp := math.Frexp(s.Float64()) // 0.5 <= frac < 1
	return uint64(exp-1)*8 + uint64(frac*16) - 8
}
