package plan_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// randomWorld is a policy and a log in a universe small enough to look at every point
// of it: 32 addresses of each family, 24 ports, four protocols.
type randomWorld struct {
	policy   string
	recs     []flow.Record
	truth    []attempt
	evidence func(i int) plan.RuleEvidence
	budget   int
}

// attempt is a connection as it really was.
type attempt struct {
	eni  string
	conn policy.Conn
}

const ports = 24

func address(rng *rand.Rand) netip.Addr {
	if rng.IntN(5) == 0 {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(rng.IntN(32))})
	}
	if rng.IntN(8) == 0 {
		return netip.AddrFrom4([4]byte{20, 0, 0, byte(rng.IntN(4))})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(32))})
}

func randomPolicy(rng *rand.Rand) string {
	var b strings.Builder
	groups := 1 + rng.IntN(4)
	enis := 1 + rng.IntN(4)
	for e := range enis {
		fmt.Fprintf(&b, "interface eni-%d 10.0.0.%d", e, 20+e)
		if rng.IntN(3) > 0 {
			fmt.Fprintf(&b, " 2001:db8::1%d", e)
		}
		for g := range groups {
			if rng.IntN(2) == 0 {
				fmt.Fprintf(&b, " sg-%d", g)
			}
		}
		fmt.Fprintf(&b, " subnet=subnet-%d", rng.IntN(2))
		if rng.IntN(6) == 0 {
			b.WriteString(" requester-managed")
		}
		if rng.IntN(20) == 0 {
			b.WriteString(" transit")
		}
		b.WriteString("\n")
	}
	b.WriteString("subnet subnet-0 10.0.0.16/29 2001:db8::10/124\nsubnet subnet-1 10.0.0.24/29\n")
	b.WriteString("list pl-1 10.0.0.0/30 10.0.0.8/32\nlist pl-2 unknown\n")
	for g := range groups {
		fmt.Fprintf(&b, "group sg-%d\n", g)
		for r := range rng.IntN(7) {
			fmt.Fprintf(&b, "  r%d %s\n", r, randomRule(rng, groups))
		}
	}
	if rng.IntN(2) == 0 {
		b.WriteString("acl acl-1 subnet=subnet-0\n")
		for n, d := range []string{"ingress", "egress"} {
			_ = n
			if rng.IntN(3) == 0 {
				fmt.Fprintf(&b, "  90 %s deny tcp %d %s 10.0.0.0/30\n", d, rng.IntN(ports), word(d))
			}
			fmt.Fprintf(&b, "  95 %s allow tcp %d-%d %s 10.0.0.0/28\n", d, rng.IntN(10), 10+rng.IntN(14), word(d))
			fmt.Fprintf(&b, "  100 %s allow all %s any\n", d, word(d))
			fmt.Fprintf(&b, "  110 %s allow udp 5 %s 10.0.0.0/29\n", d, word(d))
		}
	}
	return b.String()
}

func word(d string) string {
	if d == "egress" {
		return "to"
	}
	return "from"
}

func randomRule(rng *rand.Rand, groups int) string {
	d := []string{"ingress", "egress"}[rng.IntN(2)]
	var service string
	switch rng.IntN(12) {
	case 0:
		service = "all"
	case 1:
		service = "icmp"
	case 2:
		service = "icmp type 8"
	case 3:
		service = "50"
	case 4, 5:
		service = fmt.Sprintf("udp %s", randomPorts(rng))
	default:
		service = fmt.Sprintf("tcp %s", randomPorts(rng))
	}
	var peer string
	switch rng.IntN(10) {
	case 0:
		peer = fmt.Sprintf("sg-%d", rng.IntN(groups))
	case 1:
		peer = "pl-1"
	case 2:
		if rng.IntN(4) == 0 {
			peer = "pl-2"
			break
		}
		fallthrough
	default:
		a := address(rng)
		bits := a.BitLen() - rng.IntN(6)
		if rng.IntN(6) == 0 {
			bits = 0
		}
		peer = netip.PrefixFrom(a, bits).Masked().String()
	}
	tail := ""
	if rng.IntN(8) == 0 {
		tail = ` readonly`
	}
	if rng.IntN(4) == 0 {
		tail += ` "said"`
	}
	return d + " " + service + " " + word(d) + " " + peer + tail
}

