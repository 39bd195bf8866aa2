package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
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
					p.note(w.rules[i].Ref, s.notes[k])
				}
			}
		}
	}
	var edits []Edit
	for _, s := range shares {
		for k, n := range split(s.menus, s.spare) {
			r := &w.rules[s.rules[k]]
			if s.notes[k] != "" {
				p.note(r.Ref, s.notes[k])
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
	return w.distinct(edits, gone)
}

// share is the rules of one group and direction that may be narrowed, with the slots
// they may spend and what they could spend them on.
type share struct {
	group *policy.Group
	rules []int
	spare int
	menus []menu
	notes []string
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
					s.rules = append(s.rules, i)
				}
			}
			if len(s.rules) == 0 {
				continue
			}
			s.spare = max(0, p.budget(count)-left)
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

// budget returns how many rules a group that has count in one direction may have.
func (p *planner) budget(count int) int {
	if p.in.Budget == 0 {
		return count
	}
	return min(p.in.Budget, max(count, quota))
}

// assign gives each obligation that only open rules admit to the one of them that
// admits least, and returns the points each rule has to cover.
func (p *planner) assign(w *world, of []int32, sigs []signature, st []state, gone, kept []bool) [][]cover.Point {
	to := make([]int32, len(sigs))
	for s := range sigs {
		to[s] = -1
		for _, i := range sigs[s].whole {
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
			points[i] = append(points[i], cover.Point{Addr: p.obs[k].remote, Services: p.obs[k].services})
		}
	}
	for i := range points {
		slices.SortFunc(points[i], func(a, b cover.Point) int {
			return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Services.First, b.Services.First), cmp.Compare(a.Services.Last, b.Services.Last))
		})
		points[i] = slices.Compact(points[i])
	}
	return points
}

// narrowings returns the ways to narrow r to points with at most limit rules, and why
// there are fewer than one might expect. The first option is always r itself; none
// follows where r cannot shrink.
func narrowings(w *world, r *rule, points []cover.Point, limit int) (menu, string) {
	asIs := menu{{size: r.weight}}
	if len(r.Match) != 1 || r.perhapsAnywhere() {
		return asIs, "it names several peers or ranges at once, or ones that are not known"
	}
	m := &r.Match[0]
	_, single := m.Protos.Single()
	if len(m.Remote.Prefixes)+len(m.Remote.Refs) != 1 || !single && m.Protos != policy.AnyProto {
		return asIs, "it names several peers or protocols at once"
	}
	n := narrower{w: w, r: r, limit: min(limit, mostPieces), byProto: make(map[flow.Proto][]cover.Point)}
	for _, pt := range points {
		proto, _ := pt.Services.Proto()
		if _, seen := n.byProto[proto]; !seen {
			n.protos = append(n.protos, proto)
		}
		n.byProto[proto] = append(n.byProto[proto], pt)
	}
	slices.Sort(n.protos)
	// The ports are narrowed per protocol, whatever becomes of the peer.
	best, reason := n.portsOnly(m.Remote, r.addrs), ""
	if len(m.Remote.Prefixes) == 1 {
		var peers []option
		if peers, reason = n.peers(points, best); peers != nil {
			best = peers
		}
	}
	return prune(append(asIs, best...)), reason
}

