package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	reports "github.com/sgadvise/sgadvise/report"
	"github.com/sgadvise/sgadvise/report/remedy"
)

// remediateFlags are the flags of remediate.
type remediateFlags struct {
	as, out string
	policy  []string
	quiet   bool
}

func newRemediate(s streams) *cobra.Command {
	var f remediateFlags
	var names []string
	for _, t := range remedy.Targets {
		names = append(names, t.Name)
	}
	cmd := &cobra.Command{
		Use:   "remediate REPORT.json --as " + strings.Join(names, "|") + " --out DIR [flags]",
		Short: "Write the plan of a stored report as files: apply in safe order, roll back, verify",
		Long: `Remediate writes the plan of a report for a command line or for Terraform: files that
make the changes in an order in which nothing observed is ever denied, that undo them,
and that read back whether they are made. Nothing is run.

Reports leave out a part of what rules say. So the policy that the report was made from
is read again: from --policy, or from where the report says it was, if it is there
unchanged. Without it, rules of Alibaba Cloud are not written, and Terraform does not
know which resource declares a rule.

What a target cannot do exactly, and what is of another cloud, is in not-expressed.md
and said on standard error.`,
		Example: `  sgadvise remediate report.json --as aws-cli --out fix`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return f.run(args[0], s) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.as, "as", "", "what to write the plan for: "+strings.Join(names, ", "))
	fs.StringVar(&f.out, "out", "", "folder for the files: a new one, an empty one, or one written before")
	fs.StringArrayVar(&f.policy, "policy", nil, "the policy exports that the report was made from (repeatable)")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no messages on standard error but errors")
	return cmd
}

func (f *remediateFlags) run(name string, s streams) error {
	i := slices.IndexFunc(remedy.Targets, func(t remedy.Target) bool { return t.Name == f.as })
	switch {
	case i < 0:
		return usageError("--as: %q is not terraform, aws-cli or aliyun-cli", f.as)
	case f.out == "":
		return usageError("no folder for the files: give --out DIR")
	case name == "-" && slices.Contains(f.policy, "-"):
		return usageError("standard input cannot be read twice")
	}
	doc, err := readReport(name, s)
	if err != nil {
		return err
	}
	in, err := f.input(doc, s)
	if err != nil {
		return err
	}
	if in.Report = filepath.Base(name); name == "-" {
		in.Report = "the report"
	}
	stored := storedEdits(doc)
	if in.Partial { // the policy is what the report says
		for i := range stored {
			stored[i].Was = nil
		}
	}
	if in.Edits, err = plan.Reread(in.Snapshot, stored); err != nil {
		return inputError(fmt.Errorf("%s: the plan does not fit the policy: %w", name, err))
	}
	out := remedy.Targets[i].Write(in)
	if err := f.write(out.Files); err != nil {
		return err
	}
	f.tell(out, s)
	return nil
}

// input returns the policy that the plan of doc is of, as well as it is known.
func (f *remediateFlags) input(doc *reports.Report, s streams) (remedy.Input, error) {
	given := f.policy
	if len(given) == 0 {
		given = pathsOf(doc)
	}
	if len(given) > 0 {
		snap, inputs, err := cloud.Read(given, cloud.Options{Stdin: s.in})
		was, now := policyDigests(doc, inputs)
		switch {
		case err == nil && (len(f.policy) > 0 || sameDigests(was, now)):
			if !f.quiet {
				tellDigests("policy", was, now, s.err)
			}
			return remedy.Input{Snapshot: snap, Platforms: remedy.Platforms(snap)}, nil
		case len(f.policy) > 0:
			return remedy.Input{}, inputError(err)
		}
	}
	if !f.quiet {
		fmt.Fprintln(s.err, "sgadvise: the policy is not where the report says, or not the same: only what the report says of rules is known (--policy PATH)")
	}
	snap, err := policyOf(doc)
	if err != nil {
		return remedy.Input{}, inputError(fmt.Errorf("the rules of the report: %w", err))
	}
	in := remedy.Input{Snapshot: snap, Platforms: make(map[string]string), Partial: true}
	var kinds []string
	for _, p := range presentPolicy(doc) {
		kinds = append(kinds, p.Kind)
	}
	if platform, ok := remedy.PlatformOf(kinds); ok {
		for _, g := range doc.Groups {
			in.Platforms[g.ID] = platform
		}
	}
	return in, nil
}

// pathsOf returns the policy files of a report if all of them are still files.
func pathsOf(doc *reports.Report) []string {
	var out []string
	for _, p := range presentPolicy(doc) {
		if info, err := os.Stat(p.Path); err != nil || !info.Mode().IsRegular() {
			return nil
		}
		out = append(out, p.Path)
	}
	return out
}

