package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

const (
	header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
	line   = "2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
)

// recorder is an adder that keeps rows as text.
type recorder struct {
	mu   *sync.Mutex
	rows *[]string
}

func (r recorder) Add(b *store.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range b.Len() {
		*r.rows = append(*r.rows, fmt.Sprint(b.Names[b.Interface[i]], b.Src[i], b.Dst[i], cell(b.PktSrc, i), cell(b.PktDst, i), b.SrcPort[i], b.DstPort[i],
			b.Proto[i], cell(b.Direction, i), b.Action[i], b.Status[i], cell(b.Flags, i), b.Packets[i], b.Bytes[i], b.Start[i], b.End[i]))
	}
}

// cell returns the value of row i of a column, or zero if the batch lacks the column.
func cell[T any](column []T, i int) (v T) {
	if len(column) > 0 {
		v = column[i]
	}
	return v
}

// readRows reads paths and returns their rows, sorted.
func readRows(paths []string, opt Options) ([]string, *Report, error) {
	var mu sync.Mutex
	var rows []string
	report, err := read(context.Background(), paths, opt, func() adder { return recorder{&mu, &rows} })
	slices.Sort(rows)
	return rows, report, err
}

// tolerant takes any number of bad rows.
var tolerant = Options{MaxBadRows: -1}

