package analyzer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// TestHistoryScenarios runs testdata/history/*.txtar: scenarios as TestScenarios knows
// them, with a past:
//
//	-- policy TIME --  an earlier snapshot
//	-- trail --        recorded changes, as any tool keeps them
//	-- history --      what the past did to the result (wanted)
//	-- reasons --      REF: why its verdict (wanted)
func TestHistoryScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/history/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s, h := newHistoryScenario(t, ar)
			changed := false
			for i := range ar.Files {
				f := &ar.Files[i]
				var got string
				switch f.Name {
				case "history":
					got = s.past(h)
				case "reasons":
					for _, v := range s.run(t, plan.ModeNone).Verdicts {
						if !v.Rule.Implicit {
							got += fmt.Sprintf("%s: %s\n", v.Rule.Ref, v.Reason)
						}
					}
				default:
					if got = s.section(t, f.Name); got == "\x00" {
						continue
					}
				}
				if strings.TrimSpace(string(f.Data)) == strings.TrimSpace(got) {
					continue
				}
				if *update {
					f.Data, changed = []byte(got), true
					continue
				}
				t.Errorf("%s (-want +got):\n%s", f.Name, cmp.Diff(strings.Split(strings.TrimSpace(string(f.Data)), "\n"), strings.Split(strings.TrimSpace(got), "\n")))
			}
			if changed {
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func newHistoryScenario(t *testing.T, ar *txtar.Archive) (*scenario, *policy.History) {
	t.Helper()
	dir := t.TempDir()
	s := &scenario{opt: analyzer.DefaultOptions, runs: make(map[plan.Mode]*analyzer.Analysis)}
	s.opt.NarrowDays, s.opt.UnusedDays, s.opt.MinFidelity = 0, 0, 0
	var paths []string
	var flows string
	var opt cloud.Options
	for i, f := range ar.Files {
		path := filepath.Join(dir, fmt.Sprintf("%d", i))
		kind, when, _ := strings.Cut(f.Name, " ")
		switch kind {
		case "options":
			if _, err := fmt.Sscanf(string(f.Data), "min-days %d", &s.opt.NarrowDays); err != nil {
				t.Fatal(err)
			}
			s.opt.UnusedDays = s.opt.NarrowDays
			continue
		case "flows":
			flows = string(f.Data)
			continue
		case "policy", "trail":
		default:
			continue
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		if when == "" {
			paths = append(paths, path)
			continue
		}
		at, err := time.Parse(time.RFC3339, when)
		if err != nil {
			t.Fatal(err)
		}
		opt.Dated = append(opt.Dated, cloud.DatedPaths{At: at, Paths: []string{path}})
	}
	h, _, err := cloud.ReadHistory(paths, opt)
	if err != nil {
		t.Fatal(err)
	}
	tally := store.NewTally(engine.HistoryConfig(h))
	s.read, err = ingest.Read(context.Background(), []string{"-"}, ingest.Options{Stdin: strings.NewReader(flows), MaxBadRows: -1}, tally)
	if err != nil {
		t.Fatal(err)
	}
	s.res, err = engine.ReplayHistory(context.Background(), tally.Finish(), h, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s, h
}

// past says what the past did to the result.
func (s *scenario) past(h *policy.History) string {
	var b strings.Builder
	for i := range h.Present().Interfaces {
		id := h.Present().Interfaces[i].ID
		for _, c := range h.Cuts(id) {
			fmt.Fprintf(&b, "cut %s %s\n", id, analyzer.Time(c))
		}
	}
	for _, u := range h.Unsettled() {
		fmt.Fprintf(&b, "unsettled %s before %s\n", u.ID, analyzer.Time(u.Before.Unix()))
	}
	if at, ok := h.LostBefore(); ok {
		fmt.Fprintf(&b, "lost before %s\n", analyzer.Time(at.Unix()))
	}
	fmt.Fprintf(&b, "former %d\noutlived %d\n", s.res.Former, s.res.Outlived)
	for _, f := range s.res.Fidelity.Interfaces {
		var causes []string
		for c, n := range f.Causes {
			causes = append(causes, fmt.Sprintf("cause %s %s %d\n", f.Interface, c, n))
		}
		slices.Sort(causes)
		b.WriteString(strings.Join(causes, ""))
	}
	for _, m := range h.Present().Missing {
		if m.What == "history" {
			fmt.Fprintf(&b, "missing: %s\n", m.Effect)
		}
	}
	return b.String()
}
