package policy

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// History is a policy over time: the present snapshot, and what is known of the
// objects that were other ones before. It holds no snapshot of the past: what changed
// is kept object by object, and the path of an interface at some time is put together
// on request, so thousands of changes cost no more than what they changed. It is
// immutable and safe for concurrent use.
//
// Each interface has eras of its own: its cuts are the times at which its own path
// changed, and era n of it is the time from cut n-1 to cut n. The last era reaches to
// the present. A rule on the path of an earlier era has the ref of a declared rule of
// the present only if it has the same content: direction, rank, action and match, with
// references by name.
type History struct {
	past       Past
	eras       map[string]*eras // of the interfaces that have cuts
	lost       int64            // see Past.Lost
	static     map[string][]netip.Prefix
	steady     map[string]int      // group → interfaces without versions that carry it
	carriers   map[string][]string // group → interfaces with versions that ever carried it
	memberCuts map[string][]int64
	memberSets map[string][]Version[[]netip.Prefix] // of groups that matter
	// Before unsureUntil the groups of some interfaces are not settled. They may have been
	// any, so their addresses, unsure, may have been behind any group until the last of
	// them is settled: to follow each by itself would cut the time of every interface
	// whenever one of them is.
	unsureUntil int64
	unsure      []netip.Prefix
}

// Past is what [NewHistory] makes a history of: the present, and the versions of each
// object that was not always as it is now. Objects without versions never changed, as
// far as is known.
type Past struct {
	Present    *Snapshot
	Interfaces map[string][]Version[Interface]
	Groups     map[string][]Version[Group]
	ACLs       map[string][]Version[ACL]
	ACLOf      map[string][]Version[string] // subnet → id of its network ACL, "" for none
	Lists      map[string][]Version[PrefixList]
	// Lost: up to this time there were interfaces of which nothing but their end is
	// known, so any group may have had more members. Unix s; 0: there were none.
	Lost int64
}

// Ever is the start of the first version of an object.
const Ever = math.MinInt64

// Version is what is known of an object from a moment on, until the next version.
type Version[T any] struct {
	From int64 // Unix s; Ever in the first version
	// Old and New are what the object was; nil: it was not there. They differ where it
	// changed from one to the other at some time that nothing tells.
	Old, New *T
	// Unsettled: something changed the object at the end of the version, and nothing says
	// what it was before. What Old and New hold of its content counts for nothing: of a
	// group or ACL its rules, of an interface its groups, of a subnet its ACL.
	Unsettled bool
	// Lost: it had a rule or line of which nothing but that is known. Old and New hold one
	// that may be anything in its place.
	Lost bool
}

// eras are those of one interface, or of several that share all that matters.
type eras struct {
	cuts  []int64
	whens []era // one more than cuts
}

// era is one of them.
type era struct {
	at      int64 // a time inside it
	present bool  // the paths are those of the present
}

// Paths are the paths of an interface: of ingress and of egress.
type Paths [2][]Stage

// HistoryOf returns the history of a policy of which one snapshot is known.
func HistoryOf(s *Snapshot) *History { return NewHistory(Past{Present: s}) }

// NewHistory finds the eras of every interface. The snapshot is sealed; the rules of
// versions are in the order that sealing gives them. What p holds must not change
// afterwards.
func NewHistory(p Past) *History {
	h := &History{past: p, lost: Ever, unsureUntil: Ever, eras: make(map[string]*eras), static: make(map[string][]netip.Prefix), steady: make(map[string]int),
		carriers: make(map[string][]string), memberCuts: make(map[string][]int64), memberSets: make(map[string][]Version[[]netip.Prefix])}
	if p.Lost != 0 {
		h.lost = p.Lost
	}
	if h.IsFlat() {
		return h // every interface has the one era of the present
	}
	h.findMembers()
	h.settleMembers()
	shared := make(map[string]*eras)
	for i := range p.Present.Interfaces {
		f := &p.Present.Interfaces[i]
		var e *eras
		if len(p.Interfaces[f.ID]) > 0 {
			e = h.find(f)
		} else {
			key := p.Present.PathKey(f) + "|" + f.Subnet
			if f.NoACL {
				key += "|no-acl"
			}
			var ok bool
			if e, ok = shared[key]; !ok {
				e = h.find(f)
				shared[key] = e
			}
		}
		if len(e.cuts) > 0 || !e.whens[0].present {
			h.eras[f.ID] = e
		}
	}
	return h
}

// Present returns the snapshot in force now.
func (h *History) Present() *Snapshot { return h.past.Present }

