package cloud

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// TestBatfishFilters probes every interface's stages against the filters that batfish
// computed from the same exports: the ACL of each subnet, and the groups of the
// hosts that it models. Deliberate differences:
//
//   - batfish models no host for stopped instances, so the groups of the nine exported
//     interfaces have no answer there; their ACLs have. It invents interfaces for the
//     RDS database and the two nodes of the Elasticsearch domain, which the exports
//     do not list; the test adds them, with the addresses of the answer, and one
//     interface for each subnet.
//   - batfish leaves out a peer group that it does not know (sg-cf3f86b3) and denies; we
//     answer Unknown where only that peer could match.
//   - batfish denies packets with a spoofed source on egress. The local address is not
//     matched by security groups, and a flow log has no spoofed packets.
//   - batfish's "ALL 0.0.0.0/0" lines have no family. Here everything is IPv4.
//   - ACLs do not apply inside a subnet, nor to the platform's addresses: batfish puts
//     them between subnet and VPC, and models no platform. Such peers are not probed.
func TestBatfishFilters(t *testing.T) {
	nodes := batfishNodes(t)
	s := read(t, dataDir(t, "known-answers", "batfish-aws", "us-west-2"), batfishInterfaces(t, nodes))

	remotes := []netip.Addr{netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("223.255.255.254")}
	for _, n := range nodes {
		for _, a := range n.IPAccessLists {
			for _, p := range a.prefixes() {
				first, last := p.Addr(), lastAddr(p)
				remotes = append(remotes, first, last)
				for _, edge := range []netip.Addr{first.Prev(), last.Next()} {
					if edge.IsValid() {
						remotes = append(remotes, edge)
					}
				}
			}
		}
	}
	for i := range s.Interfaces {
		remotes = append(remotes, s.Interfaces[i].Addresses[0])
	}
	slices.SortFunc(remotes, netip.Addr.Compare)
	remotes = slices.Compact(remotes)
	probes := []service{{flow.TCP, 0}, {flow.TCP, 22}, {flow.TCP, 3305}, {flow.TCP, 3306}, {flow.TCP, 3307}, {flow.TCP, 65535},
		{flow.UDP, 3306}, {flow.UDP, 53}, {flow.ICMP, 0}, {47, 0}}

	probed, unknown := 0, 0
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		sub, ok := s.Subnet(f.Subnet)
		if !ok {
			t.Fatalf("%s: no subnet %s", f.ID, f.Subnet)
		}
		acl, _, _ := s.ACLFor(f)
		own := f.Addresses[0]
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			for _, st := range s.Path(f.ID, d) {
				lists, name := nodes[f.Subnet].IPAccessLists, acl.ID+"_"+d.String()
				if st.Name == "sg" {
					host, ok := nodes[f.Name]
					if !ok {
						continue // no host in the answer
					}
					lists = host.IPAccessLists
					name = host.filter(d)
				}
				for _, remote := range remotes {
					if remote == own || st.Name == "nacl" && sub.Blocks[0].Contains(remote) {
						continue
					}
					for _, v := range probes {
						src, dst := own, remote
						if d == flow.Ingress {
							src, dst = remote, own
						}
						want := batfishPermits(t, lists, name, packet{v.proto, src, dst, v.port})
						got := st.Decide(v.conn(src, dst, d))
						probed++
						if got.Verdict == policy.Unknown && !want && slices.Contains(f.Groups, "sg-55510831") && d == flow.Ingress && v == (service{flow.TCP, 3306}) {
							unknown++ // members of sg-cf3f86b3 may come in here
							continue
						}
						if (got.Verdict == policy.Allowed) != want || got.Verdict == policy.Unknown {
							t.Errorf("%s %s %s %v %s: %s, batfish permits: %t", f.ID, st.Name, d, v, remote, got.Verdict, want)
						}
					}
				}
			}
		}
	}
	t.Logf("%d probes, %d unknown", probed, unknown)
	if probed < 10000 || unknown == 0 {
		t.Errorf("%d probes, %d unknown", probed, unknown)
	}
}

