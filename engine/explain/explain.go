package explain

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Explanation says what a policy does with one connection.
type Explanation struct {
	Flow Flow
	// Verdict is of all ends together: Allowed if every end lets the connection and its
	// answers through, Denied if one does not, Unknown if that depends on what is not
	// known.
	Verdict policy.Verdict
	Ends    []End // those of the source, then those of the destination
	Notes   []string
}

// End is one end of a connection: an interface that owns the address, or none.
type End struct {
	Direction flow.Direction // of the connection there: egress at the source
	Address   netip.Addr
	Interface *policy.Interface // nil: no interface of the policy owns the address
	Verdict   policy.Verdict    // of requests and answers together; Allowed for an end outside
	Requests  []Pass            // more than one where it depends on the client's port
	Answers   []Pass            // at the stateless stages; none without such
}

// Pass is the way of packets through the stages at one end.
type Pass struct {
	Conn policy.Conn
	// Ports are the client's ports for which all of this holds; Conn has one of them.
	Ports   netset.PortRange
	Verdict policy.Verdict
	Stages  []Stage // in path order, each asked even if an earlier one denied
}

// Explain says what s does with f. Interfaces settle which interface is meant where
// several own an address; each of them must own an address of f. It fails if an
// interface is not known or owns neither address, or if no interface owns any of them.
func Explain(s *policy.Snapshot, f Flow, interfaces []string) (*Explanation, error) {
	src, dst, err := ends(s, f, interfaces)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Flow: f}
	taken := make(map[line]bool)
	var verdicts [2]policy.Verdict
	for side, fs := range [2][]*policy.Interface{src, dst} {
		d, addr := flow.Egress, f.Src
		if side == 1 {
			d, addr = flow.Ingress, f.Dst
		}
		if len(fs) == 0 {
			e.Ends = append(e.Ends, End{Direction: d, Address: addr, Verdict: policy.Allowed})
			verdicts[side] = policy.Allowed
			continue
		}
		for i, x := range fs {
			end := newEnd(s, f, x, d, taken)
			end.Address = addr
			e.Ends = append(e.Ends, end)
			if i == 0 {
				verdicts[side] = end.Verdict
			} else if verdicts[side] != end.Verdict {
				verdicts[side] = policy.Unknown
			}
		}
		if len(fs) > 1 {
			e.Notes = append(e.Notes, fmt.Sprintf("%s is an address of %d interfaces, in networks that overlap; each is shown", addr, len(fs)))
		}
	}
	if len(src) == 1 && len(dst) == 1 && src[0] == dst[0] {
		e.Notes = append(e.Notes, "both addresses are of "+src[0].ID+": a host reaches its own addresses without leaving the interface, and then no rule is asked")
	}
	e.Verdict = both(verdicts[0], verdicts[1])
	return e, nil
}

// both joins the verdicts of two that must allow.
func both(a, b policy.Verdict) policy.Verdict {
	switch {
	case a == policy.Denied || b == policy.Denied:
		return policy.Denied
	case a == policy.Unknown || b == policy.Unknown:
		return policy.Unknown
	}
	return policy.Allowed
}

// NoOwnerError says that interfaces and addresses do not go together.
type NoOwnerError struct {
	Flow      Flow
	Interface string // which owns neither address; empty: no interface owns any
}

func (e *NoOwnerError) Error() string {
	if e.Interface != "" {
		return fmt.Sprintf("%s owns neither %s nor %s", e.Interface, e.Flow.Src, e.Flow.Dst)
	}
	return fmt.Sprintf("no interface of the policy owns %s or %s", e.Flow.Src, e.Flow.Dst)
}

// Owners lists the interfaces that own the source and the destination of f, none if an end
// is outside. Interfaces settle which is meant where several own an address.
func Owners(s *policy.Snapshot, f Flow, interfaces []string) (src, dst []*policy.Interface, err error) {
	return ends(s, f, interfaces)
}

// ends finds the interfaces at both ends.
func ends(s *policy.Snapshot, f Flow, chosen []string) (src, dst []*policy.Interface, err error) {
	src, dst = owners(s, f.Src), owners(s, f.Dst)
	if len(src) == 0 && len(dst) == 0 && len(chosen) == 0 {
		return nil, nil, &NoOwnerError{Flow: f}
	}
	for _, id := range chosen {
		x, ok := s.Interface(id)
		if !ok {
			var ids []string
			for i := range s.Interfaces {
				ids = append(ids, s.Interfaces[i].ID)
			}
			return nil, nil, unknown(s, InterfaceKind, id, ids)
		}
		atSrc, atDst := slices.Contains(src, x), slices.Contains(dst, x)
		if !atSrc && !atDst {
			return nil, nil, &NoOwnerError{Flow: f, Interface: id}
		}
	}
	settle := func(fs []*policy.Interface) []*policy.Interface {
		kept := slices.DeleteFunc(slices.Clone(fs), func(x *policy.Interface) bool { return !slices.Contains(chosen, x.ID) })
		if len(kept) == 0 {
			return fs
		}
		return kept
	}
	src, dst = settle(src), settle(dst)
	return sameNetwork(src, dst), sameNetwork(dst, src), nil
}

// sameNetwork prefers, of several interfaces that own an address, the one in the network
// of the other end, where that is settled: a network routes its own addresses to itself.
func sameNetwork(fs, other []*policy.Interface) []*policy.Interface {
	if len(fs) < 2 || len(other) != 1 || other[0].VPC == "" {
		return fs
	}
	var near []*policy.Interface
	for _, x := range fs {
		if x.VPC == other[0].VPC {
			near = append(near, x)
		}
	}
	if len(near) != 1 {
		return fs
	}
	return near
}

