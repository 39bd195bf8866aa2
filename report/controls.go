package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/control"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// ControlEvidence is the evidence of a run toward one control of a framework. It never
// says that anything is compliant.
type ControlEvidence struct {
	Framework  string   `json:"framework"` // id
	ID         string   `json:"id"`        // in the framework
	Title      string   `json:"title"`
	Status     string   `json:"status"`
	Basis      string   `json:"basis"`      // published, or judgement: the mapping is ours
	Checks     []string `json:"checks"`     // that are evidence toward it
	Findings   int      `json:"findings"`   // against it, that are not suppressed
	Suppressed int      `json:"suppressed"` // against it, that are
	Refs       []string `json:"refs"`       // the first of what they are about
	Evidence   []string `json:"evidence"`   // in words
}

// What the evidence toward a control amounts to.
const (
	ControlPass          = "pass" // nothing was found against it, and enough was there to find it
	ControlFail          = "fail" // something was found, suppressed or not
	ControlNotAssessable = "not-assessable"
)

// controlRefs bounds the refs of one control.
const controlRefs = 20

// auditor gathers evidence toward controls.
type auditor struct {
	in        Input
	r         *Report
	direction map[string]string // rule → direction
	platform  map[string]string // finding → platform
	present   map[string]bool   // platforms
	text      bool              // the policy is text, which may leave out what it does not care for
}

// buildControls gathers the evidence toward the controls of in.Frameworks.
func buildControls(in Input, r *Report) []ControlEvidence {
	a := auditor{in: in, r: r, direction: make(map[string]string, len(r.Rules)), platform: make(map[string]string), present: make(map[string]bool)}
	for i := range r.Rules {
		a.direction[r.Rules[i].Ref] = r.Rules[i].Direction
	}
	for i := range in.Analysis.Findings {
		f := &in.Analysis.Findings[i]
		a.platform[f.ID] = f.Platform
	}
	s := in.Result.Snapshot
	for i := range s.Interfaces {
		a.present[cmp.Or(s.Interfaces[i].Platform, "aws")] = true
	}
	for i := range s.Platforms {
		a.present[cmp.Or(s.Platforms[i].ID, "aws")] = true
	}
	for _, p := range r.Inputs.Policy {
		a.text = a.text || strings.HasPrefix(p.Kind, "text:")
	}
	var out []ControlEvidence
	for i := range control.All {
		f := &control.All[i]
		if !a.wanted(f) {
			continue
		}
		for k := range f.Controls {
			out = append(out, a.assess(f, &f.Controls[k]))
		}
	}
	return out
}

func (a *auditor) wanted(f *control.Framework) bool {
	if len(a.in.Frameworks) == 0 {
		return f.Default && (f.Platform == "" || a.present[f.Platform])
	}
	return slices.ContainsFunc(a.in.Frameworks, func(id string) bool { return id == "all" || control.Find(id) == f })
}

