package analyzer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sgadvise/sgadvise/analyzer/assertion"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/analyzer/suppress"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// Severity says how much a finding matters if it is true.
type Severity string

const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// Severities lists the severities, the gravest first.
var Severities = []Severity{Critical, High, Medium, Low, Info}

// AtLeast reports whether s is as grave as t or graver.
func (s Severity) AtLeast(t Severity) bool {
	return slices.Index(Severities, s) <= slices.Index(Severities, t)
}

// Fact is one number or name behind a finding.
type Fact struct{ Name, Value string }

// Finding is a claim about one rule, group or ACL, with its evidence.
type Finding struct {
	ID         string // fingerprint: depends on check, subject and substance only
	Check      string
	Severity   Severity
	Confidence plan.Confidence
	Subject    policy.Ref // Rule is empty if the subject is a whole group
	Message    string
	Facts      []Fact
	Related    []policy.Ref
	Controls   []string // compliance controls that the finding is evidence toward
	Platform   string   // of the subject: aws, or the id of another; empty: not known
	// Suppressed is the entry by which the risk is accepted, nil: none. Lapsed is one that
	// would if it had not expired.
	Suppressed, Lapsed *suppress.Entry
	substance          string
	opens              *opening // what it says is open to the world; nil: nothing
}

// Analyzer is one check. Its Doc is written for the operator: what it claims, from
// what evidence, when it is wrong, what to do.
type Analyzer struct {
	Name     string // kebab-case noun
	Title    string
	Severity Severity // the gravest it reports
	Doc      string
	Run      func(*Pass) []Finding
}

// Pass is what a check may read. It is shared by checks that run at the same time, and must
// not be changed.
type Pass struct {
	Snapshot *policy.Snapshot
	Result   *engine.Result
	Evidence *Evidence
	Verdicts []RuleVerdict // of Result.Usage, same order
	Coverage *ruleCoverage
	Observed []observed // of Snapshot.Rules(), same order
	seen     *sightings
	replies  map[policy.Ref]replies // that were rejected, by ACL line
	Asserted []Asserted             // of Options.Assert, same order; of the present policy while checks run
}

// Options are what a user may set.
type Options struct {
	Mode        plan.Mode
	Budget      int // rules per group and direction; 0: as many as the group has
	NarrowDays  int // least window to narrow a rule
	UnusedDays  int // least window to call a rule unused
	MinFidelity float64
	Workers     int
	// Unread is how many records of the logs were malformed or unsupported. What they
	// held is lost: it may have been the only use of a rule.
	Unread uint64
	// Suppress lists accepted risks; those expire at Now. Findings that they are about are
	// marked, and the plan leaves their rules alone.
	Suppress []suppress.Entry
	Now      time.Time
	Assert   []assertion.Assertion // what must hold, now and after the plan
	// DropRows gives the rows of the result's store back as soon as no check needs them,
	// if no plan is asked for, which does. Nobody can replay them afterwards.
	DropRows bool
}

// DefaultOptions are the options of a run without flags.
var DefaultOptions = Options{Mode: plan.ModeTighten, NarrowDays: 14, UnusedDays: 28, MinFidelity: 0.9, Workers: 1}

// Analysis is the outcome of Run.
type Analysis struct {
	Evidence *Evidence
	Verdicts []RuleVerdict // declared rules in snapshot order, then implicit ones
	Findings []Finding     // by severity, check, subject
	Plan     *plan.Plan
	Accepted []Acceptance // of Options.Suppress, same order
	Asserted []Asserted   // of Options.Assert, same order
}

// All lists the checks in the order of their names.
var All = []*Analyzer{
	ACLExposedAdminPort,
	ACLReplyDenied,
	CorrelatedRules,
	DeadReference,
	DefaultEgress,
	DefaultEqualRule,
	DefaultGroup,
	DuplicateRule,
	ExposedAdminPort,
	ExposedHighRiskPort,
	ExposedUnauthorizedPort,
	FailedAssertion,
	GeneralisedRule,
	IneffectiveDeny,
	IntraGroupOnly,
	IntraMaskedRule,
	MaskedByACL,
	MergeableRules,
	MissingDescription,
	RedundantRule,
	RuleQuota,
	ShadowedRule,
	UnattachedGroup,
	UnreachableLine,
	UnusedRule,
	WidePorts,
	WideSource,
}

