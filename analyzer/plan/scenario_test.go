package plan_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// day0 is the first day of the windows in these tests.
const day0 = int64(19700) * 86400

// records reads log lines: interface source destination source-port destination-port
// protocol action flags ("-": none) [day]. A last line on day 41 makes the window six weeks.
func records(t testing.TB, text string) []flow.Record {
	t.Helper()
	var out []flow.Record
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		num := func(i int) int {
			n, err := strconv.Atoi(f[i])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return n
		}
		r := flow.Record{Interface: f[0], Src: netip.MustParseAddr(f[1]), Dst: netip.MustParseAddr(f[2]),
			SrcPort: uint16(num(3)), DstPort: uint16(num(4)), Proto: flow.Proto(num(5)), Packets: 4, Bytes: 400,
			Action: map[string]flow.Action{"ACCEPT": flow.Accept, "REJECT": flow.Reject}[f[6]], Start: day0}
		if f[7] != "-" {
			r.Flags = flow.FlagsKnown | flow.TCPFlags(num(7))
		}
		if len(f) > 8 {
			r.Start += int64(num(8)) * 86400
		}
		r.End = r.Start + 60
		out = append(out, r)
	}
	return out
}

func parse(t testing.TB, text string) *policy.Snapshot {
	t.Helper()
	s, err := cloud.ParseText("policy", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// enough is evidence for everything.
func enough(s *policy.Snapshot) []plan.RuleEvidence {
	out := make([]plan.RuleEvidence, len(s.Rules()))
	for i := range out {
		out[i] = plan.RuleEvidence{Attached: true, Observable: true, NarrowOK: true, UnusedOK: true}
	}
	return out
}

func replay(t testing.TB, s *policy.Snapshot, recs []flow.Record) *engine.Result {
	t.Helper()
	res, err := engine.Replay(context.Background(), store.FromRecords(engine.StoreConfig(s), recs), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func made(t testing.TB, in plan.Input) *plan.Plan {
	t.Helper()
	p, err := plan.Make(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lines writes edits as the scenarios do.
func lines(edits []plan.Edit) []string {
	var out []string
	for _, e := range edits {
		s := fmt.Sprintf("%s %s (%s)", e.Op, e.Rule, e.Basis)
		for _, r := range e.With {
			word := "from"
			if r.Direction == flow.Egress {
				word = "to"
			}
			s += fmt.Sprintf("; %s %s %s %s", r.Protocol(), r.Ports(), word, r.Peer())
		}
		out = append(out, s)
	}
	return out
}

type scenario struct {
	name, policy, flows string
	tidy, tighten       []string
	evidence            func(policy.Ref, *plan.RuleEvidence)
	budget              int
}

const web = `
interface eni-1 10.0.0.5 sg-web sg-base
group sg-web
  sgr-1 ingress tcp 443 from 0.0.0.0/0
group sg-base
  sgr-2 ingress tcp 443 from 10.0.0.0/8
`

var scenarios = []scenario{
	{
		name:    "the wide rule hides the narrow one, which is all the traffic needs",
		policy:  web,
		flows:   `eni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2`,
		tidy:    []string{"remove sg-base/sgr-2 (equivalent)"},
		tighten: []string{"replace sg-base/sgr-2 (observed); tcp 443 from 10.1.2.3/32", "remove sg-web/sgr-1 (observed)"},
	},
	{
		name:   "the same, but the narrow rule is too young to be narrowed",
		policy: web,
		flows:  `eni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2`,
		evidence: func(r policy.Ref, e *plan.RuleEvidence) {
			if r.Rule == "sgr-2" {
				*e = plan.RuleEvidence{Attached: true, Observable: true, Why: "young"}
			}
		},
		tidy:    []string{"remove sg-base/sgr-2 (equivalent)"},
		tighten: []string{"remove sg-web/sgr-1 (observed)"},
	},
	{
		name: "two rules cover each other",
		policy: `
interface eni-1 10.0.0.5 sg-a sg-b
group sg-a
  r1 ingress tcp 80 from 10.0.0.0/8
group sg-b
  r2 ingress tcp 80 from 10.0.0.0/8 "kept, for it says why"
`,
		flows:   `eni-1 10.1.2.3 10.0.0.5 49152 80 6 ACCEPT 2`,
		tidy:    []string{"remove sg-a/r1 (equivalent)"},
		tighten: []string{"remove sg-a/r1 (equivalent)", "replace sg-b/r2 (observed); tcp 80 from 10.1.2.3/32"},
	},
	{
		name: "twins on one interface, but one group is alone on another",
		policy: `
interface eni-1 10.0.0.5 sg-a sg-b
interface eni-2 10.0.0.6 sg-b
group sg-a
  r1 ingress tcp 80 from 10.1.2.3/32 "described"
group sg-b
  r2 ingress tcp 80 from 10.1.2.3/32
`,
		flows: `
eni-1 10.1.2.3 10.0.0.5 49152 80 6 ACCEPT 2
eni-2 10.1.2.3 10.0.0.6 49152 80 6 ACCEPT 2
`,
		tidy:    []string{"remove sg-a/r1 (equivalent)"},
		tighten: []string{"remove sg-a/r1 (equivalent)"},
	},
	{
		name: "two halves cover the whole and each other's part",
		policy: `
interface eni-1 10.0.0.5 sg-a
group sg-a
  lo ingress tcp 80 from 10.0.0.0/9
  hi ingress tcp 80 from 10.128.0.0/9
  all ingress tcp 80 from 10.0.0.0/8
`,
		flows:   `eni-1 10.1.2.3 10.0.0.5 49152 80 6 ACCEPT 2`,
		tidy:    []string{"remove sg-a/hi (equivalent)", "remove sg-a/lo (equivalent)"},
		tighten: []string{"remove sg-a/all (observed)", "remove sg-a/hi (observed)", "replace sg-a/lo (observed); tcp 80 from 10.1.2.3/32"},
	},
	{
		name: "neighbours merge",
		policy: `
interface eni-1 10.0.0.5 sg-a
group sg-a
  a ingress tcp 80 from 10.0.0.0/24
  b ingress tcp 80 from 10.0.1.0/24
  c ingress udp 10-19 from 10.0.0.0/24
  d ingress udp 20-29 from 10.0.0.0/24
  e ingress udp 31 from 10.0.0.0/24
`,
		flows: `
eni-1 10.0.0.0 10.0.0.5 49152 80 6 ACCEPT 2
eni-1 10.0.0.255 10.0.0.5 49152 80 6 ACCEPT 2
eni-1 10.0.1.0 10.0.0.5 49152 80 6 ACCEPT 2
eni-1 10.0.1.255 10.0.0.5 49152 80 6 ACCEPT 2
`,
		tidy: []string{
			"replace sg-a/a (equivalent); tcp 80 from 10.0.0.0/23", "remove sg-a/b (equivalent)",
			"replace sg-a/c (equivalent); udp 10-29 from 10.0.0.0/24", "remove sg-a/d (equivalent)",
		},
		// Three slots are free: the ends of each half are worth rules of their own.
		tighten: []string{
			"replace sg-a/a (observed); tcp 80 from 10.0.0.0/32; tcp 80 from 10.0.0.255/32",
			"replace sg-a/b (observed); tcp 80 from 10.0.1.0/32; tcp 80 from 10.0.1.255/32",
			"remove sg-a/c (observed)", "remove sg-a/d (observed)", "remove sg-a/e (observed)",
		},
	},
	{
		name: "IPv6 is another world",
		policy: `
interface eni-1 10.0.0.5 2001:db8::5 sg-a
group sg-a
  four ingress tcp 443 from 0.0.0.0/0
  six ingress tcp 443 from ::/0
`,
		flows:   `eni-1 2001:db8:7::9 2001:db8::5 49152 443 6 ACCEPT 2`,
		tighten: []string{"remove sg-a/four (observed)", "replace sg-a/six (observed); tcp 443 from 2001:db8:7::9/128"},
	},
	{
		name: "a prefix list keeps its name, only its ports shrink",
		policy: `
interface eni-1 10.0.0.5 sg-a
list pl-1 10.0.0.0/8 192.168.0.0/16
group sg-a
  r ingress tcp 0-1000 from pl-1
`,
		flows:   `eni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2`,
		tighten: []string{"replace sg-a/r (observed); tcp 443 from pl-1"},
	},
	{
		name: "a list without entries may be what carries the traffic",
		policy: `
interface eni-1 10.0.0.5 sg-a
list pl-1 unknown
group sg-a
  r ingress tcp 443 from pl-1
  s ingress tcp 0-65535 from 10.0.0.0/8
`,
		flows:   `eni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2`,
		tighten: []string{"replace sg-a/s (observed); tcp 443 from 10.1.2.3/32"},
	},
	{
		name: "an undecided connection keeps both readings",
		policy: `
interface eni-1 10.0.0.5 sg-a
group sg-a
  in ingress udp all from 10.0.0.0/8
  out egress udp all to 10.0.0.0/8
`,
		flows: `
eni-1 10.1.2.3 10.0.0.5 123 123 17 ACCEPT -
eni-1 10.0.0.5 10.1.2.3 123 123 17 ACCEPT -
`,
		tighten: []string{
			"replace sg-a/in (observed); udp 123 from 10.1.2.3/32",
			"replace sg-a/out (observed); udp 123 to 10.1.2.3/32",
		},
	},
	{
		name: "an ICMP type cannot be seen, so its rule stays",
		policy: `
interface eni-1 10.0.0.5 sg-a
group sg-a
  echo ingress icmp type 8 from 10.0.0.0/8
  any ingress icmp from 10.1.0.0/16
`,
		flows:   `eni-1 10.1.2.3 10.0.0.5 0 0 1 ACCEPT -`,
		tighten: []string{"replace sg-a/any (observed); icmp all from 10.1.2.3/32"},
	},
	{
		name: "all protocols, seen two, room for one: the peers shrink",
		policy: `
interface eni-1 10.0.0.5 sg-a
group sg-a
  r ingress all from 10.0.0.0/8
`,
		flows: `
eni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2
eni-1 10.1.2.3 10.0.0.5 0 0 50 ACCEPT -
`,
		tighten: []string{"replace sg-a/r (observed); all all from 10.1.2.3/32"},
	},
	{
		name: "all protocols, seen two, room for two",
		policy: `
interface eni-1 10.0.0.5 sg-a
group sg-a
  r ingress all from 10.0.0.0/8
`,
		flows: `
eni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2
eni-1 10.1.2.3 10.0.0.5 0 0 50 ACCEPT -
`,
		budget:  2,
		tighten: []string{"replace sg-a/r (observed); 50 all from 10.1.2.3/32; tcp 443 from 10.1.2.3/32"},
	},
	{
		name: "a group explains the peers",
		policy: `
interface eni-1 10.0.0.5 sg-db vpc=vpc-1
interface eni-2 10.0.1.7 sg-app vpc=vpc-1
interface eni-3 10.0.1.8 sg-app sg-all vpc=vpc-1
interface eni-4 10.0.2.8 sg-all vpc=vpc-1
group sg-db vpc=vpc-1
  r ingress tcp 5432 from 10.0.0.0/16
group sg-app vpc=vpc-1
group sg-all vpc=vpc-1
`,
		flows: `
eni-1 10.0.1.7 10.0.0.5 49152 5432 6 ACCEPT 2
eni-1 10.0.1.8 10.0.0.5 49152 5432 6 ACCEPT 2
`,
		tighten: []string{"replace sg-db/r (observed); tcp 5432 from sg-app"},
	},
	{
		name: "a group with an address outside the rule does not stand in for it",
		policy: `
interface eni-1 10.0.0.5 sg-db vpc=vpc-1
interface eni-2 10.0.1.7 2001:db8::7 sg-app vpc=vpc-1
group sg-db vpc=vpc-1
  r ingress tcp 5432 from 10.0.0.0/16
group sg-app vpc=vpc-1
`,
		flows:   `eni-1 10.0.1.7 10.0.0.5 49152 5432 6 ACCEPT 2`,
		tighten: []string{"replace sg-db/r (observed); tcp 5432 from 10.0.1.7/32"},
	},
	{
		name: "nor does one behind a router",
		policy: `
interface eni-1 10.0.0.5 sg-db vpc=vpc-1
interface eni-2 10.0.1.7 sg-app vpc=vpc-1
interface eni-3 10.0.3.7 sg-fw vpc=vpc-1 transit
group sg-db vpc=vpc-1
  r ingress tcp 5432 from 10.0.0.0/16
group sg-app vpc=vpc-1
group sg-fw vpc=vpc-1
`,
		flows:   `eni-1 10.0.1.7 10.0.0.5 49152 5432 6 ACCEPT 2`,
		tighten: []string{"replace sg-db/r (observed); tcp 5432 from 10.0.1.7/32"},
	},
	{
		name: "a load balancer's address is not pinned: its subnet is",
		policy: `
interface eni-1 10.0.0.5 sg-app
interface eni-2 10.0.1.7 subnet=subnet-lb requester-managed
subnet subnet-lb 10.0.1.0/24
group sg-app
  r ingress tcp 8080 from 10.0.0.0/16
`,
		flows:   `eni-1 10.0.1.7 10.0.0.5 49152 8080 6 ACCEPT 2`,
		tighten: []string{"replace sg-app/r (observed); tcp 8080 from 10.0.1.0/24"},
	},
	{
		name: "a load balancer whose subnet is not known keeps the peer; ports shrink",
		policy: `
interface eni-1 10.0.0.5 sg-app
interface eni-2 10.0.1.7 requester-managed
group sg-app
  r ingress tcp 8000-9000 from 10.0.0.0/16
`,
		flows:   `eni-1 10.0.1.7 10.0.0.5 49152 8080 6 ACCEPT 2`,
		tighten: []string{"replace sg-app/r (observed); tcp 8080 from 10.0.0.0/16"},
	},
	{
		name: "a target of a network load balancer keeps the rule for the balancer's group",
		policy: `
interface eni-1 10.0.0.5 sg-app
interface eni-2 10.0.1.7 sg-nlb kind=network_load_balancer
group sg-app
  r ingress tcp 8080 from sg-nlb
  s ingress tcp 8080 from 10.0.0.0/8
group sg-nlb
`,
		flows:   `eni-1 10.4.4.4 10.0.0.5 49152 8080 6 ACCEPT 2`,
		tighten: []string{"replace sg-app/s (observed); tcp 8080 from 10.4.4.4/32"},
	},
	{
		name: "a group that nobody carries is left alone",
		policy: `
interface eni-1 10.0.0.5 sg-app
group sg-app
  r ingress tcp 8080 from 10.4.4.4/32
group sg-spare
  a ingress tcp 80 from 0.0.0.0/0
  b ingress tcp 80 from 10.0.0.0/8
`,
		flows: `eni-1 10.4.4.4 10.0.0.5 49152 8080 6 ACCEPT 2`,
	},
	{
		name: "what is not editable stays, and others may lean on it",
		policy: `
interface eni-1 10.0.0.5 sg-app sg-managed
group sg-app
  r ingress tcp 8080 from 10.4.4.4/32
group sg-managed managed
  a ingress tcp 8080 from 10.0.0.0/8 readonly
  b ingress tcp 8080 from 10.0.0.0/8 readonly
`,
		flows:   `eni-1 10.4.4.4 10.0.0.5 49152 8080 6 ACCEPT 2`,
		tidy:    []string{"remove sg-app/r (equivalent)"},
		tighten: []string{"remove sg-app/r (equivalent)"},
	},
	{
		name: "a dead reference matches nothing",
		policy: `
interface eni-1 10.0.0.5 sg-app
group sg-app
  r ingress tcp 8080 from 10.4.4.4/32
  s ingress tcp 22 from sg-gone dead="peering deleted"
`,
		flows:   `eni-1 10.4.4.4 10.0.0.5 49152 8080 6 ACCEPT 2`,
		tidy:    []string{"remove sg-app/s (equivalent)"},
		tighten: []string{"remove sg-app/s (equivalent)"},
	},
	{
		name: "replies keep a network ACL line; a line without any goes, a deny stays",
		policy: `
interface eni-1 10.0.0.5 sg-app subnet=subnet-1
subnet subnet-1 10.0.0.0/24
group sg-app
  r ingress tcp 443 from 10.4.4.4/32
acl acl-1 subnet=subnet-1
  100 ingress allow tcp 443 from 0.0.0.0/0
  110 ingress allow tcp 22 from 10.0.0.0/8
  120 ingress deny tcp 23 from 0.0.0.0/0
  100 egress allow tcp 1024-65535 to 0.0.0.0/0
`,
		flows: `
eni-1 10.4.4.4 10.0.0.5 49152 443 6 ACCEPT 2
eni-1 10.0.0.5 10.4.4.4 443 49152 6 ACCEPT 18
`,
		tighten: []string{"remove acl-1/ingress-110 (observed)"},
	},
	{
		name: "a service of the whole Internet keeps its peers",
		policy: `
interface eni-1 10.0.0.5 sg-web
group sg-web
  r ingress tcp 0-65535 from 0.0.0.0/0
`,
		flows:   manyClients(40),
		tighten: []string{"replace sg-web/r (observed); tcp 443 from 0.0.0.0/0"},
	},
	{
		name: "a freed slot splits a rule",
		policy: `
interface eni-1 10.0.0.5 sg-a
group sg-a
  r ingress tcp 0-65535 from 10.0.0.0/8
  s ingress tcp 22 from 192.168.0.0/16
`,
		flows: `
eni-1 10.1.0.9 10.0.0.5 49152 443 6 ACCEPT 2
eni-1 10.200.0.9 10.0.0.5 49152 443 6 ACCEPT 2
`,
		tighten: []string{
			"replace sg-a/r (observed); tcp 443 from 10.1.0.9/32; tcp 443 from 10.200.0.9/32",
			"remove sg-a/s (observed)",
		},
	},
	{
		name: "a rule on two interfaces carries the traffic of both",
		policy: `
interface eni-1 10.0.0.5 sg-a
interface eni-2 10.0.0.6 sg-a sg-b
group sg-a
  r ingress tcp 443 from 10.0.0.0/8
group sg-b
  s ingress tcp 443 from 10.1.0.0/16
`,
		flows: `
eni-1 10.1.0.9 10.0.0.5 49152 443 6 ACCEPT 2
eni-2 10.1.0.8 10.0.0.6 49152 443 6 ACCEPT 2
`,
		tidy:    []string{"remove sg-b/s (equivalent)"},
		tighten: []string{"replace sg-a/r (observed); tcp 443 from 10.1.0.8/31", "remove sg-b/s (equivalent)"},
	},
}

func manyClients(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "eni-1 %d.7.%d.1 10.0.0.5 49152 443 6 ACCEPT 2\n", 20+3*i, i)
	}
	return b.String()
}

func TestScenarios(t *testing.T) {
	for _, sc := range scenarios {
		for _, mode := range []plan.Mode{plan.ModeTidy, plan.ModeTighten} {
			t.Run(sc.name+"/"+string(mode), func(t *testing.T) {
				s := parse(t, sc.policy)
				recs := records(t, sc.flows)
				last := recs[0]
				last.Start += 41 * 86400
				last.End = last.Start + 60
				recs = append(recs, last)
				in := plan.Input{Result: replay(t, s, recs), Mode: mode, Budget: sc.budget, Evidence: enough(s)}
				if sc.evidence != nil {
					for i, r := range s.Rules() {
						sc.evidence(r.Ref, &in.Evidence[i])
					}
				}
				p := made(t, in)
				want := sc.tidy
				if mode == plan.ModeTighten {
					want = sc.tighten
				}
				if diff := cmp.Diff(want, lines(p.Edits)); diff != "" {
					t.Errorf("plan (-want +got):\n%s\ndeclined %v", diff, p.Declined)
				}
				again(t, in, p, recs)
			})
		}
	}
}

// again plans for the planned snapshot, with the replay done anew.
func again(t testing.TB, in plan.Input, p *plan.Plan, recs []flow.Record) {
	t.Helper()
	if !p.Proof.Holds() {
		t.Fatalf("proof: %+v", p.Proof)
	}
	second := in
	second.Result = replay(t, p.Planned, recs)
	second.Evidence = inherit(in, p)
	if q := made(t, second); len(q.Edits) > 0 {
		t.Errorf("planning again gives %v\nafter %v", lines(q.Edits), lines(p.Edits))
	}
}

// inherit gives the rules of a plan the evidence of those they replace.
func inherit(in plan.Input, p *plan.Plan) []plan.RuleEvidence {
	by := make(map[policy.Ref]plan.RuleEvidence)
	for i, r := range in.Result.Snapshot.Rules() {
		if i < len(in.Evidence) {
			by[r.Ref] = in.Evidence[i]
		}
	}
	for _, e := range p.Edits {
		for _, r := range e.With {
			by[r.Ref] = by[e.Rule]
		}
	}
	var out []plan.RuleEvidence
	for _, r := range p.Planned.Rules() {
		out = append(out, by[r.Ref])
	}
	return out
}
