package analyzer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// adminPorts are the remote administration ports of the CIS benchmark and of FSBP
// EC2.13, EC2.14, EC2.53, EC2.54.
var adminPorts = []uint16{22, 3389}

// highRiskPorts is the list of FSBP EC2.19.
var highRiskPorts = []uint16{20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088, 8888, 9200, 9300}

// authorizedPorts may be open to the world under FSBP EC2.18 (TCP; no UDP port is).
var authorizedPorts = []uint16{80, 443}

// controlsFor returns the compliance controls that f, about something on the platform
// with this id, is evidence toward, never proof of compliance. Numbers: PCI DSS 4.0.1 and
// NIST SP 800-53 r5 for every platform; CIS AWS Foundations Benchmark 5.0 and AWS
// Foundational Security Best Practices (FSBP); CIS Alibaba Cloud Foundation Benchmark 2.0,
// the managed rules of Cloud Config, and MLPS 2.0 (GB/T 22239-2019, level 3).
func controlsFor(f *Finding, platform string, known bool) []string {
	out := slices.Clone(controls[f.Check])
	if !known {
		return out
	}
	switch platform {
	case "": // interfaces that name none are of AWS
		out = append(out, awsControls[f.Check]...)
		if f.opens != nil && f.Check == ExposedAdminPort.Name {
			out = append(out, awsExposure(f.opens)...)
		}
		if f.opens != nil && f.Check == ExposedHighRiskPort.Name && len(f.opens.ports([]uint16{445}, flow.TCP)) > 0 {
			out = append(out, "CIS-AWS-5.1.2")
		}
	case "alibaba":
		out = append(out, alibabaControls[f.Check]...)
		if f.opens != nil && f.Check != ACLExposedAdminPort.Name {
			out = append(out, alibabaExposure(f.opens)...)
		}
	}
	return out
}

// platformOf returns the platform that group or network ACL owner is on; known is false
// if it is attached nowhere and there are several.
func (p *Pass) platformOf(owner string) (id string, known bool) {
	for i := range p.Snapshot.Interfaces {
		f := &p.Snapshot.Interfaces[i]
		if _, carries := slices.BinarySearch(f.Groups, owner); carries {
			return f.Platform, true
		}
		if acl, _, ok := p.Snapshot.ACLFor(f); ok && acl.ID == owner {
			return f.Platform, true
		}
	}
	if len(p.Snapshot.Platforms) == 1 {
		return p.Snapshot.Platforms[0].ID, true
	}
	return "", false
}

// addControls gives every finding its controls.
func (p *Pass) addControls(fs []Finding) {
	type on struct {
		id    string
		known bool
	}
	platforms := make(map[string]on)
	for i := range fs {
		f := &fs[i]
		at, ok := platforms[f.Subject.Owner]
		if !ok {
			at.id, at.known = p.platformOf(f.Subject.Owner)
			platforms[f.Subject.Owner] = at
		}
		f.Controls = controlsFor(f, at.id, at.known)
		if at.known {
			f.Platform = cmp.Or(at.id, "aws")
		}
		if n, ok := p.Snapshot.RuleIndex(f.Subject); ok && p.Snapshot.Rules()[n].Direction == flow.Egress {
			// What leaves is a requirement of its own.
			for k, c := range f.Controls {
				if c == "PCI-DSS-1.3.1" || c == "PCI-DSS-1.4.2" {
					f.Controls[k] = "PCI-DSS-1.3.2"
				}
			}
		}
		if g, ok := p.Snapshot.Group(f.Subject.Owner); ok && g.Managed {
			// The rules of Cloud Config do not apply to groups that a service keeps.
			f.Controls = slices.DeleteFunc(f.Controls, func(c string) bool { return strings.HasPrefix(c, "CloudConfig-") })
		}
		slices.Sort(f.Controls)
		f.Controls = slices.Compact(f.Controls)
	}
}

// controls are those of every platform.
var controls = map[string][]string{
	"unused-rule":               {"PCI-DSS-1.2.5", "PCI-DSS-1.2.7", "NIST-CM-7"},
	"redundant-rule":            {"PCI-DSS-1.2.7"},
	"shadowed-rule":             {"PCI-DSS-1.2.7"},
	"unreachable-line":          {"PCI-DSS-1.2.7"},
	"masked-by-acl":             {"PCI-DSS-1.2.7"},
	"duplicate-rule":            {"PCI-DSS-1.2.7"},
	"dead-reference":            {"PCI-DSS-1.2.7"},
	"unattached-group":          {"PCI-DSS-1.2.7"},
	"wide-source":               {"PCI-DSS-1.3.1", "PCI-DSS-1.4.2", "NIST-AC-4", "NIST-SC-7(5)"},
	"wide-ports":                {"PCI-DSS-1.3.1", "PCI-DSS-1.4.2", "NIST-AC-4", "NIST-SC-7(5)", "NIST-CM-7"},
	"missing-description":       {"PCI-DSS-1.2.5"},
	"default-egress":            {"PCI-DSS-1.3.2", "NIST-AC-4", "NIST-SC-7(5)"},
	"default-group-rules":       {"NIST-AC-4", "NIST-SC-7(5)"},
	"ineffective-deny":          {"PCI-DSS-1.2.7", "NIST-AC-4"},
	"intra-group-only":          {"NIST-AC-4"},
	"exposed-high-risk-port":    {"PCI-DSS-1.3.1", "NIST-AC-4", "NIST-CM-7", "NIST-SC-7(5)"},
	"exposed-unauthorized-port": {"NIST-AC-4", "NIST-SC-7(5)"},
	"exposed-admin-port":        {"PCI-DSS-1.3.1", "NIST-AC-4", "NIST-SC-7(5)"},
	"acl-exposed-admin-port":    {"PCI-DSS-1.3.1", "NIST-CM-7", "NIST-SC-7(5)"},
}

