package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/analyzer/change"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/cmd/history"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/store"
	reports "github.com/sgadvise/sgadvise/report"
)

// policyState is the policy of this run beside those of earlier ones.
type policyState struct {
	digest   string
	present  *policy.Snapshot
	watched  []history.Watched
	rules    map[int]policy.Rule // by index into watched: the rule as it was
	restored *policy.Snapshot    // the present with all of them put back; nil: there are none
	without  []policy.Ref        // that cannot be put back
	justBack map[string]bool     // watched rules that the last run missed and the policy has again

	moreOutside map[string]bool // watched rules that keep out more from outside than in the last run
}

// keepPolicy reads the policy, keeps its files in the history, and hands the policies of
// earlier runs to the analysis, which judges records by the rules of their time. It
// finds the rules that were taken away since the last run.
func (a *auditRun) keepPolicy() error {
	f, p := a.f, &a.policy
	snap, inputs, err := cloud.Read(f.policy, cloud.Options{})
	if err != nil {
		return inputError(err)
	}
	p.present = snap
	files, digest, err := policyFiles(inputs)
	if err != nil {
		return inputError(namedPath(err))
	}
	p.digest, a.line.Policy = digest, digest
	if err := a.hist.WritePolicy(digest, files); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	a.datePolicies()
	if err := a.watch(); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	if p.restored != nil {
		f.bounds = func(cfg *store.Config) { change.Bounds(cfg, p.restored) }
	}
	return nil
}

// policyFiles reads the files of a policy, and digests what they hold whatever they are
// called. Records of changes are none of it: they grow.
func policyFiles(inputs []cloud.Input) (files []history.File, digest string, err error) {
	var sums []string
	for _, in := range inputs {
		if in.Kind == cloud.Ignored || isRecord(in.Kind) {
			continue
		}
		body, err := os.ReadFile(in.Path)
		if err != nil {
			return nil, "", err
		}
		// The name may say what the file does not, as the id of a list.
		files = append(files, history.File{Name: filepath.Join(fmt.Sprintf("%04d", len(files)), filepath.Base(in.Path)), Body: body})
		sums = append(sums, fmt.Sprintf("%s %x\n", filepath.Base(in.Path), sha256.Sum256(body)))
	}
	slices.Sort(sums)
	all := sha256.Sum256([]byte(strings.Join(sums, "")))
	return files, fmt.Sprintf("%x", all[:16]), nil
}

// datePolicies gives the analysis the policies of the runs inside the window. Between the
// first and the last run that had one it was in force; between it and the next one either
// was.
func (a *auditRun) datePolicies() {
	f := a.f
	states := history.States(a.hist.Lines, a.st.from)
	if len(states) == 0 || len(states) == 1 && states[0].Digest == a.policy.digest {
		return
	}
	said := map[int64]bool{} // --policy-at says more than the history guesses
	for _, text := range f.policyAt {
		at, _, _ := strings.Cut(text, "=")
		if t, err := parseTime(at); err == nil {
			said[t.Unix()] = true
		}
	}
	for _, s := range states {
		if !a.hist.HasPolicy(s.Digest) {
			a.note("the policy of %s is not kept any more: records of its time are judged by what is known", stamp(s.First))
			continue
		}
		for _, at := range []time.Time{s.First, s.Last} {
			if !at.Before(a.line.Started) || said[at.Unix()] {
				continue
			}
			said[at.Unix()] = true
			f.policyAt = append(f.policyAt, at.UTC().Format(time.RFC3339)+"="+a.hist.PolicyFolder(s.Digest))
		}
	}
}

// watch settles which rules to look after: those of earlier runs, and those that the last
// run saw and this one does not.
func (a *auditRun) watch() error {
	p := &a.policy
	p.rules = map[int]policy.Rule{}
	old := map[string]*policy.Snapshot{} // by digest
	read := func(digest string) (*policy.Snapshot, error) {
		if s := old[digest]; s != nil || !a.hist.HasPolicy(digest) {
			return s, nil
		}
		s, _, err := cloud.Read([]string{a.hist.PolicyFolder(digest)}, cloud.Options{})
		old[digest] = s
		return s, err
	}
	oldest := a.line.Started.AddDate(0, 0, -a.f.watch)
	for _, w := range a.state.Watched {
		if time.Unix(int64(w.Since), 0).Before(oldest) {
			continue // nobody will connect a rejection with that any more
		}
		s, err := read(w.Policy)
		if err != nil {
			return err
		}
		if s == nil {
			continue
		}
		if i, ok := s.RuleIndex(parseRef(w.Ref)); ok {
			p.rules[len(p.watched)] = *s.Rules()[i]
			p.watched = append(p.watched, w)
		}
	}
	if a.prevAt != nil && a.prevAt.Policy != p.digest && a.f.watch > 0 {
		s, err := read(a.prevAt.Policy)
		if err != nil {
			return err
		}
		if s != nil {
			a.watchLost(s)
		}
	}
	if len(p.watched) == 0 {
		return nil
	}
	var rules []policy.Rule
	for i, w := range p.watched {
		if w.Status != reports.AfterRestored && !p.isBack(i) {
			rules = append(rules, p.rules[i])
		}
	}
	var err error
	p.restored, p.without, err = change.Restore(p.present, rules)
	return err
}