// batfishNode is a device of the answer.
type batfishNode struct {
	Name          string                   `json:"name"`
	IPAccessLists map[string]batfishFilter `json:"ipAccessLists"`
	Interfaces    map[string]struct {
		Prefix         string `json:"prefix"`
		IncomingFilter string `json:"incomingFilter"`
		OutgoingFilter string `json:"outgoingFilter"`
	} `json:"interfaces"`
}

func (n *batfishNode) filter(d flow.Direction) string {
	for _, i := range n.Interfaces {
		if d == flow.Ingress {
			return i.IncomingFilter
		}
		return i.OutgoingFilter
	}
	return ""
}

type batfishFilter struct {
	Lines []batfishLine `json:"lines"`
}

type batfishLine struct {
	Class          string      `json:"class"`
	Action         string      `json:"action"`
	ACLName        string      `json:"aclName"`
	MatchCondition batfishExpr `json:"matchCondition"`
}

type batfishExpr struct {
	Class       string        `json:"class"`
	Conjuncts   []batfishExpr `json:"conjuncts"`
	Disjuncts   []batfishExpr `json:"disjuncts"`
	Operand     *batfishExpr  `json:"operand"`
	Protocol    string        `json:"protocol"`
	Ports       string        `json:"ports"`
	IPs         *batfishSpace `json:"ips"`
	HeaderSpace *struct {
		DstPorts    []string      `json:"dstPorts"`
		IPProtocols []string      `json:"ipProtocols"`
		Negate      bool          `json:"negate"`
		SrcIPs      *batfishSpace `json:"srcIps"`
		DstIPs      *batfishSpace `json:"dstIps"`
	} `json:"headerSpace"`
}

// batfishSpace is a set of addresses.
type batfishSpace struct {
	IP        string   `json:"ip"`
	Prefix    string   `json:"prefix"`
	Whitelist []string `json:"whitelist"`
}

func (b *batfishSpace) prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range append([]string{b.IP, b.Prefix}, b.Whitelist...) {
		if c, err := parsePrefix(p); err == nil {
			out = append(out, c)
		}
	}
	return out
}

