package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/ingest"
)

// streams are what a command reads and writes besides files: results go to out,
// everything else to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// The exit codes.
const (
	exitOK         = 0
	exitGate       = 1   // a finding at or above --fail-on
	exitUsage      = 2   // flags or configuration
	exitInput      = 3   // input unusable: nothing matched, corrupt
	exitIncomplete = 4   // evidence incomplete where --require-coverage asked for it
	exitInternal   = 5   // internal or I/O error
	exitLocked     = 6   // another run is at work
	exitInterrupt  = 130 // interrupted, nothing half-written
	exitTerminate  = 143 // … by SIGTERM
)

// exitError is an error that knows its exit code. A nil cause says that everything
// there is to say has been said.
type exitError struct {
	code  int
	cause error
	hint  string
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, cause: fmt.Errorf(format, args...)}
}

// inputError marks err as the fault of what was given to read.
func inputError(err error) error { return &exitError{code: exitInput, cause: err} }

// commands make every command, in the order of the help.
var commands = []func(streams) *cobra.Command{
	newAnalyze,
	newEffective,
	newExplain,
	newVerify,
	newRender,
	newDiff,
	newCertify,
	newRemediate,
	newIngest,
	newStore,
	newAudit,
	newDoctor,
	newSchedule,
	newChecks,
	newSchema,
	newVersion,
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := &cobra.Command{
		Use:   "sgadvise",
		Short: "Which firewall rules can go, and how tight can the rest be?",
		Long: `sgadvise replays cloud flow logs against security groups and network ACLs and says
which rules can be removed, how tight the rest can be, and proves that no connection
seen in the logs would be denied.

Exit codes: 0 done; 1 a finding reached --fail-on; 2 usage; 3 input unusable;
4 evidence incomplete (--require-coverage); 5 internal or I/O error; 6 another run holds
the lock; 130 interrupted.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	s.in = newInterruptible(ctx, s.in)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exitError{code: exitUsage, cause: err, hint: "see " + cmd.CommandPath() + " --help"}
	})
	for _, c := range commands {
		root.AddCommand(c(s))
	}
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		// A command that only groups others takes any name without complaint.
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	addConfig(root)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return configure(cmd, s) }
	ran, err := root.ExecuteContextC(ctx)
	code := report(reworded(err, ran), s.err)
	return terminated(ctx, code)
}

// terminated tells SIGTERM from other interruptions.
func terminated(ctx context.Context, code int) int {
	if cause := context.Cause(ctx); code == exitInterrupt && cause != nil && cause.Error() == syscall.SIGTERM.String()+" signal received" {
		return exitTerminate
	}
	return code
}

// report writes err for people and returns its exit code.
func report(err error, w io.Writer) int {
	if err == nil {
		return exitOK
	}
	code, hint := codeOf(err)
	var e *exitError
	if errors.As(err, &e) && e.cause == nil {
		return code
	}
	fmt.Fprintf(w, "sgadvise: error: %s\n", err)
	if hint != "" {
		fmt.Fprintf(w, "sgadvise: hint: %s\n", hint)
	}
	return code
}

func codeOf(err error) (code int, hint string) {
	var e *exitError
	var in *ingest.InputError
	var bad *ingest.BadRowsError
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupt, ""
	case errors.As(err, &e):
		return e.code, e.hint
	case errors.Is(err, ingest.ErrNoInput):
		return exitInput, "a path is a file, a folder, a glob in quotes, or - for standard input"
	case errors.As(err, &in) && in.Corrupt:
		return exitInput, ""
	case errors.As(err, &bad):
		return exitInput, "without --strict, and under --max-bad-rows, bad rows are counted and left out"
	case errors.As(err, new(*os.PathError)):
		return exitInternal, ""
	case isUsage(err):
		return exitUsage, "see sgadvise --help"
	}
	return exitInternal, ""
}

// isUsage recognises what the flag library says of a command line it cannot take.
func isUsage(err error) bool {
	for _, s := range []string{"unknown command", "accepts ", "requires at least", "required flag", "if any flags in the group"} {
		if strings.HasPrefix(err.Error(), s) {
			return true
		}
	}
	return false
}
