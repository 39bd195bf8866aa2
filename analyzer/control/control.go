// Package control lists the controls of compliance frameworks that an analysis gives
// evidence toward, and by which checks. It is data; nothing here says that anything is
// compliant.
package control

import (
	"slices"
	"strings"
)

// Framework is a published set of requirements.
type Framework struct {
	ID       string // as --frameworks takes it
	Aliases  []string
	Title    string
	Platform string // aws or alibaba; empty: any
	Default  bool   // shown where nobody says which
	Controls []Control
}

// Control is one requirement, or one check that a framework prescribes.
type Control struct {
	ID    string
	Title string // in short, in our words
	By    []Evidence
	Needs Need
	// Judged: that these checks are evidence toward this control is our judgement. Else
	// it follows from what the publisher says, or from mappings in common use.
	Judged bool
	// Never says why nothing that is read can tell; empty: it can.
	Never string
}

// Evidence is one way to fail a control: a finding of the check with all of the tags,
// which are among its controls, on a rule of the direction.
type Evidence struct {
	Check     string
	Tags      []string
	Direction string // ingress or egress; empty: any
}

// Need is what must have been there for a control to pass. Failing needs nothing but a
// finding.
type Need uint8

// The needs.
const (
	NeedGroups   Need = 1 << iota // groups of the platform
	NeedACLs                      // network ACLs
	NeedDefault                   // default groups
	NeedTraffic                   // enough evidence to say that something was not used
	NeedFlowLogs                  // descriptions of flow logs
)

// Checks that are no findings: they look at what the exports say of other things.
const (
	FlowLogs     = "flow-logs"     // every network is logged, rejected traffic at least
	FlowLogsAll  = "flow-logs-all" // every network is logged, accepted traffic too
	UnusedACL    = "unused-acl"    // a network ACL of no subnet
	NoGroupNotes = "group-notes"   // a group without a description
	OpenEgress   = "open-egress"   // a group that lets everything out, by a rule or by default
	OpenIngress  = "open-ingress"  // a group that lets everybody in, by whatever service
)

// Find returns the framework that id or an alias names, or nil.
func Find(id string) *Framework {
	id = strings.ToLower(id)
	for i := range All {
		if All[i].ID == id || slices.Contains(All[i].Aliases, id) {
			return &All[i]
		}
	}
	return nil
}

// IDs lists the ids of all frameworks, in order.
func IDs() []string {
	var out []string
	for i := range All {
		out = append(out, All[i].ID)
	}
	return out
}

// Checks lists the checks that are evidence toward c, each once.
func (c *Control) Checks() []string {
	var out []string
	for _, e := range c.By {
		if !slices.Contains(out, e.Check) {
			out = append(out, e.Check)
		}
	}
	slices.Sort(out)
	return out
}

func by(checks ...string) []Evidence {
	var out []Evidence
	for _, c := range checks {
		out = append(out, Evidence{Check: c})
	}
	return out
}

func tagged(check string, tags ...string) []Evidence { return []Evidence{{Check: check, Tags: tags}} }

// of narrows evidence to rules of one direction.
func of(direction string, all []Evidence) []Evidence {
	out := slices.Clone(all)
	for i := range out {
		out[i].Direction = direction
	}
	return out
}

func never(id, title, why string) Control { return Control{ID: id, Title: title, Never: why} }

// judged marks that the mapping is ours.
func judged(c Control) Control { c.Judged = true; return c }

// The groups of checks that stand behind more than one control.
var (
	exposed  = by("exposed-admin-port", "exposed-high-risk-port", "exposed-unauthorized-port")
	risky    = by("exposed-admin-port", "exposed-high-risk-port", "acl-exposed-admin-port")
	wide     = by("wide-source", "wide-ports")
	inbound  = slices.Concat(exposed, of("ingress", wide), of("ingress", by("unused-rule")))
	outbound = slices.Concat(by("default-egress", OpenEgress), of("egress", wide), of("egress", by("unused-rule")))
	needless = by("unused-rule", "redundant-rule", "shadowed-rule", "duplicate-rule", "dead-reference", "unattached-group",
		"unreachable-line", "masked-by-acl", "ineffective-deny")
	unneeded = by("unused-rule", "wide-ports", "exposed-high-risk-port")
)

const (
	noRoutes  = "routes are not read"
	noAlarms  = "alarms on changes are not read"
	noSubnets = "settings of subnets are not read"
	noCDE     = "which groups hold card data is not known"
	noDrift   = "one run sees one state; compare reports with sgadvise diff"
	noApp     = "flow logs say nothing of the application layer"
)
