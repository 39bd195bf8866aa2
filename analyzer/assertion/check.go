package assertion

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/explain"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Status says whether an assertion holds.
type Status string

// The states of an assertion. What cannot be told does not hold.
const (
	Holds   Status = "holds"
	Fails   Status = "fails"
	Unknown Status = "unknown"
)

// Outcome is what one policy says of an assertion.
type Outcome struct {
	Status Status
	Tried  int // connections that were asked about: one for each class that rules tell apart
	// Against are the first of them that stand against it, or of which nothing is known;
	// those that fail it first if there are any.
	Against []Witness
	Why     string // that nothing could be asked; empty: it could
}

// Witness is a connection with what is said of it.
type Witness struct {
	Flow    explain.Flow
	Verdict policy.Verdict
	Refs    []policy.Ref // the rules that speak or may
	at      [2]*policy.Interface
}

// String says the witness in one line.
func (w *Witness) String() string {
	s := w.Flow.String() + ": " + w.Verdict.String()
	var refs []string
	for _, r := range w.Refs {
		refs = append(refs, r.String())
	}
	if len(refs) > 0 {
		s += " by " + strings.Join(refs[:min(len(refs), 5)], ", ")
	}
	return s
}

// mostTried bounds how many connections one assertion may stand for, mostAgainst how many
// witnesses are kept of each kind.
const (
	mostTried   = 1 << 20
	mostAgainst = 256
)

// Check asks s about a with the reference evaluator. Where a stands for many connections
// one of each class is asked about that rules tell apart, so the answer is about all.
// Ends that are a block of addresses are outside: only the rules at the other end are
// asked, and addresses that the platform lets everyone reach are left out. Both ends of
// everything else are asked. It costs a decision for each class.
func Check(a *Assertion, s *policy.Snapshot) Outcome {
	c := checker{a: a, s: s, sites: make(map[siteKey]*site), memo: make(map[ask]said), pairs: make(map[[2]int]*explain.Bounds)}
	err := c.run()
	return c.outcome(err)
}

// Judge asks s about the connection of w, which [Check] found: at the same interfaces.
func (w *Witness) Judge(s *policy.Snapshot) (policy.Verdict, []policy.Ref) {
	v := policy.Allowed
	var refs []policy.Ref
	for side, d := range [2]flow.Direction{flow.Egress, flow.Ingress} {
		if w.at[side] == nil {
			continue
		}
		x, r := explain.NewSite(s, w.at[side].ID, d).Judge(w.Flow)
		v, refs = worse(v, x), append(refs, r...)
	}
	slices.SortFunc(refs, policy.Ref.Compare)
	return v, slices.Compact(refs)
}

// worse joins the verdicts of two that must allow.
func worse(a, b policy.Verdict) policy.Verdict {
	if a == policy.Denied || b == policy.Denied {
		return policy.Denied
	}
	return max(a, b)
}

type checker struct {
	a     *Assertion
	s     *policy.Snapshot
	sites map[siteKey]*site
	memo  map[ask]said
	pairs map[[2]int]*explain.Bounds // of the sites of both ends
	tried int
	bad   [2][]Witness // against it; not known
}

// site is all interfaces that judge alike.
type site struct {
	*explain.Site
	id     int
	bounds explain.Bounds
}

type siteKey struct {
	path string
	d    flow.Direction
}

// ask is what a site is asked; the own address counts where rules read it.
type ask struct {
	site        int
	remote, own netip.Addr
	proto       flow.Proto
	port        uint16
}

type said struct {
	verdict policy.Verdict
	refs    []policy.Ref
}

// end is one end of a set of connections: interfaces, or blocks outside.
type end struct {
	members []member
	blocks  []netip.Prefix
}

type member struct {
	iface *policy.Interface
	addrs []netip.Addr
}

func (c *checker) run() error {
	if c.a.Flow != nil {
		return c.flow()
	}
	from, err := c.end(c.a.From)
	if err != nil {
		return fmt.Errorf("from: %w", err)
	}
	to, err := c.end(c.a.To)
	if err != nil {
		return fmt.Errorf("to: %w", err)
	}
	switch {
	case len(from.members)+len(to.members) == 0:
		return errors.New("neither end is an interface of the policy: no rule is asked")
	case len(from.members) == 0:
		return c.outside(to.members, from.blocks, flow.Ingress)
	case len(to.members) == 0:
		return c.outside(from.members, to.blocks, flow.Egress)
	}
	return c.inside(from.members, to.members)
}

func (c *checker) outcome(err error) Outcome {
	out := Outcome{Status: Holds, Tried: c.tried, Against: slices.Concat(c.bad[0], c.bad[1])}
	switch {
	case len(c.bad[0]) > 0:
		out.Status = Fails
	case len(c.bad[1]) > 0:
		out.Status = Unknown
	}
	switch {
	case err != nil && out.Status != Fails:
		out.Status, out.Why = Unknown, err.Error()
	case err == nil && c.tried == 0:
		out.Status, out.Why = Unknown, "there is no such connection: the ends have no addresses of one family, or are the same interface"
	}
	return out
}

