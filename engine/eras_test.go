package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
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

// timed is a snapshot with the time from which it was in force.
type timed struct {
	from int64
	s    *policy.Snapshot
}

// historyOf makes the history of snapshots of which it is known when each came into force:
// every object has a version for each.
func historyOf(snaps []timed) *policy.History {
	present := snaps[len(snaps)-1].s
	p := policy.Past{Present: present, Interfaces: make(map[string][]policy.Version[policy.Interface]), Groups: make(map[string][]policy.Version[policy.Group]),
		ACLs: make(map[string][]policy.Version[policy.ACL]), ACLOf: make(map[string][]policy.Version[string]), Lists: make(map[string][]policy.Version[policy.PrefixList])}
	for k, x := range snaps {
		from := x.from
		if k == 0 {
			from = policy.Ever
		}
		for i := range x.s.Interfaces {
			f := &x.s.Interfaces[i]
			p.Interfaces[f.ID] = append(p.Interfaces[f.ID], policy.Version[policy.Interface]{From: from, Old: f, New: f})
		}
		for i := range x.s.Groups {
			g := x.s.Groups[i]
			g.Rules = slices.Clone(g.Rules)
			for n := range g.Rules {
				g.Rules[n].Ref = refThen(present, &g.Rules[n], k)
			}
			p.Groups[g.ID] = append(p.Groups[g.ID], policy.Version[policy.Group]{From: from, Old: &g, New: &g})
		}
		acls := map[string]string{"subnet-a": "", "subnet-b": ""}
		for i := range x.s.ACLs {
			a := x.s.ACLs[i]
			a.Rules = slices.Clone(a.Rules)
			for n := range a.Rules {
				a.Rules[n].Ref = refThen(present, &a.Rules[n], k)
			}
			p.ACLs[a.ID] = append(p.ACLs[a.ID], policy.Version[policy.ACL]{From: from, Old: &a, New: &a})
			for _, s := range a.Subnets {
				acls[s] = a.ID
			}
		}
		for s, id := range acls {
			p.ACLOf[s] = append(p.ACLOf[s], policy.Version[string]{From: from, Old: &id, New: &id})
		}
	}
	for _, vs := range p.ACLs {
		if vs[0].From != policy.Ever {
			vs[0].From = policy.Ever // before, no subnet had it
		}
	}
	return policy.NewHistory(p)
}

// refThen names rule r of snapshot k as histories do: as the present does, if the present
// has it with the same content.
func refThen(present *policy.Snapshot, r *policy.Rule, k int) policy.Ref {
	if i, ok := present.RuleIndex(r.Ref); ok {
		now := present.Rules()[i]
		now2, r2 := *now, *r
		now2.Description, r2.Description = "", ""
		if cmp.Equal(now2, r2, cmpopts.EquateComparable(netip.Prefix{})) {
			return r.Ref
		}
	}
	return policy.Ref{Owner: r.Ref.Owner, Rule: fmt.Sprintf("was-%d-%s", k, r.Ref.Rule)}
}

// randomPast draws a few policies over one universe, and when each came into force.
func randomPast(r *rand.Rand, n int) []timed {
	var out []timed
	for k := range n {
		s, err := cloud.ParseText("policy", []byte(randomPolicy(r)))
		if err != nil {
			panic(err)
		}
		for i := range s.Interfaces { // interfaces never move to another subnet
			s.Interfaces[i].Subnet = []string{"subnet-a", "subnet-b"}[i%2]
		}
		out = append(out, timed{1700000000 + int64(k)*5*86400/int64(n) + r.Int64N(3000), s})
	}
	return out
}

// eraOracle says what a record is judged by, from the definitions alone.
type eraOracle struct {
	snaps []timed
}

// touched returns the snapshots that may have been in force during rec.
func (o *eraOracle) touched(rec *flow.Record) (lo, hi int) {
	for k, x := range o.snaps {
		if k > 0 && x.from <= rec.Start-60 {
			lo = k
		}
		if k > 0 && x.from <= rec.End+60 {
			hi = k
		}
	}
	return lo, hi
}

