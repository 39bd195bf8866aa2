package orient_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// TestLadder shows each rung alone.
func TestLadder(t *testing.T) {
	in := func(first, last uint16) rule {
		return rule{iface: "eni-1", dir: flow.Ingress, first: first, last: last}
	}
	out := func(first, last uint16) rule { return rule{iface: "eni-1", dir: flow.Egress, first: first, last: last} }
	for _, c := range []struct {
		name, flows string
		rules       rules
		want        string
	}{
		{"a SYN says that its sender opened", `
			eni-1 198.51.100.7:40001 > 10.0.0.1:40000 tcp SYN
			eni-1 10.0.0.1:50000 > 198.51.100.8:50001 tcp SYN FIN`, nil, `
			eni-1 ingress 10.0.0.1:40000 198.51.100.7:* opened ingress by flags
			eni-1 egress 10.0.0.1:* 198.51.100.8:50001 opened egress by flags`},
		{"a SYN with ACK says that its receiver opened", `
			eni-1 10.0.0.1:40000 > 198.51.100.7:40001 tcp SYN ACK`, nil, `
			eni-1 egress 10.0.0.1:40000 198.51.100.7:* opened ingress by flags`},
		{"a rejected SYN is an attempt of its sender", `
			eni-1 198.51.100.7:40001 > 10.0.0.1:23 tcp REJECT SYN`, nil, `
			eni-1 ingress 10.0.0.1:23 198.51.100.7:* REJECT opened ingress by flags`},
		{"rows without SYN follow those of their connection that have one", `
			eni-1 198.51.100.7:40001 > 10.0.0.1:7000 tcp SYN
			eni-1 198.51.100.7:40001 > 10.0.0.1:7000 tcp none
			eni-1 10.0.0.1:7000 > 198.51.100.7:40001 tcp none`, nil, `
			eni-1 ingress 10.0.0.1:7000 198.51.100.7:* opened ingress by flags
			eni-1 ingress 10.0.0.1:7000 198.51.100.7:* opened ingress by pair
			eni-1 egress 10.0.0.1:7000 198.51.100.7:* opened ingress by pair`},
		{"another connection to the same service is likely, and not proven", `
			eni-1 198.51.100.7:40001 > 10.0.0.1:7000 tcp SYN
			eni-1 198.51.100.7:50002 > 10.0.0.1:7000 tcp none`, nil, `
			eni-1 ingress 10.0.0.1:7000 198.51.100.7:* opened ingress by flags
			eni-1 ingress 10.0.0.1:7000 198.51.100.7:* opened ingress by ports`},
		{"a late reset of a known connection belongs to it, rejected or not", `
			eni-1 198.51.100.7:40001 > 10.0.0.1:443 tcp SYN
			eni-1 10.0.0.1:443 > 198.51.100.7:40001 tcp REJECT RST`, nil, `
			eni-1 ingress 10.0.0.1:443 198.51.100.7:* opened ingress by flags
			eni-1 egress 10.0.0.1:443 198.51.100.7:* REJECT opened ingress by pair`},
		{"what the rules do not let one side open, the other did", `
			eni-1 198.51.100.7:6001 > 10.0.0.1:6000 tcp
			eni-1 10.0.0.1:6000 > 198.51.100.7:6001 tcp`, rules{in(6000, 6000)}, `
			eni-1 ingress 10.0.0.1:6000 198.51.100.7:6001 opened ingress by rules
			eni-1 egress 10.0.0.1:6000 198.51.100.7:6001 opened ingress by rules`},
		{"the rules are stronger than ports: active FTP opens from port 20", `
			eni-1 10.0.0.1:20 > 198.51.100.7:50000 tcp
			eni-1 198.51.100.7:50000 > 10.0.0.1:20 tcp`, rules{out(1024, 65535)}, `
			eni-1 egress 10.0.0.1:20 198.51.100.7:* opened egress by rules
			eni-1 ingress 10.0.0.1:20 198.51.100.7:* opened egress by rules`},
		{"rules that admit both or none decide nothing", `
			eni-1 198.51.100.7:6001 > 10.0.0.1:6000 tcp
			eni-1 10.0.0.1:6000 > 198.51.100.7:6001 tcp`, rules{in(6000, 6000), out(6001, 6001)}, `
			eni-1 ingress 10.0.0.1:6000 198.51.100.7:6001 opened unknown by undecided
			eni-1 egress 10.0.0.1:6000 198.51.100.7:6001 opened unknown by undecided`},
		{"a rejected row proves nothing by the rules", `
			eni-1 10.0.0.1:6000 > 198.51.100.7:6001 tcp REJECT none`, rules{in(6000, 6000)}, `
			eni-1 egress 10.0.0.1:6000 198.51.100.7:6001 REJECT opened unknown by undecided`},
		{"the far end's own log saw the SYN", `
			eni-1 10.0.0.1:6000 > 10.0.0.2:6001 tcp none
			eni-2 10.0.0.1:6000 > 10.0.0.2:6001 tcp SYN`, nil, `
			eni-1 egress 10.0.0.1:6000 10.0.0.2:6001 opened egress by peer
			eni-2 ingress 10.0.0.2:6001 10.0.0.1:* opened ingress by flags`},
		{"many clients, one service", `
			eni-1 198.51.100.7:6001 > 10.0.0.1:6000 tcp
			eni-1 198.51.100.8:6002 > 10.0.0.1:6000 tcp
			eni-1 198.51.100.9:6003 > 10.0.0.1:6000 tcp`, nil, `
			eni-1 ingress 10.0.0.1:6000 198.51.100.7:6001 opened ingress by fan-in
			eni-1 ingress 10.0.0.1:6000 198.51.100.8:6002 opened ingress by fan-in
			eni-1 ingress 10.0.0.1:6000 198.51.100.9:6003 opened ingress by fan-in`},
		{"clients behind address translation use low ports", `
			eni-1 198.51.100.7:1030 > 10.0.0.1:7443 tcp
			eni-1 198.51.100.7:1077 > 10.0.0.1:7443 tcp
			eni-1 198.51.100.7:2111 > 10.0.0.1:7443 tcp
			eni-1 10.0.0.1:7443 > 198.51.100.7:1030 tcp`, nil, `
			eni-1 ingress 10.0.0.1:7443 198.51.100.7:1030 opened ingress by fan-in
			eni-1 ingress 10.0.0.1:7443 198.51.100.7:1077 opened ingress by fan-in
			eni-1 ingress 10.0.0.1:7443 198.51.100.7:2111 opened ingress by fan-in
			eni-1 egress 10.0.0.1:7443 198.51.100.7:1030 opened ingress by fan-in`},
		{"one port is a service's, the other a client's", `
			eni-1 198.51.100.7:40001 > 10.0.0.1:443 tcp
			eni-1 10.0.0.1:40001 > 198.51.100.8:5432 tcp`, nil, `
			eni-1 ingress 10.0.0.1:443 198.51.100.7:* opened ingress by ports
			eni-1 egress 10.0.0.1:* 198.51.100.8:5432 opened egress by ports`},
		{"UDP that never comes back was opened by its sender", `
			eni-1 10.0.0.1:40001 > 198.51.100.7:50001 udp`, nil, `
			eni-1 egress 10.0.0.1:40001 198.51.100.7:50001 opened egress by one-way`},
		{"rejected answers show who asked", `
			eni-1 198.51.100.7:6001 > 10.0.0.1:6000 tcp
			eni-1 10.0.0.1:6000 > 198.51.100.7:6001 tcp REJECT`, nil, `
			eni-1 ingress 10.0.0.1:6000 198.51.100.7:6001 opened ingress by one-way
			eni-1 egress 10.0.0.1:6000 198.51.100.7:6001 REJECT opened ingress by one-way`},
		{"without flags a lone rejected packet is an attempt", `
			eni-1 198.51.100.7:6001 > 10.0.0.1:6000 udp REJECT`, nil, `
			eni-1 ingress 10.0.0.1:6000 198.51.100.7:6001 REJECT opened ingress by rejection`},
		{"with flags and without SYN it is not", `
			eni-1 198.51.100.7:6001 > 10.0.0.1:6000 tcp REJECT FIN`, nil, `
			eni-1 ingress 10.0.0.1:6000 198.51.100.7:6001 REJECT opened unknown by undecided`},
		{"equal ports stay undecided", `
			eni-1 198.51.100.7:123 > 10.0.0.1:123 udp
			eni-1 10.0.0.1:123 > 198.51.100.7:123 udp`, nil, `
			eni-1 ingress 10.0.0.1:123 198.51.100.7:123 opened unknown by undecided
			eni-1 egress 10.0.0.1:123 198.51.100.7:123 opened unknown by undecided`},
		{"equal ports stay undecided, however many the peers", `
			eni-1 198.51.100.7:123 > 10.0.0.1:123 udp
			eni-1 198.51.100.8:123 > 10.0.0.1:123 udp
			eni-1 198.51.100.9:123 > 10.0.0.1:123 udp
			eni-1 198.51.100.10:123 > 10.0.0.1:123 udp`, nil, `
			eni-1 ingress 10.0.0.1:123 198.51.100.7:123 opened unknown by undecided
			eni-1 ingress 10.0.0.1:123 198.51.100.8:123 opened unknown by undecided
			eni-1 ingress 10.0.0.1:123 198.51.100.9:123 opened unknown by undecided
			eni-1 ingress 10.0.0.1:123 198.51.100.10:123 opened unknown by undecided`},
		{"a single connection of two odd ports stays undecided", `
			eni-1 198.51.100.7:6001 > 10.0.0.1:6000 tcp
			eni-1 10.0.0.1:6000 > 198.51.100.7:6001 tcp`, nil, `
			eni-1 ingress 10.0.0.1:6000 198.51.100.7:6001 opened unknown by undecided
			eni-1 egress 10.0.0.1:6000 198.51.100.7:6001 opened unknown by undecided`},
		{"without a known address of the interface the side stays open", `
			eni-1 [2001:db8::7]:40001 > [2001:db8::1]:443 tcp SYN`, nil, `
			eni-1 unknown 2001:db8::7:* 2001:db8::1:443 opened unknown by undecided`},
	} {
		t.Run(c.name, func(t *testing.T) { checkOpinions(t, c.flows, c.rules, c.want) })
	}
}

