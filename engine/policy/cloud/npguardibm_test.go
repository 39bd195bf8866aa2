package cloud

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// IBM Cloud's network ACLs are ordered and stateless, its security groups a union of
// allows; no reader exists. These tests write its configurations in the policy
// language and hold policy.Decide to what np-guard's analyzer says of them.
// Deliberate differences, besides those of npguard_test.go:
//
//   - np-guard knows TCP, UDP and ICMP alone and no port 0; only those are probed.
//   - Routing is no policy: towards the Internet, a pair is probed only where np-guard
//     shows some traffic between it, so that a route is there.

// ibmConfig is a configuration as np-guard collects it, as far as it filters.
type ibmConfig struct {
	Subnets []struct {
		Name string
		CIDR string  `json:"ipv4_cidr_block"`
		VPC  ibmName `json:"vpc"`
	}
	Instances []struct {
		Name       string
		VPC        ibmName `json:"vpc"`
		Interfaces []struct {
			IP struct {
				Address string
			} `json:"primary_ip"`
			Groups []ibmName `json:"security_groups"`
		} `json:"network_interfaces"`
	}
	Endpoints []struct {
		Name   string
		VPC    ibmName `json:"vpc"`
		IPs    []struct{ Address string }
		Groups []ibmName `json:"security_groups"`
	} `json:"endpoint_gateways"`
	ACLs []struct {
		Name    string
		VPC     ibmName   `json:"vpc"`
		Subnets []ibmName `json:"subnets"`
		Rules   []ibmRule
	} `json:"network_acls"`
	Groups []struct {
		Name  string
		VPC   ibmName `json:"vpc"`
		Rules []ibmRule
	} `json:"security_groups"`
}

type ibmName struct{ Name string }

// ibmRule is a rule of a group or a line of an ACL.
type ibmRule struct {
	ID, Name, Direction, Action, Protocol string
	Source, Destination                   string
	Local, Remote                         struct {
		Block   string `json:"cidr_block"`
		Address string
		Name    string
	}
	PortMin    *int `json:"port_min"`
	PortMax    *int `json:"port_max"`
	DstMin     *int `json:"destination_port_min"`
	DstMax     *int `json:"destination_port_max"`
	SrcMin     *int `json:"source_port_min"`
	SrcMax     *int `json:"source_port_max"`
	Type, Code *int
}

// ibmWorld is a configuration in the policy language, and what np-guard prints for
// each of its rules.
type ibmWorld struct {
	*policy.Snapshot
	printed map[policy.Ref]string
}

// readIBM reads the configuration at path, which is inside the shared data.
func readIBM(t *testing.T, path ...string) *ibmWorld {
	t.Helper()
	var c ibmConfig
	readJSON(t, &c, path...)
	return ibmWorldOf(t, &c, path[len(path)-1])
}

