package flowlog

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// alibabaColumns are the fields of Alibaba Cloud's flow logs as Log Service names them.
const alibabaColumns = "version account-id eni-id vm-id vswitch-id vpc-id region type protocol srcaddr srcport dstaddr dstport direction action packets bytes start end tcp-flags log-status traffic_path srctype dsttype"

const alibabaRow = "1 1234567890123456 eni-bp1a i-bp1a vsw-bp1a vpc-bp1a cn-hangzhou IPv4 6 10.1.0.5 40001 10.2.0.7 5432 out ACCEPT 10 840 1777593600 1777593660 2 OK 2 shop internet"

// separators are those that a shipment of CSV may have.
var separators = []string{",", "\t", "|", " "}

// alibabaRecords are the records that the tests write in every form: those that are
// good, and every way in which one can be missing something or be wrong. The first
// line has the names.
func alibabaRecords() [][]string {
	names := strings.Fields(alibabaColumns)
	out := [][]string{names}
	change := func(pairs ...string) {
		row := strings.Fields(alibabaRow)
		for i := 0; i < len(pairs); i += 2 {
			row[slices.Index(names, pairs[i])] = pairs[i+1]
		}
		out = append(out, row)
	}
	change()
	change("direction", "in", "action", "REJECT", "srcaddr", "47.1.2.3", "dstaddr", "10.1.0.5", "traffic_path", "13")
	change("start", "1777593660")
	change("srcaddr", "2001:db8::1", "dstaddr", "2001:db8::2", "type", "IPv6")
	change("srcaddr", "2001:db8::1", "dstaddr", "2001:db8::2", "type", "-")
	change("protocol", "1", "srcport", "0", "dstport", "0", "tcp-flags", "0")
	change("protocol", "47", "srcport", "-", "dstport", "-", "tcp-flags", "-")
	for _, path := range []string{"0", "16", "22", "99", "-", "all", "ipv4Gateway", "natGateway", "vpnGateway", "gatewayEndpoint", "transitRouter", "virtualBorderRouter", "whatever"} {
		change("traffic_path", path)
	}
	for flags := range 64 {
		change("tcp-flags", fmt.Sprint(flags))
	}
	nothing := []string{"type", "-", "protocol", "-", "srcaddr", "-", "srcport", "-", "dstaddr", "-", "dstport", "-", "direction", "-",
		"action", "-", "packets", "-", "bytes", "-", "tcp-flags", "-", "traffic_path", "-"}
	change(append(nothing, "log-status", "NODATA")...)
	change(append(nothing, "log-status", "SKIPDATA")...)
	change(append(nothing, "log-status", "SKIPDATA", "vm-id", "-")...)
	change(append(nothing, "log-status", "NODATA", "start", "-", "end", "-")...)
	change(append(nothing, "log-status", "OK")...)
	for _, name := range names {
		if name != "version" { // "-" is a sign of its own, which a column of numbers loses
			change(name, "-")
		}
	}
	change("start", "-", "end", "-")
	change("vswitch-id", "vpc-bp1a")
	change("direction", "ingress")
	change("direction", "up")
	change("srcaddr", "172.16.XX.XX")
	change("action", "Accept")
	change("log-status", "LATER")
	change("srcport", "65536")
	change("tcp-flags", "256")
	change("end", "1777593599")
	return out
}

// jsonObjects writes the records as JSON objects: all values strings, or numbers and
// null where the value is one or is missing.
func jsonObjects(records [][]string, typed bool) []string {
	var out []string
	for n, r := range records[1:] {
		var b strings.Builder
		fmt.Fprintf(&b, `{"__time__":%d,"__topic__":"flow_log","__source__":"log_service","__tag__:__pack_id__":"7-1"`, 1999999999-n)
		for i, name := range records[0] {
			v, _ := json.Marshal(r[i])
			switch {
			case typed && r[i] == "-":
				v = []byte("null")
			case typed && strings.Trim(r[i], "0123456789") == "":
				v = []byte(r[i])
			}
			fmt.Fprintf(&b, ",%q:%s", name, v)
		}
		out = append(out, b.String()+"}")
	}
	return out
}

