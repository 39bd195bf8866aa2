package report

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/analyzer/change"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// VerifySchema names the meaning of [Verification] documents.
const VerifySchema = "sgadvise.verify/1"

// Verification is what would be different under another policy: for the observed
// traffic, and whatever the traffic. Arrays are in a total order and never null.
type Verification struct {
	Schema   string             `json:"schema"`
	Tool     Tool               `json:"tool"`
	Created  Time               `json:"created"`
	Inputs   Inputs             `json:"inputs"`
	Proposed []PolicyInput      `json:"proposed"`
	Records  VerifyRecords      `json:"records"`
	Unread   uint64             `json:"unread" doc:"Records that were malformed or of an unsupported kind."`
	Tuples   uint64             `json:"tuples" doc:"Distinct connection halves put to both policies."`
	Broken   []VerifyConnection `json:"newly_denied" doc:"Observed connections that pass at present and would be denied."`
	Opened   []VerifyConnection `json:"newly_allowed" doc:"Observed attempts that are denied at present and would pass."`
	Paths    []VerifyPath       `json:"differences" doc:"Of the policies, whatever the traffic."`
	Notes    []string           `json:"notes" doc:"What the proposal leaves open or takes away."`
	Holds    bool               `json:"holds" doc:"Nothing observed is newly denied."`
	Headline string             `json:"headline"`
}

// VerifyRecords counts the records of interfaces of the policy.
type VerifyRecords struct {
	Permitted    uint64 `json:"permitted"`
	NewlyDenied  uint64 `json:"newly_denied"`
	NewlyAllowed uint64 `json:"newly_allowed"`
	InDoubt      uint64 `json:"in_doubt" doc:"Accepted, allowed at present, and the proposed policy cannot tell."`
	Denied       uint64 `json:"denied" doc:"By both, and rejected."`
	Allowed      uint64 `json:"allowed" doc:"By both, and rejected all the same."`
	Unexplained  uint64 `json:"unexplained" doc:"Accepted, and allowed by neither."`
	Unknown      uint64 `json:"unknown"`
}

// VerifyConnection is an observed connection on which the policies differ.
type VerifyConnection struct {
	Interface string    `json:"interface"`
	Direction string    `json:"direction" enum:"ingress,egress"`
	Protocol  string    `json:"protocol"`
	Peer      string    `json:"peer"`
	Ports     string    `json:"ports"`
	Action    string    `json:"action" enum:"accept,reject" doc:"What the log says was done."`
	Reply     bool      `json:"reply" doc:"Its answers are decided otherwise, not its request."`
	Open      bool      `json:"open" doc:"True of one reading: who opened it is not known."`
	Records   uint64    `json:"records"`
	First     Time      `json:"first_seen"`
	Last      Time      `json:"last_seen"`
	Old       VerifySay `json:"old"`
	New       VerifySay `json:"new"`
}

// VerifySay is what one policy says.
type VerifySay struct {
	Verdict string   `json:"verdict" enum:"allow,deny,unknown"`
	Stage   string   `json:"stage"`
	Rules   []string `json:"rules"`
}

// VerifyPath is where the lists of rules differ.
type VerifyPath struct {
	Interfaces []string     `json:"interfaces"`
	Groups     []string     `json:"groups"`
	Stage      string       `json:"stage"`
	Direction  string       `json:"direction"`
	Opened     []VerifyPart `json:"opened"`
	Closed     []VerifyPart `json:"closed"`
	More       bool         `json:"more" doc:"There are more parts than are listed."`
	Unsure     bool         `json:"unsure" doc:"Peers that are not known were taken the way that finds more."`
}

// VerifyPart is a set of connections on which the policies differ, with one of them.
type VerifyPart struct {
	Services string    `json:"services"`
	Peers    string    `json:"peers"`
	Witness  string    `json:"witness"`
	Old      VerifySay `json:"old"`
	New      VerifySay `json:"new"`
}

// VerifyInput is what a verification is built from.
type VerifyInput struct {
	Tool             Tool
	Now              time.Time
	Logs             *ingest.Report
	Policy, Proposed []cloud.Input
	Outcome          *change.Outcome
	Missing          []policy.Missing // of the proposed policy, and not of the present one
}

