package plan

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// hosts knows whose addresses peers are.
type hosts struct {
	groups    map[flow.Addr][]string       // groups that hold an address, by the interface that has it
	blocks    map[flow.Addr][]netip.Prefix // address of a managed interface → its subnet's block; the invalid prefix: not known
	appliance map[string]bool              // VPCs with something in them that passes traffic on under its sender's address
	routed    map[string]bool              // those of them where that is a router or firewall, not a network load balancer
	shunned   map[string]bool              // groups that must not be proposed as a peer
	noSelf    map[string]bool              // groups whose rules may not name the group itself
	own       []netset.Addrs               // the private address blocks
	platform  []netip.Prefix               // addresses of providers' services, which come and go in their block
}

func newHosts(s *policy.Snapshot) *hosts {
	h := &hosts{groups: make(map[flow.Addr][]string), blocks: make(map[flow.Addr][]netip.Prefix),
		appliance: make(map[string]bool), routed: make(map[string]bool), shunned: make(map[string]bool), noSelf: make(map[string]bool)}
	for i := range s.Platforms {
		h.platform = append(h.platform, s.Platforms[i].Admitted...)
	}
	for _, b := range cover.DefaultWeights().Blocks {
		h.own = append(h.own, netset.AddrsOf(b))
	}
	vpcOf := make(map[flow.Addr]string)
	var twice []flow.Addr
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		if f.Transit && f.Role != policy.NAT || f.Role == policy.GatewayEndpoint || f.Role == policy.NetworkBalancer {
			h.appliance[f.VPC] = true
			h.routed[f.VPC] = h.routed[f.VPC] || f.Role != policy.NetworkBalancer
		}
		for _, g := range f.Groups {
			h.shunned[g] = h.shunned[g] || f.Transit || f.Role.PassesOn()
			h.noSelf[g] = h.noSelf[g] || s.PlatformOf(f).NoSelfPeer
		}
		for _, a := range f.Addresses {
			at := flow.AddrFrom(a)
			if vpc, seen := vpcOf[at]; seen && vpc != f.VPC {
				twice = append(twice, at) // two networks use the address: whose peer it is is not known
			}
			vpcOf[at] = f.VPC
			h.groups[at] = append(h.groups[at], f.Groups...)
			if f.RequesterManaged {
				h.blocks[at] = append(h.blocks[at], blockOf(s, f, a))
			}
		}
	}
	for _, a := range twice {
		delete(h.groups, a)
	}
	return h
}

func (h *hosts) private(a flow.Addr) bool {
	return slices.ContainsFunc(h.own, func(b netset.Addrs) bool { return b.Contains(a) })
}

// blockOf returns the block of f's subnet that holds a.
func blockOf(s *policy.Snapshot, f *policy.Interface, a netip.Addr) netip.Prefix {
	if sub, ok := s.Subnet(f.Subnet); ok {
		for _, b := range sub.Blocks {
			if b.Contains(a) {
				return b
			}
		}
	}
	return netip.Prefix{}
}

// managed reports whether a belongs to a managed interface: a load balancer, an
// endpoint, a function, whose addresses come and go; or to the platform.
func (w *world) managed(a flow.Addr) bool { return len(w.hosts.within(a)) > 0 }

// within returns the blocks in which the owner of a, if it is managed, has its next
// address; the invalid prefix: not known.
func (h *hosts) within(a flow.Addr) []netip.Prefix {
	out := h.blocks[a]
	for _, p := range h.platform {
		if netset.AddrsOf(p).Contains(a) {
			out = append(slices.Clip(out), p)
		}
	}
	return out
}

// unstable reports whether some peer belongs to a managed interface whose subnet does
// not lie inside old: then nothing inside old is sure to hold its next address.
func (w *world) unstable(old netip.Prefix, points []cover.Point) bool {
	return slices.ContainsFunc(points, func(pt cover.Point) bool {
		return slices.ContainsFunc(w.hosts.within(pt.Addr), func(b netip.Prefix) bool { return !inside(b, old) })
	})
}

// wholeSubnets reports whether boxes hold the whole subnet of every managed peer.
func (w *world) wholeSubnets(boxes []cover.Box, points []cover.Point) bool {
	for _, pt := range points {
		for _, block := range w.hosts.within(pt.Addr) {
			if !slices.ContainsFunc(boxes, func(b cover.Box) bool {
				return b.Services.Covers(pt.Services) && inside(block, b.Prefix)
			}) {
				return false
			}
		}
	}
	return true
}

func inside(p, in netip.Prefix) bool {
	return p.IsValid() && p.Bits() >= in.Bits() && in.Contains(p.Addr())
}

// subnetsIn returns the subnet blocks, and those of the platform, inside p.
func (w *world) subnetsIn(p netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for i := range w.snap.Subnets {
		for _, b := range w.snap.Subnets[i].Blocks {
			if inside(b, p) {
				out = append(out, b)
			}
		}
	}
	for _, b := range w.hosts.platform {
		if inside(b, p) {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, policy.ComparePrefix)
	return slices.Compact(out)
}

// explainingGroup returns the group that can stand for the peers of points in place of
// old: the smallest one of the rule's own network that holds all of them and whose
// members, of both families, all lie inside old. There is none where traffic may pass a
// router, firewall or network load balancer on its way, or come from another network: a
// reference does not match it then, though the address is a member's.
func (w *world) explainingGroup(r *rule, old netip.Prefix, points []cover.Point) (string, bool) {
	if len(r.Match[0].Remote.Prefixes) != 1 || r.apart {
		return "", false
	}
	var common []string
	for i, pt := range points {
		if i > 0 && pt.Addr == points[i-1].Addr {
			continue
		}
		have := w.hosts.groups[pt.Addr]
		if pt.Free > 0 {
			have = nil // nobody knows whose they are
		}
		if i == 0 {
			common = slices.Clone(have)
			slices.Sort(common)
			common = slices.Compact(common)
			continue
		}
		common = slices.DeleteFunc(common, func(id string) bool { return !slices.Contains(have, id) })
	}
	best, found := "", false
	var least netset.Size
	for _, id := range common { // in order, so that the first of equals stays
		g, ok := w.snap.Group(id)
		if !ok || g.Default || g.Kind != r.group.Kind || g.Unnamed || r.group.Unnamed || id == r.group.ID && w.hosts.noSelf[id] || w.hosts.shunned[id] || g.VPC != r.group.VPC || g.Account != r.group.Account {
			continue
		}
		if slices.ContainsFunc(w.snap.Attached(id), func(f *policy.Interface) bool { return f.VPC != g.VPC }) {
			continue
		}
		members := w.snap.Members(id)
		if slices.ContainsFunc(members, func(m netip.Prefix) bool { return !inside(m, old) }) {
			continue
		}
		var boxes []netset.Box
		for _, m := range members {
			boxes = append(boxes, netset.Box{Services: netset.Point(flow.TCP, 1), Addrs: netset.AddrsOf(m)})
		}
		if size := cover.Exposure(boxes); !found || size.Less(least) {
			best, least, found = id, size, true
		}
	}
	return best, found
}