// causes are the counts of a Stats, without the samples, whose places differ.
func causes(s *Stats) string {
	out := fmt.Sprintf("alibaba=%t records=%d rows=%d", s.Alibaba, s.Records, s.Rows)
	for _, m := range []Reasons{s.Malformed, s.Unsupported, s.Conflicts, s.Partial} {
		for _, name := range m.Names() {
			out += fmt.Sprintf("\n%s: %d", name, m[name].Count)
		}
	}
	return out + fmt.Sprint("\n", s.UnknownFields)
}

func TestAlibabaFormsGiveTheSameRows(t *testing.T) {
	t.Parallel()
	records := alibabaRecords()
	want, wantStats := decodeText(t, records)
	if len(want) < 90 || len(wantStats.Malformed) < 9 || len(wantStats.Unsupported) < 4 || !wantStats.Alibaba {
		t.Fatalf("the records do not try enough: %d rows\n%s", len(want), causes(wantStats))
	}
	check := func(name string, got []flow.Record, stats *Stats, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if d := cmp.Diff(want, got, equateNetip); d != "" {
			t.Errorf("%s: rows differ (-text +%s):\n%s", name, name, d)
		}
		if d := cmp.Diff(causes(wantStats), causes(stats)); d != "" {
			t.Errorf("%s: counts differ (-text +%s):\n%s", name, name, d)
		}
	}

	strs, typed := jsonObjects(records, false), jsonObjects(records, true)
	for name, text := range map[string]string{
		"lines":         strings.Join(strs, "\n"),
		"typed lines":   strings.Join(typed, "\r\n"),
		"array":         "[" + strings.Join(strs, ",") + "]",
		"tall array":    "[\n " + strings.Join(typed, ",\n ") + "\n]\n",
		"joined":        strings.Join(strs, ""),
		"GetLogs":       `{"meta":{"progress":"Complete","count":9,"terms":[]},"data":[` + strings.Join(strs, ",\n") + `]}`,
		"data":          `{"data":[` + strings.Join(typed, ",\n") + `]}`,
		"Logs":          `{"Count":2,"Logs":[` + strings.Join(strs[:9], ",\n") + `]}{"Logs":[` + strings.Join(strs[9:], ",") + `]}`,
		"other case":    strings.ReplaceAll(strings.ReplaceAll(strings.Join(strs, "\n"), "eni-id", "EniId"), "tcp-flags", "TCP_FLAGS"),
		"older dialect": strings.ReplaceAll(strings.Join(strs, "\n"), "traffic_path", "rafficPath"),
	} {
		got, stats, err := decodeJSON(text)
		check(name, got, stats, err)
	}

	columns, err := ParseColumns(strings.Join(records[0], ", "), DefaultLayout())
	if err != nil {
		t.Fatal(err)
	}
	for _, sep := range separators {
		for _, quote := range []string{"", `"`, "'"} {
			var lines []string
			for _, r := range records {
				lines = append(lines, quote+strings.Join(r, quote+sep+quote)+quote)
			}
			q := byte('"')
			if quote != "" {
				q = quote[0]
			}
			name := fmt.Sprintf("csv %q %q", sep, quote)
			got, stats := decode(strings.Join(lines, "\n"), CSVLayout(sep[0], q, DefaultLayout()))
			check(name, got, stats, nil)
			got, stats = decode(strings.Join(lines[1:], "\r\n"), columns.Separated(sep[0], q))
			check(name+" without a header line", got, stats, nil)
		}
	}

	for _, f := range []form{{optional: true}, {optional: true, plain: true, wide: true}, {text: true}, {text: true, optional: true, hyphens: true}} {
		f.codec = &parquet.Snappy
		checkSame(t, f, records, want, wantStats)
	}
}

func TestAlibabaJSONEqualsTheSlowReading(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(44, 44))
	names := strings.Fields(alibabaColumns)
	for range 400 {
		values := strings.Split(randomLine(r, names, " "), " ")
		if len(values) != len(names) {
			continue
		}
		v, alibaba := slowValues(names, values)
		want := slowRecord(v, "", false, alibaba)
		text := jsonObjects([][]string{names, values}, false)[0]
		got, s, err := decodeJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		var rows []flow.Record
		if want.record != nil {
			rows = append(rows, *want.record)
		}
		if d := cmp.Diff(rows, got, equateNetip); d != "" {
			t.Errorf("%s (-slow +fast):\n%s", text, d)
		}
		if cause := strings.Join(append(s.Malformed.Names(), s.Unsupported.Names()...), ""); cause != want.cause {
			t.Errorf("%s: cause %q, want %q", text, cause, want.cause)
		}
	}
}

