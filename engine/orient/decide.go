package orient

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Env is what the ladder asks of the policy. Its functions are called concurrently,
// with worker telling the callers apart.
type Env struct {
	// Possible reports whether the policy admits row r, accepted as it was, if its
	// connection was opened in direction opener. It must answer true where it cannot
	// tell. Rows of interfaces the policy does not have, or that carry the traffic
	// of others, are always possible.
	Possible func(worker int, r *store.Row, opener flow.Direction) bool
	// Peer returns the interface code that owns address a in the same network as
	// interface code i, if its log is in the store.
	Peer    func(i uint32, a flow.Addr) (uint32, bool)
	Workers int
}

// Decide returns an opinion for every row of c, in order. The result does not depend
// on the number of workers.
func Decide(c *store.Connections, env Env) []Opinion {
	d := &decider{c: c, env: env, ops: make([]Opinion, c.Len()), ranges: ranges(c)}
	d.parallel(d.local)
	d.peers()
	d.parallel(d.inferred)
	return d.ops
}

// span is a half-open range of rows.
type span struct{ lo, hi int }

// ranges returns the rows of each interface.
func ranges(c *store.Connections) map[uint32]span {
	out := make(map[uint32]span)
	var r store.Row
	lo, code := 0, uint32(0)
	for i := range c.Len() {
		c.Row(i, &r)
		if i == lo {
			code = r.Interface
		} else if r.Interface != code {
			out[code] = span{lo, i}
			lo, code = i, r.Interface
		}
	}
	if c.Len() > lo {
		out[code] = span{lo, c.Len()}
	}
	return out
}

type decider struct {
	c      *store.Connections
	env    Env
	ops    []Opinion
	ranges map[uint32]span
}

// parallel runs f for the rows of every interface.
func (d *decider) parallel(f func(worker int, s span)) {
	var spans []span
	for _, s := range d.ranges {
		spans = append(spans, s)
	}
	// The largest first, so that no worker is left alone with one at the end.
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(b.hi-b.lo, a.hi-a.lo), cmp.Compare(a.lo, b.lo))
	})
	next := make(chan span, len(spans))
	for _, s := range spans {
		next <- s
	}
	close(next)
	var wg sync.WaitGroup
	for w := range max(1, d.env.Workers) {
		wg.Go(func() {
			for s := range next {
				f(w, s)
			}
		})
	}
	wg.Wait()
}

// talk is all rows of one interface, protocol and pair of hosts that share their
// exact ports: one conversation, whatever the port class of its client.
type talk struct {
	local        flow.Addr
	client       store.ClientSide
	lport, rport uint16 // the folded one is 0
	lo, hi       uint16 // of the folded port
	bits         uint64
	accept       [3]bool // by packet direction
	reject       [3]bool
	rows         []int
}

// hosts calls f with the conversations between each pair of hosts in s. The slice and
// what it holds are reused.
func (d *decider) hosts(s span, f func(proto flow.Proto, remote flow.Addr, talks []talk)) {
	var r store.Row
	var talks []talk
	for lo := s.lo; lo < s.hi; {
		d.c.Row(lo, &r)
		proto, remote := r.Proto, r.Remote
		for i := range talks {
			talks[i].rows = talks[i].rows[:0]
		}
		n := 0
		var index map[talkKey]int
		hi := lo
		for ; hi < s.hi; hi++ {
			d.c.Row(hi, &r)
			if r.Proto != proto || r.Remote != remote {
				break
			}
			k := keyOf(&r)
			at := -1
			if index == nil {
				for i := range talks[:n] {
					if talks[i].key() == k {
						at = i
						break
					}
				}
				if at < 0 && n >= 16 {
					index = make(map[talkKey]int)
					for i := range talks[:n] {
						index[talks[i].key()] = i
					}
				}
			} else if i, ok := index[k]; ok {
				at = i
			}
			if at < 0 {
				at = n
				n++
				if len(talks) < n {
					talks = append(talks, talk{})
				}
				talks[at] = talk{local: k.local, client: k.client, lport: k.lport, rport: k.rport,
					lo: r.PortLo, hi: r.PortHi, rows: talks[at].rows[:0]}
				if index != nil {
					index[k] = at
				}
			}
			talks[at].add(hi, &r)
		}
		f(proto, remote, talks[:n])
		lo = hi
	}
}