func TestUndecidedRowHasBothReadings(t *testing.T) {
	c, ops := decide(records("eni-1 198.51.100.7:123 > 10.0.0.1:123 udp"), nil)
	var r store.Row
	c.Row(0, &r)
	var got []string
	for _, x := range orient.Readings(nil, &r, ops[0]) {
		got = append(got, fmt.Sprintf("%s opened, %s to %s, port %d, reply %t", x.Opener, x.Remote, x.Local, x.Port, x.IsReply()))
	}
	want := []string{
		"ingress opened, 198.51.100.7 to 10.0.0.1, port 123, reply false",
		"egress opened, 198.51.100.7 to 10.0.0.1, port 123, reply true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("readings are %q, want %q", got, want)
	}
}

func TestReadingsOfUnknownSide(t *testing.T) {
	// Neither address is one of the interface's: the row holds its source as local.
	rec := record("eni-9 198.51.100.7:40001 > 203.0.113.9:443 tcp")
	c, ops := decide([]flow.Record{rec}, nil)
	var r store.Row
	c.Row(0, &r)
	var got []string
	for _, x := range orient.Readings(nil, &r, ops[0]) {
		got = append(got, fmt.Sprintf("packet %s, opener %s, local %s, remote %s", x.Packet, x.Opener, x.Local, x.Remote))
	}
	want := []string{
		"packet ingress, opener ingress, local 203.0.113.9, remote 198.51.100.7",
		"packet ingress, opener egress, local 203.0.113.9, remote 198.51.100.7",
		"packet egress, opener ingress, local 198.51.100.7, remote 203.0.113.9",
		"packet egress, opener egress, local 198.51.100.7, remote 203.0.113.9",
	}
	if !slices.Equal(got, want) {
		t.Errorf("readings are %q, want %q", got, want)
	}
	// With a SYN only two are left: the sender opened, whichever side it was.
	r.Class = flow.Opener
	if n := len(orient.Readings(nil, &r, orient.Opinion{})); n != 2 {
		t.Errorf("%d readings of a SYN, want 2", n)
	}
}

