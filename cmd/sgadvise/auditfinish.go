package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"github.com/sgadvise/sgadvise/cmd/history"
	reports "github.com/sgadvise/sgadvise/report"
)

// finishTimeout is how long what --on-finish names may take: it is there to tell
// somebody, and the next run must not find it at work.
const finishTimeout = 2 * time.Minute

// finishSchema names the meaning of what the command of --on-finish reads.
const finishSchema = "sgadvise.finish/1"

// finished is what that command reads.
type finished struct {
	Schema      string                  `json:"schema"`
	Exit        int                     `json:"exit"`
	Status      string                  `json:"status"` // ok, gate, evidence, failed or interrupted
	Error       string                  `json:"error,omitempty"`
	Config      string                  `json:"config"`
	History     string                  `json:"history"`
	Reports     []string                `json:"reports"`      // as they are now, those of the last good run if this one failed
	LastSuccess *time.Time              `json:"last_success"` // null: there was none
	Run         *history.Line           `json:"run"`
	New         []reports.FindingChange `json:"new"`   // graver or back, at or above fail-on
	Broke       []reports.Aftermath     `json:"broke"` // rules taken away that something misses
}

// finish writes the line of the run and the metrics, prints what changed, tells whom it
// may concern, and returns what the run ends with.
func (a *auditRun) finish(ctx context.Context, err error) error {
	code := exitOK
	if err != nil {
		code, _ = codeOf(err)
		code = terminated(ctx, code)
	}
	ctx = context.WithoutCancel(ctx) // what is left to do is done
	a.line.Exit = code
	a.line.Seconds = float64(time.Since(a.started).Milliseconds()) / 1000
	if text := causeText(err); text != "" {
		a.line.Error = text
		a.line.Trend = nil // it made no report that counts
	}
	if a.hist != nil {
		worst := a.remember()
		if worst != nil && (code == exitOK || code == exitGate) {
			err, code = worst, exitInternal
		}
	}
	if a.line.Complete() && (!a.f.quiet || code != exitOK) {
		if e := a.print(); e != nil && code == exitOK {
			err, code = e, exitInternal
		}
	}
	if e := a.tell(ctx, code); e != nil {
		fmt.Fprintf(a.s.err, "sgadvise: warning: --on-finish: %v\n", e)
		if code == exitOK {
			err = &exitError{code: exitInternal, cause: errors.New("the run went well, and nobody could be told"), hint: "the command of on-finish failed, see above"}
		}
	}
	return err
}

// causeText is why a run failed; "" if it did not, whatever its gate says.
func causeText(err error) string {
	var e *exitError
	if err == nil || errors.As(err, &e) && e.cause == nil {
		return ""
	}
	return err.Error()
}

// remember writes what the next run and those who look will find. A run that failed
// leaves a line, too.
func (a *auditRun) remember() error {
	if err := a.hist.Append(a.line); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	if a.f.prometheus != "" {
		body := metrics(a.hist.Lines)
		if err := writeFiles([]file{{name: a.f.prometheus, body: []byte(body)}}); err != nil {
			return &exitError{code: exitInternal, cause: err}
		}
	}
	if !a.line.Complete() {
		return nil
	}
	runs := a.line.Started.AddDate(0, 0, -a.f.keep)
	policies := runs
	if a.f.window > 0 { // else every policy that there was is needed
		policies = a.line.Started.AddDate(0, 0, -max(a.f.window, a.f.watch)-1)
	}
	if err := a.hist.Prune(runs, policies); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	return nil
}

// print says on standard output what changed; the first run prints its report.
func (a *auditRun) print() error {
	var b bytes.Buffer
	o := a.f.output.textOptions(a.s.out)
	err := error(nil)
	if a.cmp == nil {
		err = reports.Text(&b, a.done.doc, o)
	} else {
		err = reports.ComparisonText(&b, a.cmp, o)
	}
	if err != nil {
		return err
	}
	for i, n := range a.line.Notes {
		if i == 0 {
			b.WriteString("\nHistory " + a.line.ID + "\n")
		}
		b.WriteString("  - " + printable(n) + "\n")
	}
	if _, err := a.s.out.Write(b.Bytes()); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	a.f.warn(a.done.doc, a.s)
	return nil
}

// tell runs the command of --on-finish.
func (a *auditRun) tell(ctx context.Context, code int) error {
	if a.f.onFinish == "" {
		return nil
	}
	line := a.line
	line.Exit = code
	doc := finished{Schema: finishSchema, Exit: code, Status: line.Status(), Error: line.Error, Config: a.config, History: a.f.history,
		Reports: append([]string{}, a.f.output.export...), Run: &line, New: []reports.FindingChange{}, Broke: []reports.Aftermath{}}
	if last := history.Last(a.lines()); last != nil {
		doc.LastSuccess = &last.Started
	}
	if a.cmp != nil {
		doc.New = append(doc.New, a.cmp.Failing(a.f.failOn)...)
		for _, x := range a.cmp.After {
			if x.Status == reports.AfterBroke {
				doc.Broke = append(doc.Broke, x)
			}
		}
	}
	body, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()
	shell := []string{"sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C"}
	}
	cmd := exec.CommandContext(ctx, shell[0], shell[1], a.f.onFinish)
	cmd.Stdin = bytes.NewReader(append(body, '\n'))
	cmd.Stdout, cmd.Stderr = a.s.err, a.s.err // results are the audit's
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it took longer than %s", finishTimeout)
	case err != nil:
		return err // without the command, which may hold the address or the token of a chat
	}
	return nil
}

// lines are those of the history, also where this run could not open it for writing.
func (a *auditRun) lines() []history.Line {
	if a.hist != nil {
		return a.hist.Lines
	}
	if a.f.history == "" {
		return nil
	}
	lines, err := history.ReadLines(a.f.history)
	if err != nil {
		return nil // that is what the run failed of, or it has failed of worse
	}
	return lines
}
