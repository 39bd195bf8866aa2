package schedule

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden units")

// nightly is what most users ask for.
func nightly() Options {
	return Options{Name: "sgadvise-audit", Binary: "/usr/local/bin/sgadvise", Config: "/etc/sgadvise/sgadvise.yaml",
		Body: "logs: [logs]\npolicy: [export]\nhistory: history\n\n# gate\nfail-on: high\n",
		At:   Time{Hour: 2, Minute: 30}, User: "sgadvise", Write: []string{"/var/lib/sgadvise"},
		Image: "registry.example.com/sgadvise:1.0.0", Space: "security", Size: "20Gi"}
}

// awkward has everything that needs quoting.
func awkward() Options {
	o := nightly()
	o.Name, o.At, o.Zone, o.Net = "weekly", Time{Day: "Mon", Hour: 8, Minute: 9}, "Europe/Berlin", true
	o.Binary, o.Config = "/opt/my tools/sgadvise", `/srv/100% "safe"/$HOME/it's.yaml`
	o.Write = []string{"/srv/a b", "/srv/50%"}
	o.After = []string{"sgadvise-fetch.service"}
	o.Body = "mode: tidy"
	return o
}

func TestUnitsAreAsApproved(t *testing.T) {
	for name, base := range map[string]Options{"nightly": nightly(), "awkward": awkward()} {
		for kind, write := range map[string]func(Options) ([]File, error){"systemd": Systemd, "cron": Cron, "kubernetes": Kubernetes} {
			o := base
			if kind != "systemd" {
				o.After = nil
			}
			if kind == "cron" {
				o.Zone = ""
			}
			files, err := write(o)
			if err != nil {
				t.Fatalf("%s %s: %v", name, kind, err)
			}
			var b strings.Builder
			for _, f := range files {
				fmt.Fprintf(&b, "-- %s --\n%s", f.Name, f.Body)
			}
			golden := filepath.Join("testdata", name+"-"+kind+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o666); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s (-want +got, -update rewrites it):\n%s", golden, diff)
			}
		}
	}
}

// TestSystemdTakesTheUnits asks systemd itself.
func TestSystemdTakesTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	for name, o := range map[string]Options{"nightly": nightly(), "awkward": awkward()} {
		dir := t.TempDir()
		o.Binary = filepath.Join(dir, "a b", "sgadvise") // it must be there and run
		if err := os.Mkdir(filepath.Dir(o.Binary), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(o.Binary, []byte("#!/bin/sh\n"), 0o777); err != nil {
			t.Fatal(err)
		}
		o.User = "root"
		files, err := Systemd(o)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"verify", "--man=no", "--recursive-errors=no"}
		for _, f := range files {
			path := filepath.Join(dir, f.Name)
			if err := os.WriteFile(path, []byte(f.Body), 0o666); err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
		for _, after := range o.After {
			fetch := "[Service]\nType=oneshot\nExecStart=/bin/true\n"
			if err := os.WriteFile(filepath.Join(dir, after), []byte(fetch), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(analyze, args...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		out, err := cmd.CombinedOutput()
		for _, s := range []string{"Failed to create", "Failed to setup", "Failed to connect", "Operation not permitted", "No such file or directory: /sys"} {
			if err != nil && bytes.Contains(out, []byte(s)) {
				t.Skipf("systemd-analyze does not work here: %s", out)
			}
		}
		if err != nil || bytes.Contains(out, []byte(dir)) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if out, err := exec.Command(analyze, "calendar", calendarOf(files[1].Body)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func calendarOf(timer string) string {
	_, rest, _ := strings.Cut(timer, "OnCalendar=")
	when, _, _ := strings.Cut(rest, "\n")
	return when
}

// TestKubernetesGetsTheConfigurationAsItIs reads the manifest back.
func TestKubernetesGetsTheConfigurationAsItIs(t *testing.T) {
	for _, body := range []string{"a: b\n", "a: b", "", "\n", "  a: b\n", "a: b\n\n", "a: 'x: #y'\n\n\nb: \"\\n\"\n", "a: b\r\n", "\ttab: x\n", "# only\n", "a: \u2028b\n", "---\na: b\n", "a: 1\n---\n"} {
		o := nightly()
		o.Body = body
		files, err := Kubernetes(o)
		if err != nil {
			t.Fatal(err)
		}
		d := yaml.NewDecoder(strings.NewReader(files[0].Body))
		var kinds []string
		for {
			var doc struct {
				Kind string
				Data map[string]string
				Spec map[string]any
			}
			if err := d.Decode(&doc); err != nil {
				break
			}
			kinds = append(kinds, doc.Kind)
			want := strings.ReplaceAll(body, "\r\n", "\n")
			if doc.Kind == "ConfigMap" && doc.Data["sgadvise.yaml"] != want {
				t.Errorf("%q comes back as %q", body, doc.Data["sgadvise.yaml"])
			}
		}
		if fmt.Sprint(kinds) != "[ConfigMap PersistentVolumeClaim CronJob]" {
			t.Errorf("%q: the kinds are %v", body, kinds)
		}
	}
}

// TestTheShellReadsTheWordsBack runs the command of a crontab.
func TestTheShellReadsTheWordsBack(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	for _, word := range []string{"/a/b", "a b", "it's", `"`, "$HOME", "`x`", `\`, "a;b", "*", "", "%d"} {
		out, err := exec.Command(sh, "-c", "printf '%s' "+shellWord(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q comes back as %q, %v", word, out, err)
		}
	}
}

func TestTimesAreHeldToTheirForm(t *testing.T) {
	for text, want := range map[string]Time{"02:30": {"", 2, 30}, "2:30": {"", 2, 30}, "08:09": {"", 8, 9}, "23:59": {"", 23, 59}, "mon 00:00": {"Mon", 0, 0}, "SUN 7:05": {"Sun", 7, 5}} {
		if got, err := ParseTime(text); err != nil || got != want {
			t.Errorf("ParseTime(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "24:00", "2:60", "2", "02:30:00", "Mox 02:30", "Monday 02:30", "02:30 Mon", "-1:00"} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("ParseTime(%q) = %v", text, got)
		}
	}
}

func TestWhatCannotStandInAUnitIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"newline":   func(o *Options) { o.Config = "/a\nExecStart=/bin/evil" },
		"write":     func(o *Options) { o.Write = []string{"/a\n/b"} },
		"name":      func(o *Options) { o.Name = "../x" },
		"zone":      func(o *Options) { o.Zone = "a b" },
		"user":      func(o *Options) { o.User = "a b" },
		"image":     func(o *Options) { o.Image = "a\nb" },
		"namespace": func(o *Options) { o.Space = "A" },
		"size":      func(o *Options) { o.Size = "many" },
		"after":     func(o *Options) { o.After = []string{"x"} },
	} {
		for _, write := range []func(Options) ([]File, error){Systemd, Cron, Kubernetes} {
			o := nightly()
			spoil(&o)
			if _, err := write(o); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	}
}
