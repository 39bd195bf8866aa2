package engine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

var million = flag.Bool("million", false, "compare the evaluators on a million connections, not a hundred thousand")

// TestTwoEvaluatorsAgree holds policy.Decide, and the compiled table that replays use,
// to the evaluator of clouds_oracle_test.go: verdicts, deciding rules, what would
// speak next and whether one rule alone decides, on random worlds at and beside every
// bound of theirs.
func TestTwoEvaluatorsAgree(t *testing.T) {
	worlds, connections := 200, 500
	if *million {
		worlds, connections = 1000, 1000
	}
	seen := make(map[string]int)
	n := 0
	for seed := range uint64(worlds) {
		r := rand.New(rand.NewPCG(seed, 2024))
		w := randomWorld(r)
		snap, err := cloud.ParseText("world", []byte(w.text()))
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, w.text())
		}
		c := newComparison(w, snap)
		points := w.points()
		for range connections {
			e, conn := points.draw(r)
			if err := c.compare(e, conn, seen); err != nil {
				t.Fatalf("seed %d: %s: %v\n%s", seed, e.id, err, w.text())
			}
			n++
		}
	}
	t.Logf("%d worlds, %d connections, all agree", worlds, n)
	for _, what := range []string{"intra", "platform", "default allow", "default deny", "rule allow", "rule deny", "unknown", "acl allow", "acl deny",
		"acl default", "acl skipped", "acl unknown", "groups skipped", "several", "decisive"} {
		t.Logf("%-14s %6.2f %%", what, 100*float64(seen[what])/float64(n))
		if seen[what] < n/1000 {
			t.Errorf("%s: %d of %d connections, too few to show anything", what, seen[what], n)
		}
	}
}

// comparison holds what is to be compared for one world.
type comparison struct {
	w      *world
	paths  map[string][]policy.Stage
	tables map[string]*classify.Table
	refs   []policy.Ref
	ids    map[policy.Ref]int32
	out    classify.Outcome
}

func newComparison(w *world, snap *policy.Snapshot) *comparison {
	c := &comparison{w: w, paths: make(map[string][]policy.Stage), tables: make(map[string]*classify.Table), ids: make(map[policy.Ref]int32)}
	number := func(r policy.Ref) (int32, bool) {
		id, ok := c.ids[r]
		if !ok {
			id = int32(len(c.refs))
			c.refs, c.ids[r] = append(c.refs, r), id
		}
		return id, true
	}
	for _, e := range w.enis {
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			key := e.id + d.String()
			c.paths[key] = snap.Path(e.id, d)
			c.tables[key] = classify.Compile(c.paths[key], number)
		}
	}
	return c
}

// compare judges wc as a new connection and as a packet of an old one.
func (c *comparison) compare(e *worldENI, wc *worldConn, seen map[string]int) error {
	if e.has(wc.remote) {
		return nil // what an interface says to itself never leaves it
	}
	conn := policy.Conn{Direction: flow.Ingress, Proto: flow.Proto(wc.protocol), Local: wc.local.netip(), Remote: wc.remote.netip(),
		LocalPort: uint16(wc.localPort), RemotePort: uint16(wc.remotePort), ICMP: policy.AnyICMP}
	if wc.egress {
		conn.Direction = flow.Egress
	}
	k := classify.Key{Proto: conn.Proto, Local: flow.AddrFrom(conn.Local), Remote: flow.AddrFrom(conn.Remote), LocalPort: conn.LocalPort, RemotePort: conn.RemotePort}
	key := e.id + conn.Direction.String()
	path, table := c.paths[key], c.tables[key]

	groups, acl := c.w.byGroups(e, wc, nil), c.w.byACL(e, wc, nil)
	count(seen, &groups, &acl)
	want := expectation(&groups, &acl)
	got := policy.Decide(path, &conn)
	if got.Verdict != want {
		return fmt.Errorf("%+v: Decide says %s, want %s", conn, got.Verdict, want)
	}
	table.Decide(&k, &c.out)
	if c.out.Verdict != want || len(c.out.Stages) != len(got.Stages) {
		return fmt.Errorf("%+v: the table says %s in %d stages, want %s in %d", conn, c.out.Verdict, len(c.out.Stages), want, len(got.Stages))
	}
	for i := range got.Stages {
		filter, a := c.w.byGroups, &groups
		if got.Stages[i].Stage == policy.ACLStage {
			filter, a = c.w.byACL, &acl
		}
		next := filter(e, wc, a.by)
		if err := c.stage(&got.Stages[i], &c.out.Stages[i], a, &next, seen); err != nil {
			return fmt.Errorf("%+v: stage %s: %w", conn, got.Stages[i].Stage, err)
		}
	}

	want = expectation(&acl)
	got = policy.DecidePacket(path, &conn)
	table.DecidePacket(&k, &c.out)
	if got.Verdict != want || c.out.Verdict != want {
		return fmt.Errorf("%+v: as a packet %s, by the table %s, want %s", conn, got.Verdict, c.out.Verdict, want)
	}
	return nil
}

