package analyzer

import (
	"slices"
	"strconv"
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

// ExposedAdminPort finds groups that open SSH or RDP to everyone.
var ExposedAdminPort = &Analyzer{
	Name:     "exposed-admin-port",
	Title:    "SSH or RDP is open to the world",
	Severity: High,
	Doc: `An ingress rule permits port 22 or 3389, over TCP, UDP or all protocols, from
0.0.0.0/0 or ::/0. It says nothing about whether the interface has a public address. Move
access behind a bastion, a VPN or the provider's session service.`,
	Run: func(p *Pass) []Finding {
		return exposed(p, groupRules, func(r *policy.Rule, m *policy.Match, v4, v6 bool) (string, []string) {
			open := opened(r, m, adminPorts, flow.TCP, flow.UDP)
			controls := []string{"FSBP-EC2.18"}
			if slices.Contains(open, 22) {
				controls = append(controls, "FSBP-EC2.13")
			}
			if slices.Contains(open, 3389) {
				controls = append(controls, "FSBP-EC2.14")
			}
			if v4 {
				controls = append(controls, "FSBP-EC2.53", "CIS-AWS-5.3")
			}
			if v6 {
				controls = append(controls, "FSBP-EC2.54", "CIS-AWS-5.4")
			}
			return portList(open), controls
		})
	},
}

// ExposedHighRiskPort finds groups that open ports with a high risk to everyone.
var ExposedHighRiskPort = &Analyzer{
	Name:     "exposed-high-risk-port",
	Title:    "A port with a high risk is open to the world",
	Severity: Critical,
	Doc: `An ingress rule permits one of the 24 TCP ports of control EC2.19 (databases, remote
access, mail, management) from 0.0.0.0/0 or ::/0: 20, 21, 22, 23, 25, 110, 135, 143, 445,
1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088, 8888, 9200, 9300.`,
	Run: func(p *Pass) []Finding {
		return exposed(p, groupRules, func(r *policy.Rule, m *policy.Match, _, _ bool) (string, []string) {
			return portList(opened(r, m, highRiskPorts, flow.TCP)), nil
		})
	},
}

// ExposedUnauthorizedPort finds groups that open anything but web ports to everyone.
var ExposedUnauthorizedPort = &Analyzer{
	Name:     "exposed-unauthorized-port",
	Title:    "More than the web ports is open to the world",
	Severity: High,
	Doc: `An ingress rule permits TCP ports other than 80 and 443, or any UDP port, from
0.0.0.0/0 or ::/0 (control EC2.18 with its default list). Rules that the checks for
administration and high-risk ports name are not named again; their findings carry the
control, too.`,
	Run: func(p *Pass) []Finding {
		return exposed(p, groupRules, func(r *policy.Rule, m *policy.Match, _, _ bool) (string, []string) {
			ports := m.ServicePorts(r.Direction)
			if len(opened(r, m, highRiskPorts, flow.TCP))+len(opened(r, m, adminPorts, flow.TCP, flow.UDP)) > 0 {
				return "", nil
			}
			switch {
			case m.Protos.Has(flow.TCP) && m.Protos.Has(flow.UDP):
				return "tcp and udp " + ports.String(), nil
			case m.Protos.Has(flow.UDP):
				return "udp " + ports.String(), nil
			case m.Protos.Has(flow.TCP) && !(ports.Len() == 1 && slices.Contains(authorizedPorts, ports.First)):
				return "tcp " + ports.String(), nil
			}
			return "", nil
		})
	},
}

// ACLExposedAdminPort finds network ACLs that let SSH or RDP in from everyone.
var ACLExposedAdminPort = &Analyzer{
	Name:     "acl-exposed-admin-port",
	Title:    "A network ACL lets SSH or RDP in from the world",
	Severity: Medium,
	Doc: `An inbound allow line of a network ACL lets TCP 22 or 3389 in from 0.0.0.0/0 or
::/0. Default network ACLs are left out, as control EC2.21 does. An earlier deny line for
the same ports is taken into account.`,
	Run: func(p *Pass) []Finding {
		return exposed(p, aclRules, func(r *policy.Rule, m *policy.Match, _, _ bool) (string, []string) {
			var open []uint16
			for _, port := range opened(r, m, adminPorts, flow.TCP) {
				if !deniedBefore(p, r, port) {
					open = append(open, port)
				}
			}
			return portList(open), nil
		})
	},
}

// deniedBefore reports whether a better-ranked line denies the port to all that r
// opens it to.
func deniedBefore(p *Pass, r *policy.Rule, port uint16) bool {
	i, _ := p.Snapshot.RuleIndex(r.Ref)
	var asked, denied []netset.Box
	for _, b := range p.Coverage.boxes[i].boxes {
		b.Services = netset.Point(flow.TCP, port)
		asked = append(asked, b)
	}
	for j, o := range p.Snapshot.Rules() {
		if o.Ref.Owner == r.Ref.Owner && o.Direction == r.Direction && o.Rank < r.Rank && o.Action == policy.Deny && p.Coverage.boxes[j].exact {
			denied = append(denied, p.Coverage.boxes[j].boxes...)
		}
	}
	ok, _ := netset.CoveredAll(asked, denied)
	return ok
}

func groupRules(s *policy.Snapshot, r *policy.Rule) bool { return !isACL(s, r.Ref.Owner) }

func aclRules(s *policy.Snapshot, r *policy.Rule) bool {
	for i := range s.ACLs {
		if s.ACLs[i].ID == r.Ref.Owner {
			return !s.ACLs[i].Default
		}
	}
	return false
}

// exposed reports ingress allow rules that are open to a whole family and of which
// check names ports.
func exposed(p *Pass, of func(*policy.Snapshot, *policy.Rule) bool, check func(r *policy.Rule, m *policy.Match, v4, v6 bool) (ports string, controls []string)) []Finding {
	var out []Finding
	for i, r := range p.Snapshot.Rules() {
		if r.Direction != flow.Ingress || r.Action != policy.Allow || !of(p.Snapshot, r) {
			continue
		}
		for n := range r.Match {
			m := &r.Match[n]
			v4, v6 := worldOpen(p.Snapshot.Resolve(m.Remote).Prefixes)
			if !v4 && !v6 {
				continue
			}
			ports, controls := check(r, m, v4, v6)
			if ports == "" {
				continue
			}
			from := "0.0.0.0/0"
			switch {
			case v4 && v6:
				from = "0.0.0.0/0 and ::/0"
			case v6:
				from = "::/0"
			}
			f := about(r, "%s opens %s to %s", words(r), ports, from)
			f.Controls = controls
			u := &p.Result.Usage[i]
			f.Facts = []Fact{
				{"opens", ports},
				{"interfaces", count(len(p.Coverage.interfaces[i]))},
				{"hits", count(u.Hits)},
				{"peers", count(u.Peers)},
			}
			if o := &p.Observed[i]; u.Hits > 0 && u.Answered < u.Hits {
				fact := "none of them"
				if u.Answered > 0 {
					fact = count(u.Answered) + " of them, from " + o.answeredPeers()
				}
				f.Facts = append(f.Facts, Fact{"answered", fact})
			}
			if len(p.Coverage.interfaces[i]) == 0 {
				f.Severity = Medium
				f.Message += "; it is in force nowhere at present"
			}
			out = append(out, f)
			break
		}
	}
	return out
}

// opened returns which of ports m opens over any of protos.
func opened(r *policy.Rule, m *policy.Match, ports []uint16, protos ...flow.Proto) []uint16 {
	if !slices.ContainsFunc(protos, m.Protos.Has) {
		return nil
	}
	var out []uint16
	for _, p := range ports {
		if m.ServicePorts(r.Direction).Contains(p) {
			out = append(out, p)
		}
	}
	return out
}

// portList writes ports as text, "" if there are none.
func portList(ports []uint16) string {
	if len(ports) == 0 {
		return ""
	}
	var s []string
	for _, p := range ports {
		s = append(s, strconv.Itoa(int(p)))
	}
	if len(s) == 1 {
		return "port " + s[0]
	}
	return "ports " + strings.Join(s, ", ")
}
