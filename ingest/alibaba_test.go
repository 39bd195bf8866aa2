package ingest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

const alibabaColumns = "version,eni-id,vswitch-id,srcaddr,srcport,protocol,dstaddr,dstport,direction,action,packets,bytes,start,end,log-status,tcp-flags,traffic_path"

// alibabaRows are rows of CSV in that order, NODATA and SKIPDATA among them.
func alibabaRows(n int) []string {
	var out []string
	for i := range n {
		switch i % 40 {
		case 17:
			out = append(out, fmt.Sprintf("1,eni-%d,vsw-1,-,-,-,-,-,-,-,-,-,1777593600,1777594200,NODATA,-,-", i%3))
		case 29:
			out = append(out, fmt.Sprintf("1,eni-%d,vsw-1,-,-,-,-,-,-,-,-,-,1777593600,1777594200,SKIPDATA,-,-", i%3))
		default:
			out = append(out, fmt.Sprintf("1,eni-%d,vsw-1,10.1.0.%d,%d,6,10.2.0.7,5432,%s,ACCEPT,10,840,%d,%d,OK,%d,2",
				i%3, i%9, 40000+i, []string{"in", "out"}[i%2], 1777593600+i, 1777593600+2*i, []int{2, 18, 26, 24, 0}[i%5]))
		}
	}
	return out
}

// alibabaJSON writes rows of CSV as Log Service does: an object per line, all values
// strings, its own keys among them.
func alibabaJSON(rows []string) []string {
	var out []string
	for _, row := range rows {
		var b strings.Builder
		b.WriteString(`{"__time__":1999999999,"__topic__":"flow_log","__source__":"log_service"`)
		for i, name := range strings.Split(alibabaColumns, ",") {
			fmt.Fprintf(&b, ",%q:%q", name, strings.Split(row, ",")[i])
		}
		out = append(out, b.String()+"}")
	}
	return out
}

