package cloud

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// batfishRows reads the rows of an answer.
func batfishRows(t *testing.T, to any, name string) {
	t.Helper()
	t.Helper()
	var answers []struct{ Rows json.RawMessage }
	readJSON(t, &answers, "known-answers", "batfish-filters", name)
	if err := json.Unmarshal(answers[0].Rows, to); err != nil {
		t.Fatal(err)
	}
}

// iptables writes the filter table of a host in the policy language: the chain INPUT
// is what enters, OUTPUT what leaves, FORWARD an interface of its own.
func iptables(t *testing.T, host, address string) string {
	t.Helper()
	text, err := os.ReadFile(dataDir(t, "known-answers", "batfish-filters", "example", "iptables", host+".iptables"))
	if err != nil {
		t.Fatal(err)
	}
	defaults := make(map[string]string)
	var rules strings.Builder
	table, n := "", 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "#":
		case strings.HasPrefix(f[0], "*"):
			table = f[0]
		case table != "*filter":
		case strings.HasPrefix(f[0], ":"):
			defaults[f[0][1:]] = map[string]string{"ACCEPT": "allow", "DROP": "deny"}[f[1]]
		case f[0] == "-A":
			n++
			args := make(map[string]string)
			for i := 2; i+1 < len(f); i += 2 {
				args[f[i]] = f[i+1]
			}
			d, side, peer := "ingress", "from", "-s"
			if f[1] == "OUTPUT" {
				d, side, peer = "egress", "to", "-d"
			}
			protocol, remote := "all", "any"
			if p := args["-p"]; p != "" {
				protocol = p + " " + args["--dport"]
			}
			if a := args[peer]; a != "" {
				remote = a
			}
			action := map[string]string{"ACCEPT": "allow", "DROP": "deny"}[args["-j"]]
			fmt.Fprintf(&rules, "  line%d %s %s %s %s %s priority=%d\n", n, d, action, protocol, side, remote, n)
		}
	}
	return fmt.Sprintf("interface %s %s\n  stage filter %s/%s %s\ngroup %s\n%s", host, address, defaults["INPUT"], defaults["OUTPUT"], host, host, rules.String()) +
		fmt.Sprintf("interface %s-forward %s\n  stage filter %s/%s none\n", host, address, defaults["FORWARD"], defaults["FORWARD"])
}

// testfilters: each host's chains and the flow that batfish asks about, all of which
// their policies decide; and the lines of the chains, which its flow meets none of.
func TestBatfishTestFilters(t *testing.T) {
	s, err := ParseText("hosts", []byte("platform none\n"+iptables(t, "host1", "2.128.0.101")+iptables(t, "host2", "2.128.1.101")))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Node   struct{ Name string }
		Filter string `json:"Filter_Name"`
		Flow   struct {
			DstIP      string `json:"dstIp"`
			SrcIP      string `json:"srcIp"`
			DstPort    uint16 `json:"dstPort"`
			SrcPort    uint16 `json:"srcPort"`
			IPProtocol string `json:"ipProtocol"`
		}
		Action  string
		Content string `json:"Line_Content"`
	}
	batfishRows(t, &rows, "basic__testfilters.ref")
	if len(rows) != 6 {
		t.Fatalf("%d answers", len(rows))
	}
	for _, r := range rows {
		id, d := r.Node.Name, flow.Ingress
		switch r.Filter {
		case "filter::OUTPUT":
			d = flow.Egress
		case "filter::FORWARD":
			id += "-forward"
		}
		p, _ := flow.ParseProto(strings.ToLower(r.Flow.IPProtocol))
		c := ibmProbe{p, r.Flow.SrcPort, r.Flow.DstPort}.conn(netip.MustParseAddr(r.Flow.SrcIP), netip.MustParseAddr(r.Flow.DstIP), d)
		got := policy.Decide(s.Path(id, d), c)
		line := got.Stages[0].Winners[0].Rule
		if strings.HasPrefix(line, policy.DefaultRef("filter", d).Rule) {
			line = "default"
		}
		if got.Verdict.String() != strings.ToLower(strings.Replace(r.Action, "PERMIT", "allow", 1)) || line != r.Content {
			t.Errorf("%s %s: %s by %s, want %s by %s", r.Node.Name, r.Filter, got.Verdict, line, r.Action, r.Content)
		}
	}
	decideLines(t, s, `
host1 in udp 8.8.8.8 53 = allow host1/line1
host1 in tcp 8.8.8.8 22 = allow host1/line2
host1 in tcp 8.8.8.8 53 = deny default:filter:ingress
host2 in udp 8.8.8.8 53 = deny default:filter:ingress
host2 out tcp 2.128.0.101 80 = deny host2/line2
host2 out tcp 2.128.0.102 80 = allow default:filter:egress
host1 out tcp 2.128.0.101 80 = allow default:filter:egress
`)
}

