package cloud

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

var (
	ibmHeading = regexp.MustCompile(`(?m)^(No connectivity|Connections|Connections are allowed) from (.+?) to (.+?)(?:: (.+)| using "(.+?)");?$|^(No connectivity) from (.+?) to (.+?);$`)
	ibmQuery   = regexp.MustCompile(`^Explaining connectivity from .* using "(.+)"`)
	ibmOwner   = regexp.MustCompile(`^(?:security group|network ACL) (\S+) (?:(?:partly )?allows|blocks|has no relevant)`)
	ibmPeer    = regexp.MustCompile(`remote: (\S+) \(([^)]*)\)`)
	ibmAddress = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`)
	ibmNumber  = regexp.MustCompile(`\d+`)
	ibmRuler   = regexp.MustCompile(`(?m)^-{20,}$`)
	ibmConfigs = []string{"sg_testing1_new", "sg_testing1_new_2SGs", "sg_testing1_new_2SGs_none_enabling", "sg_testing1_new_2SGs_one_enabling",
		"sg_testing1_new_respond_partly", "sg_testing1_new_partly_TCP_and_respond", "acl_testing3", "acl_testing3_3rd"}
)

// ibmCases returns the names of the explanations by configuration.
func ibmCases(t *testing.T) map[string][]string {
	t.Helper()
	var cases []struct{ Kind, Name, InputConfig string }
	readJSON(t, &cases, "known-answers", "np-guard-analyzer", "ibm", "cases.json")
	out := make(map[string][]string)
	for _, c := range cases {
		if c.Kind == "explain" && !slices.Contains(out[c.InputConfig], c.Name) {
			out[c.InputConfig] = append(out[c.InputConfig], c.Name)
		}
	}
	return out
}

// The explanations: which connections of the query pass, which rules of each group and
// network ACL are about them on the way, and which about the answers.
//
// np-guard lists the rules that are relevant to a query, which is a set of
// connections; ours are those that win for some connection of it.
func TestNPGuardIBMExplanations(t *testing.T) {
	cases := ibmCases(t)
	blocks, sections := 0, 0
	for _, config := range ibmConfigs {
		w := readIBM(t, "known-answers", "np-guard-analyzer", "ibm", "input", config+".json")
		for _, name := range cases[config] {
			path := filepath.Join(dataDir(t, "known-answers", "np-guard-analyzer", "ibm", "explain"), name+"_all_vpcs_explain_detail.txt")
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				if text, err = os.ReadFile(strings.Replace(path, "_detail", "", 1)); err != nil {
					t.Fatal(err)
				}
			}
			query := "All Connections"
			if m := ibmQuery.FindStringSubmatch(string(text)); m != nil {
				query = m[1]
			}
			for _, block := range ibmRuler.Split(string(text), -1) {
				m := ibmHeading.FindStringSubmatch(block)
				if m == nil {
					continue
				}
				blocks++
				sections += w.explained(t, name, query, m, block)
			}
		}
	}
	t.Logf("%d answers, %d lists of rules", blocks, sections)
	if blocks < 50 || sections < 100 {
		t.Errorf("%d answers, %d lists of rules", blocks, sections)
	}
}

// end is the interface at the end that text names, or an address in the part of the
// outside that it names.
func (w *ibmWorld) end(text string) ibmEnd {
	if f, ok := w.Interface(text); ok {
		return ibmEnd{address: f.Addresses[0], face: f}
	}
	return ibmEnd{address: netip.MustParseAddr(ibmAddress.FindString(text))}
}

// explained checks one answer and returns the number of lists of rules in it.
func (w *ibmWorld) explained(t *testing.T, name, query string, m []string, block string) int {
	t.Helper()
	src, dst, allowed := w.end(m[2]+m[7]), w.end(m[3]+m[8]), "nothing"
	if m[1] != "No connectivity" && m[6] == "" {
		allowed = m[4] + m[5]
	}
	routed := !strings.Contains(block, "no resource for external connectivity")
	asked := ibmConns(query)
	var probes, passing []ibmProbe
	for _, p := range ibmProbes(w.Snapshot, ibmNumber.FindAllString(query+" "+allowed, -1)...) {
		if !asked(p) {
			continue
		}
		probes = append(probes, p)
		passes, _ := w.decide(src, dst, p)
		if passes {
			passing = append(passing, p)
		}
		if want := ibmConns(allowed)(p); passes != want && routed {
			t.Errorf("%s: %s => %s %+v: passes %t, want %t", name, m[2], m[3], p, passes, want)
			return 0
		}
	}

	n, reply, owner := 0, false, ""
	var d flow.Direction
	var want map[string][]string
	compare := func() {
		if want == nil {
			return
		}
		n++
		of := probes
		from, to := src, dst
		if reply {
			from, to, of = dst, src, passing
		}
		got := w.relevant(from, to, d, of, reply)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %s => %s, %s (reply %t):\n got  %v\n want %v", name, m[2], m[3], d, reply, got, want)
		}
	}
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "TCP response is ") && strings.HasSuffix(line, "The relevant rules are:"):
			compare()
			want, reply = nil, true
		case line == "Egress:" || line == "Ingress:":
			compare()
			want, d = make(map[string][]string), flow.Ingress
			if line == "Egress:" {
				d = flow.Egress
			}
		case want == nil:
		case ibmOwner.MatchString(line):
			owner = ibmOwner.FindStringSubmatch(line)[1]
			want[owner] = nil
		case strings.HasPrefix(line, "id: "), strings.HasPrefix(line, "name: "):
			want[owner] = append(want[owner], w.withoutMembers(t, line))
			slices.Sort(want[owner])
		}
	}
	compare()
	return n
}

// withoutMembers checks the addresses that a rule's group stands for, and cuts them.
func (w *ibmWorld) withoutMembers(t *testing.T, rule string) string {
	t.Helper()
	m := ibmPeer.FindStringSubmatch(rule)
	if m == nil {
		return rule
	}
	var members []string
	for _, p := range w.Members(m[1]) {
		members = append(members, p.String())
	}
	if got := strings.Join(members, ","); got != m[2] {
		t.Errorf("members of %s: %s, want %s", m[1], got, m[2])
	}
	return ibmPeer.ReplaceAllString(rule, "remote: $1")
}

// relevant returns the rules that win for one of probes at the end that the direction
// names: the source's of egress, the destination's of ingress. An answer meets the
// stateless stages alone, and TCP alone has any.
func (w *ibmWorld) relevant(src, dst ibmEnd, d flow.Direction, probes []ibmProbe, reply bool) map[string][]string {
	end := src
	if d == flow.Ingress {
		end = dst
	}
	got := make(map[string]map[string]bool)
	path := w.Path(end.face.ID, d)
	for i := range path {
		if reply && path[i].Stateful {
			continue
		}
		for _, p := range probes {
			if reply {
				if p.proto != flow.TCP {
					continue
				}
				p.src, p.dst = p.dst, p.src
			}
			sd := path[i].Decide(p.conn(src.address, dst.address, d))
			if sd.Skipped {
				continue
			}
			owners := end.face.Groups
			if !path[i].Stateful {
				acl, _, _ := w.ACLFor(end.face)
				owners = []string{acl.ID}
			}
			for _, o := range owners {
				if got[o] == nil {
					got[o] = make(map[string]bool)
				}
			}
			for _, r := range sd.Winners {
				if text := w.printed[r]; text != "" {
					got[r.Owner][text] = true
				}
			}
		}
	}
	out := make(map[string][]string)
	for o, rules := range got {
		out[o] = slices.Sorted(maps.Keys(rules))
	}
	return out
}

// The lint of shadowed lines and implied rules. np-guard prints at most three of a
// kind and counts the rest. Each finding, and no other, is one of ours: a line that
// never speaks, an allow that others cover.
//
// Of lint kinds that are about the addresses of the network (a rule that splits a
// subnet, or names addresses outside of the VPC) the analyzer has none.
func TestNPGuardIBMLint(t *testing.T) {
	for _, c := range []struct {
		config, lint             string
		shadowed, implied, stray int
	}{
		{"acl_testing3_with_redundant_rules", "acl3_shadowed_rules_Lint.txt", 1, 0, 2},
		{"acl_testing3_with_redundant_rules", "acl3_shadowed_rules_other_lints_disabled_Lint.txt", 1, 0, 0},
		{"acl_testing3", "basic_acl3_Lint.txt", 0, 0, 2},
		{"acl_testing3_3rd", "acl3_3rd_Lint.txt", 0, 0, 2},
		{"sg_testing1_new", "basic_sg1_Lint.txt", 0, 3, 2},
		{"sg_testing1_new_respond_partly", "PartialTCPRespond_Lint.txt", 0, 3, 2},
	} {
		w := readIBM(t, "known-answers", "np-guard-analyzer", "ibm", "input", c.config+".json")
		text, err := os.ReadFile(dataDir(t, "known-answers", "np-guard-analyzer", "ibm", "lint", c.lint))
		if err != nil {
			t.Fatal(err)
		}
		l := w.readLint(t, string(text))
		if l.responses == 0 && strings.Contains(string(text), "TCP response") {
			t.Errorf("%s: no blocked response was checked", c.lint)
		}
		if len(l.shadowed) != c.shadowed || len(l.implied) != c.implied || len(l.unattached) != c.stray {
			t.Errorf("%s: %d shadowed, %d implied, %d unattached, want %d, %d, %d", c.lint, len(l.shadowed), len(l.implied), len(l.unattached), c.shadowed, c.implied, c.stray)
		}
		shadowed, implied := w.needless()
		if !slices.Equal(shadowed, l.shadowed) {
			t.Errorf("%s: shadowed\n got  %q\n want %q", c.config, shadowed, l.shadowed)
		}
		if len(l.implied) > 0 && !slices.Equal(implied, l.implied) || len(l.implied) == 0 && len(implied) > 0 && !strings.Contains(c.lint, "disabled") {
			t.Errorf("%s: implied\n got  %q\n want %q", c.config, implied, l.implied)
		}
		var stray []string
		for _, g := range w.Groups {
			if len(w.Attached(g.ID)) == 0 {
				stray = append(stray, g.ID)
			}
		}
		for _, a := range w.ACLs {
			if len(a.Subnets) == 0 {
				stray = append(stray, a.ID)
			}
		}
		slices.Sort(stray)
		if len(l.unattached) > 0 && !slices.Equal(stray, l.unattached) {
			t.Errorf("%s: unattached %q, want %q", c.config, stray, l.unattached)
		}
	}
}

// ibmLint is what a lint report finds, rules as np-guard prints them, in order.
type ibmLint struct {
	shadowed, implied, unattached []string
	responses                     int
}

var (
	ibmBlocked = regexp.MustCompile(`^In the connection from "test-vpc1-ky/(.+?)" to "(?:test-vpc1-ky/)?(.+?)" (TCP.*?) ?response is blocked$`)
	ibmStray   = regexp.MustCompile(`(?:security group|network ACL) "(.+)" has no resources attached`)
)

// readLint reads a report, and checks its blocked responses as it meets them: the
// connection passes, its answer does not.
func (w *ibmWorld) readLint(t *testing.T, text string) ibmLint {
	t.Helper()
	var l ibmLint
	to := &l.shadowed
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasSuffix(line, "rule is implied by other rules"):
			to = &l.implied
		case strings.HasSuffix(line, "rule is shadowed by higher priority rules"):
			to = &l.shadowed
		case strings.HasPrefix(line, "In VPC"):
			to = nil
			if m := ibmStray.FindStringSubmatch(line); m != nil {
				l.unattached = append(l.unattached, m[1])
			}
		case strings.HasPrefix(line, "Rule details: ") && to != nil:
			*to = append(*to, w.withoutMembers(t, strings.TrimPrefix(line, "Rule details: ")))
		case ibmBlocked.MatchString(line):
			m := ibmBlocked.FindStringSubmatch(line)
			of := ibmConns(strings.ReplaceAll("protocol: "+m[3], "; TCP", "; protocol: TCP"))
			src, dst := w.end(m[1]), w.end(strings.Replace(m[2], "(all ranges)", "161.26.0.1", 1))
			for _, p := range ibmProbes(w.Snapshot) {
				if p.proto != flow.TCP || !of(p) {
					continue
				}
				l.responses++
				if passes, answered := w.decide(src, dst, p); !passes || answered {
					t.Errorf("%s: %+v passes %t, is answered %t", line, p, passes, answered)
				}
			}
		}
	}
	slices.Sort(l.shadowed)
	slices.Sort(l.implied)
	slices.Sort(l.unattached)
	return l
}

// needless returns the shadowed lines of network ACLs and the rules of groups that
// other rules of the group cover, as np-guard prints them, in order.
func (w *ibmWorld) needless() (shadowed, implied []string) {
	for _, a := range w.ACLs {
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			list := space.Of(w.stageOf(a.Rules, d, w.blocks(a.Subnets)))
			for i := range list.Lines {
				if list.Redundant(i, nil) == space.Shadowed {
					shadowed = append(shadowed, w.printed[list.Lines[i].Rule.Ref])
				}
			}
		}
	}
	for _, g := range w.Groups {
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			list := space.Of(w.stageOf(g.Rules, d, nil))
			for i := range list.Lines {
				if list.Redundant(i, nil) != space.Needed {
					implied = append(implied, w.printed[list.Lines[i].Rule.Ref])
				}
			}
		}
	}
	slices.Sort(shadowed)
	slices.Sort(implied)
	return shadowed, implied
}

// stageOf makes rules of direction d one stage. What they say of the local side is
// left out where it holds all of the subnets that they filter.
func (w *ibmWorld) stageOf(rules []policy.Rule, d flow.Direction, subnets []netip.Prefix) *policy.Stage {
	var tier policy.Tier
	for _, r := range rules {
		if r.Direction != d {
			continue
		}
		r.Match = slices.Clone(r.Match)
		for i := range r.Match {
			m := &r.Match[i]
			m.Remote = w.Resolve(m.Remote)
			within := func(s netip.Prefix) bool {
				return slices.ContainsFunc(m.Local.Prefixes, func(p netip.Prefix) bool { return p.Bits() <= s.Bits() && p.Contains(s.Addr()) })
			}
			if len(subnets) > 0 && !slices.ContainsFunc(subnets, func(s netip.Prefix) bool { return !within(s) }) {
				m.Local = policy.AnyAddr
			}
		}
		tier.Rules = append(tier.Rules, r)
	}
	return &policy.Stage{Tiers: []policy.Tier{tier}, Default: policy.Deny}
}

func (w *ibmWorld) blocks(subnets []string) []netip.Prefix {
	var out []netip.Prefix
	for _, id := range subnets {
		s, _ := w.Subnet(id)
		out = append(out, s.Blocks...)
	}
	return out
}
