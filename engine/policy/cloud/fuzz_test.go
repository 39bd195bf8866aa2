package cloud

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// roundTrip fails if the text form of s does not read back as s.
func roundTrip(t *testing.T, s *policy.Snapshot) {
	t.Helper()
	text := Format(s)
	again, err := ParseText("again", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if d := diff(s, again); d != "" {
		t.Fatalf("-first +again:\n%s\nof\n%s", d, text)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(unusual))
	if text, err := os.ReadFile("testdata/aws.policy"); err == nil {
		f.Add(text)
	}
	f.Add([]byte("group g\n r ingress all from any"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := ParseText("fuzz", text); err == nil {
			roundTrip(t, s)
		}
	})
}

func FuzzAWS(f *testing.F) {
	names, _ := filepath.Glob("testdata/aws/*.json")
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Add([]byte(`[{"EC2": {"security_groups": [{"GroupId": "sg-1", "IpPermissions": []}], "NextToken": null}}]`))
	f.Add([]byte(`{"Reservations": [{"Instances": [{"InstanceId": "i-1", "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, _, err := Read([]string{"-"}, Options{Stdin: bytes.NewReader(text)})
		if err == nil {
			roundTrip(t, s)
		}
	})
}
