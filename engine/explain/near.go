package explain

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// Kind is what an id names.
type Kind string

// The kinds of ids.
const (
	InterfaceKind Kind = "interface"
	InstanceKind  Kind = "instance"
	GroupKind     Kind = "group"
	RuleKind      Kind = "rule"
	ACLKind       Kind = "network ACL"
)

// UnknownError says that an id is not in the snapshot.
type UnknownError struct {
	Kind Kind
	ID   string
	Is   Kind     // the kind it is instead; empty: none
	Near []string // ids of the wanted kind that are much like it, the nearest first
}

func (e *UnknownError) Error() string {
	return "no " + string(e.Kind) + " of the policy is called " + e.ID
}

// unknown describes id, which is no known id of this kind.
func unknown(s *policy.Snapshot, kind Kind, id string, ids []string) *UnknownError {
	e := &UnknownError{Kind: kind, ID: id, Near: nearest(id, ids)}
	switch {
	case kind != InterfaceKind && has(s.Interface(id)):
		e.Is = InterfaceKind
	case kind != GroupKind && has(s.Group(id)):
		e.Is = GroupKind
	case kind != InstanceKind && id != "" && slices.ContainsFunc(s.Interfaces, func(f policy.Interface) bool { return f.Instance == id }):
		e.Is = InstanceKind
	case slices.ContainsFunc(s.ACLs, func(a policy.ACL) bool { return a.ID == id }):
		e.Is = ACLKind
	}
	return e
}

func has[T any](_ *T, ok bool) bool { return ok }

// maxNear is how many ids a hint names.
const maxNear = 3

// nearest returns the ids most like id: those that begin as it does or it as they do,
// and those at most a third of its letters away.
func nearest(id string, ids []string) []string {
	type scored struct {
		id string
		d  int
	}
	var all []scored
	for _, x := range ids {
		d := distance(strings.ToLower(id), strings.ToLower(x))
		if id != "" && x != "" && (strings.HasPrefix(x, id) || strings.HasPrefix(id, x)) {
			d = min(d, 1)
		}
		if d <= max(2, len(id)/3) {
			all = append(all, scored{x, d})
		}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Or(cmp.Compare(a.d, b.d), strings.Compare(a.id, b.id)) })
	var out []string
	for _, x := range all[:min(len(all), maxNear)] {
		out = append(out, x.id)
	}
	return out
}

// distance is the number of bytes to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			old := row[j+1]
			d := left
			if a[i] != b[j] {
				d++
			}
			row[j+1] = min(d, old+1, row[j]+1)
			left = old
		}
	}
	return row[len(b)]
}