// prune keeps of options, the first being the rule as it is, those that are worth
// their rules.
func prune(options []option) menu {
	slices.SortStableFunc(options, func(a, b option) int {
		return cmp.Or(cmp.Compare(len(a.rules), len(b.rules)), a.size.Cmp(b.size))
	})
	out := menu{options[0]}
	for _, o := range options[1:] {
		last := out[len(out)-1]
		if len(o.rules) == 0 || !o.size.Less(last.size) {
			continue
		}
		factor := 1.0
		for range len(o.rules) - max(1, len(last.rules)) {
			factor *= worthWhile
		}
		if o.size.Float64()*factor <= last.size.Float64() {
			out = append(out, o)
		}
	}
	return out
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

// narrower looks for ways to narrow one rule.
type narrower struct {
	w       *world
	r       *rule
	limit   int // rules at most
	protos  []flow.Proto
	byProto map[flow.Proto][]cover.Point
}

// match returns the match of the new rule d of r.
func (r *rule) match(d draft) policy.Match {
	old := &r.Match[0]
	proto, single := d.services.Proto()
	if !single {
		return policy.NewMatch(r.Direction, policy.AnyProto, netset.AllPorts, policy.AnyICMP, d.peer)
	}
	ports, icmp := netset.AllPorts, policy.AnyICMP
	if proto.HasPorts() {
		ports = d.services.Ports()
	}
	if proto.IsICMP() && old.Protos != policy.AnyProto {
		icmp = old.ICMP
	}
	return policy.NewMatch(r.Direction, policy.OneProto(proto), ports, icmp, d.peer)
}

// perProtocol joins, for each number of rules, options of the single protocols: the
// best split (min-plus). Option k-1 of the result has at most k rules.
func (n *narrower) perProtocol(one func(proto flow.Proto, points []cover.Point, limit int) []option) []option {
	if len(n.protos) > n.limit {
		return nil // a rule for each protocol does not fit; one for all is what there is
	}
	if len(n.protos) == 1 {
		return one(n.protos[0], n.byProto[n.protos[0]], n.limit)
	}
	limit := n.limit - len(n.protos) + 1
	total := []option{{}}
	for _, proto := range n.protos {
		mine := one(proto, n.byProto[proto], limit)
		if len(mine) == 0 {
			return nil
		}
		next := make([]option, 0, n.limit)
		for k := 1; k <= n.limit; k++ {
			var best option
			for _, a := range total {
				for _, b := range mine {
					if len(b.rules) == 0 || len(a.rules)+len(b.rules) > k {
						continue
					}
					if s := a.size.Add(b.size); len(best.rules) == 0 || s.Less(best.size) {
						best = option{slices.Concat(a.rules, b.rules), s}
					}
				}
			}
			if len(best.rules) > 0 && (len(next) == 0 || best.size.Less(next[len(next)-1].size)) {
				next = append(next, best)
			}
		}
		if len(next) == 0 {
			return nil
		}
		total = next
	}
	return total
}

// portsOnly returns the options that name peer, which holds addrs, and narrow the
// services: ports are cut at the heaviest gaps, which is optimal.
func (n *narrower) portsOnly(peer policy.AddrSet, addrs []netset.Addrs) []option {
	return n.perProtocol(func(proto flow.Proto, points []cover.Point, limit int) []option {
		if limit == 1 { // the hull, without looking for it
			hull := n.within(points[0].Services)
			for _, pt := range points {
				s := n.within(pt.Services)
				hull = netset.Services{First: min(hull.First, s.First), Last: max(hull.Last, s.Last)}
			}
			return []option{{[]draft{{hull, peer}}, exposureOf(hull, addrs)}}
		}
		var at []cover.Point // all at one address
		for _, pt := range points {
			at = append(at, cover.Point{Addr: flow.Addr4(0), Services: n.within(pt.Services)})
		}
		var out []option
		for _, s := range cover.Solve(at, limit, cover.Options{}) {
			var o option
			for _, b := range s.Boxes {
				o.rules = append(o.rules, draft{n.within(b.Services), peer})
				o.size = o.size.Add(exposureOf(n.within(b.Services), addrs))
			}
			out = append(out, o)
		}
		return out
	})
}

// within cuts services to those of the rule: of a rule for one ICMP type nothing else
// is ever proposed.
func (n *narrower) within(s netset.Services) netset.Services {
	for _, have := range n.r.named {
		if x, ok := have.Intersect(s); ok {
			return x
		}
	}
	return s
}

func exposureOf(s netset.Services, addrs []netset.Addrs) netset.Size {
	boxes := make([]netset.Box, len(addrs))
	for i, a := range addrs {
		boxes[i] = netset.Box{Services: s, Addrs: a}
	}
	return cover.Exposure(boxes)
}

// peers returns the options that name fewer peers than the rule does, a group where
// one explains what was seen, else prefixes; or nil and why there are none. ports are the
// options that keep the peer.
func (n *narrower) peers(points []cover.Point, ports []option) ([]option, string) {
	old := n.r.Match[0].Remote.Prefixes[0]
	if id, ok := n.w.explainingGroup(n.r, old, points); ok {
		peer := policy.AddrSet{Refs: []policy.SetRef{{Kind: policy.GroupSet, ID: id}}}
		var addrs []netset.Addrs
		for _, m := range n.w.snap.Members(id) {
			addrs = append(addrs, netset.AddrsOf(m))
		}
		if o := n.portsOnly(peer, outermost(addrs)); len(o) > 0 && o[0].size.Less(n.r.weight) {
			return o, ""
		}
	}
	public := 0
	for i, pt := range points {
		if (i == 0 || pt.Addr != points[i-1].Addr) && !n.w.hosts.private(pt.Addr) {
			public++
		}
	}
	if public > fewClients {
		return nil, fmt.Sprintf("a public service with %d public peers: its peers are not narrowed", public)
	}
	if n.w.unstable(old, points) {
		return nil, "peers belong to a managed service whose addresses change, and its subnet is not inside the rule"
	}
	subnets := n.w.subnetsIn(old)
	solve := func(at []cover.Point, limit int) []option {
		opt := cover.Options{Named: subnets, NoHost: n.w.managed, Inside: n.r.boxes}
		var out []option
		for _, s := range cover.Solve(at, limit, opt) {
			if len(s.Boxes) == 0 || !n.w.wholeSubnets(s.Boxes, at) || old.Bits() == 0 && slices.ContainsFunc(s.Boxes, n.w.vague) {
				continue
			}
			o := option{size: s.Exposure}
			for _, b := range s.Boxes {
				o.rules = append(o.rules, draft{b.Services, policy.AddrSet{Prefixes: []netip.Prefix{b.Prefix}}})
			}
			out = append(out, o)
		}
		return out
	}
	var out []option
	if n.r.Match[0].Protos == policy.AnyProto {
		// One rule for all protocols may still name fewer peers.
		at := make([]cover.Point, len(points))
		for i, pt := range points {
			at[i] = cover.Point{Addr: pt.Addr, Services: netset.AllServices}
		}
		out = solve(at, n.limit)
	}
	out = append(out, n.perProtocol(func(proto flow.Proto, points []cover.Point, limit int) []option {
		at := make([]cover.Point, len(points))
		for i, pt := range points {
			at[i] = cover.Point{Addr: pt.Addr, Services: n.within(pt.Services)}
		}
		if limit == 1 && n.filled(at) {
			return nil
		}
		return solve(at, limit)
	})...)
	if len(out) == 0 {
		return nil, ""
	}
	// Where prefixes leave more than half of what the ports alone leave, the peers are
	// everywhere, and a list of them would only pretend to a choice.
	if len(ports) > 0 && ports[len(ports)-1].size.Less(out[len(out)-1].size.Mul(2)) {
		if out[0].size.Less(ports[0].size) {
			return nil, "its peers are spread over most of what it admits: they are not narrowed"
		}
		return nil, ""
	}
	return append(out, ports...), ""
}

// vague reports whether a box names a part of the public address space that is no
// network: a rule is open to the world or to somebody, not to a sixteenth of the world.
func (w *world) vague(b cover.Box) bool {
	least := 16
	if b.Prefix.Addr().Is6() {
		least = 32
	}
	return b.Prefix.Bits() < least && !w.hosts.private(flow.AddrFrom(b.Prefix.Addr()))
}

// filled reports whether one rule for points would be the rule as it is.
func (n *narrower) filled(points []cover.Point) bool {
	hull := netset.Box{Services: points[0].Services, Addrs: netset.OneAddr(points[0].Addr)}
	for _, pt := range points { // in order of address
		hull.Services.First, hull.Services.Last = min(hull.Services.First, pt.Services.First), max(hull.Services.Last, pt.Services.Last)
		hull.Addrs.Last = pt.Addr
	}
	if len(n.r.boxes) != 1 || n.r.boxes[0].Services != hull.Services {
		return false
	}
	old := n.r.boxes[0].Addrs
	return old == hull.Addrs || netset.CommonBits(hull.Addrs.First, hull.Addrs.Last) == netset.CommonBits(old.First, old.Last)
}
