package digest

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// How many parties and services the flows name; the others are [Others].
const (
	mostParties  = 9
	mostServices = 8
)

// The names of parties and services that are no group, prefix, protocol or port.
const (
	Internet = "internet"
	Others   = "others"
)

// dynamicPorts is the first port that systems give out by themselves. Services there
// have no number that means anything, and are one.
const dynamicPorts = 32768

// Flow is what went from one party to another by one service.
type Flow struct {
	From, To string // id of a group, a prefix, Internet or Others
	Service  string // "tcp 443", "udp 32768-65535", "icmp", or Others
	Size
}

// Size is how much of accepted traffic there was.
type Size struct{ Connections, Records uint64 }

// Flows sums up who opened accepted connections to whom, the greatest by records first.
// An interface stands under the least common of its groups; an address that belongs to no
// interface of the snapshot under its /16, IPv6 under its /48, or as [Internet] where it
// is public. Parties and services beyond the greatest are [Others].
//
// What was logged at both ends is counted where more of it was seen. Connections whose
// opener is not decided are left out.
func Flows(res *engine.Result) []Flow {
	f := newParties(res.Snapshot)
	type key struct {
		from, to int32 // into parties.names
		service  uint64
	}
	sums := make(map[key]*[2]Size)
	var last key
	var at *[2]Size
	remote, addrs := int32(-1), netset.Addrs{}
	for _, c := range res.Connections.All() {
		if c.Action != flow.Accept || !c.Certain {
			continue
		}
		if at := c.Peers(); remote < 0 || at != addrs {
			remote, addrs = f.of(at), at
		}
		k := key{remote, f.interfaces[c.Interface], service(c)}
		if c.Direction == flow.Egress {
			k.from, k.to = k.to, k.from
		}
		if at == nil || k != last {
			if at = sums[k]; at == nil {
				at = new([2]Size)
				sums[k] = at
			}
			last = k
		}
		s := &at[c.Direction&1]
		s.Connections++
		s.Records += c.Records
	}
	var all []Flow
	for k, s := range sums {
		x := Flow{From: f.names[k.from], To: f.names[k.to], Service: serviceName(k.service), Size: s[0]}
		if s[1].Records > s[0].Records {
			x.Size = s[1]
		}
		all = append(all, x)
	}
	return fold(all)
}

// fold names the greatest parties and services and sums the others up.
func fold(all []Flow) []Flow {
	keep := func(most int, name func(*Flow) string) map[string]bool {
		sums := make(map[string]uint64)
		for i := range all {
			sums[name(&all[i])] += all[i].Records
		}
		names := make([]string, 0, len(sums))
		for n := range sums {
			names = append(names, n)
		}
		slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b)) })
		out := make(map[string]bool)
		for _, n := range names[:min(len(names), most)] {
			out[n] = true
		}
		return out
	}
	from := keep(mostParties, func(f *Flow) string { return f.From })
	to := keep(mostParties, func(f *Flow) string { return f.To })
	services := keep(mostServices, func(f *Flow) string { return f.Service })
	named := func(name string, kept map[string]bool) string {
		if kept[name] {
			return name
		}
		return Others
	}
	sums := make(map[[3]string]Size)
	for i := range all {
		k := [3]string{named(all[i].From, from), named(all[i].Service, services), named(all[i].To, to)}
		s := sums[k]
		sums[k] = Size{s.Connections + all[i].Connections, s.Records + all[i].Records}
	}
	out := make([]Flow, 0, len(sums))
	for k, s := range sums {
		out = append(out, Flow{k[0], k[2], k[1], s})
	}
	slices.SortFunc(out, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(a.From, b.From), cmp.Compare(a.Service, b.Service), cmp.Compare(a.To, b.To))
	})
	return out
}

// service packs the protocol and the ports of c.
func service(c *engine.Connection) uint64 {
	lo, hi := c.Port, c.PortHi
	switch {
	case !c.Proto.HasPorts():
		lo, hi = 0, 0
	case lo >= dynamicPorts || hi != lo:
		lo, hi = dynamicPorts, 65535
	}
	return uint64(c.Proto)<<32 | uint64(lo)<<16 | uint64(hi)
}

func serviceName(s uint64) string {
	p := flow.Proto(s >> 32)
	name := p.Name()
	if _, err := strconv.Atoi(name); err == nil {
		name = "protocol " + name
	}
	if !p.HasPorts() {
		return name
	}
	return name + " " + netset.PortRange{First: uint16(s >> 16), Last: uint16(s)}.String()
}

// parties gives addresses the names of those who have them.
type parties struct {
	names      []string
	byName     map[string]int32
	interfaces []int32 // of Snapshot.Interfaces
	addresses  map[flow.Addr]int32
	blocks     map[netip.Prefix]int32
	public     bool  // some of addresses are public
	internet   int32 // 1 + what stands for it; 0: nothing yet
}

func newParties(s *policy.Snapshot) *parties {
	p := &parties{byName: make(map[string]int32), addresses: make(map[flow.Addr]int32), blocks: make(map[netip.Prefix]int32)}
	carriers := make(map[string]int)
	for i := range s.Interfaces {
		for _, g := range s.Interfaces[i].Groups {
			carriers[g]++
		}
	}
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		name := f.ID
		for k, g := range f.Groups {
			if k == 0 || cmp.Or(cmp.Compare(carriers[g], carriers[name]), cmp.Compare(g, name)) < 0 {
				name = g
			}
		}
		id := p.id(name)
		p.interfaces = append(p.interfaces, id)
		for _, a := range f.Addresses {
			p.addresses[flow.AddrFrom(a)] = id
			p.public = p.public || !private(a)
		}
	}
	return p
}

func (p *parties) id(name string) int32 {
	id, ok := p.byName[name]
	if !ok {
		id = int32(len(p.names))
		p.names, p.byName[name] = append(p.names, name), id
	}
	return id
}

func (p *parties) of(a netset.Addrs) int32 {
	addr := a.First.Netip()
	open := !private(addr)
	if p.public || !open {
		if id, ok := p.addresses[a.First]; ok && a.First == a.Last {
			return id
		}
	}
	if open {
		if p.internet == 0 {
			p.internet = 1 + p.id(Internet)
		}
		return p.internet - 1
	}
	bits := 16
	if addr.Is6() {
		bits = 48
	}
	block, err := addr.Prefix(bits)
	if err != nil || !netset.AddrsOf(block).Covers(a) { // rolled up to more than a block
		return p.id(Others)
	}
	id, ok := p.blocks[block]
	if !ok {
		id = p.id(block.String())
		p.blocks[block] = id
	}
	return id
}

// shared is the address space of carriers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsLoopback() || a.IsMulticast() || shared.Contains(a)
}
