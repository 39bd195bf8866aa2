package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Snapshot is a policy at one moment. Readers fill it and call [Snapshot.Seal];
// from then on it is immutable and safe for concurrent use.
type Snapshot struct {
	Taken      time.Time // zero: not known
	Interfaces []Interface
	Groups     []Group
	ACLs       []ACL
	Subnets    []Subnet
	Lists      []PrefixList
	FlowLogs   []FlowLog
	Platforms  []Platform
	Missing    []Missing

	interfaces map[string]int
	groups     map[string]int
	platforms  map[string]int
	lists      map[string]int
	subnets    map[string]int
	aclOf      map[string]int   // subnet id → index in ACLs
	carriers   map[string]int   // group → interfaces that carry it
	attached   map[string][]int // group → indexes of those; nil before Seal
	mixed      map[ending]uint8 // the ways in which stages end, as bits; see mixedDefaults
	rules      []*Rule
	byRef      map[Ref]int
	members    map[string][]netip.Prefix
}

// Interface is a network interface and what is attached to it.
type Interface struct {
	ID, Name         string
	VPC, Subnet      string
	Account          string
	Instance         string
	Kind             string         // the platform's word, for people only
	Role             Role           // what Kind means for its traffic
	Platform         string         // ID of its Platform
	Groups           []string       // attached group ids; empty: no group filters here
	Stages           []StageSpec    // of group rules, instead of Groups; see StageSpec
	Addresses        []netip.Addr   // private addresses, both families; the first is the primary one
	Prefixes         []netip.Prefix // delegated prefixes
	RequesterManaged bool           // made and unmade by a service; its addresses are not stable
	Transit          bool           // source/destination check is off: carries traffic of others
	IngressOpen      bool           // what no group rule matches may enter, and nothing that leaves is filtered by groups
	NoACL            bool           // network ACLs do not filter it
	Attached         time.Time      // zero: not known
}

// Role says what an interface does with traffic, where that matters to what its
// records and the groups it carries mean.
type Role uint8

const (
	Host            Role = iota // sends and receives its own traffic
	NAT                         // sends others' traffic as its own
	NetworkBalancer             // passes on connections, perhaps under the client's address
	GatewayBalancer             // passes packets on to appliances
	GatewayEndpoint             // passes packets to a GatewayBalancer
	ServiceEndpoint             // stands for a service elsewhere; what it passes on is not logged
	ConnectEndpoint             // lets operators in, outside the rules of its groups in part
	TransitGateway              // joins networks
	Fabric                      // carries traffic that is no IP flow besides
)

// PassesOn reports whether an interface of this role sends on what others sent: a
// group on it says nothing of who is behind.
func (r Role) PassesOn() bool {
	switch r {
	case NAT, NetworkBalancer, GatewayBalancer, GatewayEndpoint, TransitGateway:
		return true
	}
	return false
}

// StageSpec describes one stage of group rules on the path of an interface: lists of
// group ids, one list a tier, the strongest first. Interfaces of platforms with one
// stage of joined groups have none: their path follows from Groups. Stages of ingress
// are passed in order, those of egress in reverse. Groups of the interface that stand
// in no stage filter nothing: they say whose peer the interface is.
type StageSpec struct {
	Name     string
	Tiers    [][]string
	Defaults [2]Action // ingress, egress
	First    bool      // speaks before the others in both directions
}

// Platform is what a provider does beside the rules that are exported. The zero
// value does nothing.
type Platform struct {
	ID        string         // interfaces name it
	Exempt    []netip.Prefix // addresses that no stage filters (metadata, resolver, time)
	ACLExempt []netip.Prefix // addresses that network ACLs do not filter
	Admitted  []netip.Prefix // addresses that groups admit, both ways, unless a rule denies
	Quota     int            // rules that a group may have in one direction; 0: not known
	// RankMin and RankMax are the ranks that rules of groups can be given, ends included;
	// 0, 0: not known, or there are none. Rules made by other means may have others.
	RankMin, RankMax uint32
	// OpenUntracked: connections that a rule for every address admits are not tracked
	// if the other direction has a rule for every address and all ports; then their
	// replies pass by that rule, and removing the first one cuts them at once.
	OpenUntracked bool
	// GroupsDeny: rules of groups may deny, so a group that is not here might.
	GroupsDeny  bool
	ACLOptional bool // a subnet may have no network ACL: nothing filters its packets then
	NoSelfPeer  bool // no rule may name its own group as peer
}