// expectation joins the answers of filters that must all allow.
func expectation(filters ...*answer) policy.Verdict {
	v := policy.Allowed
	for _, a := range filters {
		switch {
		case a.deny && !a.allow:
			return policy.Denied
		case a.unknown():
			v = policy.Unknown
		}
	}
	return v
}

// stage compares what is said of one stage with a; next is the answer without the
// deciding rules.
func (c *comparison) stage(got *policy.StageDecision, fast *classify.StageOutcome, a, next *answer, seen map[string]int) error {
	if got.Skipped != (a.skipped && got.Stage == policy.ACLStage) || fast.Skipped != got.Skipped {
		return fmt.Errorf("skipped %t, by the table %t, want %t", got.Skipped, fast.Skipped, a.skipped)
	}
	if got.Skipped {
		return nil
	}
	if v := expectation(a); got.Verdict != v || fast.Verdict != v {
		return fmt.Errorf("%s, by the table %s, want %s", got.Verdict, fast.Verdict, v)
	}
	var names, fastNames []string
	for _, r := range got.Winners {
		names = append(names, worldName(r))
	}
	for _, id := range fast.Winners {
		fastNames = append(fastNames, worldName(c.refs[id]))
	}
	slices.Sort(names)
	slices.Sort(fastNames)
	slices.Sort(a.by)
	if !slices.Equal(names, a.by) || !slices.Equal(fastNames, a.by) {
		return fmt.Errorf("decided by %v, by the table %v, want %v", names, fastNames, a.by)
	}
	decisive, then := false, policy.Next
	if a.by[0] == "default" {
		then = map[bool]policy.Action{true: policy.Allow, false: policy.Deny}[a.allow && !a.unknown()]
		if a.unknown() {
			then = got.Next // of no use to anybody: nothing is there to be left out
		}
	} else {
		decisive = len(a.by) == 1 && !a.unknown() && !a.sameDo(next)
		if !next.unknown() {
			then = map[bool]policy.Action{true: policy.Allow, false: policy.Deny}[next.allow]
		}
	}
	if got.Next != then || fast.Next != then || got.Decisive != decisive || fast.Decisive != decisive {
		return fmt.Errorf("next %s, decisive %t, by the table %s, %t, want %s, %t", got.Next, got.Decisive, fast.Next, fast.Decisive, then, decisive)
	}
	if decisive {
		seen["decisive"]++
	}
	return nil
}

// worldName is the name that the evaluator of the documents has for r.
func worldName(r policy.Ref) string {
	switch {
	case strings.HasPrefix(r.Owner, "nacl-"):
		return r.Rule
	case r.Owner != policy.ImplicitOwner:
		return r.String()
	case strings.HasPrefix(r.Rule, "intra-group:"):
		return "intra " + strings.TrimPrefix(r.Rule, "intra-group:")
	}
	name, _, _ := strings.Cut(r.Rule, ":")
	return name
}

// count notes what the answers show.
func count(seen map[string]int, groups, acl *answer) {
	note := func(what string, is bool) {
		if is {
			seen[what]++
		}
	}
	by := func(a *answer) string {
		if len(a.by) == 0 {
			return ""
		}
		return a.by[0]
	}
	rule := strings.HasPrefix(by(groups), "sg-")
	note("intra", strings.HasPrefix(by(groups), "intra"))
	note("platform", by(groups) == "platform" && !groups.unknown())
	note("default allow", by(groups) == "default" && !groups.deny)
	note("default deny", by(groups) == "default" && !groups.allow)
	note("rule allow", rule && !groups.deny)
	note("rule deny", rule && !groups.allow)
	note("several", rule && len(groups.by) > 1)
	note("unknown", groups.unknown())
	note("groups skipped", groups.skipped)
	note("acl skipped", acl.skipped)
	note("acl unknown", acl.unknown())
	note("acl default", by(acl) == "default")
	note("acl allow", by(acl) != "default" && acl.allow && !acl.deny && !acl.skipped)
	note("acl deny", by(acl) != "default" && !acl.allow)
}

