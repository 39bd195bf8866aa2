package plan_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
)

// stored writes edits of s as a report does.
func stored(s *policy.Snapshot, edits []plan.Edit) []plan.Stored {
	var out []plan.Stored
	for i := range edits {
		e := &edits[i]
		x := plan.Stored{Op: e.Op, Rule: e.Rule, Group: e.Group}
		if at, ok := s.RuleIndex(e.Rule); ok {
			was := plan.WordsOf(s.Rules()[at])
			x.Was = &was
		}
		for k := range e.With {
			x.With = append(x.With, plan.WordsOf(&e.With[k]))
		}
		out = append(out, x)
	}
	return out
}

// said writes what edits do, with everything that Reread has to find again.
func said(edits []plan.Edit) string {
	var b strings.Builder
	for _, e := range edits {
		fmt.Fprintf(&b, "%s %s %s\n", e.Op, e.Rule, e.Group)
		for _, r := range e.With {
			fmt.Fprintf(&b, "  %+v\n", r)
		}
	}
	return b.String()
}

func TestRereadUndoesTheWriting(t *testing.T) {
	seen := 0
	for seed := range uint64(100) {
		for name, w := range map[string]*randomWorld{"plain": newRandomWorld(t, seed), "ordered": newOrderedWorld(t, seed)} {
			in := w.input(t, plan.ModeTighten)
			p, err := plan.Make(context.Background(), in)
			if err != nil {
				t.Fatal(err)
			}
			s := in.Result.Snapshot
			got, err := plan.Reread(s, stored(s, p.Edits))
			if err != nil {
				t.Errorf("%s %d: %v\n%s", name, seed, err, w.policy)
				continue
			}
			if d := cmp.Diff(said(p.Edits), said(got)); d != "" {
				t.Errorf("%s %d: %s", name, seed, d)
			}
			seen += len(got)
		}
	}
	if seen < 200 {
		t.Errorf("only %d edits", seen)
	}
}

func TestRereadRulesOfBothFamilies(t *testing.T) {
	s, err := cloud.ParseText("policy", []byte("interface eni-1 10.0.0.5 sg-a\ngroup sg-a\n  r1 ingress udp 53-8000 from any\n"))
	if err != nil {
		t.Fatal(err)
	}
	wider := *s.Rules()[0]
	wider.Match = slices.Clone(wider.Match)
	for i := range wider.Match {
		wider.Match[i].LocalPorts.Last = 9000
	}
	edits := []plan.Edit{{Op: plan.Replace, Rule: s.Rules()[0].Ref, Group: "sg-a", With: []policy.Rule{wider}}}
	got, err := plan.Reread(s, stored(s, edits))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(plan.WordsOf(&wider), plan.WordsOf(&got[0].With[0])); d != "" {
		t.Error(d)
	}
}

const rereadPolicy = `
interface eni-1 10.0.0.5 sg-a
group sg-a
  r1 ingress tcp 443 from 10.0.0.0/8 "web"
  r2 ingress icmp type 3 code 4 from 10.0.0.0/8
  r3 ingress tcp 22 from pl-1 readonly
list pl-1 10.1.0.0/16
`

