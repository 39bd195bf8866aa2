package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	reports "github.com/sgadvise/sgadvise/report"
)

const (
	clusterLogs   = "../../testdata/demo/clusters/logs"
	clusterPolicy = "../../testdata/demo/clusters/policy"

	groupDB  = "sg-bp1demodb00000000001"
	groupWeb = "sg-bp1demoweb0000000001"
	groupPay = "sg-bp1demopay0000000001"
)

func TestClusterDataIsWhatItsGeneratorMakes(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("go", "run", "./testdata/demo/make/clusters", "-out", dir)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, have := tree(t, dir), tree(t, filepath.Dir(clusterLogs))
	for name, body := range have {
		if made[name] != body {
			t.Errorf("%s differs from what the generator makes: run it", name)
		}
		delete(made, name)
	}
	for name := range made {
		t.Errorf("%s is missing: run the generator", name)
	}
}

func clusterReport(t *testing.T, flags ...string) *reports.Report {
	t.Helper()
	out, stderr, code := sgadvise(append([]string{"analyze", "--logs", clusterLogs, "--policy", clusterPolicy, "--now", demoNow, "--format", "json"}, flags...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	r, err := reports.Read(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The advice must be what the cloud's own guide would give: the databases are for the
// web servers, what was opened by default goes, and isolating the databases needs rules
// first.
func TestClustersTellTheirStory(t *testing.T) {
	r := clusterReport(t)
	if r.Fidelity.Rate != 1 || r.Plan.Proof.NewlyDenied != 0 {
		t.Errorf("fidelity %v, newly denied %d", r.Fidelity.Rate, r.Plan.Proof.NewlyDenied)
	}
	// The web servers have no network ACL, so their groups rejected the scans.
	if b := r.Ledger.RejectedBy; b.Groups != r.Ledger.Dispositions.Blocked || b.Either+b.Unknown+b.NetworkACL != 0 {
		t.Errorf("rejected by %+v, blocked %d", b, r.Ledger.Dispositions.Blocked)
	}

	edits := make(map[string]reports.Edit)
	for _, e := range r.Plan.Edits {
		edits[string(e.Ref)] = e
	}
	for _, ref := range []string{
		groupDB + "/sgr-db-ssh0", groupDB + "/sgr-db-rdp0", // operators come by the bastion's own rule
		groupWeb + "/sgr-web-rdp0", groupWeb + "/sgr-web-icmp",
		"nacl-bp1demodb000000001/ingress-4", "nacl-bp1demodb000000001/ingress-6",
	} {
		if e, ok := edits[ref]; !ok || e.Op != "remove" {
			t.Errorf("%s is not removed", ref)
		}
	}
	// Of the two rules for clients the wide one is gone or narrowed, and what is left
	// lets the web servers in and nobody from outside.
	var clients []reports.NewRule
	for _, ref := range []string{groupDB + "/sgr-db-pg", groupDB + "/sgr-db-old"} {
		clients = append(clients, edits[ref].With...)
	}
	if len(clients) != 1 || clients[0].Peer != groupWeb || clients[0].Ports != "5432" {
		t.Errorf("clients of the databases: %+v", clients)
	}
	if e := edits[groupPay+"/sgr-pay-out"]; len(e.With) != 1 || e.With[0].Peer != "203.0.113.80/32" || e.With[0].Ports != "443" {
		t.Errorf("the payment service may ask more than its bank: %+v", e.With)
	}
	// The Drop inside the Accept of the same priority stays, and so does what is next to it.
	for _, e := range r.Plan.Edits {
		for _, w := range e.With {
			if w.Action != "allow" {
				t.Errorf("%s: a deny is written anew", e.Ref)
			}
		}
		if slices.Contains([]string{groupWeb + "/sgr-web-ssh1", groupDB + "/sgr-db-mate", groupWeb + "/sgr-web-443"}, string(e.Ref)) {
			t.Errorf("%s is edited", e.Ref)
		}
	}

	findings := make(map[string]reports.Finding)
	for _, f := range r.Findings {
		findings[f.Check+" "+string(f.Ref)] = f
	}
	facts := func(check, ref string) string {
		f, ok := findings[check+" "+ref]
		if !ok {
			t.Errorf("no finding %s about %s", check, ref)
			return ""
		}
		var b strings.Builder
		for _, x := range f.Facts {
			b.WriteString(x.Name + ": " + x.Value + "\n")
		}
		return b.String()
	}
	if text := facts("intra-group-only", groupDB); !strings.Contains(text, "tcp 2379 from 10.1.0.0/24") {
		t.Errorf("before isolating the databases:\n%s", text)
	}
	if text := facts("ineffective-deny", groupDB+"/sgr-db-mate"); !strings.Contains(text, "10.1.0.13") {
		t.Errorf("the Drop against a member:\n%s", text)
	}
	if text := facts("default-egress", groupWeb); !strings.Contains(text, "5432") || !strings.Contains(text, "worse priority") {
		t.Errorf("before closing the egress of the web servers:\n%s", text)
	}
}

func TestClusterReportDoesNotDependOnWorkers(t *testing.T) {
	one, err := json.Marshal(clusterReport(t, "--workers", "1"))
	if err != nil {
		t.Fatal(err)
	}
	three, err := json.Marshal(clusterReport(t, "--workers", "3"))
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(three) {
		t.Error("one worker and three say different things")
	}
}
