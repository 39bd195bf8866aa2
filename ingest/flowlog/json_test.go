package flowlog

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

func decodeJSON(text string) ([]flow.Record, *Stats, error) {
	var c collector
	s, err := DecodeJSON(context.Background(), strings.NewReader(text), "x.json", DefaultLayout(), c.add)
	return c.records, s, err
}

func TestJSONFormsHoldTheSameRecords(t *testing.T) {
	const second = "2 123456789010 eni-2 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK"
	want, _ := decode(ok+"\n"+second, DefaultLayout())
	flat := func(line string) string {
		var b strings.Builder
		for i, name := range strings.Fields(defaultNames) {
			v := strings.Fields(line)[i]
			if strings.Trim(v, "0123456789") != "" {
				v = fmt.Sprintf("%q", v)
			}
			fmt.Fprintf(&b, ",%q:%s", strings.ReplaceAll(name, "-", "_"), v)
		}
		return "{" + b.String()[1:] + "}"
	}
	insights := func(line string) string {
		var b strings.Builder
		names := "version accountId interfaceId srcAddr dstAddr srcPort dstPort protocol packets bytes startTime endTime action logStatus"
		for i, name := range strings.Fields(names) {
			fmt.Fprintf(&b, `,{"field":%q,"value":%q}`, name, strings.Fields(line)[i])
		}
		return "[" + b.String()[1:] + `,{"field":"@ptr","value":"x"}]`
	}
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	events := `[{"logStreamName":"eni-1-all","timestamp":1,"message":"` + ok + `","ingestionTime":2,"eventId":"3"},{"message":"` + second + `\n"}]`
	pretty := strings.NewReplacer(",", ",\n ", "{", "{\n", "}", "\n}").Replace
	for name, text := range map[string]string{
		"filter-log-events":    `{"events":` + events + `,"searchedLogStreams":[]}`,
		"pretty":               pretty(`{"events":` + events + `,"searchedLogStreams":[{"a":[1]}]}`),
		"pages":                `{"nextToken":"t","events":` + events[:strings.Index(events, "},{")+1] + `]}{"events":[{"message":"` + second + `"}]}`,
		"subscription":         `{"messageType":"DATA_MESSAGE","owner":"1","logEvents":` + events + `}`,
		"subscriptions":        `{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"CWL CONTROL MESSAGE"}]}{"messageType":"DATA_MESSAGE","logEvents":` + events + `}`,
		"array":                events,
		"lines":                `{"message":"` + ok + `"}` + "\r\n\n" + `{"@timestamp":"x","message":"` + second + `","n":{"a":[]}}`,
		"lines, no newline":    `{"message":"` + ok + `"}{"message":"` + second + `"}`,
		"lines, escaped":       `{"message":"` + strings.ReplaceAll(ok, "2", `\u0032`) + `"}` + "\n" + `{"message":"` + second + `"}`,
		"two in one message":   `{"message":"` + ok + `\n` + second + `\n"}`,
		"header in message":    `{"message":"` + defaultNames + `"}` + "\n" + `{"message":"` + ok + `"}` + "\n" + `{"message":"` + second + `"}`,
		"flat":                 flat(ok) + "\n" + flat(second),
		"flat in message":      `{"message":` + quoted(flat(ok)) + "}\n" + `{"message":` + quoted(flat(second)+"\n") + "}",
		"insights":             `{"results":[` + insights(ok) + `,` + insights(second) + `],"statistics":{"recordsMatched":2.0},"status":"Complete"}`,
		"insights, @message":   `{"results":[[{"field":"@message","value":"` + ok + `"},{"field":"srcAddr","value":"x"}],[{"field":"@message","value":"` + second + `"}]],"status":"Complete"}`,
		"status before result": `{"status":"Complete","results":[` + insights(ok) + `,` + insights(second) + `]}`,
	} {
		got, s, err := decodeJSON(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, got, equateNetip); d != "" {
			t.Errorf("%s (-text +json):\n%s", name, d)
		}
		if s.Records != 2 || s.Rows != 2 || s.Partial != nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestJSONThatIsNoRecordIsCounted(t *testing.T) {
	for _, c := range []struct {
		text string
		want counts
		line int64
	}{
		{`{"message":"` + ok + `"}` + "\n" + `{"message":"` + ok, counts{records: 2, rows: 1, malformed: causeNotJSON}, 2},
		{`{"message":"` + ok + `"}` + "\nnonsense\n", counts{records: 2, rows: 1, malformed: causeNotJSON}, 2},
		{`{"message":""}`, counts{records: 1, malformed: causeNoMessage}, 1},
		{`{"message":"hello"}`, counts{records: 1, malformed: causeNoLayout}, 1},
		{"{\n\"events\":[\n{\"message\":\"hello\"}]}", counts{records: 1, malformed: causeNoLayout}, 3},
		{`{"events":[{"timestamp":1}]}`, counts{records: 1, malformed: causeNoMessage}, 1},
		{`{"events":[{"message":{"a":1}},7]}`, counts{records: 2, malformed: causeNoMessage}, 1},
		{`[1,2]`, counts{records: 2, malformed: causeNotObject}, 1},
		{`{}`, counts{records: 1, unsupported: causeNoRecord}, 1},
		{`{"events":null}`, counts{}, 0},
		{`{"Version":"2012-10-17","Statement":[]}`, counts{records: 1, unsupported: causeNoRecord}, 1},
		{`{"class_uid":4001,"src_endpoint":{"ip":"1.2.3.4"},"action":"Denied"}`, counts{records: 1, unsupported: causeOCSF}, 1},
		{`{"tgw_id":"tgw-1","srcaddr":"10.0.0.1"}`, counts{records: 1, unsupported: causeGateway}, 1},
		{`{"interface_id":"eni-1","srcaddr":"10.0.0.1","dstaddr":"10.0.0.2","start":1,"end":2,"action":"ACCEPT","protocol":6}`, counts{records: 1, unsupported: causeNoPort}, 1},
		{`{"message":"{\"message\":\"{}\"}"}`, counts{records: 1, unsupported: causeNested}, 1},
		{`[[[[[[["deep"]]]]]]]`, counts{records: 1, malformed: causeNotObject}, 1},
	} {
		_, s, err := decodeJSON(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		checkCounts(t, s, c.want)
		for _, m := range []Reasons{s.Malformed, s.Unsupported} {
			if first, ok := m.First(); ok && first.Line != c.line {
				t.Errorf("%s: at line %d, want %d", c.text, first.Line, c.line)
			}
		}
	}
}

func TestJSONThatIsCutOffOrPartialIsSaid(t *testing.T) {
	for _, text := range []string{
		"{\"events\":[\n{\"message\":\"" + ok + "\"},\n",
		"{\"events\":[\n{\"message\":\"" + ok + "\"}\n}",
		`{"results":[],"status":"Running"}`,
		`{"results":[[{"field":"@message","value":"` + ok + `"}]],"status":"Failed"}`,
	} {
		if _, s, err := decodeJSON(text); err == nil {
			t.Errorf("%q is read without an error: %+v", text, s)
		}
	}
	_, s, err := decodeJSON(`{"events":[],"nextToken":"abc"}`)
	if err != nil || only(s.Partial) != partialPage {
		t.Errorf("next page: %v, %v", s.Partial.Names(), err)
	}
}

func TestJSONLinesOfAnyLengthAreRead(t *testing.T) {
	pad := `{"message":"` + ok + `","pad":"` + strings.Repeat("x", jsonWindow+10) + `"}`
	small := `{"message":"` + ok + `"}`
	for name, text := range map[string]string{
		"long first": pad + "\n" + small + "\n" + small,
		"long later": small + "\n" + pad + "\n" + small,
	} {
		got, s, err := decodeJSON(text)
		if err != nil || len(got) != 3 || s.Records != 3 {
			t.Errorf("%s: %d rows, %v", name, len(got), err)
		}
	}
}

// checkFlatLine compares the short way that a line with a plain object takes with the
// way of tokens, which an object in an array takes.
func checkFlatLine(t *testing.T, d *jsonDecoder, line string) {
	t.Helper()
	if done, _ := d.flatLine([]byte(strings.TrimSpace(line))); done && !json.Valid([]byte(line)) {
		t.Errorf("%q is taken for JSON", line)
	}
	if !json.Valid([]byte(line)) || line[0] != '{' || strings.Contains(line, "\n") {
		return
	}
	for _, wrapper := range []string{`\u`, `"data"`, `"logs"`, `"Logs"`, "message"} { // these count how deep they are
		if strings.Contains(line, wrapper) {
			return
		}
	}
	want, wantStats, err1 := decodeJSON("[" + line + "]")
	got, stats, err2 := decodeJSON(line)
	if err1 != nil || err2 != nil {
		t.Fatalf("%s: %v, %v", line, err1, err2)
	}
	if d := cmp.Diff(want, got, equateNetip); d != "" {
		t.Errorf("%s (-tokens +flat):\n%s", line, d)
	}
	if d := cmp.Diff(wantStats, stats); d != "" {
		t.Errorf("%s (-tokens +flat):\n%s", line, d)
	}
}

func TestFlatLinesMeanWhatTokensSay(t *testing.T) {
	r := rand.New(rand.NewPCG(45, 45))
	keys := append(strings.Fields(alibabaColumns), "interface-id", "srcAddr", "pkt_srcaddr", "flow-direction", "EniId", "ENI_ID", "x", "new-key",
		"__time__", "__tag__:a", "message", "tgw-id", "Direction", "é", "status", "")
	odd := []string{"null", "true", "false", "0", "-1", "00", "1.5", "1e3", `""`, `" 7 "`, `"\u0037"`, `"é"`, `"-"`, `"\t7"`, "[]", "{}", `["1"]`}
	spaces := []string{"", "", "", " ", "\t", "  "}
	space := func() string { return spaces[r.IntN(len(spaces))] }
	flat := 0
	d := &jsonDecoder{lines: NewLineDecoder((&collector{}).add), stats: &Stats{}}
	for range 600 {
		var b strings.Builder
		b.WriteString("{" + space())
		for i := range r.IntN(26) {
			if i > 0 {
				b.WriteString(space() + "," + space())
			}
			key := keys[i%len(keys)]
			if r.IntN(6) == 0 {
				key = keys[r.IntN(len(keys))]
			}
			f, _ := LookupField(key)
			value := `"x"`
			if choices := pool[f]; choices != nil {
				value = `"` + choices[0] + `"`
				if r.IntN(6) == 0 {
					value = `"` + choices[r.IntN(len(choices))] + `"`
				}
			}
			switch r.IntN(30) {
			case 0:
				value = odd[r.IntN(len(odd))]
			case 1, 2, 3:
				if inner := strings.Trim(value, `"`); inner != "" && strings.Trim(inner, "0123456789") == "" {
					value = inner
				}
			}
			b.WriteString(`"` + key + `"` + space() + ":" + space() + value)
		}
		line := b.String() + space() + "}" + space()
		if done, _ := d.flatLine([]byte(strings.TrimSpace(line))); done {
			flat++
		}
		checkFlatLine(t, d, line)
	}
	if flat < 100 {
		t.Errorf("only %d lines went the short way", flat)
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"message":"` + ok + `"}`, `{"events":[{"message":"` + ok + `"}]}`, `{"results":[[{"field":"srcAddr","value":"1.2.3.4"}]],"status":"Complete"}`,
		`{"srcaddr":"1.2.3.4","start":1}`, `[{"message":"{}"}]`, "{\n", `{"events":[{"message":null}]}`, "[[[[[", `{"a":1}{"b":`,
		`{"eni-id":"eni-1","direction":"in","srcaddr":"10.0.0.1","dstaddr":"10.0.0.2","srcport":"1","dstport":2,"protocol":"6","action":"ACCEPT","start":"1","end":"1","__time__":9,"tcp-flags":"18"}`,
		`{"meta":{"progress":"Incomplete"},"data":[{"eni-id":"eni-1"}]}`, `{"data":[{"data":[{"logs":[[]]}]}]}`} {
		f.Add(s)
	}
	d := &jsonDecoder{lines: NewLineDecoder((&collector{}).add), stats: &Stats{}}
	f.Fuzz(func(t *testing.T, text string) {
		got, s, err := decodeJSON(text)
		if err != nil {
			return
		}
		checkFlatLine(t, d, text)
		if s.Rows != uint64(len(got)) || s.Records != s.Rows+s.Malformed.Total()+s.Unsupported.Total() {
			t.Fatalf("%d rows given, %d counted, of %d records, %d malformed, %d unsupported", len(got), s.Rows, s.Records, s.Malformed.Total(), s.Unsupported.Total())
		}
	})
}
