package remedy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// dialect is the command line of one cloud.
type dialect struct {
	tool    string // the command
	common  string // what common.sh holds for it
	needs   string // what README.md says that it needs
	dry     string // what README.md says that --dry-run does
	partial string // why nothing can be done from a report alone; empty: it can
	quota   int    // rules of a group in one direction by default
	id      func(string) bool
	// unfit says why commands could not make the rule as it is; empty: they can.
	unfit func(*policy.Rule) string
	line  func(*policy.Rule) string   // how the scripts read it back
	args  func(*policy.Rule) []string // what makes it
	like  func(*policy.Rule) []string // what names it where it has no id
	// swap returns what changes a rule into another one and back, in one call.
	swap func(old, now *policy.Rule) (do, undo string, ok bool)
	// aclUnfit says why commands could not make edit e of the network ACL.
	aclUnfit func(j *job, acl *policy.ACL, e *plan.Edit) string
	// acl adds what edits of one network ACL come to.
	acl func(j *job, q *sequence, acl *policy.ACL, edits []plan.Edit)
}

// step is one change.
type step struct {
	say      string // for people
	note     string // a comment beside it; empty: none
	do, undo string // lines of bash
}

// watch is what scripts read back of a group or network ACL.
type watch struct {
	owner   string
	acl     bool
	fixed   []string // lines of bash that hold before any change, or where it was made before
	then    []string // lines of bash that hold after all
	once    []string // lines of bash that hold when all is undone
	kept    []string
	added   []string
	swapped []string // added by a change in place
	removed []string
}

// sequence is the changes in the order in which they are made.
type sequence struct {
	adds, swaps, removes []step
	watches              []*watch
}

func (q *sequence) len() int { return len(q.adds) + len(q.swaps) + len(q.removes) }

func (q *sequence) watch(owner string, acl bool) *watch {
	for _, w := range q.watches {
		if w.owner == owner {
			return w
		}
	}
	w := &watch{owner: owner, acl: acl}
	q.watches = append(q.watches, w)
	return w
}

// acl returns the network ACL of that id, nil if there is none.
func (j *job) acl(id string) *policy.ACL {
	i := slices.IndexFunc(j.in.Snapshot.ACLs, func(a policy.ACL) bool { return a.ID == id })
	if i < 0 {
		return nil
	}
	return &j.in.Snapshot.ACLs[i]
}

// unfit says why d could not make e, or undo it.
func (j *job) unfit(d *dialect, e *plan.Edit) string {
	if !d.id(e.Group) {
		return fmt.Sprintf("%s is no id that %s could have", e.Group, d.tool)
	}
	if j.in.Partial && d.partial != "" {
		return d.partial
	}
	if acl := j.acl(e.Group); acl != nil {
		return d.aclUnfit(j, acl, e)
	}
	if old := j.rule(e.Rule); old != nil {
		if why := d.unfit(old); why != "" {
			return "it could not be put back: " + why
		}
		if j.in.Partial {
			for _, r := range old.Refs() {
				if _, ok := j.in.Snapshot.Group(r.ID); r.Kind == policy.GroupSet && !ok {
					return fmt.Sprintf("it could not be put back: the report does not say whose group %s is", r.ID)
				}
			}
		}
	}
	for i := range e.With {
		if why := d.unfit(&e.With[i]); why != "" {
			return why
		}
	}
	return ""
}

// sequence orders those edits of j that are picked, all of which fit d.
func (j *job) sequence(d *dialect, pick func(*plan.Edit) bool) *sequence {
	q := new(sequence)
	lines := make(map[string][]plan.Edit) // of network ACLs
	var acls []string
	var edits []plan.Edit
	for _, e := range j.edits {
		if j.acl(e.Group) == nil {
			edits = append(edits, e)
			continue
		}
		if !pick(&e) {
			continue
		}
		if lines[e.Group] == nil {
			acls = append(acls, e.Group)
		}
		lines[e.Group] = append(lines[e.Group], e)
	}
	j.groups(d, q, slices.DeleteFunc(j.changes(edits), func(c change) bool { return !pick(c.by) }))
	for _, id := range acls {
		d.acl(j, q, j.acl(id), lines[id])
	}
	return q
}

