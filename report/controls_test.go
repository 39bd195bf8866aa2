package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/control"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/analyzer/suppress"
)

// quiet is a month of traffic of one client on eni-1 of the policies below.
func quiet() []string {
	var lines []string
	for day := range int64(30) {
		at := start + day*daySeconds
		lines = append(lines, fmt.Sprintf("2 123456789012 eni-1 10.9.0.4 10.0.0.5 41000 5432 6 10 840 %d %d ACCEPT OK", at, at+60),
			fmt.Sprintf("2 123456789012 eni-1 10.0.0.5 10.9.0.4 5432 41000 6 10 840 %d %d ACCEPT OK", at, at+60))
	}
	return lines
}

// tidy is a policy that nothing stands against.
const tidy = `
interface eni-1 10.0.0.5 sg-db subnet=subnet-1 vpc=vpc-1
group sg-db vpc=vpc-1
  sgr-1 ingress tcp 5432 from 10.9.0.4/32 "the app"
group sg-default vpc=vpc-1 default
subnet subnet-1 10.0.0.0/24 vpc=vpc-1
acl acl-1 subnets=subnet-1 vpc=vpc-1 default
  100 ingress allow all from 0.0.0.0/0
  100 egress allow all to 0.0.0.0/0
flowlog fl-1 vpc-1 ALL
`

// basic is a group of Alibaba Cloud whose members may connect anywhere.
const basic = `
platform none id=alibaba quota=200 ranks=1-100 groups-deny acl-optional no-self-peer
interface eni-1 10.0.0.5 sg-db subnet=subnet-1 vpc=vpc-1 platform=alibaba
flowlog fl-1 vpc-1 ALL
group sg-db vpc=vpc-1 egress-open
  sgr-1 ingress tcp 5432 from 10.9.0.4/32 priority=1 "the app"
`