func randomPorts(rng *rand.Rand) string {
	switch rng.IntN(4) {
	case 0:
		return "all"
	case 1:
		return fmt.Sprint(rng.IntN(ports))
	}
	lo := rng.IntN(ports)
	return fmt.Sprintf("%d-%d", lo, lo+rng.IntN(ports-lo))
}

func newRandomWorld(t testing.TB, seed uint64) *randomWorld {
	rng := rand.New(rand.NewPCG(42, seed))
	w := &randomWorld{policy: randomPolicy(rng)}
	s := parse(t, w.policy)
	quality := rng.IntN(3)
	w.evidence = func(i int) plan.RuleEvidence {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		e := plan.RuleEvidence{Attached: true, Observable: true, NarrowOK: true, UnusedOK: true}
		if quality == 0 {
			e.NarrowOK = r.IntN(3) > 0
			e.UnusedOK = e.NarrowOK && r.IntN(3) > 0
			e.Observable = r.IntN(6) > 0
		}
		return e
	}
	if rng.IntN(3) == 0 {
		w.budget = 1 + rng.IntN(8)
	}
	for range rng.IntN(40) {
		f := &s.Interfaces[rng.IntN(len(s.Interfaces))]
		local := f.Addresses[rng.IntN(len(f.Addresses))]
		remote := address(rng)
		if remote.Is4() != local.Is4() {
			continue
		}
		c := policy.Conn{Direction: []flow.Direction{flow.Ingress, flow.Egress}[rng.IntN(2)], Local: local, Remote: remote, ICMP: policy.AnyICMP,
			Proto: []flow.Proto{flow.TCP, flow.TCP, flow.TCP, flow.UDP, flow.UDP, flow.ICMP, 50}[rng.IntN(7)]}
		flags := rng.IntN(3) > 0
		if c.Proto.HasPorts() {
			service, client := uint16(rng.IntN(ports)), uint16(32768+rng.IntN(5000))
			switch rng.IntN(6) {
			case 0:
				client = service // nobody can tell who opened it
			case 1:
				client = uint16(rng.IntN(ports))
			case 2:
				client = uint16(1024 + rng.IntN(60000))
			}
			c.LocalPort, c.RemotePort = service, client
			if c.Direction == flow.Egress {
				c.LocalPort, c.RemotePort = client, service
			}
		}
		w.log(s, f.ID, c, flags, rng)
	}
	rng.Shuffle(len(w.recs), func(i, j int) { w.recs[i], w.recs[j] = w.recs[j], w.recs[i] })
	return w
}

// log writes what a flow log would hold of connection c.
func (w *randomWorld) log(s *policy.Snapshot, eni string, c policy.Conn, flags bool, rng *rand.Rand) {
	rec := flow.Record{Interface: eni, Src: c.Remote, Dst: c.Local, SrcPort: c.RemotePort, DstPort: c.LocalPort, Proto: c.Proto,
		Packets: 3, Bytes: 300, Start: day0 + 86400*int64(rng.IntN(42)), Action: flow.Accept}
	if c.Direction == flow.Egress {
		rec.Src, rec.Dst, rec.SrcPort, rec.DstPort = rec.Dst, rec.Src, rec.DstPort, rec.SrcPort
	}
	rec.End = rec.Start + 30
	back := rec
	back.Src, back.Dst, back.SrcPort, back.DstPort = rec.Dst, rec.Src, rec.DstPort, rec.SrcPort
	if flags && c.Proto == flow.TCP {
		rec.Flags, back.Flags = flow.FlagsKnown|flow.SYN, flow.FlagsKnown|flow.SYN|flow.ACK
	}
	verdict := policy.Decide(s.Path(eni, c.Direction), &c).Verdict
	if verdict == policy.Denied && rng.IntN(12) > 0 { // now and then the log knows better
		rec.Action = flow.Reject
		w.recs = append(w.recs, rec)
		return
	}
	if verdict == policy.Allowed {
		w.truth = append(w.truth, attempt{eni, c})
		if rng.IntN(20) == 0 {
			rej := rec
			rej.Action = flow.Reject
			w.recs = append(w.recs, rej)
		}
	}
	w.recs = append(w.recs, rec)
	if rng.IntN(4) > 0 {
		r := c
		r.Direction = c.Direction.Reverse()
		if policy.DecidePacket(s.Path(eni, r.Direction), &r).Verdict == policy.Denied {
			back.Action = flow.Reject
		}
		w.recs = append(w.recs, back)
	}
}

