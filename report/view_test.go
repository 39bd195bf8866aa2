package report

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPercentNeverRoundsUp(t *testing.T) {
	for share, want := range map[float64]string{
		0: "0 %", -1: "0 %", 1e-12: "< 0.01 %", 0.00009999: "< 0.01 %", 0.0001: "0.01 %", 0.29: "29 %", 0.57: "57 %", 0.1234567: "12.34 %",
		0.5: "50 %", 0.999999: "99.99 %", 0.99999999999: "99.99 %", 1: "100 %", 1.5: "150 %",
	} {
		if got := Percent(share); got != want {
			t.Errorf("Percent(%v) = %q, want %q", share, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", 1<<64 - 1: "18,446,744,073,709,551,615"} {
		if got := number(n); got != want {
			t.Errorf("number(%d) = %q, want %q", n, got, want)
		}
	}
	for s, want := range map[string]string{
		"": "", "0": "0", "1234": "1,234", "9999999999999": "9,999,999,999,999", "99999999999999": "9.99 × 10¹³",
		"340282366920938463463374607431768211456": "3.40 × 10³⁸", "-5": "-5", "12a": "12a",
	} {
		if got := magnitude(s); got != want {
			t.Errorf("magnitude(%q) = %q, want %q", s, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1<<63 - 1: "8.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestRuleText(t *testing.T) {
	for _, c := range [][6]string{
		{"ingress", "allow", "tcp", "443", "0.0.0.0/0", "ingress tcp 443 from 0.0.0.0/0"},
		{"egress", "allow", "all", "all", "::/0", "egress all traffic to ::/0"},
		{"ingress", "deny", "udp", "all", "10.0.0.0/8", "ingress deny udp all ports from 10.0.0.0/8"},
		{"ingress", "allow", "icmp", "all", "sg-1", "ingress icmp from sg-1"},
		{"ingress", "allow", "icmp", "type 8", "sg-1", "ingress icmp type 8 from sg-1"},
		{"egress", "allow", "47", "all", "pl-1", "egress protocol 47 to pl-1"},
	} {
		if got := ruleText(c[0], c[1], c[2], c[3], c[4]); got != c[5] {
			t.Errorf("got %q, want %q", got, c[5])
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"plain ü 漢字":               "plain ü 漢字",
		"a\nb\r\tc":                "a b  c",
		"\x1b[1;31mred\x1b[0m":     "red",
		"\x1b[31":                  "",
		"a\x1b":                    "a",
		"\u009b31mred":             "red",
		"\x1b]0;title\x07after":    "after",
		"\x1b]8;;u\x1b\\x\x1b]8;;": "x",
		"\x1bPdcs\x1b\\after":      "after",
		"\u202eabc\u2069\u200e":    "abc",
		"a\u200bb\ufeff\u00ad":     "ab",
		"\x00\x7f\u0085":           "",
		"\xff\xfe":                 "\ufffd\ufffd",
		"\xc2":                     "\ufffd",
		"line\u2028two\u2029":      "line two ",
	} {
		if got := clean(in, 100); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	for _, n := range []int{1, 2, 5} {
		if got := clean("漢字漢字漢字", n); utf8.RuneCountInString(got) != n || !strings.HasSuffix(got, "…") {
			t.Errorf("clean(…, %d) = %q", n, got)
		}
	}
	if got := clean("漢字", 2); got != "漢字" {
		t.Errorf("what fits is cut: %q", got)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range traps {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s, 50)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) || utf8.RuneCountInString(got) > 50 {
			t.Errorf("clean(%q) = %q", s, got)
		}
		if again := clean(got, 50); again != got {
			t.Errorf("clean is not stable: %q, %q", got, again)
		}
		if e := escape(s); markdownShape(e) != "" {
			t.Errorf("escape(%q) = %q", s, e)
		}
	})
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one two three", 100, "one two three"},
		{"one two three", 7, "one two\nthree"},
		{"- one two three", 9, "- one two\n  three"},
		{"abcdefghij", 4, "abcd\nefgh\nij"},
		{"a\nb c", 10, "a\nb c"},
	} {
		if got := wrap(c.in, c.width); got != c.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}

func TestManyDaysAreFoldedToBars(t *testing.T) {
	for n := range 400 {
		daily := strings.Repeat("0123450", 60)[:n]
		bars, per := barsOf(daily)
		if len(bars) > mostBars || per*len(bars) < n || n <= mostBars && bars != daily {
			t.Fatalf("%d days: %d bars of %d days", n, len(bars), per)
		}
	}
	if bars, per := barsOf(strings.Repeat("01", 92)); per != 2 || bars != strings.Repeat("1", 92) {
		t.Errorf("%d days a bar: %s", per, bars)
	}
}

func TestEditsAreRankedByWhatTheyTakeAwayAndHowSure(t *testing.T) {
	rule := func(ref, ports, peer string) Rule {
		return Rule{Ref: ref, Direction: "ingress", Action: "allow", Protocol: "tcp", Ports: ports, Peer: peer}
	}
	edit := func(ref, basis, confidence string, with ...string) Edit {
		e := Edit{Op: "remove", Ref: Optional(ref), Group: "g", Basis: basis, Confidence: confidence}
		for _, peer := range with {
			e.Op, e.With = "replace", append(e.With, NewRule{Protocol: "tcp", Ports: "443", Peer: peer})
		}
		return e
	}
	r := &Report{
		Rules: []Rule{rule("g/all", "all", "0.0.0.0/0"), rule("g/doubt", "all", "0.0.0.0/0"), rule("g/little", "443", "10.0.0.0/24"), rule("g/narrowed", "443", "10.0.0.0/8"),
			rule("g/same", "all", "0.0.0.0/0"), rule("g/grave", "22", "10.0.0.0/24"), rule("g/accepted", "22", "10.0.0.0/30")},
		Findings: []Finding{{Ref: "g/grave", Severity: "high"}, {Ref: "g/accepted", Severity: "critical", Suppressed: &Suppression{}}, {Ref: "g/little", Severity: "medium"}},
		Plan: Plan{Edits: []Edit{edit("g/accepted", "observed", "high"), edit("g/all", "observed", "high"), edit("g/doubt", "observed", "low"), edit("g/grave", "observed", "high"),
			edit("g/little", "observed", "high"), edit("g/narrowed", "observed", "high", "10.0.0.0/16"), edit("g/same", "equivalent", "high")}},
	}
	var got []string
	for _, e := range ranked(r) {
		got = append(got, strings.TrimPrefix(string(e.Ref), "g/"))
	}
	if want := "grave all doubt little narrowed accepted same"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, " "), want)
	}
}

// What hardly differs is shown by what goes beyond the least; what differs, as it is.
func TestHeightsOfTradeoffs(t *testing.T) {
	on := []bool{true, true, false}
	for _, c := range []struct {
		values []string
		beyond bool
		least  string
	}{
		{[]string{"1000", "10", "5000"}, false, "10"},
		{[]string{"36112526494113820", "36112526494023740", "36112526645735864"}, true, "36112526494023740"},
		{[]string{"7", "0", "9"}, true, "0"},
	} {
		h := heightsOf(c.values, on)
		if h.y == nil || h.beyond != c.beyond || h.least != c.least {
			t.Errorf("%v: %+v", c.values, h)
			continue
		}
		if lo, hi := slices.Min(h.y), slices.Max(h.y); lo != 0 || hi != 1 {
			t.Errorf("%v: heights %v", c.values, h.y)
		}
	}
	for _, values := range [][]string{{"5", "5", "5"}, {"x", "1", "2"}, {"-1", "1", "2"}, {strings.Repeat("9", 99), "1", "2"}} {
		if h := heightsOf(values, on); h.y != nil {
			t.Errorf("%v: %+v", values, h)
		}
	}
}

// What is read out of a rule's evidence is what the document has, and no more.
func TestEvidenceOfARule(t *testing.T) {
	r := sample()
	byRef, details := rulesByRef(r), detailsByRef(r)
	for ref, want := range map[string][]string{
		"sg-0app/sgr-0c1":    {"4,804 connections from 1,602 peers", "4,790 connections would be denied without it, the greatest of them", "10.20.0.12 → eni-0app1, tcp 8080, 88,120 records, last 2025-03-31", "sg-0app/sgr-0c2 (4,011 of 4,804)"},
		"sg-0app/sgr-0c2":    {"nothing that was seen would be denied without it: other rules decide the same", "and 2 more"},
		"sg-0bas/sgr-0b1":    {"198.51.100.201 → eni-0bas1, tcp 22, 4 records, last 2025-03-11, never answered"},
		"sg-0web/sgr-0e2":    {"no connection in 31 days, in force on 2 interfaces", "nothing that was seen would be denied without it"},
		"acl-0c1/ingress-90": {"9 connections would be allowed without it"},
	} {
		e := evidence(r, byRef[ref], details[ref])
		all := strings.Join(append(append([]string{e.Use, e.Days, e.Alone, e.SharesMore}, e.Shares...), e.Decisive...), "\n")
		for _, w := range want {
			if !strings.Contains(all, w) {
				t.Errorf("%s: no %q in\n%s", ref, w, all)
			}
		}
	}
}
