package plan

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// filter is what a network ACL may let through to the interfaces of one subnet, or from
// them, in one direction.
type filter struct {
	acl    string
	passes []netset.Box
}

// filters finds the network ACLs on the paths of interfaces, one for each subnet.
type filters struct {
	snap  *policy.Snapshot
	known map[filterKey]*filter
}

type filterKey struct {
	platform, subnet string
	d                flow.Direction
}

func newFilters(s *policy.Snapshot) *filters {
	return &filters{s, make(map[filterKey]*filter)}
}

// of returns what filters f in direction d; nil: nothing does, as far as is known.
func (x *filters) of(f *policy.Interface, d flow.Direction) *filter {
	acl, sub, ok := x.snap.ACLFor(f)
	if !ok {
		return nil
	}
	key := filterKey{f.Platform, sub.ID, d}
	if have, ok := x.known[key]; ok {
		return have
	}
	var out *filter
	for _, st := range x.snap.Path(f.ID, d) {
		if st.Name == policy.ACLStage && !st.Stateful {
			out = &filter{acl.ID, append(space.Of(&st).Permits().Perhaps, from(st.Exempt)...)}
		}
	}
	x.known[key] = out
	return out
}

// from returns all services with the addresses of prefixes.
func from(prefixes []netip.Prefix) []netset.Box {
	var out []netset.Box
	for _, p := range prefixes {
		out = append(out, netset.Box{Services: netset.AllServices, Addrs: netset.AddrsOf(p)})
	}
	return out
}

// maskedBy names the network ACLs that deny all that group rule r admits, on every
// interface where it is in force; or "". Requests of both directions are asked about at
// the lines of their own direction; what becomes of replies is not.
func (w *world) maskedBy(r *rule) string {
	var names []string
	for k, c := range r.classes {
		admits := r.in(k).admits.Perhaps
		if r.unsettled() && w.classes[c].lists[side(r.Direction)] == nil {
			admits = anyone(r)
		}
		if len(admits) == 0 {
			continue
		}
		for _, i := range w.classes[c].all {
			by := w.filters.of(&w.snap.Interfaces[i], r.Direction)
			if by == nil || meet(admits, by.passes) {
				return ""
			}
			names = append(names, "network ACL "+by.acl)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " and ")
}
