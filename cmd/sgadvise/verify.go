package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/analyzer/change"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/store"
	reports "github.com/sgadvise/sgadvise/report"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	inputFlags
	proposed []string
	now      string
	answer   answerFlags
}

func newVerify(s streams) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify --logs PATH… --policy OLD… --proposed NEW… [flags]",
		Short: "Replay flow logs against a changed policy and list what would break or open",
		Long: `Verify puts every observed connection to the present policy and to the proposed one and
lists those that would newly be denied and those that would newly be allowed, with the
rules that say so. It also compares the two policies whatever the traffic, and shows one
packet for each part in which they differ.

What is proposed may be whole exports, or a plan of infrastructure code as JSON: groups,
network ACLs and lists that it describes take the place of those with the same ids, and
everything else stays as it is.

Exit code 1 says that something observed breaks.`,
		Example: `  terraform show -json plan.out > plan.json
  sgadvise verify --logs ./logs --policy ./export --proposed plan.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, s) },
	}
	fs := cmd.Flags()
	f.registerPaths(fs)
	fs.StringArrayVar(&f.proposed, "proposed", nil, "the changed policy: exports or Terraform JSON (repeatable)")
	f.registerLayout(fs)
	f.answer.register(fs)
	f.registerReading(fs)
	f.registerRows(fs)
	fs.StringVar(&f.now, "now", "", "the time the result states (RFC 3339; default: now)")
	return cmd
}

func (f *verifyFlags) run(cmd *cobra.Command, s streams) error {
	from, to, err := f.check()
	if err != nil {
		return err
	}
	now, err := timeFlag("now", f.now)
	switch {
	case err != nil:
		return err
	case !f.hasLogs():
		return usageError("no logs: give --logs PATH or --store DIR")
	case len(f.proposed) == 0:
		return usageError("no proposed policy: give --proposed PATH")
	case slices.Contains(f.proposed, "-") && (slices.Contains(f.policy, "-") || slices.Contains(f.logs, "-")):
		return usageError("standard input cannot be read twice")
	}
	if err := f.answer.check(); err != nil {
		return err
	}
	if now.IsZero() {
		now = time.Now()
	}
	past, inputs, err := f.readPolicy(s)
	if err != nil {
		return err
	}
	given, proposedInputs, err := cloud.Read(f.proposed, cloud.Options{Stdin: s.in})
	if err != nil {
		return inputError(err)
	}
	proposed, err := cloud.Overlay(past.Present(), given)
	if err != nil {
		return inputError(fmt.Errorf("%s: %w", f.proposed[0], err))
	}
	f.bounds = func(cfg *store.Config) { change.Bounds(cfg, proposed) }
	res, read, err := f.replay(cmd.Context(), past, from, to, s)
	if err != nil {
		return err
	}
	outcome, err := change.Compare(cmd.Context(), res, proposed, f.workers)
	if err != nil {
		return err
	}
	doc := reports.Verify(reports.VerifyInput{
		Tool: reports.Tool{Name: "sgadvise", Version: versionString()}, Now: now,
		Logs: read, Policy: inputs, Proposed: proposedInputs, Outcome: outcome, Missing: added(past.Present(), proposed),
	})
	err = f.answer.write(answer{
		text:     func(w io.Writer, o reports.Options) error { return reports.VerificationText(w, doc, o) },
		markdown: func(w io.Writer) error { return reports.VerificationMarkdown(w, doc) },
		json:     func(w io.Writer) error { return reports.VerificationJSON(w, doc) },
	}, s)
	if err != nil {
		return err
	}
	if !doc.Holds {
		return &exitError{code: exitGate}
	}
	return nil
}

// added returns what proposed lacks and old does not.
func added(old, proposed *policy.Snapshot) (out []policy.Missing) {
	for _, m := range proposed.Missing {
		if !slices.Contains(old.Missing, m) && m.What != "history" {
			out = append(out, m)
		}
	}
	return out
}
