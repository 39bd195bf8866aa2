package cloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// checkPlain compares what the plain reader makes of a value with what the general
// decoder does, and reports as what it read it: "r", a rule, "g", a
// group, "rg", both, or nothing.
func checkPlain(t *testing.T, p *awsPlain, raw []byte) (as string) {
	t.Helper()
	e := element{raw, position{&file{path: "x", data: raw}, 0}}
	if got, ok := p.groupRule(e); ok {
		as += "r"
		var want awsGroupRule
		if err := json.Unmarshal(raw, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\nis rule %+v\nwant %+v, %v", raw, got, want, err)
		}
	}
	if got, ok := p.group(e); ok {
		as += "g"
		var want awsGroup
		if err := json.Unmarshal(raw, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\nis group %+v\nwant %+v, %v", raw, got, want, err)
		}
	}
	return as
}

// plainCases are values that the plain reader reads, and ones that it must leave alone.
var plainCases = []struct {
	as, json string
}{
	{"rg", `{}`},
	{"rg", ` { "GroupId" : "sg-1" , "IsEgress":true,"FromPort":-1 } `},
	{"rg", `{"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "GroupOwnerId": "1", "IsEgress": false, "IpProtocol": "tcp",
		"FromPort": 443, "ToPort": 8443, "ReferencedGroupInfo": {"GroupId": "sg-2", "UserId": "1", "VpcId": "v", "PeeringStatus": "active", "More": {"a": [1]}},
		"CidrIpv4": "10.0.0.0/8", "CidrIpv6": "::/0", "PrefixListId": "pl-1", "Description": "d", "Tags": [{"Key": "]"}]}`},
	{"rg", `{"GroupId": "sg-1", "GroupName": "n", "OwnerId": "1", "VpcId": "v", "Tags": [{"Key": "a", "Value": "b"}], "IpPermissions": [], "IpPermissionsEgress": [
		{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1", "Description": "x"}], "IpRanges": [{"CidrIp": "0.0.0.0/0"}, {"Description": "y", "CidrIp": "1.1.1.1/32"}],
		"Ipv6Ranges": [{"CidrIpv6": "::/0"}], "PrefixListIds": [{"PrefixListId": "pl-1", "Description": "z"}]}, {"FromPort": 1, "ToPort": 2, "IpRanges": []}]}`},
	{"rg", `{"GroupId": "a", "GroupId": "b", "FromPort": 1, "FromPort": 2}`},
	{"", `[]`},
	{"", `null`},
	{"", `{"groupid": "sg-1"}`},
	{"", `{"GroupId": null}`},
	{"", `{"GroupId": "a\u0062"}`},
	{"", `{"Group\u0049d": "a"}`},
	{"", `{"GroupId": "é"}`},
	{"", "{\"GroupId\": \"\xff\"}"},
	{"", `{"ſecurityGroupRuleId": "a"}`},
	{"", `{"GroupId": 5}`},
	{"", `{"FromPort": "5", "Tags": 5}`},
	{"", `{"FromPort": 5.0, "Tags": 5}`},
	{"", `{"FromPort": 5e1, "Tags": 5}`},
	{"", `{"FromPort": 5000000000, "Tags": 5}`},
	{"", `{"IsEgress": "true", "Tags": 5}`},
	{"r", `{"IpPermissions": [], "ippermissions": [{}]}`},
	{"", `{"ReferencedGroupInfo": {"GroupId": "a"}, "ReferencedGroupInfo": {"UserId": "b"}, "Tags": 5}`},
	{"r", `{"IpPermissions": [{"IpRanges": [{"CidrIp": "a"}]}], "IpPermissions": [{"IpRanges": [{}]}]}`},
	{"r", `{"IpPermissions": [{"IpRanges": [{"CidrIp": "a"}], "IpRanges": [{}]}]}`},
	{"r", `{"IpPermissions": [{"Ipv6Ranges": [{"CidrIpv6": "a"}], "Ipv6Ranges": [{}]}]}`},
	{"r", `{"IpPermissions": [{"PrefixListIds": [{"PrefixListId": "a"}], "PrefixListIds": [{}]}]}`},
	{"r", `{"IpPermissions": [{"UserIdGroupPairs": [{"GroupId": "a"}], "UserIdGroupPairs": [{}]}]}`},
	{"r", `{"Tags": [{"Key": "a"}], "Tags": [{}]}`},
	{"r", `{"IpPermissions": null}`},
}