// alibabaParquet writes rows of CSV as a shipment in Parquet does: numbers as numbers,
// null for what is none.
func alibabaParquet(t *testing.T, rows []string) string {
	t.Helper()
	names := strings.Split(alibabaColumns, ",")
	numbers := []string{"version", "srcport", "protocol", "dstport", "packets", "bytes", "start", "end", "tcp-flags"}
	group := parquet.Group{}
	for _, name := range names {
		node := parquet.String()
		if slices.Contains(numbers, name) {
			node = parquet.Leaf(parquet.Int64Type)
		}
		group[name] = parquet.Optional(node)
	}
	schema := parquet.NewSchema("flow", group)
	var out bytes.Buffer
	w := parquet.NewGenericWriter[any](&out, schema, parquet.Compression(&parquet.Snappy))
	for _, row := range rows {
		values := strings.Split(row, ",")
		record := make(parquet.Row, len(names))
		for at, path := range schema.Columns() {
			v := values[slices.Index(names, path[0])]
			var n int64
			switch isNumber := slices.Contains(numbers, path[0]); {
			case isNumber && v == "-":
				record[at] = parquet.NullValue().Level(0, 0, at)
				continue
			case isNumber:
				fmt.Sscan(v, &n)
				record[at] = parquet.Int64Value(n).Level(0, 1, at)
			default:
				record[at] = parquet.ByteArrayValue([]byte(v)).Level(0, 1, at)
			}
		}
		if _, err := w.WriteRows([]parquet.Row{record}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func lines(rows []string) string { return strings.Join(rows, "\n") + "\n" }

func TestAlibabaFormsAreKnownByTheirContent(t *testing.T) {
	rows := alibabaRows(300)
	objects := alibabaJSON(rows)
	head := strings.ReplaceAll(alibabaColumns, ",", " ")
	want, _, err := readRows([]string{write(t, "x", lines(objects))}, Options{})
	if err != nil || len(want) != 300 {
		t.Fatalf("%d rows, %v", len(want), err)
	}
	columns := Options{Columns: alibabaColumns}
	format := Options{LogFormat: "${" + strings.ReplaceAll(alibabaColumns, ",", "} ${") + "}"}
	with := func(sep, quote string) string {
		var b strings.Builder
		for _, row := range rows {
			b.WriteString(quote + strings.ReplaceAll(row, ",", quote+sep+quote) + quote + "\n")
		}
		return b.String()
	}
	type form struct {
		name, content, format string
		opt                   Options
	}
	forms := []form{
		{"lines", lines(objects), "alibaba-json", Options{}},
		{"array", "[" + strings.Join(objects, ",\n") + "]", "alibaba-json", Options{}},
		{"GetLogs", `{"meta":{"progress":"Complete"},"data":[` + strings.Join(objects, ",") + "]}", "alibaba-json", Options{}},
		{"text with a header line", head + "\n" + with(" ", ""), "alibaba-text", Options{}},
		{"text by --log-format", with(" ", ""), "alibaba-text", format},
		{"Parquet", alibabaParquet(t, rows), "alibaba-parquet", Options{}},
		{"text by --log-format beside --columns", with(" ", ""), "alibaba-text", Options{LogFormat: format.LogFormat, Columns: "eni-id,srcaddr"}},
	}
	for _, sep := range []string{",", "\t", "|", " "} {
		for _, quote := range []string{"", `"`, "'"} {
			name := fmt.Sprintf("csv %q %q", sep, quote)
			header := quote + strings.ReplaceAll(alibabaColumns, ",", quote+sep+quote) + quote + "\n"
			if sep != " " || quote != "" { // else it is text
				forms = append(forms, form{name + " with a header line", header + with(sep, quote), "alibaba-csv", Options{}})
			}
			forms = append(forms, form{name + " by --columns", with(sep, quote), "alibaba-csv", columns})
		}
	}
	for _, f := range forms {
		for _, packed := range []struct{ name, content, compression string }{
			{"x", f.content, compressionNone}, {"x", gz(f.content), compressionGzip}, {"x", zst(f.content), compressionZstd},
			{"54_1453812893059571256_937.snappy", blockOf(f.content), compressionSnappy}, {"x", blockOf(f.content), compressionSnappy},
			{"x", framed(f.content), compressionSnappy}, {"x", javaSnappy(f.content), compressionSnappy},
		} {
			got, r, err := readRows([]string{write(t, packed.name, packed.content)}, f.opt)
			if err != nil {
				t.Errorf("%s, %s: %v", f.name, packed.compression, err)
				continue
			}
			if d := gocmp.Diff(want, got); d != "" {
				t.Errorf("%s, %s: rows differ:\n%s", f.name, packed.compression, d)
			}
			if r.Files[0].Format != f.format || r.Files[0].Compression != packed.compression || r.Stats.UnknownFields != nil {
				t.Errorf("%s, %s: read as %s, %s; unknown %v", f.name, packed.compression, r.Files[0].Format, r.Files[0].Compression, r.Stats.UnknownFields)
			}
		}
	}
}

// Columns given for one file must not take others away from what they are.
func TestColumnsLeaveOtherFilesAlone(t *testing.T) {
	fourteen := "version,account-id,eni-id,srcaddr,dstaddr,srcport,dstport,protocol,packets,bytes,start,end,action,log-status"
	dir := write(t, "1", line+"\n", "2", header+"\n"+line+"\n", "3", strings.ReplaceAll(header+"\n"+line, " ", ","),
		"4", `{"message":"`+line+`"}`, "5", strings.Replace(line, "2", "1", 1))
	_, r, err := readRows([]string{dir}, Options{Columns: fourteen})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Files {
		got = append(got, f.Format)
	}
	if want := []string{formatText, formatText, formatCSV, formatJSON, "alibaba-csv"}; !slices.Equal(got, want) {
		t.Errorf("formats %v, want %v", got, want)
	}
}

func TestSeparatedRowsWithoutNamesAskForThem(t *testing.T) {
	for _, sep := range []string{",", "\t", "|"} {
		dir := write(t, "x", strings.ReplaceAll(alibabaRows(1)[0], ",", sep))
		_, r, err := readRows([]string{dir}, tolerant)
		if err != nil {
			t.Fatal(err)
		}
		if first, _ := r.Stats.Malformed.First(); !strings.Contains(first.Message, "give --columns") {
			t.Errorf("%q: %v", sep, first)
		}
	}
	dir := write(t, "x", strings.ReplaceAll(alibabaRows(1)[0], ",", " "))
	_, r, err := readRows([]string{dir}, tolerant)
	if err != nil {
		t.Fatal(err)
	}
	if first, _ := r.Stats.Malformed.First(); !strings.Contains(first.Message, "give --log-format") {
		t.Errorf("spaces: %v", first)
	}
}

func TestAlibabaBlocksAndWorkersChangeNothing(t *testing.T) {
	rows := alibabaRows(2000)
	bad := slices.Concat(rows[:900], []string{strings.Replace(rows[0], "1,", "-,", 1), strings.Replace(rows[0], ",in,", ",up,", 1)}, rows[900:])
	dir := write(t, "a", lines(alibabaJSON(bad)), "b", alibabaColumns+"\n"+lines(bad), "c.gz", gz(strings.ReplaceAll(lines(bad), ",", "|")),
		"d.snappy", blockOf(lines(alibabaJSON(bad))), "e", alibabaParquet(t, rows), "f", mixed(300))
	opt := Options{Columns: alibabaColumns, Workers: 1, MaxBadRows: -1}
	want, report, err := readRows([]string{dir}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 5*2000+300 || report.Ledger[flow.Malformed] < 8 {
		t.Fatalf("%d rows, %d malformed", len(want), report.Ledger[flow.Malformed])
	}
	for _, workers := range []int{2, 5} {
		for _, size := range []int{300, 1 << 12, 1 << 20} {
			opt.Workers, opt.blockSize = workers, size
			got, r, err := readRows([]string{dir}, opt)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(want, got) {
				t.Errorf("%d workers, blocks of %d: rows differ", workers, size)
			}
			if d := gocmp.Diff(report, r); d != "" {
				t.Errorf("%d workers, blocks of %d: reports differ:\n%s", workers, size, d)
			}
		}
	}
}

// tally reads content and returns the reduced form.
func tally(t *testing.T, content string, config store.Config) *store.Connections {
	t.Helper()
	tally := store.NewTally(config)
	if _, err := Read(context.Background(), []string{write(t, "x", content)}, Options{}, tally); err != nil {
		t.Fatal(err)
	}
	return tally.Finish()
}

func TestAlibabaTrap26LostRecordsAreAGap(t *testing.T) {
	rows := []string{
		"1,eni-1,vsw-1,10.1.0.5,40000,6,10.2.0.7,5432,out,ACCEPT,1,60,1777593600,1777593660,OK,2,2",
		"1,eni-1,vsw-1,-,-,-,-,-,-,-,-,-,1777600000,1777600600,SKIPDATA,-,-",
		"1,eni-1,vsw-1,-,-,-,-,-,-,-,-,-,1777700000,1777700600,NODATA,-,-",
	}
	for name, content := range map[string]string{"json": lines(alibabaJSON(rows)), "csv": alibabaColumns + "\n" + lines(rows), "parquet": alibabaParquet(t, rows)} {
		c := tally(t, content, store.Config{})
		coverage := c.Coverage()
		if c.Len() != 1 || len(coverage) != 1 {
			t.Errorf("%s: %d connections, coverage %+v", name, c.Len(), coverage)
			continue
		}
		got := coverage[0]
		want := store.Coverage{Interface: "eni-1", From: 1777593600, To: 1777700600, Records: 3, NoData: 1, Days: got.Days, Prints: got.Prints,
			Skips: []store.Span{{From: 1777600000, To: 1777600600}}, SkipRows: 1}
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// A NAT gateway's interface forwards addresses that are not its own.
func TestAlibabaTrap29DirectionTellsTheLocalSide(t *testing.T) {
	rows := []string{
		"1,eni-nat,vsw-1,10.1.0.5,40000,6,47.1.2.3,443,in,ACCEPT,1,60,1777593600,1777593660,OK,2,2",
		"1,eni-nat,vsw-1,10.1.0.6,40000,6,47.1.2.3,443,out,ACCEPT,1,60,1777593600,1777593660,OK,2,7",
	}
	own := flow.Addr4(192<<24 | 168<<16 | 9)
	c := tally(t, lines(alibabaJSON(rows)), store.Config{Local: map[string][]flow.Addr{"eni-nat": {own}}})
	var got []string
	for i := range c.Len() {
		var r store.Row
		c.Row(i, &r)
		got = append(got, fmt.Sprint(r.Side, " local ", r.Local, " remote ", r.Remote))
	}
	slices.Sort(got)
	if want := []string{"egress local 10.1.0.6 remote 47.1.2.3", "ingress local 47.1.2.3 remote 10.1.0.5"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The samples that the documents use are the same traffic as two clouds log it.
func TestSamplesOfTheDocumentsAgree(t *testing.T) {
	dir := filepath.Join("..", "testdata", "logs")
	rows := func(name string, opt Options) []string {
		got, r, err := readRows([]string{filepath.Join(dir, name)}, opt)
		if err != nil || r.Stats.UnknownFields != nil {
			t.Fatalf("%s: %v, %v", name, err, r)
		}
		return got
	}
	want := rows("web-sls.json", Options{})
	if d := gocmp.Diff(want, rows("web-oss.csv", Options{Columns: "eni-id,direction,srcaddr,srcport,dstaddr,dstport,protocol,action,start,end,packets,bytes,tcp-flags"})); d != "" {
		t.Error(d)
	}
	if len(want) != len(rows("web.log", Options{})) {
		t.Error("web.log has another number of rows")
	}
}

func TestAlibabaSharedSampleIsRefusedForItsMask(t *testing.T) {
	base := shared(t, "flowlogs/alibaba")
	names, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(base, name.Name())
		_, r, err := readRows([]string{path}, tolerant)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if first, _ := r.Stats.Malformed.First(); r.Files[0].Format != "alibaba-json" || r.Stats.Records != 1 || first.Field != "srcaddr" {
			t.Errorf("%s: %+v", path, r)
		}
	}
}