func (b *batfishSpace) contains(a netip.Addr) bool {
	return b == nil || slices.ContainsFunc(b.prefixes(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// prefixes returns the prefixes that the filter names anywhere.
func (f batfishFilter) prefixes() []netip.Prefix {
	var out []netip.Prefix
	var walk func(*batfishExpr)
	walk = func(e *batfishExpr) {
		if e.IPs != nil {
			out = append(out, e.IPs.prefixes()...)
		}
		if h := e.HeaderSpace; h != nil && h.SrcIPs != nil {
			out = append(out, h.SrcIPs.prefixes()...)
		}
		for i := range e.Conjuncts {
			walk(&e.Conjuncts[i])
		}
		for i := range e.Disjuncts {
			walk(&e.Disjuncts[i])
		}
	}
	for i := range f.Lines {
		walk(&f.Lines[i].MatchCondition)
	}
	return out
}

// packet is what batfish's filters look at.
type packet struct {
	proto    flow.Proto
	src, dst netip.Addr
	dstPort  uint16
}

// batfishPermits evaluates a filter: the first line that matches speaks, none denies.
func batfishPermits(t *testing.T, lists map[string]batfishFilter, name string, p packet) bool {
	t.Helper()
	f, ok := lists[name]
	if !ok {
		t.Fatalf("no filter %q", name)
	}
	for i := range f.Lines {
		l := &f.Lines[i]
		switch {
		case l.ACLName != "":
			// Filters of groups only permit: where one does not, the next line may.
			if batfishPermits(t, lists, l.ACLName, p) {
				return true
			}
		case l.MatchCondition.matches(t, p):
			return l.Action == "PERMIT"
		}
	}
	return false
}

func (e *batfishExpr) matches(t *testing.T, p packet) bool {
	t.Helper()
	match := func(x batfishExpr) bool { return x.matches(t, p) }
	switch class := e.Class[strings.LastIndexByte(e.Class, '.')+1:]; class {
	case "TrueExpr":
		return true
	case "NotMatchExpr":
		return !e.Operand.matches(t, p)
	case "AndMatchExpr":
		return !slices.ContainsFunc(e.Conjuncts, func(x batfishExpr) bool { return !match(x) })
	case "OrMatchExpr":
		return slices.ContainsFunc(e.Disjuncts, match)
	case "MatchIpProtocol":
		return strings.ToUpper(p.proto.Name()) == e.Protocol
	case "MatchDestinationPort":
		return inPorts(t, e.Ports, p.dstPort)
	case "MatchSourceIp":
		return e.IPs.contains(p.src)
	case "MatchHeaderSpace":
		h := e.HeaderSpace
		ok := h.SrcIPs.contains(p.src) && h.DstIPs.contains(p.dst) &&
			(len(h.IPProtocols) == 0 || slices.Contains(h.IPProtocols, strings.ToUpper(p.proto.Name()))) &&
			(len(h.DstPorts) == 0 || slices.ContainsFunc(h.DstPorts, func(r string) bool { return inPorts(t, r, p.dstPort) }))
		return ok != h.Negate
	default:
		t.Fatalf("expression %s", class)
		return false
	}
}

func inPorts(t *testing.T, text string, port uint16) bool {
	t.Helper()
	first, last, ok := strings.Cut(text, "-")
	if !ok {
		last = first
	}
	a, err := strconv.Atoi(first)
	b, err2 := strconv.Atoi(last)
	if err != nil || err2 != nil {
		t.Fatalf("ports %q", text)
	}
	return a <= int(port) && int(port) <= b
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

func batfishNodes(t *testing.T) map[string]*batfishNode {
	t.Helper()
	f, err := os.Open(dataDir(t, "known-answers", "batfish-aws", "vimodel-example-aws.ref.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var answers []struct {
		Nodes map[string]*batfishNode `json:"nodes"`
	}
	if err := json.NewDecoder(z).Decode(&answers); err != nil {
		t.Fatal(err)
	}
	return answers[0].Nodes
}

// batfishInterfaces writes an export of the interfaces that batfish has and the
// exports lack, named after their hosts, and of one for each subnet.
func batfishInterfaces(t *testing.T, nodes map[string]*batfishNode) string {
	t.Helper()
	group := regexp.MustCompile(`SECURITY-GROUP~[^~]*~(sg-[0-9a-f]+)~`)
	subnet := regexp.MustCompile(`subnet-[0-9a-f]+`)
	var out []map[string]any
	for name, n := range nodes {
		var groups []map[string]string
		for list := range n.IPAccessLists {
			if m := group.FindStringSubmatch(list); m != nil && strings.HasPrefix(list, "~INGRESS~") {
				groups = append(groups, map[string]string{"GroupId": m[1]})
			}
		}
		for i, face := range n.Interfaces {
			p, err := netip.ParsePrefix(face.Prefix)
			switch {
			case err != nil:
			case len(groups) > 0:
				out = append(out, map[string]any{"NetworkInterfaceId": "eni-of-" + name, "Description": name, "SubnetId": subnet.FindString(i),
					"PrivateIpAddress": p.Addr().String(), "Groups": groups})
			case strings.HasPrefix(name, "subnet-") && i == "to-instances":
				out = append(out, map[string]any{"NetworkInterfaceId": "eni-in-" + name, "SubnetId": name,
					"PrivateIpAddress": lastAddr(p.Masked()).Prev().String()})
			}
		}
	}
	if len(out) != 13 {
		t.Fatalf("%d interfaces, want 3 of hosts and 10 of subnets", len(out))
	}
	data, err := json.Marshal(map[string]any{"NetworkInterfaces": out})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "interfaces.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(fmt.Errorf("interfaces: %w", err))
	}
	return path
}
