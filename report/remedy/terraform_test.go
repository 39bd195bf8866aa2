package remedy

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

func target(t *testing.T, name string) Target {
	t.Helper()
	i := slices.IndexFunc(Targets, func(x Target) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("no target %s", name)
	}
	return Targets[i]
}

// body returns the content of a file of the outcome.
func (o *Outcome) body(name string) string {
	i := slices.IndexFunc(o.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return ""
	}
	return o.Files[i].Body
}

func (o *Outcome) left(ref string) Left {
	i := slices.IndexFunc(o.Left, func(l Left) bool { return l.Edit.Rule.String() == ref })
	if i < 0 {
		return Left{}
	}
	return o.Left[i]
}

const declaredText = `
interface eni-0 10.0.0.8 sg-new sg-old sg-inline sg-none subnet=subnet-0
subnet subnet-0 10.0.0.0/28
group sg-new
  sgr-1 ingress tcp 443 from 10.0.0.0/8 address=module.web.aws_vpc_security_group_ingress_rule.https "${file(\"x\")} \"q\""
  sgr-2 ingress tcp 444 from 10.0.0.0/8 address="aws_vpc_security_group_ingress_rule.many[\"a\"]"
  sgr-3 ingress tcp 445 from 10.0.0.0/8
group sg-old
  sgr-4 ingress tcp 22 from 10.0.0.0/8 address=aws_security_group_rule.one
  sgr-5 ingress tcp 80 from 10.0.0.0/8 address=aws_security_group_rule.two
  sgr-6 ingress tcp 80 from 10.1.0.0/16 address=aws_security_group_rule.two
  sgr-7 ingress tcp 81 from 10.0.0.0/8 address=aws_security_group_rule.three
  sgr-8 ingress tcp 81 from 11.0.0.0/8 address=aws_security_group_rule.three
  sgr-9 ingress tcp 82 from 10.0.0.0/8
group sg-inline
  sgr-10 ingress tcp 22 from 10.0.0.0/8 address=aws_security_group.inline
group sg-none
  r-0123 ingress tcp 22 from 10.0.0.0/8
acl acl-1 subnet=subnet-0
  100 ingress allow tcp 22 from 10.0.0.0/8 address=aws_network_acl_rule.ssh
  110 ingress allow tcp 23 from 10.0.0.0/8
  120 ingress allow all from 0.0.0.0/0 address=aws_network_acl.main
  100 egress allow all to 0.0.0.0/0
`

