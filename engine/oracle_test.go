package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// randomPolicy writes a world of a few interfaces, groups, references, prefix lists
// and network ACLs over a small universe of addresses and ports, so that everything
// meets.
func randomPolicy(r *rand.Rand) string {
	var b strings.Builder
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	fmt.Fprintf(&b, "subnet subnet-a 10.0.0.0/28 2001:db8::/64\nsubnet subnet-b 10.0.1.0/28\nlist pl-1 10.0.0.0/30 10.0.1.4/32\nlist pl-2 unknown\n")
	for i := range 4 {
		fmt.Fprintf(&b, "interface eni-%d 10.0.%d.%d", i, i%2, 4+i)
		if i%2 == 0 {
			fmt.Fprintf(&b, " 2001:db8::%d", 4+i)
		}
		for g := range 4 {
			if r.IntN(2) == 0 {
				fmt.Fprintf(&b, " sg-%d", g)
			}
		}
		fmt.Fprintf(&b, " subnet=subnet-%s vpc=vpc-1\n", pick("a", "b"))
	}
	peer := func() string {
		return pick("0.0.0.0/0", "::/0", "10.0.0.0/28", "10.0.0.4/31", "10.0.1.0/24", "10.0.0.4/32", "2001:db8::/64", "2001:db8::4/128",
			"sg-0", "sg-1", "sg-2", "sg-3", "pl-1", "pl-1", "pl-2", "203.0.113.0/25")
	}
	service := func() string {
		return pick("all", "tcp 22", "tcp 80", "tcp 80-443", "tcp 443", "tcp 0-65535", "tcp 1024-65535", "udp 53", "udp 0-65535", "icmp", "icmp type 8", "icmpv6", "50", "tcp 40000-40010")
	}
	for g := range 4 {
		fmt.Fprintf(&b, "group sg-%d vpc=vpc-1\n", g)
		for n := range r.IntN(7) {
			dir, prep := "ingress", "from"
			if r.IntN(2) == 0 {
				dir, prep = "egress", "to"
			}
			fmt.Fprintf(&b, "  sgr-%d%d %s %s %s %s\n", g, n, dir, service(), prep, peer())
		}
	}
	for _, sub := range []string{"a", "b"} {
		if r.IntN(3) == 0 {
			continue
		}
		fmt.Fprintf(&b, "acl acl-%s subnets=subnet-%s\n", sub, sub)
		for _, dir := range []string{"ingress", "egress"} {
			prep := map[string]string{"ingress": "from", "egress": "to"}[dir]
			for n := range 1 + r.IntN(4) {
				fmt.Fprintf(&b, "  %d %s %s %s %s %s\n", 100+10*n, dir, pick("allow", "allow", "deny"), service(), prep,
					pick("0.0.0.0/0", "0.0.0.0/0", "10.0.0.0/28", "203.0.113.0/24", "10.0.1.4/30"))
			}
		}
	}
	return b.String()
}

// randomRecords writes records of every kind over the same universe.
func randomRecords(r *rand.Rand, n int) []flow.Record {
	var out []flow.Record
	addr4 := func() netip.Addr {
		return []netip.Addr{
			netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(9))}),
			netip.AddrFrom4([4]byte{203, 0, 113, byte(126 + r.IntN(4))}),
		}[r.IntN(2)]
	}
	addr6 := func() netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(r.IntN(9))})
	}
	ports := []uint16{22, 53, 79, 80, 81, 443, 444, 1023, 1024, 8080, 32768, 39999, 40000, 40010, 40011, 50000, 65535}
	for range n {
		i := r.IntN(6) // two interfaces that the policy does not have
		rec := flow.Record{Interface: fmt.Sprintf("eni-%d", i), Start: 1700000000 + r.Int64N(5*86400), Packets: r.Uint64N(9), Bytes: r.Uint64N(900)}
		rec.End = rec.Start + r.Int64N(600)
		if r.IntN(20) == 0 {
			rec.Status = flow.Status(1 + r.IntN(2))
			out = append(out, rec)
			continue
		}
		own, far := netip.AddrFrom4([4]byte{10, 0, byte(i % 2), byte(4 + i)}), addr4()
		if i%2 == 0 && r.IntN(4) == 0 {
			own, far = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(4 + i)}), addr6()
		}
		if r.IntN(20) == 0 && own.Is4() {
			own = addr4() // forwarded traffic: neither address may be ours
		}
		rec.Src, rec.Dst = own, far
		if r.IntN(2) == 0 {
			rec.Src, rec.Dst = far, own
		}
		rec.Proto = []flow.Proto{6, 6, 6, 6, 17, 17, 1, 58, 50}[r.IntN(9)]
		if rec.Proto.HasPorts() {
			rec.SrcPort, rec.DstPort = ports[r.IntN(len(ports))], ports[r.IntN(len(ports))]
		}
		rec.Action = []flow.Action{flow.Accept, flow.Accept, flow.Accept, flow.Reject}[r.IntN(4)]
		if rec.Proto == flow.TCP && r.IntN(3) > 0 {
			rec.Flags = flow.FlagsKnown | []flow.TCPFlags{0, 1, 2, 2, 3, 4, 18, 18, 19}[r.IntN(9)]
		}
		if r.IntN(3) == 0 && rec.Src == own && own != far {
			rec.Direction = flow.Egress
		}
		out = append(out, rec)
	}
	return out
}

