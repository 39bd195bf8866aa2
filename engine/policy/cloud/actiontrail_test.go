package cloud

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// action writes an ActionTrail event.
func action(minute int, name, request string) string {
	at := time.Date(2024, 3, 1, 0, minute, 0, 0, time.UTC)
	return fmt.Sprintf(`{"eventId":"%s-%d","eventName":%q,"serviceName":"Ecs","eventSource":"ecs.aliyuncs.com","eventTime":%q,"eventType":"ApiCall","requestParameters":%s}`,
		name, minute, name, at.Format(time.RFC3339), request)
}

const alibabaPolicy = `platform 100.64.0.0/10 id=p groups-deny
interface eni-1 10.0.0.5 sg-1 platform=p instance=i-1 subnet=vsw-1
interface eni-2 10.0.0.6 sg-2 platform=p instance=i-2 subnet=vsw-1
subnet vsw-1 10.0.0.0/24
acl nacl-1 subnets=vsw-1
  1 ingress allow all from 0.0.0.0/0
list pl-1 203.0.113.0/24
group sg-1 egress-open
  sgr-1 ingress tcp 443 from 10.0.0.0/8 priority=1
  sgr-2 ingress tcp 8443 from sg-2 priority=1
  sgr-3 ingress tcp 9443 from pl-1 priority=1
  sgr-4 ingress tcp 22 from 10.0.0.0/8 priority=1 ports-of=prl-1
group sg-2 egress-open
`

