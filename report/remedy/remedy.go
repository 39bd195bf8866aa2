package remedy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// The platforms that targets know, by [policy.Platform] id.
const (
	awsPlatform     = ""
	alibabaPlatform = "alibaba"
)

var platformNames = map[string]string{awsPlatform: "AWS", alibabaPlatform: "Alibaba Cloud"}

// Target is something that a plan can be written for.
type Target struct {
	Name, Title string
	platforms   []string
	write       func(*job) []File
}

// Targets is every target, in the order of the help.
var Targets = []Target{
	{"terraform", "Terraform", []string{awsPlatform, alibabaPlatform}, writeTerraform},
	{"aws-cli", "the AWS command line", []string{awsPlatform}, func(j *job) []File { return j.scripts(awsDialect) }},
	{"aliyun-cli", "the Alibaba Cloud command line", []string{alibabaPlatform}, func(j *job) []File { return j.scripts(aliyunDialect) }},
}

// Input is a plan to write.
type Input struct {
	// Snapshot is the policy that Edits are of, or as much of it as a report tells.
	Snapshot *policy.Snapshot
	Edits    []plan.Edit
	// Platforms says of which platform groups and network ACLs are, by id.
	Platforms map[string]string
	// Partial: Snapshot was made from a report, which leaves out what rules say of source
	// ports and own addresses, whose groups are named, and which resource declares a rule.
	Partial bool
	Report  string // what README.md calls the report
}

// File is one file of the outcome. Its name may have one folder.
type File struct {
	Name string
	Body string
	Run  bool // it is a script
}

// Left is an edit that the files do not make.
type Left struct {
	Edit   plan.Edit
	Reason string
	Hint   string // what to do by hand, in Markdown; empty: nothing in particular
	Other  bool   // it is of a cloud that the target is not for
}

// Outcome is what a plan became.
type Outcome struct {
	Files          []File // by name
	Edits          int    // that Files make
	Added, Removed int    // rules
	Left           []Left // in the order of the plan
}

// FileNames are the names of all files that targets write. A folder that holds others is
// not theirs.
var FileNames = []string{"README.md", "not-expressed.md", "common.sh", "apply.sh", "rollback.sh", "verify.sh",
	firstStep, secondStep, thirdStep, backStep, scriptsOf(awsDialect), scriptsOf(aliyunDialect)}

// Write writes in for the target. It never fails: what cannot be written is left.
func (t Target) Write(in Input) *Outcome {
	j := &job{in: in, target: t}
	for i := range in.Edits {
		e := &in.Edits[i]
		p, known := in.Platforms[e.Group]
		if known && !slices.Contains(t.platforms, p) {
			name := platformNames[p]
			if name == "" {
				name = "another platform"
			}
			j.leave(e, Left{Reason: "it is of " + name, Other: true})
			continue
		}
		j.edits = append(j.edits, *e)
	}
	files := t.write(j)
	slices.SortStableFunc(j.left, func(a, b Left) int { return a.Edit.Rule.Compare(b.Edit.Rule) })
	out := &Outcome{Left: j.left, Edits: len(j.edits), Added: j.added, Removed: j.removed}
	if len(j.left) > 0 {
		files = append(files, File{Name: "not-expressed.md", Body: j.notExpressed()})
	}
	files = append(files, File{Name: "README.md", Body: j.readme()})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	out.Files = files
	return out
}

// job is a plan on its way into files.
type job struct {
	in             Input
	target         Target
	edits          []plan.Edit // those that are still to be written
	left           []Left
	added, removed int
	how            string   // what README.md says of how to go about it
	notes          []string // what else README.md says
}

func (j *job) leave(e *plan.Edit, l Left) {
	l.Edit = *e
	j.left = append(j.left, l)
}

// sift leaves the edits for which unfit gives a reason, and then those that may rest on
// what is left.
func (j *job) sift(unfit func(*plan.Edit) Left) {
	var kept []plan.Edit
	var gone []plan.Edit
	for i := range j.edits {
		e := &j.edits[i]
		l := Left{Reason: "it cannot be told of which cloud the group is"}
		if _, known := j.in.Platforms[e.Group]; known {
			l = unfit(e)
		}
		if l.Reason != "" {
			j.leave(e, l)
			gone = append(gone, *e)
			continue
		}
		kept = append(kept, *e)
	}
	for len(gone) > 0 {
		x := gone[0]
		gone = gone[1:]
		kept = slices.DeleteFunc(kept, func(e plan.Edit) bool {
			if !j.mayRest(&e, &x) {
				return false
			}
			j.leave(&e, Left{Reason: fmt.Sprintf("it may rest on the edit of %s, which is left out", subject(&x))})
			gone = append(gone, e)
			return true
		})
	}
	j.edits = kept
}