// assess gathers the evidence toward c of f.
func (a *auditor) assess(f *control.Framework, c *control.Control) ControlEvidence {
	out := ControlEvidence{Framework: f.ID, ID: c.ID, Title: c.Title, Status: ControlNotAssessable, Basis: "published", Checks: c.Checks()}
	if c.Judged {
		out.Basis = "judgement"
	}
	if c.Never != "" {
		out.Evidence = []string{c.Never}
		return out
	}
	if f.Platform != "" && !a.present[f.Platform] {
		out.Evidence = []string{"the policy holds nothing of this platform"}
		return out
	}
	counted, suppressed := map[string]int{}, map[string]int{}
	var refs, set []string
	byCheck := func(i int) bool {
		return slices.ContainsFunc(c.By, func(e control.Evidence) bool { return e.Check == a.r.Findings[i].Check })
	}
	for i, last := 0, false; i < len(a.r.Findings); i++ {
		x := &a.r.Findings[i]
		if i == 0 || x.Check != a.r.Findings[i-1].Check { // they are in the order of checks, mostly
			last = byCheck(i)
		}
		if !last || !a.against(f, c, x) {
			continue
		}
		if x.Suppressed != nil {
			suppressed[x.Check]++
			out.Suppressed++
			set = append(set, string(x.Ref))
			continue
		}
		counted[x.Check]++
		out.Findings++
		refs = append(refs, string(x.Ref))
	}
	for _, check := range slices.Sorted(maps.Keys(counted)) {
		out.Evidence = append(out.Evidence, plural(counted[check], "finding")+" of "+check)
	}
	for _, check := range slices.Sorted(maps.Keys(suppressed)) {
		out.Evidence = append(out.Evidence, isAre(suppressed[check], "finding")+" suppressed, of "+check+": the risk was accepted")
	}
	missing := a.lacks(f, c)
	for _, check := range out.Checks {
		found, why := a.look(f, check)
		if why != "" {
			missing = append(missing, why)
		}
		for _, x := range found {
			if slices.Contains(refs, x.ref) || slices.Contains(set, x.ref) {
				continue // a finding says so already
			}
			out.Findings++
			out.Evidence = append(out.Evidence, x.says)
			refs = append(refs, x.ref)
		}
	}
	refs = append(refs, set...)
	slices.Sort(refs)
	out.Refs = firstOf(slices.Compact(refs), controlRefs)
	out.Evidence = slices.Clip(firstOf(out.Evidence, controlRefs))
	switch {
	case out.Findings+out.Suppressed > 0:
		out.Status = ControlFail
		for _, m := range missing {
			out.Evidence = append(out.Evidence, "not all could be assessed: "+m)
		}
	case len(missing) > 0:
		out.Evidence = missing
	default:
		out.Status = ControlPass
		out.Evidence = []string{"nothing found by " + strings.Join(out.Checks, ", ") + ": " + a.among(f, c)}
	}
	return out
}

// against reports whether finding x is evidence against c.
func (a *auditor) against(f *control.Framework, c *control.Control, x *Finding) bool {
	if p := a.platform[x.ID]; f.Platform != "" && p != "" && p != f.Platform {
		return false
	}
	if (x.Check == analyzer.WideSource.Name || x.Check == analyzer.WidePorts.Name) && !Grave(x.Severity, "medium") {
		return false // nothing follows from it: a public service is wide because it is public
	}
	return slices.ContainsFunc(c.By, func(e control.Evidence) bool {
		if e.Check != x.Check || e.Direction != "" && e.Direction != a.direction[string(x.Ref)] {
			return false
		}
		for _, tag := range e.Tags {
			if !slices.Contains(x.Controls, tag) {
				return false
			}
		}
		return true
	})
}

// among says what was looked at.
func (a *auditor) among(f *control.Framework, c *control.Control) string {
	if c.Needs == control.NeedFlowLogs {
		return plural(len(a.vpcs(f)), "network")
	}
	groups, rules := 0, 0
	s := a.in.Result.Snapshot
	for i := range s.Groups {
		groups++
		rules += len(s.Groups[i].Rules)
	}
	return fmt.Sprintf("%s of %s and %s", plural(rules, "rule"), plural(groups, "group"), plural(len(s.ACLs), "network ACL"))
}

