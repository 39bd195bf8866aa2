package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/cmd/history"
)

// nightly makes a folder with logs and a policy, and returns what runs the audit there.
func nightly(t *testing.T) func(ctx context.Context, day int, stop string, more ...string) (code int, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	m := &months{t: t, policy: map[string]string{"web-shop": "ingress tcp 443 from 0.0.0.0/0", "web-app": "egress tcp 8080 to sg-app", "app-web": "ingress tcp 8080 from sg-web",
		"app-db": "egress tcp 5432 to sg-db", "db-app": "ingress tcp 5432 from sg-app", "db-ssh": "ingress tcp 22 from 0.0.0.0/0"}}
	m.exportPolicy()
	m.write("out/.keep", "")
	for day := 1; day <= 9; day++ {
		m.deliver(date(5, day))
	}
	return func(ctx context.Context, day int, stop string, more ...string) (int, string) {
		f := &auditFlags{}
		fs := pflag.NewFlagSet("audit", pflag.ContinueOnError)
		f.register(fs)
		err := fs.Parse(append([]string{"--logs", "logs", "--policy", "export", "--history", "history", "--min-days", "2", "--fail-on", "none", "--export", "out/today.json",
			"--prometheus", "out/sgadvise.prom", "--on-finish", "cat > finish.json", "--now", date(5, day).Format(time.RFC3339)}, more...))
		if err != nil {
			t.Fatal(err)
		}
		f.stop = func(step string) error {
			if step == stop {
				return &crashed{step}
			}
			return nil
		}
		var out, errs bytes.Buffer
		err = audit(ctx, f, configured{}, streams{strings.NewReader(""), &out, &errs})
		return report(err, &errs), errs.String()
	}
}

func lastLine(t *testing.T) history.Line {
	t.Helper()
	lines, err := history.ReadLines("history")
	if err != nil || len(lines) == 0 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	return lines[len(lines)-1]
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func finishedAs(t *testing.T) (doc finished) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, "finish.json")), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestASecondAuditLeavesTheFirstAlone(t *testing.T) {
	run := nightly(t)
	if code, errs := run(t.Context(), 10, ""); code != 0 {
		t.Fatalf("%d: %s", code, errs)
	}
	h, err := history.Open("history", "the other one", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	before := []string{readFile(t, "history/history.jsonl"), readFile(t, "out/today.json"), readFile(t, "out/sgadvise.prom")}
	code, errs := run(t.Context(), 11, "")
	if code != exitLocked || !strings.Contains(errs, "the other one") || !strings.Contains(errs, "hint: it ends by itself") {
		t.Errorf("%d: %s", code, errs)
	}
	if after := []string{readFile(t, "history/history.jsonl"), readFile(t, "out/today.json"), readFile(t, "out/sgadvise.prom")}; !slices.Equal(before, after) {
		t.Error("it wrote something")
	}
	if doc := finishedAs(t); doc.Exit != exitLocked || doc.Status != "failed" || doc.Error == "" || doc.LastSuccess == nil {
		t.Errorf("somebody was told %+v", doc)
	}
	h.Close()
	if code, errs := run(t.Context(), 12, ""); code != 0 {
		t.Errorf("after it: %d: %s", code, errs)
	}
}

func TestATerminatedAuditSaysSo(t *testing.T) {
	run := nightly(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("terminated signal received")) // as the signal package words it
	run(ctx, 10, "", "--store", "store")
	if l := lastLine(t); l.Exit != exitTerminate || l.Status() != "interrupted" {
		t.Errorf("the line is %+v", l)
	}
	if doc := finishedAs(t); doc.Exit != exitTerminate || doc.Status != "interrupted" {
		t.Errorf("somebody was told %+v", doc)
	}
}

func TestAnInterruptedAuditSaysSo(t *testing.T) {
	run := nightly(t)
	if code, errs := run(t.Context(), 10, ""); code != 0 {
		t.Fatalf("%d: %s", code, errs)
	}
	before := readFile(t, "out/today.json")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, _ := run(ctx, 11, ""); code != exitInterrupt {
		t.Errorf("exit code %d", code)
	}
	if l := lastLine(t); l.Status() != "interrupted" || l.Complete() {
		t.Errorf("the line is %+v", l)
	}
	if doc := finishedAs(t); doc.Status != "interrupted" || doc.LastSuccess == nil || !doc.LastSuccess.Equal(date(5, 10)) {
		t.Errorf("somebody was told %+v", doc)
	}
	if readFile(t, "out/today.json") != before {
		t.Error("the report was replaced")
	}
}

// TestARunThatWasCutOffChangesNothingForTheNext cuts a run before each step and compares
// what the next run finds with what it finds without.
func TestARunThatWasCutOffChangesNothingForTheNext(t *testing.T) {
	states := map[string]string{}
	for _, step := range []string{"", "analysis", "run", "reports", "line"} {
		t.Run("before "+step, func(t *testing.T) {
			run := nightly(t)
			if code, errs := run(t.Context(), 8, ""); code != 0 {
				t.Fatalf("%d: %s", code, errs)
			}
			if step != "" {
				run(t.Context(), 9, step)
				if l := lastLine(t); !l.Started.Equal(date(5, 8)) {
					t.Errorf("the history has the run that was cut off: %+v", l)
				}
			}
			if code, errs := run(t.Context(), 10, ""); code != 0 {
				t.Fatalf("%d: %s", code, errs)
			}
			l := lastLine(t)
			cut := slices.ContainsFunc(l.Notes, func(n string) bool { return strings.Contains(n, "was cut off before its end") })
			if left := step == "reports" || step == "line"; cut != left {
				t.Errorf("the notes are %q", l.Notes)
			}
			runs, err := filepath.Glob("history/runs/*")
			if err != nil || len(runs) != 2 {
				t.Errorf("the runs are %v, %v", runs, err)
			}
			l.Seconds, l.Notes = 0, nil
			states[step] = fmt.Sprintf("%+v %+v\n%s\n%s", l, *l.Trend, readFile(t, "out/today.json"), readFile(t, filepath.Join("history/runs", l.ID, history.StateFile)))
		})
	}
	for step, s := range states {
		if i := strings.IndexByte(s, '\n'); s[i:] != states[""][i:] {
			t.Errorf("after a cut before %q the next run finds something else:\n%s", step, firstDifference(s, states[""]))
		}
	}
}

func TestTheHistoryIsPartOfNoReport(t *testing.T) {
	run := nightly(t)
	if code, errs := run(t.Context(), 10, ""); code != 0 {
		t.Fatalf("%d: %s", code, errs)
	}
	// What analyze says of the same, with the window that the audit looked at.
	out, errs, code := sgadvise("analyze", "--logs", "logs", "--policy", "export", "--min-days", "2", "--from", "2026-02-09", "--now", date(5, 10).Format(time.RFC3339), "--format", "json")
	if code != 0 {
		t.Fatal(errs)
	}
	var a, b map[string]any
	if err := errors.Join(json.Unmarshal([]byte(out), &a), json.Unmarshal([]byte(readFile(t, "out/today.json")), &b)); err != nil {
		t.Fatal(err)
	}
	delete(b, "trend")
	x, _ := json.MarshalIndent(a, "", " ")
	y, _ := json.MarshalIndent(b, "", " ")
	if !bytes.Equal(x, y) {
		t.Errorf("audit and analyze differ:\n%s", firstDifference(string(y), string(x)))
	}
}
