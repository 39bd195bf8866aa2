package report

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/analyzer/suppress"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/store"
)

const tiers = `
interface eni-1 10.0.0.5 sg-web subnet=subnet-1 vpc=vpc-1
interface eni-2 10.0.0.6 sg-web subnet=subnet-1 vpc=vpc-1
interface eni-3 10.0.0.7 sg-db subnet=subnet-1 vpc=vpc-1
group sg-web vpc=vpc-1 name=web
  sgr-1 ingress tcp 443 from 0.0.0.0/0 "the shop"
  sgr-2 ingress tcp 3389 from 0.0.0.0/0
  sgr-3 ingress tcp 0-9000 from 10.0.0.0/8
group sg-db vpc=vpc-1 name=db
  sgr-4 ingress tcp 5432 from sg-web
subnet subnet-1 10.0.0.0/24 vpc=vpc-1
acl acl-1 subnets=subnet-1 vpc=vpc-1 default
  100 ingress allow all from 0.0.0.0/0
  100 egress allow all to 0.0.0.0/0
`

// start is the first second of the logs below, at midnight.
var start = time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC).Unix()

// tierLines is a month of traffic on eni-1 and of lost records on eni-2; eni-3 is
// silent, eni-9 is of another account.
func tierLines() []string {
	var lines []string
	add := func(day int64, format string, args ...any) {
		at := start + day*daySeconds
		lines = append(lines, fmt.Sprintf("2 123456789012 "+fmt.Sprintf(format, args...), at, at+60))
	}
	for day := range int64(30) {
		for peer := range 20 {
			add(day, "eni-1 198.51.%d.9 10.0.0.5 %d 443 6 10 840 %%d %%d ACCEPT OK", peer, 40000+peer)
			add(day, "eni-1 10.0.0.5 198.51.%d.9 443 %d 6 10 840 %%d %%d ACCEPT OK", peer, 40000+peer)
		}
		add(day, "eni-1 10.0.0.40 10.0.0.5 41000 8080 6 10 840 %%d %%d ACCEPT OK")
		if day < 10 || day > 12 {
			add(day, "eni-2 - - - - - - - %%d %%d - NODATA")
		}
	}
	add(20, "eni-2 - - - - - - - %%d %%d - SKIPDATA")
	add(3, "eni-9 10.9.0.1 10.9.0.2 41000 80 6 10 840 %%d %%d ACCEPT OK")
	add(4, "eni-1 198.51.100.1 10.0.0.5 41000 99999 6 10 840 %%d %%d ACCEPT OK")
	return lines
}

type pipeline struct {
	workers int
	mode    plan.Mode
	min     float64
}

// wishes are what a run is asked for besides.
type wishes struct {
	accepted   []suppress.Entry
	frameworks []string
}

// run does the whole analysis of lines, written to files of n lines.
func run(t *testing.T, policyText string, lines []string, n int, p pipeline) *Report {
	t.Helper()
	return runWith(t, policyText, lines, n, p, wishes{})
}

