package analyzer_test

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sgadvise/sgadvise/analyzer/plan"
)

// A record that could not be read may have been the only use of a rule.
func TestUnreadRecordsLowerConfidence(t *testing.T) {
	const policy = "-- policy --\ninterface eni-1 10.0.0.5 sg-1\ngroup sg-1\n" +
		"  sgr-1 ingress tcp 443 from 10.0.0.0/8\n  sgr-2 ingress tcp 22 from 10.0.0.0/8\n-- flows --\n"
	var good strings.Builder
	for day := range 42 {
		start := 1700000000 + 86400*day
		for _, ends := range []string{"10.1.2.3 10.0.0.5 49152 443", "10.0.0.5 10.1.2.3 443 49152"} {
			for range 3 {
				good.WriteString("2 123456789010 eni-1 " + ends + " 6 10 840 " + strconv.Itoa(start) + " " + strconv.Itoa(start+60) + " ACCEPT OK\n")
			}
		}
	}
	bad := "2 123456789010 eni-1 10.1.2.3 10.0.0.5 49152 70000 6 10 840 1700000000 1700000060 ACCEPT OK\n"
	for _, tc := range []struct {
		bad  int
		want plan.Confidence
	}{{0, plan.High}, {1, plan.Medium}, {5, plan.Low}} {
		s := newScenario(t, txtar.Parse([]byte(policy+good.String()+strings.Repeat(bad, tc.bad))))
		edits := s.run(t, plan.ModeTighten).Plan.Edits
		for _, e := range edits {
			if e.Confidence != tc.want {
				t.Errorf("%d bad rows: %s %s is %s, want %s", tc.bad, e.Op, e.Rule, e.Confidence, tc.want)
			}
		}
		if len(edits) != 2 {
			t.Errorf("%d bad rows: %d edits, want 2", tc.bad, len(edits))
		}
	}
}