// Verify builds the document of a verification.
func Verify(in VerifyInput) *Verification {
	o := in.Outcome
	t := &o.Records
	v := &Verification{Schema: VerifySchema, Tool: in.Tool, Created: TimeOf(in.Now), Tuples: o.Tuples, Unread: in.Logs.Ledger.Total(),
		Records: VerifyRecords{t.Permitted, t.NewlyDenied, t.NewlyAllowed, t.InDoubt, t.Denied, t.Allowed, t.Unexplained, t.Unknown},
		Broken:  []VerifyConnection{}, Opened: []VerifyConnection{}, Paths: []VerifyPath{}}
	v.Inputs = inputsOf(in.Logs, in.Policy)
	v.Proposed = append([]PolicyInput{}, inputsOf(nil, in.Proposed).Policy...)
	for i := range o.Broken {
		v.Broken = append(v.Broken, verifyConnection(&o.Broken[i]))
	}
	for i := range o.Opened {
		v.Opened = append(v.Opened, verifyConnection(&o.Opened[i]))
	}
	for i := range o.Paths {
		p := &o.Paths[i]
		x := VerifyPath{Interfaces: p.Interfaces, Groups: append([]string{}, p.Groups...), Stage: p.Stage, Direction: p.Direction.String(),
			Opened: verifyParts(p.Opened), Closed: verifyParts(p.Closed), Unsure: p.Difference.Unsure,
			More: p.Difference.MoreOpened || p.Difference.MoreClosed}
		v.Paths = append(v.Paths, x)
	}
	v.Notes = []string{}
	for _, m := range in.Missing {
		v.Notes = append(v.Notes, m.What+": "+strings.TrimSuffix(m.Effect, "."))
	}
	v.Holds = len(o.Broken) == 0
	v.Headline = v.headline()
	return v
}

func (v *Verification) headline() string {
	switch {
	case !v.Holds:
		return fmt.Sprintf("%s that passed would be denied (%s)", plural(len(v.Broken), "observed connection"), plural64(v.Records.NewlyDenied, "record"))
	case v.Records.InDoubt > 0:
		return fmt.Sprintf("nothing observed breaks for certain, but of %s it cannot be told: a part of what is proposed is not known", plural64(v.Records.InDoubt, "record"))
	case len(v.Paths) == 0:
		return "both policies permit the same"
	case v.Records.Permitted == 0:
		return "nothing observed breaks, but no observed traffic passed both policies: this shows little"
	case len(v.Opened) > 0:
		return fmt.Sprintf("nothing observed breaks; %s would pass that did not", plural(len(v.Opened), "observed connection"))
	}
	return "nothing observed breaks"
}

func verifyConnection(c *change.Connection) VerifyConnection {
	ports := "all"
	if c.Proto.HasPorts() {
		ports = netset.PortRange{First: c.Port, Last: max(c.Port, c.PortHi)}.String()
	}
	action := "accept"
	if c.Action == flow.Reject {
		action = "reject"
	}
	return VerifyConnection{Interface: c.Interface, Direction: c.Direction.String(), Protocol: c.Proto.Name(), Peer: netset.FoldedText(c.Remote, c.RemoteFree), Ports: ports,
		Action: action, Reply: c.Reply, Open: c.Open, Records: c.Records, First: TimeOf(time.Unix(c.First, 0)), Last: TimeOf(time.Unix(c.Last, 0)),
		Old: verifySay(&c.Old), New: verifySay(&c.New)}
}

func verifySay(s *change.Say) VerifySay {
	out := VerifySay{Verdict: s.Verdict.String(), Stage: s.Stage, Rules: []string{}}
	for _, r := range s.Rules {
		out.Rules = append(out.Rules, r.String())
	}
	return out
}

func verifyParts(ws []change.Witness) []VerifyPart {
	out := []VerifyPart{}
	for i := range ws {
		w := &ws[i]
		out = append(out, VerifyPart{Services: w.Box.Services.String(), Peers: w.Box.Addrs.String(), Witness: packet(&w.Conn),
			Old: verifySay(&w.Old), New: verifySay(&w.New)})
	}
	return out
}

