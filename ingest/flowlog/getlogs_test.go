package flowlog

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGetLogsAnswersThatArePartialSaySo(t *testing.T) {
	object := jsonObjects(alibabaRecords()[:2], false)[0]
	answer := func(progress string, n int) string {
		return `{"meta":{"progress":"` + progress + `"},"data":[` + strings.Join(slices.Repeat([]string{object}, n), ",") + `]}`
	}
	for _, c := range []struct {
		text string
		rows uint64
		want string // the one sign, if any
	}{
		{answer("Complete", 3), 3, ""},
		{answer("Complete", 0), 0, ""},
		{answer("Incomplete", 3), 3, partialLogs},
		{answer("Complete", 100), 100, partialHits},
		{answer("Complete", 100) + "\n" + answer("Complete", 3), 103, ""},
		{answer("Complete", 100) + "\n" + answer("Complete", 0), 100, ""},
		{"[" + strings.Join(slices.Repeat([]string{object}, 100), ",") + "]", 100, ""},
		{answer("Complete", 100) + "\n" + object, 101, ""},
		{answer("Complete", 100) + strings.Replace(object, "{", `{"x":[],`, 1), 101, ""},
		{`{"events":[],"nextToken":"t"}` + "\n" + object, 1, ""},
		{`{"nextToken":"t","data":[` + object + `]}`, 1, partialPage},
		{`{"data":[]}`, 0, ""},
		{`{"meta":7,"data":[` + object + `]}`, 1, ""},
	} {
		_, s, err := decodeJSON(c.text)
		if err != nil {
			t.Errorf("%.60s: %v", c.text, err)
			continue
		}
		checkCounts(t, s, counts{records: c.rows, rows: c.rows})
		if got := strings.Join(s.Partial.Names(), ""); got != c.want {
			t.Errorf("%.60s, %d rows: signs %q, want %q", c.text, c.rows, got, c.want)
		}
	}
}

// A key of a record that happens to be called data is no wrapper, and nesting without
// end neither panics nor loses count.
func TestDataThatIsNoAnswerOfGetLogs(t *testing.T) {
	object := jsonObjects(alibabaRecords()[:2], false)[0]
	for _, c := range []struct {
		text string
		want counts
	}{
		{strings.Replace(object, "{", `{"data":"x",`, 1), counts{records: 1, rows: 1}},
		{strings.Replace(object, "}", `,"data":[`+object+`]}`, 1), counts{records: 2, rows: 2}},
		{`{"data":"x"}`, counts{records: 1, unsupported: causeNoRecord}},
		{`{"data":{"a":1}}`, counts{records: 1, unsupported: causeNoRecord}},
		{`{"data":[1]}`, counts{records: 1, malformed: causeNotObject}},
		{strings.Repeat(`{"data":[`, 1000) + strings.Repeat(`]}`, 1000), counts{records: 1, unsupported: causeNoRecord}},
	} {
		_, s, err := decodeJSON(c.text)
		if err != nil {
			t.Errorf("%.60s: %v", c.text, err)
			continue
		}
		checkCounts(t, s, c.want)
	}
}

func TestRecordAroundDataKeepsItsOwnValues(t *testing.T) {
	objects := jsonObjects(alibabaRecords()[:3], false)
	want, _, _ := decodeJSON(objects[1] + "\n" + objects[0])
	got, _, err := decodeJSON(strings.TrimSuffix(objects[0], "}") + `,"data":[` + objects[1] + `]}`)
	if d := cmp.Diff(want, got, equateNetip); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}