func TestRereadRefusesWhatDoesNotFit(t *testing.T) {
	s := parse(t, rereadPolicy)
	web := plan.Words{Direction: "ingress", Action: "allow", Priority: 1, Protocol: "tcp", Ports: "443", Peer: "10.0.0.0/8"}
	narrow := func(change func(*plan.Words)) plan.Stored {
		w := web
		w.Peer = "10.1.0.0/16"
		change(&w)
		return plan.Stored{Op: plan.Replace, Rule: policy.Ref{Owner: "sg-a", Rule: "r1"}, Group: "sg-a", Was: &web, With: []plan.Words{w}}
	}
	for _, c := range []struct {
		edit plan.Stored
		want string // empty: it fits
	}{
		{narrow(func(*plan.Words) {}), ""},
		{narrow(func(w *plan.Words) { w.Peer = "pl-1" }), ""},
		{narrow(func(w *plan.Words) { w.Peer = "sg-a" }), ""},
		{narrow(func(w *plan.Words) { w.Protocol, w.Ports = "icmp", "type 3 code 4" }), ""},
		{narrow(func(w *plan.Words) { w.Protocol, w.Ports = "47", "all" }), ""},
		{narrow(func(w *plan.Words) { w.Peer = "sg-x" }), `with[0]: peer "sg-x" is neither a prefix nor a group or list of the policy`},
		{narrow(func(w *plan.Words) { w.Peer = "10.1.2.3/16" }), "bits outside"},
		{narrow(func(w *plan.Words) { w.Peer = "10.0.0.0/16,10.1.0.0/16" }), "peer"},
		{narrow(func(w *plan.Words) { w.Ports = "444-443" }), `ports "444-443" are neither N nor N-M`},
		{narrow(func(w *plan.Words) { w.Ports = "70000" }), "neither N nor N-M"},
		{narrow(func(w *plan.Words) { w.Ports = "" }), "neither N nor N-M"},
		{narrow(func(w *plan.Words) { w.Protocol = "gre" }), "which has none"},
		{narrow(func(w *plan.Words) { w.Protocol, w.Ports = "icmp", "type 3 code" }), "are no ICMP type"},
		{narrow(func(w *plan.Words) { w.Protocol, w.Ports = "icmp", "type 300" }), "are no ICMP type"},
		{narrow(func(w *plan.Words) { w.Protocol = "several" }), `protocol "several"`},
		{narrow(func(w *plan.Words) { w.Direction = "in" }), `direction "in"`},
		{narrow(func(w *plan.Words) { w.Action = "next" }), `action "next"`},
		{narrow(func(w *plan.Words) { w.Priority = 0 }), "priority 0"},
		{narrow(func(w *plan.Words) { w.Priority = 5 }), "priority 5 where rules have none"},
		{plan.Stored{Op: plan.Remove, Rule: policy.Ref{Owner: "sg-a", Rule: "r9"}, Group: "sg-a"}, "plan.edits[0]: sg-a/r9: the policy has no such rule"},
		{plan.Stored{Op: plan.Remove, Rule: policy.Ref{Owner: "sg-a", Rule: "r1"}, Group: "sg-b"}, "not of the group sg-b"},
		{plan.Stored{Op: plan.Remove, Rule: policy.Ref{Owner: "sg-a", Rule: "r3"}, Group: "sg-a"}, "not one that can be edited"},
		{plan.Stored{Op: plan.Remove, Rule: policy.Ref{Owner: "sg-a", Rule: "r2"}, Group: "sg-a", Was: &web},
			"the policy says ingress allow icmp type 3 code 4 from 10.0.0.0/8 (priority 1), the report ingress allow tcp 443 from 10.0.0.0/8 (priority 1)"},
		{plan.Stored{Op: plan.Remove, Rule: policy.Ref{Owner: "sg-a", Rule: "r1"}, Group: "sg-a", With: []plan.Words{web}}, "remove with 1 new rules"},
		{plan.Stored{Op: plan.Replace, Rule: policy.Ref{Owner: "sg-a", Rule: "r1"}, Group: "sg-a"}, "replace with 0 new rules"},
		{plan.Stored{Op: plan.Add, Group: "sg-a"}, "plan.edits[0]: sg-a: an addition that"},
		{plan.Stored{Op: "swap", Group: "sg-a"}, `"swap" is not remove, replace or add`},
	} {
		edits, err := plan.Reread(s, []plan.Stored{c.edit})
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v, want %q", c.edit, err, c.want)
		case err == nil:
			if _, err := plan.Apply(s, edits); err != nil {
				t.Errorf("%+v: %v", c.edit, err)
			}
		}
	}
}
