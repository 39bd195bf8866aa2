package report

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// later is the sample ten days on, with something of everything that can change.
func later() *Report {
	r := sample()
	r.Created += 10 * daySeconds
	r.Window.From, r.Window.To = r.Window.From+10*daySeconds, r.Window.To+10*daySeconds
	r.Ledger.Records += 1000
	r.Coverage.Interfaces[5].Gaps = nil // eni-0app4
	r.Coverage.CoveredDays += 3
	rule := func(ref string) *Rule {
		return &r.Rules[slices.IndexFunc(r.Rules, func(x Rule) bool { return x.Ref == ref })]
	}
	finding := func(check, ref string) *Finding {
		return &r.Findings[slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Check == check && string(f.Ref) == ref })]
	}
	drop := func(check, ref string) {
		r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return f.Check == check && string(f.Ref) == ref })
	}
	// The plan for sgr-0e2 and sgr-0e4 was applied.
	r.Rules = slices.DeleteFunc(r.Rules, func(x Rule) bool { return x.Ref == "sg-0web/sgr-0e2" })
	drop("unused-rule", "sg-0web/sgr-0e2")
	drop("exposed-admin-port", "sg-0web/sgr-0e2")
	rule("sg-0web/sgr-0e4").Ports, rule("sg-0web/sgr-0e4").Peer = "8081", "10.20.1.0/26"
	drop("wide-ports", "sg-0web/sgr-0e4")
	// Somebody used the rule for echo requests.
	x := rule("sg-0web/sgr-0e3")
	x.Verdict, x.Hits, x.Decisive, x.FirstSeen, x.LastSeen = "used", 2, 2, at(31, 0)+5*daySeconds, at(31, 0)+6*daySeconds
	drop("unused-rule", "sg-0web/sgr-0e3")
	// A rule came that is open to the world, and the database's rule got worse.
	bad := *rule("sg-0alb/sgr-0a1")
	bad.Ref, bad.Group, bad.Rule, bad.Ports = "sg-0db/sgr-0d9", "sg-0db", "sgr-0d9", "3389"
	r.Rules = append(r.Rules, bad)
	r.Findings = append(r.Findings, Finding{ID: "0123456789abcdef", Check: "exposed-admin-port", Severity: "high", Confidence: "high", Ref: "sg-0db/sgr-0d9", Message: "tcp 3389 is open to the internet"})
	finding("wide-source", "sg-0db/sgr-0d1").Severity = "high"
	finding("redundant-rule", "sg-0app/sgr-0c2").Severity = "info"
	r.Plan.Edits = slices.DeleteFunc(r.Plan.Edits, func(e Edit) bool { return e.Group == "sg-0web" })
	r.Groups[5].Rules--
	return r.complete()
}

