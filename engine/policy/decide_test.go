package policy

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// testRule builds an ingress rule from words: "name rank action proto ports peers".
// Peers are joined by commas; "?" among them is a part that cannot be resolved.
// Ports of an ICMP rule are a type, or "all".
func testRule(text string) Rule {
	w := strings.Fields(text)
	if len(w) != 6 {
		panic("not six words: " + text)
	}
	r := Rule{Ref: Ref{Owner: "t", Rule: w[0]}, Direction: flow.Ingress}
	if _, err := fmt.Sscan(w[1], &r.Rank); err != nil {
		panic(err)
	}
	for r.Action.String() != w[2] {
		r.Action++
	}
	protos, ports, icmp := AnyProto, netset.AllPorts, AnyICMP
	if w[3] != "all" {
		p, ok := flow.ParseProto(w[3])
		if !ok {
			panic("no protocol: " + text)
		}
		protos = OneProto(p)
	}
	switch {
	case w[4] == "all":
	case w[3] == "icmp" || w[3] == "icmpv6":
		if _, err := fmt.Sscan(w[4], &icmp.Type); err != nil {
			panic(err)
		}
	default:
		var err error
		if ports, err = netset.ParsePorts(w[4]); err != nil {
			panic(err)
		}
	}
	r.Match = []Match{NewMatch(flow.Ingress, protos, ports, icmp, testPeers(w[5]))}
	return r
}

func testPeers(text string) AddrSet {
	var s AddrSet
	for p := range strings.SplitSeq(text, ",") {
		if p == "?" {
			s.Unknown = true
			continue
		}
		s.Prefixes = append(s.Prefixes, netip.MustParsePrefix(p))
	}
	return s
}

// testTier builds a tier from lines of rules.
func testTier(lines ...string) Tier {
	var t Tier
	for _, l := range lines {
		t.Rules = append(t.Rules, testRule(l))
	}
	return t
}

func testStage(name string, fallback Action, tiers ...Tier) Stage {
	return Stage{Name: name, Stateful: name != "nacl", Default: fallback, DefaultRef: Ref{ImplicitOwner, "default:" + name}, Tiers: tiers}
}

// testConn builds an ingress connection from words: "proto remote port".
func testConn(text string) *Conn {
	w := strings.Fields(text)
	p, ok := flow.ParseProto(w[0])
	if !ok {
		panic("no protocol: " + text)
	}
	c := &Conn{Direction: flow.Ingress, Proto: p, Local: netip.MustParseAddr("10.9.0.5"), Remote: netip.MustParseAddr(w[1]), RemotePort: 50000, ICMP: AnyICMP}
	if c.Remote.Is6() {
		c.Local = netip.MustParseAddr("fd00::5")
	}
	if len(w) > 2 {
		if _, err := fmt.Sscan(w[2], &c.LocalPort); err != nil {
			panic(err)
		}
	}
	return c
}

func names(refs []Ref) string {
	var out []string
	for _, r := range refs {
		out = append(out, r.Rule)
	}
	return strings.Join(out, " ")
}

// say writes a stage decision in one line.
func say(d StageDecision) string {
	if d.Skipped {
		return d.Stage + " skipped"
	}
	s := fmt.Sprintf("%s %v by %s next %v", d.Stage, d.Verdict, names(d.Winners), d.Next)
	if len(d.Possible) > 0 {
		s += " possible " + names(d.Possible)
	}
	if d.Decisive {
		s += " decisive"
	}
	return s
}

// expect checks the verdict of path for c and what each stage says, in short form.
func expect(t *testing.T, path []Stage, conn string, verdict Verdict, stages ...string) {
	t.Helper()
	d := Decide(path, testConn(conn))
	expectDecision(t, d, conn, verdict, stages...)
}

func expectDecision(t *testing.T, d Decision, conn string, verdict Verdict, stages ...string) {
	t.Helper()
	if d.Verdict != verdict {
		t.Errorf("%s: %v, want %v", conn, d.Verdict, verdict)
	}
	var got []string
	for _, s := range d.Stages {
		got = append(got, say(s))
	}
	if !slices.Equal(got, stages) {
		t.Errorf("%s:\ngot  %s\nwant %s", conn, strings.Join(got, "\n     "), strings.Join(stages, "\n     "))
	}
}

