package digest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

const start = 1_780_000_000 / daySeconds * daySeconds

// random makes a result of n connections over the given days, with a small policy. What
// it says of rules follows no policy: digests only count.
func random(t *testing.T, seed uint64, n, days int) *engine.Result {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := &policy.Snapshot{
		Platforms: []policy.Platform{{ID: "p"}},
		ACLs:      []policy.ACL{{ID: "acl-1"}},
		Groups:    []policy.Group{{ID: "sg-a"}, {ID: "sg-b"}, {ID: "sg-base"}},
	}
	for i := range 4 {
		s.Interfaces = append(s.Interfaces, policy.Interface{ID: fmt.Sprintf("eni-%d", i), Platform: "p", Groups: []string{"sg-base", []string{"sg-a", "sg-b"}[i%2]},
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}})
	}
	peers := []string{"0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "10.0.0.1/32"}
	add := func(owner string, rules *[]policy.Rule, k int) {
		d := flow.Ingress
		if k%3 == 0 {
			d = flow.Egress
		}
		ports := netset.PortRange{First: uint16(k * 100), Last: uint16(k*100 + k*700)}
		*rules = append(*rules, policy.Rule{Ref: policy.Ref{Owner: owner, Rule: fmt.Sprintf("r-%d", k)}, Direction: d, Action: policy.Allow, Editable: true, Rank: uint32(k),
			Match: []policy.Match{policy.NewMatch(d, policy.OneProto(flow.TCP), ports, policy.AnyICMP, policy.AddrSet{Prefixes: []netip.Prefix{netip.MustParsePrefix(peers[k%len(peers)])}})}})
	}
	for k := range 6 {
		add(s.Groups[k%3].ID, &s.Groups[k%3].Rules, k)
		add("acl-1", &s.ACLs[0].Rules, k)
	}
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	res := &engine.Result{Snapshot: s, Rules: s.Rules()}
	var conns []engine.Connection
	some := func() (ids []int32) {
		for id := range res.Rules {
			if rnd.IntN(4) == 0 {
				ids = append(ids, int32(id))
			}
		}
		return ids
	}
	for range 12 {
		sig := engine.Signature{Hits: some()}
		for _, id := range sig.Hits {
			if rnd.IntN(2) == 0 {
				sig.Decisive = append(sig.Decisive, id)
			}
		}
		sig.Possible = some()
		res.Signatures = append(res.Signatures, sig)
	}
	addrs := []string{"10.0.0.1", "10.0.0.2", "10.9.1.1", "10.200.3.4", "192.0.2.77", "8.8.8.8", "2001:db8::5", "fd00::1"}
	for range n {
		c := engine.Connection{Interface: int32(rnd.IntN(4)), Direction: flow.Ingress, Proto: flow.TCP, Action: flow.Accept, Certain: rnd.IntN(5) > 0,
			Remote: flow.AddrFrom(netip.MustParseAddr(addrs[rnd.IntN(len(addrs))])), Port: uint16(rnd.IntN(1 << 16)), Signature: int32(rnd.IntN(12)), Records: uint64(1 + rnd.IntN(9))}
		if rnd.IntN(2) == 0 {
			c.Direction = flow.Egress
		}
		if rnd.IntN(6) == 0 {
			c.Action = flow.Reject
		}
		if rnd.IntN(8) == 0 {
			c.Proto, c.Port = flow.ICMP, 0
		}
		if c.PortHi = c.Port; rnd.IntN(9) == 0 {
			c.PortHi = c.Port | 0xff
		}
		from, to := rnd.IntN(days), rnd.IntN(days)
		from, to = min(from, to), max(from, to)
		c.First, c.Last = start+int64(from)*daySeconds+5, start+int64(to)*daySeconds+9
		for d := from; d <= to; d++ {
			if d == from || d == to || rnd.IntN(2) == 0 {
				c.Days |= 1 << (uint64(start/daySeconds+int64(d)) % 64)
			}
		}
		if i := int32(len(conns)); rnd.IntN(10) == 0 {
			for range 2 {
				res.Parts = append(res.Parts, engine.Part{Connection: i, Signature: int32(rnd.IntN(12)),
					Seen: engine.Seen{Records: 1, First: c.First, Last: c.Last, Days: c.Days}})
			}
		}
		conns = append(conns, c)
	}
	res.Connections = engine.ConnectionsOf(conns)
	return res
}

