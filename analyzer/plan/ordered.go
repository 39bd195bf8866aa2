package plan

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// ordered is the group stage of a class in one direction where more speaks than rules
// that allow: some deny, or have ranks, the default allows, members of a group or the
// platform are admitted whatever the rules say.
//
// As long as the denies stay, what such a list permits is the union of what its allow
// lines admit, each less the denies above it, and of what the default and the implicit
// lines admit. So all that the plan knows of unions holds, with what a rule admits here
// in place of what it says.
type ordered struct {
	list   *space.List
	lines  []line // of list.Lines, same order
	exempt []netip.Prefix
	byDefault,
	everything []netset.Box // what the default admits for certain, and what it would without denies; nil: it denies
}

// line is what a line of a list admits, and whose it is.
type line struct {
	rule   int32   // index into world.rules; negative: it is implicit
	by     carrier // which kind of implicit line
	admits space.Region
}

// place is a rule in a list: what it may match at all, and what it admits there.
type place struct {
	perhaps []netset.Box
	admits  space.Region
}

// carrier is something that admits traffic though no declared rule does.
type carrier uint8

const (
	byDefault  carrier = 1 << iota // what no rule matches is allowed
	byIntra                        // members of a group among themselves
	byPlatform                     // what the platform admits unless a rule denies
)

// carriers is a set of them.
type carriers = carrier

const (
	anyCarrier = byDefault | byIntra | byPlatform
	// lasting are those that a removal may rely on whatever the traffic. Who isolates the
	// members of a group needs the rules that the hidden one made idle.
	lasting = byDefault | byPlatform
)

// order finds the lists of c where the order of its rules matters, or more than its
// rules speaks.
func (w *world) order(c *class) {
	if c.opaque {
		return
	}
	for _, d := range directions {
		if w.plain(c, d) {
			continue
		}
		st, ok := groupStage(w.snap, c.first.ID, d)
		if !ok {
			continue
		}
		o := &ordered{list: space.Of(st), exempt: st.Exempt}
		for i := range o.list.Lines {
			x := &o.list.Lines[i]
			c.opaque = c.opaque || x.Rule.Action == policy.Next || x.Rule.Action == policy.AllowAll
			l := line{rule: -1}
			if at, ok := w.at[x.Rule.Ref]; ok {
				l.rule = int32(at)
				w.hedge(x, &w.rules[at])
			}
			switch st.Tiers[x.Tier].Name {
			case policy.IntraTier:
				l.by = byIntra
				if w.passing(c) { // and who sent a packet is not what its address says
					x.Sure, x.Exact = nil, false
				}
			case policy.AdmittedTier:
				l.by = byPlatform
			}
			o.lines = append(o.lines, l)
		}
		for i := range o.lines {
			o.lines[i].admits = o.list.Admits(i)
		}
		if o.list.Default == policy.Allow {
			o.byDefault, o.everything = o.list.ByDefault().Sure, space.Everything()
		}
		c.lists[side(d)] = o
	}
}

// groupStage returns the stage of the groups of interface id in direction d.
func groupStage(s *policy.Snapshot, id string, d flow.Direction) (*policy.Stage, bool) {
	path := s.Path(id, d)
	i := slices.IndexFunc(path, func(st policy.Stage) bool { return st.Stateful })
	if i < 0 {
		return nil, false
	}
	return &path[i], true
}

// plain reports whether the rules of c in direction d all allow and all speak together,
// and nothing else speaks.
func (w *world) plain(c *class, d flow.Direction) bool {
	f := c.first
	p := w.snap.PlatformOf(f)
	if len(p.Admitted) > 0 || f.IngressOpen && d == flow.Ingress {
		return false
	}
	for _, id := range f.Groups {
		g, ok := w.snap.Group(id)
		if !ok && p.GroupsDeny || ok && (g.Intra || g.EgressOpen && d == flow.Egress) {
			return false
		}
	}
	rules := c.rules[side(d)]
	return !slices.ContainsFunc(rules, func(i int32) bool {
		return w.rules[i].Action != policy.Allow || w.rules[i].Rank != w.rules[rules[0]].Rank
	})
}

// passing reports whether something in the networks of c passes traffic on under its
// sender's address.
func (w *world) passing(c *class) bool {
	return slices.ContainsFunc(c.vpcs, func(v string) bool { return w.hosts.appliance[v] })
}

// hedge bounds what line x, which is r, matches: no deny is relied on whose peers may
// not be matched, or may change without anyone's doing, and all that peers may come to
// hold counts as perhaps matched.
func (w *world) hedge(x *space.Line, r *rule) {
	if r.slack() {
		x.Sure, x.Exact = nil, false
	}
	switch {
	case r.behind || r.adrift:
		x.Perhaps, x.Exact = anyone(r), false
	case len(r.future) > 0:
		x.Perhaps, x.Exact = slices.Concat(x.Perhaps, r.future), false
	}
}

