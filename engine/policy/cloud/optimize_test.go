package cloud

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// These tests hold policy.Decide to np-guard's optimiser: its rule sets before and
// after permit the same. Both are written in the policy language and compared at one
// connection of every cell into which the bounds of all rules cut the space of
// connections, which compares all.
//
// Deliberate difference: np-guard's universe has TCP, UDP and ICMP alone, no port 0,
// and no ICMP type 255. Where its result says "any" for rules that together name all of
// that universe, it permits more than they did; the test counts those cells apart and
// holds them to be of that kind. sgadvise would not merge such rules.

// cells holds the least value of each cell on every axis. All is IPv4.
type cells struct {
	local, remote         []netip.Addr
	localPort, remotePort []uint16
	types                 []int16
}

func cellsOf(stages ...*policy.Stage) cells {
	c := cells{local: []netip.Addr{netip.IPv4Unspecified()}, remote: []netip.Addr{netip.IPv4Unspecified()},
		localPort: []uint16{0, 1}, remotePort: []uint16{0, 1}, types: []int16{0, 255}}
	addresses := func(to *[]netip.Addr, s *policy.AddrSet) {
		for _, p := range s.Prefixes {
			if !p.Addr().Is4() {
				continue
			}
			*to = append(*to, p.Addr())
			if next := lastAddr(p).Next(); next.IsValid() {
				*to = append(*to, next)
			}
		}
	}
	ports := func(to *[]uint16, first, last uint16) {
		*to = append(*to, first)
		if last < 65535 {
			*to = append(*to, last+1)
		}
	}
	for _, st := range stages {
		for _, tier := range st.Tiers {
			for _, r := range tier.Rules {
				for _, m := range r.Match {
					addresses(&c.local, &m.Local)
					addresses(&c.remote, &m.Remote)
					ports(&c.localPort, m.LocalPorts.First, m.LocalPorts.Last)
					ports(&c.remotePort, m.RemotePorts.First, m.RemotePorts.Last)
					if m.ICMP.Type >= 0 {
						c.types = append(c.types, m.ICMP.Type, min(m.ICMP.Type+1, 255))
					}
				}
			}
		}
	}
	slices.SortFunc(c.local, netip.Addr.Compare)
	slices.SortFunc(c.remote, netip.Addr.Compare)
	slices.Sort(c.localPort)
	slices.Sort(c.remotePort)
	slices.Sort(c.types)
	c.local, c.remote, c.types = slices.Compact(c.local), slices.Compact(c.remote), slices.Compact(c.types)
	c.localPort, c.remotePort = slices.Compact(c.localPort), slices.Compact(c.remotePort)
	return c
}

// each calls f with a connection of each cell.
func (c *cells) each(f func(*policy.Conn)) {
	for _, local := range c.local {
		for _, remote := range c.remote {
			for _, p := range []flow.Proto{flow.TCP, flow.UDP} {
				for _, lp := range c.localPort {
					for _, rp := range c.remotePort {
						f(&policy.Conn{Proto: p, Local: local, Remote: remote, LocalPort: lp, RemotePort: rp, ICMP: policy.AnyICMP})
					}
				}
			}
			for _, t := range c.types {
				f(&policy.Conn{Proto: flow.ICMP, Local: local, Remote: remote, ICMP: policy.TypeCode{Type: t, Code: 0}})
			}
			f(&policy.Conn{Proto: 47, Local: local, Remote: remote, ICMP: policy.AnyICMP})
		}
	}
}

var (
	ibmResource = regexp.MustCompile(`^resource "(\w+)" "([^"]+)" \{`)
	ibmArgument = regexp.MustCompile(`^(\w+)\s*= (.*)$`)
)

