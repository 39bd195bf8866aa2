package analyzer_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// recording is a trace as the flow logs of a network under a policy would have shown
// it, and what really happened.
type recording struct {
	snap    *policy.Snapshot
	log     bytes.Buffer
	records uint64
	truth   []opened // what the policy let through, by who really opened it
}

// opened is a new connection at one interface.
type opened struct {
	eni  string
	conn policy.Conn
}

// record writes the flow log of conns under snap: two records for each connection at
// each end that is an interface, one where the policy denies. Without flags it is the
// default format, version 2.
func record(t *testing.T, snap *policy.Snapshot, conns []traced, flags bool) *recording {
	t.Helper()
	r := &recording{snap: snap}
	owner := make(map[netip.Addr]string)
	for i := range snap.Interfaces {
		for _, a := range snap.Interfaces[i].Addresses {
			owner[a] = snap.Interfaces[i].ID
		}
	}
	if flags {
		r.log.WriteString("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags\n")
	}
	seen := make(map[opened]bool)
	for i := range conns {
		c := &conns[i]
		reached := true
		for _, d := range []flow.Direction{flow.Egress, flow.Ingress} {
			o := opened{owner[c.orig], policy.Conn{Direction: flow.Egress, Proto: c.proto, Local: c.orig, Remote: c.resp, LocalPort: c.origPort, RemotePort: c.respPort, ICMP: policy.AnyICMP}}
			if d == flow.Ingress {
				o = opened{owner[c.resp], policy.Conn{Direction: flow.Ingress, Proto: c.proto, Local: c.resp, Remote: c.orig, LocalPort: c.respPort, RemotePort: c.origPort, ICMP: policy.AnyICMP}}
			}
			if o.eni == "" || !reached {
				continue
			}
			allowed := policy.Decide(snap.Path(o.eni, d), &o.conn).Verdict == policy.Allowed
			reached = reached && allowed
			r.write(o.eni, c, true, allowed, flags)
			if allowed && !seen[o] {
				seen[o] = true
				r.truth = append(r.truth, o)
			}
			if allowed && c.answered > 0 && delivered(snap, owner, c) {
				r.write(o.eni, c, false, true, flags)
			}
		}
	}
	return r
}

// delivered reports whether the far end, if it is an interface, lets c in.
func delivered(snap *policy.Snapshot, owner map[netip.Addr]string, c *traced) bool {
	eni := owner[c.resp]
	if eni == "" {
		return true
	}
	in := policy.Conn{Direction: flow.Ingress, Proto: c.proto, Local: c.resp, Remote: c.orig, LocalPort: c.respPort, RemotePort: c.origPort, ICMP: policy.AnyICMP}
	return policy.Decide(snap.Path(eni, flow.Ingress), &in).Verdict == policy.Allowed
}

// interval is the aggregation interval of the log in seconds: a connection that lasts
// longer has a record at its beginning and one at its end.
const interval = 600

func (r *recording) write(eni string, c *traced, sent, allowed, flags bool) {
	src, dst, sport, dport := c.orig, c.resp, c.origPort, c.respPort
	packets, octets, f := c.sent, c.sentBytes, c.sentFlags
	if !sent {
		src, dst, sport, dport = dst, src, dport, sport
		packets, octets, f = c.answered, c.ansByte, c.ansFlags
	}
	action := "ACCEPT"
	if !allowed {
		action, packets, octets = "REJECT", 1, octets/max(1, packets)
		f &^= flow.FIN | flow.RST // nothing came after the first packet
	}
	line := func(start, end int64, f flow.TCPFlags) {
		r.records++
		fmt.Fprintf(&r.log, "%d 123456789010 %s %s %s %d %d %d %d %d %d %d %s OK", map[bool]int{true: 3, false: 2}[flags],
			eni, src, dst, sport, dport, c.proto, packets, octets, start, end, action)
		if flags {
			if f&flow.FlagsKnown == 0 {
				r.log.WriteString(" -")
			} else {
				fmt.Fprintf(&r.log, " %d", f&^flow.FlagsKnown)
			}
		}
		r.log.WriteByte('\n')
	}
	if allowed && c.end-c.start > interval {
		line(c.start, c.start+interval, f&^(flow.FIN|flow.RST))
		line(c.end-interval/2, c.end, f&^(flow.SYN|flow.ACK))
		return
	}
	line(c.start, c.end, f)
}