func TestCompareTellsWhatChangedAndWhy(t *testing.T) {
	c := Compare(Tool{"sgadvise", "1.0.0"}, sample(), later())
	var findings, rules, verdicts, edits []string
	for _, f := range c.Findings {
		if f.Status != FindingPersisting {
			findings = append(findings, strings.Join([]string{f.Status, f.Check, string(f.Ref), string(f.Was), f.Severity, string(f.Cause), f.Why}, "|"))
		}
	}
	for _, x := range c.Rules {
		rules = append(rules, fmt.Sprint(x.Change, "|", x.Ref, "|", changesText(x.Fields), "|", x.Planned))
	}
	for _, x := range c.Verdicts {
		verdicts = append(verdicts, strings.Join([]string{x.Ref, x.Was, x.Verdict, x.Cause, x.Why}, "|"))
	}
	for _, x := range c.Edits {
		edits = append(edits, x.Status+"|"+string(x.Ref))
	}
	for _, d := range []string{
		cmp.Diff([]string{
			"new|exposed-admin-port|sg-0db/sgr-0d9||high|policy|the rule was added",
			"worsened|wide-source|sg-0db/sgr-0d1|medium|high|policy|other rules of the group, or its interfaces, changed",
			"improved|redundant-rule|sg-0app/sgr-0c2|low|info|policy|rules of other groups changed",
			"resolved|exposed-admin-port|sg-0web/sgr-0e2|high|high|policy|the rule was removed, as the plan of the old report says",
			"resolved|unused-rule|sg-0web/sgr-0e2|medium|medium|policy|the rule was removed, as the plan of the old report says",
			"resolved|wide-ports|sg-0web/sgr-0e4|medium|medium|policy|the rule was changed, as the plan of the old report says",
			"resolved|unused-rule|sg-0web/sgr-0e3|low|low|traffic|the verdict on the rule was unused and is used: 2 connections used it, the first on 2025-04-05 00:00; other rules of the group, or its interfaces, changed, too",
		}, findings),
		cmp.Diff([]string{
			"added|sg-0db/sgr-0d9||false",
			"removed|sg-0web/sgr-0e2||true",
			"changed|sg-0web/sgr-0e4|ports 0-10000 → 8081, peer 10.0.0.0/8 → 10.20.1.0/26|true",
		}, rules),
		cmp.Diff([]string{"sg-0web/sgr-0e3|unused|used|traffic|2 connections used it, the first on 2025-04-05 00:00; other rules of the group, or its interfaces, changed, too"}, verdicts),
		cmp.Diff([]string{"applied|sg-0web/sgr-0e2", "applied|sg-0web/sgr-0e4", "withdrawn|sg-0web/sgr-0e3"}, edits),
		cmp.Diff([]DocumentChange{
			{"records", "1,213,731", "1,214,731"},
			{"coverage of interface-days", "98.65 % (367 of 372)", "98.65 % (370 of 372)"},
			{"interface eni-0app4", "records with 1 gap", "records without a gap"},
		}, c.Evidence),
		cmp.Diff(FindingCounts{New: 1, Worsened: 1, Improved: 1, Resolved: 4, Persisting: 4}, c.Counts),
		cmp.Diff("1 new finding, 1 worsened, 1 improved, 4 resolved; 3 rules changed in the policy, 1 verdict moved on an unchanged rule.", c.Headline),
	} {
		if d != "" {
			t.Error(d)
		}
	}
}

// A verdict that moves on a rule that stays is explained by its hits, by the rules
// around it, or by what the logs could show.
func TestCompareExplainsVerdicts(t *testing.T) {
	r := func(verdict string, hits, decisive uint64, first, last Time) Rule {
		return Rule{Ref: "sg-1/r", Group: "sg-1", Rule: "r", Direction: "ingress", Action: "allow", Priority: 1, Protocol: "tcp", Ports: "443", Peer: "::/0",
			Editable: true, Verdict: verdict, Hits: hits, Decisive: decisive, FirstSeen: first, LastSeen: last, Interfaces: 1, Reason: "the reason"}
	}
	other := Rule{Ref: "sg-1/other", Group: "sg-1", Verdict: "used"}
	for _, c := range []struct {
		name       string
		old, new   []Rule
		cause, why string
	}{
		{"first use", []Rule{r("unused", 0, 0, 0, 0)}, []Rule{r("used", 1, 1, at(12, 5), at(12, 5))}, "traffic", "1 connection used it, the first on 2025-03-12 05:00"},
		{"a late file", []Rule{r("unused", 0, 0, 0, 0)}, []Rule{r("used", 1, 1, at(8, 0), at(8, 0))}, "evidence",
			"1 connection used it, the first on 2025-03-08 00:00: in the window of the old report, whose logs do not show them"},
		{"out of the window", []Rule{r("used", 4, 4, at(1, 0), at(4, 23))}, []Rule{r("unused", 0, 0, 0, 0)}, "traffic",
			"no connection used it any more; the last was on 2025-03-04 23:00, before the window of the new report"},
		{"lost logs", []Rule{r("used", 4, 4, at(1, 0), at(7, 0))}, []Rule{r("unused", 0, 0, 0, 0)}, "evidence",
			"4 connections used it until 2025-03-07 00:00, in the window of the new report, whose logs do not show them"},
		{"another rule decides", []Rule{r("used", 4, 4, at(1, 0), at(9, 0))}, []Rule{other, r("redundant", 4, 0, at(5, 0), at(14, 0))}, "policy",
			"every connection that it decides is allowed by other rules, too; other rules changed"},
		{"alone now", []Rule{r("redundant", 4, 0, at(1, 0), at(9, 0))}, []Rule{r("used", 3, 2, at(5, 0), at(14, 0))}, "traffic", "2 connections would be decided otherwise without it"},
		{"answered", []Rule{r("attempt-only", 4, 4, at(1, 0), at(9, 0))}, []Rule{r("used", 5, 5, at(5, 0), at(14, 0))}, "traffic", "its hits were 4 and are 5; some were answered"},
		{"not answered", []Rule{r("used", 4, 4, at(1, 0), at(9, 0))}, []Rule{r("attempt-only", 5, 5, at(5, 0), at(14, 0))}, "traffic", "its hits were 4 and are 5; none was answered"},
		{"proven", []Rule{r("used-inferred", 4, 4, at(1, 0), at(9, 0))}, []Rule{r("used", 4, 4, at(5, 0), at(14, 0))}, "evidence", "its hits were 4 and are 4; who opened them is known otherwise"},
		{"gaps", []Rule{r("unused", 0, 0, 0, 0)}, []Rule{r("not-seen-gaps", 0, 0, 0, 0)}, "evidence", "the reason"},
		{"covered", []Rule{r("unused", 0, 0, 0, 0)}, []Rule{other, r("dead-by-config", 0, 0, 0, 0)}, "policy", "the reason; other rules of the group, or its interfaces, changed, too"},
	} {
		a := &Report{Rules: c.old, Window: Window{at(1, 0), at(10, 0), 9}}
		b := &Report{Rules: c.new, Window: Window{at(5, 0), at(15, 0), 10}}
		got := Compare(Tool{}, a, b).Verdicts
		if len(got) != 1 || got[0].Cause != c.cause || got[0].Why != c.why {
			t.Errorf("%s: %+v, want %s: %s", c.name, got, c.cause, c.why)
		}
	}
}

