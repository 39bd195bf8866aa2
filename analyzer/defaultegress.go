package analyzer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
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
Platform addresses that a rule for everything would cut off have a rule of their own.

Where it is not settled who opened a connection, every reading of it that may have left so
counts, and has rules: that of a client's port is wide, and may be for nothing. If nothing
else is found, the confidence is low.`,
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
		of := make(map[string]*lack)
		for _, c := range p.Result.Connections.All() {
			w, platform := byDefault[c.Signature], byPlatform[c.Signature]
			if c.Direction != flow.Egress || c.Action != flow.Accept || !w.hit && !w.possible || platform.hit || platform.possible {
				continue
			}
			for _, id := range p.Snapshot.Interfaces[c.Interface].Groups {
				if g, ok := p.Snapshot.Group(id); !ok || !g.EgressOpen {
					continue
				}
				if of[id] == nil {
					of[id] = new(lack)
				}
				of[id].add(c, w.hit)
			}
		}
		var out []Finding
		for i := range p.Snapshot.Groups {
			g := &p.Snapshot.Groups[i]
			l := of[g.ID]
			if l == nil {
				continue
			}
			var seen observed
			peers, least := make(map[flow.Addr]bool), ""
			for _, c := range slices.Concat(l.settled, l.unsettled) {
				seen.add(c)
				peers[c.Remote] = true
				if c.RemoteFree > 0 {
					least = "at least "
				}
			}
			f := Finding{Subject: policy.Ref{Owner: g.ID}, Confidence: p.observedConfidence(g.ID), substance: g.ID}
			f.Message = fmt.Sprintf("%s of %s left by the open default: no rule allows them", plural(len(l.settled), "connection"), g.ID)
			if len(l.settled) == 0 {
				f.Confidence = plan.Low
				f.Message = fmt.Sprintf("%s of %s may have left by the open default: who opened it is not settled", seen.ports(), g.ID)
			}
			f.Facts = append(counted(l, "connections"), Fact{"peers", least + count(len(peers))}, Fact{"observed services", seen.ports()})
			rules, platforms := p.propose(g, l, p.ofService()), p.admittedAt(g)
			at := p.roomBelow(g, flow.Egress, append(rules.sets(), prefixBoxes(platforms)...))
			f.Facts = append(f.Facts, at.facts()...)
			f.Facts = append(f.Facts, rules.facts(flow.Egress, at.place())...)
			for _, prefix := range platforms {
				f.Facts = append(f.Facts, Fact{"egress rule to add for the platform", fmt.Sprintf("egress all traffic to %s, %s", prefix, at.place())})
			}
			f.Facts = append(f.Facts, Fact{"to close it", fmt.Sprintf("then egress deny all traffic to 0.0.0.0/0, and to ::/0, at a worse priority than %d; without that these rules restrict nothing", at.rank)})
			out = append(out, f)
		}
		return out
	},
}

// admittedAt returns the addresses that the platform admits by itself where g is attached:
// a rule that denies everything would cut them off.
func (p *Pass) admittedAt(g *policy.Group) []netip.Prefix {
	var out []netip.Prefix
	for _, f := range p.Snapshot.Attached(g.ID) {
		for _, prefix := range p.Snapshot.PlatformOf(f).Admitted {
			if !slices.Contains(out, prefix) {
				out = append(out, prefix)
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