func runWith(t *testing.T, policyText string, lines []string, n int, p pipeline, w wishes) *Report {
	t.Helper()
	dir := t.TempDir()
	for i, part := range slices.Collect(slices.Chunk(lines, n)) {
		name := filepath.Join(dir, fmt.Sprintf("part-%03d.log", i))
		if err := os.WriteFile(name, []byte(strings.Join(part, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := cloud.ParseText("policy", []byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	cfg := engine.StoreConfig(snap)
	cfg.Workers = p.workers
	tally := store.NewTally(cfg)
	read, err := ingest.Read(context.Background(), []string{dir}, ingest.Options{Workers: p.workers, MaxBadRows: -1}, tally)
	if err != nil {
		t.Fatal(err)
	}
	res, err := engine.Replay(context.Background(), tally.Finish(), snap, p.workers)
	if err != nil {
		t.Fatal(err)
	}
	opt := analyzer.DefaultOptions
	opt.Mode, opt.MinFidelity, opt.Workers, opt.Suppress = p.mode, p.min, p.workers, w.accepted
	a, err := analyzer.Run(context.Background(), res, opt)
	if err != nil {
		t.Fatal(err)
	}
	return Build(Input{
		Tool: Tool{"sgadvise", "test"}, Now: time.Unix(start+31*daySeconds, 0), Logs: read, Result: res, Analysis: a,
		Policy:   []cloud.Input{{Path: "z.txt", Kind: "text:rules", Digest: "sha256:00"}, {Path: "a.txt", Kind: cloud.Ignored}},
		Settings: Settings{Mode: string(p.mode), MinDaysNarrow: opt.NarrowDays, MinDaysUnused: opt.UnusedDays, MinFidelity: p.min, MaxBadRows: -1},
		Notes:    []string{"a note of the caller"},

		Frameworks: w.frameworks,
	})
}

func TestBuildGivesAnAccountOfEverything(t *testing.T) {
	r := run(t, tiers, tierLines(), 2000, pipeline{1, plan.ModeTighten, 0.9})
	if err := compileSchema(t).Validate(decode(t, encode(t, r))); err != nil {
		t.Error(err)
	}

	// The ledger adds up to the lines.
	sum := uint64(0)
	for _, c := range r.Ledger.Dispositions.list() {
		sum += c.N
	}
	if sum != r.Ledger.Records || sum != uint64(len(tierLines())) || r.Inputs.Logs[0].Records != sum {
		t.Errorf("%d in the dispositions, %d records, %d lines, %d in the inputs", sum, r.Ledger.Records, len(tierLines()), r.Inputs.Logs[0].Records)
	}
	d := r.Ledger.Dispositions
	if d.Malformed != 1 || d.Unscoped != 1 || d.SkipData != 1 || d.NoData != 27 {
		t.Errorf("dispositions %+v", d)
	}
	if len(r.Ledger.Samples) != 1 || !strings.HasSuffix(r.Ledger.Samples[0].Path, "part-000.log") || r.Ledger.Samples[0].Line == 0 {
		t.Errorf("samples %+v", r.Ledger.Samples)
	}
	if f := r.Fidelity; f.Judged != d.Permitted+d.Reply+d.Blocked+d.Unexplained+d.Contradicted || f.Agree != d.Permitted+d.Reply+d.Blocked {
		t.Errorf("fidelity %+v does not follow from the ledger", f)
	}
	oriented := uint64(0)
	for _, o := range r.Orientation {
		oriented += o.Records
	}
	if r.Orientation[0].Method != "flags" || r.Orientation[len(r.Orientation)-1].Method != "undecided" || oriented == 0 {
		t.Errorf("orientation %+v", r.Orientation)
	}

	// Coverage: 3 interfaces of the policy over 30 days; eni-2 lacks 3 days and lost
	// records on one, eni-3 has none at all, eni-9 is not counted.
	if c := r.Coverage; c.InterfaceDays != 90 || c.CoveredDays != 30+26 {
		t.Errorf("%d of %d interface-days", c.CoveredDays, c.InterfaceDays)
	}
	var kinds []string
	for _, c := range r.Coverage.Interfaces {
		for _, g := range c.Gaps {
			kinds = append(kinds, c.Interface+" "+g.text())
		}
	}
	want := []string{"eni-2 no record from 2025-03-11 to 2025-03-13", "eni-2 records lost 2025-03-21 00:00 to 2025-03-21 00:01", "eni-3 no record from 2025-03-01 to 2025-03-30"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}

	if diff := cmp.Diff([]Skipped{{"a.txt", "holds no policy that is known"}}, r.Inputs.Skipped); diff != "" || len(r.Inputs.Policy) != 1 {
		t.Errorf("inputs: %s", diff)
	}
	if r.Notes[len(r.Notes)-1] != "a note of the caller" {
		t.Errorf("notes %q", r.Notes)
	}
	for _, part := range []string{"no record of 1 interface of the policy", "gaps on 1 interface", "lacks 1 interface of the logs; 1 record ", "Not readable: 1 record"} {
		if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, part) }) {
			t.Errorf("no note says %q: %q", part, r.Notes)
		}
	}
	if want := "2 security groups and 1 network ACL of vpc-1, on 3 interfaces"; r.Summary.Scope != want {
		t.Errorf("scope %q, want %q", r.Summary.Scope, want)
	}
	if want := (Group{"sg-web", "web", "security-group", "vpc-1", 2, 3, r.Groups[2].Edits}); r.Groups[2] != want {
		t.Errorf("group %+v", r.Groups[2])
	}
}

func TestBuildPutsEverythingInOrder(t *testing.T) {
	r := run(t, tiers, tierLines(), 2000, pipeline{1, plan.ModeTighten, 0.9})
	if !slices.IsSortedFunc(r.Rules, func(a, b Rule) int { return strings.Compare(a.Group+"\x00"+a.Rule, b.Group+"\x00"+b.Rule) }) {
		t.Error("rules are not by ref")
	}
	if !slices.IsSortedFunc(r.Coverage.Interfaces, func(a, b InterfaceCoverage) int { return strings.Compare(a.Interface, b.Interface) }) {
		t.Error("interfaces are not in order")
	}
	rank := map[string]int{"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
	key := func(f Finding) string { return fmt.Sprint(rank[f.Severity], f.Check, "\x00", f.Ref) }
	if !slices.IsSortedFunc(r.Findings, func(a, b Finding) int { return strings.Compare(key(a), key(b)) }) {
		t.Error("findings are not by severity, check, ref")
	}
	verdicts, declared := uint64(0), 0
	for _, c := range r.Summary.Verdicts.list() {
		verdicts += c.N
	}
	for _, x := range r.Rules {
		if !x.Implicit {
			declared++
		}
		if x.Ref != x.Group+"/"+x.Rule || x.Priority < 1 {
			t.Errorf("rule %+v", x)
		}
	}
	if int(verdicts) != declared || r.Summary.Rules != declared || r.Summary.Rules+r.Summary.Implicit != len(r.Rules) {
		t.Errorf("%d verdicts, %d declared rules, summary %+v", verdicts, declared, r.Summary)
	}
	byID := map[string]Finding{}
	for _, f := range r.Findings {
		byID[f.ID] = f
	}
	for _, e := range r.Plan.Edits {
		if f := byID[string(e.Finding)]; f.Check != e.Check || f.Ref != e.Ref {
			t.Errorf("edit of %s answers %+v", e.Ref, f)
		}
	}
}

// The same traffic in other files, in another order, on more workers, is the same
// report but for the inputs and the places of samples.
func TestBuildDoesNotDependOnFilesOrderAndWorkers(t *testing.T) {
	lines := tierLines()
	want := run(t, tiers, lines, 2000, pipeline{1, plan.ModeTighten, 0.9})
	slices.Reverse(lines)
	got := run(t, tiers, lines, 77, pipeline{4, plan.ModeTighten, 0.9})
	for _, r := range []*Report{want, got} {
		r.Inputs.Logs, r.Ledger.Samples = nil, nil
	}
	if d := cmp.Diff(string(encode(t, want)), string(encode(t, got))); d != "" {
		t.Error(d)
	}
}

func TestAnswers(t *testing.T) {
	reject := []string{
		fmt.Sprintf("2 123456789012 eni-1 198.51.100.1 10.0.0.5 41000 22 6 10 840 %d %d REJECT OK", start, start+60),
		fmt.Sprintf("2 123456789012 eni-1 198.51.100.1 10.0.0.5 41000 23 6 10 840 %d %d REJECT OK", start+29*daySeconds, start+30*daySeconds),
	}
	// Accepted, though no rule allows it.
	var foreign []string
	for i := range 1300 {
		foreign = append(foreign, fmt.Sprintf("2 123456789012 eni-3 198.51.100.1 10.0.0.7 %d 22 6 10 840 %d %d ACCEPT OK", 40000+i, start+86400, start+86460))
	}
	for _, c := range []struct {
		name    string
		lines   []string
		p       pipeline
		outcome string
		starts  string
	}{
		{"gaps hold everything back", tierLines(), pipeline{1, plan.ModeTighten, 0.9}, OutcomeKeep, "No change is proposed: on this evidence"},
		{"edits", complete(tierLines()), pipeline{1, plan.ModeTighten, 0.9}, OutcomeChange, "2 rules can be removed and "},
		{"infidelity", append(tierLines(), foreign...), pipeline{1, plan.ModeTighten, 0.9}, OutcomeDeclined, "No change is proposed: "},
		{"tidy", tierLines(), pipeline{1, plan.ModeTidy, 0.9}, OutcomeKeep, "No change is proposed: every edit would change what is permitted."},
		{"nothing asked for", tierLines(), pipeline{1, plan.ModeNone, 0.9}, OutcomeNoPlan, ""},
		{"REJECT only", reject, pipeline{1, plan.ModeTighten, 0.9}, OutcomeRejectOnly, "The logs hold rejected traffic only."},
	} {
		r := run(t, tiers, c.lines, 1000, c.p)
		if r.Summary.Outcome != c.outcome || !strings.HasPrefix(r.Summary.Headline, c.starts) {
			t.Errorf("%s: %s: %s", c.name, r.Summary.Outcome, r.Summary.Headline)
		}
		text := render(t, func(b *bytes.Buffer) error { return Text(b, r, Options{Width: 400}) })
		if !strings.HasPrefix(text, r.Summary.Headline) {
			t.Errorf("%s: the text starts with %.60q", c.name, text)
		}
	}
}

// complete fills the gaps of lines and lets eni-3 speak.
func complete(lines []string) []string {
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, " eni-2 ") })
	for day := range int64(30) {
		for _, id := range []string{"eni-2", "eni-3"} {
			lines = append(lines, fmt.Sprintf("2 123456789012 %s - - - - - - - %d %d - NODATA", id, start+day*daySeconds, start+day*daySeconds+60))
		}
	}
	return lines
}

