package classify

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// checker compares both tables of a path with policy.Decide, the definition.
type checker struct {
	path  []policy.Stage
	table *Table
	tries *Table              // see Try
	out   Outcome             // reused for all kinds
	kept  map[string]*Outcome // the same, one for each kind of decision
	refs  []policy.Ref
	ids   map[policy.Ref]int32
}

// newChecker numbers the rules of path in an order unrelated to that of their refs.
func newChecker(path []policy.Stage) *checker {
	c := &checker{path: path, ids: make(map[policy.Ref]int32), kept: make(map[string]*Outcome)}
	add := func(r policy.Ref) {
		if _, ok := c.ids[r]; !ok {
			c.ids[r] = int32(len(c.refs))
			c.refs = append(c.refs, r)
		}
	}
	for i := range path {
		add(path[i].DefaultRef)
		for t := range path[i].Tiers {
			for r := range path[i].Tiers[t].Rules {
				add(path[i].Tiers[t].Rules[r].Ref)
			}
		}
	}
	index := func(r policy.Ref) (int32, bool) { id, ok := c.ids[r]; return id, ok }
	c.table, c.tries = Compile(path, index), Try(path, index)
	return c
}

// check reports the first difference for k, in all three kinds of decision, and whether an
// outcome that is said not to have changed did.
func (c *checker) check(k *Key) error {
	conn := policy.Conn{Proto: k.Proto, Local: k.Local.Netip(), Remote: k.Remote.Netip(),
		LocalPort: k.LocalPort, RemotePort: k.RemotePort, ICMP: policy.AnyICMP}
	for _, f := range [3]struct {
		kind   string
		decide func(*Table, *Key, *Outcome)
		want   func() (policy.Verdict, []policy.StageDecision)
	}{
		{"Decide", (*Table).Decide, func() (policy.Verdict, []policy.StageDecision) {
			d := policy.Decide(c.path, &conn)
			return d.Verdict, d.Stages
		}},
		{"DecidePacket", (*Table).DecidePacket, func() (policy.Verdict, []policy.StageDecision) {
			d := policy.DecidePacket(c.path, &conn)
			return d.Verdict, d.Stages
		}},
		{"DecideAll", (*Table).DecideAll, func() (policy.Verdict, []policy.StageDecision) {
			var stages []policy.StageDecision
			for i := range c.path {
				stages = append(stages, c.path[i].Decide(&conn))
				if stages[i].Action == policy.AllowAll {
					break
				}
			}
			return policy.Decide(c.path, &conn).Verdict, stages
		}},
	} {
		verdict, stages := f.want()
		for i, t := range [2]*Table{c.table, c.tries} {
			name := [2]string{"", "tried "}[i]
			kept := c.kept[name+f.kind]
			if kept == nil {
				kept = new(Outcome)
				c.kept[name+f.kind] = kept
			}
			was := fmt.Sprintf("%v %+v", kept.Verdict, kept.Stages)
			for _, out := range [2]*Outcome{&c.out, kept} {
				f.decide(t, k, out)
				if err := c.same(out, verdict, stages); err != nil {
					return fmt.Errorf("%s%s(%+v): %w", name, f.kind, conn, err)
				}
			}
			if is := fmt.Sprintf("%v %+v", kept.Verdict, kept.Stages); !kept.Changed && is != was {
				return fmt.Errorf("%s%s(%+v): not changed, and %s after %s", name, f.kind, conn, is, was)
			}
		}
	}
	return nil
}

func (c *checker) same(out *Outcome, verdict policy.Verdict, want []policy.StageDecision) error {
	if out.Verdict != verdict {
		return fmt.Errorf("verdict %v, want %v", out.Verdict, verdict)
	}
	if len(out.Stages) != len(want) {
		return fmt.Errorf("%d stages, want %d", len(out.Stages), len(want))
	}
	for i := range want {
		g, w := &out.Stages[i], &want[i]
		if c.path[g.Stage].Name != w.Stage || g.Skipped != w.Skipped || g.Decisive != w.Decisive ||
			g.Verdict != w.Verdict || g.Action != w.Action || g.Next != w.Next ||
			!c.sameRules(g.Winners, w.Winners) || !c.sameRules(g.Possible, w.Possible) {
			return fmt.Errorf("stage %d: %+v, want %+v", i, c.name(*g), *w)
		}
	}
	return nil
}

func (c *checker) sameRules(got []int32, want []policy.Ref) bool {
	if len(got) != len(want) || !slices.IsSorted(got) {
		return false
	}
	for i := range want {
		if !slices.Contains(got, c.ids[want[i]]) {
			return false
		}
	}
	return len(slices.Compact(slices.Clone(got))) == len(got)
}

