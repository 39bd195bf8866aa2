package explain

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Site is one interface as an end of connections: the source, where they pass it in
// direction egress, or the destination. It is safe for concurrent use.
type Site struct {
	direction flow.Direction
	path      []policy.Stage // of requests
	back      []policy.Stage // of answers: the stateless stages
}

// NewSite returns interface id of s, which connections pass in direction d.
func NewSite(s *policy.Snapshot, id string, d flow.Direction) *Site {
	return &Site{d, s.Path(id, d), slices.DeleteFunc(s.Path(id, d.Reverse()), func(st policy.Stage) bool { return st.Stateful })}
}

// Judge says what the site does with the requests and the answers of f, as [Explain] does
// for an end, and names the rules that speak or may. Where it depends on the port of the
// client it is unknown. It costs a decision for each class of such ports.
func (x *Site) Judge(f Flow) (policy.Verdict, []policy.Ref) {
	var refs []policy.Ref
	judge := func(path []policy.Stage, conn func(client uint16) policy.Conn) policy.Verdict {
		w := way{flow: f, path: path}
		var out policy.Verdict
		for i, ports := range w.classes() {
			c := conn(typical(ports))
			d := policy.Decide(path, &c)
			for _, st := range d.Stages {
				refs = append(append(refs, st.Winners...), st.Possible...)
			}
			if i == 0 {
				out = d.Verdict
			} else if out != d.Verdict {
				out = policy.Unknown
			}
		}
		return out
	}
	v := judge(x.path, func(client uint16) policy.Conn { return f.at(x.direction, client) })
	if _, answered := reply(f.at(x.direction, 0)); answered && len(x.back) > 0 {
		v = both(v, judge(x.back, func(client uint16) policy.Conn { r, _ := reply(f.at(x.direction, client)); return r }))
	}
	slices.SortFunc(refs, policy.Ref.Compare)
	return v, slices.Compact(refs)
}

// Exempt reports whether no stage of the site filters peer: the platform keeps such
// addresses for itself.
func (x *Site) Exempt(peer netip.Addr) bool {
	return len(x.path) > 0 && !slices.ContainsFunc(x.path, func(st policy.Stage) bool {
		return !slices.ContainsFunc(st.Exempt, func(p netip.Prefix) bool { return p.Contains(peer) })
	})
}

// Bounds is what the rules of a site tell apart: connections that no member of it
// separates are judged alike.
type Bounds struct {
	Peers  []netip.Prefix
	Ports  []uint16 // the first of each range, and the one after each
	Protos []flow.Proto
	Local  bool // own addresses are told apart, too
}

// AddTo adds to b what x tells apart.
func (x *Site) AddTo(b *Bounds) {
	for _, path := range [2][]policy.Stage{x.path, x.back} {
		for _, st := range path {
			b.Peers = append(b.Peers, st.Exempt...)
			for _, t := range st.Tiers {
				for i := range t.Rules {
					for k := range t.Rules[i].Match {
						b.add(&t.Rules[i].Match[k])
					}
				}
			}
		}
	}
}

func (b *Bounds) add(m *policy.Match) {
	b.Peers = append(b.Peers, m.Remote.Prefixes...)
	for _, r := range [2]struct{ first, last uint16 }{{m.LocalPorts.First, m.LocalPorts.Last}, {m.RemotePorts.First, m.RemotePorts.Last}} {
		b.Ports = append(b.Ports, r.first)
		if r.last < 65535 {
			b.Ports = append(b.Ports, r.last+1)
		}
	}
	if p, single := m.Protos.Single(); single {
		b.Protos = append(b.Protos, p)
	}
	b.Local = b.Local || len(m.Local.Refs) > 0 || m.Local.Unknown || !slices.Equal(m.Local.Prefixes, policy.AnyAddr.Prefixes)
}

// Compact puts b in order, each member once.
func (b *Bounds) Compact() {
	slices.SortFunc(b.Peers, policy.ComparePrefix)
	b.Peers = slices.Compact(b.Peers)
	slices.Sort(b.Ports)
	b.Ports = slices.Compact(b.Ports)
	slices.Sort(b.Protos)
	b.Protos = slices.Compact(b.Protos)
}