// The verdict on a rule that changed is no change of the traffic; a new description
// changes nothing that decides.
func TestCompareKeepsPolicyApartFromTraffic(t *testing.T) {
	a := &Report{Rules: []Rule{{Ref: "sg-1/r", Group: "sg-1", Ports: "80", Verdict: "unused"}}}
	b := &Report{Rules: []Rule{{Ref: "sg-1/r", Group: "sg-1", Ports: "443", Verdict: "used", Hits: 3, Decisive: 3}}}
	if c := Compare(Tool{}, a, b); len(c.Verdicts) != 0 || len(c.Rules) != 1 || c.Rules[0].Was != "unused" || c.Rules[0].Verdict != "used" {
		t.Errorf("verdicts %+v, rules %+v", c.Verdicts, c.Rules)
	}
	b.Rules[0].Ports, b.Rules[0].Description = "80", "web"
	if c := Compare(Tool{}, a, b); len(c.Verdicts) != 1 || len(c.Rules) != 1 || c.Verdicts[0].Cause != causeTraffic {
		t.Errorf("verdicts %+v, rules %+v", c.Verdicts, c.Rules)
	}
}

func TestCompareFollowsThePlan(t *testing.T) {
	was := Rule{Ref: "sg-1/r", Group: "sg-1", Direction: "ingress", Action: "allow", Priority: 1, Protocol: "tcp", Ports: "all", Peer: "10.0.0.0/8"}
	with := NewRule{"ingress", "allow", 1, "tcp", "443", "10.0.0.0/24", "tight"}
	made := was
	made.Ref, made.Ports, made.Peer = "sg-1/s", with.Ports, with.Peer
	inPlace, otherwise := was, was
	inPlace.Ports, inPlace.Peer = with.Ports, with.Peer
	otherwise.Ports = "80"
	replace := Edit{Op: "replace", Ref: "sg-1/r", Group: "sg-1", With: []NewRule{with}}
	remove := Edit{Op: "remove", Ref: "sg-1/r", Group: "sg-1"}
	addition := Edit{Op: "add", Group: "sg-1", With: []NewRule{with}}
	for _, c := range []struct {
		name    string
		edit    Edit
		now     []Rule
		status  string
		planned int // rules that changed as the plan said
	}{
		{"removed", remove, nil, editApplied, 1},
		{"kept", remove, []Rule{was}, editWithdrawn, 0},
		{"changed in place of removed", remove, []Rule{otherwise}, editOvertaken, 0},
		{"replaced by a new rule", replace, []Rule{made}, editApplied, 2},
		{"replaced in place", replace, []Rule{inPlace}, editApplied, 1},
		{"removed without the new one", replace, nil, editOvertaken, 0},
		{"changed otherwise", replace, []Rule{otherwise}, editOvertaken, 0},
		{"new one beside the old", replace, []Rule{was, made}, editWithdrawn, 0},
		{"new one, and the old changed", replace, []Rule{otherwise, made}, editOvertaken, 0},
		{"added", addition, []Rule{was, made}, editApplied, 1},
		{"not added", addition, []Rule{was}, editWithdrawn, 0},
	} {
		a := &Report{Rules: []Rule{was}, Plan: Plan{Mode: "tighten", Edits: []Edit{c.edit}}}
		b := &Report{Rules: c.now, Plan: Plan{Mode: "tighten"}}
		got := Compare(Tool{}, a, b)
		planned := 0
		for _, r := range got.Rules {
			if r.Planned {
				planned++
			}
		}
		if len(got.Edits) != 1 || got.Edits[0].Status != c.status || planned != c.planned {
			t.Errorf("%s: %+v with %d planned changes, want %s with %d", c.name, got.Edits, planned, c.status, c.planned)
		}
	}
	declined := &Report{Rules: []Rule{was}, Plan: Plan{Mode: "tighten", Declined: []Declined{{"", "fidelity is low"}}}}
	if got := Compare(Tool{}, &Report{Rules: []Rule{was}, Plan: Plan{Mode: "tighten", Edits: []Edit{remove}}}, declined).Edits; got[0].Why != "fidelity is low" {
		t.Errorf("a plan that was declined: %+v", got)
	}
}