func TestPlainReaderReadsAsTheGeneralOne(t *testing.T) {
	var p awsPlain
	for _, c := range plainCases {
		if got := checkPlain(t, &p, []byte(c.json)); got != c.as {
			t.Errorf("%s: read as %q, want %q", c.json, got, c.as)
		}
	}
	files, err := filepath.Glob("testdata/aws/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no exports", err)
	}
	elements, read := 0, 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f := &file{path: name, raw: func() ([]byte, error) { return data, nil }}
		if err := f.load(); err != nil {
			t.Fatal(err)
		}
		pages, _, err := awsPages(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			for _, part := range page.parts {
				for _, e := range part.elements {
					ok := checkPlain(t, &p, e.raw)
					if strings.HasPrefix(part.kind.name, "security-group") {
						elements++
						if ok != "" {
							read++
						}
					}
				}
			}
		}
	}
	if read == 0 || 2*read < elements {
		t.Errorf("the plain reader read %d of %d elements", read, elements)
	}
}

func FuzzPlainReader(f *testing.F) {
	for _, c := range plainCases {
		f.Add([]byte(c.json))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if raw = bytes.TrimSpace(raw); json.Valid(raw) {
			var p awsPlain
			checkPlain(t, &p, raw)
			checkPlain(t, &p, raw) // what it remembers changes nothing
		}
	})
}

// slowSubstance is appendSubstance, spelled out.
func slowSubstance(r *policy.Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d", r.Direction, r.Action, r.Rank)
	if r.PortList != "" {
		fmt.Fprintf(&b, " ports of %s", r.PortList)
	}
	for i := range r.Match {
		m := &r.Match[i]
		fmt.Fprintf(&b, "; %x icmp %d %d local %s remote %s", m.Protos, m.ICMP.Type, m.ICMP.Code, m.LocalPorts, m.RemotePorts)
		for _, set := range []policy.AddrSet{m.Local, m.Remote} {
			fmt.Fprintf(&b, " unknown %t", set.Unknown)
			for _, p := range set.Prefixes {
				b.WriteByte(' ')
				b.WriteString(p.String())
			}
			for _, ref := range set.Refs {
				fmt.Fprintf(&b, " %d:%s", ref.Kind, ref.ID)
			}
		}
	}
	return b.String()
}

// Ids of rules without ids must not change from version to version.
func TestSubstanceOfRules(t *testing.T) {
	s, _, err := Read([]string{"testdata/aws"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	rules := slices.Clone(s.Rules())
	odd := policy.Rule{Action: policy.AllowAll, Rank: 1 << 31, PortList: "prl-1", Match: []policy.Match{
		{ICMP: policy.TypeCode{Type: 3, Code: -1}, Remote: policy.AddrSet{Unknown: true, Refs: []policy.SetRef{{Kind: policy.ListSet, ID: "pl-1"}}}},
		{Protos: policy.AnyProto, Remote: policy.AddrSet{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}}},
	}}
	for _, r := range append(rules, &odd) {
		if got, want := substance(r), slowSubstance(r); got != want {
			t.Fatalf("%s\nwant %s", got, want)
		}
	}
	if got := RuleDigest(&odd); got != "r-f2c0e787ce70ba4e" {
		t.Errorf("digest %s", got)
	}
}

func TestLinesOfOffsets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, stretch - 1, stretch, stretch + 1, 3*stretch + 7} {
		data := make([]byte, size)
		for i := range data {
			data[i] = "ab\n"[rng.IntN(3)]
		}
		f, line := &file{data: data}, 1
		for at := 0; at <= size; at++ {
			if got := f.line(at); got != line {
				t.Fatalf("offset %d of %d is in line %d, want %d", at, size, got, line)
			}
			if at < size && data[at] == '\n' {
				line++
			}
		}
	}
}
