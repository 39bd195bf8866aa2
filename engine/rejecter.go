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

// rejecter says what rejected row r under the readings in w.readings. Where readings, or
// the paths that may have been in force, differ, it is either layer.
func (w *worker) rejecter(i int32, r *store.Row) layer {
	var out layer
	first := true
	note := func(l layer) {
		switch {
		case first:
			out, first = l, false
		case out == l:
		case out == byUnknown || l == byUnknown:
			out = byUnknown
		default:
			out = byEither
		}
	}
	for n := range w.readings {
		x := &w.readings[n]
		if !w.e.cut(i) {
			note(w.rejecterOf(w.e.paths.of(i), i, r, x))
			continue
		}
		for era := r.EraLo; era <= r.EraHi; era++ {
			for _, t := range w.tables(i, era) {
				note(w.rejecterOf(t, i, r, x))
			}
		}
	}
	return out
}

// rejecterOf says what rejected r under one reading and the paths t.
func (w *worker) rejecterOf(t *[2]compiled, i int32, r *store.Row, x *orient.Reading) layer {
	var groups, acl policy.Verdict
	if x.IsReply() { // groups pass the answers of what they let in
		groups, acl = policy.Allowed, w.packet(t, r.Proto, x).all
	} else {
		request := w.request(t, r.Proto, x)
		groups, acl = request.stateful, request.stateless
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
