package browser

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const root = "../../.."

// TestReportsInABrowser makes the reports of the demo and looks at them, and at the sample
// that has every section a report can have.
func TestReportsInABrowser(t *testing.T) {
	chromium := browser(t)
	dir := t.TempDir()
	install(t, dir)
	files := []string{absolute(t, root+"/report/testdata/sample.html")}
	tool := filepath.Join(dir, "sgadvise")
	run(t, root, "go", "build", "-o", tool, "./cmd/sgadvise")
	for name, data := range map[string]string{"demo.html": "testdata/demo", "clusters.html": "testdata/demo/clusters"} {
		file := filepath.Join(dir, name)
		run(t, root, tool, "analyze", "--logs", data+"/logs", "--policy", data+"/policy", "--now", "2026-06-12", "-o", file)
		files = append(files, file)
	}
	out := run(t, dir, "node", append([]string{"look.js", chromium}, files...)...)
	looked := 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var x struct {
			File, ColorScheme, What, Detail string
			Width                           int
		}
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		if x.What == "looked" {
			looked++
			continue
		}
		t.Errorf("%s %s %d: %s: %s", filepath.Base(x.File), x.ColorScheme, x.Width, x.What, x.Detail)
	}
	if want := len(files) * 2 * 4; looked != want {
		t.Errorf("looked %d times, want %d", looked, want)
	}
}

// browser returns the path of a Chromium, the one that CHROMIUM names if it is set.
func browser(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium is installed; CHROMIUM may name one")
	return ""
}

// install puts what look.js needs into dir, in the versions that package-lock.json has.
func install(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"npm", "node"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	for _, name := range []string{"package.json", "package-lock.json", "look.js"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install axe-core and playwright-core: %v\n%s", err, out)
	}
}

func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.Bytes())
	}
	return out
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
