package remedy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// TestMain lets the test binary stand for the command lines of the clouds, where it is
// called by their names.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "aws":
		os.Exit(standIn(new(fakeAWS)))
	case "aliyun":
		os.Exit(standIn(new(fakeAliyun)))
	}
	os.Exit(m.Run())
}

// standIn runs one command on the cloud that is kept in the file $FAKE_STATE. The change
// of number $FAKE_FAIL fails; $FAKE_STATE.n holds how many there were.
func standIn(f fake) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 254
	}
	name := os.Getenv("FAKE_STATE")
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, f)
	}
	if err != nil {
		return fail(err)
	}
	out, changed, err := f.exec(os.Args[1:])
	if err != nil {
		return fail(err)
	}
	if changed {
		done, _ := os.ReadFile(name + ".n")
		n := len(done) + 1
		if os.Getenv("FAKE_FAIL") == strconv.Itoa(n) {
			return fail(awsError("RequestLimitExceeded"))
		}
		if err := os.WriteFile(name+".n", append(done, '.'), 0o666); err != nil {
			return fail(err)
		}
		data, err := json.Marshal(f)
		if err == nil {
			err = os.WriteFile(name, data, 0o666)
		}
		if err != nil {
			return fail(err)
		}
	}
	fmt.Println(strings.TrimSuffix(out, "\n"))
	return 0
}

// bench is a cloud with the scripts for a plan beside it.
type bench struct {
	t          *testing.T
	dir, state string
	platform   string
	snap       *policy.Snapshot
	out        *Outcome
}