func TestControlsPassFailOrSayWhyNot(t *testing.T) {
	once := pipeline{1, plan.ModeNone, 0.9}
	for _, c := range []struct {
		name, policy string
		lines        []string
		want         string // FRAMEWORK CONTROL STATUS, separated by commas
	}{
		{"tidy", tidy, quiet(), "cis-aws-5.0 3.7 pass, cis-aws-5.0 5.2 pass, cis-aws-5.0 5.3 pass, cis-aws-5.0 5.5 pass, cis-aws-5.0 5.6 not-assessable, " +
			"pci-dss-4.0.1 1.2.7 pass, pci-dss-4.0.1 1.3.1 pass, soc-2 CC7.2 pass, cis-alibaba-2.0 3.2 not-assessable, aws-fsbp EC2.16 pass"},
		{"ssh over IPv4", strings.Replace(tidy, "sgr-1", "sgr-2 ingress tcp 22 from 0.0.0.0/0 \"ops\"\n  sgr-1", 1), quiet(),
			"cis-aws-5.0 5.3 fail, cis-aws-5.0 5.4 pass, cis-aws-1.2 4.1 fail, cis-aws-1.2 4.2 pass, cis-aws-7.0 6.3 fail, aws-fsbp EC2.13 fail, aws-fsbp EC2.14 pass, " +
				"pci-dss-4.0.1 1.3.1 fail, pci-dss-4.0.1 1.2.6 fail, nist-800-53-r5 SC-7(4) fail, cis-aws-5.0 5.1.2 pass"},
		{"RDP over IPv6", strings.Replace(tidy, "sgr-1", "sgr-2 ingress tcp 3389 from ::/0 \"ops\"\n  sgr-1", 1), quiet(),
			"cis-aws-5.0 5.3 pass, cis-aws-5.0 5.4 fail, cis-aws-1.2 4.1 pass, cis-aws-1.2 4.2 pass, aws-fsbp EC2.53 pass, aws-fsbp EC2.54 fail"},
		{"CIFS", strings.Replace(tidy, "sgr-1", "sgr-2 ingress tcp 445 from 0.0.0.0/0 \"files\"\n  sgr-1", 1), quiet(),
			"cis-aws-5.0 5.1.2 fail, cis-aws-5.0 5.3 pass, aws-fsbp EC2.19 fail"},
		{"a network ACL with SSH", strings.Replace(strings.Replace(tidy, "vpc=vpc-1 default\n  100 ingress", "vpc=vpc-1\n  100 ingress", 1), "5432", "5432", 1), quiet(),
			"cis-aws-5.0 5.2 fail, aws-fsbp EC2.21 fail, cis-aws-3.0 5.1 fail"},
		{"rules of the default group", strings.Replace(tidy, "vpc=vpc-1 default\n", "vpc=vpc-1 default\n  sgr-9 ingress tcp 1 from 10.0.0.0/8\n", 1), quiet(), "cis-aws-5.0 5.5 fail, aws-fsbp EC2.2 fail"},
		{"no default group", strings.Replace(tidy, "group sg-default vpc=vpc-1 default\n", "", 1), quiet(), "cis-aws-5.0 5.5 not-assessable, cis-aws-1.2 4.3 not-assessable"},
		{"an unused rule", strings.Replace(tidy, "sgr-1", "sgr-2 ingress tcp 8080 from 10.8.0.0/24 \"old\"\n  sgr-1", 1), quiet(),
			"pci-dss-4.0.1 1.2.7 fail, pci-dss-4.0.1 1.2.5 fail, mlps-2.0 8.1.3.2-b not-assessable, soc-2 CC6.1 fail, cis-aws-5.0 5.3 pass"},
		{"wide egress is no inbound matter", strings.Replace(tidy, "sgr-1", "sgr-2 egress tcp 443 to 10.0.0.0/8 \"old\"\n  sgr-1", 1),
			append(quiet(), fmt.Sprintf("2 123456789012 eni-1 10.0.0.5 10.9.0.4 42000 443 6 10 840 %d %d ACCEPT OK", start, start+60),
				fmt.Sprintf("2 123456789012 eni-1 10.9.0.4 10.0.0.5 443 42000 6 10 840 %d %d ACCEPT OK", start, start+60)),
			"pci-dss-4.0.1 1.3.1 pass, pci-dss-4.0.1 1.3.2 fail"},
		{"a few days of logs", tidy, quiet()[:12], "pci-dss-4.0.1 1.2.7 not-assessable, pci-dss-4.0.1 1.3.1 not-assessable, cis-aws-5.0 5.3 pass, cis-aws-5.0 3.7 pass"},
		{"logs of rejects", strings.Replace(tidy, "ALL", "REJECT", 1), quiet(), "cis-aws-5.0 3.7 pass, soc-2 CC7.2 fail"},
		{"logs of accepts", strings.Replace(tidy, "ALL", "ACCEPT", 1), quiet(), "cis-aws-5.0 3.7 fail, aws-fsbp EC2.6 fail, soc-2 CC7.2 fail"},
		{"logs of another network", strings.Replace(tidy, "fl-1 vpc-1", "fl-1 vpc-2", 1), quiet(), "cis-aws-5.0 3.7 fail"},
		{"logs of the subnet", strings.Replace(tidy, "fl-1 vpc-1", "fl-1 subnet-1", 1), quiet(), "cis-aws-5.0 3.7 pass"},
		{"logs that are off", strings.Replace(tidy, "vpc-1 ALL", "vpc-1 ALL inactive", 1), quiet(), "cis-aws-5.0 3.7 fail"},
		{"no flow logs in text", strings.Replace(tidy, "flowlog fl-1 vpc-1 ALL\n", "", 1), quiet(), "cis-aws-5.0 3.7 not-assessable, iso-27001-2022 A.8.15 not-assessable"},
		{"no network ACL in text", tidy[:strings.Index(tidy, "acl acl-1")] + "flowlog fl-1 vpc-1 ALL\n", quiet(), "cis-aws-5.0 5.2 not-assessable, aws-fsbp EC2.16 not-assessable"},
		{"everything may leave, and nothing does", strings.Replace(tidy, "sgr-1", "sgr-2 egress all to 0.0.0.0/0 \"old\"\n  sgr-1", 1), quiet(),
			"pci-dss-4.0.1 1.3.1 pass, pci-dss-4.0.1 1.3.2 fail, nist-800-53-r5 SC-7(5) fail, iso-27001-2022 A.8.23 fail"},
		{"some may come in, and nobody does", strings.Replace(tidy, "sgr-1", "sgr-2 ingress tcp 8080 from 10.8.0.0/24 \"old\"\n  sgr-1", 1), quiet(), "pci-dss-4.0.1 1.3.1 fail, pci-dss-4.0.1 1.3.2 pass"},
		{"a network without interfaces", tidy + "group sg-other vpc=vpc-2 default\n", quiet(), "cis-aws-5.0 3.7 fail, aws-fsbp EC2.6 fail, soc-2 CC7.2 fail"},
		{"an interface of no network", tidy + "interface eni-2 10.1.0.5 sg-db\n", quiet(), "cis-aws-5.0 3.7 not-assessable"},
		{"nothing of the platform", tidy, quiet(), "alibaba-config ecs-security-group-description-check not-assessable, mlps-2.0 8.1.3.2-a not-assessable"},
		{"an open default", basic, quiet(), "alibaba-config ecs-security-group-egress-not-all-access fail, mlps-2.0 8.1.3.2-a fail, alibaba-config ecs-security-group-not-internet-cidr-access pass, " +
			"alibaba-config ecs-security-group-description-check fail, cis-aws-5.0 5.3 not-assessable"},
		{"an open default that is closed", basic + "  sgr-2 egress deny all to 0.0.0.0/0 or all to ::/0 priority=100\n", quiet(), "alibaba-config ecs-security-group-egress-not-all-access pass, mlps-2.0 8.1.3.2-a pass"},
		{"an open default that is closed too late", basic + "  sgr-2 egress deny all to 0.0.0.0/0 priority=100\n  sgr-3 egress all to 0.0.0.0/0 priority=99\n", quiet(), "alibaba-config ecs-security-group-egress-not-all-access fail"},
		{"a public service", basic + "  sgr-2 ingress tcp 443 from 0.0.0.0/0 priority=1\n", quiet(), "alibaba-config ecs-security-group-not-internet-cidr-access fail, alibaba-config ecs-security-group-white-list-port-check pass"},
		{"SSH over IPv6 is none over IPv4", basic + "  sgr-2 ingress tcp 22 from ::/0 priority=1\n", quiet(), "cis-alibaba-2.0 3.2 fail, cis-alibaba-2.0 4.3 pass"},
		{"a group that may be of either platform", strings.Replace(tidy, "interface eni-1", "platform none id=alibaba quota=200 ranks=1-100 groups-deny acl-optional\nplatform 169.254.169.254/32 quota=60\ninterface eni-8 10.3.0.1 sg-8 platform=alibaba vpc=vpc-8\ngroup sg-8 vpc=vpc-8\ngroup sg-7\n  sgr-7 ingress tcp 22 from 0.0.0.0/0\ninterface eni-1", 1), quiet(),
			"cis-aws-5.0 5.3 not-assessable, alibaba-config ecs-security-group-not-open-all-port not-assessable"},
		{"a network ACL of no subnet", tidy + "acl acl-2 vpc=vpc-1\n  100 ingress allow tcp 1 from 10.0.0.0/8\n", quiet(), "aws-fsbp EC2.16 fail, nist-800-53-r5 CM-8(1) fail"},
	} {
		r := runWith(t, c.policy, c.lines, 1000, once, wishes{frameworks: []string{"all"}})
		for w := range strings.SplitSeq(c.want, ", ") {
			parts := strings.Fields(w)
			id := strings.ReplaceAll(parts[1], "8.1.3.2-", "8.1.3.2 ")
			at := slices.IndexFunc(r.Controls, func(x ControlEvidence) bool { return x.Framework == parts[0] && x.ID == id })
			if at < 0 {
				t.Errorf("%s: %s is not there", c.name, w)
			} else if x := &r.Controls[at]; x.Status != parts[2] {
				t.Errorf("%s: %s %s is %s, want %s: %v %v", c.name, x.Framework, x.ID, x.Status, parts[2], x.Evidence, x.Refs)
			}
		}
		for _, x := range r.Controls {
			if len(x.Evidence) == 0 || x.Status == ControlPass && x.Findings+x.Suppressed > 0 || x.Status == ControlFail && x.Findings+x.Suppressed == 0 {
				t.Errorf("%s: %+v contradicts itself", c.name, x)
			}
		}
	}
}