// lacks says what would have to be there for c to pass, and is not.
func (a *auditor) lacks(f *control.Framework, c *control.Control) []string {
	s := a.in.Result.Snapshot
	var out []string
	say := func(on bool, format string, args ...any) {
		if on {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	needs := func(n control.Need) bool { return c.Needs&n != 0 }
	say(needs(control.NeedGroups) && len(s.Groups) == 0, "the exports hold no security group")
	say(needs(control.NeedACLs) && a.noACLs(f), "network ACLs are not in the exports")
	say(needs(control.NeedDefault) && !slices.ContainsFunc(s.Groups, func(g policy.Group) bool { return g.Default }), "the exports hold no default group")
	say(needs(control.NeedFlowLogs) && a.noFlowLogs(), "descriptions of flow logs are not in the exports")
	if n := a.homeless(); f.Platform != "" && n > 0 {
		say(needs(control.NeedGroups), "%s on no interface, and the policy is of several platforms: of which is not known", isAre(n, "group"))
	}
	if needs(control.NeedTraffic) {
		r := a.r
		say(r.Summary.Outcome == OutcomeRejectOnly, "the logs hold rejected traffic only: they cannot show use")
		say(r.Fidelity.Judged == 0, "no record could be judged against the policy")
		say(r.Fidelity.Judged > 0 && r.Fidelity.Rate < r.Options.MinFidelity, "the policy explains only %s of the records", Percent(r.Fidelity.Rate))
		say(r.Window.Days < r.Options.MinDaysUnused, "the logs hold %s, %d are asked for", plural(r.Window.Days, "day"), r.Options.MinDaysUnused)
		open := r.Summary.Verdicts.NotSeenGaps + r.Summary.Verdicts.Unknown
		say(open > 0 && r.Window.Days >= r.Options.MinDaysUnused, "%s cannot be judged: gaps, too young, or peers that are not known", plural(open, "rule"))
	}
	return out
}

func (a *auditor) lacksExport(what string) bool {
	return slices.ContainsFunc(a.r.Coverage.Missing, func(m Missing) bool { return m.What == what })
}

// noACLs reports whether nothing is known of network ACLs; where networks may do without
// there may be none.
func (a *auditor) noACLs(f *control.Framework) bool {
	s := a.in.Result.Snapshot
	optional := slices.ContainsFunc(s.Platforms, func(p policy.Platform) bool { return p.ACLOptional && p.ID == f.Platform })
	return a.lacksExport("network-acls") || len(s.ACLs) == 0 && (a.text || !optional)
}

func (a *auditor) noFlowLogs() bool {
	return a.lacksExport("flow-logs") || len(a.in.Result.Snapshot.FlowLogs) == 0 && a.text
}

// fact is something that stands against a control and is no finding.
type fact struct{ ref, says string }

// look finds what stands against a control by the checks that are no findings; why says
// that it could not be looked for.
func (a *auditor) look(f *control.Framework, check string) (found []fact, why string) {
	s := a.in.Result.Snapshot
	switch check {
	case control.FlowLogs, control.FlowLogsAll:
		if a.noFlowLogs() {
			return nil, "" // said already
		}
		vpcs := 0
		for _, vpc := range a.vpcs(f) {
			vpcs++
			if !a.logged(f, vpc, check == control.FlowLogsAll) {
				what := "rejected traffic"
				if check == control.FlowLogsAll {
					what = "all traffic"
				}
				found = append(found, fact{vpc, vpc + " has no flow log of " + what})
			}
		}
		nowhere := 0
		for i := range s.Interfaces {
			if x := &s.Interfaces[i]; x.VPC == "" && cmp.Or(x.Platform, "aws") == cmp.Or(f.Platform, x.Platform, "aws") {
				nowhere++
			}
		}
		switch {
		case vpcs == 0:
			why = "the exports name no network"
		case nowhere > 0:
			why = "of " + plural(nowhere, "interface") + " the exports name no network"
		}
	case control.UnusedACL:
		for i := range s.ACLs {
			if x := &s.ACLs[i]; !x.Default && len(x.Subnets) == 0 {
				found = append(found, fact{x.ID, x.ID + " filters no subnet"})
			}
		}
	case control.NoGroupNotes:
		for i := range s.Groups {
			if g := &s.Groups[i]; !g.Managed && g.Description == "" && a.groupOn(g.ID, f.Platform) {
				found = append(found, fact{g.ID, g.ID + " has no description"})
			}
		}
	case control.OpenEgress, control.OpenIngress:
		d := flow.Egress
		if check == control.OpenIngress {
			d = flow.Ingress
		}
		for i := range s.Groups {
			g := &s.Groups[i]
			if f.Platform != "" && (g.Managed || !a.groupOn(g.ID, f.Platform)) {
				continue // managed rules do not apply to groups that a service keeps
			}
			found = append(found, openTo(g, d)...)
		}
	}
	return found, why
}

// openTo lists the rules by which g lets anybody in by some service, or lets everything
// out; its open default, if that is what does.
func openTo(g *policy.Group, d flow.Direction) []fact {
	everything := func(m *policy.Match) bool { return m.Protos == policy.AnyProto }
	var out []fact
	closed := map[bool]bool{} // by family: what no rule allows is denied
	for _, v6 := range [2]bool{false, true} {
		rank := uint32(math.MaxUint32) // of the strongest rule that denies everything
		for i := range g.Rules {
			r := &g.Rules[i]
			for k := range r.Match {
				if r.Direction == d && r.Action == policy.Deny && everything(&r.Match[k]) && holdsAll(r.Match[k].Remote, v6) {
					rank, closed[v6] = min(rank, r.Rank), true
				}
			}
		}
		for i := range g.Rules {
			r := &g.Rules[i]
			if r.Direction != d || r.Action != policy.Allow || closed[v6] && r.Rank >= rank {
				continue
			}
			for k := range r.Match {
				if m := &r.Match[k]; holdsAll(m.Remote, v6) && (d == flow.Ingress || everything(m)) {
					says := " lets everything out"
					if d == flow.Ingress {
						says = " lets everybody in"
					}
					out = append(out, fact{r.Ref.String(), r.Ref.String() + says})
				}
			}
		}
	}
	if d == flow.Egress && g.EgressOpen && len(out) == 0 && !closed[false] {
		out = append(out, fact{g.ID, g.ID + " lets out what no rule denies: its default is open"})
	}
	return slices.CompactFunc(out, func(a, b fact) bool { return a.ref == b.ref })
}

// holdsAll reports whether set holds a family of addresses.
func holdsAll(set policy.AddrSet, v6 bool) bool {
	return slices.ContainsFunc(set.Prefixes, func(p netip.Prefix) bool { return p.Bits() == 0 && p.Addr().Is6() == v6 })
}

// homeless counts groups of which nothing says on which of several platforms they are.
func (a *auditor) homeless() int {
	n := 0
	if s := a.in.Result.Snapshot; len(a.present) > 1 {
		for i := range s.Groups {
			if len(s.Attached(s.Groups[i].ID)) == 0 {
				n++
			}
		}
	}
	return n
}

// groupOn reports whether a group is of a platform. What is attached nowhere is of the
// only one that there is.
func (a *auditor) groupOn(id, platform string) bool {
	on := a.in.Result.Snapshot.Attached(id)
	return len(on) == 0 && len(a.present) == 1 && a.present[platform] || slices.ContainsFunc(on, func(x *policy.Interface) bool { return cmp.Or(x.Platform, "aws") == platform })
}

// vpcs lists the networks of the framework's platform in which there are interfaces or,
// where there is one platform only, groups: a network always has one.
func (a *auditor) vpcs(f *control.Framework) []string {
	var out []string
	s := a.in.Result.Snapshot
	for i := range s.Interfaces {
		x := &s.Interfaces[i]
		if x.VPC != "" && (f.Platform == "" || cmp.Or(x.Platform, "aws") == f.Platform) && !slices.Contains(out, x.VPC) {
			out = append(out, x.VPC)
		}
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		if g.VPC != "" && len(s.Attached(g.ID)) == 0 && len(a.present) == 1 && !slices.Contains(out, g.VPC) {
			out = append(out, g.VPC)
		}
	}
	slices.Sort(out)
	return out
}

// logged reports whether a network, or every interface in it, has flow logs of rejected
// traffic; of accepted traffic too if all.
func (a *auditor) logged(f *control.Framework, vpc string, all bool) bool {
	s := a.in.Result.Snapshot
	has := func(resources ...string) bool {
		accepted, rejected := false, false
		for i := range s.FlowLogs {
			l := &s.FlowLogs[i]
			if l.Inactive || l.Failed != "" || l.Resource == "" || !slices.Contains(resources, l.Resource) {
				continue
			}
			accepted = accepted || l.Traffic != "REJECT"
			rejected = rejected || l.Traffic != "ACCEPT"
		}
		return rejected && (accepted || !all)
	}
	if has(vpc) {
		return true
	}
	inside := 0
	for i := range s.Interfaces {
		if x := &s.Interfaces[i]; x.VPC == vpc {
			if inside++; !has(vpc, x.Subnet, x.ID) {
				return false
			}
		}
	}
	return inside > 0
}
