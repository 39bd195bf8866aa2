package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/assertion"
	"github.com/sgadvise/sgadvise/analyzer/control"
	"github.com/sgadvise/sgadvise/analyzer/suppress"
	reports "github.com/sgadvise/sgadvise/report"
)

// listFlags name what people write beside the policy.
type listFlags struct {
	suppress       []string
	allowPermanent bool
	assert         []string
	frameworks     []string
}

func (f *listFlags) register(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.suppress, "suppress", nil, "YAML list of accepted risks (repeatable)")
	fs.StringArrayVar(&f.assert, "assert", nil, "YAML list of connections that must stay allowed or denied (repeatable); exit 1 if one is not")
	fs.StringArrayVar(&f.frameworks, "frameworks", nil, "frameworks to whose controls evidence is gathered: ids of sgadvise checks --frameworks, all, none (repeatable; default: by platform)")
	fs.BoolVar(&f.allowPermanent, "allow-permanent", false, "accepted risks need no day on which they expire")
}

// lists are the files of listFlags, read.
type lists struct {
	suppress []suppress.Entry
	assert   []assertion.Assertion
	inputs   []reports.ListInput

	frameworks []string // ids
}

// read reads the files. What is wrong with them is wrong with the configuration.
func (f *listFlags) read() (lists, error) {
	var out lists
	for _, name := range f.suppress {
		data, err := out.open("suppressions", name)
		if err != nil {
			return out, usageError("--suppress: %v", err)
		}
		entries, err := suppress.Parse(name, data, suppress.Options{Checks: analyzer.CheckNames(), AllowPermanent: f.allowPermanent})
		if err != nil {
			return out, usageError("%v", err)
		}
		for i := range entries {
			e := &entries[i]
			if k := slices.IndexFunc(out.suppress, func(x suppress.Entry) bool { return x.Key() == e.Key() }); k >= 0 {
				return out, usageError("%s:%d: the entry at %s:%d is about the same; one of them can go", name, e.Line, out.suppress[k].File, out.suppress[k].Line)
			}
		}
		out.suppress = append(out.suppress, entries...)
	}
	for _, name := range f.assert {
		data, err := out.open("assertions", name)
		if err != nil {
			return out, usageError("--assert: %v", err)
		}
		all, err := assertion.Parse(name, data)
		if err != nil {
			return out, usageError("%v", err)
		}
		for i := range all {
			a := &all[i]
			if k := slices.IndexFunc(out.assert, func(x assertion.Assertion) bool { return x.Name == a.Name }); k >= 0 {
				return out, usageError("%s:%d: name: %q is the name of %s:%d, too", name, a.Line, a.Name, out.assert[k].File, out.assert[k].Line)
			}
		}
		out.assert = append(out.assert, all...)
	}
	var err error
	out.frameworks, err = parseFrameworks(f.frameworks)
	return out, err
}

// parseFrameworks reads the values of --frameworks, each one id or several with commas.
func parseFrameworks(values []string) ([]string, error) {
	var out []string
	for _, v := range values {
		for id := range strings.SplitSeq(v, ",") {
			id = strings.ToLower(strings.TrimSpace(id))
			if f := control.Find(id); f != nil {
				id = f.ID
			} else if id != "all" && id != "none" {
				return nil, usageError("--frameworks: %q is not one of %s, all, none", id, strings.Join(control.IDs(), ", "))
			}
			out = append(out, id)
		}
	}
	return out, nil
}

// open reads one file and lists it among the inputs.
func (l *lists) open(kind, name string) ([]byte, error) {
	if slices.ContainsFunc(l.inputs, func(x reports.ListInput) bool { return x.Kind == kind && x.Path == name }) {
		return nil, fmt.Errorf("%s is named twice", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, namedPath(err)
	}
	sum := sha256.Sum256(data)
	l.inputs = append(l.inputs, reports.ListInput{Path: name, Kind: kind, Digest: "sha256:" + hex.EncodeToString(sum[:])})
	return data, nil
}
