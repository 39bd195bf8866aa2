package policy

import (
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Action is what a rule does with what it matches.
type Action uint8

const (
	Deny Action = iota
	Allow
	Next     // leave this tier, try the next
	AllowAll // allow, and skip the later stages
)

func (a Action) String() string { return [...]string{"deny", "allow", "next", "allow-all"}[a] }

// Verdict is the outcome of a decision.
type Verdict uint8

const (
	Denied Verdict = iota
	Allowed
	Unknown // part of what would decide is not known
)

func (v Verdict) String() string { return [...]string{"deny", "allow", "unknown"}[v] }

// Tri is a truth value of three.
type Tri uint8

const (
	No Tri = iota
	Perhaps
	Yes
)

func (t Tri) String() string { return [...]string{"no", "perhaps", "yes"}[t] }

// Ref names a rule: the group or ACL that owns it, and its id there. Implicit
// rules are owned by "implicit". A Ref is how every later stage names a rule.
type Ref struct{ Owner, Rule string }

func (r Ref) String() string { return r.Owner + "/" + r.Rule }

// IsZero reports whether r names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// Compare orders refs by owner, then rule.
func (r Ref) Compare(o Ref) int {
	if c := strings.Compare(r.Owner, o.Owner); c != 0 {
		return c
	}
	return strings.Compare(r.Rule, o.Rule)
}

// ProtoSet is a set of protocol numbers. The zero value is empty.
type ProtoSet [4]uint64

// AnyProto holds every protocol.
var AnyProto = ProtoSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

// OneProto holds p alone.
func OneProto(p flow.Proto) ProtoSet {
	var s ProtoSet
	s[p>>6] |= 1 << (p & 63)
	return s
}

// Has reports whether p is in s.
func (s ProtoSet) Has(p flow.Proto) bool { return s[p>>6]>>(p&63)&1 != 0 }

// Single returns the protocol of a set that holds exactly one.
func (s ProtoSet) Single() (flow.Proto, bool) {
	n, p := 0, 0
	for i, w := range s {
		n += bits.OnesCount64(w)
		if w != 0 {
			p = 64*i + bits.TrailingZeros64(w)
		}
	}
	return flow.Proto(p), n == 1
}

// TypeCode is an ICMP type and code; -1 is any. Type -1 forces code -1.
type TypeCode struct{ Type, Code int16 }

// AnyICMP is every type and code.
var AnyICMP = TypeCode{-1, -1}

// SetKind says what a SetRef points at.
type SetKind uint8

const (
	GroupSet SetKind = iota
	ListSet
)

// SetRef names a set of addresses that is kept elsewhere: the members of a group,
// or the entries of a prefix list.
type SetRef struct {
	Kind    SetKind
	ID      string
	Account string // of a group in another account; empty: the owner's own
	VPC     string // of a group in another VPC, where the export says
	Dead    string // why the reference can match nothing any more; empty: alive
}

// AddrSet is a union of prefixes and referenced sets. The zero value is empty.
type AddrSet struct {
	Prefixes []netip.Prefix // masked
	Refs     []SetRef
	Unknown  bool // a part cannot be resolved: Contains answers Perhaps where it would say No
}

// AnyAddr is every address of both families.
var AnyAddr = AddrSet{Prefixes: []netip.Prefix{
	netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}}

// Contains reports whether a is in s. Refs must have been resolved (see
// [Snapshot.Resolve]); an unresolved one counts as unknown.
func (s AddrSet) Contains(a netip.Addr) Tri {
	for _, p := range s.Prefixes {
		if p.Contains(a) {
			return Yes
		}
	}
	if s.Unknown || len(s.Refs) > 0 {
		return Perhaps
	}
	return No
}

// Match is one box of connections. Local and Remote stand for this interface's
// side and the far side, so that ingress and egress share all code; readers
// translate each platform's words once. Ports are read for TCP and UDP only.
type Match struct {
	Protos      ProtoSet
	ICMP        TypeCode // read for ICMP and ICMPv6 only
	LocalPorts  netset.PortRange
	RemotePorts netset.PortRange
	Local       AddrSet // AnyAddr unless restricted
	Remote      AddrSet
}

// Rule is one rule as the cloud has it.
type Rule struct {
	Ref         Ref
	Direction   flow.Direction
	Rank        uint32 // smaller is stronger, inside its tier; 0 where the platform has none
	Action      Action
	Match       []Match // union; more than one for rules with lists
	Description string
	// Address names the resource that declares the rule, where it came from a plan or
	// state of infrastructure code; empty elsewhere.
	Address  string
	File     string    // path of the policy file that it was read from; empty: not known
	Line     int       // in File, from 1; 0: not known
	PortList string    // id of the list that the service ports came from; empty: they are the rule's own
	Implicit bool      // not in the export: a default, a platform rule
	Editable bool      // false: managed, default, inherited, of another account
	Created  time.Time // zero: not known
}

// ServicePorts returns the ports that the rule of direction d names: the local ones
// of an ingress rule, the remote ones of an egress rule.
func (m *Match) ServicePorts(d flow.Direction) netset.PortRange {
	if d == flow.Egress {
		return m.RemotePorts
	}
	return m.LocalPorts
}

// NewMatch returns the box of plain rules, of any own address and client port:
// protocols, service ports, peer.
func NewMatch(d flow.Direction, protos ProtoSet, ports netset.PortRange, icmp TypeCode, peer AddrSet) Match {
	m := Match{Protos: protos, ICMP: icmp, LocalPorts: netset.AllPorts, RemotePorts: netset.AllPorts, Local: AnyAddr, Remote: peer}
	if d == flow.Egress {
		m.RemotePorts = ports
	} else {
		m.LocalPorts = ports
	}
	return m
}

// Protocol returns the protocol of r as reports write it: a name, a bare number, or "all".
func (r *Rule) Protocol() string {
	if len(r.Match) == 0 || r.Match[0].Protos == AnyProto {
		return "all"
	}
	if p, ok := r.Match[0].Protos.Single(); ok {
		return p.Name()
	}
	return "several"
}

// Ports returns the service ports of r as reports write them: "443", "8000-8100", or
// "all" (also for protocols without ports); "type 8", "type 3 code 4" for ICMP rules
// that are restricted; the list's id where they come from a list.
func (r *Rule) Ports() string {
	switch {
	case r.PortList != "":
		return r.PortList
	case len(r.Match) == 0:
		return "all"
	}
	m := &r.Match[0]
	p, ok := m.Protos.Single()
	switch {
	case ok && p.IsICMP():
		return m.ICMP.String()
	case ok && p.HasPorts():
		return m.ServicePorts(r.Direction).String()
	}
	return "all"
}

// String returns "all", "type 8" or "type 3 code 4".
func (t TypeCode) String() string {
	switch {
	case t.Type < 0:
		return "all"
	case t.Code < 0:
		return "type " + strconv.Itoa(int(t.Type))
	}
	return "type " + strconv.Itoa(int(t.Type)) + " code " + strconv.Itoa(int(t.Code))
}

// Peer returns the far side of r as reports write it: prefixes and set ids, each once,
// joined by commas if there are several.
func (r *Rule) Peer() string {
	var parts []string
	seen := make(map[string]bool)
	add := func(part string) {
		if !seen[part] {
			seen[part], parts = true, append(parts, part)
		}
	}
	for i := range r.Match {
		for _, p := range r.Match[i].Remote.Prefixes {
			add(p.String())
		}
		for _, s := range r.Match[i].Remote.Refs {
			add(s.ID)
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ",")
}

// Refs returns the sets that r names.
func (r *Rule) Refs() []SetRef {
	var out []SetRef
	for i := range r.Match {
		out = append(out, r.Match[i].Remote.Refs...)
	}
	return out
}
