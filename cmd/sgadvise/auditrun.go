package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/analyzer/change"
	"github.com/sgadvise/sgadvise/cmd/history"
	"github.com/sgadvise/sgadvise/ingest/store"
	reports "github.com/sgadvise/sgadvise/report"
)

// trendRuns is how many runs the trend in a report goes back: a year of nights would be
// more than a picture can show, and the history has them all.
const trendRuns = 120

// analyze makes the report of this run, and finds the connections that pass with the
// watched rules put back and not without them.
func (a *auditRun) analyze(ctx context.Context) ([]change.Connection, error) {
	done, err := a.f.perform(ctx, &a.st, a.s)
	var bounds *store.BoundsError
	if errors.As(err, &bounds) && len(a.f.sources) > 0 {
		// The policy tells apart what the days of the store do not.
		a.note("the days of the store were made again: %v", bounds)
		if err := a.feed(ctx, true); err != nil {
			return nil, err
		}
		done, err = a.f.perform(ctx, &a.st, a.s)
	}
	if err != nil {
		return nil, err
	}
	a.done = done
	for i := range a.hist.Lines {
		if l := &a.hist.Lines[i]; l.Complete() {
			done.doc.Trend = append(done.doc.Trend, *l.Trend)
		}
	}
	point := reports.TrendOf(done.doc)
	a.line.Trend = &point
	done.doc.Trend = append(done.doc.Trend[max(0, len(done.doc.Trend)-trendRuns+1):], point)
	if a.policy.restored == nil {
		return nil, nil
	}
	out, err := change.Compare(ctx, done.res, a.policy.restored, a.f.workers)
	if err != nil {
		return nil, err
	}
	return out.Opened, nil
}

// compare says what is different from the last complete run, and fills the line.
func (a *auditRun) compare(opened []change.Connection) {
	doc, l := a.done.doc, &a.line
	l.Files, l.Records, l.Blocked = len(doc.Inputs.Logs), doc.Ledger.Records, doc.Ledger.Dispositions.Blocked
	l.Unused = doc.Summary.Verdicts.Unused
	for i := range doc.Findings {
		if doc.Findings[i].Suppressed != nil {
			l.Suppressed++
		}
	}
	if a.prev == nil {
		l.Changes.New = len(doc.Findings)
		l.Headline = fmt.Sprintf("The first run: %s.", plural(len(doc.Findings), "finding", "findings"))
		return
	}
	a.cmp = reports.CompareKnowing(tool(), a.prev, doc, a.state.Resolved())
	a.cmp.Attach(a.aftermath(opened))
	l.Headline, l.Changes, l.Verdicts = a.cmp.Headline, a.cmp.Counts, len(a.cmp.Verdicts)
	for i := range a.cmp.Rules {
		switch a.cmp.Rules[i].Change {
		case "added":
			l.Rules.Added++
		case "removed":
			l.Rules.Removed++
		default:
			l.Rules.Changed++
		}
	}
	for i := range a.cmp.Edits {
		if a.cmp.Edits[i].Status == "applied" {
			l.Applied++
		}
	}
	l.Watched = len(a.cmp.After)
	for i := range a.cmp.After {
		if x := &a.cmp.After[i]; x.Status == reports.AfterBroke {
			l.Broke++
			l.Rejects += x.New
		}
	}
	a.notes()
}

// write replaces the reports, keeps the run, and last of all writes nothing but what is
// whole: the folder of the run before the reports, the metrics after them.
func (a *auditRun) write() error {
	f := a.f
	var files []file
	for _, name := range f.output.export {
		format, err := reports.FormatFor(filepath.Base(name))
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := format.Render(&b, a.done.doc); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, file{name: name, body: b.Bytes()})
	}
	for _, name := range f.changes {
		var b bytes.Buffer
		if err := a.writeChanges(&b, *changesFormat(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, file{name: name, body: b.Bytes()})
	}
	if err := f.step("run"); err != nil {
		return err
	}
	if err := a.writeRun(); err != nil {
		return err
	}
	if err := f.step("reports"); err != nil {
		return err
	}
	if err := writeFiles(files); err != nil {
		return err
	}
	return f.step("line")
}