// filterLineReachability: the lines that never speak, with the lines that are in their
// way. The configuration is not here, but the answer quotes all lines that matter.
func TestBatfishLineReachability(t *testing.T) {
	var rows []struct {
		Sources []string
		Line    string   `json:"Unreachable_Line"`
		Action  string   `json:"Unreachable_Line_Action"`
		By      []string `json:"Blocking_Lines"`
		Differs bool     `json:"Different_Action"`
	}
	batfishRows(t, &rows, "basic__filterLineReachability.ref")
	if len(rows) != 2 {
		t.Fatalf("%d answers", len(rows))
	}
	for _, r := range rows {
		var b strings.Builder
		b.WriteString("platform none\ninterface router 10.0.0.1\n  stage filter deny/deny acl\ngroup acl\n")
		for i, line := range append(r.By, r.Line) {
			fmt.Fprintf(&b, "  %d egress %s\n", 10*(i+1), ciscoLine(t, line))
		}
		s, err := ParseText("acl", []byte(b.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		st := &s.Path("router", flow.Egress)[0]
		list := space.Of(st)
		last := len(list.Lines) - 1
		if got := list.Redundant(last, nil); got != space.Shadowed {
			t.Errorf("%s: %s: reason %v, want shadowed", r.Sources[0], r.Line, got)
		}
		if by := list.By(last, space.Shadowed, nil); len(by) != len(r.By) {
			t.Errorf("%s: %s: in the way are %v, want all %d", r.Sources[0], r.Line, by, len(r.By))
		}
		for i := range r.By {
			if list.Redundant(i, nil) == space.Shadowed {
				t.Errorf("%s: %s does speak", r.Sources[0], r.By[i])
			}
			if differs := list.Lines[i].Rule.Action != list.Lines[last].Rule.Action; differs != r.Differs {
				t.Errorf("%s: another action: %t, want %t", r.Sources[0], differs, r.Differs)
			}
		}
		// The slow definition says so too: the line wins at no cell.
		grid := cellsOf(st)
		grid.each(func(c *policy.Conn) {
			c.Direction = flow.Egress
			for _, w := range st.Decide(c).Winners {
				if w == list.Lines[last].Rule.Ref {
					t.Errorf("%s: %s speaks of %+v", r.Sources[0], r.Line, c)
				}
			}
		})
	}
}

// ciscoLine writes "permit ip SOURCE WILDCARD DESTINATION WILDCARD" as an egress rule
// without its id.
func ciscoLine(t *testing.T, line string) string {
	t.Helper()
	f := strings.Fields(line)
	var ends []string
	for at := 2; at < len(f); at++ {
		if f[at] == "any" {
			ends = append(ends, "0.0.0.0/0")
			continue
		}
		bits := 32
		for _, b := range netip.MustParseAddr(f[at+1]).As4() {
			for ; b > 0; b >>= 1 {
				bits--
			}
		}
		ends = append(ends, fmt.Sprintf("%s/%d", f[at], bits))
		at++
	}
	if len(ends) != 2 {
		t.Fatalf("line %q", line)
	}
	text := map[string]string{"permit": "allow", "deny": "deny"}[f[0]] + " " + map[string]string{"ip": "all"}[f[1]]
	if f[1] != "ip" {
		text += f[1]
	}
	if text += " to " + ends[1]; ends[0] != "0.0.0.0/0" {
		text += " at " + ends[0]
	}
	return text
}