// one decodes the record that alibabaRow becomes by changes of its values.
func one(t *testing.T, pairs ...string) (flow.Record, *Stats) {
	t.Helper()
	names, values := strings.Fields(alibabaColumns), strings.Fields(alibabaRow)
	for i := 0; i < len(pairs); i += 2 {
		values[slices.Index(names, pairs[i])] = pairs[i+1]
	}
	rows, s := decode(strings.Join(values, " "), newLayout(names, 0))
	if len(rows) != 1 {
		return flow.Record{}, s
	}
	return rows[0], s
}

func TestAlibabaSynAndAckTogetherSayNothing(t *testing.T) {
	for flags := range 64 {
		r, _ := one(t, "tcp-flags", fmt.Sprint(flags))
		want := flow.Midlife
		switch {
		case flags&18 == 2:
			want = flow.Opener
		case flags&18 == 18:
			want = flow.NoFlags
		}
		if got := r.Flags.Class(r.Proto); got != want {
			t.Errorf("flags %d: %v, want %v", flags, got, want)
		}
	}
	aws, _ := decode(ok+" 18", mustFormat(t, defaultNames+" tcp-flags"))
	if got := aws[0].Flags.Class(aws[0].Proto); got != flow.Answer {
		t.Errorf("AWS: flags 18 are %v, want %v", got, flow.Answer)
	}
}

func TestAlibabaKeysInAnySpelling(t *testing.T) {
	want, _ := one(t)
	for _, spell := range []func(string) string{
		strings.ToUpper,
		func(s string) string { return strings.ReplaceAll(s, "-", "_") },
		func(s string) string { return strings.ReplaceAll(s, "_", "-") },
		withoutMarks,
		func(s string) string {
			return strings.NewReplacer("eni-id", "EniId", "vm-id", "VmId", "srcaddr", "SrcAddr").Replace(s)
		},
		func(s string) string {
			return strings.NewReplacer("-id", "Id", "dst", "Dst_", "direction", "Direction").Replace(s)
		},
		func(s string) string { return strings.ReplaceAll(s, "traffic_path", "TrafficPath") },
	} {
		names := strings.Fields(spell(alibabaColumns))
		rows, s := decode(strings.Join(names, ",")+"\n"+strings.ReplaceAll(alibabaRow, " ", ","), CSVLayout(',', '"', DefaultLayout()))
		if len(rows) != 1 || rows[0] != want || s.UnknownFields != nil {
			t.Errorf("%v: rows %v, unknown %v", names, rows, s.UnknownFields)
		}
	}
}

// A column that happens to be called direction means nothing among AWS names.
func TestDirectionIsAlibabasOnly(t *testing.T) {
	for _, c := range []struct {
		names string
		want  flow.Direction
		known bool
	}{
		{"interface-id", flow.DirectionUnknown, false},
		{"eni-id", flow.Ingress, true},
		{"interface-id vm-id", flow.Ingress, true},
		{"interface-id vswitch-id", flow.Ingress, true},
	} {
		names := c.names + " srcaddr dstaddr srcport dstport protocol start end action direction"
		values := strings.Repeat("x ", len(strings.Fields(c.names))) + "10.0.0.1 10.0.0.2 1 2 6 100 200 ACCEPT in"
		records := [][]string{strings.Fields(names), strings.Fields(values)}
		check := func(form string, rows []flow.Record, s *Stats, err error) {
			t.Helper()
			if err != nil || len(rows) != 1 || rows[0].Direction != c.want || (s.UnknownFields == nil) != c.known || s.Alibaba != c.known {
				t.Errorf("%s %s: %v, %+v, %v", form, c.names, rows, s, err)
			}
		}
		rows, s := decode(names+"\n"+values, DefaultLayout())
		check("text", rows, s, nil)
		rows, s, err := decodeJSON(jsonObjects(records, false)[0])
		check("json", rows, s, err)
		slices.Reverse(records[0])
		slices.Reverse(records[1])
		rows, s, err = decodeJSON(jsonObjects(records, false)[0])
		check("json backward", rows, s, err)
		rows, s, err = decodeParquet(writeParquet(t, form{codec: &parquet.Snappy}, records), 1)
		check("parquet", rows, s, err)
	}
}