// Three values.

func TestPerhapsAllowAloneIsUnknown(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("list 0 allow tcp 443 10.0.0.0/8,?"))}
	expect(t, path, "tcp 10.0.0.1 443", Allowed, "sg allow by list next deny decisive")
	expect(t, path, "tcp 11.0.0.1 443", Unknown, "sg unknown by default:sg next deny possible list")
	expect(t, path, "tcp 11.0.0.1 80", Denied, "sg deny by default:sg next deny")
}

func TestPerhapsAllowBesideCertainAllow(t *testing.T) {
	// The certain rule speaks whatever the other is, and may be all that does.
	path := []Stage{testStage("sg", Deny, testTier("a 0 allow tcp 443 ?", "b 0 allow tcp 443 10.0.0.0/8", "c 0 allow tcp 443 ?"))}
	expect(t, path, "tcp 10.0.0.1 443", Allowed, "sg allow by b next next possible a c decisive")
}

func TestPerhapsDeny(t *testing.T) {
	// Above the allow it may speak; below it may not, but may speak next.
	expect(t, []Stage{testStage("nacl", Deny, testTier("d 10 deny tcp 443 ?", "a 20 allow tcp 443 10.0.0.0/8"))},
		"tcp 10.0.0.1 443", Unknown, "nacl unknown by a next deny possible d")
	expect(t, []Stage{testStage("nacl", Allow, testTier("d 20 deny tcp 443 ?", "a 10 allow tcp 443 10.0.0.0/8"))},
		"tcp 10.0.0.1 443", Allowed, "nacl allow by a next next decisive")
	// With a certain deny before everything the answer is certain.
	expect(t, []Stage{testStage("nacl", Allow, testTier("d 10 deny tcp 443 10.0.0.0/8", "a 5 deny tcp 443 ?"))},
		"tcp 10.0.0.1 443", Denied, "nacl deny by d next next possible a decisive")
	// A perhaps that agrees with the default is no doubt.
	expect(t, []Stage{testStage("nacl", Deny, testTier("d 10 deny tcp 443 ?"))},
		"tcp 10.0.0.1 443", Denied, "nacl deny by default:nacl next deny possible d")
}

// Between a rule and the next of its action stands a line that may match: without
// the rule the verdict would not be known, so the rule is decisive.
func TestDecisiveAgainstPerhaps(t *testing.T) {
	path := []Stage{testStage("nacl", Deny, testTier("a 100 allow icmp all 10.0.0.0/8", "d 110 deny icmp 8 0.0.0.0/0", "b 120 allow all all 0.0.0.0/0"))}
	expect(t, path, "icmp 10.0.0.1", Allowed, "nacl allow by a next next decisive")
	expect(t, path, "icmp 11.0.0.1", Unknown, "nacl unknown by b next deny possible d")
	expect(t, path, "tcp 11.0.0.1 80", Allowed, "nacl allow by b next deny decisive")
}

func TestICMPType(t *testing.T) {
	for _, c := range []struct {
		rule, conn TypeCode
		want       Tri
	}{
		{AnyICMP, AnyICMP, Yes},
		{AnyICMP, TypeCode{8, 0}, Yes},
		{TypeCode{8, -1}, TypeCode{8, 0}, Yes},
		{TypeCode{8, -1}, TypeCode{0, 0}, No},
		{TypeCode{3, 4}, TypeCode{3, 4}, Yes},
		{TypeCode{3, 4}, TypeCode{3, 1}, No},
		{TypeCode{8, -1}, AnyICMP, Perhaps},
		{TypeCode{3, 4}, TypeCode{3, -1}, Perhaps},
		{TypeCode{3, 4}, TypeCode{8, -1}, No},
		{TypeCode{0, 0}, AnyICMP, Perhaps}, // type 0 is not "any"
	} {
		r := testRule("r 0 allow icmp all 0.0.0.0/0")
		r.Match[0].ICMP = c.rule
		conn := testConn("icmp 198.51.100.1")
		conn.ICMP = c.conn
		if got := r.Matches(conn); got != c.want {
			t.Errorf("%v against %v: %v, want %v", c.rule, c.conn, got, c.want)
		}
	}
}

