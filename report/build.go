package report

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/flowlog"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Input is what an analysis left behind. Result and Analysis must be set; Logs is nil
// if no log file was read.
type Input struct {
	Tool     Tool
	Now      time.Time // zero: the report does not say when it was made
	Settings Settings
	Logs     *ingest.Report
	Policy   []cloud.Input
	Result   *engine.Result
	Analysis *analyzer.Analysis
	Lists    []ListInput // by which findings were suppressed, and what was asserted
	// Frameworks are those to whose controls evidence is gathered, by id; all: all of them,
	// none: not one. Without any they follow from the platforms of the policy.
	Frameworks []string
	Notes      []string // what else a reader must know; after the notes that Build finds
}

// Build writes down what the stages found. It puts everything in order and words the
// summary and the notes; it judges nothing.
func Build(in Input) *Report {
	a, res := in.Analysis, in.Result
	r := &Report{
		Schema:      SchemaName,
		Tool:        in.Tool,
		Created:     TimeOf(in.Now),
		Options:     in.Settings,
		Window:      Window{Time(a.Evidence.From), Time(a.Evidence.To), a.Evidence.Days},
		Ledger:      buildLedger(in),
		Fidelity:    buildFidelity(&res.Fidelity),
		History:     buildHistory(res),
		Orientation: buildOrientation(&res.Orientation),
		Coverage:    buildCoverage(res, a.Evidence),
		Groups:      buildGroups(res.Snapshot, a.Plan),
		Checks:      analyzer.CheckNames(),
		Plan:        buildPlan(a),
		Undecided:   buildUndecided(res.Undecided),
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.Rules = buildRules(a.Verdicts) })
	wg.Go(func() { r.RollUp = buildRollUp(res, a.Plan) })
	r.Findings = buildFindings(a.Findings)
	wg.Wait()
	if r.Options.FailOn == "" {
		r.Options.FailOn = "none"
	}
	r.Inputs = inputsOf(in.Logs, in.Policy)
	r.Inputs.Lists = slices.SortedFunc(slices.Values(in.Lists), func(a, b ListInput) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Path, b.Path), strings.Compare(a.Digest, b.Digest))
	})
	r.Suppressions, r.Assertions = buildSuppressions(a.Accepted), buildAssertions(a.Asserted)
	r.Summary = summarize(r, a.Evidence.RejectOnly)
	r.Controls = buildControls(in, r)
	r.Notes = append(notes(r, in), in.Notes...)
	r.addPictures(in)
	return r.complete()
}

// inputsOf lists what was read and what was passed over.
func inputsOf(logs *ingest.Report, policy []cloud.Input) Inputs {
	var in Inputs
	if logs != nil {
		for _, f := range logs.Files {
			format := f.Format
			if f.Compression != "none" && f.Compression != "" {
				format += "+" + f.Compression
			}
			in.Logs = append(in.Logs, LogInput{Path: f.Path, Format: format, Bytes: f.Bytes, Records: f.Records, Digest: f.Digest})
		}
	}
	for _, p := range policy {
		if p.Kind == cloud.Ignored {
			in.Skipped = append(in.Skipped, Skipped{p.Path, "holds no policy that is known"})
			continue
		}
		in.Policy = append(in.Policy, PolicyInput{p.Path, p.Kind, p.Digest, TimeOf(p.At)})
	}
	slices.SortFunc(in.Logs, func(a, b LogInput) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Digest, b.Digest))
	})
	slices.SortFunc(in.Policy, func(a, b PolicyInput) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Digest, b.Digest))
	})
	slices.SortFunc(in.Skipped, func(a, b Skipped) int { return strings.Compare(a.Path, b.Path) })
	return in
}

// buildHistory says what rests on how the policy was before.
func buildHistory(res *engine.Result) History {
	out := History{Known: res.History != nil, Former: res.Former, Outlived: res.Outlived}
	if res.History != nil {
		for _, u := range res.History.Unsettled() {
			if !res.Reaches(u.Before.Unix()) {
				continue
			}
			out.Unsettled = append(out.Unsettled, Unsettled{u.ID, TimeOf(u.Before)})
		}
	}
	return out
}

