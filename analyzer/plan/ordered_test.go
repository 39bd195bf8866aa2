package plan_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Ordered worlds have a universe of their own, small enough for three looks at every
// point of it: 16 IPv4 addresses, 8 of IPv6, two of the platform, two of the Internet,
// 11 service ports, two client ports.
const orderedPorts = 10

func orderedAddress(rng *rand.Rand) netip.Addr {
	switch rng.IntN(10) {
	case 0:
		return netip.AddrFrom4([4]byte{100, 64, 0, byte(rng.IntN(2))})
	case 1:
		return netip.AddrFrom4([4]byte{20, 0, 0, byte(rng.IntN(2))})
	case 2, 3:
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(rng.IntN(8))})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(16))})
}

// orderedPolicy writes basic or enterprise groups with priorities, denies, ties,
// restrictions of the own side, and network ACLs.
func orderedPolicy(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString("platform none")
	if rng.IntN(2) == 0 {
		b.WriteString(" admitted=100.64.0.0/31")
	}
	if rng.IntN(3) == 0 {
		b.WriteString(" acl-exempt=10.0.0.14/31")
	}
	if rng.IntN(2) == 0 {
		b.WriteString(" groups-deny")
	}
	b.WriteString("\nsubnet subnet-0 10.0.0.8/30 2001:db8::/126\nsubnet subnet-1 10.0.0.12/30\n")
	b.WriteString("list pl-1 10.0.0.0/31 10.0.0.4/32\n")
	if rng.IntN(4) == 0 {
		b.WriteString("list pl-2 unknown\n")
	} else {
		b.WriteString("list pl-2 10.0.0.2/31\n")
	}
	groups, enis := 1+rng.IntN(3), 1+rng.IntN(3)
	for e := range enis {
		fmt.Fprintf(&b, "interface eni-%d 10.0.0.%d", e, 8+e)
		if rng.IntN(3) > 0 {
			fmt.Fprintf(&b, " 2001:db8::%d", e)
		}
		for g := range groups {
			if rng.IntN(3) > 0 {
				fmt.Fprintf(&b, " sg-%d", g)
			}
		}
		if rng.IntN(30) == 0 {
			b.WriteString(" sg-missing")
		}
		fmt.Fprintf(&b, " subnet=subnet-%d vpc=vpc-1", rng.IntN(2))
		for k, word := range []string{"requester-managed", "transit", "ingress-open", "no-acl"} {
			if rng.IntN([]int{8, 25, 15, 12}[k]) == 0 {
				b.WriteString(" " + word)
			}
		}
		b.WriteString("\n")
	}
	basic := rng.IntN(3) > 0
	ranks := 1 + rng.IntN(4)
	for g := range groups {
		fmt.Fprintf(&b, "group sg-%d vpc=vpc-1", g)
		if basic {
			b.WriteString(" kind=normal egress-open")
			if rng.IntN(2) == 0 {
				b.WriteString(" intra")
			}
		} else {
			b.WriteString(" kind=enterprise")
		}
		b.WriteString("\n")
		for r := range rng.IntN(9) {
			fmt.Fprintf(&b, "  r%d %s priority=%d\n", r, orderedRule(rng, groups, 3), 1+rng.IntN(ranks))
		}
	}
	for n := range rng.IntN(3) {
		fmt.Fprintf(&b, "acl acl-%d subnet=subnet-%d\n", n, n)
		for _, d := range []string{"ingress", "egress"} {
			for k := range rng.IntN(5) {
				fmt.Fprintf(&b, "  %d %s\n", 10+10*k, aclLine(rng, d))
			}
			if rng.IntN(3) > 0 {
				fmt.Fprintf(&b, "  90 %s allow all %s any\n", d, word(d))
			}
		}
	}
	return b.String()
}

func orderedService(rng *rand.Rand) string {
	switch rng.IntN(9) {
	case 0, 1:
		return "all"
	case 2:
		return []string{"icmp", "icmp type 8", "50"}[rng.IntN(3)]
	case 3:
		return "udp all"
	}
	lo := rng.IntN(orderedPorts)
	return fmt.Sprintf("tcp %d-%d", lo, lo+rng.IntN(orderedPorts-lo))
}