// packet writes c as "10.1.0.1 -> 10.0.0.5:443/tcp".
func packet(c *policy.Conn) string {
	from, to, port := c.Remote.String(), c.Local.String(), c.LocalPort
	if !c.Local.IsValid() {
		to = "the interface"
	}
	if c.Direction == flow.Egress {
		from, to, port = to, from, c.RemotePort
	}
	if strings.Contains(to, ":") {
		to = "[" + to + "]"
	}
	switch {
	case c.Proto.HasPorts():
		to = fmt.Sprintf("%s:%d", to, port)
	case c.Proto.IsICMP():
		return fmt.Sprintf("%s -> %s %s %s", from, to, c.Proto.Name(), c.ICMP)
	}
	return from + " -> " + to + "/" + c.Proto.Name()
}

// VerificationJSON writes v as indented JSON.
func VerificationJSON(w io.Writer, v *Verification) error { return writeJSON(w, completed(v)) }

// VerifyJSONSchema returns the JSON Schema (2020-12) of [Verification].
func VerifyJSONSchema() []byte {
	return schemaOf(reflect.TypeFor[Verification](), "sgadvise verification", VerifySchema,
		"What would be different under a proposed policy, for the observed traffic and whatever the traffic.")
}

// The rows of one list that the brief text shows.
const briefVerify = 25