type talkKey struct {
	local        flow.Addr
	client       store.ClientSide
	lport, rport uint16
}

func keyOf(r *store.Row) talkKey {
	k := talkKey{r.Local, r.Client, r.LocalPort, r.RemotePort}
	switch r.Client {
	case store.LocalClient:
		k.lport = 0
	case store.RemoteClient:
		k.rport = 0
	}
	return k
}

func (t *talk) key() talkKey { return talkKey{t.local, t.client, t.lport, t.rport} }

func (t *talk) add(i int, r *store.Row) {
	t.rows = append(t.rows, i)
	t.lo, t.hi, t.bits = min(t.lo, r.PortLo), max(t.hi, r.PortHi), t.bits|r.PortBits
	switch r.Action {
	case flow.Accept:
		t.accept[r.Side] = true
	case flow.Reject:
		t.reject[r.Side] = true
	}
}

// localPort returns the local port if it is exact: never folded, or only one was seen.
func (t *talk) localPort() (uint16, bool) {
	if t.client == store.LocalClient {
		return t.lo, t.lo == t.hi
	}
	return t.lport, true
}

func (t *talk) remotePort() (uint16, bool) {
	if t.client == store.RemoteClient {
		return t.lo, t.lo == t.hi
	}
	return t.rport, true
}

// clientBits returns the client ports of t, as those of a row.
func (t *talk) clientBits(opener flow.Direction) uint64 {
	return clientBits(&store.Row{Client: t.client, LocalPort: t.lport, RemotePort: t.rport, PortBits: t.bits}, opener)
}

// services are the service ports of decided connections between two hosts.
type services struct{ in, out map[uint16]service }

// service is how a service is known, and by which client ports.
type service struct {
	method  Method // the strongest
	weak    bool   // none of the opinions behind it rules the other reading out
	clients uint64 // as Row.PortBits
}

// clientBits returns the client ports of r in the form of Row.PortBits, if its
// connections were opened in direction opener.
func clientBits(r *store.Row, opener flow.Direction) uint64 {
	switch {
	case opener == flow.Ingress && r.Client == store.RemoteClient, opener == flow.Egress && r.Client == store.LocalClient:
		return r.PortBits
	case opener == flow.Ingress:
		return 1 << (r.RemotePort & 63)
	}
	return 1 << (r.LocalPort & 63)
}

// note adds what o says of the row r of t.
func (s *services) note(o Opinion, t *talk, r *store.Row) {
	var m *map[uint16]service
	var port uint16
	var ok bool
	if o.Opener == flow.Ingress {
		m = &s.in
		port, ok = t.localPort()
	} else {
		m = &s.out
		port, ok = t.remotePort()
	}
	if !ok {
		return
	}
	if *m == nil {
		*m = make(map[uint16]service)
	}
	k, known := (*m)[port]
	if !known || o.Method < k.method {
		k.method = o.Method
	}
	k.weak = o.Weak && (k.weak || !known)
	k.clients |= clientBits(r, o.Opener)
	(*m)[port] = k
}

// opener returns what decided connections of the same hosts say of t.
func (s *services) opener(t *talk) (flow.Direction, service) {
	var in, out service
	if p, ok := t.localPort(); ok {
		in = s.in[p]
	}
	if p, ok := t.remotePort(); ok {
		out = s.out[p]
	}
	switch {
	case in.method != ByNothing && out.method == ByNothing:
		return flow.Ingress, in
	case out.method != ByNothing && in.method == ByNothing:
		return flow.Egress, out
	}
	return flow.DirectionUnknown, service{}
}

