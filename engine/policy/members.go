package policy

import (
	"math"
	"net/netip"
	"slices"
)

// findMembers notes which groups the interfaces that changed ever carried, when the
// members of each changed, and the members that never did.
func (h *History) findMembers() {
	p := &h.past
	for i := range p.Present.Interfaces {
		f := &p.Present.Interfaces[i]
		if len(p.Interfaces[f.ID]) > 0 {
			continue
		}
		for _, g := range f.Groups {
			h.static[g] = append(h.static[g], addressesOf(f)...)
			h.steady[g]++
		}
	}
	for _, id := range sortedKeys(p.Interfaces) {
		vs := p.Interfaces[id]
		var carried []string
		for i := range vs {
			if vs[i].Unsettled && vs[i].New != nil {
				h.unsure = append(h.unsure, addressesOf(vs[i].New)...)
				until := int64(math.MaxInt64)
				if i+1 < len(vs) {
					until = vs[i+1].From
				}
				h.unsureUntil = max(h.unsureUntil, until)
			}
			for _, f := range [2]*Interface{vs[i].Old, vs[i].New} {
				if f != nil {
					carried = append(carried, f.Groups...)
				}
			}
		}
		slices.Sort(carried)
		for _, g := range slices.Compact(carried) {
			h.carriers[g] = append(h.carriers[g], id)
			h.memberCuts[g] = append(h.memberCuts[g], times(vs)...)
		}
	}
	for g, cuts := range h.memberCuts {
		slices.Sort(cuts)
		h.memberCuts[g] = slices.Compact(cuts)
	}
}

func addressesOf(f *Interface) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(f.Addresses)+len(f.Prefixes))
	for _, a := range f.Addresses {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return append(out, f.Prefixes...)
}

// settleMembers works out the members over time of every group that matters: one that
// rules name, or whose members may talk among themselves.
func (h *History) settleMembers() {
	p := &h.past
	named := make(map[string]bool)
	look := func(g *Group) {
		named[g.ID] = named[g.ID] || g.Intra
		for i := range g.Rules {
			for _, r := range g.Rules[i].Refs() {
				if r.Kind == GroupSet {
					named[r.ID] = true
				}
			}
		}
	}
	for i := range p.Present.Groups {
		look(&p.Present.Groups[i])
	}
	for _, vs := range p.Groups {
		for i := range vs {
			for _, g := range [2]*Group{vs[i].Old, vs[i].New} {
				if g != nil {
					look(g)
				}
			}
		}
	}
	for g := range named {
		cuts := []int64{Ever}
		cuts = append(cuts, h.memberCuts[g]...)
		if h.unsureUntil != Ever && h.unsureUntil != math.MaxInt64 {
			cuts = append(cuts, h.unsureUntil)
		}
		slices.Sort(cuts)
		var vs []Version[[]netip.Prefix]
		for _, t := range slices.Compact(cuts) {
			old, new := h.membersAt(g, t, false), h.membersAt(g, t, true)
			v := Version[[]netip.Prefix]{From: t, Old: &old, New: &new}
			if slices.Equal(old, new) {
				v.New = v.Old
			}
			if n := len(vs); n == 0 || !slices.Equal(*vs[n-1].Old, old) || !slices.Equal(*vs[n-1].New, new) {
				vs = append(vs, v)
			}
		}
		h.memberSets[g] = vs
	}
}

// membersAt returns the addresses behind group g at time t: with new, all that may have
// been, else those that certainly were, as far as the groups of interfaces are in doubt.
func (h *History) membersAt(g string, t int64, new bool) []netip.Prefix {
	out := slices.Clone(h.static[g])
	for _, id := range h.carriers[g] {
		v := at(h.past.Interfaces[id], t)
		if f := pick(v, new); f != nil && !v.Unsettled && slices.Contains(f.Groups, g) {
			out = append(out, addressesOf(f)...)
		}
	}
	if new && t < h.unsureUntil {
		out = append(out, h.unsure...)
	}
	slices.SortFunc(out, ComparePrefix)
	return slices.Compact(out)
}

// carriersAt counts the interfaces that carried group g at time t; with new, all that may
// have.
func (h *History) carriersAt(g string, t int64, new bool) int {
	n := h.steady[g]
	for _, id := range h.carriers[g] {
		v := at(h.past.Interfaces[id], t)
		if f := pick(v, new); f != nil && (!v.Unsettled && slices.Contains(f.Groups, g) || v.Unsettled && new) {
			n++
		}
	}
	if new && t < h.unsureUntil {
		n += len(h.unsure)
	}
	return n
}

func sortedKeys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
