package analyzer

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// strangers names, for network ACL lines, an interface that the snapshot does not have
// and whose accepted packets the line may have passed. Interfaces of other accounts and
// those deleted since share a subnet's ACL with the ones that are known, and the log
// shows what they needed. Which subnet one was in its own address tells.
//
// It costs nothing if all interfaces are known, else a look at each line of the ACL for each
// row of the others.
func strangers(res *engine.Result) map[policy.Ref]string {
	s := res.Snapshot
	names := res.Store.Interfaces()
	unknown := make([]bool, len(names))
	for i, id := range names {
		_, ok := s.Interface(id)
		unknown[i] = !ok
	}
	if len(s.ACLs) == 0 || !slices.Contains(unknown, true) {
		return nil
	}
	mine := make(map[netip.Addr]bool)
	for i := range s.Interfaces {
		for _, a := range s.Interfaces[i].Addresses {
			mine[a] = true
		}
	}
	out := make(map[policy.Ref]string)
	pass := func(c *policy.Conn, name string) {
		if mine[c.Local] {
			return
		}
		for i := range s.ACLs {
			acl := &s.ACLs[i]
			if !slices.ContainsFunc(acl.Subnets, func(id string) bool {
				sub, ok := s.Subnet(id)
				return ok && holds(sub.Blocks, c.Local) && !holds(sub.Blocks, c.Remote)
			}) {
				continue
			}
			for k := range acl.Rules {
				r := &acl.Rules[k]
				if r.Direction == c.Direction && r.Matches(c) != policy.No && out[r.Ref] == "" {
					out[r.Ref] = name
				}
			}
		}
	}
	for r := range rowsOf(res.Store, unknown) {
		if r.Action != flow.Accept {
			continue
		}
		c := policy.Conn{Direction: r.Side, Proto: r.Proto, Local: r.Local.Netip(), Remote: r.Remote.Netip(),
			LocalPort: r.LocalPort, RemotePort: r.RemotePort, ICMP: policy.AnyICMP}
		if r.Side != flow.DirectionUnknown {
			pass(&c, names[r.Interface])
			continue
		}
		// Such a row holds its source as local: sent by this interface, or received.
		c.Direction = flow.Egress
		pass(&c, names[r.Interface])
		c.Direction = flow.Ingress
		c.Local, c.Remote, c.LocalPort, c.RemotePort = c.Remote, c.Local, c.RemotePort, c.LocalPort
		pass(&c, names[r.Interface])
	}
	return out
}

// rowsOf ranges over the rows of the interfaces that are wanted. Each is overwritten by the next.
func rowsOf(c *store.Connections, wanted []bool) iter.Seq[*store.Row] {
	return func(yield func(*store.Row) bool) {
		starts := c.Spans()
		var r store.Row
		for code := range len(starts) - 1 {
			for i := starts[code]; wanted[code] && i < starts[code+1]; i++ {
				if c.Row(i, &r); !yield(&r) {
					return
				}
			}
		}
	}
}

func holds(blocks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(a) })
}
