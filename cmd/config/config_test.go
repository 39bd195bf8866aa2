package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// flags are some of those that a command may have, with their defaults.
func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("analyze", pflag.ContinueOnError)
	fs.StringArray("logs", nil, "")
	fs.String("store", "", "")
	fs.StringArray("policy", nil, "")
	fs.StringArray("policy-at", nil, "")
	fs.String("mode", "tighten", "")
	fs.Int("min-days", -1, "")
	fs.Float64("min-fidelity", 0.9, "")
	fs.Bool("strict", false, "")
	fs.String("log-format", "", "")
	fs.String("from", "", "")
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); k == name {
				return v
			}
		}
		return ""
	}
}

func TestTheMoreDirectSourceWins(t *testing.T) {
	file, err := Parse("dir/sgadvise.yaml", []byte("# about\nmode: tidy\nmin-days: 7\nlogs:\n  - a\n  - /b/*.gz\n  - '-'\npolicy: export\nfrom: 2026-01-02\npolicy-at: ['2026-01-01=old']\n"))
	if err != nil {
		t.Fatal(err)
	}
	fs := flags(t, "--min-days", "3")
	values, err := Apply("analyze", fs, file, environment("SGADVISE_MODE=none", "SGADVISE_STRICT=true", "SGADVISE_MIN_DAYS=5", "SGADVISE_POLICY=x, y"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range values {
		got = append(got, fmt.Sprintf("%s=%s %s %s", v.Name, v.Text(), v.From, v.Place))
	}
	want := []string{
		"logs=dir/a, /b/*.gz, - file dir/sgadvise.yaml:4",
		"store= default ",
		"policy=x, y environment SGADVISE_POLICY",
		"policy-at=2026-01-01=dir/old file dir/sgadvise.yaml:10",
		"from=2026-01-02 file dir/sgadvise.yaml:9",
		"log-format= default ",
		"mode=none environment SGADVISE_MODE",
		"min-days=3 flag --min-days",
		"min-fidelity=0.9 default ",
		"strict=true environment SGADVISE_STRICT",
	}
	if !slices.Equal(got, want) {
		t.Errorf("values are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n, _ := fs.GetInt("min-days"); n != 3 {
		t.Errorf("min-days is %d", n)
	}
}

// TestEverySourceIsTriedAgainstEveryOther holds Apply to the definition of precedence.
func TestEverySourceIsTriedAgainstEveryOther(t *testing.T) {
	for set := range 8 {
		var args []string
		var env []string
		body, want := "", "tighten"
		if set&4 != 0 {
			body, want = "mode: from-file", "from-file"
		}
		if set&2 != 0 {
			env, want = []string{"SGADVISE_MODE=from-env"}, "from-env"
		}
		if set&1 != 0 {
			args, want = []string{"--mode=from-flag"}, "from-flag"
		}
		file, err := Parse("f", []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		fs := flags(t, args...)
		if _, err := Apply("analyze", fs, file, environment(env...)); err != nil {
			t.Fatal(err)
		}
		if got, _ := fs.GetString("mode"); got != want {
			t.Errorf("sources %03b: mode is %s, want %s", set, got, want)
		}
	}
}

func TestMistakesNameTheirLine(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"mode: tidy\nmin-dys: 3\n", `f.yaml:2: unknown key "min-dys": did you mean min-days?`},
		{"colour: x\n", `f.yaml:1: unknown key "colour": did you mean color?`},
		{"nothing-like-it: x\n", `f.yaml:1: unknown key "nothing-like-it": sgadvise doctor lists all`},
		{"mode: tidy\n\nmode: none\n", "f.yaml:3: "},
		{"min-days: soon\n", `f.yaml:1: min-days: "soon" is not a whole number`},
		{"min-days: 1.5\n", `f.yaml:1: min-days: "1.5" is not a whole number`},
		{"strict: yes\n", `f.yaml:1: strict: "yes" is neither true nor false`},
		{"min-fidelity: high\n", `f.yaml:1: min-fidelity: "high" is not a number`},
		{"mode: [tidy]\n", "f.yaml:1: mode: a list where one value belongs (text)"},
		{"mode:\n", "f.yaml:1: mode: it needs a value (text)"},
		{"logs:\n  - a\n  - b: c\n", "f.yaml:3: logs: it needs a value (list of paths)"},
		{"logs:\n  - a\n  -\n", "f.yaml:3: logs: it needs a value (list of paths)"},
		{"logs: ''\n", "f.yaml:1: logs: an empty path"},
		{"mode: tidy\nstore: ~/days\n", `f.yaml:2: store: "~/days": only a shell knows what ~ is: write the path out`},
		{"policy-at: 2026-01-01=~/old\n", `f.yaml:1: policy-at: "~/old": only a shell knows what ~ is: write the path out`},
		{"policy-at: old\n", `f.yaml:1: policy-at: "old" is not TIME=PATH`},
		{"- a\n- b\n", `f.yaml:1: it is not a list of settings, as in "mode: tidy"`},
		{"tidy\n", `f.yaml:1: it is not a list of settings, as in "mode: tidy"`},
		{"mode: tidy\n---\nmode: none\n", "f.yaml:3: a second document: the file holds one"},
		{"mode: 'tidy\n", "f.yaml:1: "},
		{"mode: tidy\n\tbudget: 3\n", "f.yaml:2: "},
		{"a: b: c\n", "f.yaml:1: "},
	} {
		_, err := Parse("f.yaml", []byte(c.body))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("Parse(%q): %v, want %s", c.body, err, c.want)
		}
	}
}

func TestFilesThatSayNothingAreFine(t *testing.T) {
	for _, body := range []string{"", "\n", "# nothing yet\n", "---\n"} {
		if _, err := Parse("f.yaml", []byte(body)); err != nil {
			t.Errorf("Parse(%q): %v", body, err)
		}
	}
}

func TestValuesAreTakenAsWritten(t *testing.T) {
	file, err := Parse("f.yaml", []byte("log-format: ${version} ${srcaddr} # comment\nfrom: 2026-06-01T00:00:00Z\nmode: \"tidy\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	fs := flags(t)
	if _, err := Apply("analyze", fs, file, environment()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"log-format": "${version} ${srcaddr}", "from": "2026-06-01T00:00:00Z", "mode": "tidy"} {
		if got, _ := fs.GetString(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestWrongEnvironmentIsNamed(t *testing.T) {
	_, err := Apply("analyze", flags(t), nil, environment("SGADVISE_MIN_DAYS=many"))
	if err == nil || err.Error() != `SGADVISE_MIN_DAYS: "many" is not a whole number` {
		t.Errorf("the error is %v", err)
	}
	got := Unknown([]string{"SGADVISE_MIN_DAYS=1", "PATH=/bin", "SGADVISE_MINDAYS=1", "SGADVISE_CONFIG=x", "SGADVISE_A=1"})
	if !slices.Equal(got, []string{"SGADVISE_A", "SGADVISE_MINDAYS"}) {
		t.Errorf("Unknown() = %v", got)
	}
}

func TestSettingsSpeakOnlyToTheirCommands(t *testing.T) {
	file, err := Parse("f.yaml", []byte("logs: a\nmode: tidy\nstrict: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	fs := flags(t)
	values, err := Apply("explain", fs, file, environment())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if v.Name == "logs" || v.Name == "mode" {
			t.Errorf("explain takes %s from the file", v.Name)
		}
	}
	if on, _ := fs.GetBool("strict"); !on {
		t.Error("explain does not take strict from the file")
	}
	if fs.Changed("logs") || fs.Changed("mode") {
		t.Error("flags were set that are not explain's")
	}
}

// TestAStoreTakesThePlaceOfLogs tries every way to say both.
func TestAStoreTakesThePlaceOfLogs(t *testing.T) {
	for _, c := range []struct {
		command     string
		args        []string
		env, body   string
		logs, store string
	}{
		{"analyze", nil, "", "logs: a\nstore: s\nlog-format: x", "", "s"},
		{"audit", nil, "", "logs: a\nstore: s\nlog-format: x", "a", "s"},
		{"analyze", []string{"--logs=f"}, "", "logs: a\nstore: s", "f", ""},
		{"analyze", []string{"--store=f"}, "", "logs: a\nstore: s", "", "f"},
		{"analyze", nil, "SGADVISE_LOGS=e", "store: s", "e", ""},
		{"analyze", nil, "SGADVISE_STORE=e", "logs: a", "", "e"},
		{"analyze", []string{"--logs=f"}, "SGADVISE_STORE=e", "", "f", ""},
		{"audit", []string{"--logs=f"}, "SGADVISE_STORE=e", "logs: a", "f", "e"},
	} {
		file, err := Parse("f.yaml", []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		fs := flags(t, c.args...)
		if _, err := Apply(c.command, fs, file, environment(c.env)); err != nil {
			t.Fatal(err)
		}
		logs, _ := fs.GetStringArray("logs")
		store, _ := fs.GetString("store")
		if format, _ := fs.GetString("log-format"); strings.Join(logs, ",") != c.logs || store != c.store || c.command == "analyze" && c.store != "" && format != "" {
			t.Errorf("%+v: logs %v, store %q, format %q", c, logs, store, format)
		}
	}
}

func TestTheNearestFileHolds(t *testing.T) {
	there := map[string]bool{"/a/sgadvise.yaml": true, "/home/u/.config/sgadvise/sgadvise.yaml": true, "/x/sgadvise/sgadvise.yaml": true}
	exists := func(p string) (bool, error) {
		if p == "/locked/sgadvise.yaml" {
			return false, fs.ErrPermission
		}
		if p == "/broken/sgadvise.yaml" {
			return false, errors.New("disk on fire")
		}
		return there[filepath.ToSlash(p)], nil
	}
	for _, c := range []struct{ folder, xdg, want string }{
		{"/a/b/c", "", "/a/sgadvise.yaml"},
		{"/a", "", "/a/sgadvise.yaml"},
		{"/ab", "", "/home/u/.config/sgadvise/sgadvise.yaml"},
		{"/b", "/x", "/x/sgadvise/sgadvise.yaml"},
		{"/b", "/y", ""},
		{"/locked/b", "", "/home/u/.config/sgadvise/sgadvise.yaml"},
	} {
		got, err := Find(c.folder, environment("HOME=/home/u", "XDG_CONFIG_HOME="+c.xdg), exists)
		if err != nil || got != c.want {
			t.Errorf("Find(%s, XDG %q) = %q, %v, want %q", c.folder, c.xdg, got, err, c.want)
		}
	}
	if _, err := Find("/broken", environment(), exists); err == nil {
		t.Error("an error of the disk is kept quiet")
	}
}

func TestComplaintsAboutFlagsNameTheSource(t *testing.T) {
	values := []Value{{Name: "min-days", From: FromEnvironment, Place: "SGADVISE_MIN_DAYS"}, {Name: "mode", From: FromFile, Place: "f.yaml:3"},
		{Name: "from", From: FromFile, Place: "f.yaml:4"}, {Name: "to", From: FromFlag, Place: "--to"}}
	for in, want := range map[string]string{
		`--mode: "x" is not tidy`:            `f.yaml:3: mode: "x" is not tidy`,
		"--min-days: -1 is negative":         "SGADVISE_MIN_DAYS: -1 is negative",
		"--from 2026 is not before --to 202": "f.yaml:4: from 2026 is not before --to 202",
		"--to: x":                            "--to: x",
		"--mode-of: x":                       "--mode-of: x",
		"no policy":                          "no policy",
	} {
		if got := Reword(in, values); got != want {
			t.Errorf("Reword(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"mode: tidy\n", "logs: [a, b]\n", "logs:\n- a\n", "a: &x b\nc: *x\n", "<<: {a: b}\n", "? a\n: b\n", "!!str a: b\n", "mode: |\n  x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		file, err := Parse("f.yaml", []byte(body))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.yaml:") {
				t.Errorf("no position: %v", err)
			}
			return
		}
		for name, x := range file.values {
			if find(name) == nil || x.line < 1 {
				t.Errorf("%s, line %d, was taken for a setting", name, x.line)
			}
		}
	})
}