// dispose judges one reading by one snapshot.
func dispose(s *policy.Snapshot, rec *flow.Record, row *store.Row, x *orient.Reading) flow.Disposition {
	c := policy.Conn{Direction: x.Opener, Proto: row.Proto, Local: x.Local.Netip(), Remote: x.Remote.Netip(), LocalPort: x.LocalPort, RemotePort: x.RemotePort, ICMP: policy.AnyICMP}
	back := c
	back.Direction = x.Packet
	request, reply := policy.Decide(s.Path(rec.Interface, x.Opener), &c).Verdict, policy.Allowed
	if x.IsReply() {
		reply = policy.DecidePacket(s.Path(rec.Interface, x.Packet), &back).Verdict
	}
	switch {
	case rec.Action == flow.Reject && row.Class == flow.Midlife && !(x.IsReply() && reply == policy.Denied):
		return flow.Late
	case (request == policy.Denied || reply == policy.Denied) && rec.Action == flow.Reject:
		return flow.Blocked
	case request == policy.Denied || reply == policy.Denied:
		return flow.Unexplained
	case request == policy.Unknown || reply == policy.Unknown:
		return flow.Unscoped
	case rec.Action == flow.Reject:
		return flow.Contradicted
	case x.IsReply():
		return flow.Reply
	}
	return flow.Permitted
}

func good(d flow.Disposition) bool {
	return d == flow.Permitted || d == flow.Reply || d == flow.Blocked || d == flow.Late
}

// judge returns the disposition of one reading, and the snapshots that it rests on.
func (o *eraOracle) judge(rec *flow.Record, row *store.Row, x *orient.Reading) (flow.Disposition, []int) {
	best := func(of []int) flow.Disposition {
		var ds []flow.Disposition
		for _, k := range of {
			ds = append(ds, dispose(o.snaps[k].s, rec, row, x))
		}
		for _, want := range []func(flow.Disposition) bool{good, func(d flow.Disposition) bool { return d == flow.Unscoped }} {
			for i := len(ds) - 1; i >= 0; i-- {
				if want(ds[i]) {
					return ds[i]
				}
			}
		}
		return ds[len(ds)-1]
	}
	lo, hi := o.touched(rec)
	var of []int
	for k := lo; k <= hi; k++ {
		of = append(of, k)
	}
	d := best(of)
	if d != flow.Unexplained || row.Class == flow.Opener || row.Class == flow.Answer {
		return d, of
	}
	doubt := false
	for k := lo - 1; k >= 0; k-- {
		switch then := best([]int{k}); then {
		case flow.Permitted, flow.Reply:
			return then, []int{k}
		case flow.Unscoped:
			doubt = true
		}
	}
	if doubt {
		return flow.Unscoped, of
	}
	return d, of
}

// winners returns the rules that decide a reading of rec at every stage, by the names
// that the present has for them.
func (o *eraOracle) winners(k int, rec *flow.Record, x *orient.Reading) (hits, possible map[string]bool) {
	hits, possible = make(map[string]bool), make(map[string]bool)
	s, present := o.snaps[k].s, o.snaps[len(o.snaps)-1].s
	name := func(r policy.Ref) (string, bool) {
		if r.Owner == policy.ImplicitOwner {
			return r.String(), true
		}
		i, _ := s.RuleIndex(r)
		then := refThen(present, s.Rules()[i], k)
		_, now := present.RuleIndex(then)
		return then.String(), now
	}
	c := policy.Conn{Direction: x.Opener, Proto: rec.Proto, Local: x.Local.Netip(), Remote: x.Remote.Netip(), LocalPort: x.LocalPort, RemotePort: x.RemotePort, ICMP: policy.AnyICMP}
	see := func(path []policy.Stage, c policy.Conn, stateless bool) {
		for i := range path {
			if stateless && path[i].Stateful {
				continue
			}
			sd := path[i].Decide(&c)
			if sd.Skipped {
				continue
			}
			might := slices.Concat(sd.Possible)
			if sd.Verdict == policy.Unknown {
				might = append(might, sd.Winners...)
			}
			for _, r := range might {
				if n, now := name(r); now && actionOf(&path[i], r) != policy.Deny {
					possible[n] = true
				}
			}
			if sd.Verdict != policy.Allowed {
				continue
			}
			for _, r := range sd.Winners {
				if n, now := name(r); now {
					hits[n] = true
				}
			}
		}
	}
	see(s.Path(rec.Interface, x.Opener), c, false)
	if x.IsReply() {
		c.Direction = x.Packet
		see(s.Path(rec.Interface, x.Packet), c, true)
	}
	return hits, possible
}

