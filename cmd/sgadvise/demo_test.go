package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	demoLogs   = "../../testdata/demo/logs"
	demoPolicy = "../../testdata/demo/policy"
	demoNow    = "2026-06-12T08:00:00Z"
)

// sgadvise runs the command in this process and returns what it printed and its exit
// code.
func sgadvise(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(context.Background(), args, streams{strings.NewReader(""), &out, &err})
	return out.String(), err.String(), code
}

// demoReport runs the main job on logs and the demo's policy and returns the document.
func demoReport(t *testing.T, logs string, flags ...string) string {
	t.Helper()
	out, stderr, code := sgadvise(append([]string{"analyze", "--logs", logs, "--policy", demoPolicy, "--now", demoNow, "--format", "json"}, flags...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	return out
}

// tree returns the content of every file below dir, that of gzipped ones decompressed:
// what a compressor makes of the same input may change with its release.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			if data, err = io.ReadAll(z); err != nil {
				return err
			}
		}
		name, err := filepath.Rel(dir, path)
		out[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDemoDataIsWhatItsGeneratorMakes(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("go", "run", "./testdata/demo/make", "-out", dir)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made := tree(t, dir)
	for _, part := range []string{"logs", "policy"} {
		for name, body := range tree(t, filepath.Join("../../testdata/demo", part)) {
			name = part + "/" + name
			if made[name] != body {
				t.Errorf("%s differs from what the generator makes: run it", name)
			}
			delete(made, name)
		}
	}
	for name := range made {
		t.Errorf("%s is missing: run the generator", name)
	}
}

// demoRecords returns the header line and the rows of the demo logs.
func demoRecords(t *testing.T) (header string, rows []string) {
	t.Helper()
	files := tree(t, demoLogs)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		lines := strings.Split(strings.TrimSpace(files[name]), "\n")
		header = lines[0]
		rows = append(rows, lines[1:]...)
	}
	return header, rows
}

// substance returns the document without what names the input: its files and the
// places of samples.
func substance(t *testing.T, doc string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(doc), &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "inputs")
	delete(m["ledger"].(map[string]any), "samples")
	out, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestReportDoesNotDependOnWorkers(t *testing.T) {
	one := demoReport(t, demoLogs, "--workers", "1")
	for _, n := range []string{"2", "7", "16"} {
		if demoReport(t, demoLogs, "--workers", n) != one {
			t.Errorf("%s workers give another report than one", n)
		}
	}
}

func TestReportDoesNotDependOnFormOrOrderOfRecords(t *testing.T) {
	want := substance(t, demoReport(t, demoLogs))
	header, rows := demoRecords(t)
	text := []byte(header + "\n" + strings.Join(rows, "\n") + "\n")
	shuffled := slices.Clone(rows)
	rand.New(rand.NewPCG(7, 7)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var columns bytes.Buffer
	if err := writeParquet(&columns, text); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"one.log":      text,
		"shuffled.log": []byte(header + "\n" + strings.Join(shuffled, "\n") + "\n"),
		"rows.csv":     toCSV(text),
		"rows.parquet": columns.Bytes(),
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, body, 0o666); err != nil {
			t.Fatal(err)
		}
		if got := substance(t, demoReport(t, path)); got != want {
			t.Errorf("%s gives another report than the demo logs:\n%s", name, firstDifference(got, want))
		}
	}
}

// firstDifference returns the first lines in which two texts differ.
func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "got  " + a[i] + "\nwant " + b[i]
		}
	}
	return "one is longer"
}

// demoRule is a rule of the report under the names that the demo gives its groups.
type demoRule struct {
	Group, Direction, Protocol, Ports, Peer, Verdict, Ref string
}

