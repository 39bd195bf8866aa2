package report

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// TestTwiceNotesNameInterfacesAndFlowLogs has one interface that two flow logs record, and one
// that is in one of them only.
func TestTwiceNotesNameInterfacesAndFlowLogs(t *testing.T) {
	of := func(iface string) (out []flow.Record) {
		for i := range 10 {
			start := int64(20_000*daySeconds + i*60)
			out = append(out, flow.Record{Interface: iface, Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"),
				SrcPort: uint16(40000 + i), DstPort: 443, Proto: 6, Action: flow.Accept, Start: start, End: start + 59})
		}
		return out
	}
	in := Input{
		Logs:   &ingest.Report{Files: []ingest.File{{Path: "1_vpcflowlogs_eu_fl-b_x.log.gz"}, {Path: "1_vpcflowlogs_eu_fl-a_x.log.gz"}}},
		Result: &engine.Result{Store: store.FromRecords(store.Config{}, append(of("eni-1"), of("eni-2")...))},
	}
	if got := twiceNotes(in); got != nil {
		t.Errorf("once: %q", got)
	}
	in.Result.Store = store.FromRecords(store.Config{}, append(append(of("eni-1"), of("eni-2")...), of("eni-1")...))
	got := strings.Join(twiceNotes(in), "\n")
	for _, want := range []string{"on 1 of 2 interfaces", "(eni-1; 1 day in all, the first 2024-10-04)", "flow logs fl-a, fl-b."} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}
