package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer"
)

var update = flag.Bool("update", false, "rewrite the outputs shown in the documents")

// documents returns README.md and all of docs.
func documents(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(names, "../../README.md")
}

// TestDocumentsShowWhatHappens runs every line after "$ " in the console blocks of the
// documents and compares what it prints with what the block shows. The commands run in
// a folder that holds testdata, as in a clone.
func TestDocumentsShowWhatHappens(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("the commands of the documents need sh")
	}
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "testdata"), filepath.Join(dir, "testdata")); err != nil {
		t.Fatal(err)
	}
	// The test binary is sgadvise if it is called so (see TestMain).
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "sgadvise")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_COLOR=1", "CLICOLOR_FORCE=")
	ran := 0
	for _, name := range documents(t) {
		old, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var doc strings.Builder
		inside, skip := false, false // in a console block; in the output of a command
		for line := range strings.Lines(string(old)) {
			text := strings.TrimRight(line, "\n")
			switch {
			case !inside:
				inside = text == "```console"
				skip = false
			case text == "```":
				inside, skip = false, false
			case strings.HasPrefix(text, "$ "):
				ran++
				cmd := exec.Command("sh", "-c", text[2:])
				cmd.Dir, cmd.Env = dir, env
				out, _ := cmd.CombinedOutput() // what a failure prints is shown, too
				doc.WriteString(line)
				doc.Write(out)
				skip = true
				continue
			}
			if !skip {
				doc.WriteString(line)
			}
		}
		switch {
		case doc.String() == string(old):
		case *update:
			if err := os.WriteFile(name, []byte(doc.String()), 0o666); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s shows other output than the commands print (run with -update to rewrite it):\n%s", name, firstDifference(doc.String(), string(old)))
		}
	}
	if ran == 0 {
		t.Error("no document shows a command")
	}
}

// TestChecksDocumentIsCurrent holds docs/checks.md to the checks themselves.
func TestChecksDocumentIsCurrent(t *testing.T) {
	const name = "../../docs/checks.md"
	var b bytes.Buffer
	b.WriteString("# Checks\n\nMade from the checks themselves (`make golden`); `sgadvise checks NAME` prints the same.\n\n" +
		"A finding is a claim about one rule, group or network ACL, with the numbers behind it. It stands\n" +
		"alone: what can be done about several at once, without cutting anything off, is in the plan.\n\n" +
		"| Check | Gravest | Says |\n| --- | --- | --- |\n")
	for _, a := range analyzer.All {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", a.Name, a.Name, a.Severity, a.Title)
	}
	for _, a := range analyzer.All {
		fmt.Fprintf(&b, "\n## %s\n\n**%s.** Severity: %s at most.\n\n%s\n", a.Name, strings.TrimSuffix(a.Title, "."), a.Severity, strings.TrimSpace(a.Doc))
	}
	old, err := os.ReadFile(name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	switch {
	case b.String() == string(old):
	case *update:
		if err := os.WriteFile(name, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the checks say (run with -update to rewrite it):\n%s", name, firstDifference(b.String(), string(old)))
	}
}

var (
	link       = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	makeTarget = regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)")
	flagName   = regexp.MustCompile("`(?:sgadvise [a-z]+ )?(--[a-z-]+)")
)

// TestDocumentsNameWhatExists looks for links, make targets and flags that are gone.
func TestDocumentsNameWhatExists(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	help := ""
	for _, c := range commands {
		cmd := c(streams{})
		text, _, _ := sgadvise(cmd.Name(), "--help")
		help += text
		for _, sub := range cmd.Commands() {
			text, _, _ := sgadvise(cmd.Name(), sub.Name(), "--help")
			help += text
		}
	}
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
		for _, m := range makeTarget.FindAllStringSubmatch(string(text), -1) {
			if !bytes.Contains(makefile, []byte("\n"+m[1]+": ")) {
				t.Errorf("%s names make %s, which the Makefile does not have", name, m[1])
			}
		}
		for _, m := range flagName.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(help, m[1]+" ") {
				t.Errorf("%s names %s, which no command has", name, m[1])
			}
		}
	}
}

// TestMakeDemo runs what a newcomer runs first.
func TestMakeDemo(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make")
	}
	if testing.Short() {
		t.Skip("it builds the command")
	}
	dir := t.TempDir()
	cmd := exec.Command("make", "--no-print-directory", "demo", "BIN="+filepath.Join(dir, "sgadvise"), "DEMO="+dir)
	cmd.Dir = "../.."
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("make demo: %v\n%s%s", err, &stdout, &stderr)
	}
	if !strings.Contains(stdout.String(), " can be removed and ") {
		t.Errorf("the summary says nothing of what can go:\n%s", &stdout)
	}
	for _, name := range []string{"report.html", "report.md", "report.json"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is not there or empty: %v", name, err)
		}
	}
}
