package plan

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// mostTradeoffs bounds the options that a [Tradeoff] lists, and so the snapshots that
// are measured for it.
const mostTradeoffs = 8

// Tradeoff is what a number of rules would admit.
type Tradeoff struct {
	Rules    int       // editable allow rules of groups
	Families [2]string // exposure to IPv4 and IPv6, decimal integers
	Kind     TradeoffKind
}

// TradeoffKind says what a point of a trade-off stands for.
type TradeoffKind string

const (
	Today   TradeoffKind = "today"  // the snapshot as it is
	Option  TradeoffKind = "option" // what could have been planned with more or fewer rules
	Planned TradeoffKind = "plan"   // the plan
)

// narrowed is a rule of the snapshot with what it must go on admitting, as the first
// round found it.
type narrowed struct {
	rule   *rule
	points []cover.Point
}

// tradeoff lists what more or fewer rules than those of edits would admit: every rule
// that is narrowed by one rule, and then split where a rule more saves most, as far as
// [mostPieces]. What is worse than the plan in every way is left out. All else is as in edits. Quotas and budgets do not count: it shows what
// another budget would bring.
func (p *planner) tradeoff(edits []Edit, today, planned exposedSizes) ([]Tradeoff, error) {
	out := []Tradeoff{{today.rules, today.texts(), Today}}
	steps, menus := p.steps(edits, today)
	if len(menus) > 0 {
		for _, n := range spread(len(steps)+1, mostTradeoffs) {
			chosen := make(map[policy.Ref]option)
			for ref, m := range menus {
				chosen[ref] = m[0]
			}
			for _, s := range steps[:n] {
				chosen[s.ref] = menus[s.ref][s.to]
			}
			snap, err := Apply(p.in.Result.Snapshot, p.instead(edits, chosen))
			if err != nil {
				return nil, err
			}
			if e := exposed(snap); !e.worse(&planned) {
				out = append(out, Tradeoff{e.rules, e.texts(), Option})
			}
		}
	}
	out = append(out, Tradeoff{planned.rules, planned.texts(), Planned})
	slices.SortStableFunc(out, func(a, b Tradeoff) int { return cmp.Compare(a.Rules, b.Rules) })
	return out, nil
}

// worse reports whether o has no more rules than e, and admits no more in either family.
func (e *exposedSizes) worse(o *exposedSizes) bool {
	return o.rules <= e.rules && !e.families[0].Less(o.families[0]) && !e.families[1].Less(o.families[1])
}

// step takes a rule to the next of its options that are worth it.
type step struct {
	ref  policy.Ref
	to   int     // index into its menu
	gain float64 // of its family's exposure today, for each rule more
}

// steps returns the menus of the rules that edits narrow, those among them that were
// joined with another one afterwards, and the order in which rules
// more are best spent on them: after any number of steps no other choice of as many
// rules admits less, as far as the rules do not overlap.
func (p *planner) steps(edits []Edit, today exposedSizes) ([]step, map[policy.Ref]menu) {
	var steps []step
	menus := make(map[policy.Ref]menu)
	for i := range edits {
		n, ok := p.narrowed[edits[i].Rule]
		if !ok {
			continue
		}
		all, _ := narrowings(p.old, n.rule, n.points, mostPieces)
		m := hull(all[1:])
		if len(m) == 0 {
			continue
		}
		menus[n.rule.Ref] = m
		family := 0
		if slices.ContainsFunc(n.rule.addrs, func(a netset.Addrs) bool { return !a.Is4() }) {
			family = 1
		}
		for k := 1; k < len(m); k++ {
			gain := (m[k-1].size.Float64() - m[k].size.Float64()) / today.families[family].Float64() / float64(len(m[k].rules)-len(m[k-1].rules))
			steps = append(steps, step{n.rule.Ref, k, gain})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(b.gain, a.gain), a.ref.Compare(b.ref), cmp.Compare(a.to, b.to))
	})
	return steps, menus
}

// hull keeps of options, by ascending number of rules, those that are best for some price
// of a rule.
func hull(options []option) menu {
	var out menu
	slope := func(a, b option) float64 {
		return (a.size.Float64() - b.size.Float64()) / float64(len(b.rules)-len(a.rules))
	}
	for _, o := range options {
		if len(out) > 0 && (len(o.rules) <= len(out[len(out)-1].rules) || !o.size.Less(out[len(out)-1].size)) {
			continue
		}
		for len(out) > 1 && slope(out[len(out)-2], out[len(out)-1]) <= slope(out[len(out)-1], o) {
			out = out[:len(out)-1]
		}
		out = append(out, o)
	}
	return out
}

// instead returns edits with the chosen options in the place of what they narrow to.
func (p *planner) instead(edits []Edit, chosen map[policy.Ref]option) []Edit {
	out := slices.Clone(edits)
	gone := make([]bool, len(p.old.rules))
	for i := range out {
		o, ok := chosen[out[i].Rule]
		if !ok {
			if at, ok := p.old.at[out[i].Rule]; ok && out[i].Op == Remove {
				gone[at] = true
			}
			continue
		}
		// What was joined with another rule is not there if that one is as it was before.
		out[i].Op = Replace
		r := p.narrowed[out[i].Rule].rule
		out[i].With = nil
		for _, d := range o.rules {
			out[i].With = append(out[i].With, replacement(r.Rule, r.match(d)))
		}
	}
	return p.old.distinct(out, gone)
}

// spread returns at most limit numbers below n, the first and the last among them, close
// at the beginning and further apart later.
func spread(n, limit int) []int {
	var out []int
	if n <= limit {
		for i := range n {
			out = append(out, i)
		}
		return out
	}
	for i := range limit {
		// Squares: half of the numbers in the first quarter.
		out = append(out, (n-1)*i*i/((limit-1)*(limit-1)))
	}
	return slices.Compact(out)
}

func (e *exposedSizes) texts() [2]string {
	return [2]string{e.families[0].String(), e.families[1].String()}
}
