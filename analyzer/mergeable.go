package analyzer

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// MergeableRules finds pairs of rules that one rule could replace.
var MergeableRules = &Analyzer{
	Name:     "mergeable-rules",
	Title:    "Two rules could be written as one",
	Severity: Info,
	Doc: `Two rules of one group have the same direction, action, priority and protocol and
differ in one thing only: their ports follow one another or overlap, or their prefixes are
the two halves of a larger one. One rule of that priority says exactly what both do. It
saves quota and reading; it changes nothing else. Descriptions of the two must be joined by
hand. Rules of different priority are never found: what stands between them may do the
opposite. Nor are rules whose ports come from a list.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for g := range p.Snapshot.Groups {
			rules := p.Snapshot.Groups[g].Rules
			written := make([]writing, len(rules))
			for i := range rules {
				written[i] = writingOf(&rules[i])
			}
			for i := range rules {
				for j := i + 1; j < len(rules); j++ {
					to, ok := merged(&written[i], &written[j])
					if !ok {
						continue
					}
					f := about(&rules[i], "%s and %s could be one rule: %s", words(&rules[i]), rules[j].Ref, to)
					f.Related = []policy.Ref{rules[j].Ref}
					f.substance += "|" + rules[j].Ref.String()
					out = append(out, f)
				}
			}
		}
		return out
	},
}

// writing is a rule with what reports say of it.
type writing struct {
	*policy.Rule
	protocol, ports, peer, only string
}

func writingOf(r *policy.Rule) writing {
	return writing{r, r.Protocol(), r.Ports(), r.Peer(), restrictions(r)}
}

// merged says what one rule would match exactly what a and b do, if there is one and
// neither holds the other. At one rank with one action nothing stands between them.
func merged(a, b *writing) (string, bool) {
	if a.Direction != b.Direction || a.Action != b.Action || a.Rank != b.Rank || len(a.Match) != 1 || len(b.Match) != 1 ||
		a.protocol != b.protocol || a.PortList != "" || b.PortList != "" || a.only != b.only {
		return "", false
	}
	m, n := &a.Match[0], &b.Match[0]
	pa, pb := m.ServicePorts(a.Direction), n.ServicePorts(b.Direction)
	if a.peer == b.peer {
		proto, ok := m.Protos.Single()
		if !ok || !proto.HasPorts() || pa.Covers(pb) || pb.Covers(pa) {
			return "", false
		}
		if int(pa.Last)+1 < int(pb.First) || int(pb.Last)+1 < int(pa.First) {
			return "", false
		}
		pa.First, pa.Last = min(pa.First, pb.First), max(pa.Last, pb.Last)
		return "ports " + pa.String(), true
	}
	if a.ports != b.ports || len(m.Remote.Prefixes) != 1 || len(n.Remote.Prefixes) != 1 || len(m.Remote.Refs)+len(n.Remote.Refs) > 0 {
		return "", false
	}
	p, ok := joinHalves(m.Remote.Prefixes[0], n.Remote.Prefixes[0])
	return "peer " + p.String(), ok
}

// joinHalves returns the prefix whose two halves a and b are.
func joinHalves(a, b netip.Prefix) (netip.Prefix, bool) {
	if a.Bits() != b.Bits() || a.Bits() == 0 || a.Addr().Is4() != b.Addr().Is4() || a == b {
		return netip.Prefix{}, false
	}
	p := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return p, p.Contains(b.Addr())
}

// worldOpen reports whether any of ps is a whole family, and which.
func worldOpen(ps []netip.Prefix) (v4, v6 bool) {
	v4 = slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Bits() == 0 && p.Addr().Is4() })
	v6 = slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Bits() == 0 && p.Addr().Is6() })
	return v4, v6
}
