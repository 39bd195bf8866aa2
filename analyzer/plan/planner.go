package plan

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// planner holds what lasts over the rounds of one plan.
type planner struct {
	in      Input
	old     *world
	obs     []obligation
	sigs    []signature // of obs under the rules of the snapshot
	of      []int32
	matched []bool     // by rule of the snapshot: it matches one of obs, and no stronger rule denies that
	carried []carriers // what admits such connections beside declared rules
	trial   bool       // a plan for a back-test: usage over the whole window does not count
	final   *policy.Snapshot
	origin  map[policy.Ref]policy.Ref // rule of this plan → the rule it replaces
	reasons map[policy.Ref]string
	// narrowed are the rules that the first round found ways to narrow; nil in a trial.
	narrowed map[policy.Ref]narrowed
	lines    map[policy.Ref]string // network ACL lines that are needless whatever the traffic → why
}

func newPlanner(in Input) *planner {
	p := &planner{in: in}
	p.old = p.world(in.Result.Snapshot)
	if in.Mode == ModeTighten { // tidying looks at no traffic
		p.obs = obligations(in.Result, p.old)
		p.sigs, p.of = p.old.match(p.obs)
	}
	p.matched, p.carried = make([]bool, len(p.old.rules)), make([]carriers, len(p.old.rules))
	for _, s := range p.sigs {
		for _, i := range s.whole {
			p.matched[i], p.carried[i] = true, p.carried[i]|s.free
		}
	}
	p.reset()
	return p
}

// world makes snap ready for planning, with the rules held that are to be.
func (p *planner) world(snap *policy.Snapshot) *world {
	w := newWorld(snap)
	for ref, why := range p.in.Held {
		if i, ok := w.at[ref]; ok {
			w.rules[i].kept = why
		}
	}
	return w
}

func (p *planner) reset() {
	p.origin, p.reasons, p.lines = make(map[policy.Ref]policy.Ref), make(map[policy.Ref]string), make(map[policy.Ref]string)
}

// root returns the rule of the snapshot that ref is, or replaces.
func (p *planner) root(ref policy.Ref) policy.Ref {
	if o, ok := p.origin[ref]; ok {
		return o
	}
	return ref
}

// evidence returns the evidence for the rule that ref is, or replaces.
func (p *planner) evidence(ref policy.Ref) RuleEvidence {
	i, ok := p.in.Result.Snapshot.RuleIndex(p.root(ref))
	if !ok || i >= len(p.in.Evidence) {
		return RuleEvidence{}
	}
	return p.in.Evidence[i]
}

// usage returns what the replay counted for the rule that ref is, or replaces.
func (p *planner) usage(ref policy.Ref) *engine.Usage {
	i, ok := p.in.Result.Snapshot.RuleIndex(p.root(ref))
	if !ok || i >= len(p.in.Result.Usage) {
		return &engine.Usage{}
	}
	return &p.in.Result.Usage[i]
}

// seen reports whether the replay credited anything to the rule.
func (p *planner) seen(ref policy.Ref) bool {
	u := p.usage(ref)
	return !p.trial && (u.Hits > 0 || u.Possible > 0)
}

// note keeps why a rule is left as it is; the first reason counts.
func (p *planner) note(ref policy.Ref, reason string) {
	if _, ok := p.reasons[p.root(ref)]; !ok {
		p.reasons[p.root(ref)] = reason
	}
}

// run goes through the rounds, until nothing changes.
func (p *planner) run(ctx context.Context) error {
	snap, w := p.in.Result.Snapshot, p.old
	sigs, of := p.sigs, p.of
	for n := range maxRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n > 0 {
			w = p.world(snap)
			sigs, of = w.match(p.obs)
		}
		clear(p.reasons)
		edits := p.round(w, sigs, of)
		if len(edits) == 0 {
			break
		}
		next, err := Apply(snap, edits)
		if err != nil {
			return err
		}
		for _, e := range edits {
			for _, n := range e.With {
				p.origin[n.Ref] = p.root(e.Rule)
			}
		}
		snap = next
	}
	p.final = snap
	return nil
}