// owners lists the interfaces with address a.
func owners(s *policy.Snapshot, a netip.Addr) []*policy.Interface {
	var out []*policy.Interface
	for i := range s.Interfaces {
		x := &s.Interfaces[i]
		if slices.Contains(x.Addresses, a) || slices.ContainsFunc(x.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
			out = append(out, x)
		}
	}
	return out
}

// newEnd explains what happens at interface x, which the connection passes in direction d.
func newEnd(s *policy.Snapshot, f Flow, x *policy.Interface, d flow.Direction, taken map[line]bool) End {
	end := End{Direction: d, Interface: x}
	w := way{s, f, x, s.Path(x.ID, d), func(client uint16) policy.Conn { return f.at(d, client) }, false}
	end.Requests = w.passes(taken)
	end.Verdict = verdictOf(end.Requests)
	w.path = slices.DeleteFunc(s.Path(x.ID, d.Reverse()), func(st policy.Stage) bool { return st.Stateful })
	if _, answered := reply(f.at(d, 0)); answered && len(w.path) > 0 {
		w.conn = func(client uint16) policy.Conn { r, _ := reply(f.at(d, client)); return r }
		w.answers = true
		end.Answers = w.passes(taken)
		end.Verdict = both(end.Verdict, verdictOf(end.Answers))
	}
	return end
}

// verdictOf is the verdict of all passes if they agree.
func verdictOf(ps []Pass) policy.Verdict {
	for i := range ps {
		if ps[i].Verdict != ps[0].Verdict {
			return policy.Unknown
		}
	}
	return ps[0].Verdict
}

// way is what packets of a connection pass at one interface in one direction.
type way struct {
	snap    *policy.Snapshot
	flow    Flow
	iface   *policy.Interface
	path    []policy.Stage
	conn    func(client uint16) policy.Conn
	answers bool
}

// passes explains the way for every port that the client may have: one pass for each
// range of ports that the stages judge alike.
func (w *way) passes(taken map[line]bool) []Pass {
	type span struct {
		ports     netset.PortRange
		conns     []policy.Conn
		decisions []policy.StageDecision
	}
	var spans []span
	for _, ports := range w.classes() {
		c := w.conn(typical(ports))
		var ds []policy.StageDecision
		for i := range w.path {
			ds = append(ds, w.path[i].Decide(&c))
		}
		if n := len(spans) - 1; n >= 0 && slices.EqualFunc(spans[n].decisions, ds, sameDecision) {
			spans[n].ports.Last = ports.Last
			spans[n].conns = append(spans[n].conns, c)
			continue
		}
		spans = append(spans, span{ports, []policy.Conn{c}, ds})
	}
	var out []Pass
	for _, sp := range spans {
		out = append(out, w.pass(sp.ports, sp.conns, taken))
	}
	return out
}

// pass explains the way for the client's ports, of which conns are one for each class.
func (w *way) pass(ports netset.PortRange, conns []policy.Conn, taken map[line]bool) Pass {
	p := Pass{Conn: w.conn(typical(ports)), Ports: ports, Verdict: policy.Allowed}
	named := netset.Port(w.flow.Port)
	if w.answers {
		named = ports
	}
	if !w.flow.Proto.HasPorts() {
		named = netset.AllPorts
	}
	reached := true
	for i := range w.path {
		st := newStage(w.snap, &w.path[i], &p.Conn)
		st.Reached = reached
		site := site{snap: w.snap, iface: w.iface, stage: &w.path[i], conns: conns, ports: named, taken: taken}
		v := st.Decision.Verdict
		if !st.Decision.Skipped && v != policy.Allowed {
			st.ToAllow = site.toAllow()
		}
		if !st.Decision.Skipped && v != policy.Denied && reached && !w.answers {
			st.ToDeny = site.toDeny()
		}
		if reached {
			p.Verdict = both(p.Verdict, v)
		}
		reached = reached && v != policy.Denied && st.Decision.Action != policy.AllowAll
		p.Stages = append(p.Stages, st)
	}
	return p
}

// classes cuts the client's ports where a rule of the path begins or ends.
func (w *way) classes() []netset.PortRange {
	all := w.flow.ClientPorts
	if !w.flow.Proto.HasPorts() {
		return []netset.PortRange{{}}
	}
	cuts := []int{int(all.First), int(all.Last) + 1}
	for _, st := range w.path {
		for _, t := range st.Tiers {
			for i := range t.Rules {
				for _, m := range t.Rules[i].Match {
					for _, r := range [2]netset.PortRange{m.LocalPorts, m.RemotePorts} {
						cuts = append(cuts, int(r.First), int(r.Last)+1)
					}
				}
			}
		}
	}
	slices.Sort(cuts)
	var out []netset.PortRange
	for _, cut := range slices.Compact(cuts) {
		if cut < int(all.First) || cut > int(all.Last) {
			continue
		}
		out = append(out, netset.PortRange{First: uint16(cut), Last: all.Last})
		if n := len(out); n > 1 {
			out[n-2].Last = uint16(cut - 1)
		}
	}
	return out
}

// typicalPort is a client port of every system: the first of the range that IANA keeps
// for them.
const typicalPort = 49152

// typical returns the port that stands for ports.
func typical(ports netset.PortRange) uint16 {
	if ports.Contains(typicalPort) {
		return typicalPort
	}
	return ports.First
}

func sameDecision(a, b policy.StageDecision) bool {
	return a.Verdict == b.Verdict && a.Skipped == b.Skipped && a.Tier == b.Tier && a.Action == b.Action && a.Next == b.Next &&
		slices.Equal(a.Winners, b.Winners) && slices.Equal(a.Possible, b.Possible)
}
