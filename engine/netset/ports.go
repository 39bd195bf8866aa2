package netset

import (
	"fmt"
	"strconv"
	"strings"
)

// PortRange is a range of ports, both ends inclusive. The zero value is the
// single port 0; use [AllPorts] for "any".
type PortRange struct{ First, Last uint16 }

// AllPorts is every port.
var AllPorts = PortRange{0, 65535}

// Port returns the range that holds p alone.
func Port(p uint16) PortRange { return PortRange{p, p} }

// Contains reports whether p is in r.
func (r PortRange) Contains(p uint16) bool { return r.First <= p && p <= r.Last }

// Covers reports whether all of o is in r.
func (r PortRange) Covers(o PortRange) bool { return r.First <= o.First && o.Last <= r.Last }

// Overlaps reports whether r and o share a port.
func (r PortRange) Overlaps(o PortRange) bool { return r.First <= o.Last && o.First <= r.Last }

// Len returns the number of ports in r, 1 to 65536.
func (r PortRange) Len() int { return int(r.Last) - int(r.First) + 1 }

// String returns "all", "443" or "8000-8100".
func (r PortRange) String() string {
	switch {
	case r == AllPorts:
		return "all"
	case r.First == r.Last:
		return strconv.Itoa(int(r.First))
	}
	return strconv.Itoa(int(r.First)) + "-" + strconv.Itoa(int(r.Last))
}

// ParsePorts reads what String writes.
func ParsePorts(s string) (PortRange, error) {
	if s == "all" {
		return AllPorts, nil
	}
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		b = a
	}
	first, err := strconv.ParseUint(a, 10, 16)
	if err != nil {
		return PortRange{}, fmt.Errorf("port %q is not in 0-65535", a)
	}
	last, err := strconv.ParseUint(b, 10, 16)
	if err != nil {
		return PortRange{}, fmt.Errorf("port %q is not in 0-65535", b)
	}
	if first > last {
		return PortRange{}, fmt.Errorf("port range %s runs backwards", s)
	}
	return PortRange{uint16(first), uint16(last)}, nil
}