func TestHeadlineCountsEdits(t *testing.T) {
	edit := func(op, basis string, with int) Edit { return Edit{Op: op, Basis: basis, With: make([]NewRule, with)} }
	for _, c := range []struct {
		edits []Edit
		want  string
	}{
		{[]Edit{edit("remove", "observed", 0)}, "1 rule can be removed."},
		{[]Edit{edit("replace", "observed", 1)}, "1 rule can be replaced by 1 narrower one."},
		{[]Edit{edit("replace", "equivalent", 1), edit("remove", "equivalent", 0)}, "1 rule can be removed and 1 replaced by 1 equivalent one."},
		{[]Edit{edit("remove", "observed", 0), edit("remove", "observed", 0), edit("replace", "observed", 2), edit("replace", "equivalent", 1)},
			"2 rules can be removed and 2 replaced by 3 narrower ones."},
		{[]Edit{edit("add", "equivalent", 1)}, "1 rule added."},
	} {
		r := &Report{Plan: Plan{Mode: "tighten", Edits: c.edits}}
		if got := summarize(r, false).Headline; got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	r := &Report{Plan: Plan{Mode: "tighten", Declined: []Declined{{Reason: "fidelity 0.8 is below 0.9"}}}}
	if got, want := summarize(r, false).Headline, "No change is proposed: fidelity 0.8 is below 0.9."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGapDaysCountsEachDayOnce(t *testing.T) {
	day := func(d, hour int64) Time { return Time(d*daySeconds + hour*3600) }
	for _, c := range []struct {
		name string
		gaps []Gap
		want int
	}{
		{"none", nil, 0},
		{"whole days", []Gap{{day(10, 0), day(12, 0), GapNoRecord}}, 2},
		{"two in a day", []Gap{{day(10, 1), day(10, 2), GapSkipData}, {day(10, 3), day(10, 4), GapSkipData}}, 1},
		{"over midnight", []Gap{{day(10, 23), day(11, 1), GapSkipData}}, 2},
		{"up to midnight", []Gap{{day(10, 23), day(11, 0), GapSkipData}}, 1},
		{"an instant at midnight", []Gap{{day(10, 0), day(10, 0), GapSkipData}}, 1},
		{"overlapping", []Gap{{day(10, 0), day(12, 0), GapNoRecord}, {day(11, 5), day(11, 6), GapSkipData}}, 2},
		{"inside a longer one", []Gap{{day(9, 0), day(14, 0), GapNoRecord}, {day(10, 0), day(10, 1), GapSkipData}, {day(15, 0), day(15, 1), GapSkipData}}, 6},
		{"beyond the window", []Gap{{day(1, 0), day(3, 0), GapNoRecord}, {day(19, 0), day(30, 0), GapNoRecord}}, 2},
	} {
		if got := gapDays(c.gaps, 5, 20); got != c.want {
			t.Errorf("%s: %d days, want %d", c.name, got, c.want)
		}
	}
}

func TestRefOfAGroupHasNoSlash(t *testing.T) {
	for want, ref := range map[string]policy.Ref{"": {}, "sg-1": {Owner: "sg-1"}, "sg-1/sgr-1": {Owner: "sg-1", Rule: "sgr-1"}} {
		if got := refText(ref); got != want {
			t.Errorf("refText(%v) = %q, want %q", ref, got, want)
		}
	}
}
