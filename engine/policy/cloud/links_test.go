package cloud_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy/cloud"
)

// TestALinkToAFolderIsThatFolder reads what jobs make that export beside the last export
// and then turn a link over.
func TestALinkToAFolderIsThatFolder(t *testing.T) {
	dir := t.TempDir()
	day := filepath.Join(dir, "2026-06-01", "sub")
	if err := os.MkdirAll(day, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(day, "p.policy"), []byte("interface eni-1 10.0.0.5 sg-a\ngroup sg-a\n  r ingress tcp 443 from any\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	current := filepath.Join(dir, "current")
	if err := os.Symlink("2026-06-01", current); err != nil {
		t.Skipf("no links here: %v", err)
	}
	for _, path := range []string{current, current + string(filepath.Separator)} {
		s, inputs, err := cloud.Read([]string{path}, cloud.Options{})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if len(s.Groups) != 1 || len(inputs) != 1 {
			t.Errorf("%s: %d groups of %d files", path, len(s.Groups), len(inputs))
		}
	}
}