func buildLedger(in Input) Ledger {
	l := in.Result.Ledger
	by := &in.Result.RejectedBy
	out := Ledger{Outside: in.Result.Store.Outside(), RejectedBy: RejectedBy{by.Groups, by.ACL, by.Either, by.Unknown}}
	if in.Logs != nil {
		l.Merge(&in.Logs.Ledger)
		s := &in.Logs.Stats
		for _, kind := range []struct {
			name    string
			reasons flowlog.Reasons
		}{{"conflict", s.Conflicts}, {"malformed", s.Malformed}, {"unsupported", s.Unsupported}} {
			for _, cause := range kind.reasons.Names() {
				out.Reasons = append(out.Reasons, Reason{kind.name, cause, kind.reasons[cause].Count})
			}
		}
		for _, cause := range s.Malformed.Names() {
			for _, x := range s.Malformed[cause].Samples {
				out.Samples = append(out.Samples, Sample{x.File, x.Line, x.Field, x.Message})
			}
		}
		slices.SortFunc(out.Samples, func(a, b Sample) int {
			return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), strings.Compare(a.Field, b.Field), strings.Compare(a.Reason, b.Reason))
		})
	}
	out.Records = l.Total()
	out.Dispositions = Dispositions{
		Permitted: l[flow.Permitted], Reply: l[flow.Reply], Blocked: l[flow.Blocked],
		Unexplained: l[flow.Unexplained], Contradicted: l[flow.Contradicted], Late: l[flow.Late],
		Undirected: l[flow.Undirected], Unscoped: l[flow.Unscoped], NoData: l[flow.NoData],
		SkipData: l[flow.SkipData], Unsupported: l[flow.Unsupported], Malformed: l[flow.Malformed],
	}
	return out
}

func buildFidelity(f *engine.Fidelity) Fidelity {
	out := Fidelity{Judged: f.Judged, Agree: f.Agree, Rate: f.Rate(), Causes: map[string]uint64{}}
	for _, i := range f.Interfaces {
		causes := map[string]uint64{}
		for cause, n := range i.Causes {
			causes[cause] = n
			out.Causes[cause] += n
		}
		out.Interfaces = append(out.Interfaces, InterfaceFidelity{i.Interface, i.Judged, i.Agree, causes})
	}
	slices.SortFunc(out.Interfaces, func(a, b InterfaceFidelity) int { return strings.Compare(a.Interface, b.Interface) })
	return out
}

func buildOrientation(o *engine.Orientation) []Orientation {
	var out []Orientation
	for i := range o {
		m := orient.Method((i + 1) % len(o)) // undecided is 0, and goes last
		out = append(out, Orientation{m.String(), m.Proven(), o[m]})
	}
	return out
}

const daySeconds = 86400

func buildCoverage(res *engine.Result, ev *analyzer.Evidence) Coverage {
	out := Coverage{Ratio: 1}
	first, last := ev.From/daySeconds, max(ev.From, ev.To-1)/daySeconds
	seen := map[string]bool{}
	for i := range ev.Interfaces {
		e := &ev.Interfaces[i]
		c := newInterfaceCoverage(&e.Coverage)
		c.Interface, c.InPolicy = e.Interface, true
		seen[e.Interface] = true
		for _, g := range e.Gaps {
			kind := GapNoRecord
			if slices.Contains(e.Coverage.Skips, store.Span{From: g.From, To: g.To}) {
				kind = GapSkipData
			}
			c.Gaps = append(c.Gaps, Gap{Time(g.From), Time(g.To), kind})
		}
		if !e.Seen && ev.To > ev.From {
			c.Gaps = []Gap{{Time(ev.From), Time(ev.To), GapNoRecord}}
		}
		out.Interfaces = append(out.Interfaces, c)
		if ev.To > ev.From {
			out.InterfaceDays += int(last - first + 1)
			out.CoveredDays += int(last-first+1) - gapDays(c.Gaps, first, last)
		}
	}
	for _, c := range res.Store.Coverage() {
		if !seen[c.Interface] {
			out.Interfaces = append(out.Interfaces, newInterfaceCoverage(&c))
		}
	}
	slices.SortFunc(out.Interfaces, func(a, b InterfaceCoverage) int { return strings.Compare(a.Interface, b.Interface) })
	if out.InterfaceDays > 0 {
		out.Ratio = float64(out.CoveredDays) / float64(out.InterfaceDays)
	}
	for _, m := range res.Snapshot.Missing {
		if m.Until.IsZero() || res.Reaches(m.Until.Unix()) {
			out.Missing = append(out.Missing, Missing{m.What, m.Effect})
		}
	}
	slices.SortFunc(out.Missing, func(a, b Missing) int {
		return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Effect, b.Effect))
	})
	return out
}

