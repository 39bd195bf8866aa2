package engine_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy/cloud"
)

// object is a JSON object.
type object = map[string]any

// exportable makes w a world that the calls of the cloud can say: lines of network ACLs
// are known by their place among those of their family.
func (w *world) exportable() {
	for _, e := range w.enis {
		e.cutThrough = e.cutThrough && !e.balancer
	}
	for _, s := range w.switches {
		slices.SortStableFunc(s.acl, func(a, b permission) int { return a.priority - b.priority })
		place := make(map[string]int)
		for i := range s.acl {
			p := &s.acl[i]
			if p.peer == "pl-dark" { // of no family, so its place would not be known
				p.peer = "pl-four"
			}
			p.ports = p.ports[:min(len(p.ports), 1)] // they have no lists of ports
			list := map[bool]string{false: "ingress", true: "egress"}[p.egress]
			suffix := ""
			if p.v6() {
				suffix = "-ipv6"
			}
			place[list+suffix]++
			p.id = fmt.Sprintf("%s-%d%s", list, place[list+suffix], suffix)
		}
	}
}

func (p *permission) v6() bool { return p.peerBlock.start.six || p.peer == "pl-six" }

// export writes w as the replies of the cloud's calls, one after the other.
func (w *world) export(r *rand.Rand) string {
	var b strings.Builder
	reply := func(v object) {
		v["RequestId"] = "6EF60BEC-0242-43AF-BB20-270359FB54A7"
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		b.Write(append(text, '\n'))
	}
	var groups []object
	for _, g := range w.groups {
		kind, inner := "normal", "Accept"
		if g.enterprise {
			kind = "enterprise"
		}
		if g.innerDrop {
			inner = "Drop"
		}
		groups = append(groups, object{"SecurityGroupId": g.id, "SecurityGroupType": kind, "VpcId": "vpc-1", "ServiceManaged": false})
		permissions := []object{}
		for i := range g.permissions {
			p := &g.permissions[i]
			o, ports := p.export(fmt.Sprintf("prl-%s%d", strings.TrimPrefix(g.id, "sg-"), i), r)
			permissions = append(permissions, o)
			if ports != nil {
				reply(ports)
			}
		}
		reply(object{"SecurityGroupId": g.id, "InnerAccessPolicy": inner, "VpcId": "vpc-1", "Permissions": object{"Permission": permissions}})
	}
	reply(object{"SecurityGroups": object{"SecurityGroup": groups}})

	var enis []object
	for i, e := range w.enis {
		o := object{"NetworkInterfaceId": e.id, "VpcId": "vpc-1", "VSwitchId": e.vswitch.id, "Type": "Secondary", "Status": "InUse",
			"InstanceId": fmt.Sprintf("i-bp1%d", i), "SecurityGroupIds": object{"SecurityGroupId": e.groups}}
		switch {
		case e.balancer:
			o["InstanceId"], o["ServiceManaged"] = []string{"nlb-0123456", "alb-0123456"}[i%2], true
		case e.cutThrough: // of a database: network ACLs do not filter those either
			o["InstanceId"], o["ServiceManaged"] = "rm-0123456", true
		}
		var four, six, prefixes []object
		for j, a := range e.addresses {
			if a.six {
				six = append(six, object{"Ipv6Address": a.netip().String()})
			} else {
				four = append(four, object{"PrivateIpAddress": a.netip().String(), "Primary": j == 0})
			}
		}
		for _, p := range e.delegated {
			prefixes = append(prefixes, object{"Ipv4Prefix": p.String()})
		}
		o["PrivateIpSets"], o["Ipv6Sets"], o["Ipv4PrefixSets"] = object{"PrivateIpSet": four}, object{"Ipv6Set": six}, object{"Ipv4PrefixSet": prefixes}
		enis = append(enis, o)
	}
	reply(object{"NetworkInterfaceSets": object{"NetworkInterfaceSet": enis}})

	var switches, acls []object
	for _, s := range w.switches {
		o := object{"VSwitchId": s.id, "VpcId": "vpc-1", "CidrBlock": s.blocks[0].String(), "Ipv6CidrBlock": s.blocks[1].String()}
		if s.bound {
			if r.IntN(2) == 0 { // either side may name the other
				o["NetworkAclId"] = "nacl-" + s.id
			}
			lines := [2][]object{{}, {}}
			for i := range s.acl {
				p := &s.acl[i]
				side := 0
				if p.egress {
					side = 1
				}
				lines[side] = append(lines[side], p.line())
			}
			acls = append(acls, object{"NetworkAclId": "nacl-" + s.id, "VpcId": "vpc-1",
				"Resources":         object{"Resource": []object{{"ResourceId": s.id, "ResourceType": "VSwitch"}}},
				"IngressAclEntries": object{"IngressAclEntry": lines[0]}, "EgressAclEntries": object{"EgressAclEntry": lines[1]}})
		}
		switches = append(switches, o)
	}
	reply(object{"VSwitches": object{"VSwitch": switches}})
	reply(object{"NetworkAcls": object{"NetworkAcl": acls}})

	for _, id := range []string{"pl-four", "pl-six", "pl-empty"} {
		entries := []object{}
		for _, x := range w.lists[id].blocks {
			entries = append(entries, object{"Cidr": x.String()})
		}
		reply(object{"PrefixListId": id, "MaxEntries": 10, "AddressFamily": "IPv4", "Entries": object{"Entry": entries}})
	}
	return b.String()
}

