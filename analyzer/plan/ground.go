package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// lane is one interface under both snapshots.
type lane struct {
	name   string
	ground *ground // nil: the old snapshot does not have the interface
}

// ground is what interfaces have in common whose paths are equal under both snapshots.
type ground struct {
	number       int
	same         bool // the plan does not change the paths
	old, planned [2][]policy.Stage
	// Bounds of the ports that rules read, by direction and side of the interface: of
	// the whole path, and of its stateless stages.
	local, remote           [2][]uint16
	replyLocal, replyRemote [2][]uint16
	localAddrs, remoteAddrs [2][]flow.Addr       // the first of each class of addresses but the least one
	icmp                    [2][]policy.TypeCode // one of each class of types that rules cut
}

// newLane returns the lane of the interface of that name, on its ground.
func newLane(in *replay, name string, grounds map[[2]string]*ground) *lane {
	l := &lane{name: name}
	old, ok := in.old.Interface(name)
	if !ok {
		return l
	}
	key := [2]string{in.old.PathKey(old), "none"}
	if now, ok := in.planned.Interface(name); ok {
		key[1] = "path " + in.planned.PathKey(now)
	}
	g := grounds[key]
	if g == nil {
		g = &ground{number: len(grounds)}
		grounds[key] = g
		g.survey(in, name)
	}
	l.ground = g
	return l
}

// survey fills g from the paths of the interface of that name.
func (g *ground) survey(in *replay, name string) {
	g.same = true
	for s, d := range directions {
		g.old[s], g.planned[s] = in.old.Path(name, d), in.planned.Path(name, d)
		g.same = g.same && samePath(g.old[s], g.planned[s])
	}
	if g.same {
		return
	}
	for s := range directions {
		for _, path := range [2][]policy.Stage{g.old[s], g.planned[s]} {
			g.local[s], g.remote[s] = bounds(path, g.local[s], g.remote[s], false)
			g.replyLocal[s], g.replyRemote[s] = bounds(path, g.replyLocal[s], g.replyRemote[s], true)
			g.localAddrs[s], g.remoteAddrs[s] = addrBounds(path, g.localAddrs[s], g.remoteAddrs[s])
		}
		g.icmp[s] = types(g.old[s], g.planned[s])
	}
}

// samePath reports whether two paths consist of the same rules.
func samePath(a, b []policy.Stage) bool {
	return slices.EqualFunc(a, b, func(a, b policy.Stage) bool {
		return a.Name == b.Name && a.Default == b.Default && slices.Equal(a.Exempt, b.Exempt) &&
			slices.EqualFunc(a.Tiers, b.Tiers, func(a, b policy.Tier) bool {
				return slices.EqualFunc(a.Rules, b.Rules, func(a, b policy.Rule) bool {
					return a.Ref == b.Ref && a.Rank == b.Rank && a.Action == b.Action && slices.EqualFunc(a.Match, b.Match, sameMatch)
				})
			})
	})
}

func sameMatch(a, b policy.Match) bool {
	return a.Protos == b.Protos && a.ICMP == b.ICMP && a.LocalPorts == b.LocalPorts && a.RemotePorts == b.RemotePorts &&
		a.Local.Unknown == b.Local.Unknown && a.Remote.Unknown == b.Remote.Unknown && samePeer(a.Local, b.Local) && samePeer(a.Remote, b.Remote)
}

// bounds adds the first port of each class that the rules of path cut.
func bounds(path []policy.Stage, local, remote []uint16, statelessOnly bool) (l, r []uint16) {
	add := func(to []uint16, first, last uint16) []uint16 {
		if first > 0 {
			to = append(to, first)
		}
		if last < 65535 {
			to = append(to, last+1)
		}
		return to
	}
	for _, st := range path {
		if statelessOnly && st.Stateful {
			continue
		}
		for _, t := range st.Tiers {
			for _, rule := range t.Rules {
				for _, m := range rule.Match {
					local = add(local, m.LocalPorts.First, m.LocalPorts.Last)
					remote = add(remote, m.RemotePorts.First, m.RemotePorts.Last)
				}
			}
		}
	}
	slices.Sort(local)
	slices.Sort(remote)
	return slices.Compact(local), slices.Compact(remote)
}

// types returns one ICMP type and code of each class that the rules of paths tell apart:
// those that they name, those of the same type with another code, and another type. It
// is the unknown one where they name none.
func types(paths ...[]policy.Stage) []policy.TypeCode {
	var named []policy.TypeCode
	for _, path := range paths {
		for _, st := range path {
			for _, t := range st.Tiers {
				for _, rule := range t.Rules {
					for _, m := range rule.Match {
						if m.ICMP != policy.AnyICMP {
							named = append(named, m.ICMP)
						}
					}
				}
			}
		}
	}
	if len(named) == 0 {
		return []policy.TypeCode{policy.AnyICMP}
	}
	const other = 256 // no packet has it, as no rule names it
	out := []policy.TypeCode{{Type: other, Code: other}}
	for _, n := range named {
		out = append(out, policy.TypeCode{Type: n.Type, Code: other})
		if n.Code >= 0 {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b policy.TypeCode) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Code, b.Code))
	})
	return slices.Compact(out)
}

// addrBounds adds the first address of each class that the rules of path, and what they
// do not apply to, cut.
func addrBounds(path []policy.Stage, local, remote []flow.Addr) (l, r []flow.Addr) {
	add := func(to []flow.Addr, prefixes []netip.Prefix) []flow.Addr {
		for _, p := range prefixes {
			a := netset.AddrsOf(p)
			to = append(to, a.First)
			if after := (flow.Addr{Hi: a.Last.Hi, Lo: a.Last.Lo + 1}); after.Lo != 0 {
				to = append(to, after)
			} else if after.Hi++; after.Hi != 0 {
				to = append(to, after)
			}
		}
		return to
	}
	// What is no address, and either side of the IPv4 block among those of IPv6.
	always := []flow.Addr{{Lo: 1}, {Lo: 1 << 48}}
	local, remote = append(local, always...), append(remote, always...)
	for _, st := range path {
		remote = add(remote, st.Exempt)
		for _, t := range st.Tiers {
			for _, rule := range t.Rules {
				for _, m := range rule.Match {
					local, remote = add(local, m.Local.Prefixes), add(remote, m.Remote.Prefixes)
				}
			}
		}
	}
	slices.SortFunc(local, flow.Addr.Compare)
	slices.SortFunc(remote, flow.Addr.Compare)
	return slices.Compact(local), slices.Compact(remote)
}
