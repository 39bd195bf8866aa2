package orient

import "github.com/sgadvise/sgadvise/ingest/flow"

// endpoint is one end of connections at one interface.
type endpoint struct {
	addr  flow.Addr
	port  uint16
	proto flow.Proto
}

// fan is what meets at an endpoint: distinct endpoints, and the hosts they are on. Of
// those that are rolled up it is what is certain.
type fan struct {
	ends, hosts int
	last        far  // the host counted last
	more        bool // hosts are rolled up: there may be any number more
}

// add counts n ends of host. Those of one host follow one another.
func (f *fan) add(host *far, n int) {
	switch {
	case f.hosts > 0 && f.last == *host:
		f.ends += n
	case f.hosts == 0 || !f.last.holds(host.remote) && !host.holds(f.last.remote): // those of prefixes may be the same
		f.ends, f.hosts, f.last = f.ends+n, f.hosts+1, *host
	}
	f.more = f.more || host.folded()
}

// fans is what meets at the local endpoints of an interface, over accepted rows. Folded ports
// are counted by their bits: never too many.
type fans struct {
	at map[endpoint]fan // without those at which one end meets, unless anything is rolled up
	// Where anything is rolled up:
	used  map[endpoint]bool       // remote ports, as endpoints without address
	local map[endpoint]*localEnds // by local address and protocol
}

// counter counts what becomes the fans of one interface after another.
type counter struct {
	index map[endpoint]int32
	keys  []endpoint
	fans  []fan
	out   *fans
}

// begin begins the fans of another interface.
func (c *counter) begin(rolled bool) {
	if c.index == nil {
		c.index = make(map[endpoint]int32)
	}
	clear(c.index)
	c.keys, c.fans, c.out = c.keys[:0], c.fans[:0], new(fans)
	if rolled {
		c.out.used, c.out.local = make(map[endpoint]bool), make(map[endpoint]*localEnds)
	}
}

// note counts g.
func (c *counter) note(g *hosts) {
	if !g.at.proto.HasPorts() {
		return
	}
	for i := range g.talks {
		t := &g.talks[i]
		if t.accept == [3]bool{} {
			continue
		}
		if p, ok := t.localPort(); ok {
			c.at(endpoint{t.local, p, g.at.proto}).add(&g.at, t.surely(&g.at))
		}
		if c.out.local != nil {
			if p, ok := t.remotePort(); ok {
				c.out.used[endpoint{port: p, proto: g.at.proto}] = true
			}
			c.noteLocal(&g.at, t)
		}
	}
}

// at returns the fan of e, which the next call may move.
func (c *counter) at(e endpoint) *fan {
	i, ok := c.index[e]
	if !ok {
		i = int32(len(c.fans))
		c.index[e] = i
		c.keys, c.fans = append(c.keys, e), append(c.fans, fan{})
	}
	return &c.fans[i]
}

// end returns the fans.
func (c *counter) end() *fans {
	c.out.at = make(map[endpoint]fan)
	for i, f := range c.fans {
		if f.ends > 1 || c.out.local != nil {
			c.out.at[c.keys[i]] = f
		}
	}
	return c.out
}

// look returns what local endpoint e looks like; exact says that its port is known.
func (e *fans) look(at endpoint, exact bool) looks {
	out := plain(at.proto, at.port, exact)
	if exact && !isSource(at.port) {
		if f := e.at[at]; f.ends > 0 {
			out.ends, out.hosts = f.ends, f.hosts
		}
	}
	return out
}

// count counts what meets at the ports of the far end.
func (g *hosts) count() {
	g.ends = nil
	if len(g.talks) == 1 {
		return // see meet
	}
	g.ends = make(map[uint16]fan)
	for i := range g.talks {
		t := &g.talks[i]
		if p, ok := t.remotePort(); ok && t.accept != [3]bool{} {
			f := g.ends[p]
			f.add(&far{remote: t.local}, t.surely(&g.at))
			g.ends[p] = f
		}
	}
}

// meet returns what meets at the remote port of t, one of the conversations of g, where
// something was accepted and the port is exact.
func (g *hosts) meet(t *talk, port uint16) (ends, hosts int) {
	if g.ends == nil {
		return t.surely(&g.at), 1
	}
	f := g.ends[port]
	return f.ends, f.hosts
}

// lookFar returns what the remote end of t looks like.
func (g *hosts) lookFar(t *talk) looks {
	port, exact := t.remotePort()
	out := plain(g.at.proto, port, exact)
	if exact && !isSource(port) {
		if ends, hosts := g.meet(t, port); ends > 0 {
			out.ends, out.hosts = ends, hosts
		}
	}
	return out
}

// plain returns what an end with this port looks like if nothing else is known of it; exact
// says that the port is known.
func plain(proto flow.Proto, port uint16, exact bool) looks {
	return looks{1, 1, exact && isService(proto, port), port >= ephemeral}
}
