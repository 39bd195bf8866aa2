package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/cmd/config"
)

// doctorFlags are those of the job whose settings are looked at.
type doctorFlags struct {
	auditFlags
	as string // format of the answer
}

func newDoctor(s streams) *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [--config FILE] [flags of audit]",
		Short: "Show every setting with where it comes from, and try what a run would need",
		Long: `Doctor prints the effective value of each setting and where it was said: on the command
line, in the environment (SGADVISE_…), in the configuration file, or nowhere. Then it
tries what a run needs: the policy is read, the log files are opened, the clock is
compared with the times of the files, folders are looked at for room and for the right to
write. Nothing is analyzed and nothing is left behind.

Exit code 2 says that a run would fail.`,
		Example: `  sgadvise doctor --config sgadvise.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.as = f.output.format
			f.output.format = ""
			return doctor(&f, configuration(cmd), s)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().Lookup("format").Hidden = false
	cmd.Flags().Lookup("format").Usage = "format of the answer: text, json (default text)"
	for _, name := range []string{"verbose"} {
		_ = cmd.Flags().MarkHidden(name) // they are flags of analyze
	}
	return cmd
}

// The outcomes of a check.
const (
	statusOK   = "ok"
	statusWarn = "warn"
	statusFail = "fail"
)

// diagnosis is what doctor prints.
type diagnosis struct {
	Config   string          `json:"config"` // the file, or ""
	Settings []settingLine   `json:"settings"`
	Checks   []doctorFinding `json:"checks"`
}

// settingLine is one setting as it holds.
type settingLine struct {
	Name  string   `json:"name"`
	Value []string `json:"value"`
	From  string   `json:"from"` // flag, environment, file or default
	Place string   `json:"place"`
}

// doctorFinding is the outcome of one check.
type doctorFinding struct {
	Check  string `json:"check"`
	Status string `json:"status"`
	Text   string `json:"text"`
}

func (d *diagnosis) add(check, status, format string, args ...any) {
	d.Checks = append(d.Checks, doctorFinding{check, status, fmt.Sprintf(format, args...)})
}

func doctor(f *doctorFlags, c configured, s streams) error {
	if !slices.Contains([]string{"", "text", "json"}, f.as) {
		return usageError("--format: %q is not text or json", f.as)
	}
	d := &diagnosis{Config: c.file}
	for _, v := range c.values {
		texts := v.Texts
		if v.Name == "on-finish" {
			texts = nil
			for _, t := range v.Texts {
				texts = append(texts, programOf(t))
			}
		}
		d.Settings = append(d.Settings, settingLine{v.Name, texts, v.From, v.Place})
	}
	f.examine(d, c, s)
	var err error
	if f.as == "json" {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(d)
	} else {
		err = d.text(s.out)
	}
	if err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	if n := d.count(statusFail); n > 0 {
		return usageError("a run would fail: %s", plural(n, "check failed", "checks failed"))
	}
	return nil
}

// programOf returns what a command of the shell begins with. The rest may hold the address or
// the token of a chat, which has no business in a log.
func programOf(command string) string {
	words := strings.Fields(command)
	switch {
	case len(words) == 0:
		return ""
	case strings.ContainsAny(words[0], "=:$(") || len(words[0]) > 60:
		return "…"
	case len(words) == 1:
		return words[0]
	}
	return words[0] + " …"
}

func (d *diagnosis) count(status string) (n int) {
	for _, c := range d.Checks {
		if c.Status == status {
			n++
		}
	}
	return n
}

// text prints d for people.
func (d *diagnosis) text(w io.Writer) error {
	var b strings.Builder
	file := d.Config
	if file == "" {
		file = "none"
	}
	fmt.Fprintf(&b, "Configuration file: %s\n\n", printable(file))
	width, values := 0, 0
	for _, v := range d.Settings {
		width, values = max(width, len(v.Name)), max(values, min(len(v.shown()), 44))
	}
	for _, v := range d.Settings {
		fmt.Fprintf(&b, "  %-*s  %-*s  %s\n", width, v.Name, values, printable(v.shown()), v.source())
	}
	b.WriteString("\n")
	for _, c := range d.Checks {
		fmt.Fprintf(&b, "  %-4s  %-9s  %s\n", c.Status, c.Check, printable(c.Text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (v *settingLine) shown() string {
	text := strings.Join(v.Value, ", ")
	if text == "" || text == "-1" && v.From == config.FromDefault { // -1: any number, or as the help says
		return "-"
	}
	return text
}

func (v *settingLine) source() string {
	switch v.From {
	case config.FromDefault, config.FromFlag:
		return v.From
	}
	return v.Place
}
