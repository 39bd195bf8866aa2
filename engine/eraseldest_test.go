package engine_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// TestChangesLongBeforeTheWindowDecideNothing: that the groups of an interface were not
// known two months ago does not keep the rules of today from telling who opened; that they
// were not a day before the window does (aws.md 3.1 rows 5 and 6).
func TestChangesLongBeforeTheWindowDecideNothing(t *testing.T) {
	s, err := cloud.ParseText("policy", []byte("interface eni-1 10.0.0.5 sg-a subnet=subnet-a vpc=vpc-1\nsubnet subnet-a 10.0.0.0/24 vpc=vpc-1\ngroup sg-a vpc=vpc-1\n  sgr-w ingress icmp from 10.0.0.0/8\n"))
	if err != nil {
		t.Fatal(err)
	}
	f, _ := s.Interface("eni-1")
	const from, day = 1780272000, 86400
	var recs []flow.Record
	for d := range int64(10) {
		r := flow.Record{Interface: "eni-1", Proto: flow.ICMP, Direction: flow.Ingress, Action: flow.Accept, Packets: 5, Bytes: 400,
			Start: from + d*day, End: from + d*day + 30, Src: netip.MustParseAddr("10.1.9.9"), Dst: netip.MustParseAddr("10.0.0.5")}
		back := r
		back.Direction, back.Src, back.Dst = flow.Egress, r.Dst, r.Src
		recs = append(recs, r, back)
	}
	for _, c := range []struct {
		cut     int64
		reaches bool
	}{{from - 60*day, false}, {from - 5*day, false}, {from - day, true}} {
		h := policy.NewHistory(policy.Past{Present: s, Interfaces: map[string][]policy.Version[policy.Interface]{
			"eni-1": {{From: policy.Ever, Old: f, New: f, Unsettled: true}, {From: c.cut, Old: f, New: f}}}})
		res, err := engine.ReplayHistory(context.Background(), store.FromRecords(engine.HistoryConfig(h), recs), h, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Ledger[flow.Undirected] > 0; got != c.reaches || res.Usage[0].Hits > 0 == c.reaches || res.Reaches(c.cut) != c.reaches {
			t.Errorf("change %d days before: %v, %+v", (from-c.cut)/day, res.Ledger, res.Usage[0])
		}
	}
}
