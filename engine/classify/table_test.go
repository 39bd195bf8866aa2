package classify

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

var ignoreMemory = cmp.Options{cmpopts.IgnoreUnexported(Outcome{}), cmpopts.IgnoreFields(Outcome{}, "Changed")}

func addr(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

// allow returns an ingress allow rule of TCP.
func allow(name string, r netset.PortRange, peers ...string) policy.Rule {
	var set policy.AddrSet
	for _, p := range peers {
		set.Prefixes = append(set.Prefixes, netip.MustParsePrefix(p))
	}
	return policy.Rule{Ref: policy.Ref{Owner: "sg-1", Rule: name}, Direction: flow.Ingress, Action: policy.Allow,
		Match: []policy.Match{policy.NewMatch(flow.Ingress, policy.OneProto(flow.TCP), r, policy.AnyICMP, set)}}
}

func stageOf(name string, rules ...policy.Rule) policy.Stage {
	return policy.Stage{Name: name, Stateful: name == "sg", DefaultRef: policy.Ref{Owner: policy.ImplicitOwner, Rule: name}, Tiers: []policy.Tier{{Rules: rules}}}
}

// A path without stages allows; a stage without rules answers by its default.
func TestDecideWithoutRules(t *testing.T) {
	k := Key{Proto: flow.TCP, Local: addr("10.0.0.5"), Remote: addr("10.0.0.6"), LocalPort: 443}
	var out Outcome
	new(Table).Decide(&k, &out)
	if out.Verdict != policy.Allowed || len(out.Stages) != 0 {
		t.Errorf("zero table: %+v, want allow without stages", out)
	}
	Compile(nil, nil).Decide(&k, &out)
	if out.Verdict != policy.Allowed || len(out.Stages) != 0 {
		t.Errorf("empty path: %+v, want allow without stages", out)
	}
	index := func(r policy.Ref) (int32, bool) { return 7, r.Owner == policy.ImplicitOwner }
	for _, st := range []policy.Stage{stageOf("sg"), {Name: "sg", DefaultRef: policy.Ref{Owner: policy.ImplicitOwner}}} {
		Compile([]policy.Stage{st}, index).Decide(&k, &out)
		want := Outcome{Stages: []StageOutcome{{Winners: []int32{7}}}}
		if d := cmp.Diff(want, out, ignoreMemory, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("stage without rules: -want +got\n%s", d)
		}
	}
}

// Rules that the caller has no number for are -1, and still count one by one.
func TestUnnumberedRules(t *testing.T) {
	path := []policy.Stage{stageOf("sg", allow("a", netset.AllPorts, "10.0.0.0/8"), allow("b", netset.Port(443), "10.0.0.0/16"))}
	table := Compile(path, func(policy.Ref) (int32, bool) { return 0, false })
	var out Outcome
	table.Decide(&Key{Proto: flow.TCP, Local: addr("10.1.0.1"), Remote: addr("10.0.0.6"), LocalPort: 443}, &out)
	if s := out.Stages[0]; !slices.Equal(s.Winners, []int32{-1, -1}) || s.Decisive {
		t.Errorf("%+v, want two winners -1, neither decisive", s)
	}
	table.Decide(&Key{Proto: flow.UDP, Local: addr("10.1.0.1"), Remote: addr("10.0.0.6")}, &out)
	if s := out.Stages[0]; !slices.Equal(s.Winners, []int32{-1}) || s.Verdict != policy.Denied {
		t.Errorf("%+v, want the default, -1", s)
	}
}

// A rule of several boxes is one winner, however many of its boxes match, and wins
// for certain if one of them does.
func TestRuleOfSeveralBoxes(t *testing.T) {
	r := allow("a", netset.AllPorts, "10.0.0.0/8")
	r.Match = append(r.Match, r.Match[0], r.Match[0])
	r.Match[0].Remote = policy.AddrSet{Unknown: true}
	path := []policy.Stage{stageOf("sg", r)}
	var out Outcome
	newChecker(path).table.Decide(&Key{Proto: flow.TCP, Local: addr("10.1.0.1"), Remote: addr("10.0.0.6")}, &out)
	if s := out.Stages[0]; len(s.Winners) != 1 || len(s.Possible) != 0 || !s.Decisive {
		t.Errorf("%+v, want one decisive winner", s)
	}
}

// IPv4 and IPv6 never mix: any address of one family is no address of the other,
// and no address is of neither.
func TestFamiliesDoNotMix(t *testing.T) {
	path := []policy.Stage{stageOf("sg", allow("four", netset.AllPorts, "0.0.0.0/0"), allow("six", netset.Port(80), "::/0"), allow("mapped", netset.Port(81), "::ffff:0:0/96"))}
	c := newChecker(path)
	for _, test := range []struct {
		remote flow.Addr
		port   uint16
		want   policy.Verdict
	}{
		{addr("10.0.0.6"), 80, policy.Allowed},
		{addr("10.0.0.6"), 81, policy.Allowed}, // by the rule for 0.0.0.0/0
		{addr("2001:db8::1"), 80, policy.Allowed},
		{addr("2001:db8::1"), 81, policy.Denied},
		{addr("::1"), 22, policy.Denied},
		{flow.Addr{}, 80, policy.Denied},
	} {
		k := Key{Proto: flow.TCP, Local: addr("10.1.0.1"), Remote: test.remote, LocalPort: test.port}
		c.table.Decide(&k, &c.out)
		if c.out.Verdict != test.want {
			t.Errorf("from %v to %d: %v, want %v", test.remote, test.port, c.out.Verdict, test.want)
		}
		if err := c.check(&k); err != nil {
			t.Error(err)
		}
	}
}

// With the group behind a network ACL, DecideAll tells a deny line that kept out
// what the group would have allowed from one that did not matter.
func TestDecideAllGoesOnAfterDenial(t *testing.T) {
	deny := allow("deny", netset.AllPorts, "10.0.0.0/16")
	deny.Action = policy.Deny
	deny.Ref.Owner = "acl-1"
	path := []policy.Stage{stageOf("nacl", deny), stageOf("sg", allow("web", netset.Port(443), "10.0.0.0/8"))}
	path[0].Default = policy.Allow
	c := newChecker(path)
	for _, test := range []struct {
		port   uint16
		others policy.Verdict
	}{{443, policy.Allowed}, {22, policy.Denied}} {
		k := Key{Proto: flow.TCP, Local: addr("10.1.0.1"), Remote: addr("10.0.0.6"), LocalPort: test.port}
		c.table.Decide(&k, &c.out)
		if len(c.out.Stages) != 1 {
			t.Errorf("Decide asked %d stages, want 1", len(c.out.Stages))
		}
		c.table.DecideAll(&k, &c.out)
		if len(c.out.Stages) != 2 || c.out.Verdict != policy.Denied || !c.out.Stages[0].Decisive {
			t.Errorf("port %d: %+v, want a denial in two stages, decisive in the first", test.port, c.out)
		}
		if got := c.out.Others(0); got != test.others {
			t.Errorf("port %d: the stages other than the ACL say %v, want %v", test.port, got, test.others)
		}
		if got := c.out.Others(1); got != policy.Denied {
			t.Errorf("port %d: the stages other than the group say %v, want deny", test.port, got)
		}
	}
}

// Rows end inside, at and just beyond a word, with and without the exempt bit.
func TestWordBoundaries(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int{1, 62, 63, 64, 65, 127, 128, 129} {
		for _, exempt := range []bool{false, true} {
			var rules []policy.Rule
			for i := range n {
				r := allow(fmt.Sprint(i), netset.Port(uint16(i)), fmt.Sprintf("10.0.%d.0/24", i%3))
				r.Rank = uint32(i)
				r.Action = policy.Action(rng.IntN(2))
				rules = append(rules, r)
				if i%5 == 0 {
					rules[i].Match[0].LocalPorts = netset.AllPorts
				}
			}
			st := stageOf("nacl", rules...)
			if exempt {
				st.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.1.128/25")}
			}
			c := newChecker([]policy.Stage{st})
			b := boundsOf(c.path)
			for range 300 {
				k := b.key(rng)
				if err := c.check(&k); err != nil {
					t.Fatalf("%d rules, exempt %v: %v", n, exempt, err)
				}
			}
		}
	}
}

// The order of rules on the path does not matter.
func TestRuleOrderDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		st := randomStage(rng, 0, 80)
		a := newChecker([]policy.Stage{st})
		shuffled := st
		shuffled.Tiers = slices.Clone(st.Tiers)
		for i := range shuffled.Tiers {
			rs := slices.Clone(shuffled.Tiers[i].Rules)
			rng.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
			shuffled.Tiers[i].Rules = rs
		}
		table := Compile([]policy.Stage{shuffled}, func(r policy.Ref) (int32, bool) { id, ok := a.ids[r]; return id, ok })
		bounds := boundsOf(a.path)
		for range 40 {
			k := bounds.key(rng)
			var got Outcome
			a.table.DecideAll(&k, &a.out)
			table.DecideAll(&k, &got)
			if d := cmp.Diff(a.out, got, ignoreMemory, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("%+v: -first +shuffled\n%s", k, d)
			}
		}
	}
}