func newInterfaceCoverage(c *store.Coverage) InterfaceCoverage {
	return InterfaceCoverage{Interface: c.Interface, From: Time(c.From), To: Time(c.To), Records: c.Records, NoData: c.NoData}
}

// gapDays counts the days from first to last that a gap touches.
func gapDays(gaps []Gap, first, last int64) int {
	n, next := 0, first // gaps are sorted by their start
	for _, g := range gaps {
		a := max(int64(g.From)/daySeconds, next)
		b := min(max(int64(g.From), int64(g.To)-1)/daySeconds, last)
		if a <= b {
			n += int(b - a + 1)
			next = b + 1
		}
	}
	return n
}

func buildGroups(s *policy.Snapshot, p *plan.Plan) []Group {
	edits := map[string]int{}
	for i := range p.Edits {
		edits[p.Edits[i].Group]++
	}
	var out []Group
	for i := range s.Groups {
		g := &s.Groups[i]
		out = append(out, Group{g.ID, g.Name, "security-group", g.VPC, len(s.Attached(g.ID)), len(g.Rules), edits[g.ID]})
	}
	filtered := map[string]int{}
	for i := range s.Interfaces {
		if acl, _, ok := s.ACLFor(&s.Interfaces[i]); ok {
			filtered[acl.ID]++
		}
	}
	for i := range s.ACLs {
		a := &s.ACLs[i]
		out = append(out, Group{a.ID, "", "network-acl", a.VPC, filtered[a.ID], len(a.Rules), edits[a.ID]})
	}
	slices.SortFunc(out, func(a, b Group) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func buildRules(verdicts []analyzer.RuleVerdict) []Rule {
	sorted := make([]*analyzer.RuleVerdict, len(verdicts))
	for i := range verdicts {
		sorted[i] = &verdicts[i]
	}
	slices.SortFunc(sorted, func(a, b *analyzer.RuleVerdict) int { return a.Rule.Ref.Compare(b.Rule.Ref) })
	out := make([]Rule, 0, len(sorted))
	for _, v := range sorted {
		x, u := v.Rule, &v.Usage
		out = append(out, Rule{
			Ref: x.Ref.String(), Group: x.Ref.Owner, Rule: x.Ref.Rule,
			Direction: x.Direction.String(), Action: x.Action.String(), Priority: priority(x),
			Protocol: x.Protocol(), Ports: x.Ports(), Peer: x.Peer(), Description: x.Description,
			Implicit: x.Implicit, Editable: x.Editable, Created: TimeOf(x.Created),
			Verdict: v.Verdict, Reason: v.Reason,
			Hits: u.Hits, Decisive: u.Decisive, PossibleHits: u.Possible,
			Records: u.Records, Packets: u.Packets, Bytes: u.Bytes, Peers: u.Peers,
			FirstSeen: Time(u.First), LastSeen: Time(u.Last),
			Interfaces: v.Interfaces, HitInterfaces: u.Interfaces, Source: sourceOf(x), AtLeast: u.Folded > 0,
		})
	}
	return out
}

func buildRollUp(res *engine.Result, p *plan.Plan) *RollUp {
	u := res.Store.RollUp()
	if u.Services == 0 {
		return nil
	}
	out := &RollUp{ExactRows: u.MaxRows, Peers: u.Peers, Services: u.Services, Rows: u.Rows, Slack: "0"}
	if p != nil && p.Slack != "" {
		out.Slack = p.Slack
	}
	return out
}

// sourceOf says where r is written, as far as r itself knows.
func sourceOf(r *policy.Rule) *Source {
	if r.Address == "" && r.File == "" {
		return nil
	}
	return &Source{Path: Optional(r.File), Line: r.Line, Address: Optional(r.Address)}
}

// priority is 1 where the platform has none.
func priority(r *policy.Rule) uint32 { return max(r.Rank, 1) }

// refText is a ref as the document writes it: a group alone has no slash.
func refText(r policy.Ref) string {
	if r.Rule == "" {
		return r.Owner
	}
	return r.String()
}

func refTexts(refs []policy.Ref) []string {
	var out []string
	for _, r := range refs {
		out = append(out, refText(r))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func buildFindings(fs []analyzer.Finding) []Finding {
	sorted := make([]*analyzer.Finding, len(fs))
	for i := range fs {
		sorted[i] = &fs[i]
	}
	order := func(a, b *analyzer.Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(analyzer.Severities, a.Severity), slices.Index(analyzer.Severities, b.Severity)),
			strings.Compare(a.Check, b.Check), a.Subject.Compare(b.Subject), strings.Compare(a.ID, b.ID))
	}
	if !slices.IsSortedFunc(sorted, order) { // the analysis has them in this order
		slices.SortStableFunc(sorted, order)
	}
	out := make([]Finding, 0, len(sorted))
	for _, f := range sorted {
		x := Finding{ID: f.ID, Check: f.Check, Severity: string(f.Severity), Confidence: string(f.Confidence),
			Ref: Optional(refText(f.Subject)), Message: f.Message, Related: refTexts(f.Related), Controls: f.Controls}
		x.Facts = make([]Fact, 0, len(f.Facts))
		for _, fact := range f.Facts {
			x.Facts = append(x.Facts, Fact(fact))
		}
		if e := f.Suppressed; e != nil {
			x.Suppressed = &Suppression{e.Reason, TimeOf(e.Expires), e.Owner, e.Ticket, e.Key()}
		}
		out = append(out, x)
	}
	return out
}

func buildPlan(a *analyzer.Analysis) Plan {
	p := a.Plan
	out := Plan{
		Mode:     string(p.Mode),
		Exposure: Exposure{Before: p.Exposure.Before, After: p.Exposure.After, Ratio: p.Exposure.Ratio},
		Proof: Proof{Tuples: p.Proof.Tuples, Records: p.Proof.Records, NewlyDenied: p.Proof.NewlyDenied,
			Checker: "reference", Witness: Optional(p.Proof.Witness)},
		Backtest: Backtest{p.Backtest.Days, p.Backtest.BlockedDays, p.Backtest.BlockedTuples, p.Backtest.ExpectedNewPeers7d},
	}
	for _, x := range p.Exposure.Families {
		out.Exposure.Families = append(out.Exposure.Families, FamilyExposure{x.Name, x.Before, x.After, x.Ratio})
	}
	for _, x := range p.Exposure.Groups {
		out.Exposure.Groups = append(out.Exposure.Groups, GroupExposure{x.Name, x.Before, x.After, x.Ratio})
	}
	if n := p.Proof.NewlyAllowed; n > 0 {
		out.Proof.NewlyAllowed = NewlyAllowed{plural64(n, "connection")}
	}
	findings := map[string]string{}
	for i := range a.Findings {
		f := &a.Findings[i]
		findings[f.Check+" "+refText(f.Subject)] = f.ID
	}
	for i := range p.Edits {
		e := &p.Edits[i]
		x := Edit{Op: string(e.Op), Ref: Optional(refText(e.Rule)), Group: e.Group, Basis: string(e.Basis),
			Confidence: string(e.Confidence), Check: e.Check, Reason: e.Reason}
		x.Finding = Optional(findings[x.Check+" "+string(x.Ref)])
		for j := range e.With {
			n := &e.With[j]
			x.With = append(x.With, NewRule{n.Direction.String(), n.Action.String(), priority(n), n.Protocol(), n.Ports(), n.Peer(), n.Description})
		}
		out.Edits = append(out.Edits, x)
	}
	slices.SortStableFunc(out.Edits, func(a, b Edit) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), cmp.Compare(a.Ref, b.Ref), strings.Compare(a.Op, b.Op))
	})
	for _, d := range p.Declined {
		out.Declined = append(out.Declined, Declined{Optional(refText(d.Rule)), d.Reason})
	}
	slices.SortStableFunc(out.Declined, func(a, b Declined) int {
		return cmp.Or(cmp.Compare(a.Ref, b.Ref), strings.Compare(a.Reason, b.Reason))
	})
	return out
}

func buildUndecided(us []engine.Undecided) []Undecided {
	var out []Undecided
	for _, u := range us {
		out = append(out, Undecided{u.Interface, u.Proto.Name(), u.Local.String(), u.LocalPort, netset.FoldedText(u.Remote, u.RemoteFree), u.RemotePort, u.Records})
	}
	return out
}
