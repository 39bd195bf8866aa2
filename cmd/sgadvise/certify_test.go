package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	reports "github.com/sgadvise/sgadvise/report"
)

// analyzed runs analyze and returns the report and its file.
func analyzed(t *testing.T, logs, policy string, flags ...string) (*reports.Report, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "report.json")
	_, stderr, code := sgadvise(append([]string{"analyze", "--logs", logs, "--policy", policy, "--now", demoNow, "-o", name}, flags...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := reports.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return doc, name
}

// tampered writes doc with a change to its plan, and returns its file.
func tampered(t *testing.T, name string, change func(*reports.Plan)) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	doc := new(reports.Report)
	if err := json.Unmarshal(data, doc); err != nil {
		t.Fatal(err)
	}
	change(&doc.Plan)
	out, err := os.Create(filepath.Join(t.TempDir(), "tampered.json"))
	if err == nil {
		err = reports.Write(out, doc)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func TestPlansOfTheDemoAreCertified(t *testing.T) {
	for _, half := range []string{"", "/clusters"} {
		logs, policy := "../../testdata/demo"+half+"/logs", "../../testdata/demo"+half+"/policy"
		doc, name := analyzed(t, logs, policy)
		out, stderr, code := sgadvise("certify", name, "--logs", logs, "--policy", policy)
		if code != exitOK || stderr != "" || !strings.HasPrefix(out, "HOLDS") || strings.Contains(out, "the report") {
			t.Errorf("%q: exit %d\n%s%s", half, code, out, stderr)
		}
		if want := fmt.Sprintf("%d connections of %d records", doc.Plan.Proof.Tuples, doc.Plan.Proof.Records); !strings.Contains(out, want) {
			t.Errorf("%q: not %s:\n%s", half, want, out)
		}
		// Each replacement is needed, and could not be wider.
		was := make(map[string]string)
		for _, r := range doc.Rules {
			was[r.Ref] = r.Peer
		}
		seen := 0
		for i := range doc.Plan.Edits {
			for k := range doc.Plan.Edits[i].With {
				if strings.Contains(doc.Plan.Edits[i].With[k].Peer, "g-") {
					continue
				}
				seen++
				for peer, what := range map[string]string{"192.0.2.1/32": "breaks observed connections", "0.0.0.0/0": "allows what is denied"} {
					if peer == was[string(doc.Plan.Edits[i].Ref)] {
						continue
					}
					bad := tampered(t, name, func(p *reports.Plan) { p.Edits[i].With[k].Peer = peer })
					out, stderr, code := sgadvise("certify", bad, "--logs", logs, "--policy", policy)
					if code != exitGate || !strings.Contains(out, what) {
						t.Errorf("%q: %s to %s: exit %d\n%s%s", half, doc.Plan.Edits[i].Ref, peer, code, out, stderr)
					}
				}
			}
		}
		if seen < 2 {
			t.Errorf("%q: only %d new rules", half, seen)
		}
	}
}

// TestPlansOfRandomWorldsAreCertified makes reports of small policies and certifies them,
// and then plans that forget new rules.
func TestPlansOfRandomWorldsAreCertified(t *testing.T) {
	edits, replaced, broken := 0, 0, 0
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(3, seed))
		dir := t.TempDir()
		policy, logs := filepath.Join(dir, "now.policy"), filepath.Join(dir, "flows.log")
		var p, l strings.Builder
		alibaba := seed%2 == 1
		if alibaba {
			p.WriteString("platform none id=alibaba groups-deny\n")
		}
		p.WriteString("interface eni-1 10.0.0.5 sg-a sg-b\ninterface eni-2 10.0.0.6 sg-b\n")
		for _, g := range []string{"sg-a", "sg-b"} {
			fmt.Fprintf(&p, "group %s\n", g)
			for i := range 2 + rng.IntN(5) {
				action, tail := "", ""
				if alibaba {
					action, tail = []string{"allow ", "allow ", "deny "}[rng.IntN(3)], fmt.Sprintf(" priority=%d", 1+rng.IntN(3))
				}
				peer := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(4 * rng.IntN(3))}), 8+rng.IntN(7)).Masked()
				fmt.Fprintf(&p, "  sgr-%s%d ingress %stcp %d-%d from %s%s\n", g[3:], i, action, 1+rng.IntN(4), 4+rng.IntN(5), peer, tail)
			}
		}
		l.WriteString("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags\n")
		for i := range 30 {
			eni := 1 + rng.IntN(2)
			start := 1_700_000_000 + 86400*i
			fmt.Fprintf(&l, "5 123456789012 eni-%d 10.%d.0.%d 10.0.0.%d %d %d 6 5 400 %d %d ACCEPT OK 2\n",
				eni, 4*rng.IntN(3), rng.IntN(20), 4+eni, 40000+i, 1+rng.IntN(8), start, start+30)
		}
		for name, body := range map[string]string{policy: p.String(), logs: l.String()} {
			if err := os.WriteFile(name, []byte(body), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		doc, name := analyzed(t, logs, policy, "--min-days", "0", "--min-fidelity", "0")
		out, stderr, code := sgadvise("certify", name, "--logs", logs, "--policy", policy)
		if code != exitOK || strings.Contains(out, "the report") {
			t.Errorf("seed %d: exit %d\n%s%s\n%s", seed, code, out, stderr, &p)
		}
		edits += len(doc.Plan.Edits)
		for i := range doc.Plan.Edits {
			if doc.Plan.Edits[i].Op != "replace" {
				continue
			}
			replaced++
			bad := tampered(t, name, func(p *reports.Plan) { p.Edits[i].Op, p.Edits[i].With = "remove", nil })
			out, stderr, code := sgadvise("certify", bad, "--logs", logs, "--policy", policy)
			if code == exitGate && strings.Contains(out, "breaks observed") {
				broken++
			} else if code != exitOK {
				t.Errorf("seed %d: exit %d\n%s%s", seed, code, out, stderr)
			}
		}
	}
	// Some share what they allow with others.
	if edits < 40 || broken < 20 || broken < replaced*3/4 {
		t.Errorf("%d edits, of %d that replace %d break as removals: the test proves little", edits, replaced, broken)
	}
}