// mayRest reports whether e might break something, or open something, if x is not made:
// e takes a rule away that allows what only a new rule of x is to allow, or a deny that
// holds back what the old rule of x allows.
func (j *job) mayRest(e, x *plan.Edit) bool {
	old := j.rule(e.Rule)
	if old == nil {
		return false
	}
	was := j.rule(x.Rule)
	if old.Action != policy.Allow {
		return was != nil && was.Action == policy.Allow && was.Direction == old.Direction && meet(was, old)
	}
	for i := range x.With {
		n := &x.With[i]
		if was != nil && inside(n, was) {
			continue // the rule stays, and allows all of it
		}
		if n.Direction == old.Direction && meet(n, old) {
			return true
		}
	}
	return false
}

// rule returns the rule of that name, nil if there is none.
func (j *job) rule(ref policy.Ref) *policy.Rule {
	i, ok := j.in.Snapshot.RuleIndex(ref)
	if !ok {
		return nil
	}
	return j.in.Snapshot.Rules()[i]
}

// subject is what an edit is of.
func subject(e *plan.Edit) string {
	if e.Rule.IsZero() {
		return e.Group
	}
	return e.Rule.String()
}

// inside reports whether rule n certainly matches nothing that old does not match.
func inside(n, old *policy.Rule) bool {
	if n.Direction != old.Direction || n.Action != old.Action || n.Rank != old.Rank || len(n.Match) != 1 || len(old.Match) != 1 {
		return false
	}
	a, b := &n.Match[0], &old.Match[0]
	for i := range a.Protos {
		if a.Protos[i]&^b.Protos[i] != 0 {
			return false
		}
	}
	if !b.LocalPorts.Covers(a.LocalPorts) || !b.RemotePorts.Covers(a.RemotePorts) || !sameSet(a.Local, b.Local) {
		return false
	}
	if b.ICMP != policy.AnyICMP && a.ICMP != b.ICMP && (b.ICMP.Code >= 0 || a.ICMP.Type != b.ICMP.Type) {
		return false
	}
	if sameSet(a.Remote, b.Remote) {
		return !a.Remote.Unknown
	}
	if len(a.Remote.Refs) > 0 || a.Remote.Unknown {
		return false
	}
	for _, p := range a.Remote.Prefixes {
		if !slices.ContainsFunc(b.Remote.Prefixes, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }) {
			return false
		}
	}
	return true
}

// meet reports whether a and b may match something in common.
func meet(a, b *policy.Rule) bool {
	for i := range a.Match {
		for k := range b.Match {
			x, y := &a.Match[i], &b.Match[k]
			protos := false
			for w := range x.Protos {
				protos = protos || x.Protos[w]&y.Protos[w] != 0
			}
			if !protos || !x.ServicePorts(a.Direction).Overlaps(y.ServicePorts(b.Direction)) {
				continue
			}
			if len(x.Remote.Refs)+len(y.Remote.Refs) > 0 || x.Remote.Unknown || y.Remote.Unknown {
				return true
			}
			for _, p := range x.Remote.Prefixes {
				if slices.ContainsFunc(y.Remote.Prefixes, p.Overlaps) {
					return true
				}
			}
		}
	}
	return false
}

func sameSet(a, b policy.AddrSet) bool {
	return a.Unknown == b.Unknown && slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.Refs, b.Refs)
}

// Platforms says of which platform the groups and network ACLs of s are: the one that
// there is, or that of an interface that they filter.
func Platforms(s *policy.Snapshot) map[string]string {
	out := make(map[string]string)
	if p := s.Platforms; len(p) > 0 && !slices.ContainsFunc(p, func(x policy.Platform) bool { return x.ID != p[0].ID }) {
		for i := range s.Groups {
			out[s.Groups[i].ID] = p[0].ID
		}
		for i := range s.ACLs {
			out[s.ACLs[i].ID] = p[0].ID
		}
	}
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		for _, g := range f.Groups {
			out[g] = f.Platform
		}
		if acl, _, ok := s.ACLFor(f); ok {
			out[acl.ID] = f.Platform
		}
	}
	return out
}

// platformOfKind are the families of exports that are of one platform.
var platformOfKind = map[string]string{"aws": awsPlatform, "alibaba": alibabaPlatform}

// PlatformOf returns the platform of a policy whose files are of these kinds, as reports
// name them; ok is false if they do not tell.
func PlatformOf(kinds []string) (platform string, ok bool) {
	for i, k := range kinds {
		family, _, _ := strings.Cut(k, ":")
		p, known := platformOfKind[family]
		if !known || i > 0 && p != platform {
			return "", false
		}
		platform = p
	}
	return platform, len(kinds) > 0
}
