// Package schedule writes the units that run the audit at a fixed time: for systemd,
// cron and Kubernetes. It is a function of its options; nothing is installed.
package schedule

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Options say what is to run, when, and what it may touch. Paths are absolute and have
// slashes.
type Options struct {
	Name   string // of the units
	Binary string // sgadvise itself
	Config string // the configuration file
	Body   string // what it says; for Kubernetes, which gets a copy
	At     Time
	Zone   string   // time zone as "Europe/Berlin"; "": that of the machine, UTC in Kubernetes
	User   string   // who runs it; "": for cron the owner of the crontab
	After  []string // systemd units to start first, which bring logs and exports
	Write  []string // folders that it writes to
	Net    bool     // what it runs at the end may use the network
	Image  string   // for Kubernetes: the container with sgadvise
	Space  string   // for Kubernetes: the names of volumes are in this namespace
	Size   string   // for Kubernetes: of the volume, as "20Gi"
}

// Time is a time of day, and of the week if Day is not empty.
type Time struct {
	Day          string // "Mon" to "Sun"
	Hour, Minute int
}

// File is one unit.
type File struct{ Name, Body string }

var days = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

var timeOfDay = regexp.MustCompile(`^(?:([A-Za-z]{3}) )?([01]?[0-9]|2[0-3]):([0-5][0-9])$`)

// ParseTime reads "02:30" or "Mon 02:30".
func ParseTime(text string) (Time, error) {
	m := timeOfDay.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return Time{}, fmt.Errorf("%q is not a time of day (02:30), with a day of the week or without (Mon 02:30)", text)
	}
	var t Time
	fmt.Sscan(m[2], &t.Hour)
	// Sscan reads 08 as octal.
	t.Minute = int(m[3][0]-'0')*10 + int(m[3][1]-'0')
	if len(m[2]) == 2 {
		t.Hour = int(m[2][0]-'0')*10 + int(m[2][1]-'0')
	}
	if m[1] != "" {
		t.Day = strings.ToUpper(m[1][:1]) + strings.ToLower(m[1][1:])
		if !slices.Contains(days, t.Day) {
			return Time{}, fmt.Errorf("%q is no day of the week (Mon, Tue, …)", m[1])
		}
	}
	return t, nil
}

// cron is the time in the five fields of a crontab.
func (t Time) cron() string {
	day := "*"
	if t.Day != "" {
		day = fmt.Sprint(slices.Index(days, t.Day))
	}
	return fmt.Sprintf("%d %d * * %s", t.Minute, t.Hour, day)
}

var (
	unitName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$`)
	zoneName = regexp.MustCompile(`^[A-Za-z0-9_+/-]*$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	afterOne = regexp.MustCompile(`^[A-Za-z0-9:_.@-]+\.(service|target|mount|timer|path|socket)$`)
	sizeText = regexp.MustCompile(`^[1-9][0-9]*(Ki|Mi|Gi|Ti)$`)
	imageRef = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)
)

// check finds what would break a unit, or would be read as something else there.
func (o *Options) check() error {
	for _, p := range append([]string{o.Binary, o.Config}, o.Write...) {
		if strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return fmt.Errorf("%q cannot stand in a unit: it has control characters", p)
		}
	}
	for _, x := range []struct {
		what, value string
		re          *regexp.Regexp
		is          string
	}{
		{"name", o.Name, unitName, "lower-case letters, digits and hyphens"},
		{"time-zone", o.Zone, zoneName, "a name such as Europe/Berlin"},
		{"user", o.User, userName, "the name of a user"},
		{"image", o.Image, imageRef, "the name of a container image"},
		{"namespace", o.Space, unitName, "lower-case letters, digits and hyphens"},
		{"size", o.Size, sizeText, "a size such as 20Gi"},
	} {
		if x.value != "" && !x.re.MatchString(x.value) {
			return fmt.Errorf("--%s: %q is not %s", x.what, x.value, x.is)
		}
	}
	for _, a := range o.After {
		if !afterOne.MatchString(a) {
			return fmt.Errorf("--after: %q is not the name of a systemd unit, as sgadvise-fetch.service", a)
		}
	}
	return nil
}