// round returns the edits of one round: first what may go and what shrinks; if there
// is nothing of that, rules that can be joined.
func (p *planner) round(w *world, sigs []signature, of []int32) []Edit {
	gone := make([]bool, len(w.rules))
	all := func(int) bool { return true }
	if p.in.Mode == ModeTidy {
		p.removeCovered(w, gone, all, all)
		edits := append(removals(w, gone), p.removeLines(w)...)
		if len(edits) > 0 {
			return edits
		}
		return p.merge(w, func(a, b *rule) bool { return true })
	}
	st := p.states(w, sigs)
	for i := range st {
		gone[i] = st[i] == unused
	}
	p.keepFew(w, sigs, st, gone)
	// What is not to be narrowed goes only if rules that are not narrowed either admit
	// all of it: else its space would shrink by the way.
	isFixed := func(i int) bool { return st[i] == fixed }
	p.removeCovered(w, gone, isFixed, isFixed)
	edits := append(removals(w, gone), p.narrow(w, of, sigs, st, gone)...)
	edits = append(edits, p.removeLines(w)...)
	if len(edits) > 0 {
		return edits
	}
	return p.merge(w, func(a, b *rule) bool { return st[a.index] == st[b.index] })
}

func removals(w *world, gone []bool) []Edit {
	var out []Edit
	for i := range w.rules {
		if gone[i] {
			out = append(out, Edit{Op: Remove, Rule: w.rules[i].Ref, Group: w.rules[i].group.ID})
		}
	}
	return out
}

// compose sums all rounds up: one edit at most for each rule of the snapshot.
func (p *planner) compose() ([]Edit, error) {
	with := make(map[policy.Ref][]policy.Rule)
	for _, r := range p.final.Rules() {
		if o, made := p.origin[r.Ref]; made {
			with[o] = append(with[o], *r)
		}
	}
	var out []Edit
	for _, r := range p.in.Result.Snapshot.Rules() {
		if _, same := p.final.RuleIndex(r.Ref); same {
			continue
		}
		e := Edit{Op: Remove, Rule: r.Ref, Group: r.Ref.Owner, With: with[r.Ref], Basis: Observed, Confidence: Low}
		if len(e.With) > 0 {
			e.Op = Replace
			slices.SortFunc(e.With, compareRules)
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Edit) int { return a.Rule.Compare(b.Rule) })
	return out, p.label(out)
}

// label fills in what each edit rests on. Those are equivalent that, made together
// and without the others, leave all that their rules admitted admitted; what a narrowing
// takes away is then the narrowing's alone.
func (p *planner) label(edits []Edit) error {
	final := newWorld(p.final)
	goes := make([]bool, len(p.old.rules))
	for i := range edits {
		if at, ok := p.old.at[edits[i].Rule]; ok && edits[i].Op == Remove {
			goes[at] = true
		}
	}
	stays := func(r *rule) bool { return !goes[r.index] }
	rest := final
	everything := func(*rule) bool { return true }
	for i := range edits {
		at, ok := p.old.at[edits[i].Rule]
		if !ok { // a network ACL line
			if p.lines[edits[i].Rule] != "" {
				edits[i].Basis = Equivalent
			}
			continue
		}
		r := &p.old.rules[at]
		if final.covered(r, everything, lasting) || edits[i].Op == Remove && p.old.covered(r, stays, lasting) {
			edits[i].Basis = Equivalent
		}
	}
	for again := true; again; {
		again = false
		var equivalent []Edit
		for _, e := range edits {
			if e.Basis == Equivalent {
				equivalent = append(equivalent, e)
			}
		}
		snap, err := Apply(p.in.Result.Snapshot, equivalent)
		if err != nil {
			return err
		}
		rest = newWorld(snap)
		for i := range edits {
			at, ok := p.old.at[edits[i].Rule]
			if ok && edits[i].Basis == Equivalent && !rest.covered(&p.old.rules[at], everything, lasting) {
				edits[i].Basis, again = Observed, true
			}
		}
	}
	for i := range edits {
		p.explain(&edits[i], rest)
	}
	return nil
}

// declined lists why rules are left as they are, in order of ref.
func (p *planner) declined(edits []Edit) []Declined {
	for _, e := range edits {
		delete(p.reasons, e.Rule)
	}
	for ref, why := range p.in.Held {
		if i, ok := p.in.Result.Snapshot.RuleIndex(ref); ok && p.in.Result.Snapshot.Rules()[i].Editable {
			p.reasons[ref] = why
		}
	}
	var out []Declined
	for _, ref := range slices.SortedFunc(maps.Keys(p.reasons), policy.Ref.Compare) {
		out = append(out, Declined{ref, p.reasons[ref]})
	}
	return out
}

// compareRules orders new rules for people: by protocol, peer, ports.
func compareRules(a, b policy.Rule) int {
	x, y := &a.Match[0], &b.Match[0]
	px, py := x.ServicePorts(a.Direction), y.ServicePorts(b.Direction)
	return cmp.Or(cmp.Compare(a.Protocol(), b.Protocol()), slices.CompareFunc(x.Remote.Prefixes, y.Remote.Prefixes, policy.ComparePrefix),
		cmp.Compare(px.First, py.First), cmp.Compare(px.Last, py.Last), a.Ref.Compare(b.Ref))
}
