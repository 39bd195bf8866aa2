package analyzer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/assertion"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func (s *scenario) asserting(t *testing.T, mode plan.Mode, list string) *analyzer.Analysis {
	t.Helper()
	all, err := assertion.Parse("assert.yaml", []byte("version: 1\nassert:\n"+list))
	if err != nil {
		t.Fatal(err)
	}
	opt := s.opt
	opt.Mode, opt.Unread, opt.Assert = mode, s.read.Ledger.Total(), all
	a, err := analyzer.Run(context.Background(), s.res, opt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Whatever the plan takes away: if a connection that it would deny is asserted, it stays
// allowed, the other edits stay too where they can, and what is left out says why.
func TestThePlanBreaksNoAssertion(t *testing.T) {
	tried := 0
	eachScenario(t, func(t *testing.T, s *scenario) {
		plain := s.run(t, plan.ModeTighten)
		for i := range plain.Plan.Edits {
			e := &plain.Plan.Edits[i]
			n, ok := s.res.Snapshot.RuleIndex(e.Rule)
			if !ok || testing.Short() && i > 0 {
				continue
			}
			r := s.res.Snapshot.Rules()[n]
			m := &r.Match[0]
			proto, single := m.Protos.Single()
			if r.Action != policy.Allow || !single || !proto.HasPorts() || len(m.Remote.Prefixes) != 1 {
				continue
			}
			for _, f := range s.res.Snapshot.Attached(r.Ref.Owner) {
				from, to := m.Remote.Prefixes[0].String(), f.ID
				if r.Direction == flow.Egress {
					from, to = to, from
				}
				list := fmt.Sprintf("  - {name: kept, from: '%s', to: '%s', protocol: %s, ports: '%s', expect: allow}\n", from, to, proto.Name(), m.ServicePorts(r.Direction))
				got := s.asserting(t, plan.ModeTighten, list)
				a := got.Asserted[0]
				if a.Present.Status == assertion.Holds && a.Planned.Status != assertion.Holds {
					t.Errorf("%s holds now, and %s after the plan: %s", list, a.Planned.Status, a.Planned.Against[0].String())
				}
				if !got.Plan.Proof.Holds() {
					t.Errorf("%s: the proof fails: %s", list, got.Plan.Proof.Witness)
				}
				if a.Present.Status != assertion.Holds {
					continue
				}
				if before, _ := checkOn(t, list, plain.Plan.Planned); before == assertion.Holds {
					if len(got.Plan.Edits) != len(plain.Plan.Edits) {
						t.Errorf("%s breaks nothing, but the plan has %d edits, not %d", list, len(got.Plan.Edits), len(plain.Plan.Edits))
					}
					continue
				}
				tried++
				if !slices.ContainsFunc(got.Plan.Declined, func(d plan.Declined) bool { return strings.HasPrefix(d.Reason, `assertion "kept": `) }) {
					t.Errorf("%s: declined does not say why: %v", list, got.Plan.Declined)
				}
			}
		}
	})
	if tried < 10 {
		t.Errorf("tried %d only", tried)
	}
}

func checkOn(t *testing.T, list string, s *policy.Snapshot) (assertion.Status, int) {
	t.Helper()
	all, err := assertion.Parse("assert.yaml", []byte("version: 1\nassert:\n"+list))
	if err != nil {
		t.Fatal(err)
	}
	out := assertion.Check(&all[0], s)
	return out.Status, out.Tried
}

// Of several rules that allow an asserted connection the narrowest is kept, and the wide
// ones go or shrink.
func TestTheNarrowestRuleIsKeptForAnAssertion(t *testing.T) {
	s := newScenario(t, txtar.Parse([]byte(`-- policy --
interface eni-1 10.0.0.5 sg-1
group sg-1
  sgr-wide ingress tcp all from 0.0.0.0/0
  sgr-mid ingress tcp 20-25 from 10.9.0.0/16
  sgr-one ingress tcp 22 from 10.9.1.0/24
  sgr-web ingress tcp 443 from 0.0.0.0/0
-- flows --
version interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags log-status
3 eni-1 198.51.100.7 10.0.0.5 50000 443 6 10 840 1700000000 1700000060 ACCEPT 2 OK
3 eni-1 10.0.0.5 198.51.100.7 443 50000 6 10 840 1700000000 1700000060 ACCEPT 18 OK
`)))
	got := s.asserting(t, plan.ModeTighten, "  - {name: operators, flow: '10.9.1.7 -> 10.0.0.5:22/tcp', expect: allow}\n")
	for ref, kept := range map[string]bool{"sgr-wide": false, "sgr-mid": false, "sgr-one": true} {
		if _, ok := got.Plan.Planned.RuleIndex(policy.Ref{Owner: "sg-1", Rule: ref}); ok != kept {
			t.Errorf("%s stays: %v", ref, ok)
		}
	}
	if got.Asserted[0].Planned.Status != assertion.Holds {
		t.Errorf("%+v", got.Asserted[0].Planned)
	}
}

// An assertion that does not hold is a finding; one that cannot be told is a lesser one.
func TestAssertionsThatDoNotHoldAreFindings(t *testing.T) {
	s := newScenario(t, txtar.Parse([]byte(`-- policy --
interface eni-1 10.0.0.5 sg-1
group sg-1 name=web
  sgr-1 ingress tcp 22 from 0.0.0.0/0
  sgr-2 ingress tcp 80 from sg-foreign
-- flows --
version interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags log-status
3 eni-1 198.51.100.7 10.0.0.5 50000 22 6 10 840 1700000000 1700000060 ACCEPT 2 OK
`)))
	got := s.asserting(t, plan.ModeNone, `  - {name: closed, from: any, to: web, protocol: tcp, ports: 22, expect: deny}
  - {name: foreign, from: 10.9.0.0/16, to: web, protocol: tcp, ports: 80, expect: deny}
  - {name: nowhere, from: sg-gone, to: web, protocol: tcp, ports: 80, expect: deny}
  - {name: fine, from: any, to: web, protocol: tcp, ports: 81, expect: deny}
`)
	var lines []string
	for _, f := range got.Findings {
		if f.Check == "failed-assertion" {
			lines = append(lines, fmt.Sprintf("%s %s %s", f.Severity, f.Subject.Owner, f.Message))
		}
	}
	want := []string{
		`high sg-1 assertion "closed" does not hold: 0.0.0.0 -> 10.0.0.5:22/tcp: allow by sg-1/sgr-1`,
		`medium sg-1 assertion "foreign" cannot be told`,
		`medium sg-1 assertion "nowhere" cannot be told: from: sg-gone is no address, and no interface or group of the policy`,
	}
	slices.Sort(lines)
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
