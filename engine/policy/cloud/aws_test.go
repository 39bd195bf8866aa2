package cloud

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func read(t *testing.T, paths ...string) *policy.Snapshot {
	t.Helper()
	s, _, err := Read(paths, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readString reads text as if it were the file export.json.
func readString(t *testing.T, text string) (*policy.Snapshot, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "export.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err := Read([]string{path}, Options{})
	if err != nil {
		return nil, &shortError{strings.ReplaceAll(err.Error(), filepath.Dir(path)+string(filepath.Separator), "")}
	}
	return s, nil
}

// shortError is an error without the name of a temporary folder.
type shortError struct{ text string }

func (e *shortError) Error() string { return e.text }

func mustRead(t *testing.T, text string) *policy.Snapshot {
	t.Helper()
	s, err := readString(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func missingWhats(s *policy.Snapshot) []string {
	var out []string
	for _, m := range s.Missing {
		out = append(out, m.What)
	}
	return slices.Compact(out)
}

func TestAWSExportsEqualTheirTextForm(t *testing.T) {
	json := read(t, "testdata/aws")
	text := read(t, "testdata/aws.policy")
	if d := diff(json, text); d != "" {
		t.Errorf("-aws +text:\n%s", d)
	}
	want := []string{"group sg-lost", "group sg-theirs", "history", "prefix-list pl-b2"}
	if got := missingWhats(json); !slices.Equal(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

func TestInputsAreNamed(t *testing.T) {
	_, inputs, err := Read([]string{"testdata/aws"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range inputs {
		if !strings.HasPrefix(in.Digest, "sha256:") || len(in.Digest) != len("sha256:")+64 {
			t.Errorf("%s: digest %q", in.Path, in.Digest)
		}
		got = append(got, filepath.ToSlash(in.Path)+" "+in.Kind)
	}
	want := []string{
		"testdata/aws/network-interfaces.json aws:network-interfaces",
		"testdata/aws/rest.json aws:flow-logs,network-acls,prefix-list-entries,prefix-lists,subnets",
		"testdata/aws/security-group-rules.json aws:security-group-rules",
		"testdata/aws/security-groups.json aws:security-groups",
	}
	if !slices.Equal(got, want) {
		t.Errorf("inputs:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Without describe-security-group-rules the same rules come with digests for ids, and
// nothing else changes.
func TestRuleIDsAreDigestsWithoutTheRulesExport(t *testing.T) {
	joined := read(t, "testdata/aws")
	alone := read(t, "testdata/aws/network-interfaces.json", "testdata/aws/rest.json", "testdata/aws/security-groups.json")
	if !alone.MissingWhat("security-group-rules") {
		t.Error("the absent export is not named missing")
	}
	// The joined rules, renamed, are the rules alone.
	for i := range joined.Groups {
		for j := range joined.Groups[i].Rules {
			r := &joined.Groups[i].Rules[j]
			r.Ref.Rule = RuleDigest(r)
		}
	}
	if err := joined.Seal(); err != nil {
		t.Fatal(err)
	}
	joined.Missing, alone.Missing = nil, nil
	if d := diff(joined, alone); d != "" {
		t.Errorf("-joined +alone:\n%s", d)
	}
}

// Every kind that is absent is named.
func TestAbsentKindsAreNamed(t *testing.T) {
	s := read(t, "testdata/aws/network-interfaces.json")
	want := []string{"flow-logs", "group sg-def", "group sg-web", "history", "network-acls", "security-groups", "subnets"}
	if got := missingWhats(s); !slices.Equal(got, want) {
		t.Errorf("interfaces alone: missing %q, want %q", got, want)
	}
	s = read(t, "testdata/aws/security-groups.json")
	want = []string{"flow-logs", "group sg-lost", "group sg-theirs", "history", "network-acls", "network-interfaces",
		"prefix-list pl-a1", "prefix-list pl-b2", "security-group-rules", "subnets"}
	if got := missingWhats(s); !slices.Equal(got, want) {
		t.Errorf("groups alone: missing %q, want %q", got, want)
	}
}

// Groups that only describe-security-group-rules knows are groups too.
func TestRulesExportAlone(t *testing.T) {
	s := read(t, "testdata/aws/security-group-rules.json")
	if len(s.Groups) != 4 || len(s.Rules()) != 16 {
		t.Errorf("%d groups, %d rules, want 4 and 16", len(s.Groups), len(s.Rules()))
	}
	g, _ := s.Group("sg-web")
	if g.Account != "111111111111" || g.Name != "" {
		t.Errorf("sg-web: account %q, name %q", g.Account, g.Name)
	}
	want := []string{"flow-logs", "group sg-lost", "group sg-theirs", "history", "network-acls", "network-interfaces",
		"prefix-list pl-a1", "prefix-list pl-b2", "security-groups", "subnets"}
	if got := missingWhats(s); !slices.Equal(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

// A rule that only one of the two exports has is kept: what is not known to be gone
// must not be lost.
func TestRulesOfBothExportsAreKept(t *testing.T) {
	s := mustRead(t, `
{"SecurityGroups": [{"GroupId": "sg-1", "OwnerId": "1", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}], "IpPermissionsEgress": []}]}
{"SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-2", "GroupId": "sg-1", "GroupOwnerId": "1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": 2, "ToPort": 2, "CidrIpv4": "10.0.0.0/8"}]}`)
	var got []string
	for _, r := range s.Rules() {
		got = append(got, r.Ref.Rule[:2]+" "+r.Ports())
	}
	slices.Sort(got)
	if want := []string{"r- 1", "sg 2"}; !slices.Equal(got, want) {
		t.Errorf("rules %q, want %q", got, want)
	}
	if !slices.ContainsFunc(s.Missing, func(m policy.Missing) bool {
		return m.What == "security-group-rules" && strings.HasPrefix(m.Effect, "1 rules are not in that export")
	}) {
		t.Errorf("the rule without an id is not mentioned: %v", s.Missing)
	}
}

// shuffled returns the JSON of testdata/aws with the elements of each export, and the
// files, in another order, in one file, and some of them twice.
func shuffled(t *testing.T, rng *rand.Rand) string {
	t.Helper()
	var pages []string
	for _, name := range []string{"network-interfaces", "rest", "security-group-rules", "security-groups"} {
		data, err := os.ReadFile(filepath.Join("testdata", "aws", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		f := &file{path: name, data: data}
		docs, err := splitDocuments(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			list := ""
			for _, m := range d.members {
				if m.name == "prefixlistid" {
					list = `"PrefixListId": ` + string(m.raw) + `, `
				}
			}
			for _, m := range d.members {
				es, ok, err := m.objects()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					continue
				}
				rng.Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
				if len(es) > 0 {
					es = append(es, es[rng.IntN(len(es))]) // a repeated element
				}
				cut := rng.IntN(len(es) + 1)
				for i, part := range [][]element{es[:cut], es[cut:]} {
					var raws []string
					for _, e := range part {
						raws = append(raws, string(e.raw))
					}
					token := []string{`, "NextToken": "more"`, ""}[i]
					pages = append(pages, `{`+list+`"`+m.key+`": [`+strings.Join(raws, ",")+`]`+token+`}`)
				}
			}
		}
	}
	rng.Shuffle(len(pages), func(i, j int) { pages[i], pages[j] = pages[j], pages[i] })
	if rng.IntN(2) == 0 {
		return "[" + strings.Join(pages, ",\n") + "]"
	}
	return strings.Join(pages, "\n")
}

func TestOrderAndPagesDoNotMatter(t *testing.T) {
	want := read(t, "testdata/aws")
	for seed := range uint64(30) {
		got, err := readString(t, shuffled(t, rand.New(rand.NewPCG(seed, 42))))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := diff(want, got); d != "" {
			t.Fatalf("seed %d: -in order +shuffled:\n%s", seed, d)
		}
	}
}

func TestKeysAreFoundInWrappersAndAnyCase(t *testing.T) {
	const group = `[{"GroupId": "sg-1", "IpPermissions": []}]`
	for _, text := range []string{
		`{"SecurityGroups": ` + group + `}`,
		`{"securityGroups": ` + group + `}`,
		`{"security_groups": ` + group + `, "provider": "aws"}`,
		`{"EC2": {"SecurityGroups": ` + group + `}}`,
		`{"status_code": 200, "data": {"SecurityGroups": ` + group + `, "ResponseMetadata": {}}}`,
		`[{"SecurityGroups": ` + group + `}]`,
		"\ufeff" + `{"SecurityGroups": ` + group + `, "NextToken": null}`,
		`{"SecurityGroups": ` + group + `, "NextToken": ""}`,
	} {
		if s, err := readString(t, text); err != nil || len(s.Groups) != 1 {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestUnusableExportsAreRefused(t *testing.T) {
	const group = `{"GroupId": "sg-1", "OwnerId": "1", "IpPermissions": [], "IpPermissionsEgress": []}`
	perm := func(p string) string {
		return `{"SecurityGroups": [{"GroupId": "sg-1", "IpPermissionsEgress": [], "IpPermissions": [` + p + `]}]}`
	}
	entry := func(e string) string { return `{"NetworkAcls": [{"NetworkAclId": "acl-1", "Entries": [` + e + `]}]}` }
	for _, c := range []struct{ text, want string }{
		{"{\n\"SecurityGroups\": [\n" + group + ",\n{\"GroupId\": \"sg", "export.json:4: truncated JSON: the value that starts in line 1 does not end"},
		{"{\"SecurityGroups\": []}\n\n{\"Subnets\": [", "export.json:3: truncated JSON: the value that starts in line 3 does not end"},
		{"{\"SecurityGroups\": []}\n{\"Subnets\":\n [}", "export.json:3: not JSON"},
		{`{"Widgets": [], "Gadgets": {"Things": []}}`, "export.json: not a policy export: its keys are Gadgets, Widgets"},
		{`["a"]`, "export.json: JSON without the key of an export"},
		{`{"Vpcs": []}`, "no policy in export.json"},
		{`{"SecurityGroups": ["sg-1"]}`, "not a policy export"},
		{`{"SecurityGroups": [` + group + `, 7]}`, "export.json:1: security-groups[1]: not an object"},
		{`{"SecurityGroups": [{"GroupId": "sg-1"}]}`, "neither IpPermissions nor IpPermissionsEgress"},
		{`{"SecurityGroups": [{"IpPermissions": []}]}`, "security group without GroupId"},
		{"{\"SecurityGroups\": [\n{\"GroupId\": \"sg-1\", \"IpPermissions\":\n [{\"FromPort\": \"x\"}]}]}", "export.json:3: security group: IpPermissions.FromPort: string does not fit"},
		{perm(`{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 70000}`), "export.json:1: sg-1: IpPermissions[0]: ports 80-70000 are no range"},
		{perm(`{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 70}`), "ports 80-70 are no range"},
		{perm(`{"IpProtocol": "tcp", "FromPort": 80}`), "port range with one end"},
		{perm(`{"IpProtocol": "icmp", "FromPort": 300, "ToPort": 0}`), "icmp type 300 code 0"},
		{perm(`{"IpProtocol": "256"}`), `protocol "256" is neither a name nor in 0-255`},
		{perm(`{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/33"}]}`), `"10.0.0.0/33" is not a CIDR`},
		{perm(`{"IpProtocol": "-1", "UserIdGroupPairs": [{"UserId": "1"}]}`), "no GroupId"},
		{entry(`{"RuleNumber": 1, "Protocol": "-1", "RuleAction": "permit", "CidrBlock": "0.0.0.0/0"}`), `acl-1: Entries[0]: RuleAction "permit"`},
		{entry(`{"Protocol": "-1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0"}`), "no RuleNumber"},
		{entry(`{"RuleNumber": 1, "Protocol": "-1", "RuleAction": "allow"}`), `"" is not an address`},
		{entry(`{"RuleNumber": 1, "Protocol": "6", "RuleAction": "allow", "CidrBlock": "10.0.0.0/8"}, {"RuleNumber": 1, "Protocol": "17", "RuleAction": "allow", "CidrBlock": "10.0.0.0/8"}`), "rule acl-1/ingress-1 occurs twice"},
		{`{"NetworkAcls": [{"id": "r010", "rules": []}]}`, "network ACL without NetworkAclId"},
		{`{"NetworkAcls": [{"NetworkAclId": "acl-1", "Entries": [], "Associations": [{"SubnetId": "s"}]}, {"NetworkAclId": "acl-2", "Entries": [], "Associations": [{"SubnetId": "s"}]}]}`,
			"network ACLs acl-1 and acl-2 are both associated with s"},
		{`{"Subnets": [{"SubnetId": "subnet-1"}]}`, "subnet-1 has no address block"},
		{`{"Entries": [{"Cidr": "10.0.0.0/8"}]}`, "Entries of no known prefix list"},
		{`{"FlowLogs": [{"FlowLogId": "fl-1", "ResourceId": "vpc-1"}]}`, `fl-1: TrafficType ""`},
		{`{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.256"}]}]}`, `eni-1: "10.0.0.256" is not an address`},
		// Truncation.
		{`{"SecurityGroups": [` + group + `], "NextToken": "abc"}`, "export.json:1: security-groups: truncated export: NextToken left; fetch all pages"},
		{`{"EC2": {"SecurityGroups": [` + group + `]}, "NextToken": "abc"}`, "truncated export"},
		{`{"SecurityGroups": [` + group + `]}` + "\n" + `{"Subnets": [], "nextToken": "abc"}`, "export.json:2: subnets: truncated export"},
		// Conflicts.
		{`{"SecurityGroups": [` + group + `]}` + "\n" + `{"SecurityGroups": [{"GroupId": "sg-1", "OwnerId": "1", "Description": "x", "IpPermissions": []}]}`,
			"export.json:2: security group sg-1 differs from the one at export.json:1"},
	} {
		_, err := readString(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n error %v\n want  %s", c.text, err, c.want)
		}
	}
}

func TestLastPageCompletesAnExport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"page-1.json": `{"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": []}], "NextToken": "2"}`,
		"page-2.json": `{"SecurityGroups": [{"GroupId": "sg-2", "IpPermissions": []}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s := read(t, dir); len(s.Groups) != 2 {
		t.Errorf("%d groups, want 2", len(s.Groups))
	}
	if _, _, err := Read([]string{filepath.Join(dir, "page-1.json")}, Options{}); err == nil {
		t.Error("the first page alone is accepted")
	}
}

func TestPathsMayBeGlobsGzipAndStdin(t *testing.T) {
	dir := t.TempDir()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write([]byte(`{"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": []}]}`))
	w.Close()
	for name, text := range map[string]string{
		"groups.json.gz": z.String(), "notes.md": "group of friends", "vpcs.json": `{"Vpcs": []}`, "other.json": `{"a": 1}`, ".hidden": "{", "app.ini": "[section]\nx=1",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, inputs, err := Read([]string{filepath.Join(dir, "*.gz"), "-", filepath.Join(dir, "groups.json.gz")},
		Options{Stdin: strings.NewReader("group sg-2\n")})
	if err != nil || len(s.Groups) != 2 || len(inputs) != 2 {
		t.Errorf("glob, stdin and a repeated path: %v, inputs %v", err, inputs)
	}
	if _, _, err := Read([]string{dir}, Options{}); err == nil || !strings.Contains(err.Error(), "notes.md:1: ") {
		t.Errorf("a text that starts like a policy: error %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "notes.md")); err != nil {
		t.Fatal(err)
	}
	if s, inputs, err = Read([]string{dir}, Options{}); err != nil || len(s.Groups) != 1 || len(inputs) != 4 {
		t.Errorf("folder: %v, inputs %v", err, inputs)
	}
	for _, p := range []string{filepath.Join(dir, "*.none"), filepath.Join(dir, "none"), "-", filepath.Join(dir, "other.json"), filepath.Join(dir, "app.ini"), t.TempDir()} {
		if _, _, err := Read([]string{p}, Options{}); err == nil {
			t.Errorf("%s: no error", p)
		}
	}
}

// Describe-network-interfaces has the last word on an interface; describe-instances
// alone leaves the members of groups unknown.
func TestInterfacesOfInstances(t *testing.T) {
	const instances = `{"Reservations": [{"Instances": [{"InstanceId": "i-1", "Tags": [{"Key": "Name", "Value": "web"}], "NetworkInterfaces": [
		{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.5", "Groups": [{"GroupId": "sg-1"}]},
		{"NetworkInterfaceId": "eni-2", "PrivateIpAddress": "10.0.0.6", "Groups": [{"GroupId": "sg-1"}]}]}]}]}`
	const groups = `{"SecurityGroups": [{"GroupId": "sg-1", "OwnerId": "1", "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1", "UserId": "1"}]}]}]}`
	s := mustRead(t, instances+groups)
	if !s.MissingWhat("network-interfaces") {
		t.Error("describe-network-interfaces is absent and not named missing")
	}
	c := policy.Conn{Direction: flow.Ingress, Proto: flow.TCP, Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddr("10.0.0.6"), LocalPort: 80}
	if v := policy.Decide(s.Path("eni-1", flow.Ingress), &c).Verdict; v != policy.Allowed {
		t.Errorf("from a known member: %s", v)
	}
	c.Remote = netip.MustParseAddr("10.0.0.99")
	if v := policy.Decide(s.Path("eni-1", flow.Ingress), &c).Verdict; v != policy.Unknown {
		t.Errorf("from what may be a member that is no instance: %s", v)
	}

	s = mustRead(t, instances+groups+`{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.7", "Groups": []}]}`)
	one, _ := s.Interface("eni-1")
	two, _ := s.Interface("eni-2")
	if one.Addresses[0].String() != "10.0.0.7" || len(one.Groups) != 0 || two.Instance != "i-1" || two.Name != "web" {
		t.Errorf("interfaces %+v %+v", one, two)
	}
	if v := policy.Decide(s.Path("eni-2", flow.Ingress), &c).Verdict; v != policy.Denied {
		t.Errorf("with all interfaces known: %s", v)
	}
}

// The test vectors of the AWS semantics that concern policies alone.
func TestVectors(t *testing.T) {
	const setup = `
interface eni-a 10.0.0.5 2001:db8::5 sg-a
interface eni-b 10.0.0.9 sg-b
interface eni-nat 10.0.1.7 kind=natGateway subnet=subnet-2
subnet subnet-2 10.0.1.0/24
acl acl-2 subnets=subnet-2
  100 ingress allow tcp 443 from any
`
	groups := func(perm string) string {
		return `{"SecurityGroups": [{"GroupId": "sg-a", "OwnerId": "1", "IpPermissions": [` + perm + `], "IpPermissionsEgress": []},
			{"GroupId": "sg-b", "OwnerId": "1", "IpPermissions": [], "IpPermissionsEgress": []}]}`
	}
	for _, c := range []struct {
		name, perm, eni string
		proto           flow.Proto
		remote          string
		port            uint16
		want            policy.Verdict
		stages          int
	}{
		{"10: an Elastic IP of a member is no member", `{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-b", "UserId": "1"}]}`, "eni-a", flow.TCP, "198.51.100.9", 22, policy.Denied, 1},
		{"10: its private address is", `{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-b", "UserId": "1"}]}`, "eni-a", flow.TCP, "10.0.0.9", 22, policy.Allowed, 1},
		{"12: icmp does not match protocol 58", `{"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}`, "eni-a", flow.ICMPv6, "2001:db8::9", 0, policy.Denied, 1},
		{"12: icmp matches protocol 1", `{"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}`, "eni-a", flow.ICMP, "192.0.2.1", 0, policy.Allowed, 1},
		{"13: -1 ignores ports", `{"IpProtocol": "-1", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}`, "eni-a", flow.TCP, "192.0.2.1", 8080, policy.Allowed, 1},
		{"13: and matches any protocol", `{"IpProtocol": "-1", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}`, "eni-a", 50, "192.0.2.1", 0, policy.Allowed, 1},
		{"15: no groups, the ACL alone", ``, "eni-nat", flow.TCP, "192.0.2.1", 443, policy.Allowed, 1},
		{"15: no groups, the ACL alone denies", ``, "eni-nat", flow.TCP, "192.0.2.1", 80, policy.Denied, 1},
		{"17: 0.0.0.0/0 is not IPv6", `{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}`, "eni-a", flow.TCP, "2001:db8::9", 443, policy.Denied, 1},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"groups.json": groups(c.perm), "rest.policy": setup} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := read(t, dir)
		f, _ := s.Interface(c.eni)
		conn := policy.Conn{Direction: flow.Ingress, Proto: c.proto, Local: f.Addresses[0], Remote: netip.MustParseAddr(c.remote),
			LocalPort: c.port, RemotePort: 40000, ICMP: policy.AnyICMP}
		path := s.Path(c.eni, flow.Ingress)
		if v := policy.Decide(path, &conn).Verdict; v != c.want || len(path) != c.stages {
			t.Errorf("%s: %s over %d stages, want %s over %d", c.name, v, len(path), c.want, c.stages)
		}
	}
}

// Groups of another account are shown to be read; an export belongs to the account
// that owns most of its groups.
func TestGroupsOfOtherAccountsAreNotEditable(t *testing.T) {
	group := func(id, owner string) string {
		return `{"GroupId": "` + id + `", "OwnerId": "` + owner + `", "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]}`
	}
	editable := func(s *policy.Snapshot) string {
		var out []string
		for _, r := range s.Rules() {
			if r.Editable {
				out = append(out, r.Ref.Owner)
			}
		}
		return strings.Join(out, " ")
	}
	s := mustRead(t, `{"SecurityGroups": [`+group("sg-1", "1")+`,`+group("sg-2", "1")+`,`+group("sg-3", "2")+`]}`)
	if got := editable(s); got != "sg-1 sg-2" {
		t.Errorf("most of the groups: editable %q", got)
	}
	s = mustRead(t, `{"SecurityGroups": [`+group("sg-1", "1")+`,`+group("sg-3", "2")+`]}
		{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "OwnerId": "1"}]}`)
	if got := editable(s); got != "sg-1" {
		t.Errorf("as many groups, more of the rest: editable %q", got)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.json": `{"SecurityGroups": [` + group("sg-1", "1") + `,` + group("sg-2", "1") + `,` + group("sg-3", "2") + `]}`,
		"b.json": `{"SecurityGroups": [` + group("sg-3", "2") + `]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := editable(read(t, dir)); got != "sg-1 sg-2 sg-3" {
		t.Errorf("exports of both accounts: editable %q", got)
	}
}

func TestReferences(t *testing.T) {
	s := mustRead(t, `{"SecurityGroups": [
	 {"GroupId": "sg-1", "OwnerId": "1", "IpPermissionsEgress": [], "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [
	  {"GroupId": "sg-1", "UserId": "1"}, {"GroupId": "sg-2", "UserId": "2"}, {"GroupId": "sg-3", "UserId": "1", "PeeringStatus": "Expired"},
	  {"GroupId": "sg-4"}, {"GroupId": "sg-5", "UserId": "1"}, {"GroupId": "sg-6", "UserId": "6"}, {"GroupId": "sg-7"},
	  {"GroupId": "sg-8", "UserId": "1", "VpcPeeringConnectionId": "pcx-1", "PeeringStatus": "deleted"}, {"GroupId": "sg-8", "UserId": "1", "VpcPeeringConnectionId": "pcx-2", "PeeringStatus": "active"}]}]},
	 {"GroupId": "sg-2", "OwnerId": "2", "IpPermissions": []}, {"GroupId": "sg-7", "OwnerId": "1", "IpPermissions": []}]}`)
	g, _ := s.Group("sg-1")
	got := make(map[string]string)
	for i := range g.Rules {
		for _, r := range g.Rules[i].Refs() {
			got[r.ID] += "account=" + r.Account + " dead=" + r.Dead
		}
	}
	for id, want := range map[string]string{
		"sg-1": "account= dead=", "sg-2": "account=2 dead=", "sg-3": "account= dead=peering expired", "sg-4": "account= dead=group deleted",
		"sg-5": "account= dead=", "sg-6": "account=6 dead=", "sg-7": "account= dead=", "sg-8": "account= dead=",
	} {
		if got[id] != want {
			t.Errorf("%s: %s, want %s", id, got[id], want)
		}
	}
	for what, want := range map[string]bool{"group sg-5": true, "group sg-6": true, "group sg-8": true, "group sg-4": false, "group sg-3": false, "group sg-2": false} {
		if s.MissingWhat(what) != want {
			t.Errorf("missing %s: %t, want %t", what, !want, want)
		}
	}
}
