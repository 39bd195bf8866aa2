package analyzer

import (
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// ExposedAdminPort finds groups that open SSH or RDP to everyone.
var ExposedAdminPort = &Analyzer{
	Name:     "exposed-admin-port",
	Title:    "SSH or RDP is open to the world",
	Severity: High,
	Doc: `An ingress rule permits port 22 or 3389, over TCP, UDP or all protocols, from
0.0.0.0/0 or ::/0. It says nothing about whether the interface has a public address. Move
access behind a bastion, a VPN or the provider's session service.

Open to the world is what all public addresses of a family may use: also by prefixes that
are the whole together, such as 0.0.0.0/1 and 128.0.0.0/1, in one rule or in several of one
group. What stronger rules deny to all of them, on every interface where the rule is in
force, is not open. This holds for the other checks of exposed ports, too.`,
	Run: func(p *Pass) []Finding {
		return exposed(p, groupRules, func(o *opening) string { return portList(o.ports(adminPorts, flow.TCP, flow.UDP)) })
	},
}

// ExposedHighRiskPort finds groups that open ports with a high risk to everyone.
var ExposedHighRiskPort = &Analyzer{
	Name:     "exposed-high-risk-port",
	Title:    "A port with a high risk is open to the world",
	Severity: Critical,
	Doc: `An ingress rule permits one of 24 TCP ports that benchmarks count as dangerous
(databases, remote access, mail, management) from 0.0.0.0/0 or ::/0: 20, 21, 22, 23, 25, 110,
135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088, 8888,
9200, 9300.`,
	Run: func(p *Pass) []Finding {
		return exposed(p, groupRules, func(o *opening) string { return portList(o.ports(highRiskPorts, flow.TCP)) })
	},
}

// ExposedUnauthorizedPort finds groups that open anything but web ports to everyone.
var ExposedUnauthorizedPort = &Analyzer{
	Name:     "exposed-unauthorized-port",
	Title:    "More than the web ports is open to the world",
	Severity: High,
	Doc: `An ingress rule permits TCP ports other than 80 and 443, or any UDP port, from
0.0.0.0/0 or ::/0. Rules that the checks for administration and high-risk ports name are
not named again; their findings carry the controls of this one, too.`,
	Run: func(p *Pass) []Finding {
		return exposed(p, groupRules, func(o *opening) string {
			if len(o.ports(highRiskPorts, flow.TCP))+len(o.ports(adminPorts, flow.TCP, flow.UDP)) > 0 {
				return ""
			}
			ports := o.match.ServicePorts(o.rule.Direction).String()
			tcp, udp := o.beyond(flow.TCP, authorizedPorts), o.beyond(flow.UDP, nil)
			switch {
			case udp && o.match.Protos.Has(flow.TCP):
				return "tcp and udp " + ports
			case udp:
				return "udp " + ports
			case tcp:
				return "tcp " + ports
			}
			return ""
		})
	},
}

// ACLExposedAdminPort finds network ACLs that let SSH or RDP in from everyone.
var ACLExposedAdminPort = &Analyzer{
	Name:     "acl-exposed-admin-port",
	Title:    "A network ACL lets SSH or RDP in from the world",
	Severity: Medium,
	Doc: `An inbound allow line of a network ACL lets TCP 22 or 3389 in from 0.0.0.0/0 or
::/0. Default network ACLs are left out, as benchmarks do. Ports that earlier lines
deny to all public addresses are not open.`,
	Run: func(p *Pass) []Finding {
		return exposed(p, aclRules, func(o *opening) string { return portList(o.ports(adminPorts, flow.TCP)) })
	},
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

// exposed reports ingress allow rules that are open to all public addresses of a family,
// and of which check names ports.
func exposed(p *Pass, of func(*policy.Snapshot, *policy.Rule) bool, check func(*opening) (ports string)) []Finding {
	var out []Finding
	for i, r := range p.Snapshot.Rules() {
		if r.Direction != flow.Ingress || r.Action != policy.Allow || !of(p.Snapshot, r) {
			continue
		}
		for n := range r.Match {
			o := p.openingOf(i, &r.Match[n])
			if !o.v4 && !o.v6 {
				continue
			}
			ports := check(o)
			if ports == "" {
				continue
			}
			from := "0.0.0.0/0"
			switch {
			case o.v4 && o.v6:
				from = "0.0.0.0/0 and ::/0"
			case o.v6:
				from = "::/0"
			}
			f := about(r, "%s opens %s to %s", words(r), ports, from)
			if len(o.with) > 0 {
				f.Message += ", together with " + refList(o.with)
				f.Related = o.with[:min(len(o.with), maxRelated)]
			}
			f.opens = o
			u := &p.Result.Usage[i]
			f.Facts = []Fact{
				{"opens", ports},
				{"interfaces", count(o.interfaces())},
				{"hits", count(u.Hits)},
				{"peers", count(u.Peers)},
			}
			if seen := &p.Observed[i]; u.Hits > 0 && u.Answered < u.Hits {
				fact := "none of them"
				if u.Answered > 0 {
					fact = count(u.Answered) + " of them, from " + seen.answeredPeers()
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