func TestTerraformTakesTheWayThatTheConfigurationHas(t *testing.T) {
	s := parse(t, declaredText)
	edits := []plan.Stored{
		replacing("sg-new/sgr-1", "ingress tcp 443 10.1.0.0/16 1 ${file(\"x\")} \"q\""), replacing("sg-new/sgr-2", "ingress tcp 444 10.1.0.0/16"), removing("sg-new/sgr-3"),
		replacing("sg-old/sgr-4", "ingress tcp 22 sg-old"), removing("sg-old/sgr-5"), removing("sg-old/sgr-7"), removing("sg-old/sgr-8"), removing("sg-old/sgr-9"),
		replacing("sg-inline/sgr-10", "ingress tcp 22 10.1.0.0/16"), removing("sg-none/r-0123"),
		removing("acl-1/ingress-100"), removing("acl-1/ingress-110"), removing("acl-1/ingress-120"),
	}
	out := target(t, "terraform").Write(Input{Snapshot: s, Edits: reread(t, s, edits), Platforms: Platforms(s), Report: "r.json"})
	holds := func(name string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(out.body(name), w) {
				t.Errorf("%s lacks %s:\n%s", name, w, out.body(name))
			}
		}
	}
	lacks := func(name string, words ...string) {
		t.Helper()
		for _, w := range words {
			if strings.Contains(out.body(name), w) {
				t.Errorf("%s has %s:\n%s", name, w, out.body(name))
			}
		}
	}
	holds("step-1/sgadvise-add.tf", `resource "aws_vpc_security_group_ingress_rule" "sgadvise_`, `"$${file(\"x\")} \"q\""`,
		`resource "aws_security_group_rule" "sgadvise_`, "self              = true", "create_before_destroy = true")
	holds("step-1/sgadvise-adopt.tf", "import {\n  to = aws_vpc_security_group_ingress_rule.sgadvise_old_", `id = "sgr-3"`)
	holds("step-2/sgadvise-remove.tf", "from = module.web.aws_vpc_security_group_ingress_rule.https\n", "from = aws_security_group_rule.one\n",
		"from = aws_security_group_rule.three\n", "from = aws_network_acl_rule.ssh\n", "from = aws_vpc_security_group_ingress_rule.sgadvise_old_", "destroy = true")
	lacks("step-2/sgadvise-remove.tf", ".two", ".many", ".inline", "network_acl.main")
	if n := strings.Count(out.body("step-2/sgadvise-remove.tf"), "rule.three"); n != 1 {
		t.Errorf("the resource of two rules is removed %d times", n)
	}
	holds("aws-cli/apply.sh", "remove_rule sg-old ingress sgr-9", "remove_like sg-none ingress", "remove_line acl-1 --ingress 110")
	lacks("aws-cli/apply.sh", "sgr-1\n", "sgr-3\n", "--ingress 100", "add_rule")
	holds("aws-cli/verify.sh", "gone 'ingress tcp 443 443 10.0.0.0/8'", "gone 'ingress tcp 82 82 10.0.0.0/8'", "holds 'ingress tcp 443 443 10.1.0.0/16'")
	holds("rollback/sgadvise-forget.tf", "destroy = false")
	holds("rollback/sgadvise-restore.tf", "from_port         = 445")
	holds("README.md", "- `module.web.aws_vpc_security_group_ingress_rule.https`", "aws-cli/apply.sh")
	for ref, why := range map[string]string{
		"sg-new/sgr-2":      `aws_vpc_security_group_ingress_rule.many["a"] is one of several instances`,
		"sg-old/sgr-5":      "aws_security_group_rule.two declares other rules, too, that stay",
		"sg-inline/sgr-10":  "the rules of sg-inline are declared inside of the group",
		"acl-1/ingress-120": "the line is declared by aws_network_acl.main",
	} {
		if l := out.left(ref); !strings.Contains(l.Reason, why) || !strings.Contains(l.Hint, "and apply.") {
			t.Errorf("%s: %q, want %q; hint %q", ref, l.Reason, why, l.Hint)
		}
	}
	if len(out.Left) != 4 || out.Edits != len(edits)-4 || out.Added != 2 || out.Removed != 9 {
		t.Errorf("%d edits, %d added, %d removed, %d left", out.Edits, out.Added, out.Removed, len(out.Left))
	}
	holds("not-expressed.md", `resource "aws_vpc_security_group_ingress_rule"`, "in `aws_security_group.inline`, and apply.")
	formatted(t, out.Files)
}