// end finds what text names: any, a block, an address, an interface, a group.
func (c *checker) end(text string) (end, error) {
	if text == "any" {
		return end{blocks: policy.AnyAddr.Prefixes}, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return end{blocks: []netip.Prefix{p}}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		var out end
		for i := range c.s.Interfaces {
			x := &c.s.Interfaces[i]
			if slices.Contains(addresses(x), a) || slices.ContainsFunc(x.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
				out.members = append(out.members, member{x, []netip.Addr{a}})
			}
		}
		if len(out.members) == 0 {
			out.blocks = []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
		}
		return out, nil
	}
	if x, ok := c.s.Interface(text); ok {
		return end{members: []member{{x, addresses(x)}}}, nil
	}
	id, found := text, 0
	if _, ok := c.s.Group(text); ok {
		found = 1
	} else {
		for i := range c.s.Groups {
			if c.s.Groups[i].Name == text {
				id, found = c.s.Groups[i].ID, found+1
			}
		}
	}
	switch found {
	case 0:
		return end{}, fmt.Errorf("%s is no address, and no interface or group of the policy", text)
	case 1:
	default:
		return end{}, fmt.Errorf("%d groups are called %s: name one by its id", found, text)
	}
	var out end
	for _, x := range c.s.Attached(id) {
		out.members = append(out.members, member{x, addresses(x)})
	}
	if len(out.members) == 0 {
		return out, fmt.Errorf("no interface carries %s", text)
	}
	return out, nil
}

// addresses are those of x, with the first of each delegated prefix.
func addresses(x *policy.Interface) []netip.Addr {
	out := slices.Clone(x.Addresses)
	for _, p := range x.Prefixes {
		out = append(out, p.Masked().Addr())
	}
	return out
}

// flow asks about one connection, as explain does.
func (c *checker) flow() error {
	var chosen []string
	if c.a.Interface != "" {
		chosen = []string{c.a.Interface}
	}
	f := *c.a.Flow
	src, dst, err := explain.Owners(c.s, f, chosen)
	if err != nil {
		return err
	}
	w := Witness{Flow: f, Verdict: policy.Allowed}
	for side, owners := range [2][]*policy.Interface{src, dst} {
		var v policy.Verdict
		for i, x := range owners {
			got, refs := explain.NewSite(c.s, x.ID, [2]flow.Direction{flow.Egress, flow.Ingress}[side]).Judge(f)
			w.Refs = append(w.Refs, refs...)
			if i == 0 {
				v, w.at[side] = got, x
			} else if v != got {
				v = policy.Unknown
			}
		}
		if len(owners) > 0 {
			w.Verdict = worse(w.Verdict, v)
		}
	}
	slices.SortFunc(w.Refs, policy.Ref.Compare)
	w.Refs = slices.Compact(w.Refs)
	return c.note(w)
}

// note counts w, and keeps it if it stands against the assertion.
func (c *checker) note(w Witness) error {
	c.tried++
	k := 0
	switch w.Verdict {
	case c.a.Expect:
		k = -1
	case policy.Unknown:
		k = 1
	}
	if k >= 0 && len(c.bad[k]) < mostAgainst {
		c.bad[k] = append(c.bad[k], w)
	}
	if c.tried >= mostTried {
		return fmt.Errorf("it stands for more than %d connections: name less at once", mostTried)
	}
	return nil
}

// site returns the site that x is in direction d.
func (c *checker) site(x *policy.Interface, d flow.Direction) *site {
	key := siteKey{c.s.PathKey(x), d}
	if c.sites[key] == nil {
		n := &site{Site: explain.NewSite(c.s, x.ID, d), id: len(c.sites)}
		n.AddTo(&n.bounds)
		n.bounds.Compact()
		c.sites[key] = n
	}
	return c.sites[key]
}

// judge asks x about f, whose own address there is own.
func (c *checker) judge(x *site, f explain.Flow, remote, own netip.Addr) said {
	key := ask{x.id, remote, own, f.Proto, f.Port}
	if !x.bounds.Local {
		key.own = netip.Addr{}
	}
	out, ok := c.memo[key]
	if !ok {
		out.verdict, out.refs = x.Judge(f)
		c.memo[key] = out
	}
	return out
}