// protocolNames are the words of the calls; other protocols are numbers.
var protocolNames = map[int]string{anyProtocol: "ALL", 6: "TCP", 17: "UDP", 1: "ICMP", 58: "ICMPv6", 47: "GRE"}

func (p *permission) protocolName() string {
	if name := protocolNames[p.protocol]; name != "" {
		return name
	}
	return fmt.Sprint(p.protocol)
}

// export writes p as an element of Permissions, and the list that its ports are in if
// there are several.
func (p *permission) export(portList string, r *rand.Rand) (o, ports object) {
	o = object{"SecurityGroupRuleId": p.id, "Direction": "ingress", "Policy": "Accept", "Priority": fmt.Sprint(p.priority),
		"IpProtocol": p.protocolName(), "PortRange": "-1/-1", "NicType": "intranet", "CreateTime": "2024-12-12T07:28:38Z"}
	if p.drop {
		o["Policy"] = "Drop"
	}
	far, near := "Source", "Dest"
	if p.egress {
		far, near = near, far
		o["Direction"] = "egress"
	}
	cidr := func(side, text string) {
		key := side + "CidrIp"
		if strings.Contains(text, ":") {
			key = "Ipv6" + key
		}
		o[key] = text
	}
	switch {
	case strings.HasPrefix(p.peer, "sg-"):
		o[far+"GroupId"] = p.peer
		if p.peer == "sg-far" {
			o[far+"GroupOwnerAccount"] = "1234567890123456"
		}
	case strings.HasPrefix(p.peer, "pl-"):
		o[far+"PrefixListId"] = p.peer
	default:
		cidr(far, p.peer)
	}
	if p.local != "" {
		cidr(near, p.local)
	}
	if p.source != nil {
		o["SourcePortRange"] = fmt.Sprintf("%d/%d", p.source[0], p.source[1])
	} else if r.IntN(2) == 0 {
		o["SourcePortRange"] = "-1/-1"
	}
	switch len(p.ports) {
	case 0:
	case 1:
		o["PortRange"] = fmt.Sprintf("%d/%d", p.ports[0][0], p.ports[0][1])
	default:
		var entries []object
		for _, x := range p.ports {
			entries = append(entries, object{"PortRange": fmt.Sprintf("%d/%d", x[0], x[1])})
		}
		o["PortRange"], o["PortRangeListId"] = "", portList
		ports = object{"PortRangeListId": portList, "Entries": entries}
	}
	return o, ports
}

// line writes p as a line of a network ACL.
func (p *permission) line() object {
	o := object{"Policy": "accept", "Protocol": strings.ToLower(p.protocolName()), "Port": "-1/-1", "IpVersion": "IPv4", "EntryType": "custom"}
	if p.drop {
		o["Policy"] = "drop"
	}
	if p.v6() {
		o["IpVersion"] = "IPv6"
	}
	if len(p.ports) > 0 {
		o["Port"] = fmt.Sprintf("%d/%d", p.ports[0][0], p.ports[0][1])
	}
	key := "SourceCidrIp"
	if p.egress {
		key = "DestinationCidrIp"
	}
	o[key] = p.peer
	return o
}

// TestExportedWorldsAgree is TestTwoEvaluatorsAgree from the export on: the replies of
// the cloud's calls mean what the documents say that they mean.
func TestExportedWorldsAgree(t *testing.T) {
	worlds, connections := 100, 200
	if *million {
		worlds, connections = 500, 500
	}
	dir := t.TempDir()
	seen := make(map[string]int)
	n := 0
	for seed := range uint64(worlds) {
		r := rand.New(rand.NewPCG(seed, 2026))
		w := randomWorld(r)
		w.exportable()
		text := w.export(r)
		path := filepath.Join(dir, fmt.Sprintf("export-%d.json", seed))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		snap, _, err := cloud.Read([]string{path}, cloud.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		c := newComparison(w, snap)
		points := w.points()
		for range connections {
			e, conn := points.draw(r)
			if err := c.compare(e, conn, seen); err != nil {
				t.Fatalf("seed %d: %s: %v\n%s\nread as\n%s", seed, e.id, err, w.text(), cloud.Format(snap))
			}
			n++
		}
		if snap.MissingWhat("network-interfaces") || !snap.MissingWhat("prefix-list pl-dark") && strings.Contains(text, "pl-dark") {
			t.Fatalf("seed %d: missing %+v", seed, snap.Missing)
		}
	}
	t.Logf("%d exported worlds, %d connections, all agree", worlds, n)
}