// VerificationText writes v for a terminal.
func VerificationText(w io.Writer, v *Verification, o Options) error {
	if o.Width <= 0 {
		o.Width = 100
	}
	var b strings.Builder
	c := cleaned(v)
	t := textView{w: &b, o: o}
	mark, colour := "OK", green
	switch {
	case !c.Holds:
		mark, colour = "BREAKS", red
	case c.Records.InDoubt > 0:
		mark, colour = "IN DOUBT", yellow
	}
	t.linef("%s  %s", t.paint(colour, mark), t.paint(bold, c.Headline))
	t.linef("")
	tab := &table{head: []string{"Records", "", ""}, bend: 2, right: []int{1}}
	for _, row := range c.counts() {
		tab.add(row[0], row[1], row[2])
	}
	t.table(tab)
	for i, n := range c.Notes {
		if i == 0 {
			t.heading("Before you rely on it", "")
		}
		t.say("- " + n)
	}
	t.verifyConnections("Newly denied", "observed connections that would break", c.Broken)
	t.verifyConnections("Newly allowed", "observed attempts that would pass", c.Opened)
	if len(c.Paths) > 0 {
		t.heading("Differences", "what the policies permit differently, whatever the traffic")
		tab := &table{head: []string{"Where", "Change", "Services", "Peers", "For example"}, bend: 4}
		n, all := 0, 0
		for i := range c.Paths {
			p := &c.Paths[i]
			for k, parts := range [2][]VerifyPart{p.Opened, p.Closed} {
				for j := range parts {
					if all++; n == t.limit(briefVerify) {
						continue
					}
					n++
					x := &parts[j]
					tab.add(p.where(), x.kind(k), x.Services, x.Peers, x.Witness+": "+x.Old.text()+", then "+x.New.text())
				}
			}
		}
		t.table(tab)
		t.rest(n, all, "parts")
	}
	if t.err != nil {
		return t.err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// kind says what the part does: k is 0 for what opens, 1 for what closes.
func (x *VerifyPart) kind(k int) string {
	if x.Old.Verdict == policy.Unknown.String() || x.New.Verdict == policy.Unknown.String() {
		return [2]string{"may open", "may close"}[k]
	}
	return [2]string{"opens", "closes"}[k]
}

// where names the interfaces of p by their groups, or by themselves.
func (p *VerifyPath) where() string {
	name := strings.Join(p.Groups, "+")
	if name == "" {
		name = p.Interfaces[0]
		if n := len(p.Interfaces); n > 1 {
			name += fmt.Sprintf(" and %d more", n-1)
		}
	}
	return name + "\n" + p.Stage + " " + p.Direction
}

func (s *VerifySay) text() string {
	if len(s.Rules) == 0 {
		return s.Verdict
	}
	return s.Verdict + " by " + strings.Join(s.Rules, ", ")
}

func (t *textView) verifyConnections(name, about string, cs []VerifyConnection) {
	if len(cs) == 0 {
		return
	}
	t.heading(name, about)
	tab := &table{head: []string{"Connection", "Records", "Last seen", "What decides"}, bend: 3, right: []int{1}}
	shown := firstOf(cs, t.limit(briefVerify))
	for i := range shown {
		x := shown[i].cells()
		tab.add(x[0]+"\n"+x[1], x[2], x[3], "now "+x[4]+"\nthen "+x[5])
	}
	t.table(tab)
	t.rest(len(shown), len(cs), "connections")
}

// counts lists the records that there are, by what both policies say of them.
func (v *Verification) counts() (rows [][3]string) {
	r := &v.Records
	for _, row := range []struct {
		name  string
		n     uint64
		about string
	}{
		{"permitted", r.Permitted, "passed, and pass under both policies"},
		{"newly denied", r.NewlyDenied, "passed, and the proposed policy denies them"},
		{"newly allowed", r.NewlyAllowed, "are denied at present, and the proposed policy allows them"},
		{"in doubt", r.InDoubt, "passed, and whether the proposed policy allows them cannot be told"},
		{"denied", r.Denied, "were rejected, and both policies deny them"},
		{"allowed", r.Allowed, "were rejected though both policies allow them: late packets, another layer"},
		{"unexplained", r.Unexplained, "passed though neither policy allows them: replies, older rules, another time"},
		{"unknown", r.Unknown, "cannot be judged: peers that cannot be resolved, or who opened them"},
		{"unread", v.Unread, "could not be read or are of an unsupported kind"},
	} {
		if row.n > 0 || row.name == "newly denied" {
			rows = append(rows, [3]string{row.name, number(row.n), row.about})
		}
	}
	return rows
}

// cells are one row for c: where, what, how often, when, and what both policies say.
func (c *VerifyConnection) cells() [6]string {
	what := ruleText(c.Direction, "", c.Protocol, c.Ports, c.Peer)
	if c.Reply {
		what += "\nits answers"
	}
	if c.Open {
		what += "\nif so opened"
	}
	return [6]string{c.Interface, what, number(c.Records), minute(c.Last), c.Old.text(), c.New.text()}
}

// markdownVerify bounds the rows of each list of the Markdown view.
const markdownVerify = 100

// VerificationMarkdown writes v as GitHub-flavoured Markdown.
func VerificationMarkdown(w io.Writer, v *Verification) error {
	var b strings.Builder
	m := mdView{w: &b}
	c := cleaned(v)
	m.linef("# Verification\n")
	m.linef("**%s**", escape(upperFirst(c.Headline)))
	for i, n := range c.Notes {
		if i == 0 {
			m.linef("")
		}
		m.linef("- %s", escape(n))
	}
	m.head("Records", ">", "")
	for _, row := range c.counts() {
		m.row(escape(row[0]), row[1], escape(row[2]))
	}
	for _, part := range []struct {
		title string
		list  []VerifyConnection
	}{{"Newly denied", c.Broken}, {"Newly allowed", c.Opened}} {
		if len(part.list) == 0 {
			continue
		}
		m.linef("\n## %s", part.title)
		m.head("Interface", "Connection", ">Records", "Last seen", "Now", "Then")
		shown := firstOf(part.list, markdownVerify)
		for i := range shown {
			x := shown[i].cells()
			m.row(escape(x[0]), strings.ReplaceAll(escape(x[1]), "\n", "<br>"), x[2], x[3], escape(x[4]), escape(x[5]))
		}
		m.rest(len(shown), len(part.list), "connections")
	}
	if len(c.Paths) > 0 {
		m.linef("\n## Differences of the policies, whatever the traffic")
		m.head("Where", "Change", "Services", "Peers", "For example")
		n, all := 0, 0
		for i := range c.Paths {
			p := &c.Paths[i]
			for k, parts := range [2][]VerifyPart{p.Opened, p.Closed} {
				for j := range parts {
					if all++; n == markdownVerify {
						continue
					}
					n++
					x := &parts[j]
					m.row(strings.ReplaceAll(escape(p.where()), "\n", "<br>"), x.kind(k), escape(x.Services), escape(x.Peers),
						escape(x.Witness+": "+x.Old.text()+", then "+x.New.text()))
				}
			}
		}
		m.rest(n, all, "parts")
	}
	m.linef("\n<sub>%s %s, document %s</sub>", escape(c.Tool.Name), escape(c.Tool.Version), escape(c.Schema))
	_, err := io.WriteString(w, b.String())
	return err
}