// TestActionTrailUnsettles: of what changed, the names of the call and of the object are
// all that is read; what it was before is then not known (alibaba.md 6; traps 20, 26).
func TestActionTrailUnsettles(t *testing.T) {
	for _, x := range []struct {
		name, trail, remote string
		port                uint16
		want                string
	}{
		{"a rule", action(10, "AuthorizeSecurityGroup", `{"SecurityGroupId":"sg-1"}`), "10.1.1.1", 443, "? A"},
		{"a rule, the parameters as text", action(10, "RevokeSecurityGroup", `"{\"SecurityGroupId\":\"sg-1\"}"`), "10.1.1.1", 443, "? A"},
		{"a rule might have denied, too", action(10, "ModifySecurityGroupRule", `{"SecurityGroupId":"sg-1"}`), "10.1.1.1", 80, "? d"},
		{"the policy of a group", action(10, "ModifySecurityGroupPolicy", `{"SecurityGroupId":"sg-1"}`), "10.1.1.1", 443, "? A"},
		{"the name of a group", action(10, "ModifySecurityGroupAttribute", `{"SecurityGroupId":"sg-1"}`), "10.1.1.1", 443, "A A"},
		{"a group that is only a peer", action(10, "AuthorizeSecurityGroup", `{"SecurityGroupId":"sg-2"}`), "10.0.0.6", 8443, "A A"},
		{"the call failed", strings.Replace(action(10, "AuthorizeSecurityGroup", `{"SecurityGroupId":"sg-1"}`), `"eventType"`, `"errorCode":"Forbidden","eventType"`, 1), "10.1.1.1", 443, "A A"},
		{"a member joins", action(10, "JoinSecurityGroup", `{"SecurityGroupId":"sg-2","InstanceId":"i-2"}`), "10.0.0.6", 8443, "dA A"},
		{"groups of an instance", action(10, "ModifyInstanceAttribute", `{"InstanceId":"i-1","SecurityGroupIds":["sg-1"]}`), "10.1.1.1", 443, "? A"},
		{"another attribute of it", action(10, "ModifyInstanceAttribute", `{"InstanceId":"i-1","InstanceName":"x"}`), "10.1.1.1", 443, "A A"},
		{"groups of an interface", action(10, "ModifyNetworkInterfaceAttribute", `{"NetworkInterfaceId":"eni-1","SecurityGroupId":["sg-1"]}`), "10.1.1.1", 443, "? A"},
		{"a prefix list", action(10, "ModifyPrefixList", `{"PrefixListId":"pl-1"}`), "203.0.113.9", 9443, "? A"},
		{"a port list", action(10, "ModifyPortRangeList", `{"PortRangeListId":"prl-1"}`), "10.1.1.1", 22, "? A"},
		{"a network ACL", strings.Replace(action(10, "UpdateNetworkAclEntries", `{"NetworkAclId":"nacl-1"}`), "Ecs", "Vpc", 1), "10.1.1.1", 443, "? A"},
		{"a group is made", action(10, "CreateSecurityGroup", `{"SecurityGroupId":"sg-1"}`), "10.1.1.1", 443, "? A"},
		{"nothing of use", action(10, "DescribeSecurityGroups", `{"SecurityGroupId":"sg-1"}`), "10.1.1.1", 443, "A A"},
	} {
		h := pastOf(t, alibabaPolicy, x.trail)
		if got := verdicts(h, flow.Ingress, x.remote, x.port, 5, 15); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// TestActionTrailForms reads one event in the forms that tools keep it in.
func TestActionTrailForms(t *testing.T) {
	event := action(10, "AuthorizeSecurityGroup", `{"SecurityGroupId":"sg-1"}`)
	var fields map[string]any
	if err := json.Unmarshal([]byte(event), &fields); err != nil {
		t.Fatal(err)
	}
	flat := make(map[string]any)
	for k, v := range fields {
		if k == "requestParameters" {
			v = `{"SecurityGroupId":"sg-1"}`
		}
		flat["event."+k] = v
	}
	flattened, _ := json.Marshal(flat)
	quoted, _ := json.Marshal(event)
	for name, data := range map[string]string{
		"array":     "[" + event + "]",
		"events":    `{"Events":[` + event + `],"NextToken":"x"}`,
		"lines":     event + "\n" + event,
		"nested":    `{"__time__":1709251800,"event":` + event + `}`,
		"text":      `{"__time__":"1709251800","event":` + string(quoted) + `}`,
		"flattened": string(flattened),
	} {
		dir := t.TempDir()
		for n, d := range map[string]string{"a.policy": alibabaPolicy, "trail.json": data} {
			if err := os.WriteFile(filepath.Join(dir, n), []byte(d), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h, inputs, err := ReadHistory([]string{dir}, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := verdicts(h, flow.Ingress, "10.1.1.1", 443, 5, 15); got != "? A" || inputs[1].Kind != "history:actiontrail" {
			t.Errorf("%s: %s, %s", name, got, inputs[1].Kind)
		}
	}
}

// TestSnapshotBeforeAnActionSettlesIt: what a group was until something changed it, an
// earlier snapshot tells.
func TestSnapshotBeforeAnActionSettlesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "before")
	if err := os.WriteFile(path, []byte(strings.Replace(alibabaPolicy, "tcp 443", "tcp 80", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	h := pastOf(t, alibabaPolicy, action(10, "ModifySecurityGroupRule", `{"SecurityGroupId":"sg-1"}`),
		DatedPaths{time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC), []string{path}})
	for port, want := range map[uint16]string{80: "A d", 443: "d A"} {
		if got := verdicts(h, flow.Ingress, "10.1.1.1", port, 5, 15); got != want {
			t.Errorf("port %d: %s, want %s", port, got, want)
		}
	}
}

// TestCreationTimesPlaceARule: two snapshots leave open when a rule was made; its creation
// time tells.
func TestCreationTimesPlaceARule(t *testing.T) {
	path := filepath.Join(t.TempDir(), "before")
	if err := os.WriteFile(path, []byte(strings.Replace(alibabaPolicy, "  sgr-1 ingress tcp 443 from 10.0.0.0/8 priority=1\n", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(alibabaPolicy, "10.0.0.0/8 priority=1\n", "10.0.0.0/8 priority=1 created=2024-03-01T00:10:00Z\n", 1)
	h := pastOf(t, text, `{"Records":[]}`, DatedPaths{time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC), []string{path}})
	if got := verdicts(h, flow.Ingress, "10.1.1.1", 443, 5, 15); got != "d A" {
		t.Errorf("%s, want d A", got)
	}
}