// Systemd returns a service and the timer that starts it.
func Systemd(o Options) ([]File, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("# %s.service: one run of the scheduled audit.", o.Name)
	line("[Unit]")
	line("Description=Audit of security groups and network ACLs")
	line("Documentation=https://github.com/sgadvise/sgadvise/blob/main/docs/audit.md")
	if len(o.After) > 0 {
		line("# These bring the logs and the export. If they fail, the audit says what is missing.")
		line("Wants=%s", strings.Join(o.After, " "))
		line("After=%s", strings.Join(o.After, " "))
	}
	line("")
	line("[Service]")
	line("Type=oneshot")
	line("ExecStart=%s audit --config %s", unitWord(o.Binary, true), unitWord(o.Config, true))
	line("WorkingDirectory=%s", escapePercent(path.Dir(o.Config)))
	line("# 1 says that findings reached the gate: the run itself went well.")
	line("SuccessExitStatus=1")
	line("User=%s", o.User)
	line("Nice=10")
	line("IOSchedulingClass=idle")
	line("# SIGTERM ends a run with nothing half-written.")
	line("TimeoutStopSec=60")
	line("")
	line("# It reads files, writes to these folders, and needs nothing else.")
	line("ProtectSystem=strict")
	for _, w := range o.Write {
		line("ReadWritePaths=%s", unitWord(w, false))
	}
	line("ProtectHome=read-only")
	line("PrivateTmp=yes")
	line("PrivateDevices=yes")
	if o.Net {
		line("# on-finish may have to reach somebody, so the network stays.")
		line("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6")
	} else {
		line("PrivateNetwork=yes")
		line("RestrictAddressFamilies=AF_UNIX")
	}
	for _, l := range []string{"NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectClock=yes", "ProtectControlGroups=yes", "ProtectHostname=yes",
		"ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes", "ProtectProc=invisible", "RestrictNamespaces=yes",
		"RestrictRealtime=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes",
		"SystemCallArchitectures=native", "SystemCallFilter=@system-service"} {
		line("%s", l)
	}
	service := s.String()

	s.Reset()
	line("# %s.timer: when the audit runs.", o.Name)
	line("[Unit]")
	line("Description=Audit of security groups and network ACLs, on schedule")
	line("")
	line("[Timer]")
	when := fmt.Sprintf("*-*-* %02d:%02d:00", o.At.Hour, o.At.Minute)
	if o.At.Day != "" {
		when = o.At.Day + " " + when
	}
	if o.Zone != "" {
		when += " " + o.Zone
	}
	line("OnCalendar=%s", when)
	line("# Not all machines at once; and a run that was missed is made up for.")
	line("RandomizedDelaySec=10min")
	line("Persistent=true")
	line("")
	line("[Install]")
	line("WantedBy=timers.target")
	return []File{{o.Name + ".service", service}, {o.Name + ".timer", s.String()}}, nil
}

// unitWord quotes a path as one word of a line of a systemd unit. Only command lines
// know variables.
func unitWord(s string, command bool) string {
	s = escapePercent(s)
	if command {
		s = strings.ReplaceAll(s, "$", "$$")
	}
	if strings.ContainsAny(s, " \"'\\;") {
		s = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return s
}

func escapePercent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// Cron returns a crontab: that of a user, or with a user's name one for /etc/cron.d.
func Cron(o Options) ([]File, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Zone != "" {
		return nil, fmt.Errorf("--time-zone: cron runs in the time zone of the machine")
	}
	if len(o.After) > 0 {
		return nil, fmt.Errorf("--after: cron knows no units")
	}
	var s strings.Builder
	if o.User == "" {
		s.WriteString("# A line for crontab -e.\n")
	} else {
		fmt.Fprintf(&s, "# For /etc/cron.d/%s.\n", o.Name)
	}
	s.WriteString("# Nothing is printed, and so no mail sent, unless findings reach the gate or the run fails.\n")
	s.WriteString("# A run that finds another one at work exits 6 and leaves it alone.\n")
	s.WriteString(o.At.cron() + " ")
	if o.User != "" {
		s.WriteString(o.User + " ")
	}
	command := "cd " + shellWord(path.Dir(o.Config)) + " && " + shellWord(o.Binary) + " audit --quiet --config " + shellWord(o.Config)
	s.WriteString(strings.ReplaceAll(command, "%", `\%`) + "\n") // a % ends the line in cron
	return []File{{o.Name + ".cron", s.String()}}, nil
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./@:+%,=-]+$`)

// shellWord quotes s as one word of a shell.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
