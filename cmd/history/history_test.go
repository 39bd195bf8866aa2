package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/cmd/lock"
	"github.com/sgadvise/sgadvise/report"
)

var start = time.Date(2026, 6, 1, 2, 30, 0, 0, time.UTC)

func open(t *testing.T, dir string) *History {
	t.Helper()
	h, err := Open(dir, "test", start)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// run makes a complete run on day n with that policy.
func run(t *testing.T, h *History, n int, policy string) Line {
	t.Helper()
	at := start.AddDate(0, 0, n)
	l := Line{ID: h.NewID(at), Started: at, Policy: policy, Trend: &report.TrendPoint{Run: report.TimeOf(at)}}
	packed, err := Pack(&report.Report{Schema: report.SchemaName, Created: report.TimeOf(at)})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		h.WritePolicy(policy, []File{{Name: "0000/p.json", Body: []byte(policy)}}),
		h.WriteRun(l.ID, []File{{Name: ReportFile, Body: packed}, {Name: StateFile, Body: []byte("{}")}}),
		h.Append(l),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func ids(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestRunsAreReadBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "history")
	h := open(t, dir)
	first, second := run(t, h, 0, "a"), run(t, h, 0, "a")
	if first.ID != "20260601T023000Z" || second.ID != "20260601T023000Z-2" {
		t.Errorf("the ids are %s and %s", first.ID, second.ID)
	}
	h.Close()
	lines, err := ReadLines(dir)
	if err != nil || len(lines) != 2 || lines[1].ID != second.ID || Last(lines).ID != second.ID {
		t.Fatalf("%+v, %v", lines, err)
	}
	doc, err := ReadReport(dir, second.ID)
	if err != nil || doc.Created != report.TimeOf(start) {
		t.Errorf("%+v, %v", doc, err)
	}
	if _, err := ReadState(dir, second.ID); err != nil {
		t.Error(err)
	}
}

// TestACutAtAnyPlaceLeavesTheLastRun ends a run after each of the things that it writes,
// and in the middle of them.
func TestACutAtAnyPlaceLeavesTheLastRun(t *testing.T) {
	for name, cut := range map[string]func(dir string) error{
		"in a policy": func(dir string) error {
			return os.MkdirAll(filepath.Join(dir, policyDir, unfinished+"b", "0000"), 0o777)
		},
		"in the folder of the run": func(dir string) error {
			return os.MkdirAll(filepath.Join(dir, runsDir, unfinished+"20260602T023000Z"), 0o777)
		},
		"before the line":  func(dir string) error { return os.MkdirAll(filepath.Join(dir, runsDir, "20260602T023000Z"), 0o777) },
		"inside the line":  func(dir string) error { return appendTo(dir, `{"schema":"sgadvise.run/1","id":"2026`) },
		"before its end":   func(dir string) error { return appendTo(dir, `{"schema":"sgadvise.run/1","id":"20260602T023000Z"}`) },
		"before the first": func(string) error { return nil },
	} {
		dir := t.TempDir()
		h := open(t, dir)
		first := run(t, h, 0, "a")
		h.Close()
		if err := cut(dir); err != nil {
			t.Fatal(err)
		}
		h = open(t, dir)
		if len(h.Lines) != 1 || Last(h.Lines).ID != first.ID {
			t.Errorf("%s: the lines are %+v", name, h.Lines)
		}
		if got := ids(t, filepath.Join(dir, runsDir)); !slices.Equal(got, []string{first.ID}) {
			t.Errorf("%s: the runs are %v", name, got)
		}
		if got := ids(t, filepath.Join(dir, policyDir)); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%s: the policies are %v", name, got)
		}
		second := run(t, h, 1, "b")
		h.Close()
		lines, err := ReadLines(dir)
		if err != nil || len(lines) != 2 || lines[1].ID != second.ID {
			t.Errorf("%s: the history goes on as %+v, %v", name, lines, err)
		}
	}
}

func appendTo(dir, text string) error {
	return writeSynced(filepath.Join(dir, linesFile), []byte(text), os.O_APPEND)
}

func TestLinesThatAreNoneNameTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"{}\n":                                 `history.jsonl:1: schema "", this version reads sgadvise.run/1`,
		"{\"schema\":\"sgadvise.run/1\"}\nx\n": "history.jsonl:2: it is not a line of the history",
		"{\"schema\":\"sgadvise.run/2\"}\n":    `history.jsonl:1: schema "sgadvise.run/2"`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, linesFile), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLines(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if _, err := Open(dir, "test", start); err == nil {
			t.Errorf("%q: it was opened, and would be written to", text)
		}
		if body, _ := os.ReadFile(filepath.Join(dir, linesFile)); string(body) != text {
			t.Errorf("%q became %q", text, body)
		}
	}
}

func TestASecondWriterIsTurnedAway(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	var held *lock.HeldError
	if _, err := Open(dir, "test", start); !errors.As(err, &held) {
		t.Errorf("the second one gets %v", err)
	}
	if _, err := ReadLines(dir); err != nil {
		t.Errorf("readers are kept out: %v", err)
	}
	h.Close()
	open(t, dir).Close()
}