// slack reports whether r is a deny that must not be relied on.
func (r *rule) slack() bool {
	return r.Action == policy.Deny && (r.distant || r.shifts || r.behind || r.refs && r.apart)
}

// anyone returns the services that r names, with all peers there are.
func anyone(r *rule) []netset.Box {
	var out []netset.Box
	for _, all := range space.Everything() {
		for _, s := range r.named {
			out = append(out, netset.Box{Services: s, Addrs: all.Addrs})
		}
	}
	return out
}

// place notes for every rule what it admits in the lists where it is.
func (w *world) place() {
	for c := range w.classes {
		for _, o := range w.classes[c].lists {
			if o == nil {
				continue
			}
			for i, l := range o.lines {
				if l.rule < 0 {
					continue
				}
				r := &w.rules[l.rule]
				if r.places == nil {
					r.places = make([]place, len(r.classes))
				}
				r.places[slices.Index(r.classes, int32(c))] = place{o.list.Lines[i].Perhaps, l.admits}
			}
		}
	}
	for i := range w.rules {
		r := &w.rules[i]
		for _, c := range r.classes {
			switch cl := &w.classes[c]; {
			case cl.opaque:
				r.kept = "it is in force where stages of rules are spelled out, or rules pass on to others: no plan is made there"
			case r.kept == "" && w.platformOnly(r, cl):
				r.kept = "its peers are addresses of the platform: what it needs of them is not for traffic to say"
			}
		}
	}
}

// platformOnly reports whether r names nothing but addresses that the platform of c
// admits unless a rule denies.
func (w *world) platformOnly(r *rule, c *class) bool {
	admitted := w.snap.PlatformOf(c.first).Admitted
	return len(admitted) > 0 && len(r.addrs) > 0 && !slices.ContainsFunc(r.addrs, func(a netset.Addrs) bool {
		return !slices.ContainsFunc(admitted, func(p netip.Prefix) bool { return netset.AddrsOf(p).Covers(a) })
	})
}

// in returns what r may match, and what it admits, in its k-th class.
func (r *rule) in(k int) place {
	if r.places == nil || r.places[k].perhaps == nil {
		return place{r.boxes, space.Region{Sure: r.boxes, Perhaps: r.boxes}}
	}
	return r.places[k]
}

// reach is up to where rules speak for what some rule may match as if no deny stood
// between it and them: what that rule admits, they admit if they match it.
type reach uint64

const everywhere reach = 1 << 32 // beyond all ranks: the default, too

// holds reports whether a rule of this rank is inside.
func (n reach) holds(rank uint32) bool { return reach(rank) < n }

// reachOf returns the reach of a rule of this rank that may match boxes: up to the first
// deny of worse rank that may match some of that.
func (o *ordered) reachOf(rank uint32, boxes []netset.Box) reach {
	for i := range o.lines {
		x := &o.list.Lines[i]
		if x.Rule.Action == policy.Deny && x.Rule.Rank > rank && meet(x.Perhaps, boxes) {
			return reach(x.Rule.Rank)
		}
	}
	return everywhere
}

func meet(a, b []netset.Box) bool {
	return slices.ContainsFunc(a, func(x netset.Box) bool { return slices.ContainsFunc(b, x.Overlaps) })
}

// certain returns what line i admits for certain of what a rule of reach n admits.
func (o *ordered) certain(i int, n reach) []netset.Box {
	x := &o.list.Lines[i]
	if x.Rule.Action != policy.Allow {
		return nil
	}
	if n == everywhere || o.lines[i].by == byIntra || o.lines[i].rule >= 0 && n.holds(x.Rule.Rank) {
		return x.Sure
	}
	return o.lines[i].admits.Sure
}

// defaults returns what the default admits for certain of what a rule of reach n admits.
func (o *ordered) defaults(n reach) []netset.Box {
	if n == everywhere {
		return o.everything
	}
	return o.byDefault
}

// coveredIn is covered on a class whose list is o and where r admits what at says.
func (w *world) coveredIn(o *ordered, r *rule, at place, keep func(*rule) bool, given carriers) bool {
	n := o.reachOf(r.Rank, at.perhaps)
	by := w.by[:0]
	for i := range o.lines {
		l := &o.lines[i]
		if l.rule < 0 {
			if l.by&given != 0 {
				by = append(by, o.certain(i, n)...)
			}
			continue
		}
		q := &w.rules[l.rule]
		if q.Ref == r.Ref || q.Action != policy.Allow || !r.meets(q) || !keep(q) {
			continue
		}
		if r.refs && q.refs && n.holds(q.Rank) && namesSame(r.Rule, q.Rule) {
			return true
		}
		if !q.mayMiss(r) {
			by = append(by, o.certain(i, n)...)
		}
	}
	if given&byDefault != 0 {
		by = append(by, o.defaults(n)...)
	}
	w.by = by
	if r.unsettled() {
		return false
	}
	ok, _ := netset.CoveredAll(at.admits.Perhaps, by)
	return ok
}
