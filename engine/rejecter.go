package engine

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// layer is what must have rejected a packet.
type layer uint8

const (
	byGroups layer = iota
	byACL
	byEither
	byUnknown
)

func (l *RejectLayers) count(by layer, records uint64) {
	switch by {
	case byGroups:
		l.Groups = sum(l.Groups, records)
	case byACL:
		l.ACL = sum(l.ACL, records)
	case byEither:
		l.Either = sum(l.Either, records)
	default:
		l.Unknown = sum(l.Unknown, records)
	}
}

func (l *RejectLayers) add(o *RejectLayers) {
	l.Groups, l.ACL = sum(l.Groups, o.Groups), sum(l.ACL, o.ACL)
	l.Either, l.Unknown = sum(l.Either, o.Either), sum(l.Unknown, o.Unknown)
}

// layers is what rejected a packet if it is not known which of several did.
type layers struct {
	layer
	some bool
}

func (l *layers) note(one layer) {
	switch {
	case !l.some:
		l.layer, l.some = one, true
	case l.layer == one:
	case l.layer == byUnknown || one == byUnknown:
		l.layer = byUnknown
	default:
		l.layer = byEither
	}
}

// rejecter says what rejected row r under the readings in w.readings. Where readings, or
// the paths that may have been in force, differ, it is either layer.
func (w *worker) rejecter(i int32, r *store.Row) layer {
	var out layers
	for n := range w.readings {
		x := &w.readings[n]
		if !w.e.cut(i) {
			t := w.e.paths.of(i)
			out.note(w.rejecterOf(t, w.ruleOf(t, r.Proto, x), i, x))
			continue
		}
		for era := r.EraLo; era <= r.EraHi; era++ {
			for _, t := range w.tables(i, era) {
				out.note(w.rejecterOf(t, w.ruleOf(t, r.Proto, x), i, x))
			}
		}
	}
	return out.layer
}

// rejecterOf says what rejected a row under one reading, of which the paths t say j.
func (w *worker) rejecterOf(t *[2]compiled, j ruling, i int32, x *orient.Reading) layer {
	groups, acl := j.request.stateful, j.request.stateless
	if j.packet != nil { // groups pass the answers of what they let in
		groups, acl = policy.Allowed, j.packet.all
	}
	if !slices.Contains(t[side(x.Packet)].stateful, false) && !w.e.unfiltered(i, x) {
		acl = policy.Unknown
	}
	switch {
	case acl == policy.Allowed && groups != policy.Allowed:
		return byGroups
	case groups == policy.Allowed && acl == policy.Denied:
		return byACL
	case groups == policy.Denied, acl == policy.Denied:
		return byEither
	}
	return byUnknown
}

// unfiltered reports whether no network ACL filters the packets of x at interface i,
// known or not: they stay in its subnet, or it is exempt.
func (e *replayer) unfiltered(i int32, x *orient.Reading) bool {
	f := &e.snap.Interfaces[i]
	if e.snap.NoACLFor(f) {
		return true
	}
	remote := x.Remote.Netip()
	if sub, ok := e.snap.Subnet(f.Subnet); ok {
		for _, b := range sub.Blocks {
			if b.Contains(remote) {
				return true
			}
		}
	}
	p := e.snap.PlatformOf(f)
	for _, b := range slices.Concat(p.Exempt, p.ACLExempt) {
		if b.Contains(remote) {
			return true
		}
	}
	return false
}