func ibmWorldOf(t *testing.T, c *ibmConfig, name string) *ibmWorld {
	t.Helper()
	w := &ibmWorld{printed: make(map[policy.Ref]string)}
	text := w.text(t, c)
	s, err := ParseText(name, []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	w.Snapshot = s
	return w
}

// readJSON reads a file of the shared data.
func readJSON(t *testing.T, to any, path ...string) {
	t.Helper()
	data, err := os.ReadFile(dataDir(t, path...))
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// text writes c. Interfaces are named as np-guard prints them: name[address]; groups,
// ACLs and subnets by their names, which no two VPCs of the data share.
func (w *ibmWorld) text(t *testing.T, c *ibmConfig) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("platform none\n")
	subnetOf := func(vpc, address string) string {
		for _, s := range c.Subnets {
			if p, a := netip.MustParsePrefix(s.CIDR), netip.MustParseAddr(address); s.VPC.Name == vpc && p.Contains(a) {
				return s.Name
			}
		}
		t.Fatalf("no subnet of %s", address)
		return ""
	}
	face := func(name, address, vpc string, groups []ibmName) {
		fmt.Fprintf(&b, "interface %q %s vpc=%s subnet=%s", name+"["+address+"]", address, vpc, subnetOf(vpc, address))
		for _, g := range groups {
			fmt.Fprintf(&b, " %q", g.Name)
		}
		b.WriteByte('\n')
	}
	for _, s := range c.Subnets {
		fmt.Fprintf(&b, "subnet %q %s vpc=%s\n", s.Name, s.CIDR, s.VPC.Name)
	}
	for _, i := range c.Instances {
		for _, n := range i.Interfaces {
			face(i.Name, n.IP.Address, i.VPC.Name, n.Groups)
		}
	}
	for _, e := range c.Endpoints {
		for _, ip := range e.IPs {
			face(e.Name, ip.Address, e.VPC.Name, e.Groups)
		}
	}
	for _, g := range c.Groups {
		fmt.Fprintf(&b, "group %q vpc=%s\n", g.Name, g.VPC.Name)
		for i := range g.Rules {
			r := &g.Rules[i]
			id := fmt.Sprintf("r%d", i)
			b.WriteString("  " + id + r.groupText(t) + "\n")
			w.printed[policy.Ref{Owner: g.Name, Rule: id}] = r.groupPrint()
		}
	}
	for _, a := range c.ACLs {
		fmt.Fprintf(&b, "acl %q vpc=%s", a.Name, a.VPC.Name)
		for _, s := range a.Subnets {
			fmt.Fprintf(&b, " subnet=%q", s.Name)
		}
		b.WriteByte('\n')
		rank := make(map[string]int)
		for i := range a.Rules { // in their order
			r := &a.Rules[i]
			rank[r.Direction]++
			id := fmt.Sprintf("r%d", i)
			fmt.Fprintf(&b, "  %s%s priority=%d\n", id, r.aclText(), rank[r.Direction])
			w.printed[policy.Ref{Owner: a.Name, Rule: id}] = r.aclPrint(rank[r.Direction])
		}
	}
	return b.String()
}

var (
	ibmDirections = map[string]flow.Direction{"inbound": flow.Ingress, "outbound": flow.Egress}
	ibmSides      = map[string]string{"inbound": " from ", "outbound": " to "}
)

// span writes the ports from lo to hi, where one is missing the end of all ports.
func span(lo, hi *int) string {
	if lo == nil && hi == nil {
		return ""
	}
	a, b := 1, 65535
	if lo != nil {
		a = *lo
	}
	if hi != nil {
		b = *hi
	}
	return fmt.Sprintf("%d-%d", a, b)
}

func (r *ibmRule) types() string {
	switch {
	case r.Type == nil:
		return ""
	case r.Code == nil:
		return fmt.Sprintf(" type %d", *r.Type)
	}
	return fmt.Sprintf(" type %d code %d", *r.Type, *r.Code)
}

func (r *ibmRule) groupText(t *testing.T) string {
	peer := r.Remote.Block + r.Remote.Address
	if r.Remote.Name != "" {
		peer = "group=" + strconv.Quote(r.Remote.Name)
	}
	text := " " + ibmDirections[r.Direction].String() + " " + r.Protocol + " " + span(r.PortMin, r.PortMax) + r.types() + ibmSides[r.Direction] + peer
	if own := r.Local.Block + r.Local.Address; own != "0.0.0.0/0" && own != "" {
		text += " at " + own
	}
	if peer == "" || r.Local.Name != "" {
		t.Fatalf("rule %+v", r)
	}
	return text
}

func (r *ibmRule) aclText() string {
	own, peer := r.Destination, r.Source
	if r.Direction == "outbound" {
		own, peer = peer, own
	}
	text := " " + ibmDirections[r.Direction].String() + " " + r.Action + " " + r.Protocol + " " + span(r.DstMin, r.DstMax) + r.types() + ibmSides[r.Direction] + peer
	if own != "0.0.0.0/0" {
		text += " at " + own
	}
	if s := span(r.SrcMin, r.SrcMax); s != "" {
		text += " peer-ports=" + s
	}
	return text
}

// groupPrint and aclPrint write r as np-guard's explanations do.
func (r *ibmRule) groupPrint() string {
	block := func(s string) string {
		if !strings.Contains(s, "/") {
			s += "/32"
		}
		return s
	}
	peer := r.Remote.Name
	if peer == "" {
		peer = block(r.Remote.Block + r.Remote.Address)
	}
	text := fmt.Sprintf("id: %s, direction: %s, local: %s, remote: %s, protocol: %s", r.ID, r.Direction, block(r.Local.Block+r.Local.Address), peer, r.Protocol)
	switch ports := span(r.PortMin, r.PortMax); {
	case ports != "":
		text += ",  dstPorts: " + ports
	case r.Protocol == "tcp" || r.Protocol == "udp":
		text += ",  dstPorts: 1-65535"
	}
	return text
}

func (r *ibmRule) aclPrint(rank int) string {
	text := fmt.Sprintf("name: %s, priority: %d, action: %s, direction: %s, source: %s, destination: %s, protocol: %s",
		r.Name, rank, r.Action, r.Direction, r.Source, r.Destination, r.Protocol)
	if s := span(r.SrcMin, r.SrcMax); s != "" {
		text += ", srcPorts: " + s
	}
	if s := span(r.DstMin, r.DstMax); s != "" {
		text += ", dstPorts: " + s
	}
	return text
}

// ibmProbe is a connection without its addresses.
type ibmProbe struct {
	proto    flow.Proto
	src, dst uint16
}

// ibmProbes are at and beside every port bound of s, and more bounds that a query has.
func ibmProbes(s *policy.Snapshot, more ...string) []ibmProbe {
	bounds := []uint16{1, 65535, 5000}
	for _, text := range more {
		n, err := strconv.Atoi(text)
		for _, x := range []int{n - 1, n, n + 1} {
			if err == nil && 1 <= x && x <= 65535 {
				bounds = append(bounds, uint16(x))
			}
		}
	}
	for _, r := range s.Rules() {
		for _, m := range r.Match {
			for _, p := range []uint16{m.LocalPorts.First, m.LocalPorts.Last, m.RemotePorts.First, m.RemotePorts.Last} {
				for _, x := range []int{int(p) - 1, int(p), int(p) + 1} {
					if 1 <= x && x <= 65535 {
						bounds = append(bounds, uint16(x))
					}
				}
			}
		}
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	out := []ibmProbe{{proto: flow.ICMP}}
	for _, a := range bounds {
		for _, b := range bounds {
			out = append(out, ibmProbe{flow.TCP, a, b}, ibmProbe{flow.UDP, a, b})
		}
	}
	return out
}

// conn is what the end at local sees of a packet of p from src to dst.
func (p ibmProbe) conn(src, dst netip.Addr, d flow.Direction) *policy.Conn {
	c := &policy.Conn{Direction: d, Proto: p.proto, ICMP: policy.AnyICMP, Local: src, Remote: dst, LocalPort: p.src, RemotePort: p.dst}
	if d == flow.Ingress {
		c.Local, c.Remote, c.LocalPort, c.RemotePort = dst, src, p.dst, p.src
	}
	return c
}

// ibmConns reads "All Connections", "protocol: ICMP,UDP" or
// "protocol: TCP src-ports: 1-9,20 dst-ports: 443; …" as the set of probes in it.
func ibmConns(text string) func(ibmProbe) bool {
	in := func(ranges string, port uint16) bool {
		return ranges == "" || slices.ContainsFunc(strings.Split(ranges, ","), func(r string) bool {
			first, last, ok := strings.Cut(r, "-")
			if !ok {
				last = first
			}
			a, _ := strconv.Atoi(first)
			b, _ := strconv.Atoi(last)
			return a <= int(port) && int(port) <= b
		})
	}
	return func(p ibmProbe) bool {
		for _, part := range strings.Split(text, ";") {
			f := strings.Fields(strings.TrimSuffix(strings.TrimSpace(part), "*"))
			if strings.Join(f, " ") == "All Connections" {
				return true
			}
			var protocols, src, dst string
			for i := 0; i+1 < len(f); i++ {
				switch f[i] {
				case "protocol:":
					protocols = f[i+1]
				case "src-ports:":
					src = f[i+1]
				case "dst-ports:":
					dst = f[i+1]
				}
			}
			if slices.Contains(strings.Split(protocols, ","), strings.ToUpper(p.proto.Name())) && in(src, p.src) && in(dst, p.dst) {
				return true
			}
		}
		return false
	}
}

// ibmEnd is an end of a line of a connectivity table: interfaces by name, or a part
// of the Internet or of the provider's service network.
type ibmEnd struct {
	address  netip.Addr
	face     *policy.Interface // nil: outside
	internet bool
}

var (
	serviceNetwork = []netip.Prefix{netip.MustParsePrefix("161.26.0.0/16"), netip.MustParsePrefix("166.8.0.0/14")}
	ibmOutside     = []netip.Addr{netip.MustParseAddr("161.26.0.1"), netip.MustParseAddr("161.26.255.255"), netip.MustParseAddr("166.8.0.1"),
		netip.MustParseAddr("166.11.255.255"), netip.MustParseAddr("142.0.0.1"), netip.MustParseAddr("143.255.255.255"),
		netip.MustParseAddr("147.235.219.206"), netip.MustParseAddr("8.8.8.8")}
)

func isService(a netip.Addr) bool {
	return slices.ContainsFunc(serviceNetwork, func(p netip.Prefix) bool { return p.Contains(a) })
}

// holds reports whether the text of one end of a line is about e.
func (e ibmEnd) holds(text string) bool {
	if e.face != nil {
		return slices.Contains(strings.Split(text, ","), e.face.ID)
	}
	kind, block := "Public Internet ", strings.TrimPrefix(text, "Public Internet ")
	if isService(e.address) {
		kind, block = "Service Network ", strings.TrimPrefix(text, "Service Network ")
	}
	if !strings.HasPrefix(text, kind) {
		return false
	}
	return block == "(all ranges)" || netip.MustParsePrefix(block).Contains(e.address)
}

var ibmLine = regexp.MustCompile(`^(\S.*?) => (.+?) : (.*)$`)

// The connectivity tables, for every pair of ends and every probe: what passes, and
// for TCP whether its answers do.
func TestNPGuardIBMConnectivity(t *testing.T) {
	pairs, probed := 0, 0
	for _, c := range []struct{ config, table string }{
		{"acl_testing3", "acl_testing3_all_vpcs_.txt"},
		{"sg_testing1_new", "sg_testing1_new_all_vpcs_.txt"},
		{"sg_testing1_new_respond_partly", "sg_testing1_new_respond_partly_all_vpcs__with_grouping.txt"},
		{"experiments_env", "experiments_env_all_vpcs_.txt"},
		{"demo_with_instances", "demo_with_instances_all_vpcs_.txt"},
	} {
		w := readIBM(t, "known-answers", "np-guard-analyzer", "ibm", "input", c.config+".json")
		table, err := os.ReadFile(dataDir(t, "known-answers", "np-guard-analyzer", "ibm", "connectivity", c.table))
		if err != nil {
			t.Fatal(err)
		}
		var lines [][]string
		for line := range strings.Lines(string(table)) {
			if m := ibmLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				lines = append(lines, m)
			}
		}
		var ends []ibmEnd
		for i := range w.Interfaces {
			ends = append(ends, ibmEnd{address: w.Interfaces[i].Addresses[0], face: &w.Interfaces[i]})
		}
		for _, a := range ibmOutside {
			ends = append(ends, ibmEnd{address: a, internet: !isService(a)})
		}
		probes := ibmProbes(w.Snapshot)
		for _, src := range ends {
			for _, dst := range ends {
				if src.address == dst.address || src.face == nil && dst.face == nil {
					continue
				}
				if src.face != nil && dst.face != nil && src.face.VPC != dst.face.VPC {
					continue // nothing routes between VPCs here
				}
				var passes, answered []func(ibmProbe) bool
				for _, m := range lines {
					if src.holds(m[1]) && dst.holds(m[2]) {
						passes = append(passes, ibmConns(m[3]))
						if !strings.HasSuffix(strings.TrimSpace(m[3]), "*") {
							answered = append(answered, ibmConns(m[3]))
						}
					}
				}
				if (src.internet || dst.internet) && len(passes) == 0 {
					continue // perhaps there is no route
				}
				pairs++
				for _, p := range probes {
					probed++
					has := func(f func(ibmProbe) bool) bool { return f(p) }
					want, back := slices.ContainsFunc(passes, has), slices.ContainsFunc(answered, has)
					got, gotBack := w.decide(src, dst, p)
					if got != want || p.proto == flow.TCP && want && gotBack != back {
						t.Fatalf("%s: %s => %s %+v: passes %t, answered %t; want %t, %t", c.config, src.address, dst.address, p, got, gotBack, want, back)
					}
				}
			}
		}
	}
	t.Logf("%d pairs, %d connections", pairs, probed)
	if pairs < 150 {
		t.Errorf("only %d pairs", pairs)
	}
}

// decide says whether p passes from src to dst, and whether its answers do.
func (w *ibmWorld) decide(src, dst ibmEnd, p ibmProbe) (passes, answered bool) {
	passes, answered = true, true
	back := ibmProbe{p.proto, p.dst, p.src}
	for _, side := range []struct {
		face        *policy.Interface
		there, here flow.Direction
	}{{src.face, flow.Egress, flow.Ingress}, {dst.face, flow.Ingress, flow.Egress}} {
		if side.face == nil {
			continue
		}
		passes = passes && policy.Decide(w.Path(side.face.ID, side.there), p.conn(src.address, dst.address, side.there)).Verdict == policy.Allowed
		answered = answered && policy.DecidePacket(w.Path(side.face.ID, side.here), back.conn(dst.address, src.address, side.here)).Verdict == policy.Allowed
	}
	return passes, answered
}
