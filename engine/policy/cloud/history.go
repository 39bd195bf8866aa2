package cloud

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// DatedPaths are the files of a policy as it was at some time.
type DatedPaths struct {
	At    time.Time
	Paths []string
}

// ReadHistory reads the policy in paths as [Read] does, and what is known of how it was
// before: the earlier snapshots of opt.Dated, and the files among all paths that record
// changes (CloudTrail and ActionTrail events, AWS Config items), which are recognised by
// their content. Where none of those is, the history is that of one snapshot.
//
// The inputs are those of paths, then those of each earlier snapshot, by time.
//
// What a change left or found is believed where it agrees with what is known from
// elsewhere, or where nothing else is known. Where two sources contradict, both states
// are kept for the time between; where nobody says what an object was before it changed,
// it is unsettled until then. See [policy.Version].
func ReadHistory(paths []string, opt Options) (*policy.History, []Input, error) {
	s, records, inputs, err := readAll(paths, opt)
	if err != nil {
		return nil, inputs, err
	}
	dated := slices.Clone(opt.Dated)
	slices.SortStableFunc(dated, func(a, b DatedPaths) int { return a.At.Compare(b.At) })
	b := &pastBuilder{objects: make(map[objectKey]*object)}
	for i, d := range dated {
		if i > 0 && d.At.Equal(dated[i-1].At) {
			return nil, inputs, fmt.Errorf("two snapshots of %s", d.At.UTC().Format(time.RFC3339))
		}
		earlier, more, in, err := readAll(d.Paths, Options{})
		for k := range in {
			in[k].At = d.At
		}
		inputs = append(inputs, in...)
		if err != nil {
			return nil, inputs, err
		}
		b.snapshots = append(b.snapshots, moment{d.At.Unix(), earlier})
		records = append(records, more...)
	}
	b.snapshots = append(b.snapshots, moment{now, s})
	if err := b.addRecords(records); err != nil {
		return nil, inputs, err
	}
	h := policy.NewHistory(b.build())
	if len(b.snapshots) > 1 || len(records) > 0 {
		b.noteMissing(s, h)
	}
	return h, inputs, nil
}

// moment is a snapshot with its time.
type moment struct {
	at int64
	s  *policy.Snapshot
}

// objectKind is a kind of object that has a past.
type objectKind uint8

const (
	groupObject objectKind = iota
	interfaceObject
	aclObject
	subnetObject // which network ACL it has
	listObject
)

type objectKey struct {
	kind objectKind
	id   string
}

// object is what is known of one object: of itself, and of its parts by name.
type object struct {
	objectKey
	self   []point
	parts  map[string][]point
	values map[string]any // what a part was, where it was there: the latest that is known
	wild   []point        // something happened to it, nobody says what
	moved  []point        // the same, to the addresses of an interface alone
	births []birth
	deaths []point
	items  []item
}

// item is all that an object was at some time.
type item struct {
	at    int64
	order string
	contents
}

// birth is the making of an object. What it does not name of the object's parts was not
// there at first.
type birth struct {
	at    int64
	order string
	self  state
	parts map[string]state
}

// pastBuilder gathers what is known of every object that was not always the same.
type pastBuilder struct {
	snapshots []moment // by time, the present last
	objects   map[objectKey]*object
	lost      int64 // see policy.Past
	unplaced  int   // events whose object or effect could not be made out
}

// object returns the object with this key, a new one if need be.
func (b *pastBuilder) object(kind objectKind, id string) *object {
	k := objectKey{kind, id}
	o := b.objects[k]
	if o == nil {
		o = &object{objectKey: k, parts: make(map[string][]point), values: make(map[string]any)}
		b.objects[k] = o
	}
	return o
}

// change notes that a part of o was one state before t and another after it.
func (o *object) change(t int64, order, part string, before, after state) {
	o.parts[part] = append(o.parts[part], point{t, before, after, order})
	for _, s := range [2]state{before, after} {
		if s.kind == present && s.value != nil {
			o.values[part] = s.value
		}
	}
}

// wildly notes that something happened to o at t that left no trace of what it was before.
func (o *object) wildly(t int64, order string) {
	o.wild = append(o.wild, point{at: t, order: order})
}

// born notes that o was made at t.
func (o *object) born(t int64, order string, self state, parts map[string]state) {
	o.births = append(o.births, birth{t, order, self, parts})
	for name, s := range parts {
		if _, ok := o.parts[name]; !ok {
			o.parts[name] = nil
		}
		if s.value != nil {
			o.values[name] = s.value
		}
	}
}

// died notes that o was deleted at t.
func (o *object) died(t int64, order string) {
	o.deaths = append(o.deaths, point{t, unsure, gone, order})
}

// present returns the snapshot in force now.
func (b *pastBuilder) present() *policy.Snapshot { return b.snapshots[len(b.snapshots)-1].s }

// contents is what a snapshot holds of an object.
type contents struct {
	self  state
	parts map[string]state
}

