package report

import (
	"bytes"
	"encoding/csv"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readCSV reads the CSV view of r: one map a row, by column.
func readCSV(t *testing.T, r *Report) []map[string]string {
	t.Helper()
	out := render(t, func(b *bytes.Buffer) error { return CSV(b, r) })
	c := csv.NewReader(strings.NewReader(out))
	rows, err := c.ReadAll() // every row as long as the header
	if err != nil {
		t.Fatal(err)
	}
	var table []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		table = append(table, m)
	}
	return table
}

// unguarded takes the apostrophes of guarded away.
func unguarded(cell string) string {
	parts := strings.Split(cell, ";")
	for i := range parts {
		parts[i] = strings.TrimPrefix(parts[i], "'")
	}
	return strings.Join(parts, ";")
}

func TestCSVHasOneRowARule(t *testing.T) {
	r := sample()
	r.Findings[3].Suppressed = &Suppression{Reason: "planned"} // of sgr-0e2, which has another
	r.Rules[4].Source = &Source{Path: "policy/a.json", Line: 17, Address: "module.a.rule[\"x\"]"}
	rows := readCSV(t, r)
	if len(rows) != len(r.Rules) {
		t.Fatalf("%d rows of %d rules", len(rows), len(r.Rules))
	}
	byRef := map[string]map[string]string{}
	for i, row := range rows {
		x := &r.Rules[i]
		got := []string{row["ref"], row["group"], row["rule"], row["peer"], row["description"], row["hits"], row["last_seen"], row["schema"]}
		want := []string{x.Ref, x.Group, x.Rule, x.Peer, x.Description, digits(x.Hits), x.LastSeen.String(), SchemaName}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("row %d: %s", i, d)
		}
		byRef[x.Ref] = row
	}
	for _, c := range []struct{ ref, column, want string }{
		{"sg-0web/sgr-0e2", "findings", "exposed-admin-port"},
		{"sg-0web/sgr-0e2", "severity", "high"},
		{"sg-0web/sgr-0e2", "edit", "remove"},
		{"sg-0web/sgr-0e2", "group_name", "web"},
		{"sg-0web/sgr-0e4", "becomes", "ingress tcp 8081 from 10.20.1.0/26"},
		{"sg-0app/sgr-0c1", "becomes", "ingress tcp 8080 from sg-0web + ingress tcp 9100 from 10.20.9.0/28"},
		{"sg-0app/sgr-0c3", "declined", "the log has gaps on eni-0app4 (3 days), the only interface where the rule is in force alone"},
		{"sg-0alb/sgr-0a1", "source_line", "17"},
		{"sg-0alb/sgr-0a1", "source_address", "module.a.rule[\"x\"]"},
		{"sg-0web/sgr-0e2", "source_line", ""},
		{"implicit/default:sg:ingress", "implicit", "true"},
		{"acl-0c1/ingress-90", "last_seen", "2025-03-30T22:00:00Z"},
	} {
		if got := byRef[c.ref][c.column]; got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.ref, c.column, got, c.want)
		}
	}
}

// Columns that scripts rely on stay where they are.
func TestCSVColumnsAreOnlyAddedAtTheEnd(t *testing.T) {
	const first = "schema,ref,group,group_name,rule,direction,action,priority,protocol,ports,peer,description,implicit,editable,created," +
		"verdict,reason,hits,decisive,possible_hits,records,packets,bytes,peers,first_seen,last_seen,interfaces,hit_interfaces," +
		"severity,findings,finding_ids,edit,becomes,basis,confidence,declined,source_path,source_line,source_address"
	out := render(t, func(b *bytes.Buffer) error { return CSV(b, &Report{}) })
	if !strings.HasPrefix(out, first) || !strings.HasSuffix(out, "\r\n") {
		t.Errorf("the header is %q", out)
	}
}

// What a spreadsheet could run never begins a cell, whichever of comma, semicolon and
// tab the spreadsheet takes for the separator, and whether it knows quotes or not.
func TestCSVCellsAreNeverFormulas(t *testing.T) {
	begins := regexp.MustCompile(`(?:^|[;\t\r\n])[\s"\x00]*[=+@＝＋＠－-]`)
	traps := append(slices.Clone(traps),
		"=cmd|'/C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "  \"=1\"", "\x00=1", "＝1", "＋1", "－1", "＠x",
		"a;=1", "a;\"=1\"", "a; -1", "a\t=1", "a,=1", "'=1", "''", "';'", ";;=1", "\"=1", "a\"\r\n=1", "x-y", "1+1", "it's", "\u200b=1", "\x1b[31m=1")
	r := &Report{}
	for _, x := range traps {
		r.Rules = append(r.Rules, Rule{Ref: x, Group: x, Rule: x, Peer: x, Ports: x, Description: x, Reason: x, Protocol: x, Verdict: x})
	}
	rows := readCSV(t, r)
	if len(rows) != len(traps) {
		t.Fatalf("%d rows of %d rules", len(rows), len(traps))
	}
	for i, row := range rows {
		for column, cell := range row {
			if begins.MatchString(cell) {
				t.Errorf("%q becomes %q in %s", traps[i], cell, column)
			}
			if strings.ContainsAny(cell, "\r\n\t\x00\x1b") {
				t.Errorf("%q: control characters in %q", traps[i], cell)
			}
		}
		if got, want := unguarded(row["description"]), clean(traps[i], len(traps[i])+1); got != want {
			t.Errorf("%q comes back as %q, want %q", traps[i], got, want)
		}
	}
}

func TestGuardedLeavesOrdinaryCellsAlone(t *testing.T) {
	for _, x := range []string{"", "0", "10.0.0.0/8", "::/0", "8000-8100", "sg-0web/sgr-0e2", "web tier; see wiki", "a = b", "2025-03-01T00:00:00Z"} {
		if got := guarded(x); got != x {
			t.Errorf("%q becomes %q", x, got)
		}
	}
}

func FuzzGuarded(f *testing.F) {
	for _, x := range []string{"=1", "a;=1", "'", "';", "\" =", "x"} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		got := guarded(cell)
		if unguarded(got) != cell {
			t.Errorf("%q becomes %q, which comes back as %q", cell, got, unguarded(got))
		}
		if got != "" && strings.ContainsRune("=+-@", rune(got[0])) {
			t.Errorf("%q becomes %q", cell, got)
		}
	})
}