// The obvious way: for each rule and day, look at every connection.
func TestDaysCountWhatEachDaySaw(t *testing.T) {
	for _, days := range []int{1, 5, 30, 64, 90, 366} {
		res := random(t, uint64(days), 300, days)
		got := Days(res, start, start+int64(days)*daySeconds)
		for id := range res.Rules {
			want := make([]byte, days)
			any := false
			for d := range days {
				n := uint64(0)
				each(res, func(sig int32, seen *engine.Seen) {
					day := start/daySeconds + int64(d)
					if slices.Contains(res.Signatures[sig].Hits, int32(id)) && seen.Days>>(uint64(day)%64)&1 != 0 && seen.First/daySeconds <= day && day <= seen.Last/daySeconds {
						n++
					}
				})
				want[d] = Class(n)
				any = any || n > 0
			}
			if !any {
				want = nil
			}
			if got[id] != string(want) {
				t.Errorf("%d days, rule %d: %q, want %q", days, id, got[id], want)
			}
		}
	}
	res := random(t, 3, 50, 30)
	for _, window := range [][2]int64{{0, 0}, {start, start}, {start, start + 367*daySeconds}, {start + 1, start}} {
		if got := Days(res, window[0], window[1]); slices.ContainsFunc(got, func(s string) bool { return s != "" }) {
			t.Errorf("window %v: %q", window, got)
		}
	}
}

func TestDetailsAreTheGreatest(t *testing.T) {
	res := random(t, 7, 400, 10)
	all := make([]int, len(res.Rules))
	for i := range all {
		all[i] = i
	}
	for _, d := range Details(res, all) {
		var decisive []int
		common := make(map[int]uint64)
		for i, c := range res.Connections.All() {
			sig := &res.Signatures[c.Signature]
			if slices.Contains(sig.Decisive, int32(d.Rule)) {
				decisive = append(decisive, i)
			}
			if slices.Contains(sig.Hits, int32(d.Rule)) {
				for _, id := range sig.Hits {
					a, b := res.Rules[id], res.Rules[d.Rule]
					if a != b && a.Direction == b.Direction && (a.Ref.Owner == "acl-1") == (b.Ref.Owner == "acl-1") {
						common[int(id)]++
					}
				}
			}
		}
		records := func(i int) uint64 { c := res.Connections.At(i); return c.Records }
		slices.SortStableFunc(decisive, func(a, b int) int { return cmp.Compare(records(b), records(a)) })
		if want := decisive[:min(len(decisive), mostOf)]; !slices.Equal(want, d.Decisive) {
			t.Errorf("rule %d: decisive %v, want %v", d.Rule, d.Decisive, want)
		}
		if len(d.Shares)+d.More != len(common) {
			t.Errorf("rule %d: %d rules share its hits, want %d", d.Rule, len(d.Shares)+d.More, len(common))
		}
		for k, s := range d.Shares {
			if s.Connections != common[s.Rule] || k > 0 && s.Connections > d.Shares[k-1].Connections {
				t.Errorf("rule %d: %+v, want %v", d.Rule, d.Shares, common)
			}
		}
	}
}

func TestFlowsLoseNothing(t *testing.T) {
	res := random(t, 11, 2000, 3)
	flows := Flows(res)
	var in, out, got Size
	for _, c := range res.Connections.All() {
		if c.Action != flow.Accept || !c.Certain {
			continue
		}
		s := &in
		if c.Direction == flow.Egress {
			s = &out
		}
		s.Connections, s.Records = s.Connections+1, s.Records+c.Records
	}
	parties, services := map[string]bool{}, map[string]bool{}
	for k, f := range flows {
		got.Connections, got.Records = got.Connections+f.Connections, got.Records+f.Records
		parties[f.From], services[f.Service] = true, true
		if k > 0 && f.Records > flows[k-1].Records {
			t.Errorf("%+v is not in order", f)
		}
	}
	// What was logged at both ends is counted once, all else wholly.
	if most := in.Records + out.Records; got.Records > most || got.Records < max(in.Records, out.Records) {
		t.Errorf("%d records in flows, %d in and %d out in the log", got.Records, in.Records, out.Records)
	}
	if len(parties) > mostParties+1 || len(services) > mostServices+1 {
		t.Errorf("%d parties, %d services", len(parties), len(services))
	}
	for _, want := range []string{"sg-a", "sg-b", "10.9.0.0/16", Internet} {
		if !parties[want] {
			t.Errorf("no flow from %s", want)
		}
	}
	if parties["sg-base"] {
		t.Error("interfaces stand under the group that all have")
	}
}