// Group is a security group.
type Group struct {
	ID, Name, Description string
	VPC, Account          string
	Default               bool   // the VPC's default group
	Managed               bool   // kept by a service: not for editing
	Kind                  string // the platform's word; groups of different kinds do not join
	Unnamed               bool   // its rules may name no group as peer, and no rule may name it
	EgressOpen            bool   // what no egress rule matches may leave
	Intra                 bool   // its members may talk to one another by private address, whatever the rules say
	Rules                 []Rule
}

// ACL is a network ACL.
type ACL struct {
	ID, VPC string
	Default bool
	Subnets []string
	Rules   []Rule // Rank is the rule number
}

// Subnet is a subnet with its address blocks.
type Subnet struct {
	ID, VPC string
	Blocks  []netip.Prefix
}

// PrefixList is a managed prefix list. Known is false if its entries are not here.
type PrefixList struct {
	ID, Name   string
	Known      bool
	Entries    []netip.Prefix
	MaxEntries int
	Provider   bool // kept by the cloud provider
}

// FlowLog is a flow-log subscription.
type FlowLog struct {
	ID, Resource string
	Traffic      string // ALL, ACCEPT or REJECT
	Format       string // LogFormat, empty: the default
	Created      time.Time
	Failed       string // delivery error; empty: none
	// What the log leaves out is no evidence for that part of the traffic.
	Inactive bool          // records nothing now
	IPv4Only bool          // IPv6 traffic is not captured
	Paths    []string      // only traffic of these paths is captured, by the platform's words; empty: all
	Interval time.Duration // longest time that a record sums up; 0: not known
}

// Missing names something that the snapshot lacks and what follows from that.
type Missing struct {
	What   string // "network-acls", "subnets", "prefix-list pl-1", "group sg-9" …
	Effect string
	Until  time.Time // what is missing is about earlier times alone; zero: about the present
}

// ImplicitOwner owns the refs of rules that no export holds.
const ImplicitOwner = "implicit"

