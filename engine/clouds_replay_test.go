package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// record writes c, or an answer to it, as a flow log of e may have it.
func (c *worldConn) record(e *worldENI, r *rand.Rand) flow.Record {
	one := func(n int) bool { return r.IntN(n) == 0 }
	rec := flow.Record{Interface: e.id, Proto: flow.Proto(c.protocol), Start: 1700000000 + r.Int64N(3*86400), Packets: r.Uint64N(9), Bytes: r.Uint64N(900),
		Src: c.remote.netip(), Dst: c.local.netip(), SrcPort: uint16(c.remotePort), DstPort: uint16(c.localPort)}
	if rec.End = rec.Start + r.Int64N(600); c.egress != one(3) {
		rec.Src, rec.Dst, rec.SrcPort, rec.DstPort = rec.Dst, rec.Src, rec.DstPort, rec.SrcPort
	}
	if one(2) { // else to be told by the addresses
		rec.Direction = flow.Ingress
		if rec.Src == c.local.netip() {
			rec.Direction = flow.Egress
		}
	}
	if rec.Action = flow.Accept; one(3) {
		rec.Action = flow.Reject
	}
	if rec.Proto == flow.TCP && !one(3) {
		rec.Flags = flow.FlagsKnown | []flow.TCPFlags{0, 1, 2, 2, 2, 3, 4, 18, 18, 19}[r.IntN(10)]
	}
	if one(30) {
		return flow.Record{Interface: e.id, Start: rec.Start, End: rec.End, Status: []flow.Status{flow.StatusNoData, flow.StatusSkipData}[r.IntN(2)]}
	}
	if one(40) {
		rec.Interface = "eni-unknown"
	}
	return rec
}

// worldRecords draws records of w; some come twice, as packets of one connection do.
func worldRecords(w *world, r *rand.Rand, n int) []flow.Record {
	p := w.points()
	var out []flow.Record
	for len(out) < n {
		e, c := p.draw(r)
		for range 1 + r.IntN(3) {
			out = append(out, c.record(e, r))
		}
	}
	return out
}

// TestReplayOfWorldsIsDecide holds the ledger, the hits, the decisive and the possible
// ones of a replay to a record-at-a-time evaluation, on worlds with intra-group and
// platform tiers, priorities, open defaults and network ACLs.
func TestReplayOfWorldsIsDecide(t *testing.T) {
	implicit := make(map[string]uint64)
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 11))
		w := randomWorld(r)
		snap, err := cloud.ParseText("world", []byte(w.text()))
		if err != nil {
			t.Fatal(err)
		}
		recs := worldRecords(w, r, 400)
		res := replayRecords(t, snap, recs, 1+int(seed%3))
		o := newOracle(snap, res)
		for i := range recs {
			o.see(&recs[i])
		}
		o.compare(t, res)
		for i, rule := range res.Rules {
			if res.Usage[i].Ref != rule.Ref {
				t.Fatalf("seed %d: usage %d is of %s, not of %s", seed, i, res.Usage[i].Ref, rule.Ref)
			}
			if rule.Implicit {
				kind, _, _ := strings.Cut(rule.Ref.Rule, ":")
				implicit[kind] += res.Usage[i].Hits
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, world:\n%s", seed, w.text())
		}
	}
	for _, kind := range []string{"intra-group", "platform", "default"} {
		if implicit[kind] < 50 {
			t.Errorf("%d hits of kind %s, too few to show anything", implicit[kind], kind)
		}
	}
}

// TestReplayOfWorldsDoesNotDependOnOrderOrWorkers compares whole results.
func TestReplayOfWorldsDoesNotDependOnOrderOrWorkers(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 13))
		w := randomWorld(r)
		snap, err := cloud.ParseText("world", []byte(w.text()))
		if err != nil {
			t.Fatal(err)
		}
		recs := worldRecords(w, r, 600)
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

// randomStages writes a policy whose interfaces spell out their stages: several
// stages of several tiers, with rules that pass on to the next tier or end the path.
func randomStages(r *rand.Rand) string {
	var b strings.Builder
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	b.WriteString("platform 169.254.169.254/32 groups-deny\nsubnet subnet-a 10.0.0.0/28 2001:db8::/64\nsubnet subnet-b 10.0.1.0/28\nlist pl-1 10.0.0.0/30 10.0.1.4/32\nlist pl-2 unknown\n")
	for i := range 4 {
		fmt.Fprintf(&b, "interface eni-%d 10.0.%d.%d 2001:db8::%d subnet=subnet-%s\n", i, i%2, 4+i, 4+i, pick("a", "b"))
		for s := range r.IntN(4) {
			fmt.Fprintf(&b, "  stage %s %s/%s", []string{"admin", "outer", "inner"}[s], pick("allow", "deny"), pick("allow", "deny")+pick("", "", " first"))
			for range 1 + r.IntN(3) {
				fmt.Fprintf(&b, " %s", pick("none", "sg-0", "sg-gone", "sg-1", "sg-2", "sg-0,sg-1", "sg-2,sg-3", "sg-3"))
			}
			b.WriteByte('\n')
		}
	}
	for g := range 4 {
		fmt.Fprintf(&b, "group sg-%d\n", g)
		for n := range r.IntN(8) {
			dir, side := "ingress", "from"
			if r.IntN(2) == 0 {
				dir, side = "egress", "to"
			}
			box := func() string {
				return pick("all", "tcp 22", "tcp 80-443", "tcp", "udp 53", "icmp", "tcp 1024-65535") + " " + side + " " +
					pick("0.0.0.0/0", "::/0", "10.0.0.0/28", "10.0.1.0/24", "2001:db8::/64", "sg-0", "sg-1", "pl-1", "pl-2", "203.0.113.0/25") +
					pick("", "", " at 10.0.0.0/28", " peer-ports=1024-65535")
			}
			fmt.Fprintf(&b, "  r%d%d %s %s %s%s priority=%d%s\n", g, n, dir, pick("allow", "allow", "deny", "next", "allow-all"), box(), pick("", "", " or "+box()),
				100*(1+r.IntN(5)), pick("", "", " implicit"))
		}
	}
	b.WriteString("acl acl-a subnets=subnet-a\n  100 ingress allow all from 0.0.0.0/0\n  90 ingress deny tcp 22 from 203.0.113.0/24\n  100 egress allow tcp 1024-65535 to any\n")
	return b.String()
}

// TestReplayOfStagesIsDecide does the same for paths of several stages.
func TestReplayOfStagesIsDecide(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 17))
		text := randomStages(r)
		snap, err := cloud.ParseText("stages", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
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