// local is the part of the ladder that one interface's own log proves: flags, pairs,
// rules.
func (d *decider) local(worker int, s span) {
	d.hosts(s, func(proto flow.Proto, _ flow.Addr, talks []talk) {
		var r store.Row
		var known services
		open := false
		for t := range talks {
			for _, i := range talks[t].rows {
				d.c.Row(i, &r)
				switch {
				case r.Side == flow.DirectionUnknown:
				case r.Class == flow.Opener:
					d.ops[i] = Opinion{r.Side, ByFlags, false}
				case r.Class == flow.Answer:
					d.ops[i] = Opinion{r.Side.Reverse(), ByFlags, false}
				}
				if d.ops[i].Method == ByFlags {
					known.note(d.ops[i], &talks[t], &r)
				} else {
					open = true
				}
			}
		}
		if !open {
			return
		}
		for t := range talks {
			dir, k := known.opener(&talks[t])
			for _, i := range talks[t].rows {
				if d.ops[i].Method != ByNothing {
					continue
				}
				d.c.Row(i, &r)
				if r.Side == flow.DirectionUnknown {
					continue
				}
				// Flags prove the connection they were seen on, and no other of that service:
				// peers may have opened one to each other, each from the port it serves.
				if k.method != ByNothing && talks[t].clientBits(dir)&^k.clients == 0 {
					d.ops[i] = Opinion{dir, ByPair, false}
					continue
				}
				if r.Action != flow.Accept {
					continue
				}
				in, out := d.env.Possible(worker, &r, flow.Ingress), d.env.Possible(worker, &r, flow.Egress)
				switch {
				case in && !out:
					d.ops[i] = Opinion{flow.Ingress, ByRules, false}
				case out && !in:
					d.ops[i] = Opinion{flow.Egress, ByRules, false}
				}
			}
		}
	})
}

