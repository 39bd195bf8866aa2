package cloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each rule is written where its place says: the line holds a word of the rule.
func TestRulesKnowWhereTheyAreWritten(t *testing.T) {
	groups := `{
  "SecurityGroups": [
    {
      "GroupId": "sg-1", "OwnerId": "1", "Tags": [{"Key": "IpPermissions", "Value": "[{"}],
      "IpPermissionsEgress": [
        {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [
          {"GroupId": "sg-1", "UserId": "1"}
        ], "IpRanges": [
          {"CidrIp": "10.3.0.0/16", "Description": "a \"quoted\" {"}]}
      ],
      "IpPermissions": [
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
          "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}],
          "IpRanges": [
            {"CidrIp": "10.1.0.0/16"},
            {"CidrIp": "10.2.0.0/16"}],
          "PrefixListIds": [{"PrefixListId": "pl-7"}]},
        {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "IpRanges": [{"CidrIp": "10.4.0.0/16"}]}
      ]
    }
  ]
}`
	acls := `{"NetworkAcls": [{"NetworkAclId": "acl-1", "Associations": [{"SubnetId": "s"}], "Entries": [
  {"RuleNumber": 100, "Egress": false, "Protocol": "-1", "RuleAction": "allow", "CidrBlock": "10.5.0.0/16"},
  {"RuleNumber": 110, "Egress": false, "Protocol": "6", "PortRange": {"From": 1, "To": 2}, "RuleAction": "deny", "CidrBlock": "10.6.0.0/16"},
  {"RuleNumber": 32767, "Egress": false, "Protocol": "-1", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0"}
]}]}`
	rows := `{"SecurityGroupRules": [
  {"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "GroupOwnerId": "1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "10.1.0.0/16"},
  {"SecurityGroupRuleId": "sgr-2", "GroupId": "sg-1", "GroupOwnerId": "1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "10.2.0.0/16"}
]}`
	text := "# a comment\n\ngroup sg-9\n  r-1 ingress tcp 1 from 10.7.0.0/16\n  r-2 ingress tcp 2 from 10.8.0.0/16\nsubnet s 10.0.0.0/8\nacl acl-9 subnets=s9\n  100 ingress allow all from 10.9.0.0/16\n"
	plan := `{"format_version": "1.2", "terraform_version": "1.9.0", "values": {"root_module": {"resources": [
  {"address": "aws_security_group.a", "mode": "managed", "type": "aws_security_group", "name": "a", "values": {"id": "sg-1", "name": "a",
    "ingress": [], "egress": []}},
  {"address": "aws_vpc_security_group_ingress_rule.b", "mode": "managed", "type": "aws_vpc_security_group_ingress_rule", "name": "b",
    "values": {"id": "sgr-1", "security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 9, "to_port": 9, "cidr_ipv4": "10.11.0.0/16"}}
]}}}`
	read := func(files map[string]string) []string {
		dir := t.TempDir()
		for name, body := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s, _, err := Read([]string{dir}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range s.Rules() {
			out = append(out, fmt.Sprintf("%s %s:%d", r.Peer(), filepath.Base(r.File), r.Line))
		}
		slices.Sort(out)
		return out
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"groups and network ACLs", map[string]string{"groups.json": groups, "acls.json": acls},
			[]string{"10.1.0.0/16 groups.json:15", "10.2.0.0/16 groups.json:16", "10.3.0.0/16 groups.json:9", "10.4.0.0/16 groups.json:18",
				"10.5.0.0/16 acls.json:2", "10.6.0.0/16 acls.json:3", "2001:db8::/32 groups.json:13", "pl-7 groups.json:17", "sg-1 groups.json:7"}},
		{"rules with ids", map[string]string{"rows.json": rows}, []string{"10.1.0.0/16 rows.json:2", "10.2.0.0/16 rows.json:3"}},
		{"text", map[string]string{"p.txt": text}, []string{"10.7.0.0/16 p.txt:4", "10.8.0.0/16 p.txt:5", "10.9.0.0/16 p.txt:8"}},
		{"Terraform", map[string]string{"state.json": plan}, []string{"10.11.0.0/16 state.json:4"}},
	} {
		if got := read(c.files); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
	// On one line everything is on line 1, and nothing else is different.
	var flat bytes.Buffer
	if err := json.Compact(&flat, []byte(groups)); err != nil {
		t.Fatal(err)
	}
	for _, at := range read(map[string]string{"flat.json": flat.String()}) {
		if !strings.HasSuffix(at, " flat.json:1") {
			t.Errorf("on one line: %s", at)
		}
	}
}

// The line of every offset is what counting says.
func TestLinesAreCountedOnce(t *testing.T) {
	for _, data := range []string{"", "\n", "a", "a\nb\n\nc", "\n\na\r\n"} {
		f := &file{data: []byte(data)}
		for at := range len(data) + 1 {
			if got, want := f.line(at), 1+strings.Count(data[:at], "\n"); got != want {
				t.Errorf("%q: offset %d is on line %d, want %d", data, at, got, want)
			}
		}
	}
}

// Whatever the bytes: the walk ends, and visits the objects that a parser finds.
func FuzzWalkObjects(f *testing.F) {
	f.Add(`{"a": [{"b": {}}, 1, "}"], "c\"": {}}`)
	f.Add(`[{"x": "\\"}, {}]`)
	f.Add(`{"a": "`)
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		walkObjects(position{&file{data: []byte(text)}, 0}, func(around []level, at position) {
			n++
			if text[at.offset] != '{' {
				t.Fatalf("no object at %d", at.offset)
			}
		})
		if !json.Valid([]byte(text)) || len(text) == 0 || text[0] != '{' && text[0] != '[' {
			return
		}
		want := 0
		d := json.NewDecoder(strings.NewReader(text))
		for {
			tok, err := d.Token()
			if err != nil {
				break
			}
			if tok == json.Delim('{') {
				want++
			}
		}
		if n != want {
			t.Errorf("%q: %d objects, want %d", text, n, want)
		}
	})
}

func TestAlibabaRulesKnowWhereTheyAreWritten(t *testing.T) {
	text := strings.ReplaceAll(groupDoc("", aRule(`"PortRange": "80/80", "SourceCidrIp": "10.1.0.0/16"`), aRule(`"PortRange": "81/81", "SourceCidrIp": "10.2.0.0/16"`)), `{"`, "\n{\"")
	rules := readRules(t, text)
	if len(rules) != 2 {
		t.Fatalf("%d rules", len(rules))
	}
	lines := strings.Split(text, "\n")
	for _, r := range rules {
		if r.Line < 1 || r.Line > len(lines) || !strings.Contains(lines[r.Line-1], strings.TrimSuffix(r.Peer(), "/16")) {
			t.Errorf("%s is not on line %d of\n%s", r.Peer(), r.Line, text)
		}
	}
}
