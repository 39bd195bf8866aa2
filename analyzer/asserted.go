package analyzer

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/assertion"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// Asserted is what became of one assertion of Options.Assert.
type Asserted struct {
	Assertion *assertion.Assertion
	Present   assertion.Outcome
	Planned   assertion.Outcome // of the policy with the plan made; of the present one if there are no edits
}

// FailedAssertion finds assertions that do not hold.
var FailedAssertion = &Analyzer{
	Name:     "failed-assertion",
	Title:    "A connection that must stay allowed or denied is not",
	Severity: High,
	Doc: `An assertion given with --assert does not hold for the policy as it is: a connection
that must be allowed is denied, or one that must be denied is allowed. The message names
one such connection and the rules that decide. The answer comes from the rules alone, by
the reference evaluator; no traffic is needed.

It cannot be told where a peer cannot be resolved, or where the ends that an assertion
names are not in the policy: then the severity is medium. What cannot be told does not hold,
so the run fails all the same.

The plan breaks no assertion: edits that would are left out, and the plan says so. Either
the policy is wrong or the assertion is; explain shows the connection step by step.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i := range p.Asserted {
			a := &p.Asserted[i]
			if a.Present.Status == assertion.Holds {
				continue
			}
			subject := a.Assertion.About(p.Snapshot)
			f := Finding{Subject: policy.Ref{Owner: subject}, substance: a.Assertion.Name + "|" + a.Assertion.Text() + "|" + a.Assertion.Expect.String(),
				Message: fmt.Sprintf("assertion %q does not hold", a.Assertion.Name)}
			switch {
			case a.Present.Status == assertion.Unknown:
				f.Severity = Medium
				f.Message = fmt.Sprintf("assertion %q cannot be told", a.Assertion.Name)
				if a.Present.Why != "" {
					f.Message += ": " + a.Present.Why
				}
			case len(a.Present.Against) > 0:
				f.Message += ": " + a.Present.Against[0].String()
			}
			f.Facts = []Fact{{"asserted", a.Assertion.Expect.String() + " " + a.Assertion.Text()},
				{"written at", fmt.Sprintf("%s:%d", a.Assertion.File, a.Assertion.Line)}}
			if len(a.Present.Against) > 0 {
				f.Facts = append(f.Facts, Fact{"first of these connections", a.Present.Against[0].String()},
					Fact{"classes of connections asked about", count(a.Present.Tried)})
				f.Related = declared(p.Snapshot, a.Present.Against[0].Refs)
			}
			out = append(out, f)
		}
		return out
	},
}

// declared are those of refs that an export has, few enough to be listed.
func declared(s *policy.Snapshot, refs []policy.Ref) []policy.Ref {
	var out []policy.Ref
	for _, r := range refs {
		if _, ok := s.RuleIndex(r); ok {
			out = append(out, r)
		}
	}
	return out[:min(len(out), maxRelated)]
}

// assertPresent asks the present policy about every assertion.
func assertPresent(s *policy.Snapshot, all []assertion.Assertion) []Asserted {
	var out []Asserted
	for i := range all {
		present := assertion.Check(&all[i], s)
		out = append(out, Asserted{&all[i], present, present})
	}
	return out
}

// assertPlanned asks the planned policy, and holds rules whose edits break an assertion.
// It reports whether something breaks, and whether rules are held now that were not.
func (p *Pass) assertPlanned(made *plan.Plan, held map[policy.Ref]string) (breaks, more bool) {
	if len(made.Edits) == 0 {
		for i := range p.Asserted {
			p.Asserted[i].Planned = p.Asserted[i].Present
		}
		return false, false
	}
	edited := make(map[policy.Ref]bool)
	for i := range made.Edits {
		edited[made.Edits[i].Rule] = true
	}
	for i := range p.Asserted {
		a := &p.Asserted[i]
		a.Planned = assertion.Check(a.Assertion, made.Planned)
		for k := range a.Planned.Against {
			w := &a.Planned.Against[k]
			before, refs := w.Judge(p.Snapshot)
			if before != a.Assertion.Expect {
				continue // the plan changes nothing about that
			}
			breaks = true
			refs = slices.DeleteFunc(refs, func(r policy.Ref) bool { return !edited[r] })
			for _, r := range p.narrowest(refs) {
				if held[r] == "" {
					held[r] = fmt.Sprintf("assertion %q: without the rule as it is %s is not sure to be %s", a.Assertion.Name, w.Flow, allowedDenied(a.Assertion.Expect))
					more = true
				}
			}
		}
	}
	return breaks, more
}

func allowedDenied(v policy.Verdict) string {
	if v == policy.Allowed {
		return "allowed"
	}
	return "denied"
}

// narrowest picks of refs, all of which speak for a connection, one of each group or ACL
// and direction: the one that admits least, so that the others can still be tightened.
func (p *Pass) narrowest(refs []policy.Ref) []policy.Ref {
	type list struct {
		owner     string
		direction string
	}
	best := make(map[list]*policy.Rule)
	var out []policy.Ref
	for _, ref := range refs {
		n, ok := p.Snapshot.RuleIndex(ref)
		if !ok {
			continue
		}
		r := p.Snapshot.Rules()[n]
		at := list{ref.Owner, r.Direction.String()}
		if b := best[at]; b == nil || cmp.Or(cmp.Compare(bits(b), bits(r)), cmp.Compare(services(r), services(b)), b.Ref.Compare(r.Ref)) < 0 {
			best[at] = r
		}
	}
	for _, r := range best {
		out = append(out, r.Ref)
	}
	slices.SortFunc(out, policy.Ref.Compare)
	return out
}

// bits is the length of the shortest prefix that r names, as of IPv6; a group is as
// narrow as an address.
func bits(r *policy.Rule) int {
	least := 128
	for i := range r.Match {
		for _, p := range r.Match[i].Remote.Prefixes {
			least = min(least, p.Bits()+128-p.Addr().BitLen())
		}
	}
	return least
}

// services counts the ports that r names, more than all of them for any protocol.
func services(r *policy.Rule) int {
	n := 0
	for i := range r.Match {
		m := &r.Match[i]
		if _, single := m.Protos.Single(); !single {
			return 1 << 20
		}
		n += m.ServicePorts(r.Direction).Len()
	}
	return n
}