// peers asks the far end's own log. It reads only what local proved, so the order of
// interfaces does not matter.
func (d *decider) peers() {
	if d.env.Peer == nil {
		return
	}
	var mu sync.Mutex
	found := make(map[int]Opinion)
	d.parallel(func(_ int, s span) {
		mine := make(map[int]Opinion)
		var r store.Row
		var far farLog
		for i := s.lo; i < s.hi; i++ {
			if d.ops[i].Method.Proven() {
				continue
			}
			d.c.Row(i, &r)
			if r.Side == flow.DirectionUnknown || !r.Proto.HasPorts() {
				continue
			}
			if !far.answersFor(&r) {
				far.read(d, &r)
			}
			if dir := far.opener(&r); dir != flow.DirectionUnknown {
				mine[i] = Opinion{dir, ByPeer, false}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for i, o := range mine {
			found[i] = o
		}
	})
	for i, o := range found {
		d.ops[i] = o
	}
}

// farLog is what the log of the far end proves of the connections between two hosts.
// Rows of one pair of hosts follow one another, so it is read once for each pair.
type farLog struct {
	proto         flow.Proto
	local, remote flow.Addr
	// Client ports by service port of proven connections, as our side sees them: those
	// we opened to the far end's port, and those it opened to ours.
	opened, served map[uint16]uint64
}

func (f *farLog) answersFor(r *store.Row) bool {
	return f.proto == r.Proto && f.local == r.Local && f.remote == r.Remote
}

func (f *farLog) read(d *decider, r *store.Row) {
	f.proto, f.local, f.remote, f.opened, f.served = r.Proto, r.Local, r.Remote, nil, nil
	peer, ok := d.env.Peer(r.Interface, r.Remote)
	if !ok || peer == r.Interface {
		return
	}
	s := d.ranges[peer]
	var x store.Row
	lo := s.lo
	for hi := s.hi; lo < hi; { // first row of (protocol, remote = our address)
		m := int(uint(lo+hi) >> 1)
		d.c.Row(m, &x)
		if cmp.Or(cmp.Compare(x.Proto, r.Proto), x.Remote.Compare(r.Local)) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	for i := lo; i < s.hi; i++ {
		d.c.Row(i, &x)
		if x.Proto != r.Proto || x.Remote != r.Local {
			break
		}
		if x.Local != r.Remote || !d.ops[i].Method.Proven() {
			continue
		}
		switch {
		case d.ops[i].Opener == flow.Ingress && x.Client != store.LocalClient:
			f.opened = with(f.opened, x.LocalPort, clientBits(&x, flow.Ingress))
		case d.ops[i].Opener == flow.Egress && x.Client != store.RemoteClient:
			f.served = with(f.served, x.RemotePort, clientBits(&x, flow.Egress))
		}
	}
}

func with(m map[uint16]uint64, port uint16, clients uint64) map[uint16]uint64 {
	if m == nil {
		m = make(map[uint16]uint64)
	}
	m[port] |= clients
	return m
}

func (f *farLog) opener(r *store.Row) flow.Direction {
	out := r.Client != store.RemoteClient && f.opened[r.RemotePort] != 0 && clientBits(r, flow.Egress)&^f.opened[r.RemotePort] == 0
	in := r.Client != store.LocalClient && f.served[r.LocalPort] != 0 && clientBits(r, flow.Ingress)&^f.served[r.LocalPort] == 0
	switch {
	case in && !out:
		return flow.Ingress
	case out && !in:
		return flow.Egress
	}
	return flow.DirectionUnknown
}

// endpoint is one end of connections at one interface.
type endpoint struct {
	addr  flow.Addr
	port  uint16
	proto flow.Proto
}

// inferred is the rest of the ladder: fan-in, ports, one-way traffic, and what
// follows from those for other rows of the same hosts.
func (d *decider) inferred(_ int, s span) {
	if !slices.ContainsFunc(d.ops[s.lo:s.hi], func(o Opinion) bool { return o.Method == ByNothing }) {
		return
	}
	fan := d.fanIn(s)
	d.hosts(s, func(proto flow.Proto, remote flow.Addr, talks []talk) {
		var r store.Row
		var known services
		open := false
		for t := range talks {
			guess := Opinion{}
			if talks[t].accept != [3]bool{} {
				guess = talks[t].guess(proto, remote, fan)
			}
			for _, i := range talks[t].rows {
				d.c.Row(i, &r)
				if d.ops[i].Method == ByNothing && r.Side != flow.DirectionUnknown {
					d.ops[i] = guess
				}
				if d.ops[i].Method != ByNothing {
					known.note(d.ops[i], &talks[t], &r)
				} else {
					open = true
				}
			}
		}
		if !open {
			return
		}
		for t := range talks {
			dir, k := known.opener(&talks[t])
			if k.method.Proven() {
				k.method, k.weak = ByPorts, true // what proves one connection does not prove the next
			}
			for _, i := range talks[t].rows {
				if d.ops[i].Method != ByNothing {
					continue
				}
				d.c.Row(i, &r)
				switch {
				case r.Side == flow.DirectionUnknown:
				case k.method != ByNothing:
					d.ops[i] = Opinion{dir, k.method, k.weak}
				case r.Action == flow.Reject && r.Class == flow.NoFlags && talks[t].accept == [3]bool{}:
					d.ops[i] = Opinion{r.Side, ByRejection, false}
				}
			}
		}
	})
}

// fanIn counts the distinct far endpoints of every endpoint at the interface, over
// accepted rows. Folded ports are counted by their bits: never too many.
func (d *decider) fanIn(s span) map[endpoint]int {
	fan := make(map[endpoint]int)
	d.hosts(s, func(proto flow.Proto, remote flow.Addr, talks []talk) {
		if !proto.HasPorts() {
			return
		}
		for t := range talks {
			if talks[t].accept == [3]bool{} {
				continue
			}
			n := 1
			if talks[t].client != store.NoClient {
				n = bits.OnesCount64(talks[t].bits)
			}
			if p, ok := talks[t].localPort(); ok {
				fan[endpoint{talks[t].local, p, proto}] += n
			}
			if p, ok := talks[t].remotePort(); ok {
				fan[endpoint{remote, p, proto}] += n
			}
		}
	})
	return fan
}

// Weights of the inference, in half points. Measured on synthetic pairs fan-in alone is
// right in 97 %, ports alone in 89 %. A score below strong is enough to say which
// reading is likely, not to rule the other one out: a client's port may be low behind
// address translation and load balancers, and a service's high.
const (
	fanWeight       = 6
	serviceWeight   = 4
	ephemeralWeight = 3
	enough          = 2
	strong          = 6
)

// guess applies fan-in, ports and one-way traffic to a conversation.
func (t *talk) guess(proto flow.Proto, remote flow.Addr, fan map[endpoint]int) Opinion {
	oneWay, rejected := flow.DirectionUnknown, false
	for _, side := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		back := side.Reverse()
		if !t.accept[side] || t.accept[back] || t.accept[flow.DirectionUnknown] {
			continue
		}
		// Answers were rejected, or (UDP, different ports) there is none at all.
		if t.reject[back] || proto == flow.UDP && !t.equalPorts() {
			oneWay, rejected = side, t.reject[back]
		}
	}
	if rejected {
		return Opinion{oneWay, ByOneWay, false}
	}
	if proto.HasPorts() && !t.equalPorts() {
		score, byFan, byService := t.score(proto, remote, fan)
		method := ByPorts
		if byFan {
			method = ByFanIn
		}
		// A client of a connectionless protocol asks many servers from one port: there,
		// fan-in alone tells little.
		weak := max(score, -score) < strong || proto == flow.UDP && !byService
		switch {
		case score >= enough:
			return Opinion{flow.Ingress, method, weak}
		case score <= -enough:
			return Opinion{flow.Egress, method, weak}
		}
	}
	if oneWay != flow.DirectionUnknown {
		return Opinion{oneWay, ByOneWay, true}
	}
	return Opinion{}
}

func (t *talk) equalPorts() bool {
	l, lok := t.localPort()
	r, rok := t.remotePort()
	return lok && rok && l == r
}

// score is positive if the local side looks like the service. byFan and byService say
// whether fan-in and a service's port had a part in it.
func (t *talk) score(proto flow.Proto, remote flow.Addr, fan map[endpoint]int) (score int, byFan, byService bool) {
	l, lok := t.localPort()
	r, rok := t.remotePort()
	fl, fr := 1, 1
	if lok && !isSource(l) {
		fl = max(1, fan[endpoint{t.local, l, proto}])
	}
	if rok && !isSource(r) {
		fr = max(1, fan[endpoint{remote, r, proto}])
	}
	switch {
	case fl >= 3 && fl >= 2*fr:
		score, byFan = fanWeight, true
	case fr >= 3 && fr >= 2*fl:
		score, byFan = -fanWeight, true
	}
	ls, rs := lok && isService(l), rok && isService(r)
	switch {
	case ls && !rs:
		score, byService = score+serviceWeight, true
	case rs && !ls:
		score, byService = score-serviceWeight, true
	}
	le, re := l >= ephemeral, r >= ephemeral // for a folded port: the least one seen
	switch {
	case re && !le:
		score += ephemeralWeight
	case le && !re:
		score -= ephemeralWeight
	}
	return score, byFan, byService
}

// ephemeral is where the client ranges of Linux (32768) and Windows (49152) begin;
// load balancers and NAT gateways use ports from 1024, so a lower port proves nothing.
const ephemeral = 32768

// isService reports whether p is a service's port by convention. Of the ports below
// 1024, those from 512 on are source ports of file and remote-shell clients as often as
// services, so only well-known ones count; 20 is the source of active FTP data.
func isService(p uint16) bool {
	if p < 512 {
		return p != 20
	}
	switch p {
	case 514, 515, 520, 543, 544, 546, 547, 548, 554, 563, 587, 593, 623, 631, 636, 646, 749, 853, 860, 873, 902, 989, 990, 992, 993, 995:
		return true
	}
	return p >= 1024 && store.WellKnown(p)
}

// isSource reports whether p is a port below 1024 that connections are opened from: a
// server of active FTP fans out from one, to as many ports as it sends files.
func isSource(p uint16) bool { return p < 1024 && !isService(p) }
