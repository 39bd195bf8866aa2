package engine

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// StoreConfig returns what a snapshot tells the store, as plain values: whose
// addresses are whose, and which ports and addresses some rule tells apart. The window and the
// number of workers are the caller's to set.
func StoreConfig(snap *policy.Snapshot) store.Config {
	cfg := store.Config{Local: make(map[string][]flow.Addr, len(snap.Interfaces))}
	for i := range snap.Interfaces {
		f := &snap.Interfaces[i]
		for _, a := range f.Addresses {
			cfg.Local[f.ID] = append(cfg.Local[f.ID], flow.AddrFrom(a))
		}
	}
	for _, r := range snap.Rules() {
		cfg.PortBounds = appendBounds(cfg.PortBounds, r)
	}
	cfg.PortBounds = distinct(cfg.PortBounds)
	cfg.Ports = sideBounds(snap)
	AddAddrBounds(&cfg, snap)
	return cfg
}

// sideBounds returns which ports the rules on the paths of each interface tell apart. No
// other rule decides about its rows.
func sideBounds(snap *policy.Snapshot) map[string]store.SideBounds {
	out := make(map[string]store.SideBounds, len(snap.Interfaces))
	known := make(map[string]store.SideBounds)
	for i := range snap.Interfaces {
		f := &snap.Interfaces[i]
		key := snap.PathKey(f)
		b, ok := known[key]
		if !ok {
			for _, d := range [...]flow.Direction{flow.Ingress, flow.Egress} {
				snap.EachOnPath(f.ID, d, func(r *policy.Rule) { b = appendSides(b, r) })
			}
			b.Local, b.Remote = distinct(b.Local), distinct(b.Remote)
			known[key] = b
		}
		out[f.ID] = b
	}
	return out
}

// distinct sorts bounds and leaves each there once.
func distinct(bounds []uint16) []uint16 {
	slices.Sort(bounds)
	return slices.Compact(bounds)
}

// appendSides appends the first ports of the classes that r tells apart on each side.
func appendSides(b store.SideBounds, r *policy.Rule) store.SideBounds {
	for i := range r.Match {
		b.Local = appendRange(b.Local, r.Match[i].LocalPorts)
		b.Remote = appendRange(b.Remote, r.Match[i].RemotePorts)
	}
	return b
}

// HistoryConfig is [StoreConfig] for a policy over time: it knows the addresses and the
// ports of former interfaces and rules, too, and when the path of each interface changed.
func HistoryConfig(h *policy.History) store.Config {
	cfg := StoreConfig(h.Present())
	h.EachAddress(func(id string, a netip.Addr) {
		if own := flow.AddrFrom(a); !slices.Contains(cfg.Local[id], own) {
			cfg.Local[id] = append(cfg.Local[id], own)
		}
	})
	h.EachRule(func(r *policy.Rule) { cfg.PortBounds = appendBounds(cfg.PortBounds, r) })
	cfg.PortBounds = distinct(cfg.PortBounds)
	for i := range h.Present().Interfaces {
		id := h.Present().Interfaces[i].ID
		if cuts := h.Cuts(id); len(cuts) > 0 {
			if cfg.Cuts == nil {
				cfg.Cuts = make(map[string][]int64)
			}
			cfg.Cuts[id] = cuts
			delete(cfg.Ports, id) // other rules decided about it once
		}
	}
	addFormerBounds(&cfg, h)
	return cfg
}

// appendBounds appends the first ports of the classes that r tells apart.
func appendBounds(bounds []uint16, r *policy.Rule) []uint16 {
	for i := range r.Match {
		bounds = appendRange(bounds, r.Match[i].LocalPorts)
		bounds = appendRange(bounds, r.Match[i].RemotePorts)
	}
	return bounds
}

// appendRange appends the first port of p and the one behind its last.
func appendRange(bounds []uint16, p netset.PortRange) []uint16 {
	if p.First > 0 {
		bounds = append(bounds, p.First)
	}
	if p.Last < 65535 {
		bounds = append(bounds, p.Last+1)
	}
	return bounds
}
