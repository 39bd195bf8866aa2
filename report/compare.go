package report

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer"
)

// DiffSchema names the meaning of [Comparison] documents.
const DiffSchema = "sgadvise.diff/1"

// Comparison is what is different between two reports on the same network. Changes of
// the rules stand apart from changes of the traffic, so that a rule that was unused and
// is used now has its reason beside it. Arrays are in a total order and never null.
type Comparison struct {
	Schema   string           `json:"schema"`
	Tool     Tool             `json:"tool"`
	Old      ComparedReport   `json:"old"`
	New      ComparedReport   `json:"new"`
	Same     bool             `json:"same" doc:"Nothing differs but the times and the tool."`
	Headline string           `json:"headline"`
	Notes    []string         `json:"notes" doc:"What makes the two reports hard to compare."`
	Counts   FindingCounts    `json:"counts"`
	Findings []FindingChange  `json:"findings" doc:"Of either report, by fingerprint: the new ones first, those that persist last."`
	Rules    []RuleChange     `json:"rules" doc:"What was changed in the policy."`
	Groups   []GroupChange    `json:"groups" doc:"Groups and network ACLs that came, went, or are on other interfaces."`
	Verdicts []VerdictChange  `json:"verdicts" doc:"Verdicts that moved on rules that say what they said."`
	Edits    []EditChange     `json:"edits" doc:"Edits of the plans that differ."`
	Evidence []DocumentChange `json:"evidence" doc:"What the logs could show."`
	Options  []DocumentChange `json:"options"`
	After    []Aftermath      `json:"aftermath,omitempty" doc:"What became of rules that were taken away or narrowed. Only the scheduled audit, which remembers them, has it."`
}

// ComparedReport is one of the two reports in numbers.
type ComparedReport struct {
	Created        Time       `json:"created"`
	Version        string     `json:"version" doc:"Of the tool."`
	Window         Window     `json:"window"`
	Headline       string     `json:"headline"`
	Outcome        string     `json:"outcome"`
	Rules          int        `json:"rules" doc:"Declared rules."`
	Findings       Severities `json:"findings"`
	Records        uint64     `json:"records"`
	Judged         uint64     `json:"judged"`
	Agree          uint64     `json:"agree"`
	InterfaceDays  int        `json:"interface_days"`
	CoveredDays    int        `json:"covered_days"`
	ExposureBefore string     `json:"exposure_before" doc:"Of the policy as it is; empty if it was not measured."`
	ExposureAfter  string     `json:"exposure_after" doc:"Of the policy as planned."`
}

// FindingCounts counts findings by what became of them.
type FindingCounts struct {
	New        int `json:"new"`
	Reopened   int `json:"reopened"`
	Expired    int `json:"suppression_expired"`
	Worsened   int `json:"worsened"`
	Improved   int `json:"improved"`
	Resolved   int `json:"resolved"`
	Persisting int `json:"persisting"`
}

// What becomes of a finding from one report to the next.
const (
	FindingNew        = "new"
	FindingReopened   = "re-opened"           // new, and an earlier run had it before it was resolved
	FindingExpired    = "suppression-expired" // it was accepted until a day that is over
	FindingWorsened   = "worsened"
	FindingImproved   = "improved"
	FindingResolved   = "resolved"
	FindingPersisting = "persisting"
)

var findingOrder = []string{FindingNew, FindingReopened, FindingExpired, FindingWorsened, FindingImproved, FindingResolved, FindingPersisting}

// FindingChange is a finding and what became of it.
type FindingChange struct {
	Status        string   `json:"status" enum:"new,re-opened,suppression-expired,worsened,improved,resolved,persisting"`
	ID            string   `json:"id" doc:"Fingerprint."`
	Check         string   `json:"check"`
	Ref           Optional `json:"ref"`
	Severity      string   `json:"severity" doc:"In the new report; in the old one if it is resolved."`
	Was           Optional `json:"was" doc:"The severity in the old report; null if it is new."`
	Confidence    string   `json:"confidence"`
	Message       string   `json:"message"`
	Suppressed    bool     `json:"suppressed" doc:"In the new report."`
	WasSuppressed bool     `json:"was_suppressed" doc:"In the old report."`
	Cause         Optional `json:"cause" doc:"policy, traffic, evidence, options or tool; null if it persists."`
	Why           string   `json:"why"`
}

