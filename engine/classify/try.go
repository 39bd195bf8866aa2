package classify

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// trials are the boxes of a stage that keys are tried with.
type trials struct {
	boxes []tried
	// Each box is in one list: of those of one protocol with one local port, or one remote
	// port, see listOf, or of all others. A list is the first box in it, plus one.
	byLocal, byRemote [portLists]int32
	others            int32
	remotes           []range4
	spare             []netip.Prefix // exempt remote addresses
}

// portLists is how many lists there are for ports; it is a power of two.
const portLists = 1 << 6

// listOf spreads the services that rules name.
func listOf(p flow.Proto, port uint16) uint16 { return (port ^ uint16(p)) * 40503 >> 10 }

// tried is a box that keys are tried with.
type tried struct {
	protos        policy.ProtoSet
	local, remote netset.PortRange
	match         *policy.Match
	// plain: of keys with IPv4 addresses it holds those whose remote one is in
	// remotes[from:to], and all else that it says is about ports and protocols.
	plain    bool
	from, to int32
	next     int32 // in its list, plus one
}

type range4 struct{ first, last uint32 }

// Try returns a table of path that decides as that of [Compile] does. It tries the boxes
// that may hold the ports of a key one after the other, which takes longer for each key, and
// next to no time before the first: where a path has few keys, that is less. path is kept,
// and must not change.
func Try(path []policy.Stage, index func(policy.Ref) (int32, bool)) *Table {
	return build(path, index, func(s *stage, p *policy.Stage, boxes []box) {
		s.exempt = -1
		s.words = (len(boxes) + 63) / 64
		s.trials = newTrials(boxes, p.Exempt)
	})
}

func newTrials(boxes []box, spare []netip.Prefix) *trials {
	t := &trials{boxes: make([]tried, len(boxes)), remotes: make([]range4, 0, len(boxes)), spare: spare}
	for i := range boxes {
		m := boxes[i].match
		b := &t.boxes[i]
		*b = tried{protos: m.Protos, local: m.LocalPorts, remote: m.RemotePorts, match: m, plain: plain(m), from: int32(len(t.remotes))}
		for _, p := range m.Remote.Prefixes {
			if p.IsValid() && p.Addr().Is4() {
				a, rest := p.Addr().As4(), uint32(1<<(32-p.Bits())-1)
				first := binary.BigEndian.Uint32(a[:]) &^ rest
				t.remotes = append(t.remotes, range4{first, first | rest})
			}
		}
		b.to = int32(len(t.remotes))
		list := &t.others
		if p, one := m.Protos.Single(); one && p.HasPorts() {
			switch {
			case m.LocalPorts.First == m.LocalPorts.Last:
				list = &t.byLocal[listOf(p, m.LocalPorts.First)]
			case m.RemotePorts.First == m.RemotePorts.Last:
				list = &t.byRemote[listOf(p, m.RemotePorts.First)]
			}
		}
		b.next, *list = *list, int32(i)+1
	}
	return t
}

// plain reports whether m restricts of addresses only the remote one, to prefixes.
func plain(m *policy.Match) bool {
	all4 := func(p netip.Prefix) bool { return p.Bits() == 0 && p.Addr().Is4() }
	return m.ICMP == policy.AnyICMP && !m.Remote.Unknown && len(m.Remote.Refs) == 0 && slices.ContainsFunc(m.Local.Prefixes, all4)
}

// try sets what at says of k, and reports whether it said the same before.
func (s *stage) try(k *Key, at *near) (same bool) {
	t := s.trials
	at.was.sure, at.sure = at.sure, zeroed(at.was.sure, s.words)
	at.was.maybe, at.maybe = at.maybe, zeroed(at.was.maybe, s.words)
	was := at.exempt
	at.exempt = false
	if len(t.spare) > 0 {
		remote := k.Remote.Netip()
		at.exempt = slices.ContainsFunc(t.spare, func(p netip.Prefix) bool { return p.Contains(remote) })
	}
	t.tryList(t.others, k, at)
	if k.Proto.HasPorts() {
		t.tryList(t.byLocal[listOf(k.Proto, k.LocalPort)], k, at)
		t.tryList(t.byRemote[listOf(k.Proto, k.RemotePort)], k, at)
	}
	return was == at.exempt && slices.Equal(at.sure, at.was.sure) && slices.Equal(at.maybe, at.was.maybe)
}

// tryList tries the boxes of one list.
func (t *trials) tryList(list int32, k *Key, at *near) {
	ports, v4 := k.Proto.HasPorts(), k.Local.Is4() && k.Remote.Is4()
	for list > 0 {
		i := list - 1
		b := &t.boxes[i]
		list = b.next
		if b.protos[k.Proto>>6]>>(k.Proto&63)&1 == 0 || ports && (!b.local.Contains(k.LocalPort) || !b.remote.Contains(k.RemotePort)) {
			continue
		}
		holds := policy.No
		if b.plain && v4 {
			a := k.Remote.V4()
			for _, r := range t.remotes[b.from:b.to] {
				if r.first <= a && a <= r.last {
					holds = policy.Yes
					break
				}
			}
		} else {
			holds = b.match.Matches(&policy.Conn{Proto: k.Proto, Local: k.Local.Netip(), Remote: k.Remote.Netip(),
				LocalPort: k.LocalPort, RemotePort: k.RemotePort, ICMP: policy.AnyICMP})
		}
		bit := uint64(1) << (i & 63)
		switch holds {
		case policy.Yes:
			at.sure[i>>6] |= bit
			at.maybe[i>>6] |= bit
		case policy.Perhaps:
			at.maybe[i>>6] |= bit
		}
	}
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
