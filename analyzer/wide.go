package analyzer

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// WideSource finds rules whose peer is wider than what was seen.
var WideSource = &Analyzer{
	Name:     "wide-source",
	Title:    "The peer of this rule is wider than the observed traffic",
	Severity: Medium,
	Doc: `The addresses that used the rule lie in a smaller prefix than the one it permits.
The plan proposes what to write instead, if the evidence is long enough (--min-days,
default 14) and the peers are stable enough to be written down.

It speaks for the window only. Peers behind address translation, scaling groups and
services of others change; the plan prefers group references and whole subnets for that
reason and leaves rules with many public peers open.`,
	Run: func(p *Pass) []Finding {
		return wide(p, func(r *policy.Rule, o *observed) (string, bool) {
			for i := range r.Match {
				for _, prefix := range r.Match[i].Remote.Prefixes {
					h := &o.v6
					if prefix.Addr().Is4() {
						h = &o.v4
					}
					if seen, ok := h.prefix(); ok && wider(prefix, seen) {
						return "peers within " + o.peers(), true
					}
				}
			}
			return "", false
		})
	},
}

// wider reports whether the rule's prefix holds more than what was seen inside it.
func wider(rule, seen netip.Prefix) bool { return rule.Overlaps(seen) && rule.Bits() < seen.Bits() }

// WidePorts finds rules whose services are wider than what was seen.
var WidePorts = &Analyzer{
	Name:     "wide-ports",
	Title:    "The ports of this rule are wider than the observed traffic",
	Severity: Medium,
	Doc: `The connections that used the rule went to fewer ports, or fewer protocols, than
it permits. The plan proposes the ranges to write instead, if the evidence is long enough
(--min-days, default 14).

It speaks for the window only. Services with ports that change at every start need their
whole range; a rule for all protocols also carries ICMP messages that report a packet too
big, which flow logs do not tell apart from other ICMP.`,
	Run: func(p *Pass) []Finding {
		return wide(p, func(r *policy.Rule, o *observed) (string, bool) {
			for i := range r.Match {
				m := &r.Match[i]
				proto, single := m.Protos.Single()
				if !single {
					return "services " + o.ports(), len(o.services) < 256
				}
				if !proto.HasPorts() {
					continue
				}
				ports := m.ServicePorts(r.Direction)
				at := slices.IndexFunc(o.services, func(h protoHull) bool { return h.proto == proto })
				if at >= 0 && (netset.PortRange{First: o.services[at].lo, Last: o.services[at].hi}) != ports {
					return "ports " + o.ports(), true
				}
			}
			return "", false
		})
	},
}

// wide reports group rules that were used, are editable, and of which narrower says what
// was observed instead.
func wide(p *Pass, narrower func(*policy.Rule, *observed) (string, bool)) []Finding {
	var out []Finding
	for i := range p.Verdicts {
		v := &p.Verdicts[i]
		if v.Rule.Implicit || v.Rule.Action != policy.Allow || !v.Rule.Editable || v.Usage.Hits == 0 || isACL(p.Snapshot, v.Rule.Ref.Owner) {
			continue
		}
		if p.forPlatform(i) {
			continue // which of its addresses the provider uses is its own affair
		}
		if c := &p.Coverage.rules[i]; c.everywhere && c.instead != byRules {
			continue // a narrower one would let through no less
		}
		o := &p.Observed[i]
		seen, ok := narrower(v.Rule, o)
		if !ok || o.connections == 0 {
			continue
		}
		f := about(v.Rule, "%s is wider than what used it: %s", words(v.Rule), seen)
		f.Facts = []Fact{{"hits", count(v.Usage.Hits)}, {"peers", count(v.Usage.Peers)}, {"observed peers", o.peers()}, {"observed services", o.ports()}}
		if v.evidence.narrow != "" {
			f.Facts = append(f.Facts, Fact{"evidence", "not enough to narrow it: " + v.evidence.narrow})
		} else if why := cmp.Or(v.evidence.others, v.evidence.hidden); why != "" {
			f.Facts = append(f.Facts, Fact{"evidence", "not all of its use: " + why})
		}
		out = append(out, f)
	}
	return out
}

// forPlatform reports whether all peers of rule i are addresses that the platform admits by
// itself, or does not filter, wherever the rule is in force.
func (p *Pass) forPlatform(i int) bool {
	r := p.Snapshot.Rules()[i]
	return len(p.Coverage.interfaces[i]) > 0 && !slices.ContainsFunc(p.Coverage.interfaces[i], func(f int) bool {
		platform := p.Snapshot.PlatformOf(&p.Snapshot.Interfaces[f])
		own := append(slices.Clone(platform.Admitted), platform.Exempt...)
		return slices.ContainsFunc(r.Match, func(m policy.Match) bool {
			peers := p.Snapshot.Resolve(m.Remote)
			return peers.Unknown || len(peers.Prefixes) == 0 || slices.ContainsFunc(peers.Prefixes, func(x netip.Prefix) bool {
				return !slices.ContainsFunc(own, func(o netip.Prefix) bool { return o.Bits() <= x.Bits() && o.Contains(x.Addr()) })
			})
		})
	})
}