func TestMatchAtBounds(t *testing.T) {
	r := testRule("r 0 allow tcp 8000-8100 10.1.0.0/16")
	for _, c := range []struct {
		conn string
		want Tri
	}{
		{"tcp 10.1.0.0 8000", Yes}, {"tcp 10.1.255.255 8100", Yes},
		{"tcp 10.0.255.255 8000", No}, {"tcp 10.2.0.0 8000", No},
		{"tcp 10.1.0.0 7999", No}, {"tcp 10.1.0.0 8101", No}, {"udp 10.1.0.0 8000", No},
	} {
		if got := r.Matches(testConn(c.conn)); got != c.want {
			t.Errorf("%s: %v, want %v", c.conn, got, c.want)
		}
	}
	all := testRule("r 0 allow tcp 0-65535 0.0.0.0/0")
	for _, c := range []string{"tcp 0.0.0.0 0", "tcp 255.255.255.255 65535"} {
		if got := all.Matches(testConn(c)); got != Yes {
			t.Errorf("%s: %v, want yes", c, got)
		}
	}
}

// A side that is doubtful makes the box doubtful; a side that says no says no.
func TestMatchOfTwoSides(t *testing.T) {
	for _, c := range []struct {
		local, remote string
		want          Tri
	}{
		{"10.9.0.5/32", "10.1.0.0/16", Yes}, {"?", "10.1.0.0/16", Perhaps}, {"10.9.0.5/32", "?", Perhaps},
		{"10.9.0.6/32", "?", No}, {"?", "10.2.0.0/16", No}, {"10.9.0.6/32", "10.1.0.0/16", No},
	} {
		r := testRule("r 0 allow tcp all 0.0.0.0/0")
		r.Match[0].Local, r.Match[0].Remote = testPeers(c.local), testPeers(c.remote)
		if got := r.Matches(testConn("tcp 10.1.0.1 22")); got != c.want {
			t.Errorf("local %s, remote %s: %v, want %v", c.local, c.remote, got, c.want)
		}
	}
}

// A rule matches as well as its best box; one without boxes never does.
func TestRuleMatchesByItsBestBox(t *testing.T) {
	no, perhaps, yes := testRule("r 0 allow tcp 80 0.0.0.0/0"), testRule("r 0 allow tcp 22 ?"), testRule("r 0 allow tcp 22 0.0.0.0/0")
	for _, c := range []struct {
		boxes []Match
		want  Tri
	}{
		{nil, No}, {no.Match, No}, {slices.Concat(no.Match, perhaps.Match), Perhaps}, {slices.Concat(perhaps.Match, yes.Match, no.Match), Yes},
	} {
		r := Rule{Match: c.boxes}
		if got := r.Matches(testConn("tcp 10.1.0.1 22")); got != c.want {
			t.Errorf("%d boxes: %v, want %v", len(c.boxes), got, c.want)
		}
	}
}

func TestUnresolvedReferenceIsPerhaps(t *testing.T) {
	s := AddrSet{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Refs: []SetRef{{Kind: GroupSet, ID: "sg-1"}}}
	if got := s.Contains(netip.MustParseAddr("10.0.0.1")); got != Yes {
		t.Errorf("inside its prefix: %v, want yes", got)
	}
	if got := s.Contains(netip.MustParseAddr("11.0.0.1")); got != Perhaps {
		t.Errorf("elsewhere: %v, want perhaps", got)
	}
	if got := (AddrSet{}).Contains(netip.MustParseAddr("11.0.0.1")); got != No {
		t.Errorf("the empty set: %v, want no", got)
	}
}

