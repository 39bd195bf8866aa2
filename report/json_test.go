package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func encode(t *testing.T, r *Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadGivesBackWhatWriteWrote(t *testing.T) {
	for name, r := range map[string]*Report{"sample": sample(), "hostile": hostile(), "zero": (&Report{}).complete()} {
		got, err := Read(bytes.NewReader(encode(t, r)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "hostile" {
			// What is not UTF-8 cannot stand in JSON.
			r = replaceInvalid(r)
		}
		if d := cmp.Diff(r, got); d != "" {
			t.Errorf("%s: read differs (-wrote +read):\n%s", name, d)
		}
	}
}

func replaceInvalid(r *Report) *Report {
	data, _ := json.Marshal(r)
	var out Report
	if err := json.Unmarshal(data, &out); err != nil {
		panic(err)
	}
	return out.complete()
}

func TestWriteIsStableAndDoesNotChangeTheReport(t *testing.T) {
	r := &Report{Findings: []Finding{{ID: "a"}}, Plan: Plan{Edits: []Edit{{Op: "remove"}}}}
	first := encode(t, r)
	if r.Notes != nil || r.Findings[0].Facts != nil || r.Plan.Edits[0].With != nil {
		t.Error("Write changed the report")
	}
	if !bytes.Equal(first, encode(t, r)) {
		t.Error("two writes differ")
	}
}

// Arrays are never null, also inside elements that were filled by hand.
func TestWriteHasNoNullArrays(t *testing.T) {
	r := &Report{Findings: []Finding{{}}, Plan: Plan{Edits: []Edit{{}}}, Coverage: Coverage{Interfaces: []InterfaceCoverage{{}}},
		Fidelity: Fidelity{Interfaces: []InterfaceFidelity{{}}}}
	allowed := map[string]bool{"created": true, "from": true, "to": true, "ref": true, "finding": true, "witness": true, "suppressed": true}
	for line := range strings.Lines(string(encode(t, r))) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(value, "null") && !allowed[strings.Trim(key, `"`)] {
			t.Errorf("null in %s", strings.TrimSpace(line))
		}
	}
}

func TestWriteForm(t *testing.T) {
	r := sample()
	r.Rules[0].Description = "<b> & \x1b[31m\u202egnp\u009b1m\u2028\U000e0041 ü"
	text := string(encode(t, r))
	if !strings.HasSuffix(text, "}\n") || strings.HasSuffix(text, "\n\n") {
		t.Error("want one newline at the end")
	}
	if want := `"description": "<b> & \u001b[31m\u202egnp\u009b1m\u2028\udb40\udc41 ü"`; !strings.Contains(text, want) {
		t.Errorf("want %s", want)
	}
	for _, c := range text {
		if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
			t.Fatalf("raw %U in the JSON", c)
		}
	}
	back, err := Read(strings.NewReader(text))
	if err != nil || back.Rules[0].Description != r.Rules[0].Description {
		t.Errorf("description comes back as %q, %v", back.Rules[0].Description, err)
	}
	if !strings.Contains(text, `"from": "2025-03-01T00:00:00Z"`) || !strings.Contains(text, `"newly_allowed": "none"`) {
		t.Error("times or newly_allowed are not in the form of the schema")
	}
}

func TestReadErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{``, `report: line 1: unexpected end of JSON input`},
		{`{`, `report: line 1: unexpected end of JSON input`},
		{"{\n \"schema\": 1}", `report: line 2: json: cannot unmarshal number into Go struct field .schema of type string`},
		{`{}`, `report: schema: missing; is this a report of sgadvise?`},
		{`[]`, `report: line 1: json: cannot unmarshal array into Go value of type struct { Schema string "json:\"schema\"" }`},
		{`{"schema": "sgadvise.report/2"}`, `report: schema: "sgadvise.report/2" is not known to this version, which reads "sgadvise.report/1"`},
		{`{"schema": "sgadvise.report/10"}`, `report: schema: "sgadvise.report/10" is not known to this version, which reads "sgadvise.report/1"`},
		{`{"schema": "other/1"}`, `report: schema: "other/1" is not a report; want "sgadvise.report/1"`},
		{`{"schema": "sgadvise.report/1", "created": "today"}`, `report: "today" is not a time in RFC 3339`},
	} {
		_, err := Read(strings.NewReader(c.in))
		if err == nil || err.Error() != c.want {
			t.Errorf("Read(%q):\n got %v\nwant %s", c.in, err, c.want)
		}
	}
}

func TestReadAcceptsLaterMinorVersions(t *testing.T) {
	in := strings.Replace(string(encode(t, sample())), `"sgadvise.report/1"`, `"sgadvise.report/1.3", "new_key": {"a": [1]}`, 1)
	r, err := Read(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rules) != len(sample().Rules) {
		t.Errorf("%d rules", len(r.Rules))
	}
}

func TestTimesStayInRFC3339(t *testing.T) {
	for _, x := range []Time{0, 1, -1, 1_700_000_000, lastTime, lastTime + 1, math.MaxInt64, math.MinInt64} {
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		var back Time
		if err := json.Unmarshal(b, &back); err != nil {
			t.Errorf("%d is written as %s: %v", x, b, err)
		}
		if want := min(max(x, firstTime), lastTime); back != want {
			t.Errorf("%d comes back as %d, want %d", x, back, want)
		}
	}
	if got := TimeOf(time.Time{}); got != 0 {
		t.Errorf("TimeOf(zero) = %d", got)
	}
	if got := fmt.Sprint(Time(0)); got != "" {
		t.Errorf("the zero Time is %q", got)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, sample()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"schema":"sgadvise.report/1","plan":{"proof":{"newly_allowed":["a"]},"edits":[{}]},"findings":[{"suppressed":{}}]}`))
	f.Add([]byte(`{"schema":"sgadvise.report/1","rules":[{"ref":"\u202e"}],"window":{"from":"0000-01-01T00:00:00Z","to":"9999-12-31T23:59:59Z"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, format := range Formats {
			var out bytes.Buffer
			if err := format.Render(&out, r); err != nil {
				t.Errorf("%s: %v", format.Name, err)
			}
		}
		var again bytes.Buffer
		if err := Write(&again, r); err != nil {
			t.Fatal(err)
		}
		back, err := Read(&again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if d := cmp.Diff(r, back); d != "" {
			t.Errorf("read differs:\n%s", d)
		}
	})
}