func TestNoRecordsNoOpinions(t *testing.T) {
	if _, ops := decide(nil, nil); len(ops) != 0 {
		t.Errorf("%d opinions of no records", len(ops))
	}
}

func TestOrderOfRecordsAndWorkersChangeNothing(t *testing.T) {
	p := newPopulation(11)
	want := opinions(p.recs, p.rules())
	rng := rand.New(rand.NewPCG(5, 5))
	shuffled := slices.Clone(p.recs)
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	if got := opinions(shuffled, p.rules()); !slices.Equal(got, want) {
		t.Errorf("shuffled records give other opinions")
	}
	swapped := slices.Clone(p.recs)
	for i := 0; i+1 < len(swapped); i += 2 {
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	}
	if got := opinions(swapped, p.rules()); !slices.Equal(got, want) {
		t.Errorf("swapping the records of each pair gives other opinions")
	}
	c := connections(p.recs, p.rules())
	one := orient.Decide(c, env(c, p.rules(), 1))
	for _, workers := range []int{0, 2, 5} {
		if !slices.Equal(orient.Decide(c, env(c, p.rules(), workers)), one) {
			t.Errorf("%d workers give other opinions", workers)
		}
	}
}

// TestRenamingAddressesChangesNothing gives every remote address another one.
func TestRenamingAddressesChangesNothing(t *testing.T) {
	p := newPopulation(12)
	own := make(map[netip.Addr]bool)
	for _, a := range local {
		own[netip.MustParseAddr(a)] = true
	}
	rename := func(a netip.Addr) netip.Addr {
		if own[a] {
			return a
		}
		b := a.As4()
		return netip.AddrFrom4([4]byte{b[0], b[1] ^ 0x5a, b[2] ^ 0xc3, b[3] ^ 0x3c})
	}
	renamed := slices.Clone(p.recs)
	for i := range renamed {
		renamed[i].Src, renamed[i].Dst = rename(renamed[i].Src), rename(renamed[i].Dst)
	}
	c, ops := decide(p.recs, p.rules())
	var want []string
	var r store.Row
	for i, o := range ops {
		c.Row(i, &r)
		r.Remote = flow.AddrFrom(rename(r.Remote.Netip()))
		want = append(want, describe(c, &r, o))
	}
	slices.Sort(want)
	if got := opinions(renamed, p.rules()); !slices.Equal(got, want) {
		t.Errorf("renamed addresses give other opinions")
	}
}