var awsControls = map[string][]string{
	"unattached-group":          {"EC2.22-withdrawn"},
	"default-group-rules":       {"FSBP-EC2.2", "CIS-AWS-5.5"},
	"exposed-high-risk-port":    {"FSBP-EC2.18", "FSBP-EC2.19"},
	"exposed-unauthorized-port": {"FSBP-EC2.18"},
	"acl-exposed-admin-port":    {"FSBP-EC2.21", "CIS-AWS-5.2"},
}

// awsExposure returns the controls for administration ports that o opens.
func awsExposure(o *opening) []string {
	out := []string{"FSBP-EC2.18"}
	for _, port := range o.ports(adminPorts, flow.TCP, flow.UDP) {
		switch port {
		case 22:
			out = append(out, "FSBP-EC2.13")
		case 3389:
			out = append(out, "FSBP-EC2.14")
		}
	}
	if o.v4 {
		out = append(out, "FSBP-EC2.53", "CIS-AWS-5.3")
	}
	if o.v6 {
		out = append(out, "FSBP-EC2.54", "CIS-AWS-5.4")
	}
	return out
}

// alibabaControls: MLPS 8.1.3.2 is the access control of area boundaries; a) default deny,
// b) surplus or invalid rules are deleted, c) addresses, ports and protocols are checked.
var alibabaControls = map[string][]string{
	"unused-rule":               {"MLPS-8.1.3.2-b"},
	"redundant-rule":            {"MLPS-8.1.3.2-b"},
	"shadowed-rule":             {"MLPS-8.1.3.2-b"},
	"unreachable-line":          {"MLPS-8.1.3.2-b"},
	"masked-by-acl":             {"MLPS-8.1.3.2-b"},
	"duplicate-rule":            {"MLPS-8.1.3.2-b"},
	"mergeable-rules":           {"MLPS-8.1.3.2-b"},
	"dead-reference":            {"MLPS-8.1.3.2-b"},
	"ineffective-deny":          {"MLPS-8.1.3.2-b"},
	"unattached-group":          {"MLPS-8.1.3.2-b", "CloudConfig-ecs-security-group-not-used"},
	"wide-source":               {"CIS-Alibaba-3.5", "MLPS-8.1.3.2-c"},
	"wide-ports":                {"CIS-Alibaba-3.5", "MLPS-8.1.3.2-c"},
	"default-egress":            {"MLPS-8.1.3.2-a", "CloudConfig-ecs-security-group-egress-not-all-access"},
	"exposed-unauthorized-port": {"CIS-Alibaba-3.5", "CloudConfig-ecs-security-group-white-list-port-check"},
	"exposed-high-risk-port":    {"CIS-Alibaba-3.5", "CloudConfig-ecs-security-group-white-list-port-check"},
	"exposed-admin-port": {"CIS-Alibaba-3.2", "CIS-Alibaba-3.5", "CloudConfig-ecs-security-group-risky-ports-check-with-protocol",
		"CloudConfig-sg-risky-ports-check"},
	"acl-exposed-admin-port": {"CloudConfig-vpc-network-acl-risky-ports-check"},
}

// alibabaExposure returns the controls for what o opens.
func alibabaExposure(o *opening) []string {
	out := []string{"CloudConfig-ecs-security-group-not-internet-cidr-access"}
	for _, port := range o.ports(adminPorts, flow.TCP) {
		switch {
		case !o.v4: // what CIS says is about 0.0.0.0/0
		case port == 22:
			out = append(out, "CIS-Alibaba-4.3")
		case port == 3389:
			out = append(out, "CIS-Alibaba-4.4")
		}
	}
	if o.match.Protos == policy.AnyProto {
		out = append(out, "CloudConfig-ecs-security-group-not-open-all-protocol", "CloudConfig-sg-public-access-check")
	}
	if o.match.ServicePorts(o.rule.Direction) == netset.AllPorts {
		out = append(out, "CloudConfig-ecs-security-group-not-open-all-port")
	}
	return out
}
