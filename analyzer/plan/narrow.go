package plan

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// option is one way to say what a rule must go on admitting, and how much that admits.
type option struct {
	rules []draft
	size  netset.Size
}

// draft is a rule that is made only if its option is chosen.
type draft struct {
	services netset.Services
	peer     policy.AddrSet
}

// menu holds options by the number of rules, ascending; each is at least worthWhile
// times smaller per extra rule than the one before.
type menu []option

// worthWhile is the factor by which an extra rule must shrink what is admitted, the
// fourth root of two: a rule more is a rule more to read, and to lose time with when
// the world changes.
const worthWhile = 1.189207115002721

// fewClients is the greatest number of public peers that are ever listed: beyond it a
// service is public, and a list of clients would be wrong tomorrow.
const fewClients = 32

// mostPieces is the greatest number of rules that one rule is split into: a longer list
// is no longer read, and the last pieces save little.
const mostPieces = 16

// fewPieces is the same where nobody asked for a number of rules: a table that is
// checked at a glance. Such pieces are not split again.
const fewPieces = 8

// narrow returns the edits that make open rules as small as what they must go on
// admitting. Each obligation that no fixed rule admits is given to the smallest open
// rule that admits it. Slots that removals have freed in a group may be spent on
// splitting rules, where that shrinks them enough: the split of all slots of a group
// and direction is the best one (min-plus over the menus).
func (p *planner) narrow(w *world, of []int32, sigs []signature, st []state, gone []bool) []Edit {
	// What a rule that cannot shrink admits anyway, no other rule need be kept wide for.
	kept := make([]bool, len(w.rules))
	var shares []share
	for again := true; again; {
		again = false
		shares = p.shares(w, of, sigs, st, gone, kept)
		for _, s := range shares {
			for k, i := range s.rules {
				if len(s.menus[k]) > 1 {
					continue
				}
				kept[i], again = true, true
				if s.notes[k] != "" {
					p.note(w.rules[i].Ref, s.notes[k]+p.mostlyAttempts(w.rules[i].Ref))
				}
			}
		}
	}
	if w == p.old && !p.trial {
		p.narrowed = make(map[policy.Ref]narrowed)
		for _, s := range shares {
			for k, i := range s.rules {
				p.narrowed[w.rules[i].Ref] = narrowed{&w.rules[i], s.points[k]}
			}
		}
	}
	var edits []Edit
	for _, s := range shares {
		for k, n := range split(s.menus, s.spare) {
			r := &w.rules[s.rules[k]]
			if s.notes[k] != "" {
				p.note(r.Ref, s.notes[k]+p.mostlyAttempts(r.Ref))
			}
			if n == 0 {
				continue // the first option: the rule as it is
			}
			e := Edit{Op: Replace, Rule: r.Ref, Group: s.group.ID}
			for _, d := range s.menus[k][n].rules {
				e.With = append(e.With, replacement(r.Rule, r.match(d)))
			}
			edits = append(edits, e)
		}
	}
	return w.distinct(p.gainful(w, edits, gone), gone)
}

// gainful drops the edits of rules in ordered lists after which the lists would permit
// the same: other rules that stay, or the default, admit what the narrower rule does not.
func (p *planner) gainful(w *world, edits []Edit, gone []bool) []Edit {
	with := make(map[int32][]netset.Box) // rule that is narrowed → what it is narrowed to
	for _, e := range edits {
		r := &w.rules[w.at[e.Rule]]
		for _, n := range e.With {
			if r.places != nil {
				with[int32(r.index)] = append(with[int32(r.index)], w.describe(r.group, &n).boxes...)
			}
		}
	}
	for again := true; again; {
		again = false
		edits = slices.DeleteFunc(edits, func(e Edit) bool {
			r := &w.rules[w.at[e.Rule]]
			if r.places == nil || !w.same(r, with, gone) {
				return false
			}
			p.note(r.Ref, "other rules, or the default, admit what a narrower rule would not: narrowing it gains nothing")
			delete(with, int32(r.index))
			again = true
			return true
		})
	}
	return edits
}

// same reports whether narrowing rules to with, r among them, leaves all that r admits
// admitted.
func (w *world) same(r *rule, with map[int32][]netset.Box, gone []bool) bool {
	for k, c := range r.classes {
		o := w.classes[c].lists[side(r.Direction)]
		if o == nil {
			return false
		}
		at := r.in(k)
		n := o.reachOf(r.Rank, at.perhaps)
		by := slices.Clone(o.defaults(n))
		for i := range o.lines {
			l := &o.lines[i]
			if l.rule >= 0 && gone[l.rule] {
				continue
			}
			boxes, narrowed := with[l.rule]
			switch {
			case !narrowed:
				by = append(by, o.certain(i, n)...)
			case n.holds(w.rules[l.rule].Rank):
				by = append(by, boxes...)
			}
		}
		if ok, _ := netset.CoveredAll(at.admits.Perhaps, by); !ok {
			return false
		}
	}
	return true
}

// share is the rules of one group and direction that may be narrowed, with the slots
// they may spend and what they could spend them on.
type share struct {
	group *policy.Group
	rules []int
	// points are what each of them has to go on admitting.
	points [][]cover.Point
	spare  int
	menus  []menu
	notes  []string
}

