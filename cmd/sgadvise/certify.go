package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/ingest"
	reports "github.com/sgadvise/sgadvise/report"
)

// certifyFlags are the flags of certify.
type certifyFlags struct {
	inputFlags
}

func newCertify(s streams) *cobra.Command {
	var f certifyFlags
	cmd := &cobra.Command{
		Use:   "certify REPORT.json --logs PATH… --policy PATH… [flags]",
		Short: "Check the plan of a stored report again, with the reference evaluator alone",
		Long: `Certify takes nothing of a report but its plan. It reads logs and policy itself, applies
the edits to the policy, and puts every observed connection to both policies with the
slow evaluator that defines what rules mean. It also looks for anything that the planned
policy admits and the present one does not, observed or not.

The window is that of the report, unless --from or --to say otherwise.

Exit code 1 says that the plan breaks something observed, or admits something new; 3 that
it does not fit the policy.`,
		Example: `  sgadvise certify report.json --logs ./AWSLogs --policy ./export`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], s) },
	}
	fs := cmd.Flags()
	f.registerPaths(fs)
	f.registerLayout(fs)
	f.registerReading(fs)
	f.registerRows(fs)
	return cmd
}

func (f *certifyFlags) run(cmd *cobra.Command, name string, s streams) error {
	from, to, err := f.check()
	switch {
	case err != nil:
		return err
	case !f.hasLogs():
		return usageError("no logs: give --logs PATH or --store DIR")
	case name == "-" && (slices.Contains(f.logs, "-") || slices.Contains(f.policy, "-")):
		return usageError("standard input cannot be read twice")
	}
	doc, err := readReport(name, s)
	if err != nil {
		return err
	}
	if !f.given("from") {
		from = moment(doc.Options.From)
	}
	if !f.given("to") {
		to = moment(doc.Options.To)
	}
	past, inputs, err := f.readPolicy(s)
	if err != nil {
		return err
	}
	if !f.quiet {
		was, now := policyDigests(doc, inputs)
		tellDigests("policy", was, now, s.err)
	}
	snap := past.Present()
	edits, err := plan.Reread(snap, storedEdits(doc))
	if err != nil {
		return inputError(fmt.Errorf("%s: the plan does not fit the policy: %w", name, err))
	}
	planned, err := plan.Apply(snap, edits)
	if err != nil {
		return inputError(fmt.Errorf("%s: the plan does not fit the policy: %w", name, err))
	}
	res, read, err := f.replay(cmd.Context(), past, from, to, s)
	if err != nil {
		return err
	}
	sameLogs := logsOf(doc, read, f.quiet, s.err)
	proof, err := plan.Certify(cmd.Context(), res, planned)
	if err != nil {
		return err
	}
	if err := writeCertificate(s.out, doc, &proof, sameLogs); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	if !proof.Holds() {
		return &exitError{code: exitGate}
	}
	return nil
}

// moment is the time of a report; none is the zero time.
func moment(t reports.Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(int64(t), 0).UTC()
}

// logsOf compares the logs that were read with those of the report, says how they differ,
// and reports whether they are the same.
func logsOf(doc *reports.Report, read *ingest.Report, quiet bool, w io.Writer) bool {
	var was, now []string
	for _, l := range doc.Inputs.Logs {
		was = append(was, l.Digest)
	}
	for _, l := range read.Files {
		now = append(now, l.Digest)
	}
	if !quiet {
		tellDigests("log", was, now, w)
	}
	slices.Sort(was)
	slices.Sort(now)
	return slices.Equal(was, now)
}

// writeCertificate writes the outcome as text.
func writeCertificate(w io.Writer, doc *reports.Report, proof *plan.Proof, sameLogs bool) error {
	remove, replace, add := 0, 0, 0
	for i := range doc.Plan.Edits {
		switch plan.Op(doc.Plan.Edits[i].Op) {
		case plan.Remove:
			remove++
		case plan.Replace:
			replace++
		default:
			add++
		}
	}
	head := "HOLDS  nothing observed would be denied, and nothing new would be allowed"
	switch {
	case proof.NewlyDenied > 0 && proof.NewlyAllowed > 0:
		head = "FAILS  it breaks observed connections, and allows what is denied at present"
	case proof.NewlyDenied > 0:
		head = "FAILS  it breaks observed connections"
	case proof.NewlyAllowed > 0:
		head = "FAILS  it allows what is denied at present"
	}
	out := head + "\n\n"
	row := func(name, format string, args ...any) {
		out += fmt.Sprintf("  %-16s", name) + fmt.Sprintf(format, args...) + "\n"
	}
	row("plan", "%s, %s, %s", plural(remove, "removal", "removals"), plural(replace, "replacement", "replacements"), plural(add, "addition", "additions"))
	row("replayed", "%s of %s", plural(int(proof.Tuples), "connection", "connections"), plural(int(proof.Records), "record", "records"))
	row("newly denied", "%d", proof.NewlyDenied)
	row("newly allowed", "%d", proof.NewlyAllowed)
	if proof.Witness != "" {
		row("first", "%s", printable(proof.Witness))
	}
	row("evaluator", "reference")
	if was := doc.Plan.Proof; sameLogs && (was.Tuples != proof.Tuples || was.Records != proof.Records) {
		row("the report", "counted %s of %s from the same logs", plural(int(was.Tuples), "connection", "connections"), plural(int(was.Records), "record", "records"))
	}
	_, err := io.WriteString(w, out)
	return err
}