// points calls f with every connection of the universe at an interface.
func points(f func(policy.Conn)) {
	var remotes []netip.Addr
	for i := range 34 {
		remotes = append(remotes, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	for i := range 32 {
		remotes = append(remotes, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}))
	}
	for i := range 5 {
		remotes = append(remotes, netip.AddrFrom4([4]byte{20, 0, 0, byte(i)}))
	}
	for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
		for _, remote := range remotes {
			c := policy.Conn{Direction: d, Remote: remote, Local: netip.MustParseAddr("10.0.0.99")}
			if remote.Is6() {
				c.Local = netip.MustParseAddr("2001:db8::99")
			}
			for _, p := range []flow.Proto{flow.TCP, flow.UDP} {
				c.Proto = p
				for port := range uint16(ports + 2) {
					c.LocalPort, c.RemotePort = port, 40000
					if d == flow.Egress {
						c.LocalPort, c.RemotePort = 40000, port
					}
					f(c)
				}
			}
			c.LocalPort, c.RemotePort = 0, 0
			for _, typ := range []int16{8, 3} {
				c.Proto, c.ICMP = flow.ICMP, policy.TypeCode{Type: typ, Code: 0}
				f(c)
			}
			c.ICMP = policy.AnyICMP
			c.Proto = 50
			f(c)
			c.Proto = 47
			f(c)
		}
	}
}

// groupStages leaves the stateful stages of a path.
func groupStages(path []policy.Stage) []policy.Stage {
	return slices.DeleteFunc(slices.Clone(path), func(s policy.Stage) bool { return !s.Stateful })
}

// compare calls f with the verdicts of both snapshots' group stages at every point.
func compare(a, b *policy.Snapshot, f func(eni string, c policy.Conn, x, y policy.Verdict)) {
	for i := range a.Interfaces {
		id := a.Interfaces[i].ID
		var pa, pb [3][]policy.Stage
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			pa[d], pb[d] = groupStages(a.Path(id, d)), groupStages(b.Path(id, d))
		}
		points(func(c policy.Conn) {
			f(id, c, policy.Decide(pa[c.Direction], &c).Verdict, policy.Decide(pb[c.Direction], &c).Verdict)
		})
	}
}

func (w *randomWorld) input(t testing.TB, mode plan.Mode) plan.Input {
	s := parse(t, w.policy)
	in := plan.Input{Result: replay(t, s, w.recs), Mode: mode, Budget: w.budget}
	for i := range s.Rules() {
		in.Evidence = append(in.Evidence, w.evidence(i))
	}
	return in
}

var (
	seeds = flag.Int("seeds", 60, "random worlds to plan for")
	from  = flag.Uint64("from", 0, "seed of the first random world")
)

func TestPlansOfRandomWorlds(t *testing.T) {
	n := *seeds
	edits := 0
	for seed := range uint64(n) {
		seed += *from
		w := newRandomWorld(t, seed)
		for _, mode := range []plan.Mode{plan.ModeTidy, plan.ModeTighten} {
			in := w.input(t, mode)
			p := made(t, in)
			edits += len(p.Edits)
			w.check(t, in, p)
			if t.Failed() {
				t.Fatalf("seed %d, %s, budget %d\n%s\nplan: %s\ndeclined %v", seed, mode, w.budget, w.policy, strings.Join(lines(p.Edits), "\n"), p.Declined)
			}
		}
	}
	if edits < 3*n {
		t.Errorf("only %d edits in %d worlds: the test proves little", edits, n)
	}
}

