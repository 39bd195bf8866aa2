package engine

import (
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
		for i := range r.Match {
			for _, p := range [2]struct{ first, last uint16 }{
				{r.Match[i].LocalPorts.First, r.Match[i].LocalPorts.Last},
				{r.Match[i].RemotePorts.First, r.Match[i].RemotePorts.Last},
			} {
				if p.first > 0 {
					cfg.PortBounds = append(cfg.PortBounds, p.first)
				}
				if p.last < 65535 {
					cfg.PortBounds = append(cfg.PortBounds, p.last+1)
				}
			}
		}
	}
	slices.Sort(cfg.PortBounds)
	cfg.PortBounds = slices.Compact(cfg.PortBounds)
	return cfg
}