// TestClosingRulesNeverFlipsAProof takes rules away one by one. A proof may turn into
// nothing, when no reading is possible any more; it never turns into its opposite.
func TestClosingRulesNeverFlipsAProof(t *testing.T) {
	p := newPopulation(13)
	all := p.rules()
	c := connections(p.recs, all) // one reduction: the bounds are those of all rules
	rng := rand.New(rand.NewPCG(9, 9))
	proofs := 0
	for range 8 {
		left := slices.Clone(all)
		rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		last := orient.Decide(c, env(c, left, 1))
		for len(left) > 1 {
			left = left[:len(left)-1]
			now := orient.Decide(c, env(c, left, 1))
			for i := range now {
				a, b := last[i], now[i]
				if a.Method.Proven() && b.Method.Proven() && a.Opener != b.Opener {
					var r store.Row
					c.Row(i, &r)
					t.Fatalf("%s\nand with a rule less\n%s", describe(c, &r, a), describe(c, &r, b))
				}
				if a.Method == orient.ByFlags || a.Method == orient.ByPair {
					if a != b {
						t.Fatalf("what flags decide depends on the rules: %v, %v", a, b)
					}
				}
				if b.Method == orient.ByRules {
					proofs++
				}
			}
			last = now
		}
	}
	if proofs == 0 {
		t.Error("no opener was decided by rules")
	}
}

// TestAccuracyOnSyntheticPopulation holds the ladder to bounds on traffic of which the
// truth is known, without flags: rows that have them need no inference.
func TestAccuracyOnSyntheticPopulation(t *testing.T) {
	p := newPopulation(1)
	for _, c := range []struct {
		name        string
		rules       rules
		right       float64 // at least, in percent
		wrong, open float64 // at most
	}{
		{"narrow inbound rules", p.rules(), 97, 0, 3},
		{"rules that admit everything", nil, 94, 2, 4},
	} {
		conns, ops := decide(p.recs, c.rules)
		var right, wrong, open, total int
		by := make([]int, orient.NumMethods)
		var r store.Row
		for i, o := range ops {
			conns.Row(i, &r)
			truth, ok := p.truth(conns, &r)
			if !ok {
				continue
			}
			total++
			by[o.Method]++
			switch o.Opener {
			case flow.DirectionUnknown:
				open++
			case truth:
				right++
			default:
				wrong++
			}
		}
		percent := func(n int) float64 { return 100 * float64(n) / float64(total) }
		text := ""
		for m, n := range by {
			text += fmt.Sprintf(" %s %.1f %%", orient.Method(m), percent(n))
		}
		t.Logf("%s: %d rows: right %.2f %%, wrong %.2f %%, undecided %.2f %%;%s", c.name, total, percent(right), percent(wrong), percent(open), text)
		if percent(right) < c.right || percent(wrong) > c.wrong || percent(open) > c.open {
			t.Errorf("%s: right %.2f %% (want %.0f), wrong %.2f %% (at most %.0f), undecided %.2f %% (at most %.0f)",
				c.name, percent(right), c.right, percent(wrong), c.wrong, percent(open), c.open)
		}
	}
}

func ExampleDecide() {
	// Three clients, and a service on a port that no list knows. The log has no flags.
	c := connections(records(`
		eni-1 198.51.100.7:6001 > 10.0.0.1:6000 tcp
		eni-1 198.51.100.8:6002 > 10.0.0.1:6000 tcp
		eni-1 198.51.100.9:6003 > 10.0.0.1:6000 tcp`), nil)
	everything := func(int, *store.Row) (bool, bool) { return true, true }
	for i, o := range orient.Decide(c, orient.Env{Possible: everything}) {
		var r store.Row
		c.Row(i, &r)
		fmt.Println(r.Remote, "to port", r.LocalPort, "was opened", o.Opener, "by", o.Method, "proven", o.Method.Proven())
	}
	// Output:
	// 198.51.100.7 to port 6000 was opened ingress by fan-in proven false
	// 198.51.100.8 to port 6000 was opened ingress by fan-in proven false
	// 198.51.100.9 to port 6000 was opened ingress by fan-in proven false
}
