package engine

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// special are the blocks of addresses that mean something wherever they are used: what is
// said of peers depends on them, not on the rules alone.
var special = func() (out []netip.Prefix) {
	for _, s := range [...]string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
		"::/127", "64:ff9b::/96", "2000::/3", "fc00::/7", "fe80::/10", "ff00::/8",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

// AddAddrBounds adds to cfg.AddrBounds the bounds of all sets of addresses that snap knows:
// those of rules, prefix lists, interfaces and so the members of groups, subnets, and the
// platform's own. So every rule decides alike about all peers of a row that was rolled up,
// and an address of an interface is never folded together with others.
func AddAddrBounds(cfg *store.Config, snap *policy.Snapshot) {
	b := appendPrefixes(cfg.AddrBounds, special...)
	for _, r := range snap.Rules() {
		b = appendMatches(b, r)
	}
	for i := range snap.Lists {
		b = appendPrefixes(b, snap.Lists[i].Entries...)
	}
	for i := range snap.Groups {
		b = appendPrefixes(b, snap.Members(snap.Groups[i].ID)...)
	}
	for i := range snap.Interfaces {
		b = appendInterface(b, &snap.Interfaces[i])
	}
	for i := range snap.Subnets {
		b = appendPrefixes(b, snap.Subnets[i].Blocks...)
	}
	for i := range snap.Platforms {
		p := &snap.Platforms[i]
		b = appendPrefixes(appendPrefixes(appendPrefixes(b, p.Exempt...), p.ACLExempt...), p.Admitted...)
	}
	cfg.AddrBounds = tidyAddrs(b)
}

// addFormerBounds adds the bounds of what h knows beside the present.
func addFormerBounds(cfg *store.Config, h *policy.History) {
	b := cfg.AddrBounds
	h.EachRule(func(r *policy.Rule) { b = appendMatches(b, r) })
	h.EachInterface(func(f *policy.Interface) { b = appendInterface(b, f) })
	h.EachList(func(l *policy.PrefixList) { b = appendPrefixes(b, l.Entries...) })
	cfg.AddrBounds = tidyAddrs(b)
}

func appendInterface(b []flow.Addr, f *policy.Interface) []flow.Addr {
	for _, a := range f.Addresses {
		b = appendPrefixes(b, netip.PrefixFrom(a, a.BitLen()))
	}
	return appendPrefixes(b, f.Prefixes...)
}

func appendMatches(b []flow.Addr, r *policy.Rule) []flow.Addr {
	for i := range r.Match {
		b = appendPrefixes(appendPrefixes(b, r.Match[i].Remote.Prefixes...), r.Match[i].Local.Prefixes...)
	}
	return b
}

// appendPrefixes appends the first address of each of ps, and the first one behind.
func appendPrefixes(b []flow.Addr, ps ...netip.Prefix) []flow.Addr {
	for _, p := range ps {
		if !p.IsValid() {
			continue
		}
		a := netset.AddrsOf(p)
		b = append(b, a.First)
		after := flow.Addr{Hi: a.Last.Hi, Lo: a.Last.Lo + 1}
		if after.Lo == 0 {
			after.Hi++
		}
		if after != (flow.Addr{}) {
			b = append(b, after)
		}
	}
	return b
}

func tidyAddrs(b []flow.Addr) []flow.Addr {
	slices.SortFunc(b, flow.Addr.Compare)
	return slices.Compact(b)
}
