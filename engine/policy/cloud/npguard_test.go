package cloud

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// These tests hold the reader and policy.Decide to the answers of np-guard's VPC
// network analyzer. Deliberate differences:
//
//   - Routing is no policy here: np-guard blocks what a private subnet sends to the
//     Internet ("blocked since subnet … is private"); the filters alone decide for us.
//   - np-guard goes on after a stage that denies; we ask each stage by itself.
//   - np-guard takes the instances for all the members that groups have. We know that
//     describe-instances leaves out other interfaces and would answer Unknown; the
//     tests take that caution away.
//   - The lint "sg-split-subnet" is about intent (a subnet as the unit of policy) and
//     is no check of ours; its facts are reproduced.

// npGuard reads an input of the analyzer as a closed world.
func npGuard(t *testing.T, config string) *policy.Snapshot {
	t.Helper()
	s := read(t, dataDir(t, "known-answers", "np-guard-analyzer", "aws", "input", config+".json"))
	s.Missing = slices.DeleteFunc(s.Missing, func(m policy.Missing) bool { return m.What == "network-interfaces" })
	return s
}

// at returns the interface with this primary address; nil for an address outside.
func at(s *policy.Snapshot, a netip.Addr) *policy.Interface {
	for i := range s.Interfaces {
		if s.Interfaces[i].Addresses[0] == a {
			return &s.Interfaces[i]
		}
	}
	return nil
}

// service is a protocol with a destination port.
type service struct {
	proto flow.Proto
	port  uint16
}

var services = []service{{flow.TCP, 0}, {flow.TCP, 80}, {flow.TCP, 9079}, {flow.TCP, 9080}, {flow.TCP, 9081}, {flow.TCP, 65535},
	{flow.UDP, 53}, {flow.UDP, 9080}, {flow.ICMP, 0}, {47, 0}}

// conn is what the interface at local sees of a connection from src to dst.
func (v service) conn(src, dst netip.Addr, d flow.Direction) *policy.Conn {
	const clientPort = 50000
	c := &policy.Conn{Direction: d, Proto: v.proto, ICMP: policy.AnyICMP, Local: src, Remote: dst}
	if v.proto.HasPorts() {
		c.LocalPort, c.RemotePort = clientPort, v.port
	}
	if d == flow.Ingress {
		c.Local, c.Remote = dst, src
		c.LocalPort, c.RemotePort = c.RemotePort, c.LocalPort
	}
	return c
}

// npRule writes a rule as the analyzer's explanations do.
func npRule(s *policy.Snapshot, ref policy.Ref) string {
	i, ok := s.RuleIndex(ref)
	if !ok {
		return ref.String()
	}
	r := s.Rules()[i]
	d := map[flow.Direction]string{flow.Ingress: "inbound", flow.Egress: "outbound"}[r.Direction]
	if _, isGroup := s.Group(ref.Owner); isGroup {
		return fmt.Sprintf("direction: %s, target: %s, protocol: %s", d, r.Peer(), r.Protocol())
	}
	return fmt.Sprintf("ruleNumber: %d, action: %s, direction: %s, cidr: %s, protocol: %s", r.Rank, r.Action, d, r.Peer(), r.Protocol())
}

// npSection is the part of an explanation about one side of one way.
type npSection struct {
	reply     bool
	direction flow.Direction
	rules     map[string][]string // group or ACL → its rules that allow, as text
}

var (
	npAllows = regexp.MustCompile(`^(?:security group|network ACL) (\S+) allows connection with`)
	npNone   = regexp.MustCompile(`^security group (\S+) has no relevant rules`)
	npIndex  = regexp.MustCompile(`^(?:In|Out)bound index: \d+, `)
)

// npSections parses the details of an explanation.
func npSections(text string) []npSection {
	var out []npSection
	reply, owner := false, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "Path is "):
			reply = false
		case strings.HasPrefix(line, "TCP response is "):
			reply = true
		case line == "Egress:":
			out = append(out, npSection{reply, flow.Egress, make(map[string][]string)})
		case line == "Ingress:":
			out = append(out, npSection{reply, flow.Ingress, make(map[string][]string)})
		case npAllows.MatchString(line):
			owner = npAllows.FindStringSubmatch(line)[1]
		case npNone.MatchString(line):
			out[len(out)-1].rules[npNone.FindStringSubmatch(line)[1]] = nil
		case npIndex.MatchString(line), strings.HasPrefix(line, "ruleNumber: "):
			sec := out[len(out)-1]
			sec.rules[owner] = append(sec.rules[owner], npIndex.ReplaceAllString(line, ""))
		}
	}
	return out
}