func TestTerraformOfAlibabaCloud(t *testing.T) {
	s := parse(t, `
platform none id=alibaba groups-deny
interface eni-0 10.0.0.8 sg-a subnet=vsw-0 platform=alibaba
subnet vsw-0 10.0.0.0/28
group sg-a kind=normal egress-open
  sgr-1 ingress tcp 443 from 2001:db8::/32 priority=10 address=alicloud_security_group_rule.web
  sgr-2 ingress tcp 80 from 10.0.0.0/8 priority=10
  sgr-3 ingress deny tcp 81 from 2001:db8::/32 priority=10
  sgr-4 ingress tcp 82 from 10.0.0.0/8 peer-ports=1-99 priority=10
  sgr-5 ingress deny tcp 83 from 10.0.0.0/8 peer-ports=1-99 priority=10
  sgr-6 egress deny all to 0.0.0.0/0 priority=10 address=alicloud_security_group_rule.out
`)
	edits := []plan.Stored{replacing("sg-a/sgr-1", "ingress tcp 443 2001:db8::/48 10"), removing("sg-a/sgr-2"), removing("sg-a/sgr-3"),
		removing("sg-a/sgr-4"), removing("sg-a/sgr-5"), removing("sg-a/sgr-6")}
	out := target(t, "terraform").Write(Input{Snapshot: s, Edits: reread(t, s, edits), Platforms: Platforms(s)})
	for name, words := range map[string][]string{
		"step-1/sgadvise-add.tf":           {`nic_type          = "intranet"`, `ipv6_cidr_ip      = "2001:db8::/48"`, "priority          = 10", `port_range        = "443/443"`},
		"step-1/sgadvise-adopt.tf":         {`id = "sg-a:ingress:tcp:80/80:intranet:10.0.0.0/8:accept:10"`},
		"step-1/sgadvise-adopt-denies.tf":  {`id = "sg-a:ingress:tcp:81/81:intranet:2001_db8__/32:drop:10"`},
		"step-2/sgadvise-remove.tf":        {"from = alicloud_security_group_rule.web\n"},
		"step-3/sgadvise-remove-denies.tf": {"from = alicloud_security_group_rule.out\n", "from = alicloud_security_group_rule.sgadvise_old_"},
		"aliyun-cli/apply.sh":              {"remove_rule sg-a ingress sgr-4"},
		"README.md":                        {"`step-3`", "REGION"},
	} {
		for _, w := range words {
			if !strings.Contains(out.body(name), w) {
				t.Errorf("%s lacks %s:\n%s", name, w, out.body(name))
			}
		}
	}
	// The scripts run before Terraform removes what allows.
	if l := out.left("sg-a/sgr-5"); !strings.Contains(l.Reason, "it denies") || len(out.Left) != 1 {
		t.Errorf("left: %+v", out.Left)
	}
	formatted(t, out.Files)
}

// formatted holds HCL to the form that Terraform gives it, which also parses it. Whether
// providers know the arguments only they can tell, and they are not here.
func formatted(t *testing.T, files []File) {
	t.Helper()
	_, err := exec.LookPath("terraform")
	if err != nil {
		t.Log("terraform is not installed: its own reading of the files is not tried")
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name, ".tf") {
			continue
		}
		balanced(t, f)
		if err != nil {
			continue
		}
		cmd := exec.Command("terraform", "fmt", "-check", "-diff", "-")
		cmd.Stdin = strings.NewReader(f.Body)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f.Name, err, out)
		}
	}
}

