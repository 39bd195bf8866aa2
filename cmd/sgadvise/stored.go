package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	reports "github.com/sgadvise/sgadvise/report"
)

// readReport reads the stored report that name names, - being standard input.
func readReport(name string, s streams) (*reports.Report, error) {
	in := s.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, inputError(namedPath(err))
		}
		defer f.Close()
		in = f
	}
	doc, err := reports.Read(in)
	if err != nil {
		return nil, inputError(fmt.Errorf("%s: %w", name, err))
	}
	return doc, nil
}

// namedPath words an error of the file system as path and cause.
func namedPath(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}

// storedEdits returns the plan of doc with what doc says of the rules that it edits.
func storedEdits(doc *reports.Report) []plan.Stored {
	was := make(map[string]*reports.Rule, len(doc.Rules))
	for i := range doc.Rules {
		was[doc.Rules[i].Ref] = &doc.Rules[i]
	}
	var out []plan.Stored
	for i := range doc.Plan.Edits {
		e := &doc.Plan.Edits[i]
		x := plan.Stored{Op: plan.Op(e.Op), Rule: parseRef(string(e.Ref)), Group: e.Group}
		if r := was[string(e.Ref)]; r != nil {
			w := wordsOf(r)
			x.Was = &w
		}
		for k := range e.With {
			x.With = append(x.With, plan.Words(e.With[k]))
		}
		out = append(out, x)
	}
	return out
}

func wordsOf(r *reports.Rule) plan.Words {
	return plan.Words{Direction: r.Direction, Action: r.Action, Priority: r.Priority,
		Protocol: r.Protocol, Ports: r.Ports, Peer: r.Peer, Description: r.Description}
}

// parseRef reads GROUP/RULE. Groups of Terraform plans may be addresses, which may have
// slashes in their keys; rules have none.
func parseRef(s string) policy.Ref {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return policy.Ref{Owner: s}
	}
	return policy.Ref{Owner: s[:i], Rule: s[i+1:]}
}

// tellDigests says on standard error how inputs differ from those that a report was made
// from.
func tellDigests(kind string, was, now []string, w io.Writer) {
	lost, extra := 0, 0
	for _, d := range was {
		if !slices.Contains(now, d) {
			lost++
		}
	}
	for _, d := range now {
		if !slices.Contains(was, d) {
			extra++
		}
	}
	if lost+extra > 0 {
		fmt.Fprintf(w, "sgadvise: warning: the %s is not what the report was made from: %s not given, %s not in the report\n",
			kind, plural(lost, "file of the report", "files of the report"), plural(extra, "file given", "files given"))
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// policyDigests returns the digests of the policy files of a report, and of those read.
func policyDigests(doc *reports.Report, inputs []cloud.Input) (was, now []string) {
	for _, p := range presentPolicy(doc) {
		was = append(was, p.Digest)
	}
	for _, p := range inputs {
		if p.Kind != cloud.Ignored && p.At.IsZero() && !isRecord(p.Kind) {
			now = append(now, p.Digest)
		}
	}
	return was, now
}

// presentPolicy returns the policy files of a report without those of earlier times and
// without the records of changes.
func presentPolicy(doc *reports.Report) (out []reports.PolicyInput) {
	for _, p := range doc.Inputs.Policy {
		if p.At == 0 && !isRecord(p.Kind) {
			out = append(out, p)
		}
	}
	return out
}

// isRecord reports whether an input of this kind holds changes rather than a policy.
func isRecord(kind string) bool { return strings.HasPrefix(kind, "history:") }

// printable makes text from policies and logs safe to look at.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, s)
}