func TestNPGuardExplanations(t *testing.T) {
	dir := dataDir(t, "known-answers", "np-guard-analyzer", "aws")
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Kind, Name, InputConfig, ESrc, EDst string }
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	explained := 0
	for _, c := range cases {
		if c.Kind != "explain" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "explain", c.Name+"_all_vpcs_explain_detail.txt"))
		if err != nil {
			t.Fatal(err)
		}
		s := npGuard(t, c.InputConfig)
		src, dst := netip.MustParseAddr(c.ESrc), netip.MustParseAddr(c.EDst)
		allowed, filtered := true, false
		for _, sec := range npSections(string(text)) {
			explained++
			groups, admit := 0, 0
			for owner, rules := range sec.rules {
				if _, ok := s.Group(owner); ok {
					groups++
					admit += len(rules)
				}
			}
			filtered = filtered || groups > 0 && admit == 0 // no group admits it: not only a matter of routing
			// A reply leaves the destination and enters the source.
			from, to := src, dst
			if sec.reply {
				from, to = dst, src
			}
			here := from
			if sec.direction == flow.Ingress {
				here = to
			}
			f := at(s, here)
			if f == nil {
				t.Fatalf("%s: no interface at %s", c.Name, here)
			}
			for _, v := range services {
				got := make(map[string][]string)
				if !sec.reply { // only the groups that apply can have relevant rules
					for _, g := range f.Groups {
						got[g] = nil
					}
				}
				for _, st := range s.Path(f.ID, sec.direction) {
					if sec.reply && st.Stateful {
						continue
					}
					d := st.Decide(v.conn(from, to, sec.direction))
					allowed = allowed && d.Verdict == policy.Allowed
					for _, w := range d.Winners {
						if w.Owner != policy.ImplicitOwner {
							got[w.Owner] = append(got[w.Owner], npRule(s, w))
						}
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(sec.rules) {
					t.Errorf("%s: %s (reply %t) %v:\n got  %v\n want %v", c.Name, sec.direction, sec.reply, v, got, sec.rules)
				}
			}
		}
		if allowed == filtered {
			t.Errorf("%s: allowed by the filters: %t, want %t", c.Name, allowed, !filtered)
		}
	}
	if explained != 4+1+1+2 {
		t.Errorf("%d sides explained, want 8", explained)
	}
}

var npLine = regexp.MustCompile(`^(.+?) => (.+?) : (All Connections|protocol: TCP(?: dst-ports: (\d+)-?(\d+)?)?)`)

// The connectivity tables, for every pair of instances and every probe.
func TestNPGuardConnectivity(t *testing.T) {
	inBrackets := regexp.MustCompile(`\[(.+)\]`)
	for _, config := range []string{"aws_sg_1", "basic_config_with_sg"} {
		s := npGuard(t, config)
		text, err := os.ReadFile(dataDir(t, "known-answers", "np-guard-analyzer", "aws", "connectivity", config+"_all_vpcs_.txt"))
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[[2]string]func(service) bool)
		for line := range strings.Lines(string(text)) {
			m := npLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			var ends [2]string
			for i, end := range m[1:3] {
				if a := inBrackets.FindStringSubmatch(end); a != nil {
					ends[i] = a[1]
				} else {
					ends[i] = "198.51.100.1" // the Internet
				}
			}
			want[ends] = func(v service) bool {
				return m[3] == "All Connections" || v.proto == flow.TCP && (m[4] == "" || m[4] == fmt.Sprint(v.port))
			}
		}
		if len(want) < 4 {
			t.Fatalf("%s: %d lines", config, len(want))
		}
		decide := func(src, dst netip.Addr, v service) bool {
			ok := true
			for _, side := range []struct {
				a netip.Addr
				d flow.Direction
			}{{src, flow.Egress}, {dst, flow.Ingress}} {
				if f := at(s, side.a); f != nil {
					ok = ok && policy.Decide(s.Path(f.ID, side.d), v.conn(src, dst, side.d)).Verdict == policy.Allowed
				}
			}
			return ok
		}
		pairs := make(map[[2]string]bool)
		for pair := range want {
			pairs[pair] = true // pairs with the Internet: only where the route is there
		}
		for i := range s.Interfaces {
			for j := range s.Interfaces {
				if i != j {
					pairs[[2]string{s.Interfaces[i].Addresses[0].String(), s.Interfaces[j].Addresses[0].String()}] = true
				}
			}
		}
		for pair := range pairs {
			for _, v := range services {
				expect := want[pair] != nil && want[pair](v)
				if got := decide(netip.MustParseAddr(pair[0]), netip.MustParseAddr(pair[1]), v); got != expect {
					t.Errorf("%s: %s => %s %v: allowed %t, want %t", config, pair[0], pair[1], v, got, expect)
				}
			}
		}
	}
}

var (
	npSplit   = regexp.MustCompile(`security group "(\S+)" rule splits subnet "\S+" \((\S+)\)`)
	npDetails = regexp.MustCompile(`direction: (\w+), target: (.+), protocol: (\w+)(?:, dstPorts: (\d+)-(\d+))?`)
)

// The lint's facts: the rule has these peers, group references resolved, and they
// hold a part of the subnet, not all of it.
func TestNPGuardSplitSubnets(t *testing.T) {
	s := npGuard(t, "aws_sg_1")
	text, err := os.ReadFile(dataDir(t, "known-answers", "np-guard-analyzer", "aws", "lint", "aws_sg_1_Lint.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	found := 0
	for i, line := range lines {
		m := npSplit.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		found++
		d := npDetails.FindStringSubmatch(lines[i+1])
		subnet := netip.MustParsePrefix(m[2])
		var want, got []string
		for _, p := range strings.Split(d[2], ", ") {
			c, err := parsePrefix(p)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, c.String())
		}
		ports := "all"
		if d[4] != "" && d[4]+"-"+d[5] != "0-65535" {
			ports = d[4]
		}
		g, _ := s.Group(m[1])
		part := false
		for j := range g.Rules {
			r := &g.Rules[j]
			if (r.Direction == flow.Ingress) != (d[1] == "inbound") || r.Protocol() != d[3] || r.Ports() != ports {
				continue
			}
			for _, p := range s.Resolve(r.Match[0].Remote).Prefixes {
				got = append(got, p.String())
				part = part || subnet.Overlaps(p) && p.Bits() > subnet.Bits()
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(slices.Compact(got), want) || !part {
			t.Errorf("%s: peers %v, want %v; part of %s: %t", m[1], got, want, subnet, part)
		}
	}
	if found != 3 {
		t.Errorf("%d findings, want 3", found)
	}
}
