package orient

import (
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// idle is for how many seconds a connection without TCP may be silent: the longest that
// any platform is known to keep one in mind.
const idle = 910

// even reports whether nothing but time tells the connections of row r apart: the two
// ends of its protocol look the same, or have the same port. Either may open one, now
// this, now that. TCP is left out: its connections may be silent for days, and flags tell
// who opened them.
func even(r *store.Row) bool {
	return r.Proto != flow.TCP && (!r.Proto.HasPorts() || r.Client == store.NoClient && r.LocalPort == r.RemotePort)
}

// even is the same of a conversation.
func (t *talk) even(proto flow.Proto) bool {
	return proto != flow.TCP && (!proto.HasPorts() || t.equalPorts())
}

// times is the time over which something was seen, in Unix seconds.
type times struct{ first, last int64 }

func (a times) join(b times) times { return times{min(a.first, b.first), max(a.last, b.last)} }

// near reports whether a and b may be of one connection.
func (a times) near(b times) bool { return a.first <= b.last+idle && b.first <= a.last+idle }

// stretch is rows of one conversation of the same direction and action, or several such
// whose times come near.
type stretch struct {
	times
	rows []int
}

// stretches cuts the rows of an even conversation where it was silent for too long to be
// one connection. What differs in the era alone counts as one: when rules changed must
// not change who opened what.
func (d *decider) stretches(g *hosts, rows []int) []stretch {
	var of [3][4]*stretch
	var all []stretch
	for _, i := range rows {
		h := g.head(i)
		first, last := d.c.Times(i)
		s := &of[h.side][h.action&3]
		if *s == nil {
			*s = &stretch{times: times{first, last}}
		}
		(*s).times = (*s).join(times{first, last})
		(*s).rows = append((*s).rows, i)
	}
	for _, side := range of {
		for _, s := range side {
			if s != nil {
				all = append(all, *s)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b stretch) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && out[n-1].near(s.times) {
			out[n-1].times = out[n-1].join(s.times)
			out[n-1].rows = append(out[n-1].rows, s.rows...)
			continue
		}
		out = append(out, s)
	}
	for i := range out {
		slices.Sort(out[i].rows)
	}
	return out
}

// cut returns the conversations of g with every even conversation cut into its stretches, each of which is
// marked as apart. It leaves them as they are if there is none.
func (d *decider) cut(g *hosts) []talk {
	proto, talks := g.at.proto, g.talks
	if !slices.ContainsFunc(talks, func(t talk) bool { return len(t.rows) > 1 && t.even(proto) }) {
		for i := range talks {
			talks[i].apart = talks[i].even(proto)
		}
		return talks
	}
	out := make([]talk, 0, len(talks)+1)
	for i := range talks {
		t := talks[i]
		t.apart = t.even(proto)
		if !t.apart || len(t.rows) == 1 {
			out = append(out, t)
			continue
		}
		for _, s := range d.stretches(g, t.rows) {
			part := t
			part.rows, part.accept, part.reject = s.rows, [3]bool{}, [3]bool{}
			for _, row := range s.rows {
				part.notice(g.head(row))
			}
			out = append(out, part)
		}
	}
	return out
}