func TestAlibabaTrap27NeverUsesIngestTime(t *testing.T) {
	const late = `"__time__":1650964251,"__topic__":"flow_log","__source__":"log_service","__pack_meta__":"1|x|5|4","__tag__:__receive_time__":"1650964252"`
	const rest = `"vm-id":"i-1","srcaddr":"172.16.0.9","dstport":"53","account-id":"1","dstaddr":"100.100.2.136","vpc-id":"vpc-1","version":"1","packets":"1",` +
		`"eni-id":"eni-1","protocol":"17","bytes":"92","vswitch-id":"vsw-1","srcport":"59986","action":"ACCEPT","log-status":"OK","direction":"out"`
	for _, text := range []string{
		`{` + late + `,` + rest + `,"start":"1650862360","end":"1650862391"}`,
		`{"start":1650862360,"end":1650862391,` + rest + `,` + late + `}`,
	} {
		rows, s, err := decodeJSON(text)
		if err != nil || len(rows) != 1 || rows[0].Start != 1650862360 || rows[0].End != 1650862391 || s.UnknownFields != nil {
			t.Errorf("%s: rows %v, unknown %v, %v", text, rows, s.UnknownFields, err)
		}
	}
	for _, times := range []string{``, `,"start":"-","end":"-"`, `,"start":null,"end":null`, `,"start":"","end":""`} {
		_, s, err := decodeJSON(`{` + late + `,` + rest + times + `}`)
		if err != nil {
			t.Fatal(err)
		}
		checkCounts(t, s, counts{records: 1, malformed: causeNoTime})
	}
	names := []string{"__time__", "eni-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "action", "start", "end"}
	values := []string{"1650964251", "eni-1", "10.0.0.1", "10.0.0.2", "1", "2", "6", "ACCEPT", "1650862360", "1650862391"}
	rows, _ := decode(strings.Join(names, ",")+"\n"+strings.Join(values, ","), CSVLayout(',', '"', DefaultLayout()))
	if len(rows) != 1 || rows[0].Start != 1650862360 {
		t.Errorf("csv: %v", rows)
	}
	_, s := decode(strings.Join(names[:8], ",")+"\n"+strings.Join(values[:8], ","), CSVLayout(',', '"', DefaultLayout()))
	checkCounts(t, s, counts{records: 1, unsupported: "the format has no start"})
	for _, n := range []int{8, 10} {
		rows, s, err := decodeParquet(writeParquet(t, form{codec: &parquet.Snappy}, [][]string{names[:n], values[:n]}), 1)
		if err != nil {
			t.Fatal(err)
		}
		if n == 8 {
			checkCounts(t, s, counts{records: 1, unsupported: "the format has no start"})
		} else if len(rows) != 1 || rows[0].Start != 1650862360 {
			t.Errorf("parquet: %v", rows)
		}
	}
}

func TestAlibabaTrap28NoDataAndSkipDataAreNoFlows(t *testing.T) {
	names := strings.Fields(alibabaColumns)
	records := [][]string{names}
	var want []flow.Record
	for _, status := range []flow.Status{flow.StatusNoData, flow.StatusSkipData} {
		row := slices.Repeat([]string{"-"}, len(names))
		for name, v := range map[string]string{"version": "1", "eni-id": "eni-1", "start": "1777593600", "end": "1777594200", "log-status": status.String()} {
			row[slices.Index(names, name)] = v
		}
		records = append(records, row)
		want = append(want, flow.Record{Interface: "eni-1", Status: status, Start: 1777593600, End: 1777594200})
	}
	check := func(form string, got []flow.Record, s *Stats, err error) {
		t.Helper()
		if d := cmp.Diff(want, got, equateNetip); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", form, err, d)
			return
		}
		checkCounts(t, s, counts{records: 2, rows: 2})
	}
	rows, s := decodeText(t, records)
	check("text", rows, s, nil)
	for _, typed := range []bool{false, true} {
		rows, s, err := decodeJSON(strings.Join(jsonObjects(records, typed), "\n"))
		check("json", rows, s, err)
	}
	for _, f := range []form{{codec: &parquet.Snappy, optional: true}, {codec: &parquet.Snappy, text: true}} {
		rows, s, err := decodeParquet(writeParquet(t, f, records), 1)
		check("parquet", rows, s, err)
	}
}

