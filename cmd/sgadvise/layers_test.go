package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/sgadvise/sgadvise"

// layers are the top folders in the order of the pipeline. Each may import those
// before it and its own subfolders; a subfolder never imports the top folder.
var layers = []string{"ingest", "engine", "analyzer", "report", "cmd"}

// doors are packages with a say in who imports them. Only says where they may be
// imported from, why is the reason that a failure gives.
var doors = []struct {
	path string // the package and all below it; a trailing $ means the package alone
	only []string
	why  string
}{
	{"github.com/apache/arrow", []string{"ingest/store"},
		"the columns of the store are Arrow arrays; nobody else should care how they are kept"},
	{"github.com/parquet-go/parquet-go", []string{"ingest/flowlog", "ingest/store"},
		"flow logs and the store are Parquet files; the rest of the program reads columns"},
	{"github.com/goccy/go-yaml", []string{"analyzer/yamlfile", "cmd"},
		"files that people write are read in one way: unknown keys are errors, and errors have a line"},
	{"github.com/olekukonko/tablewriter", []string{"report"},
		"tables are drawn in one place, so that they can be drawn otherwise"},
	{"github.com/spf13", []string{"cmd"},
		"flags belong to the command; a library takes options"},
	{"os$", []string{"ingest", "ingest/store", "engine/policy/cloud", "cmd"},
		"what does not open files is a function of its input"},
	{"modernc.org", []string{"cmd/catalog"},
		"the catalogue of the store is its own affair; the rest of the program asks for days"},
	{"database/sql", []string{"cmd/catalog"},
		"the catalogue of the store is its own affair; the rest of the program asks for days"},
	{"os/exec", []string{"cmd"}, "nothing is run but what the owner of a scheduled job asks for"},
	{"net$", nil, "nothing is fetched: logs and policies are files"},
	{"net/http", nil, "nothing is fetched: logs and policies are files"},
	{"log$", nil, "libraries return errors, the command writes to its streams"},
	{"log/slog", nil, "libraries return errors, the command writes to its streams"},
	{"math/rand", []string{"analyzer/cover"},
		"the same input gives the same report; the search for covers draws from a fixed seed"},
	{"unsafe$", []string{"ingest/store", "ingest/flowlog"},
		"only where columns and bytes are the same memory"},
}

// never may not be linked into the binary at all.
var never = []struct{ path, why string }{
	{"github.com/apache/arrow/go/v17/arrow/compute", "it brings a whole query engine; checks are set algebra"},
	{"github.com/apache/arrow/go/v17/parquet", "there is one Parquet reader, parquet-go"},
	{"github.com/apache/arrow/go/v17/arrow/flight", "nothing is fetched"},
	{"google.golang.org/grpc", "nothing is fetched"},
	{"testing$", "it is for tests"},
}

