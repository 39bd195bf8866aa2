package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// compareOrdered calls f with what the group stages, and the stateless ones, of both
// snapshots say at every point.
func compareOrdered(a, b *policy.Snapshot, f func(what string, before, after policy.Verdict)) {
	for i := range a.Interfaces {
		nic := &a.Interfaces[i]
		var pa, pb [3][2][]policy.Stage
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			pa[d], pb[d] = stagesApart(a.Path(nic.ID, d)), stagesApart(b.Path(nic.ID, d))
		}
		orderedPoints(nic, func(c policy.Conn) {
			for k := range pa[c.Direction] {
				x, y := policy.Decide(pa[c.Direction][k], &c).Verdict, policy.Decide(pb[c.Direction][k], &c).Verdict
				if x != y {
					f(fmt.Sprintf("%s %v", nic.ID, c), x, y)
				}
			}
		})
	}
}

// stagesApart returns the stateful stages of path, and the others.
func stagesApart(path []policy.Stage) (out [2][]policy.Stage) {
	out[0] = groupStages(path)
	out[1] = slices.DeleteFunc(slices.Clone(path), func(s policy.Stage) bool { return s.Stateful })
	return out
}

func opens(before, after policy.Verdict) bool {
	return before == policy.Denied && after != policy.Denied || before == policy.Unknown && after == policy.Allowed
}

func TestPlansOfOrderedWorlds(t *testing.T) {
	n := *seeds * 2
	counts := make(map[string]int)
	for seed := range uint64(n) {
		seed += *from
		w := newOrderedWorld(t, seed)
		for _, mode := range []plan.Mode{plan.ModeTidy, plan.ModeTighten} {
			in := w.input(t, mode)
			p := made(t, in)
			w.checkOrdered(t, in, p, seed, counts)
			if t.Failed() {
				t.Fatalf("seed %d, %s, budget %d\n%s\nplan: %s\ndeclined %v", seed, mode, w.budget, w.policy, strings.Join(lines(p.Edits), "\n"), p.Declined)
			}
		}
	}
	t.Logf("%d worlds: %v", n, counts)
	for _, what := range []string{"allow rules removed", "allow rules replaced", "deny rules removed", "allow lines removed", "deny lines removed"} {
		if counts[what] < n/20 {
			t.Errorf("only %d %s in %d worlds: the test proves little", counts[what], what, n)
		}
	}
}

// checkOrdered holds a plan to its promises, by brute force.
func (w *randomWorld) checkOrdered(t *testing.T, in plan.Input, p *plan.Plan, seed uint64, counts map[string]int) {
	old := in.Result.Snapshot
	for _, d := range p.Declined {
		if d.Rule.IsZero() && strings.Contains(d.Reason, "refuted") {
			t.Errorf("the proof refuted the plan: %s", d.Reason)
		}
	}
	for _, e := range p.Edits {
		at, _ := old.RuleIndex(e.Rule)
		r := old.Rules()[at]
		what := map[bool]string{true: "rules", false: "lines"}[strings.HasPrefix(e.Rule.Owner, "sg-")]
		counts[r.Action.String()+" "+what+" "+map[plan.Op]string{plan.Remove: "removed", plan.Replace: "replaced"}[e.Op]]++
		if !r.Editable {
			t.Errorf("edit of %s", e.Rule)
		}
		for _, n := range e.With {
			for _, s := range n.Refs() {
				if g, ok := old.Group(s.ID); ok && !slices.Contains(r.Refs(), s) && (g.Unnamed || s.ID == e.Group && old.Platforms[0].NoSelfPeer) {
					t.Errorf("%s becomes a rule that names %s", e.Rule, s.ID)
				}
				counts["rules that name a group"]++
			}
		}
		if r.Action == policy.Deny && (e.Op != plan.Remove || e.Basis != plan.Equivalent) {
			t.Errorf("deny %s: %s, %s", e.Rule, e.Op, e.Basis)
		}
		if ev := in.Evidence[at]; e.Basis == plan.Observed && (!ev.Observable || !ev.NarrowOK) {
			t.Errorf("observed edit of %s without evidence", e.Rule)
		}
	}
	w.holds(t, in, p.Planned, "the plan", in.Mode == plan.ModeTidy)
	// Equivalent edits hold together without the others.
	var equivalent []plan.Edit
	for _, e := range p.Edits {
		if e.Basis == plan.Equivalent {
			equivalent = append(equivalent, e)
		}
	}
	half, err := plan.Apply(old, equivalent)
	if err != nil {
		t.Fatal(err)
	}
	w.holds(t, in, half, "the equivalent edits", true)
	// New rules first, then removals: they may stop anywhere, in any order.
	w.holds(t, in, partly(t, old, p.Edits, rand.New(rand.NewPCG(5, seed))), "some removals", false)
	for i := range old.Groups {
		var before, after [3]int
		for _, r := range old.Groups[i].Rules {
			before[r.Direction]++
		}
		for _, r := range p.Planned.Groups[i].Rules {
			after[r.Direction]++
		}
		for d := range before {
			if after[d] > max(before[d], w.budget) {
				t.Errorf("%s: %d rules after, %d before, budget %d", old.Groups[i].ID, after[d], before[d], w.budget)
			}
		}
	}
	w.againOrdered(t, in, p, counts)
}

