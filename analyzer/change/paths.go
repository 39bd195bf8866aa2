package change

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Path is a stage of one direction in which the policies permit different things, for
// all interfaces of which that is the same.
type Path struct {
	Interfaces []string // ascending
	Groups     []string // that filter there, in the proposed policy
	Stage      string
	Direction  flow.Direction
	Difference space.Difference
	Opened     []Witness // one for each box of Difference.Opened
	Closed     []Witness
}

// Witness is one packet in a box on which the policies differ, and who says so.
type Witness struct {
	Box      netset.Box
	Conn     policy.Conn
	Old, New Say
}

// mostBoxes bounds the parts that are listed of each kind for one stage.
const mostBoxes = 50

// paths compares the lists of both policies on every interface of either.
func paths(old, proposed *policy.Snapshot) []Path {
	type class struct {
		interfaces []string
		groups     []string
	}
	classes := make(map[string]*class)
	var order []string
	for i := range old.Interfaces {
		f := &old.Interfaces[i]
		g, ok := proposed.Interface(f.ID)
		if !ok {
			continue // it is not said to go: nothing is known of it
		}
		k := old.PathKey(f) + "\x00" + proposed.PathKey(g)
		c := classes[k]
		if c == nil {
			c = &class{groups: g.Groups}
			classes[k] = c
			order = append(order, k)
		}
		c.interfaces = append(c.interfaces, f.ID)
	}
	slices.Sort(order)
	var out []Path
	seen := make(map[string]int) // text of a difference → index in out
	for _, k := range order {
		c := classes[k]
		f, _ := old.Interface(c.interfaces[0])
		ends := endsOf(old, c.interfaces)
		for _, d := range directions {
			a, b := old.Path(f.ID, d), proposed.Path(f.ID, d)
			for _, name := range stageNames(a, b) {
				x, y := stageOf(a, name), stageOf(b, name)
				p := Path{Interfaces: c.interfaces, Groups: c.groups, Stage: name, Direction: d,
					Difference: space.Compare(space.Of(x), space.Of(y), mostBoxes)}
				if p.Difference.Empty() {
					continue
				}
				if name == policy.ACLStage { // it is the same for all groups
					p.Groups = nil
				}
				exempt := addrsOf(slices.Concat(x.Exempt, y.Exempt))
				p.Difference.Opened, p.Opened = witnesses(x, y, p.Difference.Opened, d, ends, exempt)
				p.Difference.Closed, p.Closed = witnesses(x, y, p.Difference.Closed, d, ends, exempt)
				if p.Difference.Empty() {
					continue // nothing that any interface could send or get
				}
				key := p.text()
				if at, ok := seen[key]; ok {
					out[at].Interfaces = append(slices.Clone(out[at].Interfaces), p.Interfaces...)
					slices.Sort(out[at].Interfaces)
					continue
				}
				seen[key] = len(out)
				out = append(out, p)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Path) int { return strings.Compare(a.Interfaces[0], b.Interfaces[0]) })
	return out
}

func (p *Path) text() string {
	var b strings.Builder
	b.WriteString(p.Stage + "|" + p.Direction.String() + "|" + strings.Join(p.Groups, " "))
	for _, boxes := range [2][]netset.Box{p.Difference.Opened, p.Difference.Closed} {
		b.WriteByte('|')
		for _, x := range boxes {
			b.WriteString(x.String() + ";")
		}
	}
	return b.String()
}

// endsOf returns the addresses of each interface.
func endsOf(s *policy.Snapshot, ids []string) (out [][]netip.Addr) {
	for _, id := range ids {
		if f, ok := s.Interface(id); ok {
			out = append(out, f.Addresses)
		}
	}
	return out
}

func addrsOf(ps []netip.Prefix) (out []netset.Box) {
	for _, p := range ps {
		out = append(out, netset.Box{Services: netset.AllServices, Addrs: netset.AddrsOf(p)})
	}
	return out
}

// witnesses finds a packet in each of boxes that crosses the stage: between an interface
// and another host of its family, by addresses that the stage does not exempt. Boxes
// without one are no difference and left out.
func witnesses(a, b *policy.Stage, boxes []netset.Box, d flow.Direction, ends [][]netip.Addr, exempt []netset.Box) (kept []netset.Box, out []Witness) {
	for _, box := range boxes {
		if w, ok := witness(a, b, box, d, ends, exempt); ok {
			kept, out = append(kept, box), append(out, w)
		}
	}
	return kept, out
}

// stageNames returns the stages of a and of b, those of a first.
func stageNames(a, b []policy.Stage) (out []string) {
	for _, path := range [2][]policy.Stage{a, b} {
		for i := range path {
			if !slices.Contains(out, path[i].Name) {
				out = append(out, path[i].Name)
			}
		}
	}
	return out
}

// stageOf returns the stage of that name; where there is none, nothing filters.
func stageOf(path []policy.Stage, name string) *policy.Stage {
	for i := range path {
		if path[i].Name == name {
			return &path[i]
		}
	}
	return &policy.Stage{Name: name, Default: policy.Allow, DefaultRef: policy.Ref{Owner: policy.ImplicitOwner, Rule: "none:" + name}}
}

// never is an address that no host has.
var never = netset.Box{Services: netset.AllServices, Addrs: netset.AddrsOf(netip.MustParsePrefix("::/128"))}

// witness finds a packet in box and asks both stages. Where no interface has an address
// of the family of box, the local one is left open.
func witness(a, b *policy.Stage, box netset.Box, d flow.Direction, ends [][]netip.Addr, exempt []netset.Box) (Witness, bool) {
	var local netip.Addr
	var remote flow.Addr
	found := false
	for _, own := range ends {
		by := append(slices.Clone(exempt), never)
		var mine netip.Addr
		for _, x := range own {
			by = append(by, netset.Box{Services: netset.AllServices, Addrs: netset.OneAddr(flow.AddrFrom(x))})
			if !mine.IsValid() && x.Is4() == box.Addrs.Is4() {
				mine = x
			}
		}
		rest, ok := netset.Residual(box, by, 1024)
		if ok && len(rest) > 0 && (!found || mine.IsValid() && !local.IsValid()) {
			local, remote, found = mine, rest[0].Addrs.First, true
		}
	}
	if !found {
		return Witness{}, false
	}
	c := policy.Conn{Direction: d, Local: local, Remote: remote.Netip(), Proto: flow.Proto(box.Services.First >> 16), ICMP: policy.AnyICMP}
	x := uint16(box.Services.First)
	switch {
	case c.Proto.IsICMP():
		c.ICMP = policy.TypeCode{Type: int16(x >> 8), Code: int16(x & 0xff)}
	case d == flow.Egress:
		c.RemotePort = x
	default:
		c.LocalPort = x
	}
	asked := c
	if !local.IsValid() { // as if it had one: rules may come before addresses
		asked.Local = netip.MustParseAddr("2001:db8::1")
		if box.Addrs.Is4() {
			asked.Local = netip.MustParseAddr("192.0.2.1")
		}
	}
	ask := func(st *policy.Stage) Say {
		sd := st.Decide(&asked)
		return Say{Verdict: sd.Verdict, Stage: sd.Stage, Rules: sd.Winners}
	}
	return Witness{Box: box, Conn: c, Old: ask(a), New: ask(b)}, true
}