// balanced reads the strings and brackets of HCL.
func balanced(t *testing.T, f File) {
	t.Helper()
	var open []byte
	text := false
	for i := 0; i < len(f.Body); i++ {
		switch c := f.Body[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text && c == '\n':
			t.Fatalf("%s: a string that does not end", f.Name)
		case text && (c == '$' || c == '%') && f.Body[i+1] == '{' && f.Body[i-1] != c:
			t.Fatalf("%s: a template", f.Name)
		case text:
		case c == '#':
			i += strings.IndexByte(f.Body[i:], '\n')
		case c == '{' || c == '[':
			open = append(open, c)
		case c == '}' || c == ']':
			if len(open) == 0 || open[len(open)-1] != c-2 {
				t.Fatalf("%s: %c is not open", f.Name, c)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || text {
		t.Errorf("%s: %q stays open", f.Name, open)
	}
}

func TestWhatCannotBeSaidIsLeftWithAReason(t *testing.T) {
	s := parse(t, `
interface eni-0 10.0.0.8 sg-a subnet=subnet-0
interface eni-1 10.0.0.9 sg-b platform=alibaba
platform none id=alibaba groups-deny
platform none
subnet subnet-0 10.0.0.0/28
group sg-a
  sgr-1 ingress tcp 443 from sg-gone dead="group deleted"
  sgr-2 ingress tcp 444 from 10.0.0.0/8 or udp 444 from 10.0.0.0/8
  sgr-3 ingress tcp 445 from 10.0.0.0/8 at 10.0.0.8/32
  sgr-4 ingress deny tcp 446 from 10.0.0.0/8
  sgr-5 ingress tcp 447 from 10.0.0.0/9
  sgr-6 ingress tcp 447 from 10.128.0.0/9
  sgr-7 ingress tcp 447 from 10.0.0.0/8 at 10.0.0.8/32
group sg-b kind=normal
  sgr-9 ingress tcp 22 from 10.0.0.0/8 priority=110
  sgr-10 ingress tcp 22 from 10.1.0.0/16 priority=1
acl acl-1 subnet=subnet-0
  100 ingress allow tcp 22 from 10.0.0.0/8
  100 ingress allow tcp 22 from 2001:db8::/32
`)
	edits := reread(t, s, []plan.Stored{removing("sg-a/sgr-1"), removing("sg-a/sgr-2"), removing("sg-a/sgr-3"), removing("sg-a/sgr-4"),
		replacing("sg-a/sgr-7", "ingress tcp 447 10.0.0.0/8"), removing("sg-a/sgr-5"), removing("sg-a/sgr-6"),
		removing("sg-b/sgr-9"), removing("sg-b/sgr-10"), removing("acl-1/ingress-100")})
	in := Input{Snapshot: s, Edits: edits, Platforms: map[string]string{"sg-a": awsPlatform, "sg-b": alibabaPlatform, "acl-1": awsPlatform}, Report: "r"}
	check := func(name string, want map[string]string) {
		t.Helper()
		out := target(t, name).Write(in)
		for ref, why := range want {
			if l := out.left(ref); !strings.Contains(l.Reason, why) || why == "" && l.Reason != "" {
				t.Errorf("%s: %s: %q, want %q", name, ref, l.Reason, why)
			}
		}
		if out.Edits+len(out.Left) != len(edits) {
			t.Errorf("%s: %d edits and %d left of %d", name, out.Edits, len(out.Left), len(edits))
		}
		for _, l := range out.Left {
			if !strings.Contains(out.body("not-expressed.md"), md(l.Edit.Rule.String())) {
				t.Errorf("%s: %s is not in not-expressed.md", name, l.Edit.Rule)
			}
		}
	}
	check("aws-cli", map[string]string{
		"sg-a/sgr-1": "it could not be put back: its peer sg-gone is gone (group deleted)", "sg-a/sgr-2": "could not be put back",
		"sg-a/sgr-3": "own addresses", "sg-a/sgr-4": "no rules that deny",
		"sg-a/sgr-7": "own addresses", "sg-a/sgr-5": "it may rest on the edit of sg-a/sgr-7", "sg-a/sgr-6": "it may rest on the edit of sg-a/sgr-7",
		"sg-b/sgr-9": "it is of Alibaba Cloud", "acl-1/ingress-100": "two lines have the number 100",
	})
	check("aliyun-cli", map[string]string{"sg-a/sgr-1": "it is of AWS", "sg-b/sgr-9": "its priority is 110", "sg-b/sgr-10": ""})
	in.Platforms = nil
	check("aws-cli", map[string]string{"sg-b/sgr-10": "it cannot be told of which cloud the group is"})
}

func TestIDsThatAreNoneAreRefused(t *testing.T) {
	s := parse(t, "interface eni-0 10.0.0.8 sg-a\ngroup sg-a\n  sgr-1 ingress tcp 443 from 10.0.0.0/8\n")
	s = rebuilt(t, s, map[string][]policy.Rule{"sg-a": s.Groups[0].Rules})
	for _, id := range []string{"sg-a;id", "--query", "sg-$(id)", "sg-a b", "file:///etc/passwd", "sg-a\nid", "SG-1", "sg-", ""} {
		r := s.Groups[0].Rules[0]
		r.Ref.Owner = id
		snap := &policy.Snapshot{Groups: []policy.Group{{ID: id, Rules: []policy.Rule{r}}}}
		if err := snap.Seal(); err != nil {
			t.Fatal(err)
		}
		for _, target := range Targets {
			out := target.Write(Input{Snapshot: snap, Edits: []plan.Edit{{Op: plan.Remove, Rule: r.Ref, Group: id}}, Platforms: map[string]string{id: target.platforms[0]}})
			if out.Edits != 0 || len(out.Left) != 1 {
				t.Errorf("%s: %q passes", target.Name, id)
			}
		}
	}
}
