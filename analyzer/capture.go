package analyzer

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// leftOut says what the flow logs that cover f leave out of accepted traffic, as far as
// they are described: paths, if all of them capture some paths only; ipv6, if none that
// captures every path captures IPv6. What is left out shows in no record, however long
// the window is. Empty: nothing is left out, or nothing is known.
func leftOut(s *policy.Snapshot, f *policy.Interface) (paths, ipv6 string) {
	for _, l := range s.FlowLogs {
		if l.Resource != f.ID && l.Resource != f.Subnet && l.Resource != f.VPC || l.Resource == "" || l.Traffic == "REJECT" || l.Failed != "" || l.Inactive {
			continue
		}
		switch {
		case len(l.Paths) == 0 && !l.IPv4Only:
			return "", ""
		case len(l.Paths) == 0:
			ipv6 = l.ID + " captures IPv4 only"
		case paths == "":
			paths = l.ID + " captures traffic of some paths only: " + strings.Join(l.Paths, ", ")
		}
	}
	if ipv6 != "" {
		paths = "" // this one has every path
	}
	return paths, ipv6
}

// noRejects says why the flow logs that cover f show nothing that was rejected, or "":
// all of them capture accepted traffic only, or none is described and no log holds a
// rejected record. Then the hits of rules that deny show nowhere.
func (e *Evidence) noRejects(s *policy.Snapshot, f *policy.Interface) string {
	why := ""
	for _, l := range s.FlowLogs {
		if l.Resource != f.ID && l.Resource != f.Subnet && l.Resource != f.VPC || l.Resource == "" {
			continue
		}
		if l.Traffic != "ACCEPT" {
			return ""
		}
		why = l.ID + " captures accepted traffic only"
	}
	if why == "" && !e.Rejected {
		return "the logs hold no rejected traffic"
	}
	return why
}

// ofIPv6 reports whether r may match IPv6 addresses, and whether nothing else.
func ofIPv6(s *policy.Snapshot, r *policy.Rule) (some, only bool) {
	only = true
	for i := range r.Match {
		remote := s.Resolve(r.Match[i].Remote)
		some = some || remote.Unknown || slices.ContainsFunc(remote.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() })
		only = only && !remote.Unknown && !slices.ContainsFunc(remote.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() })
	}
	return some, some && only
}

// hasIPv6 reports whether f may have IPv6 traffic: it has such an address, or none of its
// addresses are known.
func hasIPv6(f *policy.Interface) bool {
	return len(f.Addresses)+len(f.Prefixes) == 0 || slices.ContainsFunc(f.Addresses, netip.Addr.Is6) ||
		slices.ContainsFunc(f.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() })
}
