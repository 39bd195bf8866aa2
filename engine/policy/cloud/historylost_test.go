package cloud

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHistoryNamesWhatNoEventTells: a rule that was modified or revoked by its id, and a
// line that was deleted, were something before that no event holds. The report says of
// which object, and until when (aws.md 6.3).
func TestHistoryNamesWhatNoEventTells(t *testing.T) {
	const text = "subnet subnet-a 10.0.0.0/24 vpc=vpc-1\nacl acl-1 subnets=subnet-a vpc=vpc-1\n  100 ingress allow all from 0.0.0.0/0\n" +
		"interface eni-1 10.0.0.5 sg-a subnet=subnet-a vpc=vpc-1\ngroup sg-a vpc=vpc-1\n  sgr-1 ingress tcp 443 from 10.0.0.0/8\n"
	event := func(name, request string) string {
		return `{"Records":[{"eventVersion":"1.08","eventTime":"2026-06-11T00:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"` + name +
			`","eventID":"e-1","requestParameters":` + request + `,"responseElements":{"requestId":"r","_return":true}}]}`
	}
	for name, c := range map[string]struct{ trail, object string }{
		"modified": {event("ModifySecurityGroupRules", `{"ModifySecurityGroupRulesRequest":{"GroupId":"sg-a","SecurityGroupRule":{"tag":1,"SecurityGroupRuleId":"sgr-1",`+
			`"SecurityGroupRule":{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"CidrIpv4":"10.0.0.0/8"}}}}`), "sg-a"},
		"revoked": {event("RevokeSecurityGroupIngress", `{"groupId":"sg-a","securityGroupRuleIds":{"items":[{"securityGroupRuleId":"sgr-8"}]}}`), "sg-a"},
		"deleted": {event("DeleteNetworkAclEntry", `{"networkAclId":"acl-1","egress":false,"ruleNumber":50}`), "acl-1"},
	} {
		dir := t.TempDir()
		var paths []string
		for file, content := range map[string]string{"policy.txt": text, "trail.json": c.trail} {
			path := filepath.Join(dir, file)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
		h, _, err := ReadHistory(paths, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if u := h.Unsettled(); len(u) != 1 || u[0].ID != c.object || u[0].Before.Format("2006-01-02") != "2026-06-11" {
			t.Errorf("%s: unsettled %+v", name, u)
		}
		said := ""
		for _, m := range h.Present().Missing {
			if m.What == "history" {
				said += m.Effect
			}
		}
		if !strings.Contains(said, c.object+" before 2026-06-11T00:00:00Z") {
			t.Errorf("%s: says %q", name, said)
		}
	}
}