func TestWhatBothEndsLoggedIsCountedOnce(t *testing.T) {
	res := random(t, 1, 0, 1)
	a, b := flow.AddrFrom(res.Snapshot.Interfaces[0].Addresses[0]), flow.AddrFrom(res.Snapshot.Interfaces[1].Addresses[0])
	c := engine.Connection{Proto: flow.TCP, Action: flow.Accept, Certain: true, Port: 443, PortHi: 443}
	x, y := c, c
	x.Interface, x.Direction, x.Remote, x.Records = 0, flow.Egress, b, 10
	y.Interface, y.Direction, y.Remote, y.Records = 1, flow.Ingress, a, 8
	res.Connections = engine.ConnectionsOf([]engine.Connection{x, y})
	want := []Flow{{"sg-a", "sg-b", "tcp 443", Size{1, 10}}}
	if got := Flows(res); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Each connection is counted in the cells that hold it, and in no other.
func TestSpacesCountCells(t *testing.T) {
	res := random(t, 13, 500, 2)
	var rules []int
	for i := range res.Rules {
		rules = append(rules, i)
	}
	spaces := Spaces(res, rules)
	if len(spaces) < 8 {
		t.Fatalf("%d spaces", len(spaces))
	}
	for i := range spaces {
		s := &spaces[i]
		filled := 0
		for k := range s.Cells {
			prefix, ports := s.Cell(k)
			n := uint64(0)
			for _, c := range res.Connections.All() {
				sig := &res.Signatures[c.Signature]
				if c.Action != flow.Accept || !slices.Contains(sig.Hits, int32(s.Rule)) && !slices.Contains(sig.Possible, int32(s.Rule)) {
					continue
				}
				if prefix.IsValid() && prefix.Contains(c.Remote.Netip()) || !prefix.IsValid() && c.Proto.HasPorts() && c.Port <= ports.Last && c.PortHi >= ports.First {
					n++
				}
			}
			if s.Cells[k] != Class(n) {
				t.Errorf("rule %d, cell %d (%v %v): %c, want %c", s.Rule, k, prefix, ports, s.Cells[k], Class(n))
			}
			if n > 0 {
				filled++
			}
		}
		if filled != s.Filled || len(s.Used) != min(filled, mostUsed) {
			t.Errorf("rule %d: %d cells filled, %d listed, want %d", s.Rule, s.Filled, len(s.Used), filled)
		}
	}
}

// Cells lie side by side from the first to the last address or port.
func TestCellsTileTheSpace(t *testing.T) {
	for _, ports := range []netset.PortRange{{First: 0, Last: 65535}, {First: 8000, Last: 9000}, {First: 10, Last: 25}, {First: 1, Last: 257}, {First: 100, Last: 615}, {First: 1024, Last: 65535}} {
		m := policy.NewMatch(flow.Ingress, policy.OneProto(flow.TCP), ports, policy.AnyICMP, policy.AddrSet{})
		s := spacesOf(0, &policy.Rule{Direction: flow.Ingress, Match: []policy.Match{m}})[0].finish()
		next := int(ports.First)
		for i := range s.Cells {
			_, p := s.Cell(i)
			if int(p.First) != next || p.Last < p.First {
				t.Fatalf("%v: cell %d is %v, want it to begin at %d", ports, i, p, next)
			}
			next = int(p.Last) + 1
		}
		if next != int(ports.Last)+1 || len(s.Cells) > lineCells {
			t.Errorf("%v: %d cells end at %d", ports, len(s.Cells), next-1)
		}
	}
	for _, text := range []string{"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/20", "192.0.2.0/24", "10.1.0.0/23", "::/0", "2001:db8::/32", "2001:db8::/64", "2001:db8::/60"} {
		prefix := netip.MustParsePrefix(text)
		m := policy.NewMatch(flow.Ingress, policy.OneProto(flow.TCP), netset.PortRange{First: 1, Last: 1}, policy.AnyICMP, policy.AddrSet{Prefixes: []netip.Prefix{prefix}})
		s := spacesOf(0, &policy.Rule{Direction: flow.Ingress, Match: []policy.Match{m}})[0].finish()
		next := prefix.Addr()
		for i := range s.Cells {
			p, _ := s.Cell(i)
			if p.Addr() != next || p != p.Masked() {
				t.Fatalf("%s: cell %d is %v, want it to begin at %v", text, i, p, next)
			}
			next = netset.AddrsOf(p).Last.Netip().Next()
		}
		if end := netset.AddrsOf(prefix).Last.Netip().Next(); next != end {
			t.Errorf("%s: cells end before %v, want %v", text, next, end)
		}
	}
}

func TestEqualResultsGiveEqualDigests(t *testing.T) {
	a, b := random(t, 5, 800, 20), random(t, 5, 800, 20)
	x, y := fmt.Sprint(Flows(a), Details(a, []int{0, 1, 2}), Spaces(a, []int{0, 1, 2})), fmt.Sprint(Flows(b), Details(b, []int{0, 1, 2}), Spaces(b, []int{0, 1, 2}))
	if x != y {
		t.Error("two digests of the same result differ")
	}
}