// What is behind a change.
const (
	causePolicy   = "policy"   // rules or groups changed
	causeTraffic  = "traffic"  // connections came or went
	causeEvidence = "evidence" // the logs show more, or less
	causeOptions  = "options"  // the run was asked for something else
	causeTool     = "tool"     // a version has the check, and the other has not
)

// Compare says what is different in newer against older.
func Compare(tool Tool, older, newer *Report) *Comparison {
	return CompareKnowing(tool, older, newer, nil)
}

// CompareKnowing is Compare with what runs before older knew: when findings, by
// fingerprint, were resolved. Such a finding that comes back is re-opened.
func CompareKnowing(tool Tool, older, newer *Report, resolved map[string]Time) *Comparison {
	c := newComparer(older.complete(), newer.complete())
	c.resolved = resolved
	out := &Comparison{Schema: DiffSchema, Tool: tool, Old: comparedReport(older), New: comparedReport(newer)}
	out.Rules, out.Groups = c.ruleChanges(), c.groupChanges()
	out.Options, out.Evidence = optionChanges(older, newer), evidenceChanges(older, newer)
	c.options = len(out.Options) > 0
	out.Verdicts = c.verdictChanges() // reads what changed of rules and groups
	out.Edits = c.editChanges()
	c.markPlanned(out.Rules)
	out.Findings = c.findingChanges()
	for i := range out.Findings {
		switch out.Findings[i].Status {
		case FindingNew:
			out.Counts.New++
		case FindingReopened:
			out.Counts.Reopened++
		case FindingExpired:
			out.Counts.Expired++
		case FindingWorsened:
			out.Counts.Worsened++
		case FindingImproved:
			out.Counts.Improved++
		case FindingResolved:
			out.Counts.Resolved++
		default:
			out.Counts.Persisting++
		}
	}
	out.Same = len(out.Findings) == out.Counts.Persisting && !c.suppressions &&
		len(out.Rules)+len(out.Groups)+len(out.Verdicts)+len(out.Edits)+len(out.Evidence)+len(out.Options) == 0
	out.Headline, out.Notes = out.headline(), comparisonNotes(older, newer, len(out.Options) > 0)
	return completed(out)
}

func comparedReport(r *Report) ComparedReport {
	out := ComparedReport{Created: r.Created, Version: r.Tool.Version, Window: r.Window, Headline: r.Summary.Headline, Outcome: r.Summary.Outcome,
		Rules: r.Summary.Rules, Findings: r.Summary.Severities, Records: r.Ledger.Records, Judged: r.Fidelity.Judged, Agree: r.Fidelity.Agree,
		InterfaceDays: r.Coverage.InterfaceDays, CoveredDays: r.Coverage.CoveredDays,
		ExposureBefore: r.Plan.Exposure.Before, ExposureAfter: r.Plan.Exposure.After}
	return out
}

// Fails reports whether a finding of the new report is at or above failOn that was not
// in the old one: it was not there, or less grave, or suppressed. Suppressed findings
// never are.
func (c *Comparison) Fails(failOn string) bool {
	return slices.ContainsFunc(c.Findings, func(f FindingChange) bool { return f.fails(failOn) })
}

// Failing returns the findings for which [Comparison.Fails] says so.
func (c *Comparison) Failing(failOn string) []FindingChange {
	var out []FindingChange
	for _, f := range c.Findings {
		if f.fails(failOn) {
			out = append(out, f)
		}
	}
	return out
}

func (f *FindingChange) fails(failOn string) bool {
	return f.Status != FindingResolved && !f.Suppressed && Grave(f.Severity, failOn) &&
		(!Grave(string(f.Was), failOn) || f.WasSuppressed)
}

// comparer holds two reports by what is looked up in them. Everything that is compared
// is taken from here, so that exchanging the reports exchanges the outcome.
type comparer struct {
	old, new           *Report
	oldRules, newRules map[string]*Rule
	touched            map[string]bool // groups with rules or interfaces that changed
	edited             map[string]bool // rules that came, went or say something else
	moved              map[string]VerdictChange
	planned            map[string]bool // refs that changed as the old plan said
	options            bool
	suppressions       bool // a finding is suppressed in one of them only
	resolved           map[string]Time
}

func newComparer(older, newer *Report) *comparer {
	return &comparer{old: older, new: newer, oldRules: rulesByRef(older), newRules: rulesByRef(newer),
		touched: map[string]bool{}, edited: map[string]bool{}, moved: map[string]VerdictChange{}, planned: map[string]bool{}}
}

