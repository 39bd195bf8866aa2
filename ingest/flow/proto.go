package flow

import "strconv"

// Proto is an IANA protocol number, 0 to 255.
type Proto uint8

// The protocols the field calls by name.
const (
	ICMP   Proto = 1
	TCP    Proto = 6
	UDP    Proto = 17
	ICMPv6 Proto = 58
)

var protoNames = map[Proto]string{
	1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 41: "ipv6",
	47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 132: "sctp",
}

var protoByName = map[string]Proto{
	"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "ipv6": 41,
	"gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "ospf": 89, "sctp": 132,
}

// HasPorts reports whether rules read ports for p. Clouds read them for TCP and
// UDP only; for every other number ports in a rule are ignored.
func (p Proto) HasPorts() bool { return p == TCP || p == UDP }

// IsICMP reports whether p is ICMP or ICMPv6. The two never match each other.
func (p Proto) IsICMP() bool { return p == ICMP || p == ICMPv6 }

// Name returns the lower-case name rules use (tcp, udp, icmp, icmpv6) or the
// bare number. [Proto.String] knows a few more names, for people.
func (p Proto) Name() string {
	switch p {
	case ICMP, TCP, UDP, ICMPv6:
		return protoNames[p]
	}
	return strconv.Itoa(int(p))
}

func (p Proto) String() string {
	if s, ok := protoNames[p]; ok {
		return s
	}
	return strconv.Itoa(int(p))
}

// ParseProto reads a lower-case protocol name or a number 0-255.
func ParseProto(s string) (Proto, bool) {
	if p, ok := protoByName[s]; ok {
		return p, true
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return Proto(n), err == nil
}
