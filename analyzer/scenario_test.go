package analyzer_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

var update = flag.Bool("update", false, "rewrite the wanted sections of scenarios")

// TestScenarios runs testdata/scenarios/*.txtar. A scenario holds a policy, flow log
// lines, and any of these wanted sections:
//
//	-- options --       min-days 14, budget 3, min-fidelity 0 … one a line
//	-- ledger --        dispositions that are not zero
//	-- verdicts --      REF VERDICT hits/decisive/possible
//	-- findings --      CHECK REF: MESSAGE, of the checks about needless rules
//	-- findings all --  the same of all checks but missing-description
//	-- facts CHECK --   REF: NAME: VALUE, what stands behind its findings
//	-- controls --      CHECK REF: the controls, of all checks but missing-description
//	-- plan tidy --     the edits
//	-- plan tighten --
//
// Without options the evidence minimum is waived.
func TestScenarios(t *testing.T) {
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
			s := newScenario(t, ar)
			changed := false
			for i := range ar.Files {
				f := &ar.Files[i]
				want, got := string(f.Data), s.section(t, f.Name)
				if got == "\x00" || strings.TrimSpace(want) == strings.TrimSpace(got) {
					continue
				}
				if *update {
					f.Data, changed = []byte(got), true
					continue
				}
				t.Errorf("%s (-want +got):\n%s", f.Name, cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), strings.Split(strings.TrimSpace(got), "\n")))
			}
			s.requireNoMoreRows(t)
			if changed {
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type scenario struct {
	read *ingest.Report // its bad rows count against confidence
	res  *engine.Result
	opt  analyzer.Options
	runs map[plan.Mode]*analyzer.Analysis
}

func newScenario(t *testing.T, ar *txtar.Archive) *scenario {
	t.Helper()
	s := &scenario{opt: analyzer.DefaultOptions, runs: make(map[plan.Mode]*analyzer.Analysis)}
	s.opt.NarrowDays, s.opt.UnusedDays = 0, 0
	section := func(name string) string {
		for _, f := range ar.Files {
			if f.Name == name {
				return string(f.Data)
			}
		}
		return ""
	}
	for line := range strings.Lines(section("options")) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatalf("option %q", line)
		}
		switch k {
		case "min-days":
			s.opt.NarrowDays, s.opt.UnusedDays = int(n), int(n)
		case "budget":
			s.opt.Budget = int(n)
		case "min-fidelity":
			s.opt.MinFidelity = n
		default:
			t.Fatalf("option %q", line)
		}
	}
	snap, err := cloud.ParseText("policy", []byte(section("policy")))
	if err != nil {
		t.Fatal(err)
	}
	tally := store.NewTally(engine.StoreConfig(snap))
	s.read, err = ingest.Read(context.Background(), []string{"-"}, ingest.Options{Stdin: strings.NewReader(section("flows")), MaxBadRows: -1}, tally)
	if err != nil {
		t.Fatal(err)
	}
	s.res, err = engine.Replay(context.Background(), tally.Finish(), snap, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scenario) run(t *testing.T, mode plan.Mode) *analyzer.Analysis {
	t.Helper()
	if s.runs[mode] == nil {
		opt := s.opt
		opt.Mode = mode
		opt.Unread = s.read.Ledger.Total()
		a, err := analyzer.Run(context.Background(), s.res, opt)
		if err != nil {
			t.Fatal(err)
		}
		s.runs[mode] = a
	}
	return s.runs[mode]
}

// requireNoMoreRows replays and runs the checks once more, with the rows given back on the
// way: they find the same. Nothing can be replayed after it.
func (s *scenario) requireNoMoreRows(t *testing.T) {
	t.Helper()
	want := s.run(t, plan.ModeNone)
	opt := s.opt
	opt.Mode, opt.DropRows, opt.Unread = plan.ModeNone, true, s.read.Ledger.Total()
	h := s.res.History
	if h == nil {
		h = policy.HistoryOf(s.res.Snapshot)
	}
	res, err := engine.ReplayReleasing(context.Background(), s.res.Store, h, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := analyzer.Run(context.Background(), res, opt)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.res.Store.Len(); n > 0 {
		t.Errorf("%d rows are left", n)
	}
	if !reflect.DeepEqual(got.Findings, want.Findings) || !reflect.DeepEqual(got.Verdicts, want.Verdicts) {
		t.Error("without the rows other things are found")
	}
}

// needless are the checks that the section findings shows.
var needless = []string{"unused-rule", "redundant-rule", "shadowed-rule", "duplicate-rule", "mergeable-rules", "dead-reference", "unattached-group"}

func (s *scenario) section(t *testing.T, name string) string {
	t.Helper()
	var b strings.Builder
	switch name {
	case "ledger":
		l := s.res.Ledger
		l.Merge(&s.read.Ledger)
		for d, n := range l {
			if n > 0 {
				fmt.Fprintf(&b, "%s %d\n", flow.Disposition(d), n)
			}
		}
	case "verdicts":
		for _, v := range s.run(t, plan.ModeNone).Verdicts {
			if v.Rule.Implicit && v.Usage.Hits+v.Usage.Possible == 0 {
				continue
			}
			fmt.Fprintf(&b, "%s %s %d/%d/%d\n", v.Rule.Ref, v.Verdict, v.Usage.Hits, v.Usage.Decisive, v.Usage.Possible)
		}
	case "findings", "findings all":
		var lines []string
		for _, f := range s.run(t, plan.ModeNone).Findings {
			if name == "findings" && !slices.Contains(needless, f.Check) || f.Check == "missing-description" {
				continue
			}
			subject := f.Subject.String()
			if f.Subject.Rule == "" {
				subject = f.Subject.Owner
			}
			lines = append(lines, fmt.Sprintf("%s %s: %s\n", f.Check, subject, f.Message))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	case "plan tidy", "plan tighten":
		p := s.run(t, plan.Mode(strings.TrimPrefix(name, "plan "))).Plan
		if !p.Proof.Holds() {
			t.Errorf("proof does not hold: %s", p.Proof.Witness)
		}
		for _, e := range p.Edits {
			fmt.Fprintf(&b, "%s %s (%s)\n", e.Op, e.Rule, e.Basis)
			for _, w := range e.With {
				fmt.Fprintf(&b, "  %s %s %s %s\n", w.Direction, w.Protocol(), w.Ports(), w.Peer())
			}
		}
		for _, d := range p.Declined {
			if d.Rule.IsZero() {
				fmt.Fprintf(&b, "declined: %s\n", d.Reason)
			}
		}
	case "controls":
		for _, f := range s.run(t, plan.ModeNone).Findings {
			if f.Check != "missing-description" {
				fmt.Fprintf(&b, "%s %s: %s\n", f.Check, f.Subject, strings.Join(f.Controls, " "))
			}
		}
	default:
		check, ok := strings.CutPrefix(name, "facts ")
		if !ok {
			return "\x00"
		}
		for _, f := range s.run(t, plan.ModeNone).Findings {
			for _, fact := range f.Facts {
				if f.Check == check {
					fmt.Fprintf(&b, "%s: %s: %s\n", f.Subject, fact.Name, fact.Value)
				}
			}
		}
	}
	return b.String()
}