// A control that only accepted risks stand against still fails, and says so.
func TestSuppressedFindingsCountApart(t *testing.T) {
	ssh := strings.Replace(tidy, "sgr-1", "sgr-2 ingress tcp 22 from 0.0.0.0/0 \"ops\"\n  sgr-1", 1)
	r := runWith(t, ssh, quiet(), 1000, pipeline{1, plan.ModeNone, 0.9},
		wishes{[]suppress.Entry{{Check: "exposed-admin-port", Reason: "bastion"}}, []string{"cis-aws-5.0"}})
	at := slices.IndexFunc(r.Controls, func(x ControlEvidence) bool { return x.ID == "5.3" })
	c := r.Controls[at]
	if c.Status != ControlFail || c.Findings != 0 || c.Suppressed != 1 || !slices.Equal(c.Refs, []string{"sg-db/sgr-2"}) ||
		!slices.Equal(c.Evidence, []string{"1 finding is suppressed, of exposed-admin-port: the risk was accepted"}) || c.statusText() != "fail, all suppressed" {
		t.Errorf("%+v", c)
	}
}

func TestFrameworksAreTheOnesAskedFor(t *testing.T) {
	names := func(ids ...string) string {
		r := runWith(t, tidy, quiet()[:4], 1000, pipeline{1, plan.ModeNone, 0.9}, wishes{frameworks: ids})
		var out []string
		for _, g := range controlGroups(r.Controls) {
			out = append(out, g.ID)
		}
		return strings.Join(out, " ")
	}
	if got := names(); got != "cis-aws-5.0 aws-fsbp pci-dss-4.0.1" {
		t.Errorf("by default %s", got)
	}
	if got := names("none"); got != "" {
		t.Errorf("none is %s", got)
	}
	if got := names("soc-2", "cis-aws-3.0"); got != "cis-aws-3.0 soc-2" {
		t.Errorf("two are %s", got)
	}
	if got := names("all"); got != strings.Join(control.IDs(), " ") {
		t.Errorf("all are %s", got)
	}
}

func TestControlsNameChecksThatThereAre(t *testing.T) {
	own := []string{control.FlowLogs, control.FlowLogsAll, control.UnusedACL, control.NoGroupNotes, control.OpenEgress, control.OpenIngress}
	for i := range control.All {
		for _, c := range control.All[i].Controls {
			for _, check := range c.Checks() {
				if analyzer.ByName(check) == nil && !slices.Contains(own, check) {
					t.Errorf("%s %s: %s is no check", control.All[i].ID, c.ID, check)
				}
			}
		}
	}
}