// empty reports whether c lists no change at all.
func empty(c *Comparison) bool {
	return c.Same && c.Counts.Persisting == len(c.Findings) && len(c.Rules)+len(c.Groups)+len(c.Verdicts)+len(c.Edits)+len(c.Evidence)+len(c.Options) == 0
}

func TestCompareWithItselfIsEmpty(t *testing.T) {
	for name, r := range map[string]*Report{"sample": sample(), "later": later(), "hostile": hostile(), "zero": {}, "declined": declined(), "large": large(100)} {
		c := Compare(Tool{}, r, r)
		if !empty(c) || c.Headline != "Nothing changed." || len(c.Findings) != len(r.Findings) {
			t.Errorf("%s: %+v", name, c)
		}
		for _, s := range []string{"low", "critical"} {
			if c.Fails(s) {
				t.Errorf("%s: a finding that persists fails at %s", name, s)
			}
		}
	}
}

// random returns the sample after n accidents.
func random(rng *rand.Rand, n int) *Report {
	r := sample()
	severities := []string{"critical", "high", "medium", "low", "info"}
	for range n {
		switch rng.IntN(9) {
		case 0:
			if len(r.Rules) > 0 {
				i := rng.IntN(len(r.Rules))
				r.Rules = slices.Delete(r.Rules, i, i+1)
			}
		case 1:
			r.Rules[rng.IntN(len(r.Rules))].Ports = fmt.Sprint(rng.IntN(3))
		case 2:
			x := &r.Rules[rng.IntN(len(r.Rules))]
			x.Verdict, x.Hits = []string{"used", "unused", "redundant"}[rng.IntN(3)], uint64(rng.IntN(2))
		case 3:
			if len(r.Findings) > 0 {
				i := rng.IntN(len(r.Findings))
				r.Findings = slices.Delete(r.Findings, i, i+1)
			}
		case 4:
			if len(r.Findings) > 0 {
				r.Findings[rng.IntN(len(r.Findings))].Severity = severities[rng.IntN(5)]
			}
		case 5:
			f := Finding{ID: fmt.Sprint(rng.IntN(4)), Check: "wide-ports", Severity: severities[rng.IntN(5)], Ref: Optional(r.Rules[rng.IntN(len(r.Rules))].Ref)}
			r.Findings = append(r.Findings, f) // the same fingerprint may come twice
		case 6:
			if len(r.Plan.Edits) > 0 {
				i := rng.IntN(len(r.Plan.Edits))
				r.Plan.Edits = slices.Delete(r.Plan.Edits, i, i+1)
			}
		case 7:
			r.Groups[rng.IntN(len(r.Groups))].Interfaces = rng.IntN(3)
		case 8:
			r.Options.Budget = rng.IntN(2)
		}
	}
	return r
}