type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// list returns what the binary is made of.
func list(t *testing.T) []listed {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var packages = sync.OnceValues(func() ([]listed, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,Imports", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, &stderr)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func TestLayersImportOnlyWhatStandsBeforeThem(t *testing.T) {
	ours := 0
	for _, p := range list(t) {
		for _, n := range never {
			if under(p.ImportPath, n.path) {
				t.Errorf("%s is linked in: %s", p.ImportPath, n.why)
			}
		}
		from, ok := strings.CutPrefix(p.ImportPath, module+"/")
		if !ok {
			continue
		}
		ours++
		if !slices.Contains(layers, top(from)) {
			t.Errorf("%s is in no layer: the top folders are %v", from, layers)
			continue
		}
		for _, path := range p.Imports {
			if to, ok := strings.CutPrefix(path, module+"/"); ok {
				if why := upward(from, to); why != "" {
					t.Errorf("%s imports %s: %s", from, to, why)
				}
				continue
			}
			for _, d := range doors {
				if under(path, d.path) && !slices.Contains(d.only, from) && !(slices.Contains(d.only, "cmd") && top(from) == "cmd") {
					t.Errorf("%s imports %s, which only %v may: %s", from, path, d.only, d.why)
				}
			}
		}
	}
	if ours < 15 {
		t.Errorf("go list found %d packages of the module", ours)
	}
}

func top(path string) string { first, _, _ := strings.Cut(path, "/"); return first }

// under reports whether path is pattern or below it.
func under(path, pattern string) bool {
	if alone, ok := strings.CutSuffix(pattern, "$"); ok {
		return path == alone
	}
	return path == pattern || strings.HasPrefix(path, pattern+"/")
}

// upward says why the package from may not import the package to, or nothing.
func upward(from, to string) string {
	a, b := slices.Index(layers, top(from)), slices.Index(layers, top(to))
	switch {
	case b > a:
		return fmt.Sprintf("data goes from %s to %s, nothing calls back", top(from), top(to))
	case to == top(from):
		return "a subfolder never imports its top folder"
	case to == "cmd/sgadvise":
		return "a command is not a library"
	case to == "ingest" && top(from) != "cmd" && top(from) != "report":
		return "what follows works on connections and must not read files"
	}
	return ""
}

func TestUpwardSeesEveryForbiddenImport(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"engine", "ingest/store", true},
		{"engine", "engine/policy", true},
		{"engine/policy", "engine/netset", true},
		{"engine/policy", "engine", false},
		{"ingest/flow", "ingest", false},
		{"ingest", "engine/policy", false},
		{"engine/policy/cloud", "engine/policy", true},
		{"analyzer/plan", "analyzer", false},
		{"analyzer", "report", false},
		{"report", "cmd/sgadvise", false},
		{"cmd/sgadvise", "cmd/config", true},
		{"cmd/config", "cmd/sgadvise", false},
		{"report", "cmd/config", false},
		{"engine", "ingest", false},
		{"cmd/sgadvise", "ingest", true},
	} {
		if why := upward(c.from, c.to); (why == "") != c.ok {
			t.Errorf("upward(%s, %s) = %q, want it allowed: %t", c.from, c.to, why, c.ok)
		}
	}
}

// TestFlowIsStandardLibraryOnly holds the bottom of the pipeline to be plain values.
func TestFlowIsStandardLibraryOnly(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath != module+"/ingest/flow" {
			continue
		}
		for _, path := range p.Imports {
			if strings.Contains(top(path), ".") {
				t.Errorf("ingest/flow imports %s: every package of the program imports flow", path)
			}
		}
	}
}

// TestOnlyTheCommandReadsClockAndEnvironment looks for the calls themselves: package
// time and, where files are opened, os are imported for other things, too.
func TestOnlyTheCommandReadsClockAndEnvironment(t *testing.T) {
	forbidden := map[string][]string{
		"time": {"Now", "Since", "Until", "Sleep"}, // a ticker says when, and nothing goes into a report
		"os":   {"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Exit", "Args", "Stdin", "Stdout", "Stderr"},
		"fmt":  {"Print", "Println", "Printf"},
	}
	for _, p := range list(t) {
		from, ok := strings.CutPrefix(p.ImportPath, module+"/")
		if !ok || top(from) == "cmd" {
			continue
		}
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if fn, ok := n.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil {
					t.Errorf("%s: init function: tables are explicit", fset.Position(fn.Pos()))
				}
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if ok && slices.Contains(forbidden[x.Name], sel.Sel.Name) {
					t.Errorf("%s: %s.%s: only cmd reads the clock, the environment and the streams", fset.Position(sel.Pos()), x.Name, sel.Sel.Name)
				}
				return true
			})
		}
	}
}

func TestModuleReplacesNothing(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct{ Require, Replace, Exclude []any }
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Require) == 0 {
		t.Fatal("go mod edit names no requirement")
	}
	if len(mod.Replace) > 0 || len(mod.Exclude) > 0 {
		t.Errorf("go.mod has replace or exclude lines: go install would not build what is tested")
	}
}
