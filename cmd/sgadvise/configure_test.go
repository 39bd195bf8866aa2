package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/cmd/config"
)

// allCommands are all commands with those below them.
func allCommands() []*cobra.Command {
	var out []*cobra.Command
	var add func(c *cobra.Command)
	add = func(c *cobra.Command) {
		out = append(out, c)
		for _, below := range c.Commands() {
			add(below)
		}
	}
	for _, make := range commands {
		add(make(streams{}))
	}
	return out
}

// kinds are the types of flags that a setting of each kind may be.
var kinds = map[config.Kind][]string{
	config.Text: {"string"}, config.Path: {"string"}, config.Paths: {"stringArray"}, config.Dated: {"stringArray"}, config.Texts: {"stringArray"},
	config.Whole: {"int", "int64"}, config.Ratio: {"float64"}, config.Switch: {"bool"},
}

func TestSettingsAreFlags(t *testing.T) {
	for _, s := range config.Settings {
		found := 0
		for _, c := range allCommands() {
			flag := c.Flags().Lookup(s.Name)
			if flag == nil || s.Only != nil && !slices.Contains(s.Only, c.Name()) || slices.Contains(s.Not, c.Name()) {
				continue
			}
			found++
			if !slices.Contains(kinds[s.Kind], flag.Value.Type()) {
				t.Errorf("%s of %s is of the type %s, the setting is a %s", s.Name, c.Name(), flag.Value.Type(), s.Kind)
			}
		}
		if found == 0 {
			t.Errorf("no command takes the setting %s", s.Name)
		}
	}
}

// TestFlagsOfTheJobsAreSettings finds flags that were forgotten in config.Settings.
func TestFlagsOfTheJobsAreSettings(t *testing.T) {
	oneRun := []string{"now", "output", "format", "verbose", "config", "cpu-profile", "help"} // of one run, not of a network
	for _, c := range allCommands() {
		if c.Name() != "analyze" && c.Name() != "audit" {
			continue
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(oneRun, f.Name) && !slices.ContainsFunc(config.Settings, func(s config.Setting) bool { return s.Name == f.Name }) {
				t.Errorf("--%s of %s is not in config.Settings: add a line there", f.Name, c.Name())
			}
		})
	}
}

// TestConfigurationDocumentListsEverySetting makes the table of docs/configuration.md
// from the settings and the help.
func TestConfigurationDocumentListsEverySetting(t *testing.T) {
	const name, begin, end = "../../docs/configuration.md", "<!-- settings -->\n", "<!-- end of settings -->"
	var b strings.Builder
	b.WriteString("| Setting | Is | Of | What it says |\n| --- | --- | --- | --- |\n")
	for _, s := range config.Settings {
		usage := ""
		var of []string
		for _, c := range allCommands() {
			flag := c.Flags().Lookup(s.Name)
			if flag == nil || c.Name() == "doctor" || s.Only != nil && !slices.Contains(s.Only, c.Name()) || slices.Contains(s.Not, c.Name()) {
				continue
			}
			if len(of) == 0 {
				usage = flag.Usage
			}
			of = append(of, "`"+c.CommandPath()+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, s.Kind, strings.Join(of, ", "), strings.ReplaceAll(usage, "|", `\|`))
	}
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(body), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks around its table", name)
	}
	want := before + begin + b.String() + end + after
	switch {
	case want == string(body):
	case *update:
		if err := os.WriteFile(name, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the settings say (run with -update to rewrite it):\n%s", name, firstDifference(want, string(body)))
	}
}