func TestPruningKeepsLinesAndTheLastRun(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	for n, policy := range []string{"a", "b", "c", "c"} {
		run(t, h, n, policy)
	}
	if err := h.Append(Line{ID: "failed", Started: start.AddDate(0, 0, 4), Exit: 3, Error: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		day      int
		runs     int
		policies string
	}{{0, 4, "[a b c]"}, {1, 3, "[b c]"}, {3, 1, "[c]"}, {100, 1, "[c]"}} {
		if err := h.Prune(start.AddDate(0, 0, c.day), start.AddDate(0, 0, c.day)); err != nil {
			t.Fatal(err)
		}
		if got := ids(t, filepath.Join(dir, runsDir)); len(got) != c.runs || got[len(got)-1] != "20260604T023000Z" {
			t.Errorf("day %d: the runs are %v", c.day, got)
		}
		if got := fmt.Sprint(ids(t, filepath.Join(dir, policyDir))); got != c.policies {
			t.Errorf("day %d: the policies are %s, want %s", c.day, got, c.policies)
		}
	}
	if lines, err := ReadLines(dir); err != nil || len(lines) != 5 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	h.Close()
	h = open(t, dir) // what was pruned is not what was cut off
	if len(h.Repaired) > 0 {
		t.Errorf("repaired: %v", h.Repaired)
	}
	h.Close()
}

func TestPoliciesMayGoBeforeTheirRuns(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	defer h.Close()
	for n, policy := range []string{"a", "b", "c"} {
		run(t, h, n, policy)
	}
	if err := h.Prune(start, start.AddDate(0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	if runs, policies := ids(t, filepath.Join(dir, runsDir)), ids(t, filepath.Join(dir, policyDir)); len(runs) != 3 || len(policies) != 1 {
		t.Errorf("the runs are %v, the policies %v", runs, policies)
	}
	if !h.HasPolicy("c") || h.HasPolicy("b") || h.HasPolicy("") {
		t.Error("it does not know what it has")
	}
}

func TestFilesThatDoNotChangeAreKeptOnce(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	defer h.Close()
	first := []File{{Name: "0000/groups.json", Body: []byte("groups")}, {Name: "0001/interfaces.json", Body: []byte("one")}}
	second := []File{first[0], {Name: "0001/interfaces.json", Body: []byte("two")}}
	if err := h.WritePolicy("a", first); err != nil {
		t.Fatal(err)
	}
	run(t, h, 0, "a")
	if err := h.WritePolicy("b", second); err != nil {
		t.Fatal(err)
	}
	stat := func(digest, name string) os.FileInfo {
		info, err := os.Stat(filepath.Join(h.PolicyFolder(digest), name))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if !os.SameFile(stat("a", "0000/groups.json"), stat("b", "0000/groups.json")) {
		t.Error("the groups are there twice")
	}
	if os.SameFile(stat("a", "0001/interfaces.json"), stat("b", "0001/interfaces.json")) {
		t.Error("interfaces that changed are one file")
	}
	if err := os.RemoveAll(h.PolicyFolder("a")); err != nil {
		t.Fatal(err)
	}
	for i, f := range second {
		if body, err := os.ReadFile(filepath.Join(h.PolicyFolder("b"), f.Name)); err != nil || string(body) != string(second[i].Body) {
			t.Errorf("%s holds %q, %v", f.Name, body, err)
		}
	}
}

func TestPoliciesAreThoseOfTheRunsInTurn(t *testing.T) {
	var lines []Line
	for n, p := range []string{"a", "a", "b", "a", "", "a", "c"} {
		l := Line{Started: start.AddDate(0, 0, n), Policy: p, Trend: &report.TrendPoint{}}
		if n == 5 {
			l.Trend = nil // a run that failed saw a policy, too, but nobody knows whether it was whole
		}
		lines = append(lines, l)
	}
	var got []string
	for _, s := range States(lines, start.AddDate(0, 0, 1)) {
		got = append(got, fmt.Sprint(s.Digest, s.First.Day(), "-", s.Last.Day()))
	}
	if want := []string{"a2-2", "b3-3", "a4-4", "c7-7"}; !slices.Equal(got, want) {
		t.Errorf("the states are %v, want %v", got, want)
	}
}

func TestRunsAreFoundByWhatPeopleType(t *testing.T) {
	whole := &report.TrendPoint{}
	lines := []Line{{ID: "20260601T023000Z", Trend: whole}, {ID: "20260602T023000Z", Exit: 3}, {ID: "20260603T023000Z", Trend: whole}, {ID: "20260603T023000Z-2", Trend: whole}}
	for name, want := range map[string]string{"first": "20260601T023000Z", "last": "20260603T023000Z-2", "previous": "20260603T023000Z",
		"20260602": "20260602T023000Z", "20260603T023000Z": "20260603T023000Z", "20260603": "", "2027": "", "": ""} {
		l, err := Find(lines, name)
		if (err != nil) != (want == "") || err == nil && l.ID != want {
			t.Errorf("Find(%q) = %v, %v, want %q", name, l, err, want)
		}
	}
	if _, err := Find(lines[:2], "previous"); err == nil {
		t.Error("there is no run before the first")
	}
}

func TestFindingsLiveFromRunToRun(t *testing.T) {
	var s State
	steps := []string{"a", "ab", "b", "b", "ab", ""}
	for n, have := range steps {
		r := &report.Report{}
		for _, id := range have {
			r.Findings = append(r.Findings, report.Finding{ID: string(id)})
		}
		s.Follow(r, report.Time(n+1))
	}
	var got []string
	for _, k := range s.Findings {
		got = append(got, fmt.Sprint(k.ID, int(k.First), int(k.Last), int(k.Resolved), k.Times))
	}
	if want := []string{"a1 5 6 2", "b2 5 6 1"}; !slices.Equal(got, want) {
		t.Errorf("the lives (first, last, resolved, times) are %v, want %v", got, want)
	}
	if got := s.Resolved(); len(got) != 2 || got["a"] != 6 {
		t.Errorf("resolved are %v", got)
	}
}