// name shows g with refs in place of numbers.
func (c *checker) name(g StageOutcome) policy.StageDecision {
	d := policy.StageDecision{Stage: c.path[g.Stage].Name, Skipped: g.Skipped, Verdict: g.Verdict, Next: g.Next, Action: g.Action, Decisive: g.Decisive}
	for _, id := range g.Winners {
		d.Winners = append(d.Winners, c.refs[id])
	}
	for _, id := range g.Possible {
		d.Possible = append(d.Possible, c.refs[id])
	}
	return d
}

// A source answers with a number below n. Tests draw from a random generator, the
// fuzz target from its bytes.
type source interface{ IntN(n int) int }

func pick[T any](s source, from ...T) T { return from[s.IntN(len(from))] }

// one reports true once in n times.
func one(s source, n int) bool { return s.IntN(n) == 0 }

// Prefixes and ports come from small pools, so that they nest, touch and repeat.
var (
	pool4 = []string{"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "10.0.1.0/24",
		"10.0.0.0/32", "10.0.0.255/32", "10.0.0.7/32", "10.0.0.8/31", "192.168.0.0/16", "255.255.255.255/32", "0.0.0.0/32", "255.255.255.0/24"}
	pool6 = []string{"::/0", "::/1", "8000::/1", "2001:db8::/32", "2001:db8::/64", "2001:db8:0:1::/64", "2001:db8::1/128",
		"2001:db8::/127", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "fd00::/8",
		"::1/128", "::/96", "::ffff:0:0/96", "2001:db8::ffff:ffff:ffff:0/112"}
	poolPorts = []netset.PortRange{netset.AllPorts, netset.AllPorts, ports(0, 0), ports(22, 22), ports(80, 80), ports(80, 90), ports(443, 443),
		ports(1024, 65535), ports(65535, 65535), ports(0, 1023), ports(0, 65534), ports(1, 65535), ports(8000, 8100), ports(9, 8)}
	poolProtos = []policy.ProtoSet{policy.AnyProto, policy.AnyProto, policy.OneProto(flow.TCP), policy.OneProto(flow.TCP), policy.OneProto(flow.UDP),
		policy.OneProto(flow.ICMP), policy.OneProto(flow.ICMPv6), policy.OneProto(0), policy.OneProto(255), {1<<6 | 1<<17}, {1<<1 | 1<<6, 0, 0, 1 << 63}, {}}
	poolKeyProtos = []flow.Proto{flow.TCP, flow.TCP, flow.TCP, flow.UDP, flow.ICMP, flow.ICMPv6, 0, 50, 255}
)

func ports(first, last uint16) netset.PortRange { return netset.PortRange{First: first, Last: last} }

func randomPrefix(s source) netip.Prefix {
	if one(s, 3) {
		return netip.MustParsePrefix(pick(s, pool6...))
	}
	if one(s, 3) { // any bits, unmasked
		a := netip.AddrFrom4([4]byte{10, 0, byte(s.IntN(2)), byte(s.IntN(256))})
		return netip.PrefixFrom(a, 8+s.IntN(25))
	}
	return netip.MustParsePrefix(pick(s, pool4...))
}

func randomSet(s source, doubt bool) policy.AddrSet {
	var a policy.AddrSet
	for range s.IntN(4) {
		a.Prefixes = append(a.Prefixes, randomPrefix(s))
	}
	if one(s, 4) {
		a.Prefixes = append(a.Prefixes, policy.AnyAddr.Prefixes...)
	}
	if one(s, 12) {
		a.Prefixes = append(a.Prefixes, netip.Prefix{}, netip.PrefixFrom(netip.IPv4Unspecified(), 40))
	}
	if doubt {
		a.Unknown = one(s, 5)
		if one(s, 10) {
			a.Refs = []policy.SetRef{{Kind: policy.ListSet, ID: "pl-1"}}
		}
	}
	return a
}

func randomMatch(s source, doubt bool) policy.Match {
	m := policy.Match{Protos: pick(s, poolProtos...), ICMP: policy.AnyICMP, LocalPorts: pick(s, poolPorts...), RemotePorts: netset.AllPorts,
		Local: policy.AnyAddr, Remote: randomSet(s, doubt)}
	if one(s, 4) {
		m.RemotePorts = pick(s, poolPorts...)
	}
	if one(s, 5) {
		m.Local = randomSet(s, doubt)
	}
	if doubt && one(s, 4) {
		m.ICMP = pick(s, policy.TypeCode{Type: 8, Code: -1}, policy.TypeCode{Type: 3, Code: 4}, policy.TypeCode{Type: 0, Code: 0}, policy.TypeCode{Type: -1, Code: 3})
	}
	return m
}

