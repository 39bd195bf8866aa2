package analyzer

import (
	"slices"
	"time"

	"github.com/sgadvise/sgadvise/analyzer/suppress"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// Acceptance is what became of one entry of Options.Suppress.
type Acceptance struct {
	Entry    *suppress.Entry
	Expired  bool     // at Options.Now
	Findings []string // ids of the findings that it is about, in their order; of an expired one those that count again
}

// CheckNames lists the names of all checks, sorted.
func CheckNames() []string {
	var out []string
	for _, a := range All {
		out = append(out, a.Name)
	}
	slices.Sort(out)
	return out
}

// acceptance marks findings that the user has accepted, and keeps the rules that the plan
// must leave alone because of that.
type acceptance struct {
	pass    *Pass
	entries []suppress.Entry
	now     time.Time
	held    map[policy.Ref]string // why
}

// mark marks those of fs that an entry is about and says whether rules are held now that
// were not before. Of several entries the first that has not expired counts.
func (a *acceptance) mark(fs []Finding) (more bool) {
	if len(a.entries) == 0 {
		return false
	}
	for i := range fs {
		f := &fs[i]
		s := a.subject(f)
		for k := range a.entries {
			e := &a.entries[k]
			switch {
			case !e.Covers(&s):
			case !e.Expired(a.now):
				f.Suppressed = e
			case f.Lapsed == nil:
				f.Lapsed = e
			}
			if f.Suppressed != nil {
				f.Lapsed = nil
				more = a.hold(f) || more
				break
			}
		}
	}
	return more
}

// hold keeps the plan from the rule that f, which is suppressed, is about: what has been
// accepted is wanted as it is. Where f is about two rules that could be one, both stay. A
// missing description is no reason to keep a rule.
func (a *acceptance) hold(f *Finding) (more bool) {
	if f.Subject.Rule == "" || f.Check == MissingDescription.Name {
		return false
	}
	refs := []policy.Ref{f.Subject}
	if f.Check == DuplicateRule.Name || f.Check == MergeableRules.Name {
		refs = append(refs, f.Related...)
	}
	why := "the finding " + f.Check + " is suppressed"
	if !f.Suppressed.Expires.IsZero() {
		why += " until " + f.Suppressed.Expires.Format(time.DateOnly)
	}
	for _, ref := range refs {
		if _, there := a.held[ref]; !there {
			a.held[ref], more = why+": "+f.Suppressed.Reason, true
		}
	}
	return more
}

func (a *acceptance) subject(f *Finding) suppress.Subject {
	snap := a.pass.Snapshot
	s := suppress.Subject{ID: f.ID, Check: f.Check, Group: f.Subject.Owner, Rule: f.Subject.Rule}
	if g, ok := snap.Group(f.Subject.Owner); ok {
		s.Name, s.Account, s.VPC = g.Name, g.Account, g.VPC
	}
	for i := range snap.ACLs {
		if acl := &snap.ACLs[i]; acl.ID == f.Subject.Owner {
			s.VPC = acl.VPC
		}
	}
	if n, ok := snap.RuleIndex(f.Subject); ok {
		s.PeersWhole = true
		for _, m := range snap.Rules()[n].Match {
			s.Peers = append(s.Peers, m.Remote.Prefixes...)
			s.PeersWhole = s.PeersWhole && len(m.Remote.Refs) == 0 && !m.Remote.Unknown
		}
	}
	return s
}

// account says what became of each entry, given all findings in their order.
func (a *acceptance) account(fs []Finding) []Acceptance {
	out := make([]Acceptance, len(a.entries))
	for k := range a.entries {
		out[k] = Acceptance{Entry: &a.entries[k], Expired: a.entries[k].Expired(a.now)}
	}
	if len(out) == 0 {
		return nil
	}
	for i := range fs {
		s := a.subject(&fs[i])
		for k := range out {
			// An expired entry is about what no other one accepts.
			if out[k].Entry.Covers(&s) && (!out[k].Expired || fs[i].Suppressed == nil) {
				out[k].Findings = append(out[k].Findings, fs[i].ID)
			}
		}
	}
	return out
}