// Every port between 0 and 65535 finds its interval, wherever the last look-up was.
func TestAxisFindsEveryPort(t *testing.T) {
	ranges := []netset.PortRange{ports(0, 0), ports(0, 79), ports(80, 80), ports(60, 90), ports(443, 443), ports(65535, 65535), ports(1024, 65534)}
	var spans []span
	for i, r := range ranges {
		s, _ := portSpan(r, i)
		spans = append(spans, s)
	}
	rows := newRows(1)
	a := buildAxis(spans, lastPort, rows)
	near := 0
	for p := range 65536 {
		var want uint64
		for i, r := range ranges {
			if r.Contains(uint16(p)) {
				want |= 1 << i
			}
		}
		near = a.find(uint32(p), near)
		for _, start := range []int{0, len(a) - 1, len(a) + 5, near} {
			if i := a.find(uint32(p), start); i != near {
				t.Fatalf("find(%d, %d) = %d, want %d as from its neighbour", p, start, i, near)
			}
		}
		if got := rows.pool[a[near].row]; got != want {
			t.Fatalf("port %d: row %b, want %b", p, got, want)
		}
	}
	for i := 1; i < len(a); i++ {
		if a[i].row == a[i-1].row {
			t.Errorf("intervals %d and %d have one row; they should be one", i-1, i)
		}
	}
}