// shares finds the ways to narrow every open rule but the kept ones.
func (p *planner) shares(w *world, of []int32, sigs []signature, st []state, gone, kept []bool) []share {
	points := p.assign(w, of, sigs, st, gone, kept)
	var shares []share
	type job struct{ share, rule int }
	var jobs []job
	for g := range w.snap.Groups {
		group := &w.snap.Groups[g]
		for _, d := range directions {
			s := share{group: group}
			count, left := 0, 0
			for k := range group.Rules {
				if group.Rules[k].Direction != d {
					continue
				}
				i := w.at[group.Rules[k].Ref]
				count++
				if !gone[i] {
					left++
				}
				if st[i] == open && !gone[i] && !kept[i] && len(points[i]) > 0 {
					jobs = append(jobs, job{len(shares), len(s.rules)})
					s.rules, s.points = append(s.rules, i), append(s.points, points[i])
				}
			}
			if len(s.rules) == 0 {
				continue
			}
			s.spare = max(0, p.budget(group, count)-left)
			s.menus, s.notes = make([]menu, len(s.rules)), make([]string, len(s.rules))
			shares = append(shares, s)
		}
	}
	each(len(jobs), func(n int) {
		s := &shares[jobs[n].share]
		i := s.rules[jobs[n].rule]
		s.menus[jobs[n].rule], s.notes[jobs[n].rule] = narrowings(w, &w.rules[i], points[i], p.pieces(w.rules[i].Ref, 1+s.spare))
	})
	return shares
}

// mostlyAttempts adds to why peers stay as they are that most of them were never
// answered: the plan must not deny what was let in, but whoever owns the rule may.
func (p *planner) mostlyAttempts(ref policy.Ref) string {
	u := p.usage(ref)
	if u.Answered == 0 || u.Answered*2 > u.Hits {
		return ""
	}
	return fmt.Sprintf("; only %d of %d connections were answered, the others look like scans: name the peers by hand", u.Answered, u.Hits)
}

// pieces returns how many rules may replace ref where limit slots are free.
func (p *planner) pieces(ref policy.Ref, limit int) int {
	if p.in.Budget > 0 {
		return limit
	}
	if _, made := p.origin[ref]; made {
		return 1
	}
	return min(limit, fewPieces)
}

// each calls f for every number below n, on all processors.
func each(n int, f func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}

// budget returns how many rules group g, which has count in one direction, may have.
func (p *planner) budget(g *policy.Group, count int) int {
	if p.in.Budget == 0 {
		return count
	}
	most := p.in.Budget
	s := p.in.Result.Snapshot
	for _, f := range s.Attached(g.ID) {
		if q := s.PlatformOf(f).Quota; q > 0 {
			most = min(most, max(count, q))
		}
	}
	return most
}

// assign gives each obligation that only open rules admit to the one of them that
// admits least, and returns the points each rule has to cover.
func (p *planner) assign(w *world, of []int32, sigs []signature, st []state, gone, kept []bool) [][]cover.Point {
	to := make([]int32, len(sigs))
	for s := range sigs {
		to[s] = -1
		if sigs[s].free != 0 {
			continue // the default or an implicit rule admits it, whatever becomes of these
		}
		for _, i := range w.certain(sigs[s].whole) {
			if gone[i] {
				continue
			}
			if st[i] == fixed || kept[i] {
				to[s] = -1
				break
			}
			if to[s] < 0 || cmp.Or(w.rules[i].weight.Cmp(w.rules[to[s]].weight), p.better(&w.rules[i], &w.rules[to[s]])) < 0 {
				to[s] = i
			}
		}
	}
	points := make([][]cover.Point, len(w.rules))
	for k := range p.obs {
		if i := to[of[k]]; i >= 0 {
			points[i] = append(points[i], cover.Point{Addr: p.obs[k].remote, Services: p.obs[k].services, Free: p.obs[k].free})
		}
	}
	for i := range points {
		slices.SortFunc(points[i], func(a, b cover.Point) int {
			return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(b.Free, a.Free), cmp.Compare(a.Services.First, b.Services.First), cmp.Compare(a.Services.Last, b.Services.Last))
		})
		points[i] = slices.Compact(points[i])
	}
	return points
}

// split gives spare slots to menus so that what is admitted in all is least, and
// returns the option chosen from each. Options of a menu cost as many slots as they have
// rules beyond one. Of equal choices the one with fewer rules wins.
func split(menus []menu, spare int) []int {
	const none = -1
	best := make([]netset.Size, spare+1) // least size of the menus so far with so many slots
	choice := make([][]int, len(menus))
	for k, m := range menus {
		next := make([]netset.Size, spare+1)
		choice[k] = make([]int, spare+1)
		for have := range next {
			choice[k][have] = none
			for o := range m {
				extra := max(0, len(m[o].rules)-1)
				if extra > have {
					break
				}
				size := best[have-extra].Add(m[o].size)
				if choice[k][have] == none || size.Less(next[have]) {
					next[have], choice[k][have] = size, o
				}
			}
		}
		best = next
	}
	out := make([]int, len(menus))
	have := spare
	for k := len(menus) - 1; k >= 0; k-- {
		out[k] = choice[k][have]
		have -= max(0, len(menus[k][out[k]].rules)-1)
	}
	return out
}

// distinct drops new rules that another edit of the group makes as well, or that are
// there already and stay.
func (w *world) distinct(edits []Edit, gone []bool) []Edit {
	leaving := make(map[policy.Ref]bool)
	for _, e := range edits {
		leaving[e.Rule] = true
	}
	made := make(map[policy.Ref]bool)
	for k := range edits {
		kept := edits[k].With[:0:0]
		for _, n := range edits[k].With {
			at, there := w.at[n.Ref]
			if made[n.Ref] || there && !gone[at] && !leaving[n.Ref] {
				continue
			}
			made[n.Ref] = true
			kept = append(kept, n)
		}
		edits[k].With = kept
		if len(kept) == 0 {
			edits[k].Op = Remove
		}
	}
	return edits
}