// writeRun writes the folder of the run.
func (a *auditRun) writeRun() error {
	packed, err := history.Pack(a.done.doc)
	if err != nil {
		return err
	}
	files := []history.File{{Name: history.ReportFile, Body: packed}}
	if a.cmp != nil {
		var b bytes.Buffer
		if err := reports.WriteComparison(&b, a.cmp); err != nil {
			return err
		}
		files = append(files, history.File{Name: history.DiffFile, Body: b.Bytes()})
	}
	a.state.Follow(a.done.doc, reports.TimeOf(a.line.Started))
	a.state.Watched = a.policy.watched
	state, err := json.MarshalIndent(a.state, "", "  ")
	if err != nil {
		return err
	}
	return a.hist.WriteRun(a.line.ID, append(files, history.File{Name: history.StateFile, Body: append(state, '\n')}))
}

// answerFormat writes what changed, in one format.
type answerFormat func(io.Writer, *reports.Comparison, reports.Options) error

// changesFormat returns the format that the extension of name asks for, or nil.
func changesFormat(name string) *answerFormat {
	var out answerFormat
	switch filepath.Ext(name) {
	case ".txt":
		out = reports.ComparisonText
	case ".md":
		out = func(w io.Writer, c *reports.Comparison, _ reports.Options) error {
			return reports.ComparisonMarkdown(w, c)
		}
	case ".json":
		out = func(w io.Writer, c *reports.Comparison, _ reports.Options) error {
			return reports.WriteComparison(w, c)
		}
	default:
		return nil
	}
	return &out
}

// writeChanges writes what changed. The first run has nothing to compare with, and says
// so.
func (a *auditRun) writeChanges(w io.Writer, format answerFormat) error {
	c := a.cmp
	if c == nil {
		c = reports.Compare(tool(), a.done.doc, a.done.doc)
		c.Headline = a.line.Headline
		c.Notes = []string{"There is no run before this one to compare with: both reports are the same."}
	}
	return format(w, c, reports.Options{Verbose: a.f.output.verbose})
}

// notes adds to the line what a reader of the history asks for.
func (a *auditRun) notes() {
	a.noteTimes()
	a.noteCoverage()
	var added, removed, changed []string
	for i := range a.cmp.Rules {
		r := &a.cmp.Rules[i]
		name := r.Ref
		if r.Planned {
			name += " (as planned)"
		}
		switch r.Change {
		case "added":
			added = append(added, name)
		case "removed":
			removed = append(removed, name)
		default:
			changed = append(changed, name)
		}
	}
	for _, x := range []struct {
		what string
		refs []string
	}{{"removed", removed}, {"changed", changed}, {"added", added}} {
		if len(x.refs) > 0 {
			a.note("policy: %s %s", x.what, some(x.refs))
		}
	}
	if l := &a.line; l.Applied > 0 {
		a.note("%s of the last plan applied", plural(l.Applied, "edit", "edits"))
	}
	for i := range a.cmp.Verdicts {
		if v := &a.cmp.Verdicts[i]; i < noteLimit {
			a.note("%s was %s and is %s: %s: %s", v.Ref, v.Was, v.Verdict, v.Cause, v.Why)
		}
	}
	if n := len(a.cmp.Verdicts); n > noteLimit {
		a.note("%d more verdicts moved on rules that did not change", n-noteLimit)
	}
	for _, x := range []struct{ status, words string }{
		{reports.FindingNew, "new"}, {reports.FindingReopened, "re-opened"}, {reports.FindingExpired, "suppression expired"},
		{reports.FindingWorsened, "worsened"}, {reports.FindingResolved, "resolved"},
	} {
		byCause := map[string][]string{}
		for i := range a.cmp.Findings {
			if f := &a.cmp.Findings[i]; f.Status == x.status {
				byCause[string(f.Cause)] = append(byCause[string(f.Cause)], f.Check+" "+string(f.Ref))
			}
		}
		for _, cause := range sortedKeys(byCause) {
			a.note("%s%s: %s", x.words, causeWords[cause], some(byCause[cause]))
		}
	}
	a.noteAftermath()
}

// causeWords tell a finding that was dealt with from one of which only the evidence is
// gone, or back.
var causeWords = map[string]string{
	"policy": " by the policy", "traffic": " by the traffic", "evidence": " by the evidence alone",
	"options": " by other options", "tool": " by another version",
}

