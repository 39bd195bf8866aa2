package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/control"
)

// TestControlsDocumentIsCurrent makes the tables of docs/controls.md from the catalogue.
func TestControlsDocumentIsCurrent(t *testing.T) {
	const name, begin, end = "../../docs/controls.md", "<!-- controls -->\n", "<!-- end of controls -->"
	var b strings.Builder
	b.WriteString("| Framework | Id |\n| --- | --- |\n")
	for i := range control.All {
		f := &control.All[i]
		ids := "`" + strings.Join(append([]string{f.ID}, f.Aliases...), "`, `") + "`"
		if f.Default {
			ids += " *"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", f.Title, ids)
	}
	for i := range control.All {
		f := &control.All[i]
		fmt.Fprintf(&b, "\n## %s\n\n| Control | Asks that | Evidence |\n| --- | --- | --- |\n", f.Title)
		for k := range f.Controls {
			c := &f.Controls[k]
			fmt.Fprintf(&b, "| %s | %s | %s |\n", c.ID, c.Title, evidenceOf(c))
		}
	}
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(body), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks around its tables", name)
	}
	want := before + begin + b.String() + end + after
	switch {
	case want == string(body):
	case *update:
		if err := os.WriteFile(name, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the catalogue says (run with -update to rewrite it):\n%s", name, firstDifference(want, string(body)))
	}
}

func TestFrameworksAreListedAndExplained(t *testing.T) {
	out, _, code := sgadvise("checks", "--frameworks")
	if code != exitOK || strings.Count(out, "\n") != len(control.All) || !strings.Contains(out, "pci-dss-4.0.1") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	out, _, code = sgadvise("checks", "--frameworks", "cis-aws-4.0.1")
	if code != exitOK || !strings.Contains(out, "\n5.3  No group opens administration ports to 0.0.0.0/0\n  exposed-admin-port (CIS-AWS-5.3)\n") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if _, stderr, code := sgadvise("checks", "--frameworks", "cis"); code != exitUsage || !strings.Contains(stderr, `no framework is called "cis"`) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if _, stderr, code := sgadvise("analyze", "--logs", "x", "--policy", "y", "--frameworks", "soc-2,cis"); code != exitUsage || !strings.Contains(stderr, `--frameworks: "cis" is not one of cis-aws-1.2, `) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
