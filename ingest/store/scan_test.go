package store

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// TestSpans: an interface with rows that say nothing of traffic has an empty span.
func TestSpans(t *testing.T) {
	if got := new(Connections).Spans(); !slices.Equal(got, []int{0}) {
		t.Errorf("no logs: %v", got)
	}
	tally := NewTally(Config{})
	var b Batch
	for _, name := range []string{"eni-3", "eni-1", "eni-3", "eni-1", "eni-1"} {
		b.AppendRow(flow.Record{Interface: name, Proto: flow.TCP, Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 443, DstPort: uint16(1 + b.Len()), Action: flow.Accept, Packets: 1, Start: 1, End: 2})
	}
	for _, name := range []string{"eni-0", "eni-2", "eni-4"} {
		b.AppendRow(flow.Record{Interface: name, Status: flow.StatusNoData, Start: 1, End: 2})
	}
	tally.Worker().Add(&b)
	c := tally.Finish()
	if got := c.Spans(); !slices.Equal(got, []int{0, 0, 3, 3, 5, 5}) {
		t.Errorf("spans of %v: %v", c.Interfaces(), got)
	}
	if got := c.Records(); got != 5 {
		t.Errorf("%d records, want 5", got)
	}
}