// write makes files in a fresh folder, from pairs of name and content, and returns it.
func write(t *testing.T, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		path := filepath.Join(dir, pairs[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(pairs[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func zst(s string) string {
	w, _ := zstd.NewWriter(nil)
	return string(w.EncodeAll([]byte(s), nil))
}

func TestPathsAreWalkedMatchedAndReadOnce(t *testing.T) {
	dir := write(t, "b/2.log", line, "b/1.log.gz", gz(line), "a.log", line, "b/.hidden", "x", "b/.git/c", "x", "b/_SUCCESS", "",
		"b/q.csv.metadata", "x", "b/aws-logs-write-test", "Permission Check Successful", "b/year=2024/month=01/3.log", line)
	if err := os.Symlink(filepath.Join(dir, "a.log"), filepath.Join(dir, "z.log")); err != nil {
		t.Fatal(err)
	}
	names := func(r *Report) []string {
		var out []string
		for _, f := range r.Files {
			rel, _ := filepath.Rel(dir, f.Path)
			out = append(out, rel)
		}
		return out
	}
	all := []string{"a.log", "b/1.log.gz", "b/2.log", "b/year=2024/month=01/3.log"}
	for _, c := range []struct {
		paths []string
		want  []string
	}{
		{[]string{"."}, all},
		{[]string{"b", "z.log", "a.log", "./a.log", "b/../a.log"}, all},
		{[]string{"*.log"}, all[:1]},
		{[]string{"*"}, all},
		{[]string{"b/*.log*", "b/?.log"}, all[1:3]},
	} {
		var paths []string
		for _, p := range c.paths {
			paths = append(paths, dir+"/"+p)
		}
		_, r, err := readRows(paths, Options{})
		if err != nil {
			t.Errorf("%v: %v", c.paths, err)
		} else if d := gocmp.Diff(c.want, names(r)); d != "" {
			t.Errorf("%v:\n%s", c.paths, d)
		}
	}
	for _, p := range []string{"nothing", "*.nothing", "b/.git", "[", ""} {
		if _, _, err := readRows([]string{dir + "/a.log", dir + "/" + p}, Options{}); p != "" && p != "b/.git" && !errors.Is(err, ErrNoInput) {
			t.Errorf("%q: error %v, want ErrNoInput", p, err)
		}
	}
	if _, _, err := readRows([]string{t.TempDir()}, Options{}); !errors.Is(err, ErrNoInput) {
		t.Errorf("empty folder: %v", err)
	}
	if _, _, err := readRows(nil, Options{}); !errors.Is(err, ErrNoInput) {
		t.Errorf("no path: %v", err)
	}
}

func TestContentDecidesTheFormat(t *testing.T) {
	commas := strings.ReplaceAll(header, " ", ",") + "\n" + strings.ReplaceAll(line, " ", ",")
	for _, c := range []struct{ name, content, format, compression string }{
		{"a.parquet", line, formatText, compressionNone},
		{"a.csv", header + "\n" + line, formatText, compressionNone},
		{"a.log", commas, formatCSV, compressionNone},
		{"a.txt", "\ufeff" + commas, formatCSV, compressionNone},
		{"a.gz", commas, formatCSV, compressionNone},
		{"a", "\ufeff\n " + `{"message":"` + line + `"}`, formatJSON, compressionNone},
		{"a", `[{"message":"` + line + `"}]`, formatJSON, compressionNone},
		{"a.log", gz(line), formatText, compressionGzip},
		{"a.log", gz(line) + gz("\n"), formatText, compressionGzip},
		{"a.log", gz(header+"\n") + gz(line), formatText, compressionGzip},
		{"a.log", zst(line), formatText, compressionZstd},
		{"a.log", zst("\ufeff"+header+"\n") + zst(line), formatText, compressionZstd},
		{"a.json", gz(`{"events":[{"message":"` + line + `"}]}`), formatJSON, compressionGzip},
	} {
		dir := write(t, c.name, c.content)
		rows, r, err := readRows([]string{dir}, Options{})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		f := r.Files[0]
		if len(rows) != 1 || f.Records != 1 || f.Format != c.format || f.Compression != c.compression || f.Bytes != int64(len(c.content)) {
			t.Errorf("%q: %d rows, %s, %s, %d bytes", c.content, len(rows), f.Format, f.Compression, f.Bytes)
		}
	}
}

func TestDigestIsOfTheBytesAsStored(t *testing.T) {
	dir := write(t, "a", "", "b", "\n \r\n")
	_, r, err := readRows([]string{dir}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Files[0].Digest, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	for _, f := range r.Files {
		if f.Format != formatEmpty || f.Records != 0 {
			t.Errorf("%+v is not empty", f)
		}
	}
}

func TestFilesThatAreNoFlowLogAreNamed(t *testing.T) {
	many := strings.Repeat(line+"\n", 5000)
	cut, cutZ := gz(many), zst(many+fmt.Sprint(rand.Perm(5000)))
	for _, c := range []struct{ content, want string }{
		{"PK\x03\x04rest", "a zip archive"},
		{"\x00\x01\x02", "binary data"},
		{"\xff\xfe2\x00", "UTF-16"},
		{gz(gz(line)), "gzip data inside gzip data"},
		{cut[:len(cut)-9], "cut off"},
		{cut[:len(cut)/2], "cut off"},
		{cut[:5], "cut off"},
		{cut + "trailing garbage", "gzip data damaged"},
		{strings.Replace(cut, cut[len(cut)/2:len(cut)/2+4], "\xff\x00\xff\x00", 1), "gzip data damaged"},
		{cutZ[:len(cutZ)/2], "zstd data cut off"},
		{"{\n" + `"events":[{"message":"` + line + `"},`, "line 2"},
		{gz(`{"events":[{"message":"` + line + `"},`), "cut off"},
		{"PAR1 and no more", ""},
	} {
		dir := write(t, "x", c.content)
		_, r, err := readRows([]string{dir}, tolerant)
		var at *InputError
		if !errors.As(err, &at) || !at.Corrupt || r != nil {
			t.Errorf("%.20q: error %v, want a corrupt InputError and no report", c.content, err)
			continue
		}
		if path := filepath.Join(dir, "x"); at.Path != path || !strings.HasPrefix(err.Error(), path+": ") || strings.Count(err.Error(), path) != 1 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q: error %q does not name the file and %q", c.content, err, c.want)
		}
	}
}

func TestCutOffGzipNamesTheLine(t *testing.T) {
	var b strings.Builder
	r := rand.New(rand.NewPCG(5, 5))
	for range 20000 {
		fmt.Fprintf(&b, "%s %d\n", line, r.Uint64())
	}
	whole := gz(b.String())
	_, _, err := readRows([]string{write(t, "x", whole[:len(whole)*3/4])}, tolerant)
	var n int
	if _, scan := fmt.Sscanf(err.Error()[strings.Index(err.Error(), "line "):], "line %d", &n); scan != nil || n < 12000 || n > 18000 {
		t.Errorf("error %q names line %d", err, n)
	}
}

func TestUnreadableFileIsNoCorruption(t *testing.T) {
	var at *InputError
	_, _, err := readRows([]string{"-"}, Options{Stdin: io.MultiReader(strings.NewReader(line), broken{})})
	if !errors.As(err, &at) || at.Corrupt || at.Path != "-" || !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

var errBroken = errors.New("pipe burst")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestFirstDamagedFileIsTheError(t *testing.T) {
	pairs := []string{}
	for i := range 40 {
		content := line
		if i%7 == 5 {
			content = "\x00"
		}
		pairs = append(pairs, fmt.Sprintf("%02d", i), content)
	}
	dir := write(t, pairs...)
	for range 20 {
		var at *InputError
		if _, _, err := readRows([]string{dir}, Options{Workers: 8}); !errors.As(err, &at) || filepath.Base(at.Path) != "05" {
			t.Fatalf("error %v, want that of 05", err)
		}
	}
}

func TestBadRowsAgainstTheirLimit(t *testing.T) {
	bad := strings.Replace(line, "20641", "70000", 1)
	dir := write(t, "b.log", bad+"\n"+line+"\n"+bad, "a.log", line+"\n"+line+" more\n")
	for _, c := range []struct {
		opt  Options
		want bool
	}{
		{Options{MaxBadRows: -1}, true}, {Options{MaxBadRows: 3}, true}, {Options{MaxBadRows: 2}, false}, {Options{}, false},
		{Options{MaxBadRows: -1, Strict: true}, false}, {Options{MaxBadRows: 9, Strict: true}, false},
	} {
		_, r, err := readRows([]string{dir}, c.opt)
		if (err == nil) != c.want {
			t.Errorf("%+v: error %v", c.opt, err)
			continue
		}
		if err == nil {
			if r.Ledger[flow.Malformed] != 3 || r.Stats.Records != 5 {
				t.Errorf("%d malformed of %d", r.Ledger[flow.Malformed], r.Stats.Records)
			}
			continue
		}
		var rows *BadRowsError
		if !errors.As(err, &rows) || rows.Count != 3 || rows.First.File != filepath.Join(dir, "a.log") || rows.First.Line != 2 {
			t.Errorf("%+v: error %v", c.opt, err)
		}
	}
}

// mixed is text with header lines of two orders, blank lines, bad lines, CRLF.
func mixed(n int) string {
	r := rand.New(rand.NewPCG(11, uint64(n)))
	var b strings.Builder
	swapped := false
	for i := range n {
		switch r.IntN(12) {
		case 0:
			b.WriteString(header + "\n")
			swapped = false
		case 1:
			b.WriteString("interface-id dstaddr srcaddr dstport srcport protocol start end action log-status\n")
			swapped = true
		case 2:
			b.WriteString("\n")
		case 3:
			b.WriteString("nonsense here\n")
		}
		if swapped {
			fmt.Fprintf(&b, "eni-%d 10.0.0.%d 10.1.0.1 443 %d 6 1700000000 1700000060 ACCEPT OK\n", i%3, i%256, 40000+i)
		} else {
			fmt.Fprintf(&b, "2 1 eni-%d 10.1.0.1 10.0.0.%d %d 443 6 1 1 1700000000 1700000060 ACCEPT OK\r\n", i%3, i%256, 40000+i)
		}
	}
	return strings.TrimSuffix(b.String(), "\r\n")
}

func TestBlocksAndWorkersChangeNothing(t *testing.T) {
	text := mixed(3000)
	dir := write(t, "a.log", text, "b.log.gz", gz(text), "c.log", mixed(100), "d.json", `{"message":"`+line+`"}`)
	want, report, err := readRows([]string{dir}, Options{Workers: 1, MaxBadRows: -1})
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 3000+3000+100+1 {
		t.Fatalf("%d rows", len(want))
	}
	for _, workers := range []int{1, 2, 7} {
		for _, size := range []int{200, 257, 1 << 10, 1 << 16, 1 << 20} {
			got, r, err := readRows([]string{dir}, Options{Workers: workers, MaxBadRows: -1, blockSize: size})
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

func TestLineLongerThanABlockIsOneBadRow(t *testing.T) {
	long := strings.Repeat("x", 1000)
	dir := write(t, "a", line+"\n"+long+"\n"+line+"\n"+long)
	for _, size := range []int{150, 300, 999} {
		rows, r, err := readRows([]string{dir}, Options{MaxBadRows: -1, blockSize: size})
		if err != nil || len(rows) != 2 || r.Stats.Records != 4 || r.Ledger[flow.Malformed] != 2 {
			t.Fatalf("blocks of %d: %d rows, %+v, %v", size, len(rows), r, err)
		}
		first, _ := r.Stats.Malformed.First()
		if first.Line != 2 {
			t.Errorf("line %d, want 2", first.Line)
		}
	}
}

func TestTextCSVAndJSONGiveTheSameConnections(t *testing.T) {
	var text, csv, lines strings.Builder
	text.WriteString(header + "\n")
	csv.WriteString(strings.ReplaceAll(header, " ", ",") + "\n")
	for i := range 500 {
		l := fmt.Sprintf("2 1 eni-%d 10.1.0.%d 10.0.0.1 %d 443 6 1 1 1700000000 1700000060 ACCEPT OK", i%3, i%9, 40000+i)
		text.WriteString(l + "\n")
		csv.WriteString(`"` + strings.ReplaceAll(l, " ", `","`) + "\"\n")
		lines.WriteString(`{"message":"` + l + "\"}\n")
	}
	connections := func(content string, workers int) []store.Row {
		tally := store.NewTally(store.Config{Workers: workers})
		if _, err := Read(context.Background(), []string{write(t, "x", content)}, Options{Workers: workers}, tally); err != nil {
			t.Fatal(err)
		}
		c := tally.Finish()
		rows := make([]store.Row, c.Len())
		for i := range rows {
			c.Row(i, &rows[i])
		}
		return rows
	}
	want := connections(text.String(), 1)
	if len(want) == 0 {
		t.Fatal("no connections")
	}
	for name, content := range map[string]string{"text": text.String(), "csv": csv.String(), "json": lines.String(), "gzip": gz(text.String())} {
		if d := gocmp.Diff(want, connections(content, 3)); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

func TestOptionsNameTheLayout(t *testing.T) {
	const format = "${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${start} ${end} ${action} ${new-field}"
	const row = "eni-1 10.0.0.1 10.0.0.2 1 2 6 100 200 ACCEPT x"
	name := "1_vpcflowlogs_eu-west-2_fl-0dcbf7c4_20220221T1955Z_7fe2e5f7.log"
	dir := write(t, name, row)
	for _, opt := range []Options{{LogFormat: format}, {LogFormats: map[string]string{"fl-0dcbf7c4": format, "fl-1": "srcaddr"}}} {
		rows, r, err := readRows([]string{dir}, opt)
		if err != nil || len(rows) != 1 || !slices.Equal(r.Stats.UnknownFields, []string{"new-field"}) {
			t.Errorf("%d rows, %v", len(rows), err)
		}
	}
	if _, _, err := readRows([]string{dir}, Options{LogFormats: map[string]string{"fl-2": format}}); err == nil {
		t.Error("a layout of another flow log is used")
	}
	if _, _, err := readRows([]string{dir}, Options{LogFormat: "${"}); err == nil {
		t.Error("a broken log format is taken")
	}
	rows, _, err := readRows([]string{write(t, "x", strings.ReplaceAll(row, " ", ","))},
		Options{Columns: "interface_id,srcaddr,dstaddr,srcport,dstport,protocol,start,end,action,x"})
	if err != nil || len(rows) != 1 {
		t.Errorf("columns: %d rows, %v", len(rows), err)
	}
}

func TestStandardInputIsRecognisedToo(t *testing.T) {
	for _, content := range []string{line, gz(line), `{"message":"` + line + `"}`} {
		rows, r, err := readRows([]string{"-", "-"}, Options{Stdin: strings.NewReader(content)})
		if err != nil || len(rows) != 1 || r.Files[0].Path != "-" || r.Files[0].Bytes != int64(len(content)) {
			t.Errorf("%d rows, %v", len(rows), err)
		}
	}
}

func TestCancelledReadEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Read(ctx, []string{write(t, "x", line)}, Options{}, store.NewTally(store.Config{})); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestProgressEndsWithTheWhole(t *testing.T) {
	content := strings.Repeat(line+"\n", 1000)
	var last Progress
	_, _, err := readRows([]string{write(t, "x", content)}, Options{Progress: func(p Progress) { last = p }})
	if want := (Progress{Bytes: int64(len(content)), Total: int64(len(content)), Records: 1000}); err != nil || last != want {
		t.Errorf("last progress %+v, want %+v; %v", last, want, err)
	}
}

// shared returns a path in the shared test data, which is not part of the project.
func shared(t *testing.T, path string) string {
	t.Helper()
	full := filepath.Join("..", "..", "shared", "data", path)
	if _, err := os.Stat(full); err != nil {
		t.Skip("the shared test data is not here")
	}
	return full
}

func TestSharedSamples(t *testing.T) {
	base := shared(t, "flowlogs/aws")
	v5 := "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status} ${vpc-id} ${subnet-id} ${instance-id} ${tcp-flags} ${type} ${pkt-srcaddr} ${pkt-dstaddr} ${region} ${az-id} ${sublocation-type} ${sublocation-id} ${pkt-src-aws-service} ${pkt-dst-aws-service} ${flow-direction} ${traffic-path}"
	for _, c := range []struct {
		path                                  string
		logFormat                             string
		records, rows, malformed, unsupported uint64
		format, cause                         string
	}{
		{path: "elastic/test-extra-samples.log", records: 7, rows: 7, format: formatText},
		{path: "elastic/test-tcp-flag-sequence.log", records: 3, rows: 3, format: formatText},
		{path: "elastic/test-v5-all-fields.log", logFormat: v5, records: 1, rows: 1, format: formatText},
		{path: "elastic/test-v5-all-fields.log", records: 1, malformed: 1, format: formatText, cause: "no header line, and not the default layout"},
		{path: "elastic/test-with-message-field.log", records: 1, rows: 1, format: formatJSON},
		{path: "otel/valid_vpc_flow_log.log", records: 1, rows: 1, format: formatText},
		{path: "otel/valid_vpc_flow_log_multi.log", records: 2, rows: 2, format: formatText},
		{path: "otel/valid_vpc_flow_cw.json", records: 2, rows: 2, format: formatJSON},
		{path: "otel/vpc_flow_log_too_few_fields.log", records: 1, malformed: 1, format: formatText, cause: "number of fields differs from the layout"},
		{path: "ocsf/ocsf-1.0.0-rc.2/vpcflowlog.ocsf", records: 1, unsupported: 1, format: formatJSON, cause: "OCSF event: not supported in this version"},
		{path: "ocsf/ocsf-1.1.0/vpcflowlog.ocsf", records: 1, unsupported: 1, format: formatJSON, cause: "OCSF event: not supported in this version"},
		{path: "ocsf/ocsf-1.0.0-rc.2/vpcflowlog.raw", records: 1, rows: 1, format: formatCSV},
		{path: "ocsf/ocsf-1.1.0/vpcflowlog.raw", records: 1, rows: 1, format: formatCSV},
		{path: "cloudwatch-insights/logs-insights-results-B.csv.gz", records: 10000, unsupported: 10000, format: formatCSV, cause: "the format has no protocol, action, start"},
		{path: "s3-objects", records: 5, rows: 5, format: formatText},
		{path: "flowlogs-reader/flows.parquet", records: 3, rows: 3, format: formatParquet},
		{path: "sekoia/accept.json", records: 1, unsupported: 1, format: formatJSON, cause: "JSON object without a flow log record"},
	} {
		rows, r, err := readRows([]string{filepath.Join(base, c.path)}, Options{MaxBadRows: -1, LogFormat: c.logFormat})
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		s := &r.Stats
		if s.Records != c.records || uint64(len(rows)) != c.rows || s.Malformed.Total() != c.malformed || s.Unsupported.Total() != c.unsupported || r.Files[0].Format != c.format {
			t.Errorf("%s: %s, %d records, %d rows, malformed %v, unsupported %v", c.path, r.Files[0].Format, s.Records, len(rows), s.Malformed.Names(), s.Unsupported.Names())
		}
		if causes := append(s.Malformed.Names(), s.Unsupported.Names()...); c.cause != "" && !slices.Equal(causes, []string{c.cause}) {
			t.Errorf("%s: causes %q, want %q", c.path, causes, c.cause)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	r := rand.New(rand.NewPCG(3, 3))
	const n = 400_000
	for range n {
		fmt.Fprintf(&text, "2 123456789010 eni-%017x 10.0.%d.%d 10.1.0.%d %d 443 6 10 840 1700000000 1700000060 ACCEPT OK\n", r.IntN(50), r.IntN(20), r.IntN(256), r.IntN(256), 32768+r.IntN(28000))
	}
	plain := text.String()
	const names = "version,account_id,interface_id,srcaddr,dstaddr,srcport,dstport,protocol,packets,bytes,start,end,action,log_status\n"
	csv := names + strings.ReplaceAll(plain, " ", ",")
	for _, c := range []struct{ name, content string }{{"text", plain}, {"csv", csv}, {"gzip", gz(plain)}} {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "x")
			if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(c.content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(context.Background(), []string{path}, Options{}, func() adder { return discard{} }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

type discard struct{}

func (discard) Add(*store.Batch) {}
