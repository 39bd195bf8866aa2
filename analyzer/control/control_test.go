package control

import (
	"os"
	"strings"
	"testing"
)

func TestIDsAreOfOneFrameworkOnly(t *testing.T) {
	seen := map[string]bool{}
	for i := range All {
		f := &All[i]
		for _, id := range append([]string{f.ID}, f.Aliases...) {
			if seen[id] || id != strings.ToLower(id) || id == "all" || id == "none" {
				t.Errorf("%s is taken, reserved, or not in lower case", id)
			}
			seen[id] = true
			if Find(id) != f || Find(strings.ToUpper(id)) != f {
				t.Errorf("%s is not found", id)
			}
		}
	}
	if Find("cis") != nil {
		t.Error("half an id finds something")
	}
}

func TestControlsSayWhatIsEvidenceOrWhyNot(t *testing.T) {
	for i := range All {
		f := &All[i]
		ids := map[string]bool{}
		if f.Title == "" || len(f.Controls) == 0 {
			t.Errorf("%s has no title or no controls", f.ID)
		}
		for k := range f.Controls {
			c := &f.Controls[k]
			if c.ID == "" || c.Title == "" || ids[c.ID] {
				t.Errorf("%s %s: no id, no title, or a second time", f.ID, c.ID)
			}
			ids[c.ID] = true
			switch {
			case (c.Never == "") != (len(c.By) > 0):
				t.Errorf("%s %s: evidence %v, never %q", f.ID, c.ID, c.By, c.Never)
			case c.Never == "" && c.Needs == 0:
				t.Errorf("%s %s passes whatever is there", f.ID, c.ID)
			}
		}
	}
}

// The numbers of the benchmark as its versions have them.
func TestCISNumbersFollowTheVersions(t *testing.T) {
	for id, want := range map[string]string{
		"cis-aws-1.2":   "2.9 3.10 3.11 4.1 4.2 4.3 4.4",
		"cis-aws-1.3":   "3.9 4.10 4.11 5.1 5.2 5.3 5.4",
		"cis-aws-1.5":   "3.9 4.10 4.11 5.1 5.2 5.3 5.4 5.5",
		"cis-aws-3.0":   "3.7 4.10 4.11 5.1 5.2 5.3 5.4 5.5",
		"cis-aws-4.0.1": "3.7 4.10 4.11 5.1.2 5.2 5.3 5.4 5.5 5.6",
		"cis-aws-6.0":   "4.7 5.10 5.11 6.1.2 6.2 6.3 6.4 6.5 6.6",
	} {
		var ids []string
		for _, c := range Find(id).Controls {
			ids = append(ids, c.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}

// Tags are those that findings have: what tells them apart is in one file.
func TestTagsAreOnesThatFindingsHave(t *testing.T) {
	source, err := os.ReadFile("../controls.go")
	if err != nil {
		t.Fatal(err)
	}
	for i := range All {
		for _, c := range All[i].Controls {
			for _, e := range c.By {
				for _, tag := range e.Tags {
					if !strings.Contains(string(source), `"`+tag+`"`) {
						t.Errorf("%s %s: no finding has the tag %s", All[i].ID, c.ID, tag)
					}
				}
			}
		}
	}
}
