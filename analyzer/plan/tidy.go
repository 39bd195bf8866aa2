package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// better orders rules by how much one would rather keep them: rules the user wrote
// before those of this plan, described ones, older ones, then by ref.
func (p *planner) better(a, b *rule) int {
	own := func(r *rule) bool { _, made := p.origin[r.Ref]; return !made }
	return cmp.Or(
		-compareBool(own(a), own(b)),
		-compareBool(a.Description != "", b.Description != ""),
		-compareBool(!a.Created.IsZero(), !b.Created.IsZero()),
		a.Created.Compare(b.Created),
		a.Ref.Compare(b.Ref))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// editable reports whether the plan may touch r at all.
func (r *rule) editable() bool {
	return r.Action == policy.Allow && r.touchable()
}

// touchable is editable for rules of any action.
func (r *rule) touchable() bool {
	return r.Editable && !r.Implicit && !r.group.Managed && len(r.classes) > 0 && r.kept == ""
}

// removeCovered removes, of the candidates, rules that the rules of keep admit anyway,
// the smallest first and each tested against what the earlier removals left: two rules
// that cover each other are never both removed. It costs one coverage test for each
// candidate and class.
func (p *planner) removeCovered(w *world, gone []bool, candidate, keep func(i int) bool) {
	var order []int
	for i := range w.rules {
		if !gone[i] && w.rules[i].editable() && candidate(i) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(w.rules[a].weight.Cmp(w.rules[b].weight), p.better(&w.rules[b], &w.rules[a]))
	})
	for _, i := range order {
		r := &w.rules[i]
		if w.covered(r, func(q *rule) bool { return !gone[q.index] && keep(q.index) }, lasting) {
			gone[i] = true
		} else if w.intraMasked(r) {
			p.note(r.Ref, intraMasked)
		}
	}
}

// merge looks for two rules of one group whose union is exactly one rule, and
// returns the edits that replace them: the first such pair of each group and
// direction, so that later rounds see the outcome. same says whether two rules may
// share their evidence.
func (p *planner) merge(w *world, same func(a, b *rule) bool) []Edit {
	var edits []Edit
	for g := range w.snap.Groups {
		for _, d := range directions {
			if e := p.mergeIn(w, &w.snap.Groups[g], side(d), same); e != nil {
				edits = append(edits, e...)
			}
		}
	}
	return edits
}

func (p *planner) mergeIn(w *world, g *policy.Group, s int, same func(a, b *rule) bool) []Edit {
	var mine []*rule
	for k := range g.Rules {
		r := &w.rules[w.at[g.Rules[k].Ref]]
		if side(r.Direction) == s && r.editable() && !r.foreign && len(r.Match) == 1 && !r.odd && !r.unknown {
			mine = append(mine, r)
		}
	}
	slices.SortFunc(mine, p.better)
	for i, a := range mine {
		for _, b := range mine[i+1:] {
			if a.Description != b.Description && b.Description != "" && a.Description != "" {
				continue // each says why it is there
			}
			m, ok := union(a.Rule, b.Rule)
			if !ok || !same(a, b) || !w.ofOneRank(a, b, m) {
				continue
			}
			n := replacement(a.Rule, m)
			if n.Description == "" {
				n.Description = b.Description
			}
			if _, there := w.at[n.Ref]; there {
				continue
			}
			return []Edit{
				{Op: Replace, Rule: a.Ref, Group: g.ID, With: []policy.Rule{n}},
				{Op: Remove, Rule: b.Ref, Group: g.ID},
			}
		}
	}
	return nil
}

// ofOneRank reports whether a and b, two rules of one group, may become one of the rank
// of a that says m: no deny ranks from one of them to the other and may match any of it.
func (w *world) ofOneRank(a, b *rule, m policy.Match) bool {
	if a.Rank == b.Rank {
		return true
	}
	n := *a.Rule
	n.Match = []policy.Match{m}
	boxes := w.describe(a.group, &n).boxes
	for _, c := range a.classes {
		o := w.classes[c].lists[side(a.Direction)]
		if o == nil || !o.reachOf(min(a.Rank, b.Rank), slices.Concat(boxes, a.future, b.future)).holds(max(a.Rank, b.Rank)) {
			return false
		}
	}
	return true
}

// union returns the one match that admits what a and b admit together, if there is one.
func union(a, b *policy.Rule) (policy.Match, bool) {
	x, y := a.Match[0], b.Match[0]
	if x.Protos != y.Protos || x.ICMP != y.ICMP || a.PortList != b.PortList {
		return x, false
	}
	proto, single := x.Protos.Single()
	px, py := x.ServicePorts(a.Direction), y.ServicePorts(a.Direction)
	ported := single && proto.HasPorts()
	if !single && px != py && (x.Protos.Has(6) || x.Protos.Has(17)) {
		return x, false
	}
	switch {
	case samePeer(x.Remote, y.Remote) && ported && int(px.First) <= int(py.Last)+1 && int(py.First) <= int(px.Last)+1:
		ports := netset.PortRange{First: min(px.First, py.First), Last: max(px.Last, py.Last)}
		return policy.NewMatch(a.Direction, x.Protos, ports, x.ICMP, x.Remote), true
	case len(x.Remote.Refs)+len(y.Remote.Refs) == 0 && len(x.Remote.Prefixes) == 1 && len(y.Remote.Prefixes) == 1 && (px == py || !ported):
		if up, ok := parent(x.Remote.Prefixes[0], y.Remote.Prefixes[0]); ok {
			return policy.NewMatch(a.Direction, x.Protos, px, x.ICMP, policy.AddrSet{Prefixes: []netip.Prefix{up}}), true
		}
	}
	return x, false
}

// parent returns the prefix whose two halves a and b are.
func parent(a, b netip.Prefix) (netip.Prefix, bool) {
	if a == b || a.Bits() != b.Bits() || a.Bits() == 0 || a.Addr().BitLen() != b.Addr().BitLen() {
		return netip.Prefix{}, false
	}
	up := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return up, up.Contains(b.Addr())
}