// replay reads the log back and replays it.
func (r *recording) replay(t *testing.T) *engine.Result {
	t.Helper()
	tally := store.NewTally(engine.StoreConfig(r.snap))
	read, err := ingest.Read(context.Background(), []string{"-"}, ingest.Options{Stdin: bytes.NewReader(r.log.Bytes())}, tally)
	if err != nil {
		t.Fatal(err)
	}
	res, err := engine.Replay(context.Background(), tally.Finish(), r.snap, 1)
	if err != nil {
		t.Fatal(err)
	}
	ledger := res.Ledger
	ledger.Merge(&read.Ledger)
	if got := ledger.Total(); got != r.records {
		t.Errorf("%d records written, %d in the ledger", r.records, got)
	}
	return res
}

// readPolicy reads testdata/traces/NAME.txt with more text after it.
func readPolicy(t *testing.T, name, more string) *policy.Snapshot {
	t.Helper()
	text, err := os.ReadFile("testdata/traces/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	snap, err := cloud.ParseText(name, append(text, more...))
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// analyze runs the analysis with an evidence minimum of so many days.
func analyze(t *testing.T, res *engine.Result, days int) *analyzer.Analysis {
	t.Helper()
	opt := analyzer.DefaultOptions
	opt.NarrowDays, opt.UnusedDays = days, days
	a, err := analyzer.Run(context.Background(), res, opt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// written is a plan as people read it: one line an edit, new rules after the arrow.
func written(p *plan.Plan) []string {
	var out []string
	for _, e := range p.Edits {
		s := fmt.Sprintf("%s %s", e.Op, e.Rule)
		for i, w := range e.With {
			sep := ", "
			if i == 0 {
				sep = " -> "
			}
			s += sep + w.Protocol() + " " + w.Ports() + " " + w.Peer()
		}
		out = append(out, s)
	}
	return out
}

// holds checks what every plan on a trace must keep.
func (r *recording) holds(t *testing.T, res *engine.Result, a *analyzer.Analysis) {
	t.Helper()
	if rate := res.Fidelity.Rate(); rate < 0.99 {
		t.Errorf("fidelity %.4f: %+v", rate, res.Fidelity.Interfaces)
	}
	if !a.Plan.Proof.Holds() {
		t.Errorf("proof: %+v", a.Plan.Proof)
	}
	if len(a.Plan.Edits) == 0 {
		t.Errorf("no edits; declined %+v", a.Plan.Declined)
	}

	// By who really opened them, not by what the engine takes them for.
	denied := 0
	for i := range r.truth {
		o := &r.truth[i]
		if policy.Decide(a.Plan.Planned.Path(o.eni, o.conn.Direction), &o.conn).Verdict != policy.Allowed {
			if denied++; denied <= 5 {
				t.Errorf("newly denied: %s %+v", o.eni, o.conn)
			}
		}
	}
	if denied > 0 {
		t.Errorf("%d of %d connections newly denied", denied, len(r.truth))
	}

	before, after := len(res.Snapshot.Rules()), len(a.Plan.Planned.Rules())
	if after > before {
		t.Errorf("%d rules became %d", before, after)
	}
	for _, e := range a.Plan.Edits {
		for _, w := range e.With {
			if slices.ContainsFunc(w.Match[0].Remote.Prefixes, func(p netip.Prefix) bool { return p.IsSingleIP() && !p.Addr().IsPrivate() }) {
				t.Errorf("%s: a stranger's address in a rule: %s", e.Rule, w.Peer())
			}
		}
	}

	// Nothing is left to say about the planned policy.
	again := &recording{snap: a.Plan.Planned, log: r.log, records: r.records}
	if p := analyze(t, again.replay(t), 0).Plan; len(p.Edits) > 0 {
		t.Errorf("the planned policy gets a plan of its own:\n%s", strings.Join(written(p), "\n"))
	}
}

// show logs what a reader of the report would look at.
func show(t *testing.T, res *engine.Result, a *analyzer.Analysis) {
	t.Helper()
	if !testing.Verbose() {
		return
	}
	t.Logf("fidelity %.4f, orientation %v, ledger %v, undecided %d", res.Fidelity.Rate(), res.Orientation, res.Ledger, len(res.Undecided))
	for _, v := range a.Verdicts {
		t.Logf("%s %s %s hits %d decisive %d possible %d peers %d", v.Rule.Ref, v.Verdict, v.Rule.Peer(), v.Usage.Hits, v.Usage.Decisive, v.Usage.Possible, v.Usage.Peers)
	}
	for _, line := range written(a.Plan) {
		t.Log(line)
	}
	for _, d := range a.Plan.Declined {
		t.Logf("declined %s: %s", d.Rule, d.Reason)
	}
	t.Logf("exposure %+v backtest %+v", a.Plan.Exposure, a.Plan.Backtest)
}

// edit returns the edit of a rule.
func edit(a *analyzer.Analysis, rule string) *plan.Edit {
	i := slices.IndexFunc(a.Plan.Edits, func(e plan.Edit) bool { return e.Rule.String() == rule })
	if i < 0 {
		return &plan.Edit{}
	}
	return &a.Plan.Edits[i]
}

func TestTraceOfAPublicMachine(t *testing.T) {
	vm := netip.MustParseAddr("64.225.56.201")
	var ours []traced
	for _, c := range conns(t, "rita-cloudvm/*/conn.*.log.gz") {
		inside := netip.MustParseAddr("10.0.0.5") // logs never show a public address of one's own
		switch vm {
		case c.orig:
			c.orig = inside
		case c.resp:
			c.resp = inside
		default:
			continue // spoofed and link-local traffic of others
		}
		ours = append(ours, c)
	}
	onTrace(t, readPolicy(t, "cloudvm", ""), ours, func(t *testing.T, a *analyzer.Analysis) {
		for _, rule := range []string{"sg-web/mysql", "sg-web/http-old", "sg-base/ssh-office", "sg-web/dns"} {
			if e := edit(a, rule); e.Op != plan.Remove {
				t.Errorf("%s: %q, want it removed", rule, e.Op)
			}
		}
		if e := edit(a, "sg-web/mysql"); e.Basis != plan.Observed || e.Check != "unused-rule" {
			t.Errorf("mysql: basis %s, check %s", e.Basis, e.Check)
		}
		if e := edit(a, "sg-web/http-old"); e.Basis != plan.Equivalent {
			t.Errorf("http-old: basis %s", e.Basis)
		}
		// Half a thousand strangers guess passwords and four thousand read the site: no
		// list of them would be right tomorrow. ICMP cannot be judged.
		for _, rule := range []string{"sg-base/ssh", "sg-web/http", "sg-web/https", "sg-base/ping", "sg-base/out"} {
			stays(t, a, rule)
		}
		partner := edit(a, "sg-base/partner")
		if partner.Op != plan.Replace || len(partner.With) > 2 {
			t.Errorf("partner: %s by %d rules", partner.Op, len(partner.With))
		}
		for _, w := range partner.With {
			if p := w.Match[0].Remote.Prefixes; len(p) != 1 || !netip.MustParsePrefix("170.64.0.0/16").Contains(p[0].Addr()) || p[0].Bits() < 16 {
				t.Errorf("partner: a new rule for %v", p)
			}
			if w.Match[0].LocalPorts.Len() > 4000 {
				t.Errorf("partner: ports %s", w.Ports())
			}
		}
		if v := verdictOf(a, "sg-base/ping"); v != analyzer.CannotJudge {
			t.Errorf("ping: %s", v)
		}
	})
}

func TestTraceOfACompetition(t *testing.T) {
	trace := competition(t)
	onTrace(t, readPolicy(t, "wrccdc", interfacesOf(t, trace)), trace, func(t *testing.T, a *analyzer.Analysis) {
		for _, rule := range []string{"sg-web/mysql", "sg-windows/winrm", "sg-base/dns-in", "sg-base/monitoring",
			"sg-legacy/http-old", "sg-legacy/https-old", "sg-mail/smtp-web"} {
			if e := edit(a, rule); e.Op != plan.Remove {
				t.Errorf("%s: %q, want it removed", rule, e.Op)
			}
		}
		// Remote desktop is the scoring host's alone; one operator's address each for SSH.
		for rule, most := range map[string]int{"sg-windows/rdp": 1, "sg-base/ops-ssh": 2, "sg-web/app": 1, "sg-mail/mail": 2} {
			e := edit(a, rule)
			if e.Op != plan.Replace || len(e.With) > most {
				t.Errorf("%s: %s by %d rules", rule, e.Op, len(e.With))
			}
			for _, w := range e.With {
				if p := w.Match[0].Remote.Prefixes; len(p) != 1 || !p[0].IsSingleIP() {
					t.Errorf("%s: a new rule for %v", rule, p)
				}
			}
		}
		stays(t, a, "sg-base/out")
	})
}

// onTrace analyses trace under snap in both log formats and with several evidence
// minimums, checks what must hold of every plan, and hands the full plan to judge.
func onTrace(t *testing.T, snap *policy.Snapshot, trace []traced, judge func(*testing.T, *analyzer.Analysis)) {
	var plans [2][]string
	for i, flags := range []bool{true, false} {
		t.Run(map[bool]string{true: "flags", false: "default"}[flags], func(t *testing.T) {
			r := record(t, snap, trace, flags)
			res := r.replay(t)
			a := analyze(t, res, 1)
			show(t, res, a)
			r.holds(t, res, a)
			judge(t, a)
			plans[i] = written(a.Plan)
			if waived := written(analyze(t, res, 0).Plan); !slices.Equal(waived, plans[i]) {
				t.Errorf("without an evidence minimum:\n%s", strings.Join(waived, "\n"))
			}
			for _, e := range analyze(t, res, 14).Plan.Edits {
				if e.Basis != plan.Equivalent {
					t.Errorf("%s %s on two days of evidence", e.Op, e.Rule)
				}
			}
		})
	}
	if d := cmp.Diff(plans[0], plans[1]); d != "" {
		t.Errorf("the default format leads to another plan (-flags +default):\n%s", d)
	}
}

// stays checks that no edit touches rule and that the plan says why.
func stays(t *testing.T, a *analyzer.Analysis, rule string) {
	t.Helper()
	if e := edit(a, rule); e.Op != "" {
		t.Errorf("%s: %s", rule, e.Op)
	}
	if !slices.ContainsFunc(a.Plan.Declined, func(d plan.Declined) bool { return d.Rule.String() == rule && d.Reason != "" }) {
		t.Errorf("%s: no reason for leaving it as it is", rule)
	}
}

func verdictOf(a *analyzer.Analysis, rule string) string {
	for _, v := range a.Verdicts {
		if v.Rule.Ref.String() == rule {
			return v.Verdict
		}
	}
	return ""
}

// interfacesOf gives every host of 10.47.0.0/16 in the trace an interface, and groups
// by what it serves.
func interfacesOf(t *testing.T, trace []traced) string {
	served := serves(t)
	all := netip.MustParsePrefix("10.47.0.0/16")
	hosts := make(map[netip.Addr]bool)
	for _, c := range trace {
		for _, a := range []netip.Addr{c.orig, c.resp} {
			if all.Contains(a) {
				hosts[a] = true
			}
		}
	}
	var b strings.Builder
	for a := range hosts {
		o := a.As4()
		fmt.Fprintf(&b, "interface eni-%d-%d %s vpc=vpc-1 subnet=subnet-%d sg-base", o[2], o[3], a, o[2])
		s := served[a]
		if s["tcp/80"] || s["tcp/443"] || s["tcp/8080"] {
			b.WriteString(" sg-web")
			if o[2] < 10 {
				b.WriteString(" sg-legacy")
			}
		}
		if s["tcp/25"] || s["tcp/143"] || s["tcp/587"] || s["tcp/993"] || s["tcp/995"] {
			b.WriteString(" sg-mail")
		}
		if s["tcp/3389"] || s["tcp/445"] || s["tcp/135"] {
			b.WriteString(" sg-windows")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