// check holds a plan to its promises, by brute force.
func (w *randomWorld) check(t *testing.T, in plan.Input, p *plan.Plan) {
	old := in.Result.Snapshot
	for _, d := range p.Declined {
		if d.Rule.IsZero() && strings.Contains(d.Reason, "refuted") {
			t.Errorf("the proof refuted the plan: %s", d.Reason)
		}
	}
	// What was observed stays admitted.
	for _, a := range w.truth {
		if v := policy.Decide(p.Planned.Path(a.eni, a.conn.Direction), &a.conn).Verdict; v != policy.Allowed {
			t.Errorf("%s %v: %v after the plan", a.eni, a.conn, v)
		}
	}
	// Nothing new is admitted; tidy changes nothing at all.
	compare(old, p.Planned, func(eni string, c policy.Conn, before, after policy.Verdict) {
		if before == policy.Denied && after != policy.Denied || before == policy.Unknown && after == policy.Allowed {
			t.Errorf("%s %v: %v before, %v after", eni, c, before, after)
		}
		if in.Mode == plan.ModeTidy && before != after {
			t.Errorf("%s %v: %v before, %v after tidying", eni, c, before, after)
		}
	})
	// Equivalent edits hold together without the others.
	var equivalent []plan.Edit
	for _, e := range p.Edits {
		if e.Basis == plan.Equivalent {
			equivalent = append(equivalent, e)
		}
	}
	half, err := plan.Apply(old, equivalent)
	if err != nil {
		t.Fatal(err)
	}
	compare(old, half, func(eni string, c policy.Conn, before, after policy.Verdict) {
		if before != after {
			t.Errorf("%s %v: %v before, %v after the equivalent edits", eni, c, before, after)
		}
	})
	// The evidence minimum and what must not be edited.
	by := make(map[policy.Ref]plan.RuleEvidence)
	for i, r := range old.Rules() {
		by[r.Ref] = in.Evidence[i]
	}
	for _, e := range p.Edits {
		i, ok := old.RuleIndex(e.Rule)
		if !ok || !old.Rules()[i].Editable {
			t.Errorf("edit of %s", e.Rule)
		}
		if ev := by[e.Rule]; e.Basis == plan.Observed && (!ev.Observable || !ev.NarrowOK) {
			t.Errorf("observed edit of %s without evidence", e.Rule)
		}
	}
	// The budget.
	for i := range old.Groups {
		var before, after [3]int
		for _, r := range old.Groups[i].Rules {
			before[r.Direction]++
		}
		for _, r := range p.Planned.Groups[i].Rules {
			after[r.Direction]++
		}
		for d := range before {
			if after[d] > max(before[d], w.budget) {
				t.Errorf("%s: %d rules after, %d before, budget %d", old.Groups[i].ID, after[d], before[d], w.budget)
			}
		}
	}
	again(t, in, p, w.recs)
	if in.Mode == plan.ModeTighten && !(len(p.Declined) == 1 && p.Declined[0].Rule.IsZero()) {
		w.nothingIdle(t, in, p)
	}
}

// nothingIdle checks that no rule stays that nothing used, where it might go.
func (w *randomWorld) nothingIdle(t *testing.T, in plan.Input, p *plan.Plan) {
	evidence := inherit(in, p)
	res := replay(t, p.Planned, w.recs)
	for i, r := range p.Planned.Rules() {
		ev := evidence[i]
		attached := len(p.Planned.Attached(r.Ref.Owner)) > 0
		if attached && r.Editable && r.Action == policy.Allow && ev.Observable && ev.UnusedOK && res.Usage[i].Hits == 0 && res.Usage[i].Possible == 0 {
			t.Errorf("%s stays without any use", r.Ref)
		}
	}
}

// The plan does not depend on the order of rules, interfaces or records.
func TestPlanIsInvariantUnderPermutation(t *testing.T) {
	for seed := range uint64(60) {
		w := newRandomWorld(t, 1000+seed)
		in := w.input(t, plan.ModeTighten)
		p := made(t, in)
		rng := rand.New(rand.NewPCG(7, seed))
		shuffled := slices.Clone(w.recs)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		s := parse(t, shufflePolicy(rng, w.policy))
		other := in
		other.Result = replay(t, s, shuffled)
		q := made(t, other)
		if diff := cmp.Diff(lines(p.Edits), lines(q.Edits)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		if diff := cmp.Diff(p.Declined, q.Declined); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		if !reflect.DeepEqual(p.Exposure, q.Exposure) || p.Proof != q.Proof || p.Backtest != q.Backtest {
			t.Fatalf("seed %d: %+v %+v %+v, %+v %+v %+v", seed, p.Exposure, p.Proof, p.Backtest, q.Exposure, q.Proof, q.Backtest)
		}
	}
}

// shufflePolicy puts the statements, and the rules of each, in another order.
func shufflePolicy(rng *rand.Rand, text string) string {
	var blocks [][]string
	for line := range strings.Lines(text) {
		if line[0] == ' ' {
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], line)
		} else {
			blocks = append(blocks, []string{line})
		}
	}
	rng.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	var b strings.Builder
	for _, block := range blocks {
		rules := block[1:]
		rng.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		for _, line := range block {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestMakeStopsWithItsContext(t *testing.T) {
	w := newRandomWorld(t, 3)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := plan.Make(ctx, w.input(t, plan.ModeTighten)); err == nil {
		t.Error("no error under a cancelled context")
	}
}