// sameDigests compares lists of digests whatever their order.
func sameDigests(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// policyOf makes a policy of what a report says of groups and rules. It has no interfaces.
func policyOf(doc *reports.Report) (*policy.Snapshot, error) {
	s := new(policy.Snapshot)
	known := new(policy.Snapshot) // what peers may name
	seen := make(map[string]bool)
	for _, g := range doc.Groups {
		seen[g.ID] = true
		known.Groups = append(known.Groups, policy.Group{ID: g.ID})
	}
	for i := range doc.Rules {
		for _, peer := range strings.Split(doc.Rules[i].Peer, ",") {
			switch {
			case seen[peer]:
			case strings.HasPrefix(peer, "sg-"): // of another account, or gone
				known.Groups = append(known.Groups, policy.Group{ID: peer})
			case strings.HasPrefix(peer, "pl-"):
				known.Lists = append(known.Lists, policy.PrefixList{ID: peer})
			}
			seen[peer] = true
		}
	}
	if err := known.Seal(); err != nil {
		return nil, err
	}
	rules := make(map[string][]policy.Rule)
	ranked := make(map[string]bool)
	for i := range doc.Rules {
		r := &doc.Rules[i]
		ranked[r.Group] = ranked[r.Group] || !r.Implicit && (r.Priority > 1 || r.Action != "allow")
	}
	for i := range doc.Rules {
		r := &doc.Rules[i]
		if r.Implicit {
			continue
		}
		rule, err := wordsOf(r).Rule(known, r.Group)
		if err != nil { // several peers or boxes: nothing is said of it
			rule = policy.Rule{Ref: policy.Ref{Owner: r.Group}, Rank: r.Priority}
		}
		if !ranked[r.Group] {
			rule.Rank = 0
		}
		rule.Ref = parseRef(r.Ref)
		rule.Editable = r.Editable
		rules[r.Group] = append(rules[r.Group], rule)
	}
	for _, g := range doc.Groups {
		if g.Kind == "network-acl" {
			s.ACLs = append(s.ACLs, policy.ACL{ID: g.ID, VPC: g.VPC, Rules: rules[g.ID]})
		} else {
			s.Groups = append(s.Groups, policy.Group{ID: g.ID, Name: g.Name, VPC: g.VPC, Rules: rules[g.ID]})
		}
	}
	s.Lists = known.Lists
	return s, s.Seal()
}

// write writes files into the folder. It refuses one that holds anything else, and takes
// out what an earlier run left there and this one does not write.
func (f *remediateFlags) write(files []remedy.File) error {
	failed := func(err error) error { return &exitError{code: exitInternal, cause: namedPath(err)} }
	entries, err := os.ReadDir(f.out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(err)
	}
	for _, e := range entries {
		if !slices.Contains(remedy.FileNames, e.Name()) {
			return &exitError{code: exitUsage, cause: fmt.Errorf("%s: it holds %s, which is not of an earlier run", f.out, e.Name()),
				hint: "give the plan a folder of its own"}
		}
	}
	var staged []file
	written := make(map[string]bool)
	for _, x := range files {
		name := filepath.Join(f.out, filepath.FromSlash(x.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return failed(err)
		}
		written[name] = true
		staged = append(staged, file{name: name, body: []byte(x.Body)})
	}
	if err := writeFiles(staged); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	for i, x := range files {
		if x.Run {
			if err := os.Chmod(staged[i].name, 0o755); err != nil {
				return failed(err)
			}
		}
	}
	if err := removeEarlier(f.out, written); err != nil {
		return failed(err)
	}
	return nil
}

// removeEarlier removes the files of an earlier run that this one did not write, so that
// two plans never mix.
func removeEarlier(dir string, written map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch {
		case written[name]:
		case e.IsDir():
			if err := removeEarlier(name, written); err != nil {
				return err
			}
			if left, err := os.ReadDir(name); err == nil && len(left) == 0 {
				if err := os.Remove(name); err != nil {
					return err
				}
			}
		case slices.Contains(remedy.FileNames, e.Name()) || strings.HasPrefix(e.Name(), "sgadvise-") && filepath.Ext(e.Name()) == ".tf":
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell says what became of the plan.
func (f *remediateFlags) tell(out *remedy.Outcome, s streams) {
	fmt.Fprintf(s.out, "%s: %s, %s and %s; read %s first\n", f.out, plural(out.Edits, "edit", "edits"),
		plural(out.Added, "rule comes", "rules come"), plural(out.Removed, "rule goes", "rules go"), filepath.Join(f.out, "README.md"))
	other := 0
	for _, l := range out.Left {
		if l.Other {
			other++
		}
	}
	if n := len(out.Left); n > 0 && !f.quiet {
		fmt.Fprintf(s.err, "sgadvise: warning: %s not in these files, %d of another cloud: see %s\n",
			plural(n, "edit is", "edits are"), other, filepath.Join(f.out, "not-expressed.md"))
	}
}