func orderedPrefix(rng *rand.Rand) string {
	a := orderedAddress(rng)
	bits := a.BitLen() - rng.IntN(5)
	if rng.IntN(4) == 0 {
		bits = 0
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}

func orderedRule(rng *rand.Rand, groups, denies int) string {
	d := []string{"ingress", "egress"}[rng.IntN(2)]
	action := "allow"
	if rng.IntN(denies) == 0 {
		action = "deny"
	}
	peer := orderedPrefix(rng)
	switch rng.IntN(12) {
	case 0:
		peer = fmt.Sprintf("sg-%d", rng.IntN(groups))
	case 1:
		peer = "pl-1"
	case 2:
		peer = "pl-2"
	}
	tail := ""
	switch rng.IntN(14) {
	case 0:
		tail = fmt.Sprintf(" at 10.0.0.%d/32", 8+rng.IntN(3))
	case 1:
		tail = " peer-ports=0-99"
	}
	if rng.IntN(10) == 0 {
		tail += " readonly"
	}
	if rng.IntN(5) == 0 {
		tail += ` "said"`
	}
	return fmt.Sprintf("%s %s %s %s %s%s", d, action, orderedService(rng), word(d), peer, tail)
}

func aclLine(rng *rand.Rand, d string) string {
	peer := orderedPrefix(rng)
	if rng.IntN(10) == 0 {
		peer = "pl-1"
	}
	action := []string{"allow", "deny"}[rng.IntN(2)]
	return fmt.Sprintf("%s %s %s %s %s", d, action, orderedService(rng), word(d), peer)
}

func newOrderedWorld(t testing.TB, seed uint64) *randomWorld {
	rng := rand.New(rand.NewPCG(77, seed))
	w := &randomWorld{policy: orderedPolicy(rng)}
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
	used := make(map[string]bool)
	for range rng.IntN(40) {
		f := &s.Interfaces[rng.IntN(len(s.Interfaces))]
		local := f.Addresses[rng.IntN(len(f.Addresses))]
		remote := orderedAddress(rng)
		if remote.Is4() != local.Is4() {
			continue
		}
		c := policy.Conn{Direction: []flow.Direction{flow.Ingress, flow.Egress}[rng.IntN(2)], Local: local, Remote: remote, ICMP: policy.AnyICMP,
			Proto: []flow.Proto{flow.TCP, flow.TCP, flow.TCP, flow.TCP, flow.UDP, flow.ICMP, 50}[rng.IntN(7)]}
		flags := rng.IntN(3) > 0
		if c.Proto.HasPorts() {
			service, client := uint16(rng.IntN(orderedPorts)), uint16(32768+rng.IntN(5000))
			switch rng.IntN(8) {
			case 0:
				client = service // nobody can tell who opened it
			case 1:
				if flags && c.Proto == flow.TCP { // or two such ports would be taken for each other
					client = uint16(rng.IntN(orderedPorts))
				}
			}
			c.LocalPort, c.RemotePort = service, client
			if c.Direction == flow.Egress {
				c.LocalPort, c.RemotePort = client, service
			}
		}
		ends := []string{fmt.Sprint(c.Proto, c.Local, c.LocalPort), fmt.Sprint(c.Proto, c.Remote, c.RemotePort)}
		slices.Sort(ends)
		if key := strings.Join(ends, " "); !used[key] { // else one connection's flags tell of the other
			used[key] = true
			w.log(s, f.ID, c, flags, rng)
		}
	}
	rng.Shuffle(len(w.recs), func(i, j int) { w.recs[i], w.recs[j] = w.recs[j], w.recs[i] })
	return w
}

// orderedPoints calls f with every connection of the universe at an interface.
func orderedPoints(nic *policy.Interface, f func(policy.Conn)) {
	var remotes []netip.Addr
	for i := range 16 {
		remotes = append(remotes, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	for i := range 8 {
		remotes = append(remotes, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}))
	}
	for i := range 2 {
		remotes = append(remotes, netip.AddrFrom4([4]byte{100, 64, 0, byte(i)}), netip.AddrFrom4([4]byte{20, 0, 0, byte(i)}))
	}
	for _, remote := range remotes {
		c := policy.Conn{Remote: remote, Local: netip.MustParseAddr("2001:db8::99")}
		if remote.Is4() {
			c.Local = nic.Addresses[0]
		}
		for _, c.Direction = range []flow.Direction{flow.Ingress, flow.Egress} {
			for _, c.Proto = range []flow.Proto{flow.TCP, flow.UDP} {
				for port := range uint16(orderedPorts + 1) {
					if c.Proto == flow.UDP && port > 1 {
						break
					}
					for _, client := range []uint16{7, 40000} {
						c.LocalPort, c.RemotePort = port, client
						if c.Direction == flow.Egress {
							c.LocalPort, c.RemotePort = client, port
						}
						f(c)
					}
				}
			}
			c.LocalPort, c.RemotePort = 0, 0
			for _, typ := range []int16{8, 3} {
				c.Proto, c.ICMP = flow.ICMP, policy.TypeCode{Type: typ, Code: 0}
				f(c)
			}
			c.Proto, c.ICMP = 50, policy.AnyICMP
			f(c)
		}
	}
}

// compareOrdered calls f with what the group stages, and the stateless ones, of both
// snapshots say at every point.
func compareOrdered(a, b *policy.Snapshot, f func(what string, before, after policy.Verdict)) {
	for i := range a.Interfaces {
		nic := &a.Interfaces[i]
		var pa, pb [3][2][]policy.Stage
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			pa[d], pb[d] = stagesApart(a.Path(nic.ID, d)), stagesApart(b.Path(nic.ID, d))
		}
		orderedPoints(nic, func(c policy.Conn) {
			for k := range pa[c.Direction] {
				x, y := policy.Decide(pa[c.Direction][k], &c).Verdict, policy.Decide(pb[c.Direction][k], &c).Verdict
				if x != y {
					f(fmt.Sprintf("%s %v", nic.ID, c), x, y)
				}
			}
		})
	}
}

