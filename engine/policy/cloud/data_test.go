package cloud

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dataDir returns a folder of the shared test data, which is not part of the
// repository; the test is skipped where it is absent.
func dataDir(t *testing.T, parts ...string) string {
	t.Helper()
	dir := filepath.Join(append([]string{"..", "..", "..", "..", "shared", "data"}, parts...)...)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("shared test data is not here: %v", err)
	}
	return dir
}

// refused are the files of the shared data that are no readable export, with a part
// of the error that says why.
var refused = map[string]string{
	"awscli-examples/describe-instances.1.json":              `"10-0-0-157" is not an address`, // so in the CLI's manual
	"awscli-examples/describe-instances.2.json":              "not a policy export: its keys are Name, Values",
	"awscli-examples/describe-instances.3.json":              "without the key of an export", // --query output
	"awscli-examples/describe-security-groups.1.json":        "not a policy export: its keys are ID, Name",
	"awscli-examples/get-managed-prefix-list-entries.1.json": "Entries of no known prefix list",
	"custodian/expected.json":                                "not a policy export",
	// The reply names no list, and neither do the file names of the recorder.
	"custodian/test_prefix_list_entry/ec2.GetManagedPrefixListEntries_1.json": "Entries of no known prefix list",
	"custodian/test_prefix_list_entry/ec2.GetManagedPrefixListEntries_2.json": "Entries of no known prefix list",
	// The recording was edited by hand: five flow logs share an id.
	"custodian/test_vpc_flow_logs_misconfigured/ec2.DescribeFlowLogs_1.json": "differs from the one at",
}

// Every file of the shared AWS exports is read alone; it is a policy, or ignored as
// an export of something else, or refused for the reason above.
func TestSharedExportsAreReadAlone(t *testing.T) {
	root := dataDir(t, "policy", "aws")
	n := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		name, _ := filepath.Rel(root, path)
		s, inputs, err := Read([]string{path}, Options{})
		why := refused[filepath.ToSlash(name)]
		switch {
		case why != "":
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: error %v, want one with %q", name, err, why)
			}
		case len(inputs) == 1 && inputs[0].Kind == Ignored:
			if err == nil || !strings.HasPrefix(err.Error(), "no policy in ") {
				t.Errorf("%s: ignored, yet error %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			again, err := ParseText("again", []byte(Format(s)))
			if err != nil {
				t.Errorf("%s: text form: %v", name, err)
			} else if d := diff(s, again); d != "" {
				t.Errorf("%s: text form reads back differently (-export +text):\n%s", name, d)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 100 {
		t.Errorf("only %d files", n)
	}
}

// Whole accounts are read as folders; what is no policy in them is ignored. The
// numbers were counted apart from this package.
func TestSharedExportsAreReadAsFolders(t *testing.T) {
	for _, c := range []struct {
		dir                                      string
		interfaces, groups, acls, subnets, rules int
		ignored                                  int
	}{
		{"policy/aws/prod-account-anon", 0, 340, 0, 0, 1893, 0},
		{"policy/aws/batfish/test-load-balancer", 5, 3, 1, 3, 9, 8},
		{"policy/aws/batfish/test-nat-gateway", 4, 3, 2, 3, 12, 4},
		{"policy/aws/batfish/test-public-private-subnet", 2, 3, 1, 2, 8, 3},
		{"policy/aws/batfish/test-public-subnet", 1, 2, 1, 1, 6, 3},
		{"policy/aws/batfish/test-subnet", 2, 3, 1, 1, 8, 2},
		{"policy/aws/batfish/test-vpc-endpoint-gateway", 2, 2, 2, 2, 11, 4},
		{"policy/aws/batfish/test-vpc-peering", 3, 6, 3, 3, 18, 3},
		{"known-answers/batfish-aws/us-west-2", 9, 11, 4, 10, 51, 7},
		{"known-answers/np-guard-analyzer/aws/input/basic_config_with_sg.json", 2, 3, 2, 5, 11, 0},
		{"known-answers/np-guard-analyzer/aws/input/aws_sg_1.json", 5, 6, 2, 7, 17, 0},
	} {
		s, inputs, err := Read([]string{dataDir(t, filepath.FromSlash(c.dir))}, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.dir, err)
			continue
		}
		ignored := 0
		for _, in := range inputs {
			if in.Kind == Ignored {
				ignored++
			}
		}
		got := []int{len(s.Interfaces), len(s.Groups), len(s.ACLs), len(s.Subnets), len(s.Rules()), ignored}
		if want := []int{c.interfaces, c.groups, c.acls, c.subnets, c.rules, c.ignored}; !slices.Equal(got, want) {
			t.Errorf("%s: interfaces, groups, ACLs, subnets, rules, ignored files = %v, want %v", c.dir, got, want)
		}
	}
}