// watchLost adds the rules of the last run's policy that are gone or say less.
func (a *auditRun) watchLost(was *policy.Snapshot) {
	p := &a.policy
	known := map[string]bool{}
	for i := range a.prev.Rules {
		if r := &a.prev.Rules[i]; !r.Implicit {
			known[r.Ref] = true
		}
	}
	for _, r := range change.Lost(was, p.present) {
		ref := r.Ref.String()
		if !known[ref] {
			continue
		}
		w := history.Watched{Ref: ref, Was: ruleWords(&r), Policy: a.prevAt.Policy, Since: reports.TimeOf(a.prevAt.Started), Found: reports.TimeOf(a.line.Started)}
		if i, ok := p.present.RuleIndex(r.Ref); ok {
			w.Now = ruleWords(p.present.Rules()[i])
		}
		p.rules[len(p.watched)] = r
		p.watched = append(p.watched, w)
	}
}

// isBack reports whether the policy has a watched rule again as it was, under whatever ref.
func (p *policyState) isBack(i int) bool {
	r := p.rules[i]
	words := ruleWords(&r)
	return slices.ContainsFunc(p.present.Rules(), func(x *policy.Rule) bool {
		return x.Ref.Owner == r.Ref.Owner && ruleWords(x) == words
	})
}

// ruleWords is what a rule says, without its description.
func ruleWords(r *policy.Rule) string {
	w := plan.WordsOf(r)
	word := "from"
	if w.Direction == "egress" {
		word = "to"
	}
	text := fmt.Sprintf("%s %s %s %s %s", w.Direction, w.Protocol, w.Ports, word, w.Peer)
	if r.Rank > 0 {
		text = fmt.Sprintf("%s %s (priority %d)", w.Action, text, r.Rank)
	}
	return text
}

// aftermath judges every watched rule by what it would let through.
func (a *auditRun) aftermath(opened []change.Connection) []reports.Aftermath {
	p := &a.policy
	planned := map[string]bool{}
	for _, r := range a.cmp.Rules {
		if r.Planned {
			planned[r.Ref] = true
		}
	}
	now := reports.TimeOf(a.line.Started)
	p.justBack, p.moreOutside = map[string]bool{}, map[string]bool{}
	var out []reports.Aftermath
	for i := range p.watched {
		w := &p.watched[i]
		if w.Found == now {
			w.Planned = planned[w.Ref]
		}
		t := reports.Taken{Ref: p.rules[i].Ref, Was: w.Was, Now: w.Now, Planned: w.Planned, Since: w.Since, Until: a.done.doc.Window.To, Told: map[string]bool{}}
		for _, k := range w.Told {
			t.Told[k] = true
		}
		x, inside := reports.AftermathOf(t, openedBy(opened, p.rules[i].Ref), p.present)
		switch {
		case w.Status == reports.AfterRestored || p.isBack(i):
			x, inside = reports.AftermathOf(t, nil, p.present)
			x.Status, x.Why = reports.AfterRestored, "the group has the rule again"
			if w.Status != reports.AfterRestored {
				p.justBack[w.Ref] = true
			}
		case slices.Contains(p.without, p.rules[i].Ref):
			x.Status, x.Why = reports.AfterUnknown, "its group is gone, and whatever it let through with it"
		}
		p.moreOutside[w.Ref] = p.moreOutside[w.Ref] || x.Outside > w.Outside
		w.Status, w.Outside = x.Status, x.Outside
		for _, k := range inside {
			if !t.Told[k] {
				w.Told = append(w.Told, k)
			}
		}
		slices.Sort(w.Told)
		out = append(out, x)
	}
	return out
}

// openedBy returns the connections that a rule put back decides, alone or with others.
func openedBy(opened []change.Connection, ref policy.Ref) []change.Connection {
	var out []change.Connection
	for _, c := range opened {
		if slices.Contains(c.Through, ref) {
			out = append(out, c)
		}
	}
	return out
}