// Seal validates s, puts everything in order and builds its indexes.
func (s *Snapshot) Seal() error {
	slices.SortFunc(s.Interfaces, func(a, b Interface) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Groups, func(a, b Group) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.ACLs, func(a, b ACL) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Subnets, func(a, b Subnet) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Lists, func(a, b PrefixList) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Platforms, func(a, b Platform) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.FlowLogs, func(a, b FlowLog) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Missing, func(a, b Missing) int {
		return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Effect, b.Effect))
	})
	s.Missing = slices.Compact(s.Missing)

	var err error
	index := func(kind string, n int, id func(int) string) map[string]int {
		m := make(map[string]int, n)
		for i := range n {
			if _, dup := m[id(i)]; dup && err == nil {
				err = fmt.Errorf("%s %s occurs twice", kind, id(i))
			}
			m[id(i)] = i
		}
		return m
	}
	s.interfaces = index("interface", len(s.Interfaces), func(i int) string { return s.Interfaces[i].ID })
	s.groups = index("group", len(s.Groups), func(i int) string { return s.Groups[i].ID })
	s.platforms = index("platform", len(s.Platforms), func(i int) string { return s.Platforms[i].ID })
	s.lists = index("prefix list", len(s.Lists), func(i int) string { return s.Lists[i].ID })
	s.subnets = index("subnet", len(s.Subnets), func(i int) string { return s.Subnets[i].ID })
	index("network ACL", len(s.ACLs), func(i int) string { return s.ACLs[i].ID })
	s.aclOf = make(map[string]int)
	for i := range s.ACLs {
		for _, id := range s.ACLs[i].Subnets {
			if o, dup := s.aclOf[id]; dup && o != i && err == nil {
				err = fmt.Errorf("subnet %s has two network ACLs, %s and %s", id, s.ACLs[o].ID, s.ACLs[i].ID)
			}
			s.aclOf[id] = i
		}
	}

	s.findMixed()

	s.members, s.carriers, s.attached = make(map[string][]netip.Prefix), make(map[string]int), make(map[string][]int)
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		for _, st := range f.Stages {
			for _, tier := range st.Tiers {
				f.Groups = append(f.Groups, tier...)
			}
		}
		slices.Sort(f.Groups)
		f.Groups = slices.Compact(f.Groups)
		for _, g := range f.Groups {
			s.carriers[g]++
			s.attached[g] = append(s.attached[g], i)
			for _, a := range f.Addresses {
				s.members[g] = append(s.members[g], netip.PrefixFrom(a, a.BitLen()))
			}
			s.members[g] = append(s.members[g], f.Prefixes...)
		}
	}
	for g, m := range s.members {
		slices.SortFunc(m, ComparePrefix)
		s.members[g] = slices.Compact(m)
	}

	n := 0
	for i := range s.Groups {
		n += len(s.Groups[i].Rules)
	}
	for i := range s.ACLs {
		n += len(s.ACLs[i].Rules)
	}
	s.rules, s.byRef = make([]*Rule, 0, n), make(map[Ref]int, n)
	add := func(rs []Rule) {
		sortRules(rs)
		for i := range rs {
			if _, dup := s.byRef[rs[i].Ref]; dup && err == nil {
				err = fmt.Errorf("rule %s occurs twice", rs[i].Ref)
			}
			s.byRef[rs[i].Ref] = len(s.rules)
			s.rules = append(s.rules, &rs[i])
		}
	}
	for i := range s.Groups {
		add(s.Groups[i].Rules)
	}
	for i := range s.ACLs {
		add(s.ACLs[i].Rules)
	}
	return err
}

// sortRules orders rules as they are applied. It moves each but once: rules are large.
func sortRules(rs []Rule) {
	order := make([]int, len(rs))
	for i := range rs {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &rs[i], &rs[j]
		return cmp.Or(cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Rank, b.Rank), a.Ref.Compare(b.Ref), cmp.Compare(i, j))
	})
	if slices.IsSorted(order) {
		return
	}
	out := make([]Rule, len(rs))
	for to, from := range order {
		out[to] = rs[from]
	}
	copy(rs, out)
}

// ComparePrefix orders prefixes by address, IPv4 first, then by length.
func ComparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// Rules returns every declared rule: groups by id, then ACLs by id; in each by
// direction, rank and ref.
func (s *Snapshot) Rules() []*Rule { return s.rules }

// RuleIndex returns the position of r in Rules.
func (s *Snapshot) RuleIndex(r Ref) (int, bool) { i, ok := s.byRef[r]; return i, ok }

// Interface returns the interface with this id.
func (s *Snapshot) Interface(id string) (*Interface, bool) {
	if i, ok := s.interfaces[id]; ok {
		return &s.Interfaces[i], true
	}
	return nil, false
}

// InterfaceIndex returns the position of the interface with this id in Interfaces.
func (s *Snapshot) InterfaceIndex(id string) (int, bool) { i, ok := s.interfaces[id]; return i, ok }

// Group returns the group with this id.
func (s *Snapshot) Group(id string) (*Group, bool) {
	if i, ok := s.groups[id]; ok {
		return &s.Groups[i], true
	}
	return nil, false
}

// PlatformOf returns the platform of f; the zero Platform if it is not in s.
func (s *Snapshot) PlatformOf(f *Interface) *Platform {
	if i, ok := s.platforms[f.Platform]; ok {
		return &s.Platforms[i]
	}
	return &Platform{}
}

