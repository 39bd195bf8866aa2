package analyzer_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/analyzer/suppress"
	"github.com/sgadvise/sgadvise/engine/policy"
)

var (
	today    = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	tomorrow = today.AddDate(0, 0, 1)
)

// accepting runs s with entries.
func (s *scenario) accepting(t *testing.T, mode plan.Mode, entries ...suppress.Entry) *analyzer.Analysis {
	t.Helper()
	opt := s.opt
	opt.Mode, opt.Unread, opt.Suppress, opt.Now = mode, s.read.Ledger.Total(), entries, today
	a, err := analyzer.Run(context.Background(), s.res, opt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func eachScenario(t *testing.T, f func(t *testing.T, s *scenario)) {
	files, err := filepath.Glob("../testdata/scenarios/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f(t, newScenario(t, ar))
		})
	}
}

func editOf(p *plan.Plan, ref policy.Ref) *plan.Edit {
	for i := range p.Edits {
		if p.Edits[i].Rule == ref {
			return &p.Edits[i]
		}
	}
	return nil
}

// Whatever finding is suppressed: it is still there and as grave, its rule is in no edit,
// the plan says why, and its proof holds.
func TestASuppressedFindingStaysAndItsRuleToo(t *testing.T) {
	tried := 0
	eachScenario(t, func(t *testing.T, s *scenario) {
		plain := s.run(t, plan.ModeTighten)
		seen := map[string]bool{}
		for i := range plain.Findings {
			f := &plain.Findings[i]
			touched := editOf(plain.Plan, f.Subject) != nil
			if seen[f.Check] && !touched || testing.Short() && !touched {
				continue
			}
			seen[f.Check] = true
			tried++
			got := s.accepting(t, plan.ModeTighten, suppress.Entry{ID: f.ID, Reason: "wanted", Expires: tomorrow})
			at := slices.IndexFunc(got.Findings, func(x analyzer.Finding) bool { return x.ID == f.ID })
			if at < 0 || got.Findings[at].Suppressed == nil {
				t.Errorf("%s %s is gone or counts", f.Check, f.Subject)
				continue
			}
			if is := got.Findings[at].Severity; is.AtLeast(f.Severity) != true {
				t.Errorf("%s %s is %s, was %s", f.Check, f.Subject, is, f.Severity)
			}
			if !got.Plan.Proof.Holds() {
				t.Errorf("%s %s: the proof fails: %s", f.Check, f.Subject, got.Plan.Proof.Witness)
			}
			if f.Subject.Rule == "" || f.Check == "missing-description" {
				continue
			}
			if e := editOf(got.Plan, f.Subject); e != nil {
				t.Errorf("%s %s: the plan holds a %s of its rule", f.Check, f.Subject, e.Op)
			}
			if _, ok := got.Plan.Planned.RuleIndex(f.Subject); !ok {
				t.Errorf("%s %s: the rule is not in the planned policy", f.Check, f.Subject)
			}
			said := slices.ContainsFunc(got.Plan.Declined, func(d plan.Declined) bool {
				return d.Rule == f.Subject && strings.Contains(d.Reason, "suppressed until 2026-06-02: wanted")
			})
			if touched && !said {
				t.Errorf("%s %s: declined does not say why: %v", f.Check, f.Subject, got.Plan.Declined)
			}
		}
	})
	if tried < 50 {
		t.Errorf("tried %d findings only", tried)
	}
}

// With every check suppressed no rule of a finding is touched: also those that are found
// by the plan alone.
func TestWithEverythingAcceptedThePlanIsEmpty(t *testing.T) {
	var all []suppress.Entry
	for _, name := range analyzer.CheckNames() {
		all = append(all, suppress.Entry{Check: name, Reason: "wanted", Expires: tomorrow})
	}
	eachScenario(t, func(t *testing.T, s *scenario) {
		for _, mode := range []plan.Mode{plan.ModeTidy, plan.ModeTighten} {
			got := s.accepting(t, mode, all...)
			for i := range got.Findings {
				if got.Findings[i].Suppressed == nil {
					t.Errorf("%s: %s %s counts", mode, got.Findings[i].Check, got.Findings[i].Subject)
				}
			}
			if n := len(got.Plan.Edits); n > 0 {
				t.Errorf("%s: %d edits, first of %s", mode, n, got.Plan.Edits[0].Rule)
			}
		}
	})
}

// An entry that has expired changes nothing but that the finding says so.
func TestWhatHasExpiredCountsAgain(t *testing.T) {
	eachScenario(t, func(t *testing.T, s *scenario) {
		plain := s.run(t, plan.ModeTighten)
		if len(plain.Findings) == 0 {
			return
		}
		var old []suppress.Entry
		for _, name := range analyzer.CheckNames() {
			old = append(old, suppress.Entry{Check: name, Reason: "wanted", Expires: today.Add(-time.Second)})
		}
		got := s.accepting(t, plan.ModeTighten, old...)
		if d := cmp.Diff(len(plain.Plan.Edits), len(got.Plan.Edits)); d != "" {
			t.Errorf("edits: %s", d)
		}
		for i := range got.Findings {
			f, was := &got.Findings[i], &plain.Findings[i]
			last := f.Facts[len(f.Facts)-1]
			if f.ID != was.ID || f.Severity != was.Severity || f.Suppressed != nil || f.Lapsed == nil ||
				last != (analyzer.Fact{Name: "suppression expired", Value: "2026-05-31T23:59:59Z: wanted"}) {
				t.Errorf("%s %s: suppressed %v, lapsed %v, last fact %v", f.Check, f.Subject, f.Suppressed, f.Lapsed, last)
			}
		}
		for _, a := range got.Accepted {
			n := 0
			for i := range plain.Findings {
				if plain.Findings[i].Check == a.Entry.Check {
					n++
				}
			}
			if !a.Expired || len(a.Findings) != n {
				t.Errorf("%s: expired %v, about %d findings, want %d", a.Entry.Check, a.Expired, len(a.Findings), n)
			}
		}
	})
}

// Of entries about one finding one that holds counts before one that has expired, and
// all that hold are about it.
func TestOneEntryThatHoldsIsEnough(t *testing.T) {
	ar, err := txtar.ParseFile("../testdata/scenarios/acl_redundant_lines.txtar")
	if err != nil {
		t.Fatal(err)
	}
	s := newScenario(t, ar)
	f := s.run(t, plan.ModeTighten).Findings[0]
	got := s.accepting(t, plan.ModeTighten,
		suppress.Entry{ID: f.ID, Reason: "old", Expires: today.Add(-time.Second)},
		suppress.Entry{Check: f.Check, Reason: "first", Expires: today},
		suppress.Entry{Check: f.Check, Group: f.Subject.Owner, Reason: "second"},
		suppress.Entry{Check: f.Check, Group: "elsewhere", Reason: "third"})
	at := slices.IndexFunc(got.Findings, func(x analyzer.Finding) bool { return x.ID == f.ID })
	if x := got.Findings[at]; x.Suppressed == nil || x.Suppressed.Reason != "first" || x.Lapsed != nil {
		t.Errorf("suppressed by %v, lapsed %v", x.Suppressed, x.Lapsed)
	}
	for i, want := range []bool{false, true, true, false} {
		if about := slices.Contains(got.Accepted[i].Findings, f.ID); about != want {
			t.Errorf("entry %d is about it: %v", i, about)
		}
	}
}