// IsFlat reports whether nothing is known of the past: no path ever changed, and no
// object has versions.
func (h *History) IsFlat() bool {
	p := &h.past
	return len(p.Interfaces)+len(p.Groups)+len(p.ACLs)+len(p.ACLOf)+len(p.Lists) == 0 && p.Lost == 0
}

// Cuts returns the times at which the path of interface id changed, in Unix seconds,
// ascending; nil if it never did.
func (h *History) Cuts(id string) []int64 {
	if e := h.eras[id]; e != nil {
		return e.cuts
	}
	return nil
}

// IsPresent reports whether the paths of interface id in era n are those of the present.
func (h *History) IsPresent(id string, n int) bool {
	e := h.eras[id]
	return e == nil || e.whens[n].present
}

// Paths returns the paths that may have been in force at interface id in era n: one
// pair, or two where a change was made at some time that nothing tells.
func (h *History) Paths(id string, n int) []Paths {
	f, ok := h.past.Present.Interface(id)
	if !ok {
		return nil
	}
	e := h.eras[id]
	if e == nil {
		return []Paths{pathsOf(h.past.Present, id)}
	}
	return h.paths(f, e.whens[n].at)
}

// SharedEras returns a value that is equal for interfaces with the same paths in each
// era; nil for one that never changed.
func (h *History) SharedEras(id string) any {
	if e := h.eras[id]; e != nil {
		return e
	}
	return nil
}

// RuleSince returns the time since which rule ref of the present has been in force as it
// is now: with its content, and with no more behind the groups and lists that it names;
// ok is false if no change of it is known.
func (h *History) RuleSince(ref Ref) (since int64, ok bool) {
	since = Ever
	if vs := h.past.Groups[ref.Owner]; len(vs) > 0 {
		since = sinceWhen(vs, func(g *Group) bool { return holdsRule(g.Rules, ref) })
	}
	if vs := h.past.ACLs[ref.Owner]; len(vs) > 0 {
		since = sinceWhen(vs, func(a *ACL) bool { return holdsRule(a.Rules, ref) })
	}
	if i, found := h.past.Present.RuleIndex(ref); found {
		for _, r := range h.past.Present.Rules()[i].Refs() {
			if r.Dead == "" {
				since = max(since, h.grownSince(r))
			}
		}
	}
	return since, since != Ever
}

// AttachedSince returns the time since which the rules of owner, a group or network ACL,
// have been in force at interface id; ok is false if no change of that is known.
func (h *History) AttachedSince(id, owner string) (since int64, ok bool) {
	since = Ever
	f, found := h.past.Present.Interface(id)
	if !found {
		return since, false
	}
	_, carries := slices.BinarySearch(f.Groups, owner)
	if vs := h.past.Interfaces[id]; len(vs) > 0 {
		since = sinceWhen(vs, func(f *Interface) bool {
			_, ok := slices.BinarySearch(f.Groups, owner)
			return ok || !carries
		})
	}
	if vs := h.past.ACLOf[f.Subnet]; len(vs) > 0 && !carries {
		since = max(since, sinceWhen(vs, func(acl *string) bool { return *acl == owner }))
	}
	return since, since != Ever
}

// sinceWhen returns the start of the run of versions, up to the last one, in which the
// object certainly was as holds says.
func sinceWhen[T any](vs []Version[T], holds func(*T) bool) int64 {
	since := int64(math.MaxInt64)
	for i := len(vs) - 1; i >= 0; i-- {
		v := &vs[i]
		if v.Unsettled || v.Old == nil || v.New == nil || !holds(v.Old) || !holds(v.New) {
			break
		}
		since = v.From
	}
	return since
}

func holdsRule(rs []Rule, ref Ref) bool {
	return slices.ContainsFunc(rs, func(r Rule) bool { return r.Ref == ref })
}

// grownSince returns the last time at which set r gained an address.
func (h *History) grownSince(r SetRef) int64 {
	since, sets := int64(Ever), h.memberSets[r.ID]
	if r.Kind == ListSet {
		sets = nil
		for _, v := range h.past.Lists[r.ID] {
			old, new := entriesOf(v.Old), entriesOf(v.New)
			sets = append(sets, Version[[]netip.Prefix]{From: v.From, Old: &old, New: &new})
		}
	}
	for i := 1; i < len(sets); i++ {
		// The most that it may have held, where it certainly held less before.
		for _, p := range *sets[i].New {
			if _, ok := slices.BinarySearchFunc(*sets[i-1].Old, p, ComparePrefix); !ok {
				since = sets[i].From
				break
			}
		}
	}
	return since
}

