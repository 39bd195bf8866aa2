package analyzer

import (
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// UnattachedGroup finds groups that no interface carries.
var UnattachedGroup = &Analyzer{
	Name:     "unattached-group",
	Title:    "No interface carries this group",
	Severity: Low,
	Doc: `The group is attached to no interface of the export. Its rules filter nothing
today, and no log can say anything about them; the plan leaves them alone.

It is not proof that the group can be deleted: launch templates, scaling groups at zero,
functions, databases and other accounts may refer to it, and some managed interfaces are
left out of an export unless it asks for them. Rules of other groups that refer to it are
listed as related.`,
	Run: func(p *Pass) []Finding {
		if len(p.Snapshot.Interfaces) == 0 {
			return nil
		}
		var out []Finding
		for g := range p.Snapshot.Groups {
			group := &p.Snapshot.Groups[g]
			if group.Default || len(p.Snapshot.Attached(group.ID)) > 0 {
				continue
			}
			f := Finding{Subject: policy.Ref{Owner: group.ID}, Confidence: plan.Medium, substance: group.ID,
				Message: group.ID + " is attached to no interface of the export"}
			for _, r := range p.Snapshot.Rules() {
				if r.Ref.Owner != group.ID && slices.ContainsFunc(r.Refs(), func(s policy.SetRef) bool { return s.ID == group.ID }) {
					f.Related = append(f.Related, r.Ref)
				}
			}
			f.Facts = []Fact{{"rules", count(len(group.Rules))}, {"referred to by", plural(len(f.Related), "rule")}}
			f.Related = f.Related[:min(len(f.Related), maxRelated)]
			out = append(out, f)
		}
		return out
	},
}

// DeadReference finds rules whose peer can match nothing any more.
var DeadReference = &Analyzer{
	Name:     "dead-reference",
	Title:    "The peer of this rule no longer exists",
	Severity: Medium,
	Doc: `The rule names a group that was deleted, or one behind a peering that is gone. It
matches nothing. It is not removed by the platform, and it comes alive again if the same
networks are peered again: find out whether that is planned before removing it.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for _, r := range p.Snapshot.Rules() {
			for _, ref := range r.Refs() {
				if ref.Dead == "" {
					continue
				}
				f := about(r, "%s names %s, which can match nothing: %s", words(r), ref.ID, ref.Dead)
				out = append(out, f)
				break
			}
		}
		return out
	},
}

// DefaultGroup finds default groups with rules.
var DefaultGroup = &Analyzer{
	Name:     "default-group-rules",
	Title:    "The default group of a network has rules",
	Severity: High,
	Doc: `Whatever is started without naming a group gets the network's default group. It
should permit nothing, so that nothing works by accident. Move what uses it to a group of
its own first; the facts say how many interfaces that are.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for g := range p.Snapshot.Groups {
			group := &p.Snapshot.Groups[g]
			if !group.Default || len(group.Rules) == 0 {
				continue
			}
			out = append(out, Finding{Subject: policy.Ref{Owner: group.ID}, substance: group.ID,
				Message: "default group " + group.ID + " has " + plural(len(group.Rules), "rule"),
				Facts:   []Fact{{"interfaces", count(len(p.Snapshot.Attached(group.ID)))}}})
		}
		return out
	},
}

// MissingDescription finds rules without a word on what they are for.
var MissingDescription = &Analyzer{
	Name:     "missing-description",
	Title:    "The rule does not say what it is for",
	Severity: Info,
	Doc: `The rule has no description. Reviews ask for the need behind every permitted
service; without it each review starts anew. Rules of default groups are left out, they
have a finding of their own.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for g := range p.Snapshot.Groups {
			group := &p.Snapshot.Groups[g]
			for i := range group.Rules {
				if r := &group.Rules[i]; r.Description == "" && !group.Default {
					out = append(out, about(r, "%s has no description", words(r)))
				}
			}
		}
		return out
	},
}
