package analyzer_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// A reason claims no traffic that is not there, nor a lack of evidence that was waived.
func TestReasonsAreTrueInEveryScenario(t *testing.T) {
	files, err := filepath.Glob("../testdata/scenarios/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	unfit, former, masked := 0, 0, 0
	for _, name := range files {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := newScenario(t, ar)
		a := s.run(t, plan.ModeNone)
		for _, v := range a.Verdicts {
			switch {
			case strings.Contains(v.Reason, "fits no rule"):
				if unfit++; s.res.Ledger[flow.Unexplained] == 0 {
					t.Errorf("%s: %s: %s, and nothing is unexplained", name, v.Rule.Ref, v.Reason)
				}
			case strings.Contains(v.Reason, "may have been opened by peers"):
				former++
			case strings.Contains(v.Reason, "all that it would admit"):
				masked++
			}
			if s.opt.UnusedDays == 0 && strings.Contains(v.Reason, "too thin") {
				t.Errorf("%s: %s: %s", name, v.Rule.Ref, v.Reason)
			}
		}
		for _, f := range a.Findings {
			for _, x := range f.Facts {
				if s.opt.NarrowDays == 0 && strings.Contains(x.Value, "too thin") {
					t.Errorf("%s: %s %s: %s", name, f.Check, f.Subject, x.Value)
				}
			}
		}
	}
	if unfit == 0 || former == 0 || masked == 0 {
		t.Errorf("%d rules with traffic that fits none, %d with former peers, %d masked: a kind is missing", unfit, former, masked)
	}
}