// readOptimized reads np-guard's Terraform into c: the rules of each group and network
// ACL that it has take the place of those of the same name, which it returns.
func readOptimized(t *testing.T, c *ibmConfig, path string) (owners []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rules := make(map[string][]ibmRule)
	var owner string
	var r *ibmRule
	depth, begun := 0, 0
	protocol := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if m := ibmResource.FindStringSubmatch(line); m != nil {
			owner, depth = m[2], 1
			switch m[1] {
			case "ibm_is_security_group_rule":
				r, begun, protocol = &ibmRule{Protocol: "all"}, 1, "" // whose owner it names
				r.Local.Block = "0.0.0.0/0"
			default:
				r = nil
				owners = append(owners, owner)
				rules[owner] = nil
			}
			continue
		}
		switch {
		case line == "rules {":
			depth++
			r, begun, protocol = &ibmRule{Protocol: "all"}, depth, ""
		case strings.HasSuffix(line, "{"):
			depth++
			protocol = strings.TrimSuffix(line, " {")
			r.Protocol = protocol
		case line == "}":
			if depth--; r != nil && depth < begun {
				rules[owner] = append(rules[owner], *r)
				r = nil
			}
		case r != nil && ibmArgument.MatchString(line):
			m := ibmArgument.FindStringSubmatch(line)
			if v := r.set(t, m[1], m[2]); v != "" {
				owner = v
			}
		}
	}
	for i := range c.Groups {
		if n, ok := rules[c.Groups[i].Name]; ok {
			c.Groups[i].Rules = n
		}
	}
	for i := range c.ACLs {
		if n, ok := rules[c.ACLs[i].Name]; ok {
			c.ACLs[i].Rules = n
		}
	}
	return owners
}

// set sets one argument of a rule; it returns the group if that is what it names.
func (r *ibmRule) set(t *testing.T, key, value string) (owner string) {
	t.Helper()
	text := strings.Trim(value, `"`)
	name := strings.TrimSuffix(strings.TrimPrefix(value, "ibm_is_security_group."), ".id")
	number := func(to **int) {
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		*to = &n
	}
	acl := r.Source != ""
	switch key {
	case "group":
		return name
	case "name":
		r.Name = text
	case "action":
		r.Action = text
	case "direction":
		r.Direction = text
	case "source":
		r.Source = text
	case "destination":
		r.Destination = text
	case "local":
		r.Local.Block = text
	case "remote":
		if r.Remote.Block = text; name != value {
			r.Remote.Block, r.Remote.Name = "", name
		}
	case "port_min":
		number(map[bool]**int{true: &r.DstMin, false: &r.PortMin}[acl])
	case "port_max":
		number(map[bool]**int{true: &r.DstMax, false: &r.PortMax}[acl])
	case "source_port_min":
		number(&r.SrcMin)
	case "source_port_max":
		number(&r.SrcMax)
	case "type":
		number(&r.Type)
	case "code":
		number(&r.Code)
	default:
		t.Fatalf("argument %s", key)
	}
	return ""
}

