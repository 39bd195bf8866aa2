package analyzer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// DefaultEgress finds groups whose connections left by the open default.
var DefaultEgress = &Analyzer{
	Name:     "default-egress",
	Title:    "The egress of this group ran on the default",
	Severity: Low,
	Doc: `What leaves the members of this group is allowed where no rule denies it, and the logs
hold connections that left so: no rule speaks for them. Whatever runs on these machines may
connect anywhere.

The facts hold rules that cover what was observed, as few as are worth while. Adding them
changes nothing by itself: what they allow was allowed before. To close the egress, add
them first, then a rule that denies the rest at a worse priority than all that is to stay.
They speak for the window only: what comes once a month, updates, and addresses of services
that change are not in it; services with many public peers are therefore left open to all.
Platform addresses that a rule for everything would cut off have a rule of their own.`,
	Run: func(p *Pass) []Finding {
		base := policy.DefaultRef(policy.GroupStage, flow.Egress).Rule
		defaults := p.implicit(func(ref policy.Ref) bool { return ref.Rule == base || strings.HasPrefix(ref.Rule, base+":") })
		platforms := p.implicit(func(ref policy.Ref) bool { return ref.Rule == "platform:"+policy.GroupStage+":"+flow.Egress.String() })
		for id := range defaults {
			if p.Result.Rules[id].Action != policy.Allow {
				delete(defaults, id)
			}
		}
		if len(defaults) == 0 {
			return nil
		}
		byDefault, byPlatform := p.wonBy(defaults), p.wonBy(platforms)
		type left struct {
			sure     []*engine.Connection
			possible int
		}
		of := make(map[string]*left)
		for i := range p.Result.Connections {
			c := &p.Result.Connections[i]
			w := byDefault[c.Signature]
			if c.Direction != flow.Egress || c.Action != flow.Accept || !w.hit && !w.possible || byPlatform[c.Signature].hit {
				continue
			}
			for _, id := range p.Snapshot.Interfaces[c.Interface].Groups {
				if g, ok := p.Snapshot.Group(id); !ok || !g.EgressOpen {
					continue
				}
				if of[id] == nil {
					of[id] = &left{}
				}
				if w.hit {
					of[id].sure = append(of[id].sure, c)
				} else {
					of[id].possible++
				}
			}
		}
		var out []Finding
		for i := range p.Snapshot.Groups {
			g := &p.Snapshot.Groups[i]
			l := of[g.ID]
			if l == nil || len(l.sure) == 0 {
				continue
			}
			var seen observed
			peers := make(map[flow.Addr]bool)
			for _, c := range l.sure {
				seen.add(c)
				peers[c.Remote] = true
			}
			f := Finding{Subject: policy.Ref{Owner: g.ID}, Confidence: p.observedConfidence(g.ID), substance: g.ID}
			f.Message = fmt.Sprintf("%s of %s left by the open default: no rule allows them", plural(len(l.sure), "connection"), g.ID)
			f.Facts = []Fact{{"connections", count(len(l.sure))}, {"peers", count(len(peers))}, {"observed services", seen.ports()}}
			if l.possible > 0 {
				f.Facts = append(f.Facts, Fact{"besides", plural(l.possible, "connection") + " whose opener is not known may have left so, and no rule below is for them"})
			}
			f.Facts = append(f.Facts, p.lacking(g, flow.Egress, l.sure, p.rankBelow, p.ofService())...)
			last, _ := p.rankBelow(g, flow.Egress, nil)
			f.Facts = append(f.Facts, p.platformRules(g, last)...)
			f.Facts = append(f.Facts, Fact{"to close it", fmt.Sprintf("then egress deny all traffic to 0.0.0.0/0, and to ::/0, at a worse priority than %d; without that these rules restrict nothing", last)})
			out = append(out, f)
		}
		return out
	},
}

// platformRules returns, as facts, the rules without which a rule that denies everything
// would cut the members of g off from what the platform admits by itself.
func (p *Pass) platformRules(g *policy.Group, rank uint32) []Fact {
	var out []Fact
	for _, f := range p.Snapshot.Attached(g.ID) {
		for _, prefix := range p.Snapshot.PlatformOf(f).Admitted {
			fact := Fact{"egress rule to add for the platform", fmt.Sprintf("egress all traffic to %s, priority %d", prefix, rank)}
			if !slices.Contains(out, fact) {
				out = append(out, fact)
			}
		}
	}
	return out
}

// ofService returns a function that reports whether an address is of an interface that a
// service makes and unmakes.
func (p *Pass) ofService() func(flow.Addr) bool {
	set := make(map[flow.Addr]bool)
	for i := range p.Snapshot.Interfaces {
		if f := &p.Snapshot.Interfaces[i]; f.RequesterManaged {
			for _, a := range f.Addresses {
				set[flow.AddrFrom(a)] = true
			}
		}
	}
	return func(a flow.Addr) bool { return set[a] }
}