// randomStage draws a stage of up to n rules; its shape is one of: allow only at one
// rank, a ranked list, several tiers with every action.
func randomStage(s source, number, n int) policy.Stage {
	st := policy.Stage{Name: "s" + strconv.Itoa(number), Stateful: one(s, 2), Default: pick(s, policy.Deny, policy.Deny, policy.Allow),
		DefaultRef: policy.Ref{Owner: policy.ImplicitOwner, Rule: "default:" + strconv.Itoa(number)}}
	doubt := !one(s, 3)
	actions := []policy.Action{policy.Allow}
	ranks, tiers := 1, 1
	switch s.IntN(4) {
	case 1:
		actions, ranks = []policy.Action{policy.Allow, policy.Deny}, n
	case 2:
		actions, ranks = []policy.Action{policy.Allow, policy.Deny}, 3
	case 3:
		actions, ranks, tiers = []policy.Action{policy.Deny, policy.Allow, policy.Next, policy.AllowAll}, 4, 1+s.IntN(3)
		st.Default = pick(s, policy.Deny, policy.Allow, policy.AllowAll, policy.Next)
	}
	st.Tiers = make([]policy.Tier, tiers)
	for i := range s.IntN(n + 1) {
		r := policy.Rule{Ref: policy.Ref{Owner: "g" + strconv.Itoa(number), Rule: strconv.Itoa(s.IntN(100)*1000 + i)},
			Rank: uint32(s.IntN(ranks)), Action: pick(s, actions...)}
		for range 1 + s.IntN(3)*s.IntN(2) {
			r.Match = append(r.Match, randomMatch(s, doubt))
		}
		t := &st.Tiers[s.IntN(tiers)]
		t.Name = "t"
		t.Rules = append(t.Rules, r)
	}
	for range s.IntN(3) * s.IntN(2) {
		st.Exempt = append(st.Exempt, randomPrefix(s))
	}
	return st
}

// bounds are the values at and beside every bound of a path.
type bounds struct {
	addrs  []flow.Addr
	ports  []uint16
	protos []flow.Proto
}

func boundsOf(path []policy.Stage) bounds {
	b := bounds{addrs: []flow.Addr{{}, flow.Addr4(0x0a000005)}, ports: []uint16{0, 65535}, protos: poolKeyProtos}
	addr := func(a netip.Addr) {
		for _, x := range []netip.Addr{a.Prev(), a, a.Next()} {
			if x.IsValid() {
				b.addrs = append(b.addrs, flow.AddrFrom(x))
			}
		}
	}
	prefixes := func(ps []netip.Prefix) {
		for _, p := range ps {
			if p.IsValid() {
				addr(p.Masked().Addr())
				addr(lastAddr(p))
			}
		}
	}
	for i := range path {
		prefixes(path[i].Exempt)
		for t := range path[i].Tiers {
			for r := range path[i].Tiers[t].Rules {
				for _, m := range path[i].Tiers[t].Rules[r].Match {
					prefixes(m.Local.Prefixes)
					prefixes(m.Remote.Prefixes)
					for _, p := range []netset.PortRange{m.LocalPorts, m.RemotePorts} {
						b.ports = append(b.ports, p.First-1, p.First, p.First+1, p.Last-1, p.Last, p.Last+1)
					}
				}
			}
		}
	}
	slices.SortFunc(b.addrs, flow.Addr.Compare)
	b.addrs = slices.Compact(b.addrs)
	slices.Sort(b.ports)
	b.ports = slices.Compact(b.ports)
	return b
}

// lastAddr returns the last address of p.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// key draws a key. Addresses with both ends in one family are the usual case.
func (b *bounds) key(s source) Key {
	k := Key{Proto: pick(s, b.protos...), Local: pick(s, b.addrs...), Remote: pick(s, b.addrs...),
		LocalPort: pick(s, b.ports...), RemotePort: pick(s, b.ports...)}
	if one(s, 4) {
		k.Local = flow.Addr4(0x0a000005)
	}
	return k
}

// TestDecideIsPolicyDecide compares tables with the definition on random paths,
// at and beside every bound.
func TestDecideIsPolicyDecide(t *testing.T) {
	const seed = 42
	rng := rand.New(rand.NewPCG(seed, seed))
	// Small paths find the corners of the logic, large ones those of the rows.
	shapes := []struct{ paths, rules, keys int }{{6000, 5, 60}, {600, 20, 100}, {40, 150, 100}, {2, 1500, 100}}
	if testing.Short() {
		for i := range shapes {
			shapes[i].paths = (shapes[i].paths + 9) / 10
		}
	}
	decisions := 0
	for _, shape := range shapes {
		for p := range shape.paths {
			var path []policy.Stage
			for i := range rng.IntN(4) {
				path = append(path, randomStage(rng, i, shape.rules))
			}
			c := newChecker(path)
			b := boundsOf(path)
			var last Key
			for range shape.keys {
				k := b.key(rng)
				switch rng.IntN(4) { // often a neighbour of the last
				case 0:
					k.Local, k.Remote = last.Local, last.Remote
				case 1:
					k.Proto, k.LocalPort, k.RemotePort = last.Proto, last.LocalPort, last.RemotePort
				}
				last = k
				if err := c.check(&k); err != nil {
					t.Fatalf("seed %d, %d rules, path %d: %v\npath: %+v", seed, shape.rules, p, err, path)
				}
				decisions += 3
			}
		}
	}
	t.Logf("%d decisions", decisions)
}