// Verdicts of stages together.
func TestStagesTogether(t *testing.T) {
	allow := testStage("allow", Allow)
	deny := testStage("deny", Deny)
	unknown := testStage("unknown", Deny, testTier("u 0 allow all all ?"))
	for _, c := range []struct {
		path   []Stage
		want   Verdict
		stages int
	}{
		{nil, Allowed, 0},
		{[]Stage{allow, allow}, Allowed, 2},
		{[]Stage{allow, unknown}, Unknown, 2},
		{[]Stage{unknown, allow}, Unknown, 2},
		{[]Stage{unknown, deny}, Denied, 2}, // denied whatever the first would say
		{[]Stage{deny, unknown}, Denied, 1},
	} {
		d := Decide(c.path, testConn("tcp 10.1.0.1 22"))
		if d.Verdict != c.want || len(d.Stages) != c.stages {
			t.Errorf("%d stages: %v after %d, want %v after %d", len(c.path), d.Verdict, len(d.Stages), c.want, c.stages)
		}
	}
}

// Tiers and Next.
func TestNext(t *testing.T) {
	for _, c := range []struct {
		name string
		path Stage
		want Verdict
		say  string
	}{
		{"leaves the weaker rules of its tier", testStage("s", Deny, testTier("n 1 next all all 0.0.0.0/0", "d 2 deny all all 0.0.0.0/0"), testTier("a 9 allow all all 0.0.0.0/0")),
			Allowed, "s allow by a next deny decisive"},
		{"not the stronger ones", testStage("s", Deny, testTier("d 1 deny all all 0.0.0.0/0", "n 2 next all all 0.0.0.0/0"), testTier("a 9 allow all all 0.0.0.0/0")),
			Denied, "s deny by d next allow decisive"},
		{"ends at the default", testStage("s", Deny, testTier("n 1 next all all 0.0.0.0/0", "a 2 allow all all 0.0.0.0/0")),
			Denied, "s deny by default:s next deny"},
		{"drops weaker doubts too", testStage("s", Deny, testTier("n 1 next all all 0.0.0.0/0", "a 2 allow all all ?")),
			Denied, "s deny by default:s next deny"},
		{"in doubt, either may speak", testStage("s", Deny, testTier("n 1 next all all ?", "a 2 allow all all 0.0.0.0/0")),
			Unknown, "s unknown by a next next possible n"},
		{"certain beside doubtful, by the one name", testStage("s", Deny, testTier("a 1 next all all ?", "n 1 next all all 0.0.0.0/0")),
			Denied, "s deny by default:s next deny"},
		{"certain beside doubtful, by the other", testStage("s", Deny, testTier("z 1 next all all ?", "n 1 next all all 0.0.0.0/0")),
			Denied, "s deny by default:s next deny"},
		{"deny at its rank goes first", testStage("s", Allow, testTier("n 1 next all all 0.0.0.0/0", "d 1 deny all all 0.0.0.0/0")),
			Denied, "s deny by d next allow decisive"},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, []Stage{c.path}, "tcp 10.1.0.1 22", c.want, c.say) })
	}
}

func TestDecidePacketAsksStatelessStagesOnly(t *testing.T) {
	path := []Stage{testStage("sg", Deny), testStage("nacl", Deny, testTier("a 1 allow all all 0.0.0.0/0"))}
	expectDecision(t, DecidePacket(path, testConn("tcp 10.1.0.1 22")), "packet", Allowed, "nacl allow by a next deny decisive")
	expectDecision(t, DecidePacket(path[:1], testConn("tcp 10.1.0.1 22")), "packet", Allowed)
}

// randomStage draws a stage over a few nested prefixes, so that every rule meets
// most connections.
func randomStage(rng *rand.Rand) Stage {
	peers := []string{"10.0.0.0/8", "10.0.0.0/16", "10.0.0.1/32", "11.0.0.0/8", "?", "10.0.0.0/16,?"}
	st := testStage("s", Action(rng.IntN(2)), Tier{}, Tier{})
	for i := range rng.IntN(9) {
		proto := []string{"tcp 22", "icmp 8", "icmp all", "all all"}[rng.IntN(4)]
		r := testRule(fmt.Sprintf("r%d %d %v %s %s", i, rng.IntN(3), Action(rng.IntN(4)), proto, peers[rng.IntN(len(peers))]))
		t := &st.Tiers[rng.IntN(2)]
		t.Rules = append(t.Rules, r)
	}
	return st
}

