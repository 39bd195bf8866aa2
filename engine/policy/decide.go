package policy

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Tier is a list of rules in which the best rank speaks. Order in Rules does not
// matter.
type Tier struct {
	Name  string
	Rules []Rule // references resolved
}

// Stage is one filter on the path of a connection.
type Stage struct {
	Name       string // "sg", "nacl" …
	Stateful   bool   // false: every packet is judged, replies too
	Tiers      []Tier
	Default    Action
	DefaultRef Ref
	Exempt     []netip.Prefix // remote addresses for which the stage does not apply
}

// Conn is a new connection as one interface sees it, or, for stateless stages,
// any packet. Ports are 0 for protocols without ports.
type Conn struct {
	Direction             flow.Direction
	Proto                 flow.Proto
	Local, Remote         netip.Addr
	LocalPort, RemotePort uint16
	ICMP                  TypeCode // AnyICMP: not known, as in every flow log
}

// Matches reports whether m matches c. It is Perhaps where m restricts what is not
// known of c (the ICMP type) or holds addresses that could not be resolved.
func (m *Match) Matches(c *Conn) Tri {
	if !m.Protos.Has(c.Proto) {
		return No
	}
	if c.Proto.HasPorts() && (!m.LocalPorts.Contains(c.LocalPort) || !m.RemotePorts.Contains(c.RemotePort)) {
		return No
	}
	t := min(m.Local.Contains(c.Local), m.Remote.Contains(c.Remote))
	if c.Proto.IsICMP() {
		t = min(t, m.ICMP.matches(c.ICMP))
	}
	return t
}

func (t TypeCode) matches(c TypeCode) Tri {
	part := func(rule, conn int16) Tri {
		switch {
		case rule < 0 || rule == conn:
			return Yes
		case conn < 0:
			return Perhaps
		}
		return No
	}
	return min(part(t.Type, c.Type), part(t.Code, c.Code))
}

// Matches reports whether r matches c: the best answer of its boxes.
func (r *Rule) Matches(c *Conn) Tri {
	best := No
	for i := range r.Match {
		best = max(best, r.Match[i].Matches(c))
	}
	return best
}

// Decision is what a path says of a connection.
type Decision struct {
	Verdict Verdict
	Stages  []StageDecision // in path order, up to and with the one that denied
}

// StageDecision is what one stage says of a connection.
type StageDecision struct {
	Stage   string
	Tier    string
	Skipped bool // the stage does not apply to this connection
	Verdict Verdict
	Winners []Ref // all rules with the rank and action that spoke, or the default; sorted
	// Possible are rules that would win if what is not known of them or of the
	// connection turned out so: they match perhaps, and nothing certain outranks
	// them. Sorted.
	Possible []Ref
	// Next is what would speak if the winners were not there; the action Next if
	// that is not known.
	Next Action
	// Action is what spoke, where the verdict is not Unknown.
	Action Action
	// Decisive: there is one winner, and without it the verdict would be another one.
	Decisive bool
}

// Decide says what path does with the new connection c. It is the definition:
// linear, plain, never optimised. Everything faster is tested against it.
func Decide(path []Stage, c *Conn) Decision { return decide(path, c, false) }

// DecidePacket says what the stateless stages of path do with a packet that opens
// nothing: a reply, or a later packet of a connection. c.Direction is the packet's.
func DecidePacket(path []Stage, c *Conn) Decision { return decide(path, c, true) }

func decide(path []Stage, c *Conn, statelessOnly bool) Decision {
	d := Decision{Verdict: Allowed}
	for i := range path {
		if statelessOnly && path[i].Stateful {
			continue
		}
		sd := path[i].Decide(c)
		d.Stages = append(d.Stages, sd)
		if sd.Verdict == Denied {
			d.Verdict = Denied
			return d
		}
		if sd.Verdict == Unknown {
			d.Verdict = Unknown
		}
		if sd.Action == AllowAll {
			return d
		}
	}
	return d
}

// ranked is a rule that matches, or perhaps does.
type ranked struct {
	tier int
	rule *Rule
	tri  Tri
}

// Decide says what the stage alone does with c.
func (s *Stage) Decide(c *Conn) StageDecision {
	out := StageDecision{Stage: s.Name}
	for _, p := range s.Exempt {
		if p.Contains(c.Remote) {
			out.Skipped, out.Verdict, out.Action, out.Next = true, Allowed, Allow, Allow
			return out
		}
	}
	// All that matches, the strongest first: by tier, rank, deny before allow.
	var all []ranked
	for t := range s.Tiers {
		for i := range s.Tiers[t].Rules {
			r := &s.Tiers[t].Rules[i]
			if tri := r.Matches(c); tri != No {
				all = append(all, ranked{t, r, tri})
			}
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		// Certain before perhaps, so that a certain Next drops its perhaps twins
		// whatever their names are.
		return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.rule.Rank, b.rule.Rank),
			cmp.Compare(a.rule.Action, b.rule.Action), -cmp.Compare(a.tri, b.tri), a.rule.Ref.Compare(b.rule.Ref))
	})
	all = dropPassedOn(all)

	first, end, action, unsure := s.speaks(all)
	var rest []ranked // all but the winners
	for i, r := range all {
		switch {
		case i >= end:
			rest = append(rest, r)
		case r.tri == Yes:
			out.Winners = append(out.Winners, r.rule.Ref)
		default:
			out.Possible = append(out.Possible, r.rule.Ref)
			rest = append(rest, r)
		}
	}
	out.Next = s.Default
	if first >= 0 {
		out.Tier = s.Tiers[all[first].tier].Name
		_, _, next, open := s.speaks(rest)
		if out.Next = next; open {
			out.Next = Next
		}
	} else {
		out.Winners = []Ref{s.DefaultRef}
	}
	out.Decisive = first >= 0 && len(out.Winners) == 1 && !unsure && out.Next != action
	slices.SortFunc(out.Winners, Ref.Compare)
	slices.SortFunc(out.Possible, Ref.Compare)
	out.Action = action
	switch {
	case unsure:
		out.Verdict, out.Action = Unknown, Next
	case action == Deny:
		out.Verdict = Denied
	default:
		out.Verdict = Allowed
	}
	return out
}

// speaks finds what speaks among all, the strongest first: the certain match
// all[first], or the default if first is negative. all[:end] are the rules as
// strong as that or stronger. unsure: one of them may match and do otherwise.
func (s *Stage) speaks(all []ranked) (first, end int, action Action, unsure bool) {
	first = slices.IndexFunc(all, func(r ranked) bool { return r.tri == Yes })
	end, action = len(all), s.Default
	if first >= 0 {
		best := all[first]
		action = best.rule.Action
		end = first + 1
		for end < len(all) && all[end].tier == best.tier && all[end].rule.Rank == best.rule.Rank && all[end].rule.Action == action {
			end++
		}
	}
	unsure = slices.ContainsFunc(all[:end], func(r ranked) bool { return r.rule.Action != action })
	return first, end, action, unsure
}

// dropPassedOn leaves out, in each tier, a certain match that passes on to the next
// tier and everything weaker than it in its tier.
func dropPassedOn(all []ranked) []ranked {
	out := all[:0]
	passed := -1
	for _, r := range all {
		if r.tier == passed {
			continue
		}
		if r.rule.Action == Next && r.tri == Yes {
			passed = r.tier
			continue
		}
		out = append(out, r)
	}
	return out
}
