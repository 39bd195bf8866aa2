package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/cmd/history"
	reports "github.com/sgadvise/sgadvise/report"
)

// months is a small network over two months, and a job that runs every night on it. The
// clock is that of the test.
type months struct {
	t      *testing.T
	policy map[string]string // rule → line, of which the policy is made
	store  string            // folder of the store; "" for none
	codes  map[string]int    // exit code by day
	stderr map[string]string
}

// date is a day of 2026.
func date(month, day int) time.Time {
	return time.Date(2026, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

// exportPolicy writes the policy as it is.
func (m *months) exportPolicy() {
	var b strings.Builder
	b.WriteString("interface eni-web 10.0.0.5 sg-web\ninterface eni-app 10.0.1.5 sg-app\ninterface eni-db 10.0.2.5 sg-db\n")
	for _, group := range []string{"web", "app", "db"} {
		fmt.Fprintf(&b, "group sg-%s\n", group)
		for _, name := range sortedKeys(m.policy) {
			if strings.HasPrefix(name, group+"-") {
				fmt.Fprintf(&b, "  %s %s\n", name, m.policy[name])
			}
		}
	}
	m.write("export/network.policy", b.String())
}

func (m *months) write(name, body string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(body), 0o666); err != nil {
		m.t.Fatal(err)
	}
}

// deliver writes the log of one day, to be seen by the next run.
func (m *months) deliver(day time.Time) {
	m.write("logs/"+day.Format(time.DateOnly)+".log", logOf(day))
}

// logOf is the log of one day: what the network does every day, and what it does on some.
func logOf(day time.Time) string {
	var b strings.Builder
	b.WriteString("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags flow-direction\n")
	port := 40000 + day.YearDay()
	row := func(hour int, eni, src string, sport int, dst string, dport int, direction, action string, flags int) {
		at := day.Unix() + int64(hour)*3600
		fmt.Fprintf(&b, "5 123456789012 %s %s %s %d %d 6 9 700 %d %d %s OK %d %s\n", eni, src, dst, sport, dport, at, at+60, action, flags, direction)
	}
	// flow is a connection as both its ends log it; an end outside logs nothing.
	flow := func(hour int, from, src, to, dst string, dport int, action string) {
		for _, end := range []struct {
			eni, out, back string
		}{{from, "egress", "ingress"}, {to, "ingress", "egress"}} {
			if end.eni == "" || end.eni == "eni-web" && day.Equal(date(5, 20)) {
				continue // nothing was logged of the web server on that day, and nothing ever will be
			}
			if action == "REJECT" && end.out == "egress" {
				row(hour, end.eni, src, port, dst, dport, "egress", "ACCEPT", 2) // it left, and nobody answered
				continue
			}
			row(hour, end.eni, src, port, dst, dport, end.out, action, map[string]int{"ACCEPT": 3, "REJECT": 2}[action])
			if action == "ACCEPT" {
				row(hour, end.eni, dst, dport, src, port, end.back, action, 19)
			}
		}
	}
	for _, hour := range []int{1, 9, 17} {
		customer := fmt.Sprintf("%d.%d.7.%d", 20+(day.YearDay()*37+hour*11)%180, (day.YearDay()*53)%250, 1+hour)
		flow(hour, "", customer, "eni-web", "10.0.0.5", 443, "ACCEPT")
		flow(hour, "eni-web", "10.0.0.5", "eni-app", "10.0.1.5", 8080, "ACCEPT")
		flow(hour, "eni-app", "10.0.1.5", "eni-db", "10.0.2.5", 5432, "ACCEPT")
	}
	// Monitoring looks at the application from one machine; the rule is for ten thousand.
	flow(4, "", "10.0.9.20", "eni-app", "10.0.1.5", 9100, "ACCEPT")
	if day.Weekday() == time.Monday {
		flow(10, "", "203.0.113.200", "eni-db", "10.0.2.5", 22, "ACCEPT") // the administrator
	}
	if !day.Before(date(6, 8)) {
		flow(6, "eni-app", "10.0.1.5", "", "192.0.2.25", 25, "ACCEPT") // a mail, from now on daily
	}
	switch {
	case day.Equal(date(6, 3)):
		flow(3, "", "198.51.100.99", "eni-db", "10.0.2.5", 3389, "REJECT") // a scan
	case day.Equal(date(6, 9)), day.Equal(date(6, 10)):
		flow(5, "", "10.0.8.7", "eni-db", "10.0.2.5", 5432, "REJECT") // the report of the quarter
	case day.Equal(date(6, 12)):
		flow(5, "", "10.0.8.7", "eni-db", "10.0.2.5", 5432, "ACCEPT")
	}
	return b.String()
}

// run makes the run of a night, of the day at half past two. stop names the step before
// which the machine is switched off.
func (m *months) run(day time.Time, stop string) {
	m.t.Helper()
	now := day.Add(2*time.Hour + 30*time.Minute)
	f := &auditFlags{}
	fs := pflag.NewFlagSet("audit", pflag.ContinueOnError)
	f.register(fs)
	args := []string{"--logs", "logs", "--policy", "export", "--history", "history", "--window", "30", "--min-days", "14", "--suppress", "accepted.yaml",
		"--fail-on", "high", "--fail-on-new", "--export", "out/today.json", "--changes", "out/changes.md", "--prometheus", "out/sgadvise.prom", "--quiet", "--now", now.Format(time.RFC3339)}
	if m.store != "" {
		args = append(args, "--store", m.store)
	}
	err := fs.Parse(args)
	if err != nil {
		m.t.Fatal(err)
	}
	if stop != "" {
		f.stop = func(step string) error {
			if step == stop {
				return &crashed{step}
			}
			return nil
		}
	}
	var out, errs bytes.Buffer
	err = audit(context.Background(), f, configured{file: "sgadvise.yaml"}, streams{strings.NewReader(""), &out, &errs})
	var crash *crashed
	if stop != "" && !errors.As(err, &crash) {
		m.t.Fatalf("%s: the run did not get to %q: %v\n%s", day.Format(time.DateOnly), stop, err, &errs)
	}
	key := day.Format(time.DateOnly)
	m.codes[key], m.stderr[key] = report(err, &errs), errs.String()
}

// TestTwoMonthsOfNights plays May and June 2026 and compares the history with one that was
// read line by line.
func TestTwoMonthsOfNights(t *testing.T) { playMonths(t, "") }

// TestTwoMonthsOfNightsWithAStore plays the same with a store that each night feeds. The
// history is the same, but that a store knows how many records came late.
func TestTwoMonthsOfNightsWithAStore(t *testing.T) { playMonths(t, "store") }

func playMonths(t *testing.T, store string) {
	began := time.Now()
	golden, err := filepath.Abs(filepath.Join("testdata", "months.golden"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	m := &months{t: t, store: store, codes: map[string]int{}, stderr: map[string]string{}, policy: map[string]string{
		"web-shop":    "ingress tcp 443 from 0.0.0.0/0",
		"web-app":     "egress tcp 8080 to sg-app",
		"app-web":     "ingress tcp 8080 from sg-web",
		"app-db":      "egress tcp 5432 to sg-db",
		"app-mail":    "egress tcp 25 to 192.0.2.0/24",
		"app-metrics": "ingress tcp 9100-9199 from 10.0.0.0/16",
		"db-app":      "ingress tcp 5432 from sg-app",
		"db-reports":  "ingress tcp 5432 from 10.0.8.0/24",
		"db-ssh":      "ingress tcp 22 from 0.0.0.0/0",
	}}
	m.write("out/.keep", "")
	m.write("accepted.yaml", "version: 1\nignore:\n  - check: exposed-admin-port\n    rule: sg-db/db-ssh\n    reason: the bastion comes in June\n    expires: 2026-06-04\n"+
		"  - check: exposed-high-risk-port\n    rule: sg-db/db-ssh\n    reason: the bastion comes in June\n    expires: 2026-06-04\n")
	m.exportPolicy()
	for day := date(4, 17); day.Before(date(5, 1)); day = day.AddDate(0, 0, 1) {
		m.deliver(day) // what there was before the job was set up
	}
	for day := date(5, 1); !day.After(date(6, 30)); day = day.AddDate(0, 0, 1) {
		// What happens between the run of the night before and this one.
		yesterday := day.AddDate(0, 0, -1)
		switch {
		case yesterday.Equal(date(5, 10)), yesterday.Equal(date(6, 24)): // late
		default:
			m.deliver(yesterday)
		}
		stop := ""
		switch day {
		case date(5, 13):
			m.deliver(date(5, 10))
		case date(5, 24), date(5, 25): // the machine is off
			continue
		case date(5, 28):
			m.policy["db-desktop"] = "ingress tcp 3389 from 0.0.0.0/0"
		case date(5, 30):
			delete(m.policy, "db-desktop")
		case date(6, 2):
			m.applyPlan()
		case date(6, 12): // the owner of the reports has called
			m.policy["db-reports2"] = "ingress tcp 5432 from 10.0.8.0/24"
		case date(6, 14):
			m.policy["db-desktop"] = "ingress tcp 3389 from 0.0.0.0/0"
		case date(6, 16):
			delete(m.policy, "db-desktop")
		case date(6, 18):
			stop = "reports"
		case date(6, 20):
			stop = "line"
		case date(6, 26):
			m.deliver(date(6, 24))
		}
		m.exportPolicy()
		if day.Equal(date(6, 22)) {
			m.write("export/network.policy", "group sg-db\n  db-app ingress tcp\n") // cut off while it was copied
		}
		before, _ := os.ReadFile("out/today.json")
		m.run(day, stop)
		after, _ := os.ReadFile("out/today.json")
		if code := m.codes[day.Format(time.DateOnly)]; code > 1 && stop != "line" && !bytes.Equal(before, after) {
			t.Errorf("%s: the run failed (%d), and replaced the report", day.Format(time.DateOnly), code)
		}
		m.holds(day)
	}
	lines, err := history.ReadLines("history")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	historyText(&b, lines)
	b.WriteString("\n")
	trendText(&b, lines)
	got := b.String()
	if store != "" {
		const late = "    - late: 32 records of 2026-05-10 arrived after the last run\n"
		if !strings.Contains(got, late) {
			t.Errorf("the history does not say %q", late)
		}
		got = strings.Replace(got, late, "", 1)
	} else if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the history (-want +got, -update rewrites it; read it):\n%s", diff)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("two months took %s", took)
	}
}

// applyPlan changes the policy as the last report asks for.
func (m *months) applyPlan() {
	m.t.Helper()
	lines, err := history.ReadLines("history")
	if err != nil {
		m.t.Fatal(err)
	}
	doc, err := history.ReadReport("history", history.Last(lines).ID)
	if err != nil {
		m.t.Fatal(err)
	}
	var did []string
	for _, e := range doc.Plan.Edits {
		_, name, _ := strings.Cut(string(e.Ref), "/")
		if name == "app-mail" {
			continue // somebody remembers what it is for
		}
		switch e.Op {
		case "remove":
			delete(m.policy, name)
		case "replace":
			delete(m.policy, name)
			for i, w := range e.With {
				word := map[string]string{"ingress": "from", "egress": "to"}[w.Direction]
				m.policy[fmt.Sprintf("%s%d", name, i+1)] = fmt.Sprintf("%s %s %s %s %s", w.Direction, w.Protocol, w.Ports, word, w.Peer)
			}
		}
		did = append(did, e.Op+" "+name)
	}
	if want := "replace app-metrics, remove db-reports"; !strings.Contains(strings.Join(did, ", "), "remove db-reports") || !strings.Contains(strings.Join(did, ", "), "replace app-metrics") {
		m.t.Fatalf("the plan is %v, the story needs %s", did, want)
	}
}

// holds checks what must be true after every run, however it ended.
func (m *months) holds(day time.Time) {
	m.t.Helper()
	lines, err := history.ReadLines("history")
	if err != nil {
		m.t.Fatal(err)
	}
	for i := 1; i < len(lines); i++ {
		if !lines[i-1].Started.Before(lines[i].Started) {
			m.t.Errorf("%s: the lines are not in order", day.Format(time.DateOnly))
		}
	}
	last := history.Last(lines)
	if last == nil {
		return
	}
	doc, err := history.ReadReport("history", last.ID)
	if err != nil {
		m.t.Fatalf("%s: the last complete run has no report: %v", day.Format(time.DateOnly), err)
	}
	state, err := history.ReadState("history", last.ID)
	if err != nil {
		m.t.Fatal(err)
	}
	// What the state calls open is what the report finds.
	open := map[string]bool{}
	for _, k := range state.Findings {
		if k.Resolved == 0 {
			open[k.ID] = true
		}
	}
	for _, f := range doc.Findings {
		if !open[f.ID] {
			m.t.Errorf("%s: finding %s %s is not open in the state", day.Format(time.DateOnly), f.Check, f.Ref)
		}
		delete(open, f.ID)
	}
	if len(open) > 0 {
		m.t.Errorf("%s: open in the state and not in the report: %v", day.Format(time.DateOnly), open)
	}
	if doc.Fidelity.Rate < 0.99 {
		m.t.Errorf("%s: fidelity %v: the records of earlier nights were not judged by the policy of their time", day.Format(time.DateOnly), doc.Fidelity)
	}
	if n := len(doc.Trend); n == 0 || doc.Trend[n-1].Run != reports.TimeOf(last.Started) {
		m.t.Errorf("%s: the trend does not end with the run", day.Format(time.DateOnly))
	}
}