// contentsOf returns what s holds of the object; ok is false if s cannot tell.
func contentsOf(s *policy.Snapshot, k objectKey) (c contents, ok bool) {
	switch k.kind {
	case groupObject:
		return groupContents(s, k.id)
	case interfaceObject:
		return interfaceContents(s, k.id)
	case aclObject:
		return aclContents(s, k.id)
	case subnetObject:
		return subnetContents(s, k.id)
	}
	return listContents(s, k.id)
}

// differing adds an object for everything that is not the same in all snapshots.
func (b *pastBuilder) differing() {
	if len(b.snapshots) == 1 {
		return
	}
	var keys []objectKey
	for _, m := range b.snapshots {
		for i := range m.s.Groups {
			keys = append(keys, objectKey{groupObject, m.s.Groups[i].ID})
		}
		for i := range m.s.Interfaces {
			keys = append(keys, objectKey{interfaceObject, m.s.Interfaces[i].ID})
		}
		for i := range m.s.ACLs {
			keys = append(keys, objectKey{aclObject, m.s.ACLs[i].ID})
			for _, id := range m.s.ACLs[i].Subnets {
				keys = append(keys, objectKey{subnetObject, id})
			}
		}
		for i := range m.s.Lists {
			keys = append(keys, objectKey{listObject, m.s.Lists[i].ID})
		}
	}
	seen := make(map[objectKey]bool)
	for _, k := range keys {
		if seen[k] || b.objects[k] != nil {
			continue
		}
		seen[k] = true
		var first contents
		known := false
		for _, m := range b.snapshots {
			c, ok := contentsOf(m.s, k)
			if ok && known && !sameContents(first, c) {
				b.object(k.kind, k.id)
				break
			}
			if ok && !known {
				first, known = c, true
			}
		}
	}
}

func sameContents(a, b contents) bool {
	if !a.self.same(b.self) || len(a.parts) != len(b.parts) {
		return false
	}
	for name, s := range a.parts {
		if !s.same(b.parts[name]) {
			return false
		}
	}
	return true
}

// build makes the past of all that was gathered.
func (b *pastBuilder) build() policy.Past {
	b.differing()
	p := policy.Past{Present: b.present(), Lost: b.lost,
		Interfaces: make(map[string][]policy.Version[policy.Interface]), Groups: make(map[string][]policy.Version[policy.Group]),
		ACLs: make(map[string][]policy.Version[policy.ACL]), ACLOf: make(map[string][]policy.Version[string]),
		Lists: make(map[string][]policy.Version[policy.PrefixList])}
	for k, o := range b.objects {
		t := o.settle(b.snapshots)
		switch k.kind {
		case groupObject:
			keep(p.Groups, k.id, versions(t, t.group))
		case interfaceObject:
			keep(p.Interfaces, k.id, versions(t, t.networkInterface))
		case aclObject:
			keep(p.ACLs, k.id, versions(t, t.acl))
		case subnetObject:
			keep(p.ACLOf, k.id, versions(t, t.aclOf))
		case listObject:
			keep(p.Lists, k.id, versions(t, t.list))
		}
	}
	return p
}

// keep adds vs unless they say nothing of the past.
func keep[T any](m map[string][]policy.Version[T], id string, vs []policy.Version[T]) {
	if len(vs) > 1 || len(vs) == 1 && (vs[0].Unsettled || vs[0].Old != vs[0].New) {
		m[id] = vs
	}
}

// timeline is the settled past of one object.
type timeline struct {
	*object
	self  []period
	names []string   // of parts, in order
	parts [][]period // the same
	any   any        // the latest value of the object itself
}

// settle works out the periods of o and its parts from all that is known.
func (o *object) settle(snapshots []moment) *timeline {
	t := &timeline{object: o}
	self := slices.Concat(o.self, o.wild, o.deaths)
	for _, x := range o.births {
		self = append(self, point{x.at, gone, x.self, x.order})
	}
	held := make([]contents, len(snapshots))
	tells := make([]bool, len(snapshots))
	for i, m := range snapshots {
		held[i], tells[i] = contentsOf(m.s, o.objectKey)
		c := held[i]
		if !tells[i] {
			if m.at == now {
				self = append(self, point{at: now})
			}
			continue
		}
		self = append(self, point{at: m.at, before: c.self, after: c.self})
		for name, s := range c.parts {
			if _, ok := o.parts[name]; !ok {
				o.parts[name] = nil
			}
			o.values[name] = s.value
		}
	}
	for _, x := range o.items {
		self = append(self, point{x.at, x.self, x.self, x.order})
		for name, s := range x.parts {
			if _, ok := o.parts[name]; !ok {
				o.parts[name] = nil
			}
			if _, ok := o.values[name]; !ok {
				o.values[name] = s.value
			}
		}
	}
	t.self = solve(self)
	for i := range self {
		for _, s := range [2]state{self[i].before, self[i].after} {
			if s.kind == present && s.value != nil {
				t.any = s.value
			}
		}
	}
	for name := range o.parts {
		t.names = append(t.names, name)
	}
	slices.Sort(t.names)
	for _, name := range t.names {
		points := slices.Concat(o.parts[name], o.wild, o.deaths)
		if isAddress(name) {
			points = append(points, o.moved...)
		}
		for _, x := range o.births {
			s, ok := x.parts[name]
			if !ok {
				s = gone
			}
			points = append(points, point{x.at, gone, s, x.order})
		}
		for _, x := range o.items {
			s, ok := x.parts[name]
			if !ok {
				s = gone
			}
			points = append(points, point{x.at, s, s, x.order})
		}
		if made := madeAt(o.values[name]); !made.IsZero() {
			// It may have got its present content later.
			points = append(points, point{at: made.Unix(), before: gone})
		}
		for i, m := range snapshots {
			switch {
			case tells[i]:
				s, ok := held[i].parts[name]
				if !ok {
					s = gone
				}
				points = append(points, point{at: m.at, before: s, after: s})
			case m.at == now:
				points = append(points, point{at: now})
			}
		}
		t.parts = append(t.parts, solve(points))
	}
	return t
}

