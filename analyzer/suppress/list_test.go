package suppress

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/analyzer/yamlfile"
)

var options = Options{Checks: []string{"unused-rule", "wide-source"}}

func parse(t *testing.T, ignore string) []Entry {
	t.Helper()
	out, err := Parse("accepted.yaml", []byte("version: 1\nignore:\n"+ignore), options)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParseReadsAllThatAnEntrySays(t *testing.T) {
	got := parse(t, `  - id: BBEEFF13D11A8E87
    reason: mail goes out once a quarter
    expires: 2026-12-31
  - check: wide-source
    account: "123456789012"
    vpc: vpc-1
    group: sg-web
    rule: sgr-1
    cidr: 10.0.0.0/8
    reason: "  shop  "
    owner: web team
    ticket: NET-7
    created: 2026-01-02
    expires: 2026-06-30T12:00:00+02:00
`)
	day := func(s string) time.Time { v, _ := time.Parse(time.RFC3339, s); return v }
	want := []Entry{
		{File: "accepted.yaml", Line: 3, ID: "bbeeff13d11a8e87", Reason: "mail goes out once a quarter", Expires: day("2026-12-31T23:59:59Z")},
		{File: "accepted.yaml", Line: 6, Check: "wide-source", Account: "123456789012", VPC: "vpc-1", Group: "sg-web", Rule: "sgr-1",
			CIDR: netip.MustParsePrefix("10.0.0.0/8"), Reason: "shop", Owner: "web team", Ticket: "NET-7",
			Created: day("2026-01-02T00:00:00Z"), Expires: day("2026-06-30T10:00:00Z")},
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries", len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("entry %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func TestParseRefusesWhatItCannotHold(t *testing.T) {
	const ok = "reason: r, expires: 2026-01-01"
	for _, c := range []struct{ name, text, want string }{
		{"no version", "ignore: []\n", "a.yaml: version: 0 is not known"},
		{"another version", "version: 2\n", "a.yaml: version: 2 is not known"},
		{"an unknown key", "version: 1\nignore:\n  - {check: unused-rule, until: 2026-01-01, reason: r}\n", "a.yaml:3: until: no such key"},
		{"nothing named", "version: 1\nignore:\n  - {group: sg-1, " + ok + "}\n", "a.yaml:3: id, check: neither is there"},
		{"an unknown check", "version: 1\nignore:\n  - {check: unused-rules, " + ok + "}\n", `a.yaml:3: check: "unused-rules" is no check`},
		{"no reason", "version: 1\nignore:\n  - {check: unused-rule, reason: ' ', expires: 2026-01-01}\n", "a.yaml:3: reason: not there"},
		{"no expiry", "version: 1\nignore:\n  - {check: unused-rule, reason: r}\n", "a.yaml:3: expires: not there"},
		{"no day", "version: 1\nignore:\n  - {check: unused-rule, reason: r, expires: soon}\n", `a.yaml:3: expires: "soon" is neither`},
		{"a day that is none", "version: 1\nignore:\n  - {check: unused-rule, reason: r, expires: 2026-02-30}\n", "a.yaml:3: expires: "},
		{"created after it expires", "version: 1\nignore:\n  - {check: unused-rule, created: 2026-01-02, " + ok + "}\n", "a.yaml:3: expires: 2026-01-01 is before created"},
		{"an address for a block", "version: 1\nignore:\n  - {check: unused-rule, cidr: 10.0.0.1, " + ok + "}\n", `a.yaml:3: cidr: "10.0.0.1" is no block`},
		{"a block with host bits", "version: 1\nignore:\n  - {check: unused-rule, cidr: 10.0.0.1/8, " + ok + "}\n", "a.yaml:3: cidr: "},
		{"a group that a template left out", "version: 1\nignore:\n  - check: unused-rule\n    group:\n    reason: r\n    expires: 2026-01-01\n", "a.yaml:4: group: nothing is written behind it"},
		{"a region", "version: 1\nignore:\n  - {check: unused-rule, region: eu-west-1, " + ok + "}\n", "a.yaml:3: region: exports do not say"},
		{"the same twice", "version: 1\nignore:\n  - {id: ab, " + ok + "}\n  - {id: AB, reason: other, expires: 2027-01-01}\n", "a.yaml:4: the entry on line 3 is about the same"},
	} {
		_, err := Parse("a.yaml", []byte(c.text), options)
		var e *yamlfile.Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestParseTakesEntriesForeverIfToldSo(t *testing.T) {
	o := options
	o.AllowPermanent = true
	got, err := Parse("a.yaml", []byte("version: 1\nignore:\n  - {check: unused-rule, reason: r}\n"), o)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if got[0].Expired(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Error("what has no end has expired")
	}
}

func TestEntriesHoldThroughTheirLastDay(t *testing.T) {
	e := parse(t, "  - {id: a, reason: r, expires: 2026-01-31}\n")[0]
	for at, want := range map[string]bool{"2026-01-31T00:00:00Z": false, "2026-01-31T23:59:59Z": false, "2026-01-31T23:59:59.999Z": false, "2026-02-01T00:00:00Z": true, "2026-02-01T00:30:00+01:00": false} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if e.Expired(now) != want {
			t.Errorf("at %s expired is %v", at, !want)
		}
	}
}

func TestKeyIsOfWhatAnEntryIsAbout(t *testing.T) {
	es := parse(t, `  - {check: unused-rule, group: sg-1, reason: r, expires: 2026-01-31}
  - {check: unused-rule, rule: sg-1, reason: r, expires: 2026-01-31}
  - {check: unused-rule, group: sg-1, cidr: 10.0.0.0/8, reason: r, expires: 2026-01-31}
`)
	longer := parse(t, "  - {check: unused-rule, group: sg-1, reason: still, owner: me, expires: 2027-01-31}\n")[0]
	if longer.Key() != es[0].Key() {
		t.Error("an entry that is prolonged is another one")
	}
	if es[0].Key() == es[1].Key() || es[0].Key() == es[2].Key() {
		t.Error("entries about different things are the same")
	}
}

func TestCoversAsksForAllThatAnEntryNames(t *testing.T) {
	s := Subject{ID: "ab12", Check: "unused-rule", Account: "1234", VPC: "vpc-1", Group: "sg-web", Name: "web frontend", Rule: "sgr-1",
		Peers: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16")}, PeersWhole: true}
	for text, want := range map[string]bool{
		"id: ab12":                                   true,
		"id: ab12, check: wide-source":               false,
		"id: ab1":                                    false,
		"check: unused-rule":                         true,
		"check: wide-source":                         false,
		"check: unused-rule, account: '1234'":        true,
		"check: unused-rule, account: '123'":         false,
		"check: unused-rule, vpc: vpc-1":             true,
		"check: unused-rule, vpc: vpc-2":             false,
		"check: unused-rule, group: sg-web":          true,
		"check: unused-rule, group: web frontend":    true,
		"check: unused-rule, group: web*":            true,
		"check: unused-rule, group: sg-*":            true,
		"check: unused-rule, group: sg":              false,
		"check: unused-rule, group: '*eb'":           true,
		"check: unused-rule, group: '*w*b'":          true,
		"check: unused-rule, group: '*w*w*b'":        false,
		"check: unused-rule, rule: sgr-1":            true,
		"check: unused-rule, rule: sg-web/sgr-1":     true,
		"check: unused-rule, rule: sg-db/sgr-1":      false,
		"check: unused-rule, rule: sgr-2":            false,
		"check: unused-rule, cidr: 10.0.0.0/8":       true,
		"check: unused-rule, cidr: 10.1.0.0/16":      false,
		"check: unused-rule, cidr: 0.0.0.0/0":        true,
		"check: unused-rule, cidr: '::/0'":           false,
		"check: unused-rule, group: sg-web, vpc: no": false,
	} {
		if got := parse(t, "  - {"+text+", reason: r, expires: 2026-01-01}\n")[0].Covers(&s); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	group := Subject{Check: "unused-rule", Group: "sg-web"}
	for _, text := range []string{"rule: sgr-1", "rule: '*'", "cidr: 0.0.0.0/0"} {
		if parse(t, "  - {check: unused-rule, "+text+", reason: r, expires: 2026-01-01}\n")[0].Covers(&group) {
			t.Errorf("%s is about a whole group", text)
		}
	}
	s.PeersWhole = false // it names a group, too
	if parse(t, "  - {check: unused-rule, cidr: 10.0.0.0/8, reason: r, expires: 2026-01-01}\n")[0].Covers(&s) {
		t.Error("a block holds a group of which nobody knows the addresses")
	}
}

func TestLikeIsThePatternAsAnExpression(t *testing.T) {
	letters := []string{"", "a", "b", "*", "ab", "a*", "*a", "**", "aab", "a*b", "*a*", "b*a", "a*a", "ab*ab", "*ab", "abab", "aabb", "ba", "bab"}
	for _, p := range letters {
		e := regexp.MustCompile("^" + strings.ReplaceAll(p, "*", ".*") + "$")
		for _, s := range letters {
			if strings.Contains(s, "*") {
				continue
			}
			if got := like(p, s); got != e.MatchString(s) {
				t.Errorf("like(%q, %q) = %v", p, s, got)
			}
		}
	}
}