// Run judges every rule, makes the plan, and runs every check. The outcome depends on
// its input alone, not on the number of workers.
func Run(ctx context.Context, res *engine.Result, opt Options) (*Analysis, error) {
	pass := &Pass{Snapshot: res.Snapshot, Result: res}
	var wg sync.WaitGroup
	var exposure *plan.Measured
	var visits map[int32][]visit
	wg.Go(func() { pass.Evidence = newEvidence(res, opt) })
	wg.Go(func() {
		pass.seen = observe(res)
		visits = unexplained(res, pass.seen.strays)
	})
	wg.Go(func() { pass.replies = rejectedReplies(res) })
	wg.Wait()
	if opt.DropRows && opt.Mode == plan.ModeNone {
		res.Store.Drop()
	}
	wg.Go(func() { exposure = plan.Measure(res.Snapshot) })
	pass.Coverage = newRuleCoverage(res.Snapshot)
	wg.Wait()
	ev := pass.Evidence
	pass.Observed = pass.seen.rules
	pass.Verdicts = verdicts(res, ev, pass.Coverage, visits)
	pass.Asserted = assertPresent(res.Snapshot, opt.Assert)
	out := &Analysis{Evidence: ev, Verdicts: pass.Verdicts}
	found := make([][]Finding, len(All))
	parallel(len(All), func(i int) {
		a := All[i]
		found[i] = a.Run(pass)
		for k := range found[i] {
			f := &found[i][k]
			f.Check = a.Name
			if f.Severity == "" {
				f.Severity = a.Severity
			}
			if f.Confidence == "" {
				f.Confidence = plan.High
			}
			f.ID = fingerprint(f)
		}
	})
	out.Findings = slices.Concat(found...)
	accepted := acceptance{pass, opt.Suppress, opt.Now, make(map[policy.Ref]string)}
	accepted.mark(out.Findings)
	p, err := pass.plan(ctx, opt, &accepted, exposure, out)
	if err != nil {
		return nil, err
	}
	out.Plan = p
	declined := make(map[policy.Ref]string)
	for _, d := range p.Declined {
		declined[d.Rule] = d.Reason
	}
	touched := make(map[policy.Ref]bool)
	for i := range p.Edits {
		touched[p.Edits[i].Rule] = true
	}
	for i := range out.Findings {
		f := &out.Findings[i]
		if why := declined[f.Subject]; why != "" && !touched[f.Subject] && (f.Check == WideSource.Name || f.Check == WidePorts.Name) {
			f.Facts = append(f.Facts, Fact{"not planned", why})
			if n, ok := res.Snapshot.RuleIndex(f.Subject); ok && accepted.held[f.Subject] == "" && pass.Verdicts[n].evidence.narrow == "" && pass.Verdicts[n].evidence.others == "" {
				// True, and nothing follows from it: a public service is wide because it is public.
				f.Severity = Low
			}
		}
		if n, ok := res.Snapshot.RuleIndex(f.Subject); ok && touched[f.Subject] {
			if fact, warn := pass.untrackedFact(n); warn {
				f.Facts = append(f.Facts, fact)
			}
		}
		if e := f.Lapsed; e != nil {
			f.Facts = append(f.Facts, Fact{"suppression expired", e.Expires.Format(time.RFC3339) + ": " + e.Reason})
		}
	}
	pass.addControls(out.Findings)
	sortFindings(out.Findings)
	out.Accepted, out.Asserted = accepted.account(out.Findings), pass.Asserted
	return out, nil
}

// plan makes the plan and adds the findings of its own edits to out. Where one of those
// is suppressed, its rule is held and the plan made anew: the finding stays, since with
// it goes what the entry is about. Rules whose edits break an assertion are held in the
// same way; if none is to blame there is no plan.
func (p *Pass) plan(ctx context.Context, opt Options, accepted *acceptance, exposure *plan.Measured, out *Analysis) (*plan.Plan, error) {
	mode := opt.Mode
	for hopeless := false; ; {
		made, err := plan.Make(ctx, plan.Input{
			Result:      p.Result,
			Mode:        mode,
			Budget:      opt.Budget,
			MinFidelity: opt.MinFidelity,
			Evidence:    p.Evidence.forPlan(p.Verdicts),
			Held:        accepted.held,
			Measured:    exposure,
		})
		if err != nil {
			return nil, err
		}
		doubt(made.Edits, opt.Unread, p.Result)
		own := backEdits(p, out.Findings, made.Edits)[len(out.Findings):]
		for i := range own {
			own[i].ID = fingerprint(&own[i])
		}
		if accepted.mark(own) {
			for i := range own {
				if own[i].Suppressed != nil {
					out.Findings = append(out.Findings, own[i])
				}
			}
			continue
		}
		if breaks, more := p.assertPlanned(made, accepted.held); breaks {
			if !more {
				mode, hopeless = plan.ModeNone, true
			}
			continue
		}
		if hopeless {
			made.Mode = opt.Mode
			made.Declined = []plan.Declined{{Reason: "an assertion would be broken, and no edit alone is to blame"}}
		}
		out.Findings = append(out.Findings, own...)
		return made, nil
	}
}

// doubt lowers the confidence of observed edits where records could not be read: to
// medium if any could not, to low if that is more than one in a hundred.
func doubt(edits []plan.Edit, unread uint64, res *engine.Result) {
	for i := range edits {
		e := &edits[i]
		switch {
		case e.Basis != plan.Observed || unread == 0:
		case unread > res.Ledger.Total()/100:
			e.Confidence = plan.Low
		case e.Confidence == plan.High:
			e.Confidence = plan.Medium
		}
	}
}

// Time formats Unix seconds as reports do.
func Time(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