func TestNPGuardOptimizedPermitsTheSame(t *testing.T) {
	for _, c := range []struct {
		name, after string
		rules       [2]int // of what the result holds, before and after
		wider       bool   // the result permits more, outside of np-guard's universe
	}{
		{"optimize_acl", "optimize_acl_tf__nacl_expected.tf", [2]int{17, 6}, true},
		{"optimize_acl", "optimize_acl_json__nacl_expected.json", [2]int{17, 6}, true},
		{"optimize_acl2", "optimize_acl2_tf__nacl_expected.tf", [2]int{4, 3}, false},
		{"optimize_acl4", "optimize_acl4_tf__nacl_expected.tf", [2]int{259, 4}, true},
		{"optimize_sg2", "optimize_sg2_tf__sg_expected.tf", [2]int{4, 3}, false},
		{"optimize_sg_redundant", "optimize_sg_redundant__sg_expected.tf", [2]int{14, 10}, false},
		{"optimize_sg_t", "optimize_sg_t__sg_expected.tf", [2]int{7, 6}, false},
	} {
		t.Run(c.after, func(t *testing.T) {
			at := []string{"known-answers", "np-guard-optimize", c.name}
			before := readIBM(t, append(at, "config_object.json")...)
			var after *ibmWorld
			var owners []string
			if strings.HasSuffix(c.after, ".json") {
				after = readIBM(t, append(at, "expected", c.after)...)
				for _, a := range after.ACLs {
					owners = append(owners, a.ID)
				}
			} else {
				var config ibmConfig
				readJSON(t, &config, append(at, "config_object.json")...)
				owners = readOptimized(t, &config, dataDir(t, append(at, "expected", c.after)...))
				after = ibmWorldOf(t, &config, c.after)
			}
			var counts [2]int
			compared, wider := 0, 0
			for _, owner := range owners {
				for i, w := range []*ibmWorld{before, after} {
					counts[i] += len(w.rulesOf(owner))
				}
				for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
					a, b := before.stageOf(before.rulesOf(owner), d, nil), after.stageOf(after.rulesOf(owner), d, nil)
					same := wider
					grid := cellsOf(a, b)
					grid.each(func(conn *policy.Conn) {
						conn.Direction = d
						compared++
						was, is := a.Decide(conn).Verdict, b.Decide(conn).Verdict
						switch {
						case was == is:
						case was == policy.Denied && beyondNPGuard(conn):
							wider++
						default:
							t.Errorf("%s %s %+v: %s before, %s after", owner, d, conn, was, is)
						}
					})
					// The algebra of lists says the same where it knows the lists to the end.
					diff := space.Compare(space.Of(a), space.Of(b), 9)
					if !diff.Unsure && (diff.Empty() != (wider == same) || len(diff.Closed) > 0) {
						t.Errorf("%s %s: %d cells wider, yet opened %v, closed %v", owner, d, wider-same, diff.Opened, diff.Closed)
					}
				}
			}
			if counts != c.rules || compared < 50 || (wider > 0) != c.wider {
				t.Errorf("%d rules, want %d; %d cells compared, %d wider", counts, c.rules, compared, wider)
			}
			t.Logf("%d → %d rules, %d cells, %d wider", counts[0], counts[1], compared, wider)
		})
	}
}

// beyondNPGuard reports whether c is outside of what np-guard takes for all traffic.
func beyondNPGuard(c *policy.Conn) bool {
	if c.Proto.HasPorts() {
		return c.LocalPort == 0 || c.RemotePort == 0
	}
	return c.Proto != flow.ICMP || c.ICMP.Type == 255
}

// rulesOf returns the rules of a group or network ACL.
func (w *ibmWorld) rulesOf(owner string) []policy.Rule {
	if g, ok := w.Group(owner); ok {
		return g.Rules
	}
	for i := range w.ACLs {
		if w.ACLs[i].ID == owner {
			return w.ACLs[i].Rules
		}
	}
	return nil
}

// Where rules are only redundant, taking one at a time away while the list permits the
// same leaves as many as the optimiser does, and no fewer.
func TestNPGuardRedundantRulesAreFound(t *testing.T) {
	for _, c := range []struct {
		name, owner string
		left        []string
	}{
		{"optimize_sg_redundant", "test-vpc1--vsi1", []string{"all 0.0.0.0/30", "all 1.0.0.0/30", "all test-vpc1--vsi2", "all test-vpc1--vsi3a"}},
		{"optimize_sg_redundant", "test-vpc1--vsi2", []string{"all test-vpc1--vsi1"}},
		{"optimize_sg_redundant", "test-vpc1--vsi3a", []string{"all test-vpc1--vsi1"}},
	} {
		w := readIBM(t, "known-answers", "np-guard-optimize", c.name, "config_object.json")
		var left []string
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			list := space.Of(w.stageOf(w.rulesOf(c.owner), d, nil))
			gone := make(map[int]bool)
			for i := len(list.Lines) - 1; i >= 0; i-- {
				if list.Redundant(i, func(j int) bool { return !gone[j] }) != space.Needed {
					gone[i] = true
				}
			}
			for i, line := range list.Lines {
				if j, ok := w.RuleIndex(line.Rule.Ref); ok && !gone[i] {
					left = append(left, fmt.Sprintf("%s %s", w.Rules()[j].Protocol(), w.Rules()[j].Peer()))
				}
			}
		}
		slices.Sort(left)
		if !slices.Equal(left, c.left) {
			t.Errorf("%s of %s: left %q, want %q", c.owner, c.name, left, c.left)
		}
	}
}
