package cloud

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The rules of Abedin et al., "Detection and resolution of anomalies in firewall policy
// rules" (2006), as ordered lists.

// abedinRule is a rule as the paper prints it, in the policy language but for its rank.
type abedinRule struct {
	text string
	size uint64 // pairs of addresses, to order rules from the special to the general
}

// readAbedin reads "<IN, TCP, SOURCE, PORTS, DESTINATION, PORTS, ACCEPT>" lines.
func readAbedin(t *testing.T, name string) []abedinRule {
	t.Helper()
	data, err := os.ReadFile(dataDir(t, "known-answers", "abedin2006", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []abedinRule
	for line := range strings.Lines(string(data)) {
		_, rest, ok := strings.Cut(line, "<")
		if rule, _, end := strings.Cut(rest, ">"); ok && end {
			out = append(out, parseAbedin(t, rule))
		}
	}
	return out
}

func parseAbedin(t *testing.T, rule string) abedinRule {
	t.Helper()
	f := strings.Split(rule, ",")
	if len(f) != 7 {
		t.Fatalf("rule %s", rule)
	}
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	ports := func(s string) string {
		if s == "ANY" || s == "*" {
			return "all"
		}
		return s
	}
	source, n := abedinBlocks(t, f[2])
	destination, m := abedinBlocks(t, f[4])
	action := map[string]string{"ACCEPT": "allow", "ALLOW": "allow", "REJECT": "deny", "DENY": "deny"}[f[6]]
	if f[0] == "OUT" {
		return abedinRule{fmt.Sprintf("egress %s %s %s to %s at %s peer-ports=%s", action, strings.ToLower(f[1]), ports(f[5]), destination, source, ports(f[3])), n * m}
	}
	return abedinRule{fmt.Sprintf("ingress %s %s %s from %s at %s peer-ports=%s", action, strings.ToLower(f[1]), ports(f[5]), source, destination, ports(f[3])), n * m}
}

// abedinBlocks writes ANY, *, 1.2.3.*, a CIDR, 1.2.3.4-5 or 1.2.3.4-1.2.3.5 as CIDRs,
// and counts the addresses.
func abedinBlocks(t *testing.T, s string) (text string, n uint64) {
	t.Helper()
	first, last, isRange := strings.Cut(s, "-")
	switch {
	case s == "ANY" || s == "*":
		s = "0.0.0.0/0"
	case strings.HasSuffix(s, ".*"):
		s = strings.TrimSuffix(s, "*") + "0/24"
	case isRange && !strings.Contains(last, "."):
		last = first[:strings.LastIndexByte(first, '.')+1] + last
	}
	var r netset.Addrs
	if isRange {
		r = netset.Addrs{First: flow.AddrFrom(netip.MustParseAddr(first)), Last: flow.AddrFrom(netip.MustParseAddr(last))}
	} else {
		p, err := parsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		r = netset.AddrsOf(p)
	}
	var blocks []string
	for _, p := range r.Prefixes() {
		blocks = append(blocks, p.String())
	}
	n, _ = r.Size().Uint64()
	return strings.Join(blocks, " "), n
}

// abedinList is the rules as one stage of an interface, in order.
func abedinList(t *testing.T, rules []abedinRule) *policy.Snapshot {
	t.Helper()
	var b strings.Builder
	b.WriteString("platform none\ninterface host 129.110.96.80\n  stage list deny/deny rules\ngroup rules\n")
	for i, r := range rules {
		fmt.Fprintf(&b, "  rule%d %s priority=%d\n", i+1, r.text, i+1)
	}
	s, err := ParseText("rules", []byte(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return s
}

// abedinDifference returns the connections, one of each cell, on which a and b differ,
// and how many there are.
func abedinDifference(a, b *policy.Snapshot) (differ []*policy.Conn, cells int) {
	for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
		x, y := &a.Path("host", d)[0], &b.Path("host", d)[0]
		grid := cellsOf(x, y)
		grid.each(func(c *policy.Conn) {
			cells++
			c.Direction = d
			if x.Decide(c).Verdict != y.Decide(c).Verdict {
				differ = append(differ, c)
			}
		})
	}
	return differ, cells
}

// The published result has lost a piece: rule 1 rejects what 129.110.96.117 sends to
// port 80 of any address, but of its three pieces the result has only the one below
// 129.110.96.80. So the result permits 129.110.96.117 to reach port 80 of the addresses
// above, in whatever order it is read. Read from the special to the general, as the
// paper's insertion of subsets before supersets leaves it, it permits the same
// otherwise; with the piece put back it permits the same everywhere.
func TestAbedinResolvedRules(t *testing.T) {
	rules := abedinList(t, readAbedin(t, "example_rules_1"))
	result := readAbedin(t, "expected_resolved.txt")
	if len(rules.Rules()) != 11 || len(result) != 12 {
		t.Fatalf("%d rules, %d resolved", len(rules.Rules()), len(result))
	}
	special := func(rs []abedinRule) *policy.Snapshot {
		rs = slices.Clone(rs)
		slices.SortStableFunc(rs, func(a, b abedinRule) int {
			switch {
			case a.size < b.size:
				return -1
			case a.size > b.size:
				return 1
			}
			return 0
		})
		return abedinList(t, rs)
	}

	differ, cells := abedinDifference(rules, special(result))
	above := netip.MustParseAddr("129.110.96.80")
	for _, c := range differ {
		if c.Direction != flow.Ingress || c.Proto != flow.TCP || c.Remote != netip.MustParseAddr("129.110.96.117") || c.LocalPort != 80 || c.Local.Compare(above) <= 0 {
			t.Errorf("differs at %+v", c)
		}
	}
	if len(differ) == 0 || cells < 1000 {
		t.Errorf("%d of %d cells differ", len(differ), cells)
	}

	lost := parseAbedin(t, "IN, TCP, 129.110.96.117, *, 129.110.96.81-255.255.255.255, 80, DENY")
	if differ, _ := abedinDifference(rules, special(append(slices.Clone(result), lost))); len(differ) > 0 {
		t.Errorf("differs with the piece put back: %d cells, first %+v", len(differ), differ[0])
	}
}

// The paper's example of merging: six rules are one box.
func TestAbedinMergedRules(t *testing.T) {
	six := readAbedin(t, "example_rules_2")
	one := parseAbedin(t, "IN, TCP, 202.80.169.29-110, 483-484, 129.110.96.64-164, 100-127, ACCEPT")
	if differ, cells := abedinDifference(abedinList(t, six), abedinList(t, []abedinRule{one})); len(six) != 6 || len(differ) > 0 || cells < 500 {
		t.Errorf("%d rules, %d of %d cells differ", len(six), len(differ), cells)
	}
	// Each of the six is needed.
	for i := range six {
		rest := slices.Delete(slices.Clone(six), i, i+1)
		if differ, _ := abedinDifference(abedinList(t, six), abedinList(t, rest)); len(differ) == 0 {
			t.Errorf("rule %d is not needed", i+1)
		}
	}
}