// findingChanges matches findings by fingerprint. Equal ones are matched in their order.
func (c *comparer) findingChanges() []FindingChange {
	left := map[string][]*Finding{} // of the old report, not matched yet
	for i := range c.old.Findings {
		f := &c.old.Findings[i]
		left[f.ID] = append(left[f.ID], f)
	}
	var out []FindingChange
	for i := range c.new.Findings {
		f := &c.new.Findings[i]
		x := newFindingChange(f)
		x.Suppressed = f.Suppressed != nil
		if same := left[f.ID]; len(same) > 0 {
			left[f.ID] = same[1:]
			c.judge(&x, same[0], f)
		} else {
			x.Status = FindingNew
			x.Cause, x.Why = c.causeOf(f, c.new, c.old)
			if at, before := c.resolved[f.ID]; before {
				x.Status = FindingReopened
				x.Why = fmt.Sprintf("it was resolved on %s, and is back: %s", day(at), x.Why)
			}
		}
		out = append(out, x)
	}
	for i := range c.old.Findings {
		f := &c.old.Findings[i]
		if rest := left[f.ID]; len(rest) == 0 || rest[0] != f {
			continue
		}
		left[f.ID] = left[f.ID][1:]
		x := newFindingChange(f)
		x.Status, x.Was, x.WasSuppressed = FindingResolved, Optional(f.Severity), f.Suppressed != nil
		x.Cause, x.Why = c.causeOf(f, c.old, c.new)
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(a, b FindingChange) int {
		return cmp.Or(cmp.Compare(slices.Index(findingOrder, a.Status), slices.Index(findingOrder, b.Status)),
			cmp.Compare(severityRank(a.Severity), severityRank(b.Severity)),
			strings.Compare(a.Check, b.Check), cmp.Compare(a.Ref, b.Ref), strings.Compare(a.ID, b.ID))
	})
	return out
}

func newFindingChange(f *Finding) FindingChange {
	return FindingChange{ID: f.ID, Check: f.Check, Ref: f.Ref, Severity: f.Severity, Confidence: f.Confidence, Message: f.Message}
}

func severityRank(s string) int { return slices.Index(analyzer.Severities, analyzer.Severity(s)) }

// judge says what became of a finding that is in both reports.
func (c *comparer) judge(x *FindingChange, was, is *Finding) {
	x.Status, x.Was, x.WasSuppressed = FindingPersisting, Optional(was.Severity), was.Suppressed != nil
	switch d := severityRank(is.Severity) - severityRank(was.Severity); {
	case d < 0:
		x.Status = FindingWorsened
	case d > 0:
		x.Status = FindingImproved
	}
	if x.Status != FindingPersisting {
		x.Cause, x.Why = c.causeOf(is, c.new, c.old)
	}
	switch {
	case x.Suppressed && !x.WasSuppressed:
		c.suppressions = true
		x.Why = strings.TrimPrefix(x.Why+"; suppressed now", "; ")
	case !x.Suppressed && x.WasSuppressed:
		c.suppressions = true
		if until := was.Suppressed.Expires; until != 0 && until < c.new.Created {
			x.Status = FindingExpired
			x.Why = strings.TrimPrefix(x.Why+"; it was accepted until "+day(until), "; ")
			break
		}
		x.Why = strings.TrimPrefix(x.Why+"; not suppressed any more", "; ")
	}
}