// change is what one edit of a group comes to.
type change struct {
	old *policy.Rule // nil: nothing goes
	now []*policy.Rule
	by  *plan.Edit
}

// changes settles what edits of groups come to, given the rules that are there: a new
// rule that is there already is not added, and does not go if another edit would take it.
// A cloud would otherwise ignore the addition, and then the removal would leave neither.
func (j *job) changes(edits []plan.Edit) []change {
	type key struct{ group, digest string }
	there := make(map[key]*policy.Rule)
	for _, r := range j.in.Snapshot.Rules() {
		if !r.Implicit {
			there[key{r.Ref.Owner, cloud.RuleDigest(r)}] = r
		}
	}
	stays := make(map[policy.Ref]bool)
	var out []change
	for i := range edits {
		e := &edits[i]
		c := change{by: e, old: j.rule(e.Rule)}
		for k := range e.With {
			n := &e.With[k]
			at := key{e.Group, cloud.RuleDigest(n)}
			if x := there[at]; x != nil {
				stays[x.Ref] = true
				continue
			}
			there[at] = n
			c.now = append(c.now, n)
		}
		out = append(out, c)
	}
	for i := range out {
		if out[i].old != nil && stays[out[i].old.Ref] {
			out[i].old = nil
		}
	}
	return out
}

// groups adds the changes of groups to q.
func (j *job) groups(d *dialect, q *sequence, changes []change) {
	swapped := j.swaps(d, q, changes)
	for i := range changes {
		c := &changes[i]
		w := q.watch(c.by.Group, false)
		for _, n := range c.now {
			j.added++
			if swapped[i] {
				w.swapped = append(w.swapped, d.line(n))
				continue
			}
			w.added = append(w.added, d.line(n))
			q.adds = append(q.adds, step{
				say:  "add to " + n.Ref.Owner + ": " + words(n),
				do:   call("add_rule", append([]string{n.Ref.Owner, n.Direction.String()}, d.args(n)...)...),
				undo: call("remove_like", append([]string{n.Ref.Owner, n.Direction.String()}, d.like(n)...)...),
			})
		}
	}
	for _, action := range []policy.Action{policy.Allow, policy.Deny} {
		for i := range changes {
			if old := changes[i].old; old != nil && old.Action == action {
				j.removed++
				j.remove(d, q, old, changes[i].now, swapped[i])
			}
		}
	}
	j.keep(d, q, changes)
}

// remove adds the removal of old, in whose place now came.
func (j *job) remove(d *dialect, q *sequence, old *policy.Rule, now []*policy.Rule, swapped bool) {
	w := q.watch(old.Ref.Owner, false)
	line := d.line(old)
	w.removed = append(w.removed, line)
	byID := hasID(old)
	if byID {
		fixed := []string{old.Ref.Rule, line}
		if swapped {
			fixed = append(fixed, d.line(now[0]))
		}
		w.fixed = append(w.fixed, call("unchanged", fixed...))
	}
	if swapped {
		return
	}
	like := call("remove_like", append([]string{old.Ref.Owner, old.Direction.String()}, d.like(old)...)...)
	s := step{
		say:  "remove " + old.Ref.String() + ": " + words(old),
		do:   like,
		undo: call("add_rule", append([]string{old.Ref.Owner, old.Direction.String()}, d.args(old)...)...),
	}
	if byID {
		s.do = call("remove_rule", old.Ref.Owner, old.Direction.String(), old.Ref.Rule)
		s.note = "the same without its id: " + like
	}
	q.removes = append(q.removes, s)
}