// partly adds all new rules of edits and makes some of the removals.
func partly(t *testing.T, s *policy.Snapshot, edits []plan.Edit, rng *rand.Rand) *policy.Snapshot {
	t.Helper()
	var some []plan.Edit
	for _, e := range edits {
		if len(e.With) > 0 {
			some = append(some, plan.Edit{Op: plan.Add, Group: e.Group, With: e.With})
		}
		if rng.IntN(2) == 0 {
			some = append(some, plan.Edit{Op: plan.Remove, Rule: e.Rule, Group: e.Group})
		}
	}
	out, err := plan.Apply(s, some)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// holds checks that what was observed is admitted by s and that it admits nothing new;
// if exact, that nothing is decided differently.
func (w *randomWorld) holds(t *testing.T, in plan.Input, s *policy.Snapshot, what string, exact bool) {
	t.Helper()
	for _, a := range w.truth {
		if v := policy.Decide(s.Path(a.eni, a.conn.Direction), &a.conn).Verdict; v != policy.Allowed {
			t.Errorf("%s %v: %v after %s", a.eni, a.conn, v, what)
		}
	}
	compareOrdered(in.Result.Snapshot, s, func(at string, before, after policy.Verdict) {
		if exact || opens(before, after) {
			t.Errorf("%s: %v before, %v after %s", at, before, after, what)
		}
	})
}

// againOrdered plans for what was planned: nothing more, but for what one edit only made
// possible by a deny that is gone, or a rule below one.
func (w *randomWorld) againOrdered(t *testing.T, in plan.Input, p *plan.Plan, counts map[string]int) {
	if !p.Proof.Holds() {
		t.Fatalf("proof: %+v", p.Proof)
	}
	for turn := range 6 {
		second := in
		second.Result = replay(t, p.Planned, w.recs)
		second.Evidence = inherit(in, p)
		q := made(t, second)
		if len(q.Edits) == 0 {
			if in.Mode == plan.ModeTighten && !(len(p.Declined) == 1 && p.Declined[0].Rule.IsZero()) {
				w.idle(t, in, p)
			}
			return
		}
		counts["plans after the plan"]++
		denies := slices.ContainsFunc(in.Result.Snapshot.Rules(), func(r *policy.Rule) bool { return r.Action == policy.Deny })
		if !denies || turn == 5 {
			t.Fatalf("planning again gives %v\nafter %v", lines(q.Edits), lines(p.Edits))
		}
		w.holds(t, second, q.Planned, "the next plan", in.Mode == plan.ModeTidy)
		in, p = second, q
	}
}

// idle checks that no rule stays that nothing used, where it might go.
func (w *randomWorld) idle(t *testing.T, in plan.Input, p *plan.Plan) {
	if strings.Contains(w.policy, " transit") && strings.Contains(w.policy, " intra\n") {
		return // what the hidden rule seems to carry, a router may have passed on
	}
	reasons := make(map[policy.Ref]string)
	for _, d := range p.Declined {
		reasons[d.Rule] = d.Reason
	}
	evidence := inherit(in, p)
	res := replay(t, p.Planned, w.recs)
	for _, e := range p.Edits {
		for _, r := range e.With {
			if e.Basis == plan.Equivalent {
				reasons[r.Ref] = "joined"
			}
		}
	}
	for i, r := range p.Planned.Rules() {
		ev := evidence[i]
		if slices.ContainsFunc(p.Planned.Rules(), func(q *policy.Rule) bool { return q.Rank < r.Rank && q.Action == policy.Allow && restricted(q) }) {
			continue // whether that carried what this one matches, a plan does not ask
		}
		attached := slices.ContainsFunc(p.Planned.Attached(r.Ref.Owner), func(f *policy.Interface) bool { return !f.IngressOpen || r.Direction == flow.Ingress })
		if attached && r.Editable && r.Action == policy.Allow && ev.Observable && ev.UnusedOK && res.Usage[i].Hits == 0 && res.Usage[i].Possible == 0 && reasons[r.Ref] == "" {
			t.Errorf("%s stays without any use", r.Ref)
		}
	}
}

// restricted reports whether r reads more than service and peer.
func restricted(r *policy.Rule) bool {
	return slices.ContainsFunc(r.Match, func(m policy.Match) bool {
		return !slices.Equal(m.Local.Prefixes, policy.AnyAddr.Prefixes) || m.ServicePorts(r.Direction.Reverse()) != netset.AllPorts
	})
}

// The plan of an ordered world does not depend on the order of rules, interfaces or records.
func TestOrderedPlanIsInvariantUnderPermutation(t *testing.T) {
	for seed := range uint64(60) {
		w := newOrderedWorld(t, 3000+seed)
		in := w.input(t, plan.ModeTighten)
		p := made(t, in)
		rng := rand.New(rand.NewPCG(7, seed))
		shuffled := slices.Clone(w.recs)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		other := in
		other.Result = replay(t, parse(t, shufflePolicy(rng, w.policy)), shuffled)
		q := made(t, other)
		if diff := cmp.Diff(lines(p.Edits), lines(q.Edits)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		if diff := cmp.Diff(p.Declined, q.Declined); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}