func entriesOf(l *PrefixList) []netip.Prefix {
	if l == nil || !l.Known {
		return nil
	}
	return l.Entries
}

// Unsettled is an object of which all, or some of its rules, is not known before a time.
type Unsettled struct {
	ID     string
	Before time.Time
}

// Unsettled returns the objects whose content, or a part of it, was not known for some
// time, by id, with the end of that time.
func (h *History) Unsettled() []Unsettled {
	var out []Unsettled
	out = appendUnsettled(out, h.past.Interfaces)
	out = appendUnsettled(out, h.past.Groups)
	out = appendUnsettled(out, h.past.ACLs)
	out = appendUnsettled(out, h.past.ACLOf)
	for id, vs := range h.past.Lists {
		for i := range vs[:len(vs)-1] {
			if v := &vs[i]; v.New != nil && !v.New.Known && vs[len(vs)-1].New != nil && vs[len(vs)-1].New.Known {
				out = append(out, Unsettled{id, time.Unix(vs[i+1].From, 0).UTC()})
			}
		}
	}
	slices.SortFunc(out, func(a, b Unsettled) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), b.Before.Compare(a.Before))
	})
	return slices.CompactFunc(out, func(a, b Unsettled) bool { return a.ID == b.ID })
}

func appendUnsettled[T any](out []Unsettled, m map[string][]Version[T]) []Unsettled {
	for id, vs := range m {
		for i := range vs {
			if (vs[i].Unsettled || vs[i].Lost) && i+1 < len(vs) {
				out = append(out, Unsettled{id, time.Unix(vs[i+1].From, 0).UTC()})
			}
		}
	}
	return out
}

// LostBefore returns the time up to which interfaces were there of which nothing is
// known but that they were; ok is false if there is none.
func (h *History) LostBefore() (time.Time, bool) {
	if h.lost == Ever {
		return time.Time{}, false
	}
	return time.Unix(h.lost, 0).UTC(), true
}

// EachRule calls f for every rule that was in force at some time other than the present.
func (h *History) EachRule(f func(*Rule)) {
	each := func(rs []Rule) {
		for i := range rs {
			f(&rs[i])
		}
	}
	for _, vs := range h.past.Groups {
		for i := range vs {
			for _, g := range [2]*Group{vs[i].Old, vs[i].New} {
				if g != nil {
					each(g.Rules)
				}
			}
		}
	}
	for _, vs := range h.past.ACLs {
		for i := range vs {
			for _, a := range [2]*ACL{vs[i].Old, vs[i].New} {
				if a != nil {
					each(a.Rules)
				}
			}
		}
	}
}

// EachAddress calls f for every address that an interface had at some time other than
// the present.
func (h *History) EachAddress(f func(id string, a netip.Addr)) {
	for id, vs := range h.past.Interfaces {
		for i := range vs {
			for _, v := range [2]*Interface{vs[i].Old, vs[i].New} {
				if v == nil {
					continue
				}
				for _, a := range v.Addresses {
					f(id, a)
				}
			}
		}
	}
}

// EachInterface calls f for every version of an interface from some time other than the
// present.
func (h *History) EachInterface(f func(*Interface)) { eachVersion(h.past.Interfaces, f) }

// EachList calls f for every version of a prefix list from some time other than the present.
func (h *History) EachList(f func(*PrefixList)) { eachVersion(h.past.Lists, f) }

func eachVersion[T any](of map[string][]Version[T], f func(*T)) {
	for _, vs := range of {
		for i := range vs {
			for _, v := range [2]*T{vs[i].Old, vs[i].New} {
				if v != nil {
					f(v)
				}
			}
		}
	}
}

func pathsOf(s *Snapshot, id string) Paths {
	return Paths{s.Path(id, flow.Ingress), s.Path(id, flow.Egress)}
}

// at returns the version in force at t; nil without versions.
func at[T any](vs []Version[T], t int64) *Version[T] {
	n, found := slices.BinarySearchFunc(vs, t, func(v Version[T], t int64) int { return cmp.Compare(v.From, t) })
	switch {
	case found:
		return &vs[n]
	case n == 0:
		return nil
	}
	return &vs[n-1]
}

// pick returns the new or the old state of v; nil if v is nil.
func pick[T any](v *Version[T], new bool) *T {
	switch {
	case v == nil:
		return nil
	case new:
		return v.New
	}
	return v.Old
}

// times returns the starts of all versions but the first.
func times[T any](vs []Version[T]) []int64 {
	var out []int64
	for i := range vs {
		if vs[i].From != Ever {
			out = append(out, vs[i].From)
		}
	}
	return out
}
