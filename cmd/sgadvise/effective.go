package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/engine/explain"
	"github.com/sgadvise/sgadvise/engine/policy"
	reports "github.com/sgadvise/sgadvise/report"
)

// effectiveFlags are the flags of the consolidated list.
type effectiveFlags struct {
	inputFlags
	iface, instance, group string
	resolve                bool
	output                 answerFlags
}

func newEffective(s streams) *cobra.Command {
	var f effectiveFlags
	cmd := &cobra.Command{
		Use:   "effective --policy PATH… (--interface ID | --instance ID | --group ID)",
		Short: "List the rules in force somewhere, in evaluation order",
		Long: `Effective lists the consolidated rules of an interface, of each interface of an instance,
or of a group, in the order in which they are evaluated: stage by stage, the strongest
first, with the rules that no export shows: hidden tiers and defaults.`,
		Example: `  sgadvise effective --policy ./export --interface eni-0123 --resolve`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return effective(&f, s)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringArrayVar(&f.policy, "policy", nil, "policy exports to read (repeatable)")
	fs.StringVar(&f.iface, "interface", "", "the interface to list")
	fs.StringVar(&f.instance, "instance", "", "the instance whose interfaces to list")
	fs.StringVar(&f.group, "group", "", "the group to list")
	fs.BoolVar(&f.resolve, "resolve", false, "say what the groups and prefix lists that rules name hold")
	f.output.register(fs)
	return cmd
}

func effective(f *effectiveFlags, s streams) error {
	var subject reports.Subject
	for _, x := range []reports.Subject{{Kind: "interface", ID: f.iface}, {Kind: "instance", ID: f.instance}, {Kind: "group", ID: f.group}} {
		switch {
		case x.ID == "":
		case subject.ID != "":
			return usageError("--%s and --%s: give one of them", subject.Kind, x.Kind)
		default:
			subject = x
		}
	}
	switch {
	case len(f.policy) == 0:
		return usageError("no policy: give --policy PATH")
	case subject.ID == "":
		return usageError("nothing to list: give --interface ID, --instance ID or --group ID")
	}
	if err := f.output.check(); err != nil {
		return err
	}
	past, _, err := f.readPolicy(s)
	if err != nil {
		return err
	}
	snap := past.Present()
	lists, err := listsOf(snap, subject)
	if err != nil {
		return unknownID(err)
	}
	doc := reports.BuildEffective(tool(), snap, subject, lists, f.resolve)
	return f.output.write(answer{
		text:     func(w io.Writer, o reports.Options) error { return reports.EffectiveText(w, doc, o) },
		markdown: func(w io.Writer) error { return reports.EffectiveMarkdown(w, doc) },
		json:     func(w io.Writer) error { return reports.WriteEffective(w, doc) },
	}, s)
}

func listsOf(snap *policy.Snapshot, subject reports.Subject) ([]*explain.List, error) {
	var l *explain.List
	var err error
	switch subject.Kind {
	case "instance":
		return explain.Instance(snap, subject.ID)
	case "group":
		l, err = explain.Group(snap, subject.ID)
	default:
		l, err = explain.Interface(snap, subject.ID)
	}
	if err != nil {
		return nil, err
	}
	return []*explain.List{l}, nil
}

// tool names this program in documents.
func tool() reports.Tool { return reports.Tool{Name: "sgadvise", Version: versionString()} }