// TestReplayIsDecide holds the replay to an evaluator that looks at each record alone,
// with policy.Decide, and keeps sets of connections.
func TestReplayIsDecide(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 42))
		text := randomPolicy(r)
		snap, err := cloud.ParseText("policy", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		recs := randomRecords(r, 400)
		res := replayRecords(t, snap, recs, 1+int(seed%3))
		o := newOracle(snap, res)
		for i := range recs {
			o.see(&recs[i])
		}
		o.compare(t, res)
		if t.Failed() {
			t.Fatalf("seed %d, policy:\n%s", seed, text)
		}
	}
}

// TestReplayDoesNotDependOnOrderOrWorkers compares whole results.
func TestReplayDoesNotDependOnOrderOrWorkers(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 7))
		snap, err := cloud.ParseText("policy", []byte(randomPolicy(r)))
		if err != nil {
			t.Fatal(err)
		}
		recs := randomRecords(r, 600)
		a := replayRecords(t, snap, recs, 1)
		r.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
		b := replayRecords(t, snap, recs, 4)
		a.Store, b.Store = nil, nil
		if diff := cmp.Diff(a, b, cmpopts.IgnoreFields(engine.Result{}, "Snapshot"), cmpopts.EquateComparable(netip.Prefix{}), listed); diff != "" {
			t.Log(diff)
			t.Fatalf("seed %d: results differ", seed)
		}
	}
}

// oracle judges one record at a time.
type oracle struct {
	snap    *policy.Snapshot
	paths   map[string][]policy.Stage // by interface and direction
	store   *store.Connections
	cfg     store.Config
	rowOf   map[string]int
	openers []orient.Opinion

	ledger   flow.Ledger
	hits     map[string]map[string]bool // ref → connections
	decisive map[string]map[string]bool
	possible map[string]map[string]bool
}

// actionOf returns what the rule or default ref of st does.
func actionOf(st *policy.Stage, ref policy.Ref) policy.Action {
	for _, t := range st.Tiers {
		for _, r := range t.Rules {
			if r.Ref == ref {
				return r.Action
			}
		}
	}
	return st.Default
}

func rowKey(r *store.Row, name string) string {
	return fmt.Sprint(name, r.Side, r.Proto, r.Action, r.Class, r.Client, r.Local, r.Remote, r.LocalPort, r.RemotePort)
}

func newOracle(snap *policy.Snapshot, res *engine.Result) *oracle {
	o := &oracle{snap: snap, paths: make(map[string][]policy.Stage), store: res.Store, cfg: engine.StoreConfig(snap), rowOf: make(map[string]int), openers: res.Openers,
		hits: make(map[string]map[string]bool), decisive: make(map[string]map[string]bool), possible: make(map[string]map[string]bool)}
	var row store.Row
	for i := range res.Store.Len() {
		res.Store.Row(i, &row)
		o.rowOf[rowKey(&row, res.Store.Interfaces()[row.Interface])] = i
	}
	return o
}

func (o *oracle) path(id string, d flow.Direction) []policy.Stage {
	key := id + " " + d.String()
	p, ok := o.paths[key]
	if !ok {
		p = o.snap.Path(id, d)
		o.paths[key] = p
	}
	return p
}

func mark(m map[string]map[string]bool, refs []policy.Ref, conn string) {
	for _, r := range refs {
		k := r.String()
		if m[k] == nil {
			m[k] = make(map[string]bool)
		}
		m[k][conn] = true
	}
}