func newBench(t *testing.T, platform string, in Input) *bench {
	t.Helper()
	for _, tool := range []string{"bash", "awk", "grep", "sed", "cut"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the scripts need %s", tool)
		}
	}
	if _, err := exec.LookPath("jq"); err != nil && platform == alibabaPlatform {
		t.Skip("the scripts for Alibaba Cloud need jq")
	}
	b := &bench{t: t, dir: t.TempDir(), platform: platform, snap: in.Snapshot}
	b.state = filepath.Join(b.dir, "state.json")
	b.put(newFake(in.Snapshot, platform))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aws", "aliyun"} {
		if err := os.Symlink(self, filepath.Join(b.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	i := slices.IndexFunc(Targets, func(x Target) bool { return x.Name == scriptsOf(dialectOf(platform)) })
	b.out = Targets[i].Write(in)
	b.write(b.out.Files)
	return b
}

func (b *bench) write(files []File) {
	b.t.Helper()
	for _, f := range files {
		name := filepath.Join(b.dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f.Body), 0o777); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) put(f fake) {
	b.t.Helper()
	data, err := json.Marshal(f)
	if err == nil {
		err = os.WriteFile(b.state, data, 0o666)
	}
	if err == nil {
		err = os.RemoveAll(b.state + ".n")
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) get() fake {
	b.t.Helper()
	var f fake = new(fakeAWS)
	if b.platform == alibabaPlatform {
		f = new(fakeAliyun)
	}
	data, err := os.ReadFile(b.state)
	if err == nil {
		err = json.Unmarshal(data, f)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// has is what the cloud has now.
func (b *bench) has() string { b.t.Helper(); return contents(b.get().snapshot(b.t, b.snap), true) }

// run runs a script and returns what it printed and its exit code.
func (b *bench) run(env string, name string, args ...string) (string, int) {
	b.t.Helper()
	cmd := exec.Command("bash", append([]string{filepath.Join(b.dir, name)}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+b.dir+string(os.PathListSeparator)+os.Getenv("PATH"), "FAKE_STATE="+b.state, "REGION=cn-hangzhou", env)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		b.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must runs a script that has to succeed.
func (b *bench) must(name string, args ...string) string {
	b.t.Helper()
	out, code := b.run("", name, args...)
	if code != 0 {
		b.t.Fatalf("%s %v: exit %d\n%s", name, args, code, out)
	}
	return out
}

// benches are a cloud of each kind with a plan.
func benches(t *testing.T, f func(*testing.T, *bench)) {
	t.Run("aws", func(t *testing.T) { t.Parallel(); f(t, newBench(t, awsPlatform, awsInput(t))) })
	t.Run("alibaba", func(t *testing.T) { t.Parallel(); f(t, newBench(t, alibabaPlatform, alibabaInput(t))) })
}

func TestScriptsApplyVerifyAndRollBack(t *testing.T) {
	t.Parallel()
	benches(t, func(t *testing.T, b *bench) {
		if len(b.out.Left) > 0 {
			t.Fatalf("left: %+v", b.out.Left)
		}
		before := b.has()
		if out, code := b.run("", "verify.sh"); code != 1 || !strings.Contains(out, "still has") {
			t.Errorf("verify before: exit %d\n%s", code, out)
		}
		b.must("verify.sh", "--before")
		if out := b.must("apply.sh", "--dry-run"); b.has() != before || !strings.Contains(out, "Nothing was changed.") {
			t.Errorf("a dry run changed something, or does not say:\n%s", out)
		}
		out := b.must("apply.sh")
		planned, err := plan.Apply(b.snap, b.out.edits(t, b))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := contents(b.get().snapshot(t, b.snap), false), contents(planned, false); got != want {
			t.Errorf("applied:\n%s\nplanned:\n%s\n%s", got, want, out)
		}
		if strings.Contains(out, "already") {
			t.Errorf("the first run finds something made already:\n%s", out)
		}
		b.must("verify.sh")
		if _, code := b.run("", "verify.sh", "--before"); code != 1 {
			t.Errorf("verify --before after the change: exit %d", code)
		}
		applied := b.has()
		if out := b.must("apply.sh"); b.has() != applied || !strings.Contains(out, "already") {
			t.Errorf("the second run changes something:\n%s", out)
		}
		b.must("rollback.sh")
		if got := b.has(); got != before {
			t.Errorf("rolled back:\n%s\nbefore:\n%s", got, before)
		}
		b.must("verify.sh", "--before")
		if _, err := os.Stat(filepath.Join(b.dir, "owned")); err == nil {
			t.Error("a description was run")
		}
	})
}

// edits returns the edits that the scripts make: all that the bench was made with.
func (o *Outcome) edits(t *testing.T, b *bench) []plan.Edit {
	t.Helper()
	in := awsInput(t)
	if b.platform == alibabaPlatform {
		in = alibabaInput(t)
	}
	return in.Edits
}

// TestScriptsStopAtTheFirstFailureAndGoOn fails every change once.
func TestScriptsStopAtTheFirstFailureAndGoOn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it runs the scripts many times")
	}
	benches(t, func(t *testing.T, b *bench) {
		before := b.has()
		b.must("apply.sh")
		done, err := os.ReadFile(b.state + ".n")
		if err != nil {
			t.Fatal(err)
		}
		after := b.has()
		for k := 1; k <= len(done); k += 8 {
			b.put(newFake(b.snap, b.platform))
			out, code := b.run("FAKE_FAIL="+strconv.Itoa(k), "apply.sh")
			want := fmt.Sprintf("Stopped at change %d of %d, which is not made:", k, len(done))
			if code == 0 || !strings.Contains(out, want) || !strings.Contains(out, "RequestLimitExceeded") {
				t.Fatalf("change %d: exit %d, want %q\n%s", k, code, want, out)
			}
			if got, _ := os.ReadFile(b.state + ".n"); len(got) != k-1 {
				t.Errorf("change %d fails, and %d are made", k, len(got))
			}
			if k%16 == 1 {
				b.must("rollback.sh")
				if got := b.has(); got != before {
					t.Errorf("rolled back after change %d:\n%s\nbefore:\n%s", k, got, before)
				}
				continue
			}
			b.must("apply.sh")
			if got := b.has(); got != after {
				t.Errorf("gone on after change %d:\n%s\nwithout failure:\n%s", k, got, after)
			}
		}
	})
}

func TestScriptsRefuseAPolicyThatHasChanged(t *testing.T) {
	t.Parallel()
	benches(t, func(t *testing.T, b *bench) {
		for name, change := range map[string]func(fake){
			"a rule that goes has other content": func(f fake) {
				switch f := f.(type) {
				case *fakeAWS:
					f.SecurityGroupRules[slices.IndexFunc(f.SecurityGroupRules, func(r fakeAWSRule) bool { return r.SecurityGroupRuleID == "sgr-2" })].FromPort = 79
				case *fakeAliyun:
					f.Groups[0].Permissions.Permission[slices.IndexFunc(f.Groups[0].Permissions.Permission, func(p map[string]string) bool { return p["SecurityGroupRuleId"] == "sgr-3" })]["Priority"] = "31"
				}
			},
			"a line of the network ACL is another one": func(f fake) {
				switch f := f.(type) {
				case *fakeAWS:
					f.NetworkAcls[0].Entries[0].CidrBlock = "10.0.0.0/9"
				case *fakeAliyun:
					f.ACLs[0].IngressAclEntries.IngressAclEntry[3]["Policy"] = "drop"
				}
			},
			"a group is not there": func(f fake) {
				switch f := f.(type) {
				case *fakeAWS:
					f.Groups = f.Groups[1:]
				case *fakeAliyun:
					f.Groups = nil
				}
			},
		} {
			f := newFake(b.snap, b.platform)
			change(f)
			b.put(f)
			out, code := b.run("", "apply.sh")
			if code == 0 || !strings.Contains(out, "Stopped before any change.") {
				t.Errorf("%s: exit %d\n%s", name, code, out)
			}
			if done, _ := os.ReadFile(b.state + ".n"); len(done) > 0 {
				t.Errorf("%s: something was changed\n%s", name, out)
			}
		}
	})
}

// TestNothingIsRemovedIfAnAdditionIsIgnored is about a cloud that takes two rules for the
// same that differ in priority.
func TestNothingIsRemovedIfAnAdditionIsIgnored(t *testing.T) {
	t.Parallel()
	s := parse(t, `
platform none id=alibaba groups-deny
interface eni-0 10.0.0.8 sg-a platform=alibaba
group sg-a kind=normal egress-open
  sgr-1 ingress tcp 443 from 10.0.0.0/8 priority=10
  sgr-2 ingress tcp 443 from 10.1.0.0/16 priority=50
`)
	b := newBench(t, alibabaPlatform, Input{Snapshot: s, Platforms: Platforms(s), Edits: reread(t, s, []plan.Stored{
		replacing("sg-a/sgr-1", "ingress tcp 443 10.1.0.0/16 10"), removing("sg-a/sgr-2")})})
	f := newFakeAliyun(s)
	f.Strict = true
	b.put(f)
	before := b.has()
	out, code := b.run("", "apply.sh")
	if code == 0 || !strings.Contains(out, "sg-a lacks: ingress accept 10 TCP 443/443 10.1.0.0/16 - -") || b.has() != before {
		t.Errorf("exit %d\n%s\n%s", code, out, b.has())
	}
}

// TestRulesAreChangedInPlaceWhereThereIsNoRoom fills a group to the quota.
func TestRulesAreChangedInPlaceWhereThereIsNoRoom(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("interface eni-0 10.0.0.8 sg-a\ngroup sg-a\n")
	for i := range 60 {
		fmt.Fprintf(&text, "  sgr-%d ingress tcp %d from 10.0.0.0/8 \"port %d\"\n", i, 1000+i, i)
	}
	s := parse(t, text.String())
	in := Input{Snapshot: s, Platforms: Platforms(s), Edits: reread(t, s, []plan.Stored{
		replacing("sg-a/sgr-1", "ingress tcp 1001 10.1.0.0/16 1 port 1"),
		replacing("sg-a/sgr-2", "ingress tcp 1002 pl-9 1 port 2"),
		removing("sg-a/sgr-3"),
	}[:1])}
	b := newBench(t, awsPlatform, in)
	before := b.has()
	out := b.must("apply.sh")
	if !strings.Contains(out, "change sg-a/sgr-1: ") || strings.Contains(out, "add to") {
		t.Errorf("the rule is not changed in place:\n%s", out)
	}
	rules := b.get().(*fakeAWS).SecurityGroupRules
	if i := slices.IndexFunc(rules, func(r fakeAWSRule) bool { return r.SecurityGroupRuleID == "sgr-1" }); i < 0 || rules[i].CidrIpv4 != "10.1.0.0/16" || rules[i].Description != "port 1" {
		t.Errorf("%+v", rules[i])
	}
	b.must("verify.sh")
	b.must("apply.sh")
	b.must("rollback.sh")
	if b.has() != before {
		t.Error("rolled back it is not as it was")
	}
}

func TestALineIsReplacedUnderItsNumber(t *testing.T) {
	t.Parallel()
	s := parse(t, awsText)
	in := Input{Snapshot: s, Platforms: Platforms(s)}
	old := s.Rules()[slices.IndexFunc(s.Rules(), func(r *policy.Rule) bool { return r.Ref.String() == "acl-1/ingress-100" })]
	n, err := plan.Words{Direction: "ingress", Action: "allow", Priority: 100, Protocol: "tcp", Ports: "22-23", Peer: "10.1.0.0/16"}.Rule(s, "acl-1")
	if err != nil {
		t.Fatal(err)
	}
	in.Edits = []plan.Edit{{Op: plan.Replace, Rule: old.Ref, Group: "acl-1", With: []policy.Rule{n}}}
	b := newBench(t, awsPlatform, in)
	before := b.has()
	b.must("apply.sh")
	if !strings.Contains(b.has(), "acl-1 ingress ipv4 1 ingress allow tcp 22-23 from 10.1.0.0/16") {
		t.Errorf("%s", b.has())
	}
	b.must("verify.sh")
	b.must("rollback.sh")
	if b.has() != before {
		t.Errorf("rolled back:\n%s", b.has())
	}
}

// TestCommandsAreThoseOfTheCommandLine lets the real command line check every call, where
// it is installed: it knows the shape of all parameters and need not send anything.
func TestCommandsAreThoseOfTheCommandLine(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the AWS command line is not installed")
	}
	if testing.Short() {
		t.Skip("it is slow")
	}
	j := &job{in: awsInput(t)}
	j.edits = j.in.Edits
	q := j.sequence(awsDialect, func(*plan.Edit) bool { return true })
	seen := make(map[string]bool)
	for _, s := range slices.Concat(q.adds, q.swaps, q.removes) {
		for _, line := range []string{s.do, s.undo} {
			args := awsCall(bashWords(t, line))
			if seen[args[1]] {
				continue
			}
			seen[args[1]] = true
			cmd := exec.Command("aws", append(args, "--generate-cli-skeleton", "output", "--region", "eu-west-1")...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%q: %v\n%s", args, err, out)
			}
		}
	}
}