// stagesApart returns the stateful stages of path, and the others.
func stagesApart(path []policy.Stage) (out [2][]policy.Stage) {
	out[0] = groupStages(path)
	out[1] = slices.DeleteFunc(slices.Clone(path), func(s policy.Stage) bool { return s.Stateful })
	return out
}

func opens(before, after policy.Verdict) bool {
	return before == policy.Denied && after != policy.Denied || before == policy.Unknown && after == policy.Allowed
}

func TestPlansOfOrderedWorlds(t *testing.T) {
	n := *seeds * 2
	counts := make(map[string]int)
	for seed := range uint64(n) {
		seed += *from
		w := newOrderedWorld(t, seed)
		for _, mode := range []plan.Mode{plan.ModeTidy, plan.ModeTighten} {
			in := w.input(t, mode)
			p := made(t, in)
			w.checkOrdered(t, in, p, seed, counts)
			if t.Failed() {
				t.Fatalf("seed %d, %s, budget %d\n%s\nplan: %s\ndeclined %v", seed, mode, w.budget, w.policy, strings.Join(lines(p.Edits), "\n"), p.Declined)
			}
		}
	}
	t.Logf("%d worlds: %v", n, counts)
	for _, what := range []string{"allow rules removed", "allow rules replaced", "deny rules removed", "allow lines removed", "deny lines removed"} {
		if counts[what] < n/20 {
			t.Errorf("only %d %s in %d worlds: the test proves little", counts[what], what, n)
		}
	}
}

// checkOrdered holds a plan to its promises, by brute force.
func (w *randomWorld) checkOrdered(t *testing.T, in plan.Input, p *plan.Plan, seed uint64, counts map[string]int) {
	old := in.Result.Snapshot
	for _, d := range p.Declined {
		if d.Rule.IsZero() && strings.Contains(d.Reason, "refuted") {
			t.Errorf("the proof refuted the plan: %s", d.Reason)
		}
	}
	for _, e := range p.Edits {
		at, _ := old.RuleIndex(e.Rule)
		r := old.Rules()[at]
		what := map[bool]string{true: "rules", false: "lines"}[strings.HasPrefix(e.Rule.Owner, "sg-")]
		counts[r.Action.String()+" "+what+" "+map[plan.Op]string{plan.Remove: "removed", plan.Replace: "replaced"}[e.Op]]++
		if !r.Editable {
			t.Errorf("edit of %s", e.Rule)
		}
		if r.Action == policy.Deny && (e.Op != plan.Remove || e.Basis != plan.Equivalent) {
			t.Errorf("deny %s: %s, %s", e.Rule, e.Op, e.Basis)
		}
		if ev := in.Evidence[at]; e.Basis == plan.Observed && (!ev.Observable || !ev.NarrowOK) {
			t.Errorf("observed edit of %s without evidence", e.Rule)
		}
	}
	w.holds(t, in, p.Planned, "the plan", in.Mode == plan.ModeTidy)
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
	w.holds(t, in, half, "the equivalent edits", true)
	// New rules first, then removals: they may stop anywhere, in any order.
	w.holds(t, in, partly(t, old, p.Edits, rand.New(rand.NewPCG(5, seed))), "some removals", false)
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
	w.againOrdered(t, in, p, counts)
}