// TestReplayOfHistoryIsDecideOfEachEra holds the replay over time to an evaluator that
// judges each record by the snapshots of its time: ledger, hits and possible hits (aws.md
// 6.3.3, 6.3.4; traps 20, 35, 61).
func TestReplayOfHistoryIsDecideOfEachEra(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 11))
		o := &eraOracle{snaps: randomPast(r, 2+int(seed%3))}
		h := historyOf(o.snaps)
		cfg := engine.HistoryConfig(h)
		recs := randomRecords(r, 300)
		conns := store.FromRecords(cfg, recs)
		res, err := engine.ReplayHistory(context.Background(), conns, h, 1+int(seed%2))
		if err != nil {
			t.Fatal(err)
		}
		o.compare(t, cfg, recs, res)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (o *eraOracle) compare(t *testing.T, cfg store.Config, recs []flow.Record, res *engine.Result) {
	t.Helper()
	present := o.snaps[len(o.snaps)-1].s
	rowOf := make(map[string]int)
	var row store.Row
	eraKey := func(row *store.Row, name string) string { return rowKey(row, name) + fmt.Sprint(row.EraLo, row.EraHi) }
	for i := range res.Store.Len() {
		res.Store.Row(i, &row)
		rowOf[eraKey(&row, res.Store.Interfaces()[row.Interface])] = i
	}
	type credit struct {
		conn, when string
		hits       map[string]bool
		earlier    []map[string]bool // what earlier snapshots that allow it credit
	}
	var credits []credit
	opened := make(map[string]bool) // connections whose opening showed at the time, or need not
	var ledger flow.Ledger
	hits, possible := make(map[string]map[string]bool), make(map[string]map[string]bool)
	add := func(m map[string]map[string]bool, refs map[string]bool, conn string) {
		for ref := range refs {
			if m[ref] == nil {
				m[ref] = make(map[string]bool)
			}
			m[ref][conn] = true
		}
	}
	for n := range recs {
		rec := &recs[n]
		switch rec.Status {
		case flow.StatusNoData:
			ledger[flow.NoData]++
			continue
		case flow.StatusSkipData:
			ledger[flow.SkipData]++
			continue
		}
		if _, ok := present.Interface(rec.Interface); !ok {
			ledger[flow.Unscoped]++
			continue
		}
		store.FromRecords(cfg, []flow.Record{*rec}).Row(0, &row)
		at, ok := rowOf[eraKey(&row, rec.Interface)]
		if !ok {
			t.Fatalf("record %v is in no row", rec)
		}
		res.Store.Row(at, &row)
		op := res.Openers[at]
		readings := orient.Readings(nil, &row, op)
		decided := len(readings)
		if op.Weak && rec.Action == flow.Accept {
			readings = orient.Readings(readings, &row, orient.Opinion{Opener: op.Opener.Reverse()})
		}
		var all []flow.Disposition
		for k := range readings {
			x := &readings[k]
			d, of := o.judge(rec, &row, x)
			if k < decided {
				all = append(all, d)
			}
			if rec.Action != flow.Accept || d == flow.Late {
				continue // hits of deny rules are held to elsewhere
			}
			conn := fmt.Sprint(rec.Interface, x.Opener, row.Proto, x.Remote, x.Port, x.PortHi)
			certain := op.Opener != flow.DirectionUnknown && row.Side != flow.DirectionUnknown && k < decided
			var common map[string]bool
			for _, e := range of {
				h, p := o.winners(e, rec, x)
				add(possible, h, conn)
				add(possible, p, conn)
				if common == nil {
					common = maps.Clone(h)
				}
				maps.DeleteFunc(common, func(ref string, _ bool) bool { return !h[ref] })
			}
			when := conn + fmt.Sprint(row.EraLo, row.EraHi)
			opened[when] = opened[when] || row.Class != flow.Midlife
			if certain {
				c := credit{conn, when, common, nil}
				lo, _ := o.touched(rec)
				for k := range lo {
					if e := dispose(o.snaps[k].s, rec, &row, x); e == flow.Permitted || e == flow.Reply {
						h, _ := o.winners(k, rec, x)
						c.earlier = append(c.earlier, h)
					}
				}
				credits = append(credits, c)
			}
			h, p := o.winners(len(o.snaps)-1, rec, x)
			add(possible, h, conn)
			add(possible, p, conn)
		}
		d := all[0]
		if slices.ContainsFunc(all, func(x flow.Disposition) bool { return x != d }) {
			d = flow.Undirected
		}
		ledger[d]++
	}
	for _, c := range credits {
		if !opened[c.when] { // it may be of an earlier time: those rules may have let it in
			for _, h := range c.earlier {
				maps.DeleteFunc(c.hits, func(ref string, _ bool) bool { return !h[ref] })
			}
		}
		add(hits, c.hits, c.conn)
	}
	if ledger != res.Ledger {
		t.Errorf("ledger %v, want %v", res.Ledger, ledger)
	}
	for i, u := range res.Usage {
		k := u.Ref.String()
		if res.Rules[i].Action != policy.Allow {
			continue
		}
		maps.DeleteFunc(possible[k], func(conn string, _ bool) bool { return hits[k][conn] })
		if int(u.Hits) != len(hits[k]) || int(u.Possible) != len(possible[k]) {
			t.Errorf("%s: %d hits, %d possible, want %d, %d", k, u.Hits, u.Possible, len(hits[k]), len(possible[k]))
		}
	}
}

