package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/cmd/config"
	"github.com/sgadvise/sgadvise/cmd/schedule"
)

// scheduleFlags are the flags of schedule.
type scheduleFlags struct {
	o            schedule.Options
	config, at   string
	binary, into string
}

// schedulers are the systems that units are written for.
var schedulers = []struct {
	name  string
	write func(schedule.Options) ([]schedule.File, error)
}{
	{"systemd", schedule.Systemd},
	{"cron", schedule.Cron},
	{"kubernetes", schedule.Kubernetes},
}

func newSchedule(s streams) *cobra.Command {
	var f scheduleFlags
	cmd := &cobra.Command{
		Use:   "schedule systemd|cron|kubernetes [flags]",
		Short: "Print the units that run the audit every night",
		Long: `Schedule prints what makes a scheduler run sgadvise audit: a service and a timer for
systemd, a line of a crontab, or a ConfigMap, a volume claim and a CronJob for Kubernetes.
The folders that the units may write to follow from the configuration file. Nothing is
installed; --out writes the files to a folder.`,
		Example: `  sgadvise schedule systemd --config /etc/sgadvise/sgadvise.yaml --at 02:30 --out /etc/systemd/system
  sgadvise schedule kubernetes --config sgadvise.yaml --image registry.example.com/sgadvise:1.0.0`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"systemd", "cron", "kubernetes"},
		RunE:      func(_ *cobra.Command, args []string) error { return f.run(args[0], s) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.config, "config", "", "configuration file of the audit (default: the nearest "+config.FileName+")")
	fs.StringVar(&f.at, "at", "02:30", "time of day, with a day of the week for once a week: \"Mon 02:30\"")
	fs.StringVar(&f.o.Zone, "time-zone", "", "time zone of --at, as Europe/Berlin (default: that of the machine; Kubernetes: UTC)")
	fs.StringVar(&f.o.Name, "name", "sgadvise-audit", "name of the units")
	fs.StringVar(&f.binary, "binary", "", "path of sgadvise (default: the one that runs)")
	fs.StringVar(&f.o.User, "user", "", "who runs it (default: sgadvise for systemd; without it cron gets a line for crontab -e)")
	fs.StringArrayVar(&f.o.After, "after", nil, "systemd unit that brings logs and export first (repeatable)")
	fs.StringVar(&f.o.Image, "image", "sgadvise:latest", "container image, for Kubernetes")
	fs.StringVar(&f.o.Space, "namespace", "default", "namespace, for Kubernetes")
	fs.StringVar(&f.o.Size, "size", "20Gi", "size of the volume, for Kubernetes")
	fs.StringVar(&f.into, "out", "", "folder to write the files to, in place of standard output")
	return cmd
}

func (f *scheduleFlags) run(name string, s streams) error {
	i := slices.IndexFunc(schedulers, func(x struct {
		name  string
		write func(schedule.Options) ([]schedule.File, error)
	}) bool {
		return x.name == name
	})
	if i < 0 {
		return usageError("%q is not systemd, cron or kubernetes", name)
	}
	var err error
	if f.o.At, err = schedule.ParseTime(f.at); err != nil {
		return usageError("--at: %v", err)
	}
	if err := f.fill(name); err != nil {
		return err
	}
	files, err := schedulers[i].write(f.o)
	if err != nil {
		return &exitError{code: exitUsage, cause: err}
	}
	if f.into != "" {
		var out []file
		for _, x := range files {
			out = append(out, file{name: filepath.Join(f.into, x.Name), body: []byte(x.Body)})
		}
		if err := writeFiles(out); err != nil {
			return &exitError{code: exitInternal, cause: err}
		}
		for _, x := range out {
			fmt.Fprintf(s.err, "sgadvise: wrote %s\n", x.name)
		}
		return nil
	}
	var b strings.Builder
	for i, x := range files {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(x.Body)
	}
	if _, err := io.WriteString(s.out, b.String()); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	return nil
}

// fill takes from the configuration file what the units must know.
func (f *scheduleFlags) fill(scheduler string) error {
	name, err := configFile(f.config)
	if err != nil {
		return err
	}
	if name == "" {
		return &exitError{code: exitUsage, cause: fmt.Errorf("no configuration: give --config FILE"), hint: "docs/audit.md has one to start from"}
	}
	body, err := os.ReadFile(name)
	if err != nil {
		return &exitError{code: exitUsage, cause: namedPath(err)}
	}
	file, err := config.Parse(name, body)
	if err != nil {
		return &exitError{code: exitUsage, cause: err}
	}
	if f.o.Config, err = filepath.Abs(name); err != nil {
		return err
	}
	f.o.Binary = f.binary
	if f.o.Binary == "" {
		if f.o.Binary, err = os.Executable(); err != nil {
			return usageError("--binary: say where sgadvise is: %v", err)
		}
	}
	if f.o.Binary, err = filepath.Abs(f.o.Binary); err != nil {
		return err
	}
	if scheduler == "systemd" && f.o.User == "" {
		f.o.User = "sgadvise"
	}
	f.o.Body = string(body)
	f.o.Net = len(file.Values("on-finish")) > 0
	f.o.Write, err = writtenFolders(file)
	return err
}

// writtenFolders are the folders that an audit with this configuration writes to.
func writtenFolders(file *config.File) ([]string, error) {
	out := slices.Concat(file.Values("store"), file.Values("history"))
	for _, name := range slices.Concat(file.Values("export"), file.Values("changes"), file.Values("prometheus")) {
		out = append(out, filepath.Dir(name))
	}
	for i := range out {
		var err error
		if out[i], err = filepath.Abs(out[i]); err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
