package cloud

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// configured writes a configuration item of a group with one ingress port, captured on a
// day of March 2024.
func configured(day int, status string, port int) string {
	return fmt.Sprintf(`{"configurationItemCaptureTime":"2024-03-%02dT12:00:00.000Z","configurationItemStatus":%q,"resourceId":"sg-1","resourceType":"AWS::EC2::SecurityGroup",`+
		`"configuration":{"groupId":"sg-1","groupName":"web","ownerId":"111122223333","vpcId":"vpc-1","ipPermissionsEgress":[],"ipPermissions":[{"fromPort":%d,"toPort":%d,"ipProtocol":"tcp",`+
		`"ipRanges":["10.0.0.0/8"],"ipv4Ranges":[{"cidrIp":"10.0.0.0/8","description":"x"}],"ipv6Ranges":[],"prefixListIds":[],"userIdGroupPairs":[]}]}}`, day, status, port, port)
}

const dayMinutes = 24 * 60

// TestConfigItems: an item holds until the next one of its resource; on the day before
// that the change was made (aws.md 6.2).
func TestConfigItems(t *testing.T) {
	asText := strings.Replace(configured(10, "OK", 443), `"configuration":{`, `"configuration":"{`, 1)
	head, tail, _ := strings.Cut(asText, `"configuration":"`)
	asText = head + `"configuration":"` + strings.ReplaceAll(strings.TrimSuffix(tail, "}"), `"`, `\"`) + `"}`
	for name, trail := range map[string]string{
		"history":      `{"configurationItems":[` + configured(5, "ResourceDiscovered", 80) + "," + configured(10, "OK", 443) + `]}`,
		"lines":        configured(10, "OK", 443) + "\n" + configured(5, "OK", 80) + "\n" + configured(5, "OK", 80),
		"text":         `{"configurationItems":[` + configured(5, "OK", 80) + "," + asText + `]}`,
		"notification": `{"configurationItem":` + configured(10, "OK", 443) + `}{"configurationItem":` + configured(5, "OK", 80) + `}`,
	} {
		h := pastOf(t, webPolicy, trail)
		// The 1st, the 7th, the 10th before and the 11th.
		at := []int{0, 6 * dayMinutes, 9*dayMinutes + 60, 10 * dayMinutes}
		for port, want := range map[uint16]string{80: "A A Ad d", 443: "d d dA A"} {
			if got := verdicts(h, flow.Ingress, "10.1.1.1", port, at...); got != want {
				t.Errorf("%s: port %d: %s, want %s", name, port, got, want)
			}
		}
	}
}

// TestConfigItemsAndEventsTogether: the event says when on that day.
func TestConfigItemsAndEventsTogether(t *testing.T) {
	trail := `{"configurationItems":[` + configured(1, "OK", 80) + `,` + strings.Replace(configured(1, "OK", 443), "T12:00:00.000Z", "T23:00:00.000Z", 1) + `]}` +
		strings.ReplaceAll(call(10, "RevokeSecurityGroupIngress", strings.ReplaceAll(ask443, "443", "80"), returned)+
			call(10, "AuthorizeSecurityGroupIngress", ask443, returned), "T00:10", "T22:50")
	h := pastOf(t, webPolicy, trail)
	for port, want := range map[uint16]string{80: "A A d", 443: "d d A"} {
		if got := verdicts(h, flow.Ingress, "10.1.1.1", port, 0, 22*60, 22*60+51); got != want {
			t.Errorf("port %d: %s, want %s", port, got, want)
		}
	}
}

// TestConfigItemsOfOtherResources reads members and network ACLs, and what was deleted.
func TestConfigItemsOfOtherResources(t *testing.T) {
	trail := `{"configurationItems":[` +
		`{"configurationItemCaptureTime":"2024-03-05T12:00:00Z","configurationItemStatus":"OK","resourceId":"eni-9","resourceType":"AWS::EC2::NetworkInterface","configuration":{"networkInterfaceId":"eni-9","vpcId":"vpc-1","subnetId":"subnet-1",` +
		`"groups":[{"groupId":"sg-2","groupName":"x"}],"privateIpAddress":"10.0.0.99","privateIpAddresses":[{"privateIpAddress":"10.0.0.99","primary":true}],"ipv6Addresses":[],"sourceDestCheck":true}},` +
		`{"configurationItemCaptureTime":"2024-03-10T12:00:00Z","configurationItemStatus":"ResourceDeleted","resourceId":"eni-9","resourceType":"AWS::EC2::NetworkInterface"},` +
		`{"configurationItemCaptureTime":"2024-03-10T12:00:00Z","configurationItemStatus":"OK","resourceId":"vol-9","resourceType":"AWS::EC2::Volume"}]}`
	h := pastOf(t, members, trail)
	if got := verdicts(h, flow.Ingress, "10.0.0.99", 443, 6*dayMinutes, 11*dayMinutes); got != "A d" {
		t.Errorf("a member that was deleted: %s, want A d", got)
	}
	entry := func(action string) string {
		return `{"networkAclId":"acl-1","vpcId":"vpc-1","ownerId":"1","isDefault":false,"associations":[{"subnetId":"subnet-1"}],"entries":[` +
			`{"ruleNumber":90,"protocol":"6","ruleAction":"` + action + `","egress":false,"cidrBlock":"10.1.0.0/16","portRange":{"from":443,"to":443}},` +
			`{"ruleNumber":100,"protocol":"-1","ruleAction":"allow","egress":false,"cidrBlock":"0.0.0.0/0"},{"ruleNumber":32767,"protocol":"-1","ruleAction":"deny","egress":false,"cidrBlock":"0.0.0.0/0"}]}`
	}
	item := `{"configurationItemCaptureTime":"2024-03-%02dT12:00:00Z","configurationItemStatus":"OK","resourceId":"acl-1","resourceType":"AWS::EC2::NetworkAcl","configuration":%s}` + "\n"
	h = pastOf(t, lines, fmt.Sprintf(item, 5, entry("allow"))+fmt.Sprintf(item, 10, entry("deny")))
	if got := verdicts(h, flow.Ingress, "10.1.1.1", 443, 6*dayMinutes, 11*dayMinutes); got != "A d" {
		t.Errorf("a line that was replaced: %s, want A d", got)
	}
}