// noteAftermath says whether anything broke since rules were taken away.
func (a *auditRun) noteAftermath() {
	quiet, since, until := 0, reports.Time(0), reports.Time(0)
	for i := range a.cmp.After {
		x := &a.cmp.After[i]
		switch x.Status {
		case reports.AfterBroke:
			by, still := "", ""
			if x.Planned {
				by = " as planned"
			}
			if x.New == 0 {
				still = "still "
			}
			a.note("BROKE: %s (%s), taken away%s after %s, is %smissed: %s; the greatest: %s", x.Ref, x.Was, by, minuteOf(x.Since), still, x.Why, blockWords(&x.Blocked[0]))
		case reports.AfterOutside:
			if a.policy.moreOutside[x.Ref] {
				a.note("%s (%s), taken away after %s: %s", x.Ref, x.Was, minuteOf(x.Since), x.Why)
			}
		case reports.AfterRestored:
			if a.policy.justBack[x.Ref] {
				a.note("%s (%s) is back", x.Ref, x.Was)
			}
		case reports.AfterQuiet:
			quiet++
			if since == 0 || x.Since < since {
				since = x.Since
			}
			until = x.Until
		}
	}
	if quiet > 0 {
		a.note("nothing broke by %s taken away or narrowed since %s; logs until %s", plural(quiet, "rule", "rules"), minuteOf(since), minuteOf(until))
	}
}

func blockWords(b *reports.Block) string {
	peer := b.Peer
	if b.PeerInterface != "" {
		peer += " (" + string(b.PeerInterface) + ")"
	}
	word := "from"
	if b.Direction == "egress" {
		word = "to"
	}
	return fmt.Sprintf("%s %s %s %s %s %s, %s", b.Interface, b.Direction, b.Protocol, b.Ports, word, peer, plural(int(b.Records), "record", "records"))
}

func minuteOf(t reports.Time) string { return time.Unix(int64(t), 0).UTC().Format("2006-01-02 15:04") }

// noteLimit is how many things of one kind a note names: a line of the history is read
// among hundreds.
const noteLimit = 3

func some(list []string) string {
	slices.Sort(list)
	if n := len(list); n > noteLimit {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:noteLimit], ", "), n-noteLimit)
	}
	return strings.Join(list, ", ")
}

// noteTimes says if runs are missing, and if no logs came.
func (a *auditRun) noteTimes() {
	var gaps []time.Duration
	var last time.Time
	for i := range a.hist.Lines {
		l := &a.hist.Lines[i]
		if !last.IsZero() {
			gaps = append(gaps, l.Started.Sub(last))
		}
		last = l.Started
	}
	gaps = gaps[max(0, len(gaps)-15):]
	slices.Sort(gaps)
	// Three runs tell a rhythm.
	if n := len(gaps); n >= 3 && a.line.Started.Sub(last) > gaps[n/2]*19/10 {
		a.note("no run for %s: the last was at %s", days(a.line.Started.Sub(last)), stamp(last))
	}
	if old, now := a.prev.Window.To, a.done.doc.Window.To; now <= old {
		a.note("no newer records than the last run had: the logs end at %s", minuteOf(now))
	}
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return plural(int((d+12*time.Hour)/(24*time.Hour)), "day", "days")
}

// noteCoverage says which days the last run missed and this one has, and the other way
// round.
func (a *auditRun) noteCoverage() {
	was, is := gapDays(a.prev), gapDays(a.done.doc)
	for _, x := range []struct {
		what    string
		in, out map[string]map[string]bool
		r       *reports.Report // that must speak of the day
	}{
		{"late: records of %s arrived, which the last run missed (%s)", was, is, a.done.doc},
		{"gap: no records of %s (%s)", is, was, a.prev},
	} {
		for _, day := range sortedKeys(x.in) {
			var list []string
			for iface := range x.in[day] {
				if !x.out[day][iface] {
					list = append(list, iface)
				}
			}
			if at, err := time.Parse(time.DateOnly, day); len(list) == 0 || err != nil || x.r == a.done.doc && int64(x.r.Window.From) > at.Unix() {
				continue
			}
			a.note(x.what, day, some(list))
		}
	}
}

// gapDays returns the days without records by interface.
func gapDays(r *reports.Report) map[string]map[string]bool {
	m := map[string]map[string]bool{}
	for i := range r.Coverage.Interfaces {
		c := &r.Coverage.Interfaces[i]
		for _, g := range c.Gaps {
			for t := int64(g.From); c.InPolicy && g.Kind == reports.GapNoRecord && t < int64(g.To); t += 86400 {
				day := time.Unix(t, 0).UTC().Format(time.DateOnly)
				if m[day] == nil {
					m[day] = map[string]bool{}
				}
				m[day][c.Interface] = true
			}
		}
	}
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
