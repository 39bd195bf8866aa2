package classify

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// tried is a box that every key is tried with.
type tried struct {
	protos        policy.ProtoSet
	local, remote netset.PortRange
	match         *policy.Match
}

// Try returns a table of path that decides as that of [Compile] does. It tries the boxes
// one after the other, which takes much longer for each key, and next to no time before
// the first: where a path has few keys, that is less. path is kept, and must not change.
func Try(path []policy.Stage, index func(policy.Ref) (int32, bool)) *Table {
	return build(path, index, func(s *stage, p *policy.Stage, boxes []box) {
		s.exempt, s.spare = -1, p.Exempt
		s.words = (len(boxes) + 63) / 64
		s.tried = make([]tried, len(boxes))
		for i := range boxes {
			m := boxes[i].match
			s.tried[i] = tried{m.Protos, m.LocalPorts, m.RemotePorts, m}
		}
	})
}

// try sets what at says of k, and reports whether it said the same before.
func (s *stage) try(k *Key, at *near) (same bool) {
	c := policy.Conn{Proto: k.Proto, Local: k.Local.Netip(), Remote: k.Remote.Netip(), LocalPort: k.LocalPort, RemotePort: k.RemotePort, ICMP: policy.AnyICMP}
	was := at.exempt
	at.exempt = slices.ContainsFunc(s.spare, func(p netip.Prefix) bool { return p.Contains(c.Remote) })
	at.was.sure, at.sure = at.sure, zeroed(at.was.sure, s.words)
	at.was.maybe, at.maybe = at.maybe, zeroed(at.was.maybe, s.words)
	ports := k.Proto.HasPorts()
	for i := range s.tried {
		t := &s.tried[i]
		if !t.protos.Has(k.Proto) || ports && (!t.local.Contains(k.LocalPort) || !t.remote.Contains(k.RemotePort)) {
			continue
		}
		switch t.match.Matches(&c) {
		case policy.Yes:
			at.sure[i>>6] |= 1 << (i & 63)
			at.maybe[i>>6] |= 1 << (i & 63)
		case policy.Perhaps:
			at.maybe[i>>6] |= 1 << (i & 63)
		}
	}
	return was == at.exempt && slices.Equal(at.sure, at.was.sure) && slices.Equal(at.maybe, at.was.maybe)
}

// decideTried fills out for keys of which at says what try did. scratch has room for two
// rows.
func (s *stage) decideTried(at *near, scratch []uint64, out *StageOutcome) {
	if at.exempt {
		out.skip()
		return
	}
	sure, maybe := scratch[:s.words], scratch[s.words:2*s.words]
	copy(sure, at.sure)
	copy(maybe, at.maybe)
	if slices.Equal(sure, maybe) {
		maybe = nil
	}
	if s.hasNext {
		s.dropPassedOn(sure, maybe)
	}
	s.speak(sure, maybe, out)
}

// skip says that a stage does not apply.
func (o *StageOutcome) skip() {
	o.Skipped, o.Verdict, o.Action, o.Next = true, policy.Allowed, policy.Allow, policy.Allow
}
