package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/engine/explain"
	reports "github.com/sgadvise/sgadvise/report"
)

// answerFlags say where the answer to one question goes and how it looks.
type answerFlags struct{ outputFlags }

// answerFormats are the formats of answers with their extensions.
var answerFormats = []struct{ name, ext string }{{"text", ".txt"}, {"markdown", ".md"}, {"json", ".json"}}

func (f *answerFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.format, "format", "", "format of the answer: text, markdown, json (default: from -o, else text)")
	fs.StringVarP(&f.out, "output", "o", "-", "file for the answer, - for standard output")
	fs.StringVar(&f.color, "color", "auto", "colour in text: auto, always, never")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show all rows in text")
}

// check settles the format.
func (f *answerFlags) check() error {
	if !slices.Contains([]string{"auto", "always", "never"}, f.color) {
		return usageError("--color: %q is not auto, always or never", f.color)
	}
	if f.format == "" {
		f.format = "text"
		for _, x := range answerFormats {
			if f.out != "-" && filepath.Ext(f.out) == x.ext {
				f.format = x.name
			}
		}
	}
	for _, x := range answerFormats {
		if f.format == x.name {
			return nil
		}
	}
	return usageError("--format: %q is not text, markdown or json", f.format)
}

// answer is a document in every format.
type answer struct {
	text     func(io.Writer, reports.Options) error
	markdown func(io.Writer) error
	json     func(io.Writer) error
}

func (f *answerFlags) write(a answer, s streams) error {
	var b bytes.Buffer
	var err error
	switch f.format {
	case "markdown":
		err = a.markdown(&b)
	case "json":
		err = a.json(&b)
	default:
		err = a.text(&b, f.textOptions(s.out))
	}
	if err != nil {
		return err
	}
	if f.out != "-" {
		err = writeFiles([]file{{name: f.out, body: b.Bytes()}})
	} else {
		_, err = s.out.Write(b.Bytes())
	}
	if err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	return nil
}

// unknownID gives errors of the explain package their exit code and a hint.
func unknownID(err error) error {
	var u *explain.UnknownError
	var n *explain.NoOwnerError
	switch {
	case errors.As(err, &u):
		hint := ""
		switch {
		case u.Is == explain.ACLKind:
			hint = u.ID + " is a network ACL: ask for an interface that it filters"
		case u.Is != "" && u.Kind == explain.RuleKind:
			hint = fmt.Sprintf("%s is of the kind %s: its rules are %s/…", u.ID, u.Is, u.ID)
		case u.Is != "":
			hint = fmt.Sprintf("%s is of the kind %s: --%s %s", u.ID, u.Is, u.Is, u.ID)
		case len(u.Near) > 0:
			hint = "near it: " + strings.Join(u.Near, ", ")
		}
		return &exitError{code: exitInput, cause: err, hint: hint}
	case errors.As(err, &n) && n.Interface != "":
		return &exitError{code: exitUsage, cause: err, hint: "--interface settles which of several owners of an address is meant"}
	case errors.As(err, &n):
		return &exitError{code: exitInput, cause: err, hint: "a policy knows private addresses; public ones are those of the private ones behind them"}
	}
	return err
}