// List returns the prefix list with this id.
func (s *Snapshot) List(id string) (*PrefixList, bool) {
	if i, ok := s.lists[id]; ok {
		return &s.Lists[i], true
	}
	return nil, false
}

// Subnet returns the subnet with this id.
func (s *Snapshot) Subnet(id string) (*Subnet, bool) {
	if i, ok := s.subnets[id]; ok {
		return &s.Subnets[i], true
	}
	return nil, false
}

// ACLFor returns the network ACL that filters f, if it is known to be one: the ACL
// of its subnet, and the subnet's own address blocks, inside which no ACL speaks.
func (s *Snapshot) ACLFor(f *Interface) (*ACL, *Subnet, bool) {
	i, ok := s.aclOf[f.Subnet]
	if !ok || f.NoACL {
		return nil, nil, false
	}
	sub, ok := s.Subnet(f.Subnet)
	if !ok {
		return nil, nil, false
	}
	return &s.ACLs[i], sub, true
}

// Members returns the private addresses of the interfaces that carry group id, as
// single-address and delegated prefixes, in order.
func (s *Snapshot) Members(id string) []netip.Prefix { return s.members[id] }

// NoACLFor reports that no network ACL filters f for certain: it is exempt, or its subnet
// has none where a subnet need not have one.
func (s *Snapshot) NoACLFor(f *Interface) bool {
	if f.NoACL {
		return true
	}
	_, has := s.aclOf[f.Subnet]
	_, known := s.Subnet(f.Subnet)
	return !has && known && s.PlatformOf(f).ACLOptional && !s.MissingWhat("network-acls")
}

// MissingWhat reports whether something was named missing under this name.
func (s *Snapshot) MissingWhat(what string) bool {
	return slices.ContainsFunc(s.Missing, func(m Missing) bool { return m.What == what })
}

// Attached returns the interfaces that carry group id, in order.
func (s *Snapshot) Attached(id string) []*Interface {
	var out []*Interface
	if s.attached != nil {
		for _, i := range s.attached[id] {
			out = append(out, &s.Interfaces[i])
		}
		return out
	}
	for i := range s.Interfaces {
		if _, ok := slices.BinarySearch(s.Interfaces[i].Groups, id); ok {
			out = append(out, &s.Interfaces[i])
		}
	}
	return out
}

// Resolve returns a with its references replaced by what they hold at the
// snapshot's time. Dead references hold nothing. What cannot be resolved sets
// Unknown: a group of another account or one that is not here, a group whose
// members cannot be known because no interfaces were exported, a list without
// entries.
func (s *Snapshot) Resolve(a AddrSet) AddrSet {
	if len(a.Refs) == 0 {
		return a
	}
	out := AddrSet{Prefixes: slices.Clone(a.Prefixes), Unknown: a.Unknown}
	for _, r := range a.Refs {
		if r.Dead != "" {
			continue
		}
		switch r.Kind {
		case GroupSet:
			_, here := s.groups[r.ID]
			out.Prefixes = append(out.Prefixes, s.members[r.ID]...)
			if !here || s.MissingWhat("network-interfaces") {
				out.Unknown = true
			}
		case ListSet:
			if l, ok := s.List(r.ID); ok && l.Known {
				out.Prefixes = append(out.Prefixes, l.Entries...)
			} else {
				out.Unknown = true
			}
		}
	}
	slices.SortFunc(out.Prefixes, ComparePrefix)
	out.Prefixes = slices.Compact(out.Prefixes)
	return out
}

// effective returns r with every reference resolved. It shares what has none with r.
func (s *Snapshot) effective(r *Rule) Rule {
	e := *r
	if !slices.ContainsFunc(r.Match, func(m Match) bool { return len(m.Remote.Refs)+len(m.Local.Refs) > 0 }) {
		return e
	}
	e.Match = slices.Clone(r.Match)
	for i := range e.Match {
		e.Match[i].Remote = s.Resolve(e.Match[i].Remote)
		e.Match[i].Local = s.Resolve(e.Match[i].Local)
	}
	return e
}