// TestDemoTellsItsStory holds the advice on the demo to what is wrong with its network.
func TestDemoTellsItsStory(t *testing.T) {
	var doc struct {
		Fidelity struct{ Rate float64 }
		Ledger   struct {
			Records      uint64
			Dispositions map[string]uint64
		}
		Rules []demoRule
		Plan  struct {
			Edits []struct {
				Op, Ref, Group string
				With           []demoRule
			}
			Proof struct {
				NewlyDenied  int    `json:"newly_denied"`
				NewlyAllowed string `json:"newly_allowed"`
				Records      uint64
			}
		}
		Findings []struct{ Check, Ref string }
		Coverage struct {
			Interfaces []struct{ Gaps []any }
		}
	}
	if err := json.Unmarshal([]byte(demoReport(t, demoLogs)), &doc); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]string) // of groups and lists, by id
	for file, keys := range map[string][3]string{
		"security-groups.json":      {"SecurityGroups", "GroupId", "GroupName"},
		"managed-prefix-lists.json": {"PrefixLists", "PrefixListId", "PrefixListName"},
	} {
		data, err := os.ReadFile(filepath.Join(demoPolicy, file))
		if err != nil {
			t.Fatal(err)
		}
		var m map[string][]map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		for _, x := range m[keys[0]] {
			names[x[keys[1]].(string)] = x[keys[2]].(string)
		}
	}
	name := func(id string) string {
		if n, ok := names[id]; ok {
			return n
		}
		return id
	}

	what := make(map[string]string) // ref → rule
	got := make(map[string]string)  // rule → verdict
	for _, r := range doc.Rules {
		k := strings.Join([]string{name(r.Group), r.Direction, r.Protocol, r.Ports, name(r.Peer)}, " ")
		what[r.Ref], got[k] = k, r.Verdict
	}
	for _, c := range []struct{ rule, verdict string }{
		{"shop-lb ingress tcp 443 0.0.0.0/0", "used"},
		{"shop-lb ingress tcp 443 ::/0", "used"},
		{"shop-lb ingress tcp 80 0.0.0.0/0", "used"},
		{"shop-app ingress tcp 8000-9000 shop-lb", "used"},
		{"shop-app egress udp 53 10.20.0.2/32", "not-observable"}, // the resolver is in no log
		{"shop-db ingress tcp 5432 shop-app", "redundant"},        // the wide rule hides it
		{"shop-db ingress tcp 5432 10.0.0.0/8", "redundant"},
		{"shop-db ingress tcp 5432 offices", "redundant"},
		{"bastion ingress tcp 22 0.0.0.0/0", "used"},
		{"base ingress tcp 9100 10.20.30.0/24", "redundant"}, // the same rule twice
		{"monitored ingress tcp 9100 10.20.30.0/24", "redundant"},
		{"base ingress udp 123 10.20.0.0/16", "unknown"}, // port 123 at both ends
		{"base egress udp 123 10.20.0.0/16", "unknown"},
		{"monitoring ingress tcp 3000 offices", "used"},
		{"reports ingress tcp 8443 shop-app", "not-seen-gaps"}, // SKIPDATA
		{"standby ingress tcp 3389 10.0.0.0/8", "unused"},      // NODATA only: quiet, not blind
		{"legacy-ftp ingress tcp 20-21 0.0.0.0/0", "dead-by-config"},
		{"default ingress all all default", "dead-by-config"},
	} {
		if got[c.rule] != c.verdict {
			t.Errorf("%s is %q, want %s", c.rule, got[c.rule], c.verdict)
		}
	}

	edits := make(map[string]string)
	for _, e := range doc.Plan.Edits {
		text := e.Op
		for _, w := range e.With {
			text += " " + strings.Join([]string{w.Ports, name(w.Peer)}, " ")
		}
		edits[what[e.Ref]] = text
	}
	for rule, want := range map[string]string{
		"shop-app ingress tcp 8000-9000 shop-lb": "replace 8080 shop-lb",
		"shop-lb egress tcp 8000-9000 shop-app":  "replace 8080 shop-app",
		"shop-db ingress tcp 5432 10.0.0.0/8":    "remove",
		"standby ingress tcp 3389 10.0.0.0/8":    "remove",
		// What nobody may touch.
		"shop-lb ingress tcp 443 0.0.0.0/0":      "",
		"shop-lb ingress tcp 443 ::/0":           "",
		"shop-db ingress tcp 5432 shop-app":      "",
		"shop-db ingress tcp 5432 reports":       "",
		"shop-db ingress tcp 5432 offices":       "",
		"shop-app egress udp 53 10.20.0.2/32":    "",
		"reports ingress tcp 8443 shop-app":      "",
		"reports egress tcp 5432 shop-db":        "",
		"legacy-ftp ingress tcp 20-21 0.0.0.0/0": "",
	} {
		if edits[rule] != want {
			t.Errorf("the plan says %q of %s, want %q", edits[rule], rule, want)
		}
	}
	one, other := edits["base ingress tcp 9100 10.20.30.0/24"], edits["monitored ingress tcp 9100 10.20.30.0/24"]
	if (one == "remove") == (other == "remove") {
		t.Errorf("of two equal rules one may go: base %q, monitored %q", one, other)
	}
	if p := doc.Plan.Proof; p.NewlyDenied != 0 || p.NewlyAllowed != "none" || p.Records == 0 {
		t.Errorf("the proof is %+v", p)
	}

	checks := make(map[string]int)
	for _, f := range doc.Findings {
		checks[f.Check]++
	}
	for _, c := range []string{"exposed-admin-port", "unattached-group", "default-group-rules", "missing-description", "unused-rule",
		"redundant-rule", "shadowed-rule", "wide-ports", "wide-source", "acl-exposed-admin-port"} {
		if checks[c] == 0 {
			t.Errorf("no finding of %s", c)
		}
	}

	_, rows := demoRecords(t)
	if doc.Ledger.Records != uint64(len(rows)) {
		t.Errorf("%d records in the ledger, %d in the files", doc.Ledger.Records, len(rows))
	}
	for _, d := range []string{"permitted", "reply", "blocked", "unexplained", "late", "undirected", "unscoped", "nodata"} {
		if doc.Ledger.Dispositions[d] == 0 {
			t.Errorf("no record is %s", d)
		}
	}
	if n := doc.Ledger.Dispositions["skipdata"]; n != 1 {
		t.Errorf("%d skipdata records, want 1", n)
	}
	if n := doc.Ledger.Dispositions["malformed"] + doc.Ledger.Dispositions["contradicted"] + doc.Ledger.Dispositions["unsupported"]; n != 0 {
		t.Errorf("%d records are malformed, contradicted or unsupported: %v", n, doc.Ledger.Dispositions)
	}
	// What the policy does not explain is the traffic of the interface that is gone.
	if doc.Fidelity.Rate < 0.95 || doc.Fidelity.Rate == 1 {
		t.Errorf("fidelity is %v", doc.Fidelity.Rate)
	}
}

// TestInterruptedRunLeavesNothing interrupts while standard input is still open.
func TestInterruptedRunLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	in, feed := io.Pipe()
	defer feed.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	var stderr bytes.Buffer
	go func() {
		done <- run(ctx, []string{"analyze", "--logs", "-", "--policy", "../../testdata/policies/web.policy", "-o", filepath.Join(dir, "r.json")},
			streams{in, io.Discard, &stderr})
	}()
	rows, err := os.ReadFile("../../testdata/logs/web.log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Write(rows); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case code := <-done:
		if code != exitInterrupt {
			t.Errorf("exit code %d, want %d: %s", code, exitInterrupt, &stderr)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the run goes on after the interrupt")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}
