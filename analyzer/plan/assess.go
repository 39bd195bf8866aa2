package plan

import (
	"context"
	"math/bits"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/risk"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// ahead is how many days the estimate of new peers looks ahead.
const ahead = 7

// assess makes the plan again from the first three quarters of the days, tries it on
// the rest, and labels the observed edits of the real plan by what that shows. Labels
// withhold nothing.
func (p *planner) assess(ctx context.Context, out *Plan, edits []Edit) error {
	w := p.window()
	sigs, of := p.sigs, p.of
	outcome := make(map[policy.Ref]*risk.Outcome)
	for i := range edits {
		if edits[i].Basis == Observed {
			outcome[edits[i].Rule] = &risk.Outcome{Days: w.Days}
		}
	}
	if len(outcome) == 0 {
		return nil
	}
	if train, test, days, ok := w.Split(); ok {
		out.Backtest.Days = days
		if err := p.backtest(ctx, out, train, test, outcome); err != nil {
			return err
		}
	}

	// New peers: of each rule that an observed edit changes, and of all of them.
	touched := make([]*risk.Outcome, len(p.old.rules))
	for ref, o := range outcome {
		if i, ok := p.old.at[ref]; ok {
			touched[i] = o
		}
	}
	seen := make(map[*risk.Outcome]map[netset.Addrs]uint64)
	all := make(map[netset.Addrs]uint64)
	folded := make(map[*risk.Outcome]bool) // some of its peers are known as prefixes only
	for k := range p.obs {
		any := false
		for _, i := range sigs[of[k]].whole {
			if o := touched[i]; o != nil {
				if seen[o] == nil {
					seen[o] = make(map[netset.Addrs]uint64)
				}
				seen[o][p.obs[k].addrs()] |= p.obs[k].days
				folded[o] = folded[o] || p.obs[k].free > 0
				any = true
			}
		}
		if any {
			all[p.obs[k].addrs()] |= p.obs[k].days
		}
	}
	for _, o := range outcome {
		o.NewPeers = w.NewPeers(masks(seen[o]), ahead)
	}
	out.Backtest.ExpectedNewPeers7d = w.NewPeers(masks(all), ahead)
	for i := range edits {
		if o := outcome[edits[i].Rule]; o != nil {
			edits[i].Confidence = [...]Confidence{High, Medium, Low}[o.Class()]
			if folded[o] {
				edits[i].Confidence = Low // how many peers there are, and how many new ones come, is not known
			}
			if u := p.usage(edits[i].Rule); edits[i].Op == Replace && (attempts(u) || u.Hits == 0 && !p.maskedRef(edits[i].Rule)) {
				edits[i].Confidence = Low // nobody answered, or it is not settled who asked whom
			}
		}
	}
	return nil
}

func masks(m map[netset.Addrs]uint64) []uint64 {
	out := make([]uint64, 0, len(m))
	for _, d := range m {
		out = append(out, d)
	}
	return out
}

// window returns the days of the evidence.
func (p *planner) window() risk.Window {
	if s := p.in.Result.Store; s != nil {
		if from, to := s.Window(); to != 0 {
			return risk.WindowOf(from, to)
		}
	}
	var from, to int64
	for i, c := range p.in.Result.Connections.All() {
		if i == 0 {
			from, to = c.First, c.Last
		}
		from, to = min(from, c.First), max(to, c.Last)
	}
	return risk.WindowOf(from, to)
}

// backtest plans on the days of train and counts what of the days of test that plan
// would have blocked, in all and for each rule it would have used.
func (p *planner) backtest(ctx context.Context, out *Plan, train, test uint64, outcome map[policy.Ref]*risk.Outcome) error {
	sigs, of := p.sigs, p.of
	t := &planner{in: p.in, old: p.old, trial: true}
	t.reset()
	for _, o := range p.obs {
		if o.days&train != 0 {
			t.obs = append(t.obs, o)
		}
	}
	t.sigs, t.of = t.old.match(t.obs)
	if err := t.run(ctx); err != nil {
		return err
	}
	final := newWorld(t.final)
	after, ofAfter := final.match(p.obs)
	type peer struct {
		o    *risk.Outcome
		addr netset.Addrs
	}
	blocked, fresh := make(map[peer]bool), make(map[peer]bool)
	days := make(map[*risk.Outcome]uint64)
	old := make(map[peer]bool)
	touched := func(k int) (os []*risk.Outcome) {
		for _, i := range sigs[of[k]].whole {
			if o := outcome[p.old.rules[i].Ref]; o != nil && !slices.Contains(os, o) {
				os = append(os, o)
			}
		}
		return os
	}
	for k := range p.obs {
		if p.obs[k].days&train != 0 {
			for _, o := range touched(k) {
				old[peer{o, p.obs[k].addrs()}] = true
			}
		}
	}
	var allDays uint64
	for k := range p.obs {
		if p.obs[k].days&test == 0 {
			continue
		}
		s := &after[ofAfter[k]]
		lost := s.free == 0 && len(s.whole)+len(s.part)+len(s.perhaps) == 0 && len(sigs[of[k]].whole) > 0
		if lost {
			out.Backtest.BlockedTuples++
			allDays |= p.obs[k].days & test
		}
		for _, o := range touched(k) {
			at := peer{o, p.obs[k].addrs()}
			if !old[at] {
				fresh[at] = true
			}
			if lost {
				blocked[at] = true
				days[o] |= p.obs[k].days & test
			}
		}
	}
	out.Backtest.BlockedDays = bits.OnesCount64(allDays)
	for _, o := range outcome {
		o.Tested, o.BlockedDays = true, bits.OnesCount64(days[o])
	}
	for at := range blocked {
		at.o.Blocked++
	}
	for at := range fresh {
		at.o.New++
	}
	return nil
}