// madeAt returns the time of creation of a part that is a rule, where the policy has it.
func madeAt(value any) time.Time {
	if rs, ok := value.([]policy.Rule); ok && len(rs) == 1 {
		return rs[0].Created
	}
	return time.Time{}
}

// versions puts the versions of an object together: at returns it, with its old or its
// new states, and whether it is unsettled.
func versions[T any](t *timeline, at func(when int64, new bool) (v *T, unsettled bool)) []policy.Version[T] {
	var times []int64
	for _, periods := range append(slices.Clone(t.parts), t.self) {
		for _, s := range periods {
			times = append(times, s.from)
		}
	}
	slices.Sort(times)
	var out []policy.Version[T]
	for _, when := range slices.Compact(times) {
		v := policy.Version[T]{From: when}
		if when == math.MinInt64 {
			v.From = policy.Ever
		}
		v.New, v.Unsettled = at(when, true)
		v.Lost = t.lost(when)
		v.Old = v.New
		if t.open(when) {
			v.Old, _ = at(when, false)
		}
		out = append(out, v)
	}
	return out
}

// open reports whether at t some part of the object was one thing or another.
func (t *timeline) open(when int64) bool {
	doubt := func(periods []period) bool {
		s := periodAt(periods, when)
		return !s.old.same(s.new) || s.old.kind == unknown
	}
	return doubt(t.self) || slices.ContainsFunc(t.parts, doubt)
}

// lost reports whether at t the object had a rule or line of unknown content.
func (t *timeline) lost(when int64) bool {
	for i, name := range t.names {
		s := periodAt(t.parts[i], when)
		for _, x := range [2]state{s.old, s.new} {
			if strings.HasPrefix(name, lostRulePart("")) && x.kind == present || t.kind == aclObject && x.kind == unknown {
				return true
			}
		}
	}
	return false
}

// selfAt returns the object itself at a time: nil if it was not there. Where that is not
// known it was there, unsettled.
func (t *timeline) selfAt(when int64, new bool) (value any, unsettled bool) {
	s := periodAt(t.self, when)
	x := s.old
	if new {
		x = s.new
	}
	switch x.kind {
	case absent:
		return nil, false
	case unknown:
		return t.any, true
	}
	return x.value, false
}

// each calls f with the name and state of every part at a time. Where it is not known
// whether a part was there it was not among the old ones, and is among the new ones.
func (t *timeline) each(when int64, new bool, f func(name string, s state)) {
	for i, name := range t.names {
		s := periodAt(t.parts[i], when)
		x := s.old
		if new {
			x = s.new
		}
		if x.kind != absent {
			f(name, x)
		}
	}
}

// noteMissing words in s, the present of h, what the past lacks. That there is one at all
// is no longer missing.
func (b *pastBuilder) noteMissing(s *policy.Snapshot, h *policy.History) {
	s.Missing = slices.DeleteFunc(s.Missing, func(m policy.Missing) bool { return m.What == "history" })
	note := func(until time.Time, format string, args ...any) {
		s.Missing = append(s.Missing, policy.Missing{What: "history", Effect: fmt.Sprintf(format, args...), Until: until})
	}
	if b.unplaced > 0 {
		note(time.Time{}, "%d recorded changes could not be made out: what they changed may have been otherwise before", b.unplaced)
	}
	if open := h.Unsettled(); len(open) > 0 {
		// The latest first: the early ones may be long before any log.
		slices.SortStableFunc(open, func(x, y policy.Unsettled) int { return y.Before.Compare(x.Before) })
		var some []string
		for _, u := range open[:min(3, len(open))] {
			some = append(some, u.ID+" before "+u.Before.Format(time.RFC3339))
		}
		more := ""
		if n := len(open) - len(some); n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		note(open[0].Before, "what some objects were is not known: %s%s; what rests on them is not judged", strings.Join(some, ", "), more)
	}
	if at, ok := h.LostBefore(); ok {
		note(at, "interfaces were there of which nothing is known but their end: before %s any group may have had more members", at.Format(time.RFC3339))
	}
	slices.SortFunc(s.Missing, func(x, y policy.Missing) int {
		return cmp.Or(strings.Compare(x.What, y.What), strings.Compare(x.Effect, y.Effect))
	})
}