// partly adds all new rules of edits and makes some of the removals.
func partly(t *testing.T, s *policy.Snapshot, edits []plan.Edit, rng *rand.Rand) *policy.Snapshot {
	t.Helper()
	var some []plan.Edit
	for _, e := range edits {
		if len(e.With) > 0 {
			some = append(some, plan.Edit{Op: plan.Add, Group: e.Group, With: e.With})
		}
		if rng.IntN(2) == 0 {
			some = append(some, plan.Edit{Op: plan.Remove, Rule: e.Rule, Group: e.Group})
		}
	}
	out, err := plan.Apply(s, some)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// holds checks that what was observed is admitted by s and that it admits nothing new;
// if exact, that nothing is decided differently.
func (w *randomWorld) holds(t *testing.T, in plan.Input, s *policy.Snapshot, what string, exact bool) {
	t.Helper()
	for _, a := range w.truth {
		if v := policy.Decide(s.Path(a.eni, a.conn.Direction), &a.conn).Verdict; v != policy.Allowed {
			t.Errorf("%s %v: %v after %s", a.eni, a.conn, v, what)
		}
	}
	compareOrdered(in.Result.Snapshot, s, func(at string, before, after policy.Verdict) {
		if exact || opens(before, after) {
			t.Errorf("%s: %v before, %v after %s", at, before, after, what)
		}
	})
}

// againOrdered plans for what was planned: nothing more, but for what one edit only made
// possible by a deny that is gone, or a rule below one.
func (w *randomWorld) againOrdered(t *testing.T, in plan.Input, p *plan.Plan, counts map[string]int) {
	if !p.Proof.Holds() {
		t.Fatalf("proof: %+v", p.Proof)
	}
	for turn := range 6 {
		second := in
		second.Result = replay(t, p.Planned, w.recs)
		second.Evidence = inherit(in, p)
		q := made(t, second)
		if len(q.Edits) == 0 {
			if in.Mode == plan.ModeTighten && !(len(p.Declined) == 1 && p.Declined[0].Rule.IsZero()) {
				w.idle(t, in, p)
			}
			return
		}
		counts["plans after the plan"]++
		denies := slices.ContainsFunc(in.Result.Snapshot.Rules(), func(r *policy.Rule) bool { return r.Action == policy.Deny })
		if !denies || turn == 5 {
			t.Fatalf("planning again gives %v\nafter %v", lines(q.Edits), lines(p.Edits))
		}
		w.holds(t, second, q.Planned, "the next plan", in.Mode == plan.ModeTidy)
		in, p = second, q
	}
}

// idle checks that no rule stays that nothing used, where it might go.
func (w *randomWorld) idle(t *testing.T, in plan.Input, p *plan.Plan) {
	if strings.Contains(w.policy, " transit") && strings.Contains(w.policy, " intra\n") {
		return // what the hidden rule seems to carry, a router may have passed on
	}
	reasons := make(map[policy.Ref]string)
	for _, d := range p.Declined {
		reasons[d.Rule] = d.Reason
	}
	evidence := inherit(in, p)
	res := replay(t, p.Planned, w.recs)
	for _, e := range p.Edits {
		for _, r := range e.With {
			if e.Basis == plan.Equivalent {
				reasons[r.Ref] = "joined"
			}
		}
	}
	for i, r := range p.Planned.Rules() {
		ev := evidence[i]
		if slices.ContainsFunc(p.Planned.Rules(), func(q *policy.Rule) bool { return q.Rank < r.Rank && q.Action == policy.Allow && restricted(q) }) {
			continue // whether that carried what this one matches, a plan does not ask
		}
		attached := slices.ContainsFunc(p.Planned.Attached(r.Ref.Owner), func(f *policy.Interface) bool { return !f.IngressOpen || r.Direction == flow.Ingress })
		if attached && r.Editable && r.Action == policy.Allow && ev.Observable && ev.UnusedOK && res.Usage[i].Hits == 0 && res.Usage[i].Possible == 0 && reasons[r.Ref] == "" {
			t.Errorf("%s stays without any use", r.Ref)
		}
	}
}

// restricted reports whether r reads more than service and peer.
func restricted(r *policy.Rule) bool {
	return slices.ContainsFunc(r.Match, func(m policy.Match) bool {
		return !slices.Equal(m.Local.Prefixes, policy.AnyAddr.Prefixes) || m.ServicePorts(r.Direction.Reverse()) != netset.AllPorts
	})
}

// The plan of an ordered world does not depend on the order of rules, interfaces or records.
func TestOrderedPlanIsInvariantUnderPermutation(t *testing.T) {
	for seed := range uint64(60) {
		w := newOrderedWorld(t, 3000+seed)
		in := w.input(t, plan.ModeTighten)
		p := made(t, in)
		rng := rand.New(rand.NewPCG(7, seed))
		shuffled := slices.Clone(w.recs)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		other := in
		other.Result = replay(t, parse(t, shufflePolicy(rng, w.policy)), shuffled)
		q := made(t, other)
		if diff := cmp.Diff(lines(p.Edits), lines(q.Edits)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		if diff := cmp.Diff(p.Declined, q.Declined); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}