// points are what connections of a world are drawn from.
type points struct {
	w         *world
	addresses map[bool][]address // by family
	ports     []int
}

// points returns the addresses and ports at and beside every bound of w.
func (w *world) points() *points {
	p := &points{w: w, addresses: make(map[bool][]address), ports: []int{0, 50000, 65535}}
	add := func(bs ...block) {
		for _, b := range bs {
			for _, a := range b.edges() {
				if !slices.Contains(p.addresses[a.six], a) {
					p.addresses[a.six] = append(p.addresses[a.six], a)
				}
			}
		}
	}
	permissions := func(ps []permission) {
		for i := range ps {
			if !strings.HasPrefix(ps[i].peer, "sg-") && !strings.HasPrefix(ps[i].peer, "pl-") {
				add(ps[i].peerBlock)
			}
			if ps[i].local != "" {
				add(ps[i].localBlock)
			}
			bounds := ps[i].ports
			if ps[i].source != nil {
				bounds = append(bounds, *ps[i].source)
			}
			for _, x := range bounds {
				for _, port := range []int{x[0] - 1, x[0], x[0] + 1, x[1] - 1, x[1], x[1] + 1} {
					if 0 <= port && port <= 65535 && !slices.Contains(p.ports, port) {
						p.ports = append(p.ports, port)
					}
				}
			}
		}
	}
	add(platformBlock)
	add(aclExempt...)
	for _, g := range w.groups {
		permissions(g.permissions)
	}
	for _, s := range w.switches {
		add(s.blocks...)
		permissions(s.acl)
	}
	for _, e := range w.enis {
		add(e.delegated...)
		for _, a := range e.addresses {
			add(parseBlock(a.netip().String()))
		}
	}
	for _, id := range []string{"pl-four", "pl-six"} {
		add(w.lists[id].blocks...)
	}
	return p
}

// draw draws a connection: half of the time to or from another ENI, or to what some
// rule of the ENI is about.
func (p *points) draw(r *rand.Rand) (*worldENI, *worldConn) {
	e := p.w.enis[r.IntN(len(p.w.enis))]
	c := &worldConn{egress: r.IntN(2) == 0, protocol: []int{6, 6, 6, 6, 6, 17, 17, 1, 58, 47, 50, 0, 255}[r.IntN(13)]}
	c.local = e.addresses[r.IntN(len(e.addresses))]
	if r.IntN(10) == 0 { // forwarded for others
		six := r.IntN(2) == 0
		c.local = p.addresses[six][r.IntN(len(p.addresses[six]))]
	}
	if c.protocol == 6 || c.protocol == 17 {
		c.localPort, c.remotePort = p.ports[r.IntN(len(p.ports))], p.ports[r.IntN(len(p.ports))]
	}
	same := p.addresses[c.local.six]
	c.remote = same[r.IntN(len(same))]
	other := p.w.enis[r.IntN(len(p.w.enis))]
	if a := other.addresses[r.IntN(len(other.addresses))]; other != e && a.six == c.local.six && r.IntN(4) == 0 {
		c.remote = a
	} else if len(e.groups) > 0 && r.IntN(3) > 0 {
		if g := p.w.group(e.groups[r.IntN(len(e.groups))]); g != nil {
			p.aim(c, g.permissions, r)
		}
	} else if e.vswitch.bound {
		p.aim(c, e.vswitch.acl, r)
	}
	return e, c
}

// aim moves c to a bound of one of rules, if it can match it.
func (p *points) aim(c *worldConn, rules []permission, r *rand.Rand) {
	if len(rules) == 0 {
		return
	}
	x := &rules[r.IntN(len(rules))]
	var peers []address
	switch {
	case strings.HasPrefix(x.peer, "sg-"):
		for _, e := range p.w.enis {
			if slices.Contains(e.groups, x.peer) {
				peers = append(peers, e.addresses...)
			}
		}
	case strings.HasPrefix(x.peer, "pl-"):
		for _, b := range p.w.lists[x.peer].blocks {
			peers = append(peers, b.edges()...)
		}
	default:
		peers = x.peerBlock.edges()
	}
	peers = slices.DeleteFunc(peers, func(a address) bool { return a.six != c.local.six })
	if len(peers) == 0 {
		return
	}
	c.egress, c.remote = x.egress, peers[r.IntN(len(peers))]
	if len(x.ports) == 0 {
		return
	}
	c.protocol = x.protocol
	port := x.ports[r.IntN(len(x.ports))][r.IntN(2)]
	if c.localPort = port; c.egress {
		c.localPort, c.remotePort = c.remotePort, port
	}
}
