package netset

import (
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Services is an interval on the service axis, both ends inclusive. The axis has
// 24 bits, protocol<<16 | x, where x is the destination port for TCP and UDP,
// type<<8 | code for ICMP and ICMPv6, and means nothing for other protocols, which
// only ever occur whole. The zero value is one point of protocol 0.
type Services struct{ First, Last uint32 }

// AllServices is every service of every protocol: "all traffic".
var AllServices = Services{0, 1<<24 - 1}

// ServiceOf returns the services of p on ports; for a protocol without ports, all of it.
func ServiceOf(p flow.Proto, ports PortRange) Services {
	if !p.HasPorts() {
		ports = AllPorts
	}
	base := uint32(p) << 16
	return Services{base | uint32(ports.First), base | uint32(ports.Last)}
}

// Point returns what a flow of p to port meets: one service, or the whole protocol
// where p has no ports. A flow log does not say the ICMP type.
func Point(p flow.Proto, port uint16) Services { return ServiceOf(p, Port(port)) }

// ICMPServices returns the services of the type and code of p, ICMP or ICMPv6; a
// negative type or code stands for any.
func ICMPServices(p flow.Proto, typ, code int16) Services {
	base := uint32(p) << 16
	switch {
	case typ < 0:
		return Services{base, base | 0xffff}
	case code < 0:
		base |= uint32(typ&0xff) << 8
		return Services{base, base | 0xff}
	}
	base |= uint32(typ&0xff)<<8 | uint32(code&0xff)
	return Services{base, base}
}

// Proto returns the protocol of s, if it is a single one.
func (s Services) Proto() (flow.Proto, bool) {
	return flow.Proto(s.First >> 16), s.First>>16 == s.Last>>16
}

// Ports returns the ports of s, for ICMP type<<8 | code. Of an interval over several
// protocols it returns AllPorts.
func (s Services) Ports() PortRange {
	if _, ok := s.Proto(); !ok {
		return AllPorts
	}
	return PortRange{uint16(s.First), uint16(s.Last)}
}

// Contains reports whether the point x of the axis is in s.
func (s Services) Contains(x uint32) bool { return s.First <= x && x <= s.Last }

// Covers reports whether all of o is in s.
func (s Services) Covers(o Services) bool { return s.First <= o.First && o.Last <= s.Last }

// Overlaps reports whether s and o share a point.
func (s Services) Overlaps(o Services) bool { return s.First <= o.Last && o.First <= s.Last }

// Intersect returns what s and o share, if anything.
func (s Services) Intersect(o Services) (Services, bool) {
	return Services{max(s.First, o.First), min(s.Last, o.Last)}, s.Overlaps(o)
}

// Len returns the number of points of s, 1 to 1<<24.
func (s Services) Len() uint64 { return uint64(s.Last) - uint64(s.First) + 1 }

// String returns "all", "tcp", "tcp 443", "udp 8000-8100", "icmp type 3 code 4", or
// both ends for an interval that no rule can write.
func (s Services) String() string {
	if s == AllServices {
		return "all"
	}
	p, single := s.Proto()
	if !single {
		return s.several()
	}
	ports := s.Ports()
	switch {
	case ports == AllPorts:
		return p.String()
	case !p.IsICMP():
		return p.String() + " " + ports.String()
	case ports.First == ports.Last:
		return p.String() + " type " + strconv.Itoa(int(ports.First>>8)) + " code " + strconv.Itoa(int(ports.First&0xff))
	case ports.First&0xff == 0 && ports.Last == ports.First|0xff:
		return p.String() + " type " + strconv.Itoa(int(ports.First>>8))
	}
	return endName(s.First) + " to " + endName(s.Last)
}

// several writes an interval over several protocols: what it has of the first, those it
// holds whole, what it has of the last.
func (s Services) several() string {
	var parts []string
	first, last := s.First>>16, s.Last>>16
	if s.First&0xffff != 0 {
		parts = append(parts, Services{s.First, s.First | 0xffff}.String())
		first++
	}
	end := last
	if s.Last&0xffff != 0xffff {
		end--
	}
	switch {
	case first == end:
		parts = append(parts, protoText(first))
	case first < end:
		parts = append(parts, "protocols "+strconv.Itoa(int(first))+"-"+strconv.Itoa(int(end)))
	}
	if end != last {
		parts = append(parts, Services{last << 16, s.Last}.String())
	}
	return strings.Join(parts, ", ")
}

func protoText(p uint32) string {
	name := flow.Proto(p).String()
	if strings.Trim(name, "0123456789") == "" {
		return "protocol " + name
	}
	return name
}

func endName(x uint32) string {
	p := flow.Proto(x >> 16)
	if p.IsICMP() {
		return p.String() + " type " + strconv.Itoa(int(x>>8&0xff)) + " code " + strconv.Itoa(int(x&0xff))
	}
	return p.String() + " " + strconv.Itoa(int(x&0xffff))
}