// causeOf says why f is in one report and not, or not as grave, in the other.
func (c *comparer) causeOf(f *Finding, in, other *Report) (cause Optional, why string) {
	if len(other.Checks) > 0 && len(in.Checks) > 0 && !slices.Contains(other.Checks, f.Check) {
		if in == c.new {
			return causeTool, "the version that made the old report does not have the check"
		}
		return causeTool, "the version that made the new report does not have the check"
	}
	ref := string(f.Ref)
	group := ref
	if x := cmp.Or(c.newRules[ref], c.oldRules[ref]); x != nil {
		group = x.Group
		switch {
		case c.newRules[ref] == nil:
			return causePolicy, "the rule was removed" + c.asPlanned(ref)
		case c.oldRules[ref] == nil:
			return causePolicy, "the rule was added" + c.asPlanned(ref)
		case c.edited[ref]:
			return causePolicy, "the rule was changed" + c.asPlanned(ref)
		}
	}
	if v, ok := c.moved[ref]; ok {
		return Optional(v.Cause), fmt.Sprintf("the verdict on the rule was %s and is %s: %s", v.Was, v.Verdict, v.Why)
	}
	for _, r := range f.Related {
		if c.edited[r] {
			return causePolicy, r + " was changed, removed or added"
		}
	}
	if c.touched[group] {
		return causePolicy, "other rules of the group, or its interfaces, changed"
	}
	if a, b := c.oldRules[ref], c.newRules[ref]; a != nil && b != nil && (a.Hits != b.Hits || a.PossibleHits != b.PossibleHits || a.Peers != b.Peers) {
		return causeTraffic, fmt.Sprintf("its hits were %s and are %s", number(a.Hits), number(b.Hits))
	}
	if c.options {
		return causeOptions, "the reports were made with different options"
	}
	if len(c.edited) > 0 {
		return causePolicy, "rules of other groups changed"
	}
	return causeEvidence, "the logs show other connections"
}

func (c *comparer) asPlanned(ref string) string {
	if c.planned[ref] {
		return ", as the plan of the old report says"
	}
	return ""
}

// comparisonNotes lists what makes two reports hard to compare.
func comparisonNotes(older, newer *Report, options bool) []string {
	var out []string
	say := func(on bool, format string, args ...any) {
		if on {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	ids := map[string]bool{}
	for i := range older.Groups {
		ids[older.Groups[i].ID] = true
	}
	common := slices.ContainsFunc(newer.Groups, func(g Group) bool { return ids[g.ID] })
	say(!common && len(older.Groups)+len(newer.Groups) > 0, "No group is in both reports: they are not of the same network.")
	a, b := older.Window, newer.Window
	say(b.To < a.To || b.To == a.To && newer.Created < older.Created, "The new report is on an earlier time than the old one: are they in the right order?")
	say(a.To > 0 && b.From-a.To > daySeconds, "Between the windows lie %s that neither report speaks of.", plural(int((b.From-a.To)/daySeconds), "day"))
	say(older.Tool.Version != newer.Tool.Version, "Different versions made them (%s and %s): checks may have changed.", older.Tool.Version, newer.Tool.Version)
	say(options, "They were made with different options.")
	for _, x := range []struct {
		name string
		r    *Report
	}{{"old", older}, {"new", newer}} {
		say(x.r.Summary.Outcome == OutcomeRejectOnly, "The logs of the %s report hold rejected traffic only.", x.name)
		say(x.r.Fidelity.Judged > 0 && x.r.Fidelity.Rate < x.r.Options.MinFidelity, "The policy of the %s report explains only %s of its records.", x.name, Percent(x.r.Fidelity.Rate))
	}
	return out
}

// headline words the counts, what matters most first.
func (c *Comparison) headline() string {
	if c.Same {
		return "Nothing changed."
	}
	var parts []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, number(uint64(n))+" "+many)
		}
	}
	add(c.Counts.New, "new finding", "new findings")
	add(c.Counts.Reopened, "re-opened", "re-opened")
	add(c.Counts.Expired, "accepted until now and no longer", "accepted until now and no longer")
	add(c.Counts.Worsened, "worsened", "worsened")
	add(c.Counts.Improved, "improved", "improved")
	add(c.Counts.Resolved, "resolved", "resolved")
	if len(parts) == 0 {
		parts = append(parts, "no finding is new or gone")
	}
	text := strings.Join(parts, ", ")
	parts = nil
	add(len(c.Rules), "rule changed in the policy", "rules changed in the policy")
	add(len(c.Verdicts), "verdict moved on an unchanged rule", "verdicts moved on unchanged rules")
	if len(parts) > 0 {
		text += "; " + strings.Join(parts, ", ")
	}
	return upperFirst(text) + "."
}

// WriteComparison writes c as indented JSON.
func WriteComparison(w io.Writer, c *Comparison) error { return writeJSON(w, completed(c)) }

// DiffJSONSchema returns the JSON Schema (2020-12) of [Comparison].
func DiffJSONSchema() []byte {
	return schemaOf(reflect.TypeFor[Comparison](), "sgadvise diff", DiffSchema,
		"What is different between two reports: findings, rules, verdicts on unchanged rules, the plan, and the evidence.")
}
