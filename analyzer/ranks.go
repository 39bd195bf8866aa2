package analyzer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// ranksOf returns the best and the worst rank that a rule of g can be given, wherever g is
// attached.
func (p *Pass) ranksOf(g *policy.Group) (best, worst uint32) {
	best, worst = 1, math.MaxUint32
	for _, f := range p.Snapshot.Attached(g.ID) {
		if x := p.Snapshot.PlatformOf(f); x.RankMax > 0 {
			best, worst = max(best, x.RankMin), min(worst, x.RankMax)
		}
	}
	return best, worst
}

// placeAbove says where a rule of g that allows boxes speaks before all that denies any of
// them where g is attached.
func (p *Pass) placeAbove(g *policy.Group, d flow.Direction, boxes []netset.Box) string {
	best, worst := p.ranksOf(g)
	rank := best
	first := uint32(math.MaxUint32)
	var before []*policy.Rule
	p.eachLine(g, d, func(r *policy.Rule, perhaps []netset.Box) {
		if r.Action != policy.Deny || !meet(perhaps, boxes) {
			return
		}
		first = min(first, r.Rank)
		if r.Rank <= best {
			before = append(before, r)
		}
	})
	if before = once(before); len(before) > 0 {
		return fmt.Sprintf("priority %d, but there is no priority left above %s: move %s to a worse one first", rank, ranked(before), them(before))
	}
	if first != math.MaxUint32 {
		rank = min(first-1, worst)
	}
	return fmt.Sprintf("priority %d", rank)
}

// room is where rules go that allow before a last rule denies everything.
type room struct {
	rank uint32 // of those that allow; the last rule has a worse one
	// move are rules that stand in the way: that rank is not as bad as theirs, or there
	// is none worse for the last rule.
	move []*policy.Rule
}

// roomBelow returns where rules of g that allow boxes take nothing from any rule that
// denies where g is attached, and where a rule that denies the rest takes nothing from any
// rule that allows: as it wins on a tie, its rank must be worse than theirs.
func (p *Pass) roomBelow(g *policy.Group, d flow.Direction, boxes []netset.Box) room {
	best, worst := p.ranksOf(g)
	out := room{rank: best}
	p.eachLine(g, d, func(r *policy.Rule, _ []netset.Box) { out.rank = max(out.rank, r.Rank) })
	if out.rank < worst {
		return out
	}
	out.rank = worst - 1
	p.eachLine(g, d, func(r *policy.Rule, perhaps []netset.Box) {
		if r.Rank > out.rank && (r.Action != policy.Deny || meet(perhaps, boxes)) {
			out.move = append(out.move, r)
		}
	})
	out.move = once(out.move)
	return out
}

// facts says what must go first to make room, if anything.
func (x *room) facts() []Fact {
	if len(x.move) == 0 {
		return nil
	}
	return []Fact{{"first", fmt.Sprintf("there is no priority left below %s: move %s to %d or better before anything else, and keep the order of rules that overlap",
		ranked(x.move), them(x.move), x.rank)}}
}

// place is where the rules that allow go, in words.
func (x *room) place() string {
	if len(x.move) > 0 {
		return fmt.Sprintf("priority %d once there is room", x.rank)
	}
	return fmt.Sprintf("priority %d", x.rank)
}

// once returns rules by rank, each once.
func once(rules []*policy.Rule) []*policy.Rule {
	slices.SortFunc(rules, func(a, b *policy.Rule) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), a.Ref.Compare(b.Ref)) })
	return slices.CompactFunc(rules, func(a, b *policy.Rule) bool { return a.Ref == b.Ref })
}

// ranked names rules with their ranks.
func ranked(rules []*policy.Rule) string {
	var parts []string
	for _, r := range rules {
		parts = append(parts, fmt.Sprintf("%s (%d)", r.Ref, r.Rank))
	}
	return strings.Join(parts, ", ")
}

// them stands for rules that were named.
func them(rules []*policy.Rule) string {
	if len(rules) > 1 {
		return "them"
	}
	return "it"
}

// eachLine calls f with the declared rules of direction d that speak where g is attached.
func (p *Pass) eachLine(g *policy.Group, d flow.Direction, f func(r *policy.Rule, perhaps []netset.Box)) {
	for i := range p.Coverage.lists.scopes {
		sc := &p.Coverage.lists.scopes[i]
		if _, carries := slices.BinarySearch(p.Snapshot.Interfaces[sc.interfaces[0]].Groups, g.ID); !carries {
			continue
		}
		for n := range sc.stages[side(d)] {
			for k := range sc.stages[side(d)][n].list.Lines {
				if x := &sc.stages[side(d)][n].list.Lines[k]; !x.Rule.Implicit {
					f(x.Rule, x.Perhaps)
				}
			}
		}
	}
}
