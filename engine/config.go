package engine

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// StoreConfig returns what a snapshot tells the store, as plain values: whose
// addresses are whose, and which ports some rule tells apart. The window and the
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
	slices.Sort(cfg.PortBounds)
	cfg.PortBounds = slices.Compact(cfg.PortBounds)
	return cfg
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
	slices.Sort(cfg.PortBounds)
	cfg.PortBounds = slices.Compact(cfg.PortBounds)
	for i := range h.Present().Interfaces {
		id := h.Present().Interfaces[i].ID
		if cuts := h.Cuts(id); len(cuts) > 0 {
			if cfg.Cuts == nil {
				cfg.Cuts = make(map[string][]int64)
			}
			cfg.Cuts[id] = cuts
		}
	}
	return cfg
}

// appendBounds appends the first ports of the classes that r tells apart.
func appendBounds(bounds []uint16, r *policy.Rule) []uint16 {
	for i := range r.Match {
		for _, p := range [2]struct{ first, last uint16 }{
			{r.Match[i].LocalPorts.First, r.Match[i].LocalPorts.Last},
			{r.Match[i].RemotePorts.First, r.Match[i].RemotePorts.Last},
		} {
			if p.first > 0 {
				bounds = append(bounds, p.first)
			}
			if p.last < 65535 {
				bounds = append(bounds, p.last+1)
			}
		}
	}
	return bounds
}
