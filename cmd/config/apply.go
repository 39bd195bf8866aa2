package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Where a value comes from.
const (
	FromFlag        = "flag"
	FromEnvironment = "environment"
	FromFile        = "file"
	FromDefault     = "default"
)

// Value is the effective value of a setting of one command.
type Value struct {
	Name   string
	Texts  []string // one, or those of a list
	From   string   // one of the From constants
	Place  string   // where to change it: "--mode", "SGADVISE_MODE", "sgadvise.yaml:3"; empty for a default
	Listed bool     // it is a list
}

// Text is the value for people; empty lists and texts are "".
func (v *Value) Text() string { return strings.Join(v.Texts, ", ") }

// Error is a value that a flag cannot take.
type Error struct {
	Place string
	Name  string
	Err   error
}

func (e *Error) Error() string {
	if strings.HasPrefix(e.Place, "SGADVISE_") {
		return fmt.Sprintf("%s: %v", e.Place, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Place, e.Name, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Takes reports whether any setting speaks to the command with these flags.
func Takes(command string, flags *pflag.FlagSet) bool {
	return slices.ContainsFunc(Settings, func(s Setting) bool {
		return s.speaksTo(command) && flags.Lookup(s.Name) != nil
	})
}

// Apply sets the flags of command that are not on its command line from the environment
// and from file, which may be nil, and returns the effective value of each setting that
// speaks to the command, in the order of [Settings]. What it sets counts as given.
func Apply(command string, flags *pflag.FlagSet, file *File, getenv func(string) string) ([]Value, error) {
	var values []Value
	for i := range Settings {
		s := &Settings[i]
		flag := flags.Lookup(s.Name)
		if flag == nil || !s.speaksTo(command) {
			continue
		}
		v := Value{Name: s.Name, From: FromDefault, Listed: s.Kind.List()}
		text := getenv(s.Variable())
		switch {
		case flag.Changed:
			v.From, v.Place = FromFlag, "--"+s.Name
		case text != "":
			v.From, v.Place = FromEnvironment, s.Variable()
			v.Texts = []string{text}
			if s.Kind.List() {
				v.Texts = splitList(text)
			}
		case file != nil && file.values[s.Name].line > 0:
			x := file.values[s.Name]
			v.From, v.Place = FromFile, fmt.Sprintf("%s:%d", file.Name, x.line)
			v.Texts = x.values
		}
		values = append(values, v)
	}
	for i := range values {
		v := &values[i]
		if v.From == FromFlag || v.From == FromDefault || outdone(command, v, values) {
			continue
		}
		s := find(v.Name)
		for _, text := range v.Texts {
			err := s.Kind.check(text)
			if err == nil {
				err = flags.Set(v.Name, text)
			}
			if err != nil {
				return nil, &Error{v.Place, v.Name, cause(err)}
			}
		}
	}
	for i := range values {
		v := &values[i]
		flag := flags.Lookup(v.Name)
		if v.Texts = []string{flag.Value.String()}; v.Listed {
			v.Texts = flag.Value.(pflag.SliceValue).GetSlice()
		}
		if !flag.Changed {
			v.From, v.Place = FromDefault, ""
		}
	}
	return values, nil
}

// rank orders the sources: the lower one wins.
var rank = map[string]int{FromFlag: 0, FromEnvironment: 1, FromFile: 2, FromDefault: 3}

// outdone reports whether a setting that takes the place of v is said at least as
// directly, or one that v would take the place of is said more directly.
func outdone(command string, v *Value, all []Value) bool {
	for i := range all {
		o := &all[i]
		if replaces(command, o.Name, v.Name) && o.From != FromDefault && rank[o.From] <= rank[v.From] ||
			replaces(command, v.Name, o.Name) && rank[o.From] < rank[v.From] {
			return true
		}
	}
	return false
}

// replaces reports whether the setting a takes the place of b.
func replaces(command, a, b string) bool {
	s := find(a)
	return slices.Contains(s.Over, b) && !slices.Contains(s.With, command)
}

// splitList reads the values of a list from the environment: they are parted by commas.
func splitList(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// cause is what the flag library says of a value, without its words around it.
func cause(err error) error {
	if e, ok := err.(*pflag.InvalidValueError); ok {
		return fmt.Errorf("%q: %w", e.GetValue(), e.Unwrap())
	}
	return err
}

// Unknown returns the names of variables in environ ("NAME=value") that look like
// settings and are none, in order.
func Unknown(environ []string) []string {
	var out []string
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "SGADVISE_") || name == FileVariable {
			continue
		}
		if !slices.ContainsFunc(Settings, func(s Setting) bool { return s.Variable() == name }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Reword gives an error about the flag of one of values, "--mode: …", the place where
// the value was said.
func Reword(text string, values []Value) string {
	for i := range values {
		v := &values[i]
		rest, ok := strings.CutPrefix(text, "--"+v.Name)
		if !ok || rest == "" || rest[0] != ':' && rest[0] != ' ' || v.Place == "" || v.From == FromFlag {
			continue
		}
		if v.From == FromFile {
			return v.Place + ": " + v.Name + rest
		}
		return v.Place + rest
	}
	return text
}