// without returns s without the rules in refs.
func without(s Stage, refs []Ref) Stage {
	s.Tiers = slices.Clone(s.Tiers)
	for i := range s.Tiers {
		s.Tiers[i].Rules = slices.DeleteFunc(slices.Clone(s.Tiers[i].Rules), func(r Rule) bool { return slices.Contains(refs, r.Ref) })
	}
	return s
}

// Next and Decisive mean what they say: take the winners away and ask again.
func TestNextIsWhatSpeaksWithoutTheWinners(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	seen := make(map[string]int)
	for range 20000 {
		st := randomStage(rng)
		c := testConn([]string{"tcp 10.0.0.1 22", "icmp 10.0.0.1", "tcp 10.0.1.1 22", "icmp 10.1.0.0", "udp 11.0.0.0 5"}[rng.IntN(5)])
		d := st.Decide(c)
		rest := without(st, d.Winners)
		after := rest.Decide(c)
		if d.Next != after.Action && !(d.Winners[0] == st.DefaultRef && d.Next == st.Default) {
			t.Fatalf("%s, but without the winners %s\n%+v", say(d), say(after), st)
		}
		decisive := len(d.Winners) == 1 && d.Winners[0] != st.DefaultRef && d.Verdict != Unknown && d.Action != after.Action
		if d.Decisive != decisive {
			t.Fatalf("%s, but without the winners %s\n%+v", say(d), say(after), st)
		}
		seen[fmt.Sprint(d.Verdict, " ", d.Decisive)]++
	}
	for _, k := range []string{"allow true", "allow false", "deny true", "deny false", "unknown false"} {
		if seen[k] < 100 {
			t.Errorf("%s was seen %d times; the test is too narrow", k, seen[k])
		}
	}
}

// What is certain stays so however the doubts turn out: with each doubtful set
// replaced by nothing, or by everything, a verdict that is known is the same.
func TestCertainVerdictsHoldInEveryWorld(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 5000 {
		st := randomStage(rng)
		c := testConn([]string{"tcp 10.0.0.1 22", "icmp 10.0.0.1", "tcp 10.0.1.1 22", "udp 11.0.0.0 5"}[rng.IntN(4)])
		d := st.Decide(c)
		for range 8 {
			world := settle(rng, st)
			conn := *c
			conn.ICMP = TypeCode{int16(8 * rng.IntN(2)), 0}
			in := world.Decide(&conn)
			if in.Verdict == Unknown {
				t.Fatalf("nothing is in doubt, and yet %s", say(in))
			}
			if d.Verdict != Unknown && d.Verdict != in.Verdict {
				t.Fatalf("%s, but in one world %s\n%+v", say(d), say(in), world)
			}
			for _, w := range in.Winners {
				if !slices.Contains(d.Winners, w) && !slices.Contains(d.Possible, w) && d.Verdict != Unknown {
					t.Fatalf("%s wins in one world (%s), but %s", w, say(in), say(d))
				}
			}
		}
	}
}

// settle decides every doubt of s at random.
func settle(rng *rand.Rand, s Stage) Stage {
	s.Tiers = slices.Clone(s.Tiers)
	for i := range s.Tiers {
		s.Tiers[i].Rules = slices.Clone(s.Tiers[i].Rules)
		for j := range s.Tiers[i].Rules {
			r := &s.Tiers[i].Rules[j]
			r.Match = slices.Clone(r.Match)
			for k := range r.Match {
				if m := &r.Match[k].Remote; m.Unknown {
					m.Unknown = false
					if rng.IntN(2) == 0 {
						m.Prefixes = AnyAddr.Prefixes
					}
				}
			}
		}
	}
	return s
}

// The order in which rules are listed does not matter.
func TestRuleOrderDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	for range 3000 {
		st := randomStage(rng)
		c := testConn("icmp 10.0.0.1")
		want := say(st.Decide(c))
		for i := range st.Tiers {
			slices.SortFunc(st.Tiers[i].Rules, func(a, b Rule) int { return -cmp.Compare(a.Ref.Rule, b.Ref.Rule) })
		}
		if got := say(st.Decide(c)); got != want {
			t.Fatalf("%s, but with the rules turned round %s", want, got)
		}
	}
}
