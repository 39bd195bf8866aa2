package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/sgadvise/sgadvise/cmd/config"
)

// yamlBlocks are the YAML blocks of a document.
func yamlBlocks(t *testing.T, name string) []string {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	rest := string(body)
	for {
		_, after, ok := strings.Cut(rest, "```yaml\n")
		if !ok {
			return out
		}
		block, left, ok := strings.Cut(after, "\n```")
		if !ok {
			t.Fatalf("%s: a block without an end", name)
		}
		out = append(out, block+"\n")
		rest = left
	}
}

// TestTheWorkflowOfTheDocumentRuns reads the workflow of docs/github-actions.md and runs
// its steps that are sgadvise's, in turn, on the demo data in place of what it fetches.
func TestTheWorkflowOfTheDocumentRuns(t *testing.T) {
	blocks := yamlBlocks(t, "../../docs/github-actions.md")
	if len(blocks) != 1 {
		t.Fatalf("%d YAML blocks", len(blocks))
	}
	type step struct {
		Name string
		ID   string
		Uses string
		Run  string
		With map[string]any
	}
	var flow struct {
		Name        string
		On          map[string]any
		Permissions map[string]string
		Concurrency string
		Jobs        map[string]struct {
			RunsOn string `yaml:"runs-on"`
			Steps  []step
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(blocks[0]), &flow, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	demo, err := filepath.Abs("../../testdata/demo")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for link, name := range map[string]string{"logs": "logs", "export": "policy"} {
		if err := os.Symlink(filepath.Join(demo, name), link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("reports", 0o777); err != nil {
		t.Fatal(err)
	}
	ran, uploaded := 0, false
	for _, s := range flow.Jobs["audit"].Steps {
		if (s.Uses == "") == (s.Run == "") {
			t.Errorf("the step %q either uses or runs something", s.Name)
		}
		if strings.HasPrefix(s.Uses, "github/codeql-action/upload-sarif@") {
			uploaded = true
			name, _ := s.With["sarif_file"].(string)
			var doc struct{ Version string }
			if body, err := os.ReadFile(name); err != nil || json.Unmarshal(body, &doc) != nil || doc.Version != "2.1.0" {
				t.Errorf("what is uploaded, %q, is no SARIF: %v", name, err)
			}
		}
		for line := range strings.Lines(s.Run) {
			args := strings.Fields(line)
			if len(args) == 0 || args[0] != "sgadvise" {
				continue
			}
			ran++
			if args[1] == "audit" {
				args = append(args, "--now", "2026-06-12T02:30:00Z") // the demo is of May and June
			}
			want := exitOK
			if s.Name == "Gate" {
				want = exitGate // the demo has findings
				if !uploaded {
					t.Error("the gate comes before the upload")
				}
			}
			if _, errs, code := sgadvise(args[1:]...); code != want {
				t.Errorf("%s: exit code %d, want %d\n%s", strings.TrimSpace(line), code, want, errs)
			}
		}
	}
	if ran != 3 || !uploaded {
		t.Errorf("%d commands of sgadvise ran, uploaded: %t", ran, uploaded)
	}
	if body, err := os.ReadFile("reports/changes.md"); err != nil || len(body) == 0 || len(body) > 1<<20 {
		t.Errorf("the summary has %d bytes, %v", len(body), err)
	}
}

// TestYAMLOfTheDocumentsIsRead parses every other block, those with settings as the
// configuration that they are.
func TestYAMLOfTheDocumentsIsRead(t *testing.T) {
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../testdata/audit/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d configurations, %v", len(files), err)
	}
	for _, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(name, body); err != nil {
			t.Error(err)
		}
	}
	settings := 0
	for _, name := range names {
		for _, block := range yamlBlocks(t, name) {
			var v map[string]any
			if err := yaml.Unmarshal([]byte(block), &v); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if base := filepath.Base(name); base == "configuration.md" || base == "audit.md" {
				settings++
				if _, err := config.Parse(base, []byte(block)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if settings < 2 {
		t.Errorf("%d blocks of settings", settings)
	}
}
