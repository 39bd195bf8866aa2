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

// TestEitherOfTwoPastsCarries: it is not known whether a list held a second entry, too, when
// it held the first for certain. What came from the first was carried either way, what came
// from the second only perhaps.
func TestEitherOfTwoPastsCarries(t *testing.T) {
	s, err := cloud.ParseText("policy", []byte("interface eni-1 10.0.0.5 sg-a subnet=subnet-a vpc=vpc-1\nsubnet subnet-a 10.0.0.0/24 vpc=vpc-1\nlist pl-1 10.1.0.0/16\ngroup sg-a vpc=vpc-1\n  sgr-p ingress tcp 443 from pl-1\n"))
	if err != nil {
		t.Fatal(err)
	}
	list := func(entries ...string) *policy.PrefixList {
		l := &policy.PrefixList{ID: "pl-1", Known: true}
		for _, e := range entries {
			l.Entries = append(l.Entries, netip.MustParsePrefix(e))
		}
		return l
	}
	const cut = 1700000000
	present := list("10.1.0.0/16")
	h := policy.NewHistory(policy.Past{Present: s, Lists: map[string][]policy.Version[policy.PrefixList]{"pl-1": {
		{From: policy.Ever, Old: list("10.2.0.0/16"), New: list("10.2.0.0/16", "10.3.0.0/16")}, {From: cut, Old: present, New: present}}}})
	for peer, want := range map[string]bool{"10.2.0.1": true, "10.3.0.1": false, "10.4.0.1": false} {
		r := flow.Record{Interface: "eni-1", Proto: flow.TCP, Direction: flow.Ingress, Action: flow.Accept, Flags: flow.FlagsKnown | flow.SYN, Packets: 5, Bytes: 400,
			Start: cut - 7200, End: cut - 7170, Src: netip.MustParseAddr(peer), Dst: netip.MustParseAddr("10.0.0.5"), SrcPort: 40000, DstPort: 443}
		res, err := engine.ReplayHistory(context.Background(), store.FromRecords(engine.HistoryConfig(h), []flow.Record{r}), h, 1)
		if err != nil {
			t.Fatal(err)
		}
		if c := res.Connections; c.Len() != 1 || c.At(0).Carried != want {
			t.Errorf("%s: %+v, carried %t wanted", peer, c, want)
		}
	}
}