// TestReplayOfHistoryIsReplayOfEachPart: where every record shows who opened and touches
// one era, the replay over time is that of each era's records against its own snapshot.
func TestReplayOfHistoryIsReplayOfEachPart(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 12))
		snaps := randomPast(r, 3)
		h := historyOf(snaps)
		o := &eraOracle{snaps: snaps}
		parts := make([][]flow.Record, len(snaps))
		var recs []flow.Record
		for _, rec := range randomRecords(r, 600) {
			if rec.Status != flow.StatusOK || rec.Proto != flow.TCP {
				continue
			}
			rec.Flags, rec.Direction = flow.FlagsKnown|flow.SYN, []flow.Direction{flow.Ingress, flow.Egress}[r.IntN(2)]
			if lo, hi := o.touched(&rec); lo == hi {
				recs, parts[lo] = append(recs, rec), append(parts[lo], rec)
			}
		}
		res, err := engine.ReplayHistory(context.Background(), store.FromRecords(engine.HistoryConfig(h), recs), h, 2)
		if err != nil {
			t.Fatal(err)
		}
		var want flow.Ledger
		var layers engine.RejectLayers
		for k := range parts {
			one, err := engine.Replay(context.Background(), store.FromRecords(engine.HistoryConfig(h), parts[k]), snaps[k].s, 1)
			if err != nil {
				t.Fatal(err)
			}
			want.Merge(&one.Ledger)
			layers.Groups, layers.ACL = layers.Groups+one.RejectedBy.Groups, layers.ACL+one.RejectedBy.ACL
			layers.Either, layers.Unknown = layers.Either+one.RejectedBy.Either, layers.Unknown+one.RejectedBy.Unknown
		}
		if res.Ledger != want || res.RejectedBy != layers {
			t.Errorf("seed %d: ledger %v, want %v; rejected by %+v, want %+v", seed, res.Ledger, want, res.RejectedBy, layers)
		}
	}
}

// TestReplayOfHistoryDoesNotDependOnOrderOrWorkers compares whole results.
func TestReplayOfHistoryDoesNotDependOnOrderOrWorkers(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 13))
		snaps := randomPast(r, 3)
		recs := randomRecords(r, 500)
		var results []*engine.Result
		for _, workers := range []int{1, 4} {
			h := historyOf(snaps)
			res, err := engine.ReplayHistory(context.Background(), store.FromRecords(engine.HistoryConfig(h), recs), h, workers)
			if err != nil {
				t.Fatal(err)
			}
			res.Store, res.Snapshot, res.History = nil, nil, nil
			results = append(results, res)
			r.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
		}
		if diff := cmp.Diff(results[0], results[1], cmpopts.EquateComparable(netip.Prefix{}), listed); diff != "" {
			t.Log(diff)
			t.Fatalf("seed %d: results differ", seed)
		}
	}
}

// TestFlatHistoryChangesNothing: the history of one snapshot gives the result of that
// snapshot, to the last field.
func TestFlatHistoryChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 14))
	s := randomPast(r, 1)[0].s
	recs := randomRecords(r, 500)
	a := replayRecords(t, s, recs, 2)
	h := policy.HistoryOf(s)
	b, err := engine.ReplayHistory(context.Background(), store.FromRecords(engine.HistoryConfig(h), recs), h, 2)
	if err != nil {
		t.Fatal(err)
	}
	a.Store, b.Store = nil, nil
	if diff := cmp.Diff(a, b, cmpopts.IgnoreFields(engine.Result{}, "Snapshot"), cmpopts.EquateComparable(netip.Prefix{}), listed); diff != "" {
		t.Fatal(diff)
	}
}
