package cloud

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// pastOf reads a policy and its recorded changes.
func pastOf(t *testing.T, text, trail string, dated ...DatedPaths) *policy.History {
	t.Helper()
	h, err := readPast(t, text, trail, dated...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func readPast(t *testing.T, text, trail string, dated ...DatedPaths) (*policy.History, error) {
	t.Helper()
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "policy"), filepath.Join(dir, "trail.json")}
	for i, data := range []string{text, trail} {
		if err := os.WriteFile(paths[i], []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, _, err := ReadHistory(paths, Options{Dated: dated})
	return h, err
}

// call writes an event. request and response are JSON.
func call(minute int, name, request, response string) string {
	at := time.Date(2024, 3, 1, 0, minute, 0, 0, time.UTC)
	return fmt.Sprintf(`{"eventTime":%q,"eventSource":"ec2.amazonaws.com","eventName":%q,"eventID":"%s-%d","requestParameters":%s,"responseElements":%s}`+"\n",
		at.Format(time.RFC3339), name, name, minute, request, response)
}

// verdicts decides one connection to eni-1 at each of the minutes: a letter each, two
// where either may have been so; a deny, A allow, ? unknown.
func verdicts(h *policy.History, d flow.Direction, remote string, port uint16, minutes ...int) string {
	return verdictsAt(h, "eni-1", d, remote, port, minutes...)
}

func verdictsAt(h *policy.History, id string, d flow.Direction, remote string, port uint16, minutes ...int) string {
	f, _ := h.Present().Interface(id)
	c := policy.Conn{Direction: d, Proto: flow.TCP, Local: f.Addresses[0], Remote: mustAddr(remote), LocalPort: port, RemotePort: 40000, ICMP: policy.AnyICMP}
	if d == flow.Egress {
		c.LocalPort, c.RemotePort = 40000, port
	}
	var out []string
	for _, m := range minutes {
		at := time.Date(2024, 3, 1, 0, m, 0, 0, time.UTC).Unix()
		era := 0
		for _, cut := range h.Cuts(id) {
			if cut <= at {
				era++
			}
		}
		text := ""
		for _, p := range h.Paths(id, era) {
			side := 0
			if d == flow.Egress {
				side = 1
			}
			text += map[policy.Verdict]string{policy.Denied: "d", policy.Allowed: "A", policy.Unknown: "?"}[policy.Decide(p[side], &c).Verdict]
		}
		if text == "AA" || text == "dd" || text == "??" {
			text = text[:1]
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

const (
	webPolicy  = "interface eni-1 10.0.0.5 sg-1\ngroup sg-1 name=web\n  sgr-1 ingress tcp 443 from 10.0.0.0/8\n"
	rule443    = `{"groupId":"sg-1","securityGroupRuleId":"sgr-1","isEgress":false,"ipProtocol":"tcp","fromPort":443,"toPort":443,"cidrIpv4":"10.0.0.0/8"}`
	perm443    = `{"ipProtocol":"tcp","fromPort":443,"toPort":443,"groups":{},"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8"}]},"ipv6Ranges":{},"prefixListIds":{}}`
	perm22     = `{"ipProtocol":"tcp","fromPort":22,"toPort":22,"groups":{},"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8"}]},"ipv6Ranges":{},"prefixListIds":{}}`
	returned   = `{"requestId":"r","_return":true}`
	ask443     = `{"groupId":"sg-1","ipPermissions":{"items":[` + perm443 + `]}}`
	ask22      = `{"groupId":"sg-1","ipPermissions":{"items":[` + perm22 + `]}}`
	reply443   = `{"requestId":"r","_return":true,"securityGroupRuleSet":{"items":[` + rule443 + `]}}`
	noRevoke22 = `{"requestId":"r","_return":true,"unknownIpPermissionSet":{"items":[` + perm22 + `]}}`
)

// TestCloudTrailCalls undoes one kind of call after another (aws.md 6.1). Each row asks
// what a connection to eni-1 was decided before the call at minute 10, and after it.
func TestCloudTrailCalls(t *testing.T) {
	for _, x := range []struct {
		name, trail, remote string
		port                uint16
		want                string
	}{
		{"nothing recorded", `{"Records":[]}`, "10.1.1.1", 443, "A A"},
		{"a rule is made", call(10, "AuthorizeSecurityGroupIngress", ask443, reply443), "10.1.1.1", 443, "d A"},
		{"its reply lists no rules", call(10, "AuthorizeSecurityGroupIngress", ask443, returned), "10.1.1.1", 443, "d A"},
		{"its request has the old form", call(10, "AuthorizeSecurityGroupIngress", `{"groupId":"sg-1","ipProtocol":"tcp","fromPort":443,"toPort":443,"cidrIp":"10.0.0.0/8"}`, returned), "10.1.1.1", 443, "d A"},
		{"its request names the group", call(10, "AuthorizeSecurityGroupIngress", `{"groupName":"web","ipPermissions":{"items":[`+perm443+`]}}`, returned), "10.1.1.1", 443, "d A"},
		{"its content cannot be read", call(10, "AuthorizeSecurityGroupIngress", `{"groupId":"sg-1"}`, returned), "10.1.1.1", 443, "? A"},
		{"the call failed", strings.Replace(call(10, "AuthorizeSecurityGroupIngress", ask443, reply443), `"eventID"`, `"errorCode":"Client.UnauthorizedOperation","eventID"`, 1), "10.1.1.1", 443, "A A"},
		{"a dry run", strings.Replace(call(10, "AuthorizeSecurityGroupIngress", ask443, reply443), `"eventID"`, `"errorCode":"Client.DryRunOperation","eventID"`, 1), "10.1.1.1", 443, "A A"},
		{"no reply", call(10, "AuthorizeSecurityGroupIngress", ask443, "null"), "10.1.1.1", 443, "A A"},
		{"another service", strings.Replace(call(10, "AuthorizeSecurityGroupIngress", ask443, reply443), "ec2.", "rds.", 1), "10.1.1.1", 443, "A A"},
		{"a description alone", call(10, "UpdateSecurityGroupRuleDescriptionsIngress", ask443, returned), "10.1.1.1", 443, "A A"},
		{"a rule is revoked", call(10, "RevokeSecurityGroupIngress", ask22, returned), "10.1.1.1", 22, "A d"},
		{"what was not there is not revoked", call(10, "RevokeSecurityGroupIngress", ask22, noRevoke22), "10.1.1.1", 22, "d d"},
		{"a rule is revoked by an id that nobody knows", call(10, "RevokeSecurityGroupIngress", `{"groupId":"sg-1","securityGroupRuleIds":{"items":[{"securityGroupRuleId":"sgr-9"}]}}`, returned), "10.1.1.1", 22, "? d"},
		{"and what other rules let in is known", call(10, "RevokeSecurityGroupIngress", `{"groupId":"sg-1","securityGroupRuleIds":{"items":["sgr-9"]}}`, returned), "10.1.1.1", 443, "A A"},
		{"a rule is modified", call(10, "ModifySecurityGroupRules", modified("sgr-1", 443), `{"ModifySecurityGroupRulesResponse":{"return":true}}`), "10.1.1.1", 22, "? d"},
		{"a rule is modified that may have been the same", call(10, "ModifySecurityGroupRules", modified("sgr-1", 443), `{}`), "10.1.1.1", 443, "?A A"},
		{"a rule is modified in a list", call(10, "ModifySecurityGroupRules", strings.Replace(strings.Replace(modified("sgr-1", 443), `"SecurityGroupRule":{"tag"`, `"SecurityGroupRule":[{"tag"`, 1), "}}}}", "}}]}}", 1), `{}`), "10.1.1.1", 22, "? d"},
		{"a group is made", call(10, "CreateSecurityGroup", `{"groupName":"web","vpcId":"vpc-1"}`, `{"groupId":"sg-1","_return":true}`), "10.1.1.1", 443, "? dA"},
		{"the groups of an interface change", call(10, "ModifyNetworkInterfaceAttribute", `{"networkInterfaceId":"eni-1","groupSet":{"items":[{"groupId":"sg-1"}]}}`, returned), "10.1.1.1", 443, "? A"},
		{"another attribute changes", call(10, "ModifyNetworkInterfaceAttribute", `{"networkInterfaceId":"eni-1","sourceDestCheck":{"value":false}}`, returned), "10.1.1.1", 443, "A A"},
		{"an interface is deleted of which nothing is known", call(10, "DeleteNetworkInterface", `{"networkInterfaceId":"eni-77"}`, returned), "10.1.1.1", 443, "A A"},
		{"an event bus wraps it", `{"detail-type":"AWS API Call via CloudTrail","detail":` + call(10, "AuthorizeSecurityGroupIngress", ask443, reply443) + `}`, "10.1.1.1", 443, "d A"},
	} {
		h := pastOf(t, webPolicy, x.trail)
		if got := verdicts(h, flow.Ingress, x.remote, x.port, 5, 15); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// modified writes the request that gives a rule the content tcp PORT from 10.0.0.0/8.
func modified(id string, port int) string {
	return fmt.Sprintf(`{"ModifySecurityGroupRulesRequest":{"GroupId":"sg-1","SecurityGroupRule":{"tag":1,"SecurityGroupRuleId":%q,"SecurityGroupRule":{"IpProtocol":"tcp","FromPort":%d,"ToPort":%d,"CidrIpv4":"10.0.0.0/8","Description":"x"}}}}`, id, port, port)
}

// TestModifiedRuleIsFoundInEarlierEvents: what a rule was before it was modified, an
// earlier event tells (traps 52, 61).
func TestModifiedRuleIsFoundInEarlierEvents(t *testing.T) {
	trail := call(10, "AuthorizeSecurityGroupIngress", ask22, strings.ReplaceAll(reply443, `"fromPort":443,"toPort":443`, `"fromPort":22,"toPort":22`)) +
		call(20, "ModifySecurityGroupRules", modified("sgr-1", 80), `{}`) +
		call(30, "ModifySecurityGroupRules", modified("sgr-1", 443), `{}`)
	h := pastOf(t, webPolicy, trail)
	for port, want := range map[uint16]string{22: "d A d d", 80: "d d A d", 443: "d d d A"} {
		if got := verdicts(h, flow.Ingress, "10.1.1.1", port, 5, 15, 25, 35); got != want {
			t.Errorf("port %d: %s, want %s", port, got, want)
		}
	}
	if since, ok := h.RuleSince(policy.Ref{Owner: "sg-1", Rule: "sgr-1"}); !ok || since != time.Date(2024, 3, 1, 0, 30, 0, 0, time.UTC).Unix() {
		t.Errorf("in force since %d", since)
	}
	// A description that is modified resets nothing.
	h = pastOf(t, webPolicy, trail+call(40, "ModifySecurityGroupRules", modified("sgr-1", 443), `{}`))
	if since, _ := h.RuleSince(policy.Ref{Owner: "sg-1", Rule: "sgr-1"}); since != time.Date(2024, 3, 1, 0, 30, 0, 0, time.UTC).Unix() {
		t.Errorf("a new description resets the age to %d", since)
	}
}

// TestCallsOfOneSecond: times are in seconds; what fits is the order.
func TestCallsOfOneSecond(t *testing.T) {
	made, gone := call(10, "AuthorizeSecurityGroupIngress", ask443, reply443), call(10, "RevokeSecurityGroupIngress", ask443, returned)
	if got := verdicts(pastOf(t, webPolicy, made+gone), flow.Ingress, "10.1.1.1", 443, 5, 15); got != "A A" {
		t.Errorf("revoked and made again, as it is there now: %s", got)
	}
	empty := strings.Replace(webPolicy, "  sgr-1 ingress tcp 443 from 10.0.0.0/8\n", "", 1)
	if got := verdicts(pastOf(t, empty, gone+made), flow.Ingress, "10.1.1.1", 443, 5, 15); got != "d d" {
		t.Errorf("made and revoked, as it is not there now: %s", got)
	}
}

// TestContradictionKeepsBothStates: the export lacks a rule that was made and, as far as
// is recorded, never unmade.
func TestContradictionKeepsBothStates(t *testing.T) {
	empty := strings.Replace(webPolicy, "  sgr-1 ingress tcp 443 from 10.0.0.0/8\n", "", 1)
	h := pastOf(t, empty, call(10, "AuthorizeSecurityGroupIngress", ask443, reply443))
	if got := verdicts(h, flow.Ingress, "10.1.1.1", 443, 5, 15); got != "d Ad" && got != "d dA" {
		t.Errorf("%s", got)
	}
}

const members = `interface eni-1 10.0.0.5 sg-1 vpc=vpc-1
interface eni-2 10.0.0.6 10.0.0.7 sg-2 vpc=vpc-1 instance=i-2
group sg-1
  sgr-1 ingress tcp 443 from sg-2
group sg-2
group sg-3
`

// TestMembersOfThen follows members of groups through every call that makes, unmakes or
// moves them (traps 35, 48).
func TestMembersOfThen(t *testing.T) {
	made := func(id, group, addr string) string {
		return fmt.Sprintf(`{"networkInterfaceId":%q,"subnetId":"subnet-1","vpcId":"vpc-1","privateIpAddress":%q,"groupSet":{"items":[{"groupId":%q}]},"privateIpAddressesSet":{"item":[{"privateIpAddress":%q,"primary":true,"association":{"publicIp":"198.51.100.1"}}]}}`, id, addr, group, addr)
	}
	for _, x := range []struct {
		name, trail, remote, want string
	}{
		{"an interface is made", call(10, "CreateNetworkInterface", `{}`, `{"networkInterface":`+made("eni-2", "sg-2", "10.0.0.6")+`}`), "10.0.0.6", "d A"},
		{"an instance is started", call(10, "RunInstances", `{}`, `{"instancesSet":{"items":[{"instanceId":"i-2","networkInterfaceSet":{"items":[`+made("eni-2", "sg-2", "10.0.0.6")+`]}}]}}`), "10.0.0.6", "d A"},
		{"one that is gone was made", call(3, "RunInstances", `{}`, `{"instancesSet":{"items":[{"instanceId":"i-9","networkInterfaceSet":{"items":[`+made("eni-9", "sg-2", "10.0.0.99")+`]}}]}}`) +
			call(10, "TerminateInstances", `{"instancesSet":{"items":[{"instanceId":"i-9"}]}}`, returned), "10.0.0.99", "A d"},
		{"and its public address was no member", call(3, "RunInstances", `{}`, `{"instancesSet":{"items":[{"instanceId":"i-9","networkInterfaceSet":{"items":[`+made("eni-9", "sg-2", "10.0.0.99")+`]}}]}}`) +
			call(10, "TerminateInstances", `{"instancesSet":{"items":[{"instanceId":"i-9"}]}}`, returned), "198.51.100.1", "d d"},
		{"one is gone of which nothing is known", call(10, "DeleteNetworkInterface", `{"networkInterfaceId":"eni-9"}`, returned), "10.0.0.99", "? d"},
		{"an instance is gone of which nothing is known", call(10, "TerminateInstances", `{"instancesSet":{"items":[{"instanceId":"i-9"}]}}`, returned), "10.0.0.99", "? d"},
		{"an address is given", call(10, "AssignPrivateIpAddresses", `{"networkInterfaceId":"eni-2","privateIpAddressesSet":{"item":[{"privateIpAddress":"10.0.0.7"}]}}`, returned), "10.0.0.7", "d A"},
		{"the other one stays", call(10, "AssignPrivateIpAddresses", `{"networkInterfaceId":"eni-2","privateIpAddressesSet":{"item":[{"privateIpAddress":"10.0.0.7"}]}}`, returned), "10.0.0.6", "A A"},
		{"some address is given", call(10, "AssignPrivateIpAddresses", `{"networkInterfaceId":"eni-2","secondaryPrivateIpAddressCount":1}`, returned), "10.0.0.7", "dA A"},
		{"an address is taken", call(10, "UnassignPrivateIpAddresses", `{"networkInterfaceId":"eni-2","privateIpAddressesSet":{"item":[{"privateIpAddress":"10.0.0.8"}]}}`, returned), "10.0.0.8", "A d"},
		{"an address moves", call(10, "AssignPrivateIpAddresses", `{"networkInterfaceId":"eni-2","privateIpAddressesSet":{"item":[{"privateIpAddress":"10.0.0.7"}]},"allowReassignment":true}`, returned), "10.0.0.7", "? A"},
		{"groups of the instance change", call(10, "ModifyInstanceAttribute", `{"instanceId":"i-2","groupSet":{"items":[{"groupId":"sg-2"}]}}`, returned), "10.0.0.6", "dA A"},
		{"another attribute of the instance changes", call(10, "ModifyInstanceAttribute", `{"instanceId":"i-2","instanceType":{"value":"t3.micro"}}`, returned), "10.0.0.6", "A A"},
		{"groups change twice", call(3, "ModifyNetworkInterfaceAttribute", `{"networkInterfaceId":"eni-2","groupSet":{"items":[{"groupId":"sg-3"}]}}`, returned) +
			call(10, "ModifyNetworkInterfaceAttribute", `{"networkInterfaceId":"eni-2","groupSet":{"items":[{"groupId":"sg-2"}]}}`, returned), "10.0.0.6", "d A"},
	} {
		h := pastOf(t, members, x.trail)
		if got := verdicts(h, flow.Ingress, x.remote, 443, 5, 15); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

const lines = `interface eni-1 10.0.0.5 sg-1 subnet=subnet-1
subnet subnet-1 10.0.0.0/24
subnet subnet-2 10.0.1.0/24
group sg-1
  sgr-1 ingress all from 0.0.0.0/0
acl acl-1 subnets=subnet-1
  90 ingress deny tcp 443 from 10.1.0.0/16
  100 ingress allow all from 0.0.0.0/0
acl acl-2 subnets=subnet-2
  100 ingress deny all from 0.0.0.0/0
`

// TestNetworkACLsOfThen undoes calls on network ACLs.
func TestNetworkACLsOfThen(t *testing.T) {
	line := `{"networkAclId":"acl-1","egress":false,"ruleNumber":90,"ruleAction":"deny","aclProtocol":"6","portRange":{"from":443,"to":443},"icmpTypeCode":{},"cidrBlock":"10.1.0.0/16"}`
	for _, x := range []struct{ name, trail, remote, want string }{
		{"a line is made", call(10, "CreateNetworkAclEntry", line, returned), "10.1.1.1", "A d"},
		{"a line is replaced", call(10, "ReplaceNetworkAclEntry", line, returned), "10.1.1.1", "? d"},
		{"and what it was an earlier event tells", call(3, "CreateNetworkAclEntry", strings.Replace(line, "deny", "allow", 1), returned) + call(10, "ReplaceNetworkAclEntry", line, returned), "10.1.1.1", "A d"},
		{"a line is deleted", call(10, "DeleteNetworkAclEntry", `{"networkAclId":"acl-1","egress":false,"ruleNumber":80}`, returned), "10.2.1.1", "? A"},
		{"a subnet gets its network ACL", call(10, "ReplaceNetworkAclAssociation", `{"associationId":"aclassoc-1","networkAclId":"acl-1"}`, `{"newAssociationId":"aclassoc-2"}`), "10.2.1.1", "? A"},
		{"another subnet gets another one", call(10, "ReplaceNetworkAclAssociation", `{"associationId":"aclassoc-1","networkAclId":"acl-2"}`, `{"newAssociationId":"aclassoc-2"}`), "10.2.1.1", "A A"},
		{"the network ACL is made", call(10, "CreateNetworkAcl", `{"vpcId":"vpc-1"}`, `{"networkAcl":{"networkAclId":"acl-1","vpcId":"vpc-1","entrySet":{"items":[]}}}`), "10.2.1.1", "? dA"},
	} {
		h := pastOf(t, lines, x.trail)
		if got := verdicts(h, flow.Ingress, x.remote, 443, 5, 15); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// TestPrefixListsOfThen undoes changes of managed prefix lists (trap 43).
func TestPrefixListsOfThen(t *testing.T) {
	const text = "interface eni-1 10.0.0.5 sg-1\nlist pl-1 198.51.100.0/24\ngroup sg-1\n  sgr-1 ingress tcp 443 from pl-1\n"
	for _, x := range []struct{ name, trail, remote, want string }{
		{"an entry goes", call(10, "ModifyManagedPrefixList", `{"ModifyManagedPrefixListRequest":{"PrefixListId":"pl-1","RemoveEntry":{"Cidr":"203.0.113.0/24","tag":1}}}`, `{}`), "203.0.113.9", "A d"},
		{"an entry comes, or its description", call(10, "ModifyManagedPrefixList", `{"ModifyManagedPrefixListRequest":{"PrefixListId":"pl-1","AddEntry":[{"Cidr":"198.51.100.0/24","tag":1}]}}`, `{}`), "198.51.100.9", "dA A"},
		{"its name", call(10, "ModifyManagedPrefixList", `{"ModifyManagedPrefixListRequest":{"PrefixListId":"pl-1","PrefixListName":"x"}}`, `{}`), "198.51.100.9", "A A"},
		{"something else", call(10, "ModifyManagedPrefixList", `{"ModifyManagedPrefixListRequest":{"PrefixListId":"pl-1","Whatever":"x"}}`, `{}`), "198.51.100.9", "? A"},
		{"an old version", call(10, "RestoreManagedPrefixListVersion", `{"RestoreManagedPrefixListVersionRequest":{"PrefixListId":"pl-1","PreviousVersion":1}}`, `{}`), "198.51.100.9", "? A"},
	} {
		h := pastOf(t, text, x.trail)
		if got := verdicts(h, flow.Ingress, x.remote, 443, 5, 15); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// TestTrailFilesAreRecognised reads one event in every form it is kept in, also gzipped,
// and tells what the files are.
func TestTrailFilesAreRecognised(t *testing.T) {
	event := strings.TrimSpace(call(10, "AuthorizeSecurityGroupIngress", ask443, reply443))
	quoted := strings.ReplaceAll(event, `"`, `\"`)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(`{"Records":[` + event + `]}`)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"trail.json.gz":  zipped.String(),
		"records.json":   `{"Records":[` + event + `,{"eventSource":"s3.amazonaws.com","eventName":"PutObject","eventTime":"2024-03-01T00:00:00Z"}]}`,
		"lookup.json":    `{"Events":[{"EventId":"e","EventName":"AuthorizeSecurityGroupIngress","CloudTrailEvent":"` + quoted + `"}],"NextToken":"x"}`,
		"lines.json":     event + "\n" + event + "\n",
		"array.json":     "[" + event + "]",
		"eventbus.jsonl": `{"detail":` + event + `}`,
	} {
		dir := t.TempDir()
		for n, d := range map[string]string{"a.policy": webPolicy, name: data} {
			if err := os.WriteFile(filepath.Join(dir, n), []byte(d), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h, inputs, err := ReadHistory([]string{dir}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := verdicts(h, flow.Ingress, "10.1.1.1", 443, 5, 15); got != "d A" {
			t.Errorf("%s: %s", name, got)
		}
		if inputs[1].Kind != "history:cloudtrail" || inputs[1].Digest == "" {
			t.Errorf("%s is %+v", name, inputs[1])
		}
		s, _, err := Read([]string{dir}, Options{})
		if err != nil || len(s.Groups) != 1 {
			t.Errorf("%s: Read: %v", name, err)
		}
	}
	if _, err := readPast(t, "", call(10, "AuthorizeSecurityGroupIngress", ask443, reply443)); err == nil {
		t.Error("a trail alone passes for a policy")
	}
	for _, bad := range []string{
		`{"Events":[{"CloudTrailEvent":"{"}]}`,
		strings.Replace(event, "2024-03-01T00:10:00Z", "yesterday", 1),
		`{"Records":[` + event,
	} {
		if _, err := readPast(t, webPolicy, bad); err == nil || !strings.Contains(err.Error(), "trail.json:") {
			t.Errorf("%.60s…: %v", bad, err)
		}
	}
}

// TestHistoryIsNamedInMissing: with a past it is missing no more.
func TestHistoryIsNamedInMissing(t *testing.T) {
	const text = webPolicy + "missing history \"rule ages are not known\"\n"
	if h := pastOf(t, text, `{"Records":[]}`); !h.Present().MissingWhat("history") || !h.IsFlat() {
		t.Error("history is there without a record")
	}
	if h := pastOf(t, text, call(10, "AuthorizeSecurityGroupIngress", ask443, reply443)); h.Present().MissingWhat("history") || h.IsFlat() {
		t.Error("history is missing although there are records")
	}
	h := pastOf(t, text, call(10, "AuthorizeSecurityGroupIngress", `{"groupName":"no such group"}`, returned))
	if !h.Present().MissingWhat("history") || !strings.Contains(h.Present().Missing[0].Effect, "1 recorded change") {
		t.Errorf("missing %v", h.Present().Missing)
	}
}

// TestTwoSnapshotsOfOneTime is an error: nobody could say which one holds.
func TestTwoSnapshotsOfOneTime(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	path := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(path, []byte(webPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readPast(t, webPolicy, `{"Records":[]}`, DatedPaths{at, []string{path}}, DatedPaths{at, []string{path}}); err == nil {
		t.Error("no error")
	}
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
