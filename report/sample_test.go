package report

import (
	"fmt"
	"time"
)

// at is a moment in the sample's month.
func at(day, hour int) Time {
	return TimeOf(time.Date(2025, time.March, day, hour, 0, 0, 0, time.UTC))
}

// sample is a small made-up account: a load balancer, web, app and database tiers, a
// bastion, and one network ACL, over a month with one gap.
func sample() *Report {
	r := &Report{
		Tool:    Tool{"sgadvise", "1.0.0"},
		Created: at(31, 8) + 26*3600,
		Options: Settings{Mode: "tighten", MinDaysNarrow: 14, MinDaysUnused: 28, MinFidelity: 0.9, MaxBadRows: -1, FailOn: "high"},
		Notes: []string{
			"2 interfaces have gaps; rules that only they could have used are not called unused.",
			"history is not exported: membership of groups is taken from the snapshot for the whole window.",
			"0.35 % of the records stay undirected; both readings counted.",
		},
		Inputs: Inputs{
			Logs: []LogInput{
				{"logs/2025-03-a.log.gz", "vpc-text", 18_874_368, 702_111, "sha256:3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b"},
				{"logs/2025-03-b.parquet", "parquet", 9_646_899, 511_620, "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"},
			},
			Policy: []PolicyInput{
				{"policy/network-acls.json", "aws network-acls", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", 0},
				{"policy/network-interfaces.json", "aws network-interfaces", "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752", 0},
				{"policy/security-groups.json", "aws security-groups", "sha256:fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13", 0},
			},
			Skipped: []Skipped{{"logs/README.txt", "not a flow log: no known header, not the default layout"}},
		},
		Window: Window{at(1, 0), at(31, 23) + 3599, 31},
		Ledger: Ledger{
			Records: 1_213_731,
			Dispositions: Dispositions{Permitted: 604_202, Reply: 571_950, Blocked: 28_311, Unexplained: 802, Contradicted: 118,
				Late: 1_904, Undirected: 4_248, Unscoped: 1_020, NoData: 1_160, SkipData: 3, Unsupported: 0, Malformed: 13},
			Samples: []Sample{
				{"logs/2025-03-a.log.gz", 41_207, "srcport", "70000 is not in 0-65535"},
				{"logs/2025-03-a.log.gz", 88_012, "end", "truncated line: 9 of 14 fields"},
			},
		},
		Fidelity: Fidelity{Judged: 1_205_383, Agree: 1_204_463, Rate: 1_204_463.0 / 1_205_383,
			Causes: map[string]uint64{"membership-changed": 802, "snapshot-newer-than-log": 118}},
		Orientation: []Orientation{
			{"flags", true, 1_101_020}, {"pair", true, 61_774}, {"rules", true, 22_190}, {"peer", true, 9_002},
			{"fan-in", false, 6_415}, {"ports", false, 5_982}, {"one-way", false, 904}, {"rejection", false, 0}, {"undecided", false, 4_248},
		},
		Groups: []Group{
			{"acl-0c1", "", "network-acl", "vpc-1", 6, 3, 0},
			{"sg-0alb", "edge-alb", "security-group", "vpc-1", 2, 3, 0},
			{"sg-0app", "app", "security-group", "vpc-1", 4, 3, 2},
			{"sg-0bas", "bastion", "security-group", "vpc-1", 1, 2, 1},
			{"sg-0db", "postgres", "security-group", "vpc-1", 2, 3, 2},
			{"sg-0web", "web", "security-group", "vpc-1", 3, 4, 3},
		},
		Plan: Plan{
			Mode: "tighten",
			Exposure: Exposure{"845249675305598", "9663790338", 0.0000114330602, []FamilyExposure{
				{"ipv4", "845249675305598", "9663790338", 0.0000114330602},
			}, []GroupExposure{
				{"sg-0alb", "8589934592", "8589934592", 1},
				{"sg-0app", "281470681808895", "68719607808", 0.000244},
				{"sg-0bas", "4294967296", "512", 0.000000119},
				{"sg-0db", "281474976776192", "1028", 0.0000000000036},
				{"sg-0web", "282299609856000", "1073741824", 0.0000038},
			}},
			Declined: []Declined{
				{"sg-0alb/sgr-0a3", "the health-check port was probed from 2 of 4 interfaces only: too little evidence to narrow"},
				{"sg-0app/sgr-0c3", "the log has gaps on eni-0app4 (3 days), the only interface where the rule is in force alone"},
			},
			Proof:    Proof{Tuples: 41_022, Records: 1_176_152, Checker: "reference"},
			Backtest: Backtest{Days: 8, BlockedDays: 0, BlockedTuples: 0, ExpectedNewPeers7d: 0.4},
		},
		Undecided: []Undecided{
			{"eni-0app2", "udp", "10.20.1.12", 5353, "10.20.1.40", 5353, 3_120},
			{"eni-0db1", "tcp", "10.20.2.5", 49_200, "10.20.2.6", 49_331, 902},
		},
	}
	for i, id := range []string{"eni-0alb1", "eni-0alb2", "eni-0app1", "eni-0app2", "eni-0app3", "eni-0app4", "eni-0bas1", "eni-0db1", "eni-0db2", "eni-0web1", "eni-0web2", "eni-0web3"} {
		c := InterfaceCoverage{Interface: id, InPolicy: true, From: at(1, 0), To: at(31, 23) + 3599, Records: uint64(101_000 + i*137), NoData: uint64(40 + i)}
		switch id {
		case "eni-0app4":
			c.Gaps = []Gap{{at(9, 0), at(12, 0), GapNoRecord}}
		case "eni-0db2":
			c.Gaps = []Gap{{at(17, 2), at(17, 4), GapSkipData}, {at(22, 11), at(22, 12), GapSkipData}}
		}
		r.Coverage.Interfaces = append(r.Coverage.Interfaces, c)
		f := InterfaceFidelity{Interface: id, Judged: 100_448, Agree: 100_448}
		if id == "eni-0app4" {
			f.Judged, f.Agree = 100_455, 99_535
			f.Causes = map[string]uint64{"membership-changed": 802, "snapshot-newer-than-log": 118}
		}
		r.Fidelity.Interfaces = append(r.Fidelity.Interfaces, f)
	}
	r.Coverage.InterfaceDays, r.Coverage.CoveredDays, r.Coverage.Ratio = 372, 367, 367.0/372
	r.Coverage.Missing = []Missing{
		{"flow-log-descriptions", "whether accepted and rejected traffic was asked for is read from the log itself"},
		{"history", "membership and rules are taken from the snapshot for the whole window"},
	}

	r.Checks = []string{"exposed-admin-port", "mergeable-rules", "redundant-rule", "shadowed-rule", "unattached-group", "unused-rule", "wide-ports", "wide-source"}
	sampleRules(r)
	samplePlan(r)
	sampleFindings(r)
	sampleSuppressions(r)
	sampleControls(r)
	sampleAssertions(r)
	r.Summary = Summary{
		Outcome:  OutcomeChange,
		Headline: "4 rules can be removed and 4 replaced by 6 narrower ones.",
		Scope:    "5 security groups and 1 network ACL of vpc-1, on 12 interfaces",
		Rules:    18, Editable: 15, Implicit: 1, Removals: 4, Replacements: 4, NewRules: 6, Declined: 2,
		Verdicts:   Verdicts{Used: 11, UsedInferred: 1, AttemptOnly: 1, Redundant: 1, Unused: 2, NotSeenGaps: 1, DeadByConfig: 1},
		Severities: Severities{Critical: 1, High: 2, Medium: 3, Low: 3}, Suppressed: 1,
		Confidence: Confidence{High: 5, Medium: 2, Low: 1},
	}
	samplePictures(r)
	sampleTrend(r)
	return r.complete()
}

func sampleRules(r *Report) {
	add := func(group, id, direction, protocol, ports, peer, verdict, reason string, hits, decisive uint64, last int) {
		rule := Rule{Ref: group + "/" + id, Group: group, Rule: id, Direction: direction, Action: "allow", Priority: 1,
			Protocol: protocol, Ports: ports, Peer: peer, Editable: true, Verdict: verdict, Reason: reason,
			Hits: hits, Decisive: decisive, Interfaces: 2, Created: at(1, 0) - 200*86400}
		if last > 0 {
			rule.Records, rule.Packets, rule.Bytes, rule.Peers = hits*29, hits*412, hits*300_112, hits/3+1
			rule.FirstSeen, rule.LastSeen, rule.HitInterfaces = at(1, 0), at(last, 22), 2
		}
		r.Rules = append(r.Rules, rule)
	}
	add("acl-0c1", "ingress-100", "ingress", "tcp", "443", "0.0.0.0/0", "used", "", 9_120, 0, 31)
	r.Rules[0].Editable, r.Rules[0].Priority, r.Rules[0].Decisive = false, 100, 9_120
	add("acl-0c1", "ingress-110", "ingress", "tcp", "1024-65535", "0.0.0.0/0", "used", "", 20_411, 20_411, 31)
	r.Rules[1].Editable, r.Rules[1].Priority = false, 110
	add("acl-0c1", "ingress-90", "ingress", "tcp", "22", "198.51.100.0/24", "attempt-only", "9 connections were tried, none was answered", 9, 9, 30)
	r.Rules[2].Editable, r.Rules[2].Priority, r.Rules[2].Action = false, 90, "deny"
	add("implicit", "default:sg:ingress", "ingress", "all", "all", "0.0.0.0/0,::/0", "used", "", 2_204, 0, 31)
	r.Rules[3].Implicit, r.Rules[3].Editable, r.Rules[3].Action, r.Rules[3].Interfaces = true, false, "deny", 12
	add("sg-0alb", "sgr-0a1", "ingress", "tcp", "443", "0.0.0.0/0", "used", "", 8_411, 8_411, 31)
	add("sg-0alb", "sgr-0a2", "ingress", "tcp", "443", "::/0", "used", "", 709, 709, 31)
	add("sg-0alb", "sgr-0a3", "egress", "tcp", "8000-8999", "sg-0web", "used-inferred", "openers are known by fan-in only", 12, 12, 31)
	add("sg-0app", "sgr-0c1", "ingress", "all", "all", "0.0.0.0/0", "used", "", 4_804, 4_790, 31)
	add("sg-0app", "sgr-0c2", "ingress", "tcp", "8080", "10.20.0.0/16", "redundant", "every hit is permitted by sg-0app/sgr-0c1 too", 4_011, 0, 31)
	add("sg-0app", "sgr-0c3", "egress", "tcp", "443", "pl-0s3", "not-seen-gaps", "eni-0app4 has gaps on 3 days", 0, 0, 0)
	add("sg-0bas", "sgr-0b1", "ingress", "tcp", "22", "0.0.0.0/0", "used", "", 37, 37, 28)
	r.Rules[10].Description = "temporary, remove after migration"
	add("sg-0bas", "sgr-0b2", "egress", "tcp", "22", "10.20.0.0/16", "used", "", 44, 44, 28)
	add("sg-0db", "sgr-0d1", "ingress", "all", "all", "10.20.0.0/16", "used", "", 1_233, 1_233, 31)
	add("sg-0db", "sgr-0d2", "ingress", "tcp", "3306", "10.20.0.0/16", "dead-by-config", "all it permits is permitted by sg-0db/sgr-0d1", 0, 0, 0)
	add("sg-0db", "sgr-0d3", "egress", "tcp", "all", "2001:db8:20::/48", "used", "", 61, 61, 30)
	add("sg-0web", "sgr-0e1", "ingress", "tcp", "8443", "sg-0alb", "used", "", 2_901, 2_901, 31)
	add("sg-0web", "sgr-0e2", "ingress", "tcp", "3389", "0.0.0.0/0", "unused", "no hit in 31 days on 3 interfaces", 0, 0, 0)
	add("sg-0web", "sgr-0e3", "ingress", "icmp", "type 8", "10.0.0.0/8", "unused", "no hit in 31 days on 3 interfaces", 0, 0, 0)
	add("sg-0web", "sgr-0e4", "ingress", "tcp", "0-10000", "10.0.0.0/8", "used", "", 318, 318, 31)
}

func samplePlan(r *Report) {
	edit := func(op, ref, basis, confidence, check, reason string, with ...NewRule) {
		for i := range with {
			with[i].Action, with[i].Priority = "allow", 1
		}
		r.Plan.Edits = append(r.Plan.Edits, Edit{Op: op, Ref: Optional(ref), Group: ref[:len(ref)-8], With: with, Basis: basis,
			Confidence: confidence, Check: check, Reason: reason, Finding: Optional(fingerprint(check, ref))})
	}
	edit("replace", "sg-0app/sgr-0c1", "observed", "high", "wide-source", "4,790 decisive connections came from 2 groups to one port",
		NewRule{Direction: "ingress", Protocol: "tcp", Ports: "8080", Peer: "sg-0web"},
		NewRule{Direction: "ingress", Protocol: "tcp", Ports: "9100", Peer: "10.20.9.0/28"})
	edit("remove", "sg-0app/sgr-0c2", "observed", "high", "redundant-rule", "all 4,011 hits are permitted by the rules that stay")
	edit("replace", "sg-0bas/sgr-0b1", "observed", "low", "exposed-admin-port", "37 connections came from 2 networks; administrators move",
		NewRule{Direction: "ingress", Protocol: "tcp", Ports: "22", Peer: "203.0.113.0/25"},
		NewRule{Direction: "ingress", Protocol: "tcp", Ports: "22", Peer: "198.51.100.128/25"})
	edit("replace", "sg-0db/sgr-0d1", "observed", "high", "wide-source", "1,233 connections came from the app tier to one port",
		NewRule{Direction: "ingress", Protocol: "tcp", Ports: "5432", Peer: "sg-0app"})
	edit("remove", "sg-0db/sgr-0d2", "equivalent", "high", "shadowed-rule", "sg-0db/sgr-0d1 permits all of it")
	edit("remove", "sg-0web/sgr-0e2", "observed", "high", "unused-rule", "no hit among 318 connections in 31 days on 3 interfaces")
	edit("remove", "sg-0web/sgr-0e3", "observed", "medium", "unused-rule", "no hit among 318 connections in 31 days on 3 interfaces")
	edit("replace", "sg-0web/sgr-0e4", "observed", "medium", "wide-ports", "10,001 ports are open and 1 was used",
		NewRule{Direction: "ingress", Protocol: "tcp", Ports: "8081", Peer: "10.20.1.0/26"})
}

func sampleFindings(r *Report) {
	add := func(severity, confidence, check, ref, message string, facts []Fact, related, controls []string) {
		r.Findings = append(r.Findings, Finding{ID: fingerprint(check, ref), Check: check, Severity: severity, Confidence: confidence,
			Ref: Optional(ref), Message: message, Facts: facts, Related: related, Controls: controls})
	}
	add("critical", "high", "exposed-admin-port", "sg-0bas/sgr-0b1", "tcp 22 is open to the internet; 37 connections from 2 networks used it",
		[]Fact{{"peers seen", "11"}, {"networks seen", "198.51.100.128/25, 203.0.113.0/25"}, {"last hit", "2025-03-28"}}, nil, []string{"CIS-AWS-5.2", "PCI-DSS-1.3.1"})
	add("high", "high", "exposed-admin-port", "sg-0web/sgr-0e2", "tcp 3389 is open to the internet and nobody used it in 31 days",
		[]Fact{{"hits", "0 of 318 connections"}, {"interfaces", "3"}}, nil, []string{"CIS-AWS-5.2"})
	add("high", "high", "wide-source", "sg-0app/sgr-0c1", "all traffic from anywhere; the window needs tcp 8080 and 9100 from 2 peers",
		[]Fact{{"addresses open", "4,294,967,296"}, {"addresses seen", "9"}, {"ports seen", "8080, 9100"}}, []string{"sg-0app/sgr-0c2"}, []string{"CIS-AWS-5.3"})
	add("medium", "high", "unused-rule", "sg-0web/sgr-0e2", "no hit among 318 connections in 31 days on 3 interfaces", nil, nil, nil)
	add("medium", "high", "wide-ports", "sg-0web/sgr-0e4", "10,001 ports are open and 1 was used", nil, nil, nil)
	add("medium", "medium", "wide-source", "sg-0db/sgr-0d1", "65,536 addresses may reach every port; 4 reached one", nil, nil, nil)
	add("low", "medium", "redundant-rule", "sg-0app/sgr-0c2", "all 4,011 hits are permitted by sg-0app/sgr-0c1 too", nil, []string{"sg-0app/sgr-0c1"}, nil)
	add("low", "high", "shadowed-rule", "sg-0db/sgr-0d2", "all it permits is permitted by sg-0db/sgr-0d1", nil, []string{"sg-0db/sgr-0d1"}, nil)
	add("low", "medium", "unused-rule", "sg-0web/sgr-0e3", "no hit among 318 connections in 31 days on 3 interfaces", nil, nil, nil)
	add("info", "high", "unattached-group", "sg-0old", "the group is attached to no interface; its 2 rules have no evidence", nil, nil, nil)
}

func sampleSuppressions(r *Report) {
	last := &r.Findings[len(r.Findings)-1]
	last.Suppressed = &Suppression{"kept for the disaster drill", at(31, 23) + 3599, "platform", "OPS-12", "5a1f00c3d2e4"}
	r.Inputs.Lists = []ListInput{{"accepted.yaml", "suppressions", "sha256:0b14d501a594442a01c6859541bcb3e8164d183d32937b851835442f69d5c94e"}}
	r.Suppressions = []SuppressionEntry{
		{"5a1f00c3d2e4", "accepted.yaml", 3, "unattached-group", "group sg-0old", "kept for the disaster drill", "platform", "OPS-12",
			at(1, 0), at(31, 23) + 3599, SuppressionActive, []string{last.ID}},
		{"9be01c77a0f2", "accepted.yaml", 9, "exposed-admin-port", "group bastion", "until the VPN is there", "network", "",
			0, at(15, 23) + 3599, SuppressionExpired, []string{r.Findings[0].ID}},
		{"c0ffee00c0de", "accepted.yaml", 15, "", "id 0123456789abcdef", "known", "", "", 0, 0, SuppressionUnmatched, nil},
	}
}

func sampleControls(r *Report) {
	r.Controls = []ControlEvidence{
		{"cis-aws-5.0", "5.2", "Network ACLs let nobody from the world in to administration ports", ControlNotAssessable, "published",
			[]string{"acl-exposed-admin-port"}, 0, 0, nil, []string{"network ACLs are not in the exports"}},
		{"cis-aws-5.0", "5.3", "No group opens administration ports to 0.0.0.0/0", ControlFail, "published",
			[]string{"exposed-admin-port"}, 2, 0, []string{"sg-0bas/sgr-0b1", "sg-0web/sgr-0e2"}, []string{"2 findings of exposed-admin-port"}},
		{"cis-aws-5.0", "5.4", "No group opens administration ports to ::/0", ControlPass, "published",
			[]string{"exposed-admin-port"}, 0, 0, nil, []string{"nothing found by exposed-admin-port: 18 rules of 5 groups and 1 network ACL"}},
		{"soc-2", "CC7.1", "Changes that bring weaknesses are found: nothing is left over", ControlFail, "judgement",
			[]string{"unattached-group", "unused-rule"}, 0, 1, []string{"sg-0old"}, []string{"1 finding is suppressed, of unattached-group: the risk was accepted"}},
	}
}

func sampleAssertions(r *Report) {
	holds := Outcome{"holds", 4, ""}
	r.Inputs.Lists = append([]ListInput{{"assert.yaml", "assertions", "sha256:486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"}}, r.Inputs.Lists...)
	r.Assertions = []Assertion{
		{"the shop reaches its database", "assert.yaml", 3, "sg-0app -> sg-0db, tcp 5432", "allow", holds, holds},
		{"no remote desktop from outside", "assert.yaml", 9, "any -> sg-0web, tcp 3389", "deny",
			Outcome{"fails", 12, "0.0.0.0 -> 10.20.1.5:3389/tcp: allow by sg-0web/sgr-0e2"}, holds},
	}
}

func fingerprint(check, ref string) string {
	var h uint64 = 14695981039346656037
	for _, c := range check + " " + ref {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return fmt.Sprintf("%016x", h)
}

// sampleTrend gives r a past: four weekly runs, of which the second was followed by edits.
func sampleTrend(r *Report) {
	for i, x := range []struct {
		day, rules, edits, high int
		before                  string
	}{{3, 21, 11, 4, "1690499350611196"}, {10, 21, 12, 4, "1690499350611196"}, {17, 19, 9, 3, "845249675305598"}, {24, 18, 8, 2, "845249675305598"}} {
		p := TrendOf(r)
		p.Run, p.Rules, p.Edits, p.Findings.High = at(x.day, 8), x.rules, x.edits, x.high
		p.From, p.To = p.Run-14*86400, p.Run
		p.Exposure = []FamilyExposure{{"ipv4", x.before, "9663790338", 0.00001}}
		p.Coverage = 1 - float64(3-i)/100
		r.Trend = append(r.Trend, p)
	}
	r.Trend = append(r.Trend, TrendOf(r))
}

// samplePictures gives r what is only there to be looked at.
func samplePictures(r *Report) {
	for i := range r.Rules {
		if x := &r.Rules[i]; x.Hits > 0 {
			b := make([]byte, 31)
			for d := range b {
				b[d] = '0' + byte((d*7+i*5)%11)*byte(min(x.Hits, 5000)/1000+1)%6
			}
			x.Daily = string(b)
		}
	}
	r.Details = []Detail{
		{"sg-0app/sgr-0c1", []Shared{{"sg-0app/sgr-0c2", 4_011}}, 0, []Example{
			{"eni-0app1", "tcp", "10.20.0.12", "8080", true, 88_120, at(31, 22)},
			{"eni-0app2", "tcp", "10.20.9.3", "9100", true, 1_044, at(31, 20)},
		}},
		{"sg-0app/sgr-0c2", []Shared{{"sg-0app/sgr-0c1", 4_011}}, 2, nil},
		{"sg-0bas/sgr-0b1", nil, 0, []Example{{"eni-0bas1", "tcp", "203.0.113.9", "22", true, 310, at(28, 22)}, {"eni-0bas1", "tcp", "198.51.100.201", "22", false, 4, at(11, 3)}}},
	}
	cells := func(rows int, used map[int]byte) (out []string) {
		for y := range rows {
			line := []byte("0000000000000000000000000000000000000000000000000000000000000000")
			for x := range line {
				if c, ok := used[y*64+x]; ok {
					line[x] = c
				}
			}
			out = append(out, string(line))
		}
		return out
	}
	r.Pictures = &Pictures{
		Tradeoff: []TradeoffPoint{
			{15, "29663790338", "0", TradeoffOption}, {16, "12663790338", "0", TradeoffOption}, {17, "9663790338", "0", TradeoffPlan},
			{18, "845249675305598", "0", TradeoffToday}, {22, "9463790338", "0", TradeoffOption},
		},
		Flows: Flows{Links: []Flow{
			{"internet", "tcp 443", "sg-0alb", 9_120, 402_118}, {"sg-0alb", "tcp 8443", "sg-0web", 2_901, 310_004}, {"sg-0web", "tcp 8080", "sg-0app", 4_790, 280_114},
			{"sg-0app", "tcp 5432", "sg-0db", 1_233, 120_007}, {"sg-0bas", "tcp 22", "sg-0app", 44, 1_011}, {"internet", "tcp 22", "sg-0bas", 37, 902}, {"others", "others", "sg-0app", 12, 61},
		}, Folded: 3, Connections: 18_140, Records: 1_114_240},
		Spaces: []Space{
			{"sg-0app/sgr-0c1", "addresses", "0.0.0.0/0", "0.0.0.0/12", 4096, 2, cells(64, map[int]byte{161: '5', 3252: '2'}), []UsedPart{{"10.16.0.0/12", 4_780}, {"203.64.0.0/12", 10}}},
			{"sg-0web/sgr-0e4", "ports", "0-10000", "0-39", 251, 1, cells(4, map[int]byte{202: '4'}), []UsedPart{{"8080-8119", 318}}},
		},
	}
	r.Pictures.Spaces[1].Cells[3] = r.Pictures.Spaces[1].Cells[3][:59]
}