// Rows with the same hash stay apart.
func TestRowsWithOneHash(t *testing.T) {
	mix := func(h, w uint64) uint64 { h = (h ^ w) * 0x9e3779b97f4a7c15; return h ^ h>>32 }
	first := []uint64{1, 2}
	var colliding [][]uint64
	for w := uint64(5); w < 9; w++ {
		colliding = append(colliding, []uint64{w, mix(0, 1) ^ 2 ^ mix(0, w)})
	}
	r := newRows(2)
	sets := append([][]uint64{first}, colliding...)
	for range 2 {
		for i, s := range sets {
			if got := r.add(s); got != rowID(i) {
				t.Errorf("add(%v) = %d, want %d", s, got, i)
			}
		}
	}
	if len(r.last) != 1 {
		t.Errorf("%d hashes, want 1: the rows of this test do not collide", len(r.last))
	}
}

// What an Outcome remembers of one table must not leak into another's answer.
func TestOneOutcomeForManyTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var checkers []*checker
	var edges []bounds
	for i := range 20 {
		var path []policy.Stage
		for j := range 1 + i%3 {
			path = append(path, randomStage(rng, j, 1+i*9))
		}
		checkers = append(checkers, newChecker(path))
		edges = append(edges, boundsOf(path))
	}
	var shared Outcome
	for range 4000 {
		i := rng.IntN(len(checkers))
		c := checkers[i]
		k := edges[i].key(rng)
		c.out, shared = shared, c.out
		if err := c.check(&k); err != nil {
			t.Fatal(err)
		}
		c.out, shared = shared, c.out
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	path := []policy.Stage{randomStage(rng, 0, 100), randomStage(rng, 1, 300)}
	path = append(path, groupPath(rng, 300)...)
	for i := range path {
		path[i].Default = policy.Allow // all stages are reached
	}
	c := newChecker(path)
	b := boundsOf(path)
	keys := groupKeys(rng, path[2:], 1000, false)
	for range 1000 {
		keys = append(keys, b.key(rng))
	}
	var out Outcome
	all := func() {
		for i := range keys {
			c.table.Decide(&keys[i], &out)
			c.table.DecideAll(&keys[i], &out)
			c.table.DecidePacket(&keys[i], &out)
		}
	}
	if n := testing.AllocsPerRun(3, all); n != 0 { // AllocsPerRun warms up once
		t.Errorf("%v allocations in %d decisions, want 0", n, 3*len(keys))
	}
}

// One table serves many goroutines.
func TestTableIsSharedByGoroutines(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	path := groupPath(rng, 100)
	c := newChecker(path)
	keys := groupKeys(rng, path, 500, true)
	want := make([][]int32, len(keys))
	for i := range keys {
		c.table.Decide(&keys[i], &c.out)
		want[i] = slices.Clone(c.out.Stages[0].Winners)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var out Outcome
			for i := range keys {
				c.table.Decide(&keys[i], &out)
				if !slices.Equal(out.Stages[0].Winners, want[i]) {
					t.Errorf("key %d: winners %v, want %v", i, out.Stages[0].Winners, want[i])
				}
			}
		})
	}
	wg.Wait()
}
