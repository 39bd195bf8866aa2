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

// TestRuleHasTheEvidenceOfItsTime: what was seen before a rule was there is not evidence
// of it, and a connection that was opened before it was never matched by it (aws.md 3.2,
// 6.3.1; trap 61).
func TestRuleHasTheEvidenceOfItsTime(t *testing.T) {
	const day, start, cut = 86400, 1780272000, 1780272000 + 10*86400
	parse := func(rules string) *policy.Snapshot {
		s, err := cloud.ParseText("policy", []byte("interface eni-1 10.0.0.5 sg-a subnet=subnet-a vpc=vpc-1\nsubnet subnet-a 10.0.0.0/24 vpc=vpc-1\ngroup sg-a vpc=vpc-1\n"+rules))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	h := historyOf([]timed{{0, parse("  sgr-x ingress tcp 22 from 10.0.0.0/8\n")},
		{cut, parse("  sgr-x ingress tcp 22 from 10.0.0.0/8\n  sgr-y ingress tcp 22 from 10.1.0.0/16\n")}})
	replay := func(days int, flags flow.TCPFlags, first flow.TCPFlags) *engine.Result {
		var recs []flow.Record
		for d := range days {
			r := flow.Record{Interface: "eni-1", Proto: flow.TCP, Direction: flow.Ingress, Action: flow.Accept, Status: flow.StatusOK, Flags: flow.FlagsKnown | flags,
				Packets: 5, Bytes: 400, Start: start + int64(d)*day + 3600, SrcPort: 40000, DstPort: 22}
			r.Src, r.Dst = netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.0.0.5")
			r.End = r.Start + 30
			if d == 0 {
				r.Flags = flow.FlagsKnown | first
			}
			recs = append(recs, r)
		}
		res, err := engine.ReplayHistory(context.Background(), store.FromRecords(engine.HistoryConfig(h), recs), h, 2)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	usage := func(res *engine.Result, rule string) engine.Usage {
		i, ok := res.Snapshot.RuleIndex(policy.Ref{Owner: "sg-a", Rule: rule})
		if !ok {
			t.Fatalf("no rule %s", rule)
		}
		return res.Usage[i]
	}

	res := replay(20, flow.SYN|flow.FIN, flow.SYN|flow.FIN)
	x, y := usage(res, "sgr-x"), usage(res, "sgr-y")
	if x.Hits != 1 || x.Records != 20 || x.Packets != 100 || x.Bytes != 8000 || x.First != start+3600 || x.Last != start+19*day+3630 {
		t.Errorf("the rule of all the time: %+v", x)
	}
	if y.Hits != 1 || y.Possible != 0 || y.Records != 10 || y.Packets != 50 || y.Bytes != 4000 || y.First != cut+3600 || y.Last != x.Last || y.Days&x.Days != y.Days || y.Days == x.Days {
		t.Errorf("the rule of the second half: %+v", y)
	}
	if res.Connections.Len() != 1 || len(res.Parts) != 2 || res.Connections.At(0).Records != 20 || x.Decisive != 1 || y.Decisive != 0 {
		t.Errorf("connections %+v in parts %+v", listOf(res.Connections), res.Parts)
	}

	// One connection, opened before the rule.
	res = replay(12, 0, flow.SYN)
	x, y = usage(res, "sgr-x"), usage(res, "sgr-y")
	if x.Hits != 1 || x.Records != 12 || y.Hits != 0 || y.Possible != 1 || y.First != 0 {
		t.Errorf("opened before: %+v, %+v", x, y)
	}
	// Another one opened after it makes the rest evidence: they are not told apart.
	res = replay(10, flow.SYN, flow.SYN)
	if y = usage(res, "sgr-y"); y.Hits+y.Possible != 1 || y.Hits != 0 {
		t.Errorf("nothing since the rule is there: %+v", y)
	}
	if len(res.Parts) != 0 {
		t.Errorf("parts of what is one: %+v", res.Parts)
	}
}