// Exchanging the reports exchanges new and resolved, worse and better, added and
// removed.
func TestCompareIsSymmetric(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	ids := func(c *Comparison, status string) (out []string) {
		for _, f := range c.Findings {
			if f.Status == status {
				out = append(out, f.ID)
			}
		}
		slices.Sort(out)
		return out
	}
	refs := func(c *Comparison, change string) (out []string) {
		for _, x := range c.Rules {
			if x.Change == change {
				out = append(out, x.Ref)
			}
		}
		return out
	}
	changed := 0
	for i := range 500 {
		a, b := random(rng, rng.IntN(12)), random(rng, rng.IntN(12))
		ab, ba := Compare(Tool{}, a, b), Compare(Tool{}, b, a)
		for x, y := range map[string]string{FindingNew: FindingResolved, FindingResolved: FindingNew, FindingWorsened: FindingImproved, FindingPersisting: FindingPersisting} {
			if d := cmp.Diff(ids(ab, x), ids(ba, y)); d != "" {
				t.Fatalf("%d: %s against %s: %s", i, x, y, d)
			}
		}
		for x, y := range map[string]string{changeAdded: changeRemoved, changeChanged: changeChanged} {
			if d := cmp.Diff(refs(ab, x), refs(ba, y)); d != "" {
				t.Fatalf("%d: %s against %s: %s", i, x, y, d)
			}
		}
		if ab.Same != ba.Same || len(ab.Verdicts) != len(ba.Verdicts) || len(ab.Edits) != len(ba.Edits) || len(ab.Evidence) != len(ba.Evidence) || len(ab.Groups) != len(ba.Groups) {
			t.Fatalf("%d: %+v\n%+v", i, ab, ba)
		}
		if n := ab.Counts; n.New+n.Worsened+n.Improved+n.Persisting != len(b.Findings) || n.Resolved+n.Worsened+n.Improved+n.Persisting != len(a.Findings) {
			t.Fatalf("%d: %+v of %d and %d findings", i, n, len(a.Findings), len(b.Findings))
		}
		if !ab.Same {
			changed++
		}
	}
	if changed < 400 {
		t.Errorf("%d of 500 pairs differ", changed)
	}
}

// The gate is on what the old report would not have failed with.
func TestComparisonFailsOnWhatIsNew(t *testing.T) {
	f := func(id, severity string, suppressed bool) Finding {
		x := Finding{ID: id, Check: "wide-ports", Severity: severity}
		if suppressed {
			x.Suppressed = &Suppression{Reason: "known"}
		}
		return x
	}
	for _, c := range []struct {
		name     string
		old, new []Finding
		want     bool
	}{
		{"nothing", nil, nil, false},
		{"new", nil, []Finding{f("a", "high", false)}, true},
		{"new below", nil, []Finding{f("a", "medium", false)}, false},
		{"new and suppressed", nil, []Finding{f("a", "high", true)}, false},
		{"persists", []Finding{f("a", "high", false)}, []Finding{f("a", "high", false)}, false},
		{"worse, across", []Finding{f("a", "medium", false)}, []Finding{f("a", "high", false)}, true},
		{"worse, above", []Finding{f("a", "high", false)}, []Finding{f("a", "critical", false)}, false},
		{"better", []Finding{f("a", "critical", false)}, []Finding{f("a", "high", false)}, false},
		{"resolved", []Finding{f("a", "critical", false)}, nil, false},
		{"suppression ended", []Finding{f("a", "high", true)}, []Finding{f("a", "high", false)}, true},
		{"suppressed now", []Finding{f("a", "high", false)}, []Finding{f("a", "high", true)}, false},
	} {
		got := Compare(Tool{}, &Report{Findings: c.old}, &Report{Findings: c.new})
		if got.Fails("high") != c.want || got.Fails("none") || got.Fails("") {
			t.Errorf("%s: fails %t, want %t", c.name, got.Fails("high"), c.want)
		}
		if same := cmp.Equal(c.old, c.new); same != got.Same {
			t.Errorf("%s: same %t", c.name, got.Same)
		}
	}
}

