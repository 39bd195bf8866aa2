package catalog

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestTrafficOfTwoFlowLogsIsNamed ingests the same records of two flow logs, in two runs, the
// second time compressed, in another order and cut into other files.
func TestTrafficOfTwoFlowLogsIsNamed(t *testing.T) {
	twice := func(w *world) string {
		info, err := w.open().Info(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, i := range info.Interfaces {
			out = append(out, fmt.Sprint(i.Interface, i.Twice))
		}
		return strings.Join(out, " ")
	}
	w := newWorld(t)
	one, other := lines(5, 0, 200), lines(6, 1, 200)
	put(t, w.log("1_vpcflowlogs_eu_fl-1.log"), one)
	put(t, w.log("2_vpcflowlogs_eu_fl-1.log"), other)
	w.ingest()
	if got := twice(w); got != "eni-0[] eni-1[] eni-2[]" {
		t.Errorf("of one flow log: %s", got)
	}
	rows := strings.SplitAfter(one, "\n")
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	put(t, w.log("1_vpcflowlogs_eu_fl-2.log.gz"), gz(strings.Join(rows[:70], ""), 6))
	put(t, w.log("2_vpcflowlogs_eu_fl-2.log.gz"), gz(strings.Join(rows[70:], ""), 6))
	w.ingest()
	day := dayText(day0)
	want := fmt.Sprintf("eni-0[%s] eni-1[%s] eni-2[%s]", day, day, day)
	if got := twice(w); got != want {
		t.Errorf("of two flow logs: %s, want %s", got, want)
	}
	w.gives(config)
	s := w.open()
	if _, err := s.Compact(context.Background(), 2, now); err != nil {
		t.Fatal(err)
	}
	if got := twice(w); got != want {
		t.Errorf("after compact: %s, want %s", got, want)
	}
}
