package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	reports "github.com/sgadvise/sgadvise/report"
)

// TestRenderGivesTheBytesOfAnalyze renders the demo's report from its stored form, from
// a file and from standard input, in every format.
func TestRenderGivesTheBytesOfAnalyze(t *testing.T) {
	dir := t.TempDir()
	args := []string{"analyze", "--logs", demoLogs, "--policy", demoPolicy, "--now", demoNow, "-o", filepath.Join(dir, "stored.json")}
	for _, f := range reports.Formats {
		args = append(args, "--export", filepath.Join(dir, "direct"+f.Ext))
	}
	if _, stderr, code := sgadvise(args...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	stored, err := os.ReadFile(filepath.Join(dir, "stored.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range reports.Formats {
		want, err := os.ReadFile(filepath.Join(dir, "direct"+f.Ext))
		if err != nil || len(want) == 0 {
			t.Fatalf("%s: %d bytes, %v", f.Name, len(want), err)
		}
		if got, stderr, code := sgadvise("render", filepath.Join(dir, "stored.json"), "--format", f.Name); code != exitOK || got != string(want) {
			t.Errorf("%s: exit code %d, %s\n%s", f.Name, code, stderr, firstDifference(got, string(want)))
		}
		var out, stderr bytes.Buffer
		if code := run(context.Background(), []string{"render", "-", "--format", f.Name}, streams{bytes.NewReader(stored), &out, &stderr}); code != exitOK || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s from standard input: exit code %d, %s", f.Name, code, &stderr)
		}
	}
}

// TestDiffOfTheDemoFollowsItsSchema compares two windows of the demo.
func TestDiffOfTheDemoFollowsItsSchema(t *testing.T) {
	dir := t.TempDir()
	older, newer := filepath.Join(dir, "old.json"), filepath.Join(dir, "new.json")
	for _, args := range [][]string{{"-o", older, "--to", "2026-05-20"}, {"-o", newer, "--from", "2026-05-12"}} {
		if _, stderr, code := sgadvise(append([]string{"analyze", "--logs", demoLogs, "--policy", demoPolicy, "--now", demoNow}, args...)...); code != exitOK {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
	}
	schema, stderr, code := sgadvise("schema", "diff")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("diff.json", doc); err != nil {
		t.Fatal(err)
	}
	out, stderr, code := sgadvise("diff", older, newer, "--format", "json")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	answer, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MustCompile("diff.json").Validate(answer); err != nil {
		t.Error(err)
	}
	// The policy is the same: nothing may be blamed on it.
	for _, x := range []string{`"rules": []`, `"groups": []`} {
		if !strings.Contains(out, x) {
			t.Errorf("the comparison lacks %s", x)
		}
	}
	if strings.Contains(out, `"cause": "policy"`) {
		t.Errorf("a change is blamed on the policy, which is the same:\n%s", out)
	}
}