func TestCompareKnowsWhichChecksRan(t *testing.T) {
	a := &Report{Checks: []string{"wide-ports"}}
	b := &Report{Checks: []string{"unused-rule", "wide-ports"}, Findings: []Finding{{ID: "a", Check: "unused-rule", Severity: "low"}}}
	if got := Compare(Tool{}, a, b).Findings[0]; got.Cause != causeTool || got.Why != "the version that made the old report does not have the check" {
		t.Errorf("%+v", got)
	}
	if got := Compare(Tool{}, b, a).Findings[0]; got.Cause != causeTool || got.Why != "the version that made the new report does not have the check" {
		t.Errorf("%+v", got)
	}
	a.Checks = nil // a report of a version that did not say
	if got := Compare(Tool{}, a, b).Findings[0]; got.Cause != causeEvidence {
		t.Errorf("%+v", got)
	}
}

func TestCompareSaysWhatMakesItHard(t *testing.T) {
	a, b := sample(), later()
	if notes := Compare(Tool{}, a, b).Notes; len(notes) != 0 {
		t.Errorf("%q", notes)
	}
	if notes := Compare(Tool{}, b, a).Notes; len(notes) != 1 || !strings.Contains(notes[0], "right order?") {
		t.Errorf("%q", notes)
	}
	b.Groups = []Group{{ID: "sg-elsewhere"}}
	b.Window.From = a.Window.To + 3*daySeconds
	b.Window.To = b.Window.From + daySeconds
	b.Tool.Version, b.Options.Mode = "2.0.0", "tidy"
	b.Summary.Outcome = OutcomeRejectOnly
	b.Fidelity.Rate = 0.5
	notes := strings.Join(Compare(Tool{}, a, b).Notes, "\n")
	for _, want := range []string{"not of the same network", "lie 3 days that neither", "(1.0.0 and 2.0.0)", "different options", "new report hold rejected traffic only", "explains only 50 %"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not said in\n%s", want, notes)
		}
	}
}

func diffSchemaOf(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(DiffJSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("diff.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("diff.json")
}

func TestComparisonsFollowTheirSchema(t *testing.T) {
	schema := diffSchemaOf(t)
	pairs := [][2]*Report{{sample(), later()}, {later(), sample()}, {{}, sample()}, {hostile(), sample()}, {sample(), hostile()}, {declined(), sample()}, {{}, {}}}
	rng := rand.New(rand.NewPCG(6, 6))
	for range 30 {
		pairs = append(pairs, [2]*Report{random(rng, 20), random(rng, 20)})
	}
	for i, p := range pairs {
		out := render(t, func(b *bytes.Buffer) error { return WriteComparison(b, Compare(Tool{"sgadvise", "1"}, p[0], p[1])) })
		if err := schema.Validate(decode(t, []byte(out))); err != nil {
			t.Errorf("pair %d: %v", i, err)
		}
	}
}

func TestComparisonViews(t *testing.T) {
	c := Compare(Tool{"sgadvise", "1.0.0"}, sample(), later())
	checkGolden(t, "diff.txt", render(t, func(b *bytes.Buffer) error { return ComparisonText(b, c, Options{}) }))
	checkGolden(t, "diff.md", render(t, func(b *bytes.Buffer) error { return ComparisonMarkdown(b, c) }))
	wild := Compare(Tool{"sgadvise", "1.0.0"}, sample(), hostile())
	for name, f := range map[string]func(*bytes.Buffer) error{
		"text":     func(b *bytes.Buffer) error { return ComparisonText(b, wild, Options{Verbose: true}) },
		"markdown": func(b *bytes.Buffer) error { return ComparisonMarkdown(b, wild) },
		"json":     func(b *bytes.Buffer) error { return WriteComparison(b, wild) },
	} {
		out := render(t, f)
		if strings.ContainsAny(out, "\x1b\x07\r\u202e\u200b\x7f") || name == "markdown" && strings.Contains(out, "<script>") {
			t.Errorf("%s lets through what steers", name)
		}
	}
	big := Compare(Tool{}, large(400), &Report{})
	for name, c := range map[string]string{
		"showing 25 of 400 findings":  render(t, func(b *bytes.Buffer) error { return ComparisonText(b, big, Options{}) }),
		"showing 100 of 400 findings": render(t, func(b *bytes.Buffer) error { return ComparisonMarkdown(b, big) }),
	} {
		if !strings.Contains(c, name) {
			t.Errorf("%q is not said", name)
		}
	}
}