// outside asks about connections between members and blocks of addresses outside.
func (c *checker) outside(members []member, blocks []netip.Prefix, d flow.Direction) error {
	for _, m := range members {
		x := c.site(m.iface, d)
		for _, block := range blocks {
			starts := slices.DeleteFunc(startsIn(block, x.bounds.Peers), func(a netip.Addr) bool { return block.Bits() < block.Addr().BitLen() && x.Exempt(a) })
			for _, own := range m.addrs {
				if own.Is4() != block.Addr().Is4() {
					continue
				}
				for _, service := range c.services(own, &x.bounds) {
					for _, remote := range starts {
						f := service
						f.Src, f.Dst = remote, own
						w := Witness{}
						if w.at[1] = m.iface; d == flow.Egress {
							f.Src, f.Dst = own, remote
							w.at = [2]*policy.Interface{m.iface, nil}
						}
						s := c.judge(x, f, remote, own)
						w.Flow, w.Verdict, w.Refs = f, s.verdict, s.refs
						if err := c.note(w); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// inside asks about connections among members.
func (c *checker) inside(from, to []member) error {
	for _, a := range from {
		for _, b := range to {
			if a.iface == b.iface {
				continue
			}
			x, y := c.site(a.iface, flow.Egress), c.site(b.iface, flow.Ingress)
			bounds := c.pairs[[2]int{x.id, y.id}]
			if bounds == nil {
				bounds = new(explain.Bounds)
				x.AddTo(bounds)
				y.AddTo(bounds)
				bounds.Compact()
				c.pairs[[2]int{x.id, y.id}] = bounds
			}
			for _, src := range a.addrs {
				for _, dst := range b.addrs {
					if src.Is4() != dst.Is4() {
						continue
					}
					for _, f := range c.services(dst, bounds) {
						f.Src, f.Dst = src, dst
						p, q := c.judge(x, f, dst, src), c.judge(y, f, src, dst)
						w := Witness{Flow: f, Verdict: worse(p.verdict, q.verdict), Refs: slices.Concat(p.refs, q.refs), at: [2]*policy.Interface{a.iface, b.iface}}
						slices.SortFunc(w.Refs, policy.Ref.Compare)
						w.Refs = slices.Compact(w.Refs)
						if err := c.note(w); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// services lists a connection, without addresses, of each class of services of the
// assertion that bounds tell apart, in the family of addr.
func (c *checker) services(addr netip.Addr, bounds *explain.Bounds) []explain.Flow {
	protos := []flow.Proto{c.a.Proto}
	icmp, other := flow.ICMP, flow.ICMPv6
	if addr.Is6() {
		icmp, other = other, icmp
	}
	if c.a.AnyProto {
		protos = append([]flow.Proto{flow.TCP, flow.UDP, icmp, unnamed(bounds.Protos)}, bounds.Protos...)
		slices.Sort(protos)
		protos = slices.Compact(protos)
	}
	var out []explain.Flow
	for _, p := range protos {
		f := explain.Flow{Proto: p, ICMP: c.a.ICMP, ClientPorts: explain.ClientPorts}
		switch {
		case p == other: // of the other family
		case !p.HasPorts():
			out = append(out, f)
		default:
			for _, port := range portsIn(c.a.Ports, bounds.Ports) {
				f.Port = port
				out = append(out, f)
			}
		}
	}
	return out
}

// unnamed returns a protocol that no rule names, as far as there is one.
func unnamed(named []flow.Proto) flow.Proto {
	for p := 253; p > 0; p-- {
		if !slices.Contains(named, flow.Proto(p)) && !flow.Proto(p).HasPorts() && !flow.Proto(p).IsICMP() {
			return flow.Proto(p)
		}
	}
	return 253
}

// portsIn returns the first port of each class of ports.
func portsIn(ranges []netset.PortRange, bounds []uint16) []uint16 {
	var out []uint16
	for _, r := range ranges {
		out = append(out, r.First)
		for _, b := range bounds {
			if r.Contains(b) {
				out = append(out, b)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// startsIn returns the first address of each class of addresses of block that peers tell
// apart.
func startsIn(block netip.Prefix, peers []netip.Prefix) []netip.Addr {
	out := []netip.Addr{block.Masked().Addr()}
	for _, p := range peers {
		for _, a := range [2]netip.Addr{p.Masked().Addr(), last(p).Next()} {
			if a.IsValid() && block.Contains(a) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// last returns the last address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// About names what a is about, for people to look for: the interface or the group at its
// destination, else at its source, else what is written.
func (a *Assertion) About(s *policy.Snapshot) string {
	ends := [2]string{a.To, a.From}
	if a.Flow != nil {
		ends = [2]string{a.Flow.Dst.String(), a.Flow.Src.String()}
		if a.Interface != "" {
			return a.Interface
		}
	}
	c := checker{a: a, s: s}
	for _, text := range ends {
		if e, err := c.end(text); err == nil && len(e.members) > 0 {
			if addr, err := netip.ParseAddr(text); err == nil && addr.IsValid() {
				return e.members[0].iface.ID
			}
			for i := range s.Groups {
				if g := &s.Groups[i]; g.Name == text && text != "" {
					return g.ID
				}
			}
			return text
		}
	}
	return ends[0]
}
