package cloud

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// parsePrefix reads a CIDR or a single address; the result is masked, and IPv4 in
// IPv6 clothes becomes IPv4, so equal prefixes are equal values.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := parseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a CIDR", s)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an address", s)
	}
	return a.Unmap(), nil
}

// sortPrefixes orders ps and drops repetitions; nil if there are none.
func sortPrefixes(ps []netip.Prefix) []netip.Prefix {
	if len(ps) == 0 {
		return nil
	}
	slices.SortFunc(ps, policy.ComparePrefix)
	return slices.Compact(ps)
}

// sortAddresses orders all addresses but the first, the primary one, and drops
// repetitions; nil if there are none.
func sortAddresses(as []netip.Addr) []netip.Addr {
	if len(as) == 0 {
		return nil
	}
	rest := as[1:]
	slices.SortFunc(rest, netip.Addr.Compare)
	out := slices.Compact(as)
	return append(out[:1:1], slices.DeleteFunc(out[1:], func(a netip.Addr) bool { return a == out[0] })...)
}

// sortStrings orders ss and drops repetitions; nil if there are none.
func sortStrings(ss []string) []string {
	if len(ss) == 0 {
		return nil
	}
	slices.Sort(ss)
	return slices.Compact(ss)
}