// hasID reports whether the cloud gave the rule an id; others are digests.
func hasID(r *policy.Rule) bool {
	return strings.HasPrefix(r.Ref.Rule, "sgr-") && plainID(r.Ref.Rule)
}

// swaps changes rules in place where a group has no room for old and new rules side by
// side, and reports which changes are made so.
func (j *job) swaps(d *dialect, q *sequence, changes []change) map[int]bool {
	type list struct {
		group string
		d     flow.Direction
	}
	room := make(map[list]int)
	for _, r := range j.in.Snapshot.Rules() {
		if !r.Implicit {
			room[list{r.Ref.Owner, r.Direction}]--
		}
	}
	for l, n := range room {
		room[l] = max(0, d.quota+n) // a group that has more was given more
	}
	var short []list
	for _, c := range changes {
		for _, n := range c.now {
			l := list{n.Ref.Owner, n.Direction}
			if _, ok := room[l]; !ok {
				room[l] = d.quota
			}
			if room[l]--; room[l] == -1 {
				short = append(short, l)
			}
		}
	}
	swapped := make(map[int]bool)
	for i := range changes {
		c := &changes[i]
		if c.old == nil || len(c.now) != 1 || !hasID(c.old) || !inside(c.now[0], c.old) || d.swap == nil {
			continue
		}
		l := list{c.old.Ref.Owner, c.old.Direction}
		if room[l] >= 0 {
			continue
		}
		do, undo, ok := d.swap(c.old, c.now[0])
		if !ok {
			continue
		}
		room[l]++
		swapped[i] = true
		q.swaps = append(q.swaps, step{say: "change " + c.old.Ref.String() + ": " + words(c.old) + ", to " + words(c.now[0]), do: do, undo: undo})
	}
	for _, l := range short {
		if room[l] < 0 {
			j.notes = append(j.notes, fmt.Sprintf("While old and new rules stand side by side, %s needs %d more %s rules than the default quota of %d "+
				"leaves room for. If yours is not higher, the addition is refused and the script stops before anything is removed.",
				l.group, -room[l], l.d, d.quota))
		}
	}
	return swapped
}

// keep notes the rules that must be there for the plan to hold: what stays in the groups
// that it edits, and in those that share an interface with them.
func (j *job) keep(d *dialect, q *sequence, changes []change) {
	goes := make(map[policy.Ref]bool)
	watched := make(map[string]bool)
	for _, c := range changes {
		watched[c.by.Group] = true
		if c.old != nil {
			goes[c.old.Ref] = true
		}
	}
	for i := range j.in.Snapshot.Interfaces {
		f := &j.in.Snapshot.Interfaces[i]
		if !slices.ContainsFunc(f.Groups, func(g string) bool { return watched[g] && goesFrom(changes, g) }) {
			continue
		}
		for _, g := range f.Groups {
			if _, ok := j.in.Snapshot.Group(g); ok && d.id(g) {
				q.watch(g, false)
			}
		}
	}
	for _, r := range j.in.Snapshot.Rules() {
		if goes[r.Ref] || r.Implicit || j.acl(r.Ref.Owner) != nil || d.unfit(r) != "" {
			continue
		}
		for _, w := range q.watches {
			if w.owner == r.Ref.Owner {
				w.kept = append(w.kept, d.line(r))
			}
		}
	}
}

// goesFrom reports whether a rule of group goes.
func goesFrom(changes []change, group string) bool {
	return slices.ContainsFunc(changes, func(c change) bool { return c.old != nil && c.by.Group == group })
}

// words writes a rule for people, on one line.
func words(r *policy.Rule) string {
	w := plan.WordsOf(r)
	word := "from"
	if r.Direction == flow.Egress {
		word = "to"
	}
	text := fmt.Sprintf("%s %s %s %s %s %s", w.Direction, w.Action, w.Protocol, w.Ports, word, w.Peer)
	if r.Rank > 0 {
		text += fmt.Sprintf(" priority %d", r.Rank)
	}
	return oneLine(text)
}