// The sample records of the cloud's own guide, whose last values are shifted by one.
func TestAlibabaShiftedSampleIsRefused(t *testing.T) {
	const sample = `{"account-id":"1","action":"ACCEPT","bytes":"92","direction":"out","dstaddr":"100.100.2.136","dstport":"53","end":"1650862391","eni-id":"eni-1",` +
		`"log-status":"OK","packets":"1","protocol":"17","srcaddr":"172.16.0.9","srcport":"59986","start":"1650862360","tcp-flags":"0","traffic_path":"5",`
	for _, end := range []string{
		`"version":"-","vm-id":"1","vpc-id":"i-1","vswitch-id":"vpc-1"}`,
		`"version":"-","vm-id":"i-1","vpc-id":"vpc-1","vswitch-id":"vsw-1"}`,
		`"version":"1","vm-id":"1","vpc-id":"i-1","vswitch-id":"vpc-1"}`,
		`"vm-id":"1","vpc-id":"i-1","vswitch-id":"vpc-1"}`,
	} {
		_, s, err := decodeJSON(sample + end)
		if err != nil {
			t.Fatal(err)
		}
		checkCounts(t, s, counts{records: 1, malformed: causeMisplaced})
		if first, _ := s.Malformed.First(); !strings.Contains(first.Message, "version is ") || !strings.Contains(first.Message, "vswitch-id ") {
			t.Errorf("message %q does not say what is wrong", first)
		}
	}
	if _, s := one(t, "version", "-"); s.Malformed.Total() != 1 {
		t.Error("text: a row without a version is used")
	}
	file := writeParquet(t, form{codec: &parquet.Snappy, text: true}, [][]string{strings.Fields(alibabaColumns), strings.Fields("-" + alibabaRow[1:])})
	if _, s, err := decodeParquet(file, 1); err != nil || only(s.Malformed) != causeMisplaced {
		t.Errorf("parquet: %v, %v", s, err)
	}
}

func TestLogServiceTagsMayBeColumns(t *testing.T) {
	text := "__time__,__tag__:__hostname__,__topic__,eni-id,srcaddr,dstaddr,srcport,dstport,protocol,action,start,end\n" +
		"1650964251,h,flow_log,eni-1,10.0.0.1,10.0.0.2,1,2,6,ACCEPT,100,100"
	rows, s := decode(text, CSVLayout(',', '"', DefaultLayout()))
	if len(rows) != 1 || rows[0].End != 100 || s.UnknownFields != nil {
		t.Errorf("rows %v, %+v", rows, s)
	}
}

func TestAlibabaSharedSampleHasMaskedAddresses(t *testing.T) {
	paths, _ := filepath.Glob("../../../shared/data/flowlogs/alibaba/*.json")
	if len(paths) == 0 {
		t.Skip("the shared test data is not here")
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, s, err := decodeJSON(string(text))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		checkCounts(t, s, counts{records: 1, malformed: "srcaddr is not an address"})
		// With addresses in place of the mask it is a record like any other.
		rows, s, err := decodeJSON(strings.ReplaceAll(string(text), "XX", "1"))
		if err != nil || len(rows) != 1 || !s.Alibaba || s.UnknownFields != nil {
			t.Errorf("%s: rows %v, %+v, %v", path, rows, s, err)
		}
	}
}

func BenchmarkAlibabaJSON(b *testing.B) {
	records := [][]string{strings.Fields(alibabaColumns)}
	for range 4000 {
		records = append(records, strings.Fields(alibabaRow))
	}
	text := strings.Join(jsonObjects(records, false), "\n")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := DecodeJSON(context.Background(), strings.NewReader(text), "x", DefaultLayout(), func(*store.Batch) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(4000*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
