package change

import (
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
		local := localOf(f)
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
				for _, box := range p.Difference.Opened {
					p.Opened = append(p.Opened, witness(x, y, box, d, local))
				}
				for _, box := range p.Difference.Closed {
					p.Closed = append(p.Closed, witness(x, y, box, d, local))
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

func localOf(f *policy.Interface) policy.Conn {
	c := policy.Conn{ICMP: policy.AnyICMP}
	if len(f.Addresses) > 0 {
		c.Local = f.Addresses[0]
	}
	return c
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

// witness takes the first packet of box and asks both stages.
func witness(a, b *policy.Stage, box netset.Box, d flow.Direction, c policy.Conn) Witness {
	c.Direction, c.Remote = d, box.Addrs.First.Netip()
	c.Proto = flow.Proto(box.Services.First >> 16)
	x := uint16(box.Services.First)
	switch {
	case c.Proto.IsICMP():
		c.ICMP = policy.TypeCode{Type: int16(x >> 8), Code: int16(x & 0xff)}
	case d == flow.Egress:
		c.RemotePort = x
	default:
		c.LocalPort = x
	}
	ask := func(st *policy.Stage) Say {
		sd := st.Decide(&c)
		return Say{Verdict: sd.Verdict, Stage: sd.Stage, Rules: sd.Winners}
	}
	return Witness{Box: box, Conn: c, Old: ask(a), New: ask(b)}
}
