package engine

import (
	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// admission remembers what the paths of an interface admit, by all that they tell apart. Many
// hosts ask for one service, so most rows are as one before.
type admission struct {
	code    uint32 // of the interface, plus 1
	paths   *[2]compiled
	quick   bool // the paths tell what they tell apart
	remotes classify.Remotes
	near    int
	remote  flow.Addr // the last one
	class   int32     // its class
	known   *[admissions]admitted
}

const (
	admissionBits = 12
	admissions    = 1 << admissionBits
)

// admitted is what is known of rows with the same key.
type admitted struct {
	key    admissionKey
	bySide [3]opened // of the row's packets
}

// opened says in which direction a connection may have been opened.
type opened struct{ known, ingress, egress bool }

// admissionKey is what decides about a row of two IPv4 addresses.
type admissionKey struct {
	ends uint64 // class of the remote address, ports
	own  uint64 // local address, protocol
	code uint32
}

func (k *admissionKey) hash() uint64 {
	return (k.ends*0x9e3779b97f4a7c15 ^ k.own*0xc2b2ae3d27d4eb4f) * 0x9e3779b97f4a7c15 >> (64 - admissionBits)
}

// enter goes on to the interface with that code, whose index is i.
func (a *admission) enter(p *paths, code uint32, i int32) {
	if a.known == nil {
		a.known = new([admissions]admitted)
	}
	a.code, a.paths, a.remote = code+1, p.of(i), flow.Addr{}
	a.quick = a.remotes.Of(a.paths[0].table, a.paths[1].table)
}

// possible reports whether the policy admits an accepted row if its connection was
// opened in direction ingress, and if it was in direction egress.
func (e *replayer) possible(worker int, r *store.Row) (ingress, egress bool) {
	i := e.known[r.Interface]
	if i < 0 || e.snap.Interfaces[i].Transit {
		return true, true
	}
	w := e.workers[worker]
	if r.Side == flow.DirectionUnknown || e.cut(i) {
		return w.possible(i, r, flow.Ingress), w.possible(i, r, flow.Egress)
	}
	a := &w.admission
	if a.code != r.Interface+1 {
		a.enter(e.paths, r.Interface, i)
	}
	if !a.quick || !r.Local.Is4() || !r.Remote.Is4() {
		return w.admits(a.paths, r, flow.Ingress), w.admits(a.paths, r, flow.Egress)
	}
	if r.Remote != a.remote {
		a.remote, a.class = r.Remote, a.remotes.Class(r.Remote.V4(), &a.near)
	}
	key := admissionKey{
		ends: uint64(a.class)<<32 | uint64(r.LocalPort)<<16 | uint64(r.RemotePort),
		own:  uint64(r.Local.V4())<<8 | uint64(r.Proto),
		code: a.code,
	}
	x := &a.known[key.hash()]
	if x.key != key {
		*x = admitted{key: key}
	}
	o := &x.bySide[r.Side]
	if !o.known {
		*o = opened{true, w.admits(a.paths, r, flow.Ingress), w.admits(a.paths, r, flow.Egress)}
	}
	return o.ingress, o.egress
}

// admits reports whether the paths t admit r if it was opened in direction opener.
func (w *worker) admits(t *[2]compiled, r *store.Row, opener flow.Direction) bool {
	x := orient.Read(r, r.Side, opener)
	return w.ruleOf(t, r.Proto, &x).verdict() != policy.Denied
}

// possible reports whether any reading of r as opened in direction opener may have been
// admitted at interface i.
func (w *worker) possible(i int32, r *store.Row, opener flow.Direction) bool {
	w.readings = orient.Readings(w.readings[:0], r, orient.Opinion{Opener: opener, Method: orient.ByRules})
	for j := range w.readings {
		if !w.e.cut(i) {
			if w.ruleOf(w.e.paths.of(i), r.Proto, &w.readings[j]).verdict() != policy.Denied {
				return true
			}
			continue
		}
		// It may have been opened under earlier rules.
		for era := int(r.EraHi); era >= w.e.eldest[i]; era-- {
			for _, t := range w.tables(i, uint32(era)) {
				if w.ruleOf(t, r.Proto, &w.readings[j]).verdict() != policy.Denied {
					return true
				}
			}
		}
	}
	return false
}
