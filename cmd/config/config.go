// Package config is what sgadvise can be told besides flags: one table of settings,
// from which the keys of sgadvise.yaml and the names of environment variables follow.
//
// A flag outranks the environment, which outranks the file, which outranks the default.
// Errors name the line. The package reads nothing but the bytes and the environment
// that it is handed.
package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// FileName is the name of the file that is looked for.
const FileName = "sgadvise.yaml"

// FileVariable names the file in the environment.
const FileVariable = "SGADVISE_CONFIG"

// None in place of a file's name says that no file is to be read.
const None = "none"

// Kind is the type of a setting.
type Kind uint8

// The kinds of settings. Paths that do not begin with a slash are relative to the
// folder of the file that names them, in flags and in the environment to the working
// directory.
const (
	Text   Kind = iota // one line of text
	Path               // a file or folder, or - for a standard stream
	Paths              // several of them, globs included
	Dated              // several of TIME=PATH
	Whole              // a whole number
	Ratio              // a number from 0 to 1
	Switch             // true or false
	Texts              // several lines of text
)

// List reports whether a setting of the kind has any number of values.
func (k Kind) List() bool { return k == Paths || k == Dated || k == Texts }

func (k Kind) String() string {
	return [...]string{"text", "path", "list of paths", "list of TIME=PATH", "whole number", "number", "true or false", "list"}[k]
}

// Setting is one thing that can be said in the file and in the environment. It is the
// flag of the same name of every command that has one and is not excepted.
type Setting struct {
	Name string   // of the flag and the key
	Kind Kind     // as the file is held to
	Only []string // the commands it speaks to; nil: all that have the flag
	Not  []string // commands that have the flag for something else
	Over []string // settings that it takes the place of, where they are said no more directly
	With []string // commands in which it goes beside them all the same
}

// Variable is the name of the setting in the environment.
func (s *Setting) Variable() string { return variable(s.Name) }

func variable(name string) string {
	return "SGADVISE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// speaksTo reports whether the setting is for command.
func (s *Setting) speaksTo(command string) bool {
	return (s.Only == nil || slices.Contains(s.Only, command)) && !slices.Contains(s.Not, command)
}

// jobs are the commands that write the main report, doctor being their rehearsal.
var jobs = []string{"analyze", "audit", "doctor"}

// Settings are all there are, in the order in which they are documented.
var Settings = []Setting{
	{Name: "logs", Kind: Paths, Not: []string{"explain", "certify"}},
	{Name: "store", Kind: Path, Not: []string{"explain", "certify"}, Over: []string{"logs", "log-format", "columns"}, With: []string{"audit", "doctor", "ingest"}},
	{Name: "policy", Kind: Paths, Not: []string{"certify"}},
	{Name: "policy-at", Kind: Dated, Not: []string{"certify"}},
	{Name: "from", Kind: Text, Only: jobs},
	{Name: "to", Kind: Text, Only: jobs},
	{Name: "log-format", Kind: Text},
	{Name: "columns", Kind: Text},
	{Name: "mode", Kind: Text, Only: jobs},
	{Name: "budget", Kind: Whole, Only: jobs},
	{Name: "min-days", Kind: Whole},
	{Name: "min-fidelity", Kind: Ratio, Only: jobs},
	{Name: "fail-on", Kind: Text, Only: jobs},
	{Name: "require-coverage", Kind: Ratio, Only: jobs},
	{Name: "suppress", Kind: Paths, Only: jobs},
	{Name: "assert", Kind: Paths, Only: jobs},
	{Name: "frameworks", Kind: Texts, Only: jobs},
	{Name: "allow-permanent", Kind: Switch, Only: jobs},
	{Name: "max-bad-rows", Kind: Whole},
	{Name: "exact-rows", Kind: Whole},
	{Name: "strict", Kind: Switch},
	{Name: "export", Kind: Paths, Only: jobs},
	{Name: "history", Kind: Path},
	{Name: "window", Kind: Whole, Only: jobs},
	{Name: "changes", Kind: Paths, Only: jobs},
	{Name: "fail-on-new", Kind: Switch, Only: jobs},
	{Name: "prometheus", Kind: Path, Only: jobs},
	{Name: "on-finish", Kind: Text, Only: jobs},
	{Name: "watch", Kind: Whole, Only: jobs},
	{Name: "keep", Kind: Whole, Only: jobs},
	{Name: "workers", Kind: Whole},
	{Name: "color", Kind: Text},
	{Name: "progress", Kind: Text},
	{Name: "quiet", Kind: Switch},
}

// find returns the setting of that name, or nil.
func find(name string) *Setting {
	for i := range Settings {
		if Settings[i].Name == name {
			return &Settings[i]
		}
	}
	return nil
}

// check says what is wrong with text as a value of the kind, or nothing.
func (k Kind) check(text string) error {
	switch k {
	case Whole:
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
	case Ratio:
		// What a ratio may be is for the command to say, as of a flag.
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
	case Switch:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
	case Dated:
		at, path, ok := strings.Cut(text, "=")
		if !ok || at == "" || path == "" {
			return fmt.Errorf("%q is not TIME=PATH", text)
		}
		return Path.check(path)
	case Path, Paths:
		if text == "" {
			return fmt.Errorf("an empty path")
		}
		if text == "~" || strings.HasPrefix(text, "~/") { // a folder of that name would be made
			return fmt.Errorf("%q: only a shell knows what ~ is: write the path out", text)
		}
	}
	return nil
}

// resolve makes the paths in text relative to folder.
func (k Kind) resolve(folder, text string) string {
	switch k {
	case Path, Paths:
		if text == "-" || filepath.IsAbs(text) {
			return text
		}
		return filepath.Join(folder, text)
	case Dated:
		at, path, _ := strings.Cut(text, "=")
		return at + "=" + Path.resolve(folder, path)
	}
	return text
}

// near is the name of the setting that is spelled most like name, or nothing.
func near(name string) string {
	best, least := "", 3 // more than two slips are another word
	for i := range Settings {
		if d := distance(name, Settings[i].Name); d < least {
			best, least = Settings[i].Name, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