func (o *oracle) see(rec *flow.Record) {
	switch rec.Status {
	case flow.StatusNoData:
		o.ledger[flow.NoData]++
		return
	case flow.StatusSkipData:
		o.ledger[flow.SkipData]++
		return
	}
	if _, ok := o.snap.Interface(rec.Interface); !ok {
		o.ledger[flow.Unscoped]++
		return
	}
	one := store.FromRecords(o.cfg, []flow.Record{*rec})
	var row store.Row
	one.Row(0, &row)
	at, ok := o.rowOf[rowKey(&row, rec.Interface)]
	if !ok {
		panic("record without a row")
	}
	o.store.Row(at, &row) // the same row with all that was seen of a folded port
	op := o.openers[at]
	var all []flow.Disposition
	type credit struct {
		m    map[string]map[string]bool
		refs []policy.Ref
		conn string
	}
	var credits []credit
	readings := orient.Readings(nil, &row, op)
	decided := len(readings)
	if op.Weak && rec.Action == flow.Accept {
		readings = orient.Readings(readings, &row, orient.Opinion{Opener: op.Opener.Reverse()})
	}
	for n, x := range readings {
		certain := op.Opener != flow.DirectionUnknown && row.Side != flow.DirectionUnknown && n < decided
		c := policy.Conn{Direction: x.Opener, Proto: row.Proto, Local: x.Local.Netip(), Remote: x.Remote.Netip(),
			LocalPort: x.LocalPort, RemotePort: x.RemotePort, ICMP: policy.AnyICMP}
		back := c
		back.Direction = x.Packet
		path, backPath := o.path(rec.Interface, x.Opener), o.path(rec.Interface, x.Packet)
		request, reply := policy.Decide(path, &c).Verdict, policy.Allowed
		if x.IsReply() {
			reply = policy.DecidePacket(backPath, &back).Verdict
		}
		var d flow.Disposition
		switch {
		case rec.Action == flow.Reject && row.Class == flow.Midlife && !(x.IsReply() && reply == policy.Denied):
			d = flow.Late
		case request == policy.Denied || reply == policy.Denied:
			d = flow.Unexplained
			if rec.Action == flow.Reject {
				d = flow.Blocked
			}
		case request == policy.Unknown || reply == policy.Unknown:
			d = flow.Unscoped
		case rec.Action == flow.Reject:
			d = flow.Contradicted
		case x.IsReply():
			d = flow.Reply
		default:
			d = flow.Permitted
		}
		if n < decided {
			all = append(all, d)
		}

		accepted := rec.Action == flow.Accept || x.IsReply()
		conn := fmt.Sprint(rec.Interface, x.Opener, row.Proto, x.Remote, x.Port, x.PortHi, accepted)
		// Every stage is asked, whatever the ones before it said; but none after one
		// that allows all.
		groups := policy.Allowed
		for i := range path {
			sd := path[i].Decide(&c)
			switch {
			case !path[i].Stateful || groups == policy.Denied:
			case sd.Verdict != policy.Allowed:
				groups = sd.Verdict
			}
			if sd.Action == policy.AllowAll {
				path = path[:i+1]
				break
			}
		}
		see := func(path []policy.Stage, i int, c *policy.Conn, accepted bool) {
			st := &path[i]
			sd := st.Decide(c)
			if sd.Skipped || !accepted && !st.Stateful && groups == policy.Denied {
				return
			}
			// A rule may have decided only what ended as the rule would have it.
			might := slices.Concat(sd.Possible)
			if sd.Verdict == policy.Unknown {
				might = append(might, sd.Winners...)
			}
			for _, ref := range might {
				if (actionOf(st, ref) == policy.Deny) != accepted {
					credits = append(credits, credit{o.possible, []policy.Ref{ref}, conn})
				}
			}
			want, sure := policy.Allowed, certain
			if !accepted {
				want, sure = policy.Denied, certain && groups != policy.Unknown
			}
			switch {
			case sd.Verdict != want:
				return
			case !sure:
				credits = append(credits, credit{o.possible, sd.Winners, conn})
				return
			}
			credits = append(credits, credit{o.hits, sd.Winners, conn})
			decisive := sd.Decisive
			for k := range path {
				// What another stage denies anyway, no rule here decides.
				decisive = decisive && (accepted || k == i || path[k].Decide(c).Verdict == policy.Allowed)
			}
			if decisive {
				credits = append(credits, credit{o.decisive, sd.Winners, conn})
			}
		}
		for i := range path {
			if rec.Action == flow.Accept || !x.IsReply() {
				see(path, i, &c, accepted)
			}
		}
		if x.IsReply() {
			var stateless []policy.Stage
			for i := range backPath {
				if !backPath[i].Stateful {
					stateless = append(stateless, backPath[i])
				}
			}
			for i := range stateless {
				see(stateless, i, &back, rec.Action == flow.Accept)
			}
		}
	}
	d := all[0]
	for _, x := range all {
		if x != d {
			d = flow.Undirected
			break
		}
	}
	o.ledger[d]++
	if d == flow.Late {
		return
	}
	for _, c := range credits {
		mark(c.m, c.refs, c.conn)
	}
}

func (o *oracle) compare(t *testing.T, res *engine.Result) {
	t.Helper()
	if o.ledger != res.Ledger {
		t.Errorf("ledger %v, want %v", res.Ledger, o.ledger)
	}
	for ref, m := range o.possible {
		for conn := range m {
			if o.hits[ref][conn] {
				delete(m, conn)
			}
		}
	}
	for _, u := range res.Usage {
		k := u.Ref.String()
		if int(u.Hits) != len(o.hits[k]) || int(u.Decisive) != len(o.decisive[k]) {
			t.Errorf("%s: %d hits, %d decisive, want %d, %d", k, u.Hits, u.Decisive, len(o.hits[k]), len(o.decisive[k]))
		}
		if int(u.Possible) != len(o.possible[k]) {
			t.Errorf("%s: %d possible, want %d", k, u.Possible, len(o.possible[k]))
		}
	}
}
