package explain

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Flow is a connection as people name it: who opens it, and to what.
type Flow struct {
	Src, Dst netip.Addr
	Proto    flow.Proto
	// ClientPorts are the ports that the source may use: one if it was named, else
	// [ClientPorts]. It is not read for protocols without ports.
	ClientPorts netset.PortRange
	Port        uint16 // of the destination
	ICMP        policy.TypeCode
}

// ClientPorts are the ports that systems use for connections they open, all of them
// taken together.
var ClientPorts = netset.PortRange{First: 1024, Last: 65535}

// ParseFlow reads "ADDR[:PORT] -> ADDR[:PORT]/PROTO", as in
//
//	10.2.0.5:41000 -> 10.1.0.7:5432/tcp
//	10.2.0.5 -> [fd00::7]:443/tcp
//	10.2.0.5 -> 10.1.0.7/icmp:8/0
//
// The port of a tcp or udp destination is needed, that of the source is not. Protocols
// are names or numbers; icmp and icmpv6 take a type and a code.
func ParseFlow(s string) (Flow, error) {
	f := Flow{ClientPorts: ClientPorts, ICMP: policy.AnyICMP}
	left, right, ok := strings.Cut(s, "->")
	if !ok {
		return f, fmt.Errorf("flow %q: no -> between source and destination", s)
	}
	dst, proto, ok := strings.Cut(right, "/")
	if !ok {
		return f, fmt.Errorf("flow %q: no /PROTOCOL at the end", s)
	}
	var err error
	if f.Proto, f.ICMP, err = ParseProtocol(proto); err != nil {
		return f, fmt.Errorf("flow %q: %w", s, err)
	}
	var srcPort, dstPort int
	if f.Src, srcPort, err = parseEnd(left); err != nil {
		return f, fmt.Errorf("flow %q: source: %w", s, err)
	}
	if f.Dst, dstPort, err = parseEnd(dst); err != nil {
		return f, fmt.Errorf("flow %q: destination: %w", s, err)
	}
	switch {
	case f.Src.Is4() != f.Dst.Is4():
		return f, fmt.Errorf("flow %q: one address is IPv4, the other IPv6", s)
	case f.Proto == flow.ICMP && f.Src.Is6(), f.Proto == flow.ICMPv6 && f.Src.Is4():
		return f, fmt.Errorf("flow %q: %s is not of the family of its addresses", s, f.Proto.Name())
	case !f.Proto.HasPorts() && (srcPort >= 0 || dstPort >= 0):
		return f, fmt.Errorf("flow %q: %s has no ports that rules read", s, f.Proto)
	case f.Proto.HasPorts() && dstPort < 0:
		return f, fmt.Errorf("flow %q: the destination has no port", s)
	}
	if srcPort >= 0 {
		f.ClientPorts = netset.Port(uint16(srcPort))
	}
	if dstPort >= 0 {
		f.Port = uint16(dstPort)
	}
	return f, nil
}

// ParseProtocol reads the name or number of a protocol, with a type and a code for ICMP:
// tcp, 47, icmp, icmp:8, icmp:8/0.
func ParseProtocol(s string) (flow.Proto, policy.TypeCode, error) {
	name, icmp, typed := strings.Cut(strings.TrimSpace(s), ":")
	p, ok := flow.ParseProto(strings.ToLower(name))
	if !ok {
		return p, policy.AnyICMP, fmt.Errorf("protocol %q is neither a name nor in 0-255", name)
	}
	if !typed {
		return p, policy.AnyICMP, nil
	}
	t, err := parseTypeCode(p, icmp)
	return p, t, err
}

// parseEnd reads an address and the port behind it, -1 without one. IPv6 addresses
// with a port stand in brackets.
func parseEnd(s string) (netip.Addr, int, error) {
	s = strings.TrimSpace(s)
	host, port := s, ""
	hasPort := false
	switch {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return netip.Addr{}, 0, fmt.Errorf("%q: the bracket is not closed", s)
		}
		host, port = s[1:end], s[end+1:]
		if port != "" {
			if port, hasPort = strings.CutPrefix(port, ":"); !hasPort {
				return netip.Addr{}, 0, fmt.Errorf("%q: no colon before the port", s)
			}
		}
	case strings.Count(s, ":") == 1:
		host, port, hasPort = strings.Cut(s, ":")
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, 0, fmt.Errorf("%q is not an address", host)
	}
	if !hasPort {
		return a.Unmap(), -1, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("port %q is not in 0-65535", port)
	}
	return a.Unmap(), int(n), nil
}

// parseTypeCode reads "TYPE" or "TYPE/CODE".
func parseTypeCode(p flow.Proto, s string) (policy.TypeCode, error) {
	if !p.IsICMP() {
		return policy.AnyICMP, fmt.Errorf("%s has no type", p)
	}
	typ, code, coded := strings.Cut(s, "/")
	out := policy.AnyICMP
	n, err := strconv.ParseUint(typ, 10, 8)
	if err != nil {
		return out, fmt.Errorf("ICMP type %q is not in 0-255", typ)
	}
	out.Type = int16(n)
	if coded {
		if n, err = strconv.ParseUint(code, 10, 8); err != nil {
			return out, fmt.Errorf("ICMP code %q is not in 0-255", code)
		}
		out.Code = int16(n)
	}
	return out, nil
}

// String writes f as ParseFlow reads it.
func (f Flow) String() string {
	proto := f.Proto.Name()
	if f.ICMP.Type >= 0 {
		proto += ":" + strconv.Itoa(int(f.ICMP.Type))
		if f.ICMP.Code >= 0 {
			proto += "/" + strconv.Itoa(int(f.ICMP.Code))
		}
	}
	if !f.Proto.HasPorts() {
		return f.Src.String() + " -> " + f.Dst.String() + "/" + proto
	}
	src := f.Src.String()
	if f.ClientPorts.Len() == 1 {
		src = netip.AddrPortFrom(f.Src, f.ClientPorts.First).String()
	}
	return src + " -> " + netip.AddrPortFrom(f.Dst, f.Port).String() + "/" + proto
}

// at returns the connection as the interface at one end sees it, opened from port
// client: in direction egress at the source, ingress at the destination.
func (f Flow) at(d flow.Direction, client uint16) policy.Conn {
	c := policy.Conn{Direction: d, Proto: f.Proto, ICMP: f.ICMP, Local: f.Dst, Remote: f.Src}
	if f.Proto.HasPorts() {
		c.LocalPort, c.RemotePort = f.Port, client
	}
	if d == flow.Egress {
		c.Local, c.Remote = c.Remote, c.Local
		c.LocalPort, c.RemotePort = c.RemotePort, c.LocalPort
	}
	return c
}

// icmpReplies gives the type that answers a type; what is not here is not answered.
var icmpReplies = map[flow.Proto]map[int16]int16{
	flow.ICMP:   {8: 0, 13: 14, 15: 16, 17: 18},
	flow.ICMPv6: {128: 129},
}

// reply turns a connection into the packets that answer it, as the same interface sees
// them; ok is false if nothing answers it.
func reply(c policy.Conn) (r policy.Conn, ok bool) {
	c.Direction = c.Direction.Reverse()
	if c.Proto.IsICMP() && c.ICMP.Type >= 0 {
		typ, answered := icmpReplies[c.Proto][c.ICMP.Type]
		c.ICMP = policy.TypeCode{Type: typ, Code: 0}
		return c, answered
	}
	return c, true
}
