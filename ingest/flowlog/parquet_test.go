package flowlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// form is a way to write records as a Parquet file.
type form struct {
	codec     compress.Codec
	wide      bool // INT64 where the cloud writes INT32
	text      bool // numbers as text
	unsigned  bool
	float     bool // numbers as DOUBLE
	optional  bool // null for "-"; else text columns hold "-", and number columns must have no "-"
	plain     bool // no dictionaries
	hyphens   bool // names as LogFormat spells them, in capitals
	groupRows int
	pageSize  int
}

func (f form) String() string {
	return fmt.Sprintf("%T wide=%t text=%t unsigned=%t float=%t optional=%t plain=%t hyphens=%t", f.codec, f.wide, f.text, f.unsigned, f.float, f.optional, f.plain, f.hyphens)
}

var numberColumns = map[string]bool{"version": true, "srcport": true, "dstport": true, "protocol": true, "packets": true,
	"bytes": true, "start": true, "end": true, "tcp-flags": true}

// writeParquet writes records, whose first line is the names of their fields.
func writeParquet(t testing.TB, f form, records [][]string) []byte {
	t.Helper()
	names := records[0]
	group := parquet.Group{}
	column := make([]string, len(names))
	for i, name := range names {
		number := numberColumns[name] && !f.text
		big := f.wide || name == "packets" || name == "bytes" || name == "start" || name == "end"
		var node parquet.Node
		switch {
		case number && f.float:
			node = parquet.Leaf(parquet.DoubleType)
		case number && f.unsigned && big:
			node = parquet.Uint(64)
		case number && f.unsigned:
			node = parquet.Uint(32)
		case number && big:
			node = parquet.Leaf(parquet.Int64Type)
		case number:
			node = parquet.Leaf(parquet.Int32Type)
		default:
			node = parquet.String()
		}
		if f.optional {
			node = parquet.Optional(node)
		}
		if !f.plain {
			node = parquet.Encoded(node, &parquet.RLEDictionary)
		}
		column[i] = strings.ReplaceAll(name, "-", "_")
		if f.hyphens {
			column[i] = strings.ToUpper(name)
		}
		group[column[i]] = node
	}
	schema := parquet.NewSchema("flow", group)
	place := map[string]int{}
	for i, path := range schema.Columns() {
		place[path[0]] = i
	}
	var out bytes.Buffer
	options := []parquet.WriterOption{schema, parquet.Compression(f.codec)}
	if f.pageSize > 0 {
		options = append(options, parquet.PageBufferSize(f.pageSize))
	}
	w := parquet.NewGenericWriter[any](&out, options...)
	level := 0
	if f.optional {
		level = 1
	}
	for r, rec := range records[1:] {
		row := make(parquet.Row, len(names))
		for i, v := range rec {
			at := place[column[i]]
			number := numberColumns[names[i]] && !f.text
			var value parquet.Value
			switch {
			case v == "-" && f.optional:
				row[at] = parquet.NullValue().Level(0, 0, at)
				continue
			case number:
				n, err := strconv.ParseInt(v, 10, 64)
				if err != nil {
					t.Fatalf("row %d: %s: %q is not for a number column", r+1, names[i], v)
				}
				big := f.wide || names[i] == "packets" || names[i] == "bytes" || names[i] == "start" || names[i] == "end"
				switch {
				case f.float:
					value = parquet.DoubleValue(float64(n))
				case big:
					value = parquet.Int64Value(n)
				default:
					value = parquet.Int32Value(int32(n))
				}
			default:
				value = parquet.ByteArrayValue([]byte(v))
			}
			row[at] = value.Level(0, level, at)
		}
		if _, err := w.WriteRows([]parquet.Row{row}); err != nil {
			t.Fatal(err)
		}
		if f.groupRows > 0 && (r+1)%f.groupRows == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// collectRecords returns an emit function, safe for concurrent use, that keeps every
// row as a record. That the addresses of the packet header are those of the flow may be said
// in two ways; here it is one.
func collectRecords(out *[]flow.Record) func(*store.Batch) error {
	var mu sync.Mutex
	return func(b *store.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range recordsOf(b) {
			if r.PktSrc == r.Src {
				r.PktSrc = netip.Addr{}
			}
			if r.PktDst == r.Dst {
				r.PktDst = netip.Addr{}
			}
			*out = append(*out, r)
		}
		return nil
	}
}

// decodeText reads the records as lines of text: row 1 is line 1.
func decodeText(t testing.TB, records [][]string) ([]flow.Record, *Stats) {
	t.Helper()
	var text strings.Builder
	for _, r := range records {
		text.WriteString(strings.Join(r, " ") + "\n")
	}
	var rows []flow.Record
	stats := &Stats{}
	d := NewLineDecoder(collectRecords(&rows))
	if err := d.Decode("x", []byte(text.String()), 0, DefaultLayout(), stats); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	return rows, stats
}

func decodeParquet(b []byte, workers int) ([]flow.Record, *Stats, error) {
	var rows []flow.Record
	stats, err := DecodeParquet(context.Background(), bytes.NewReader(b), int64(len(b)), "x", workers, collectRecords(&rows))
	return rows, stats, err
}

var equalRecords = cmp.Comparer(func(a, b flow.Record) bool { return a == b })

// goodRecords have no "-", so that they fit into required number columns.
func goodRecords(n int) [][]string {
	rng := rand.New(rand.NewPCG(1, 2))
	out := [][]string{append(strings.Fields(defaultNames), "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr", "flow-direction", "vpc-id")}
	for i := range n {
		src, dst, family := fmt.Sprintf("10.0.%d.%d", rng.IntN(4), rng.IntN(256)), "192.0.2.7", "IPv4"
		if rng.IntN(8) == 0 {
			src, dst, family = fmt.Sprintf("2001:db8::%x", rng.IntN(100)), "2001:db8:1::1", "IPv6"
		}
		proto := []int{1, 6, 6, 6, 17, 50}[rng.IntN(6)]
		start := 1700000000 + i
		out = append(out, []string{"5", "123456789010", "eni-" + strconv.Itoa(rng.IntN(5)), src, dst,
			strconv.Itoa(rng.IntN(65536)), strconv.Itoa(rng.IntN(65536)), strconv.Itoa(proto), strconv.Itoa(rng.IntN(1000)), strconv.Itoa(rng.IntN(1 << 40)),
			strconv.Itoa(start), strconv.Itoa(start + rng.IntN(60)), []string{"ACCEPT", "REJECT"}[rng.IntN(2)], "OK",
			strconv.Itoa(rng.IntN(32)), family, src, dst, []string{"ingress", "egress"}[rng.IntN(2)], "vpc-1"})
	}
	return out
}

// oddRecords hold every way a row can be missing something, contradict itself or be wrong.
func oddRecords() [][]string {
	base := goodRecords(1)
	base[1] = strings.Fields("5 123456789010 eni-7 10.0.0.9 192.0.2.7 40000 443 6 10 840 1700000000 1700000060 ACCEPT OK 2 IPv4 10.0.0.9 192.0.2.7 ingress vpc-1")
	out := [][]string{base[0]}
	col := func(name string) int { return slices.Index(base[0], name) }
	change := func(pairs ...string) {
		row := slices.Clone(base[1])
		for i := 0; i < len(pairs); i += 2 {
			row[col(pairs[i])] = pairs[i+1]
		}
		out = append(out, row)
	}
	change()
	nothing := []string{"srcaddr", "-", "dstaddr", "-", "srcport", "-", "dstport", "-", "protocol", "-", "packets", "-", "bytes", "-", "action", "-",
		"tcp-flags", "-", "type", "-", "pkt-srcaddr", "-", "pkt-dstaddr", "-", "flow-direction", "-"}
	change(append(nothing, "log-status", "NODATA")...)
	change(append(nothing, "log-status", "SKIPDATA")...)
	change(append(nothing, "log-status", "SKIPDATA", "interface-id", "-")...)
	change(append(nothing, "log-status", "-")...)
	change(append(nothing, "log-status", "NODATA", "start", "-", "end", "-")...)
	change("log-status", "NODATA")
	change("log-status", "SOON")
	for _, name := range base[0] {
		change(name, "-")
	}
	change("srcport", "65536")
	change("dstport", "70000", "protocol", "1")
	change("srcport", "-", "protocol", "1")
	change("protocol", "256")
	change("tcp-flags", "256")
	change("action", "accept")
	change("flow-direction", "up")
	change("type", "EFA")
	change("type", "IPv9")
	change("type", "IPv6")
	change("start", "1700000000000", "end", "1700000059000")
	change("start", "1700000060", "end", "1700000000")
	change("start", "9700000000")
	change("srcaddr", "10.0.0.256")
	change("srcaddr", "::1", "dstaddr", "::2", "type", "IPv6", "pkt-srcaddr", "-", "pkt-dstaddr", "-")
	change("srcaddr", "::ffff:10.0.0.1", "pkt-srcaddr", "-")
	change("srcaddr", "::ffff:10.0.0.1", "dstaddr", "2001:db8::1", "type", "-")
	change("srcaddr", "2001:db8::1")
	change("pkt-srcaddr", "2001:db8::1", "pkt-dstaddr", "2001:db8::2")
	change("pkt-srcaddr", "10.9.9.9", "pkt-dstaddr", "-")
	change("pkt-srcaddr", "nonsense")
	change("srcaddr", "-", "dstaddr", "-")
	change("srcaddr", "::", "dstaddr", "::")
	change("srcaddr", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "dstaddr", "2001:db8::2", "type", "IPv6", "pkt-srcaddr", "-", "pkt-dstaddr", "-")
	change("bytes", "9223372036854775807")
	return out
}

// TestParquetEqualsText: every way to write records gives the rows that text gives.
func TestParquetEqualsText(t *testing.T) {
	t.Parallel()
	good := goodRecords(700)
	want, wantStats := decodeText(t, good)
	if len(want) != 700 {
		t.Fatalf("text: %d rows", len(want))
	}
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Brotli} {
		for bits := range 1 << 4 {
			f := form{codec: codec, wide: bits&1 != 0, optional: bits&2 != 0, plain: bits&4 != 0, hyphens: bits&8 != 0, groupRows: 300, pageSize: 512}
			checkSame(t, f, good, want, wantStats)
		}
	}
	for _, f := range []form{{text: true}, {text: true, plain: true}, {unsigned: true}, {unsigned: true, wide: true, plain: true}, {float: true, plain: true}} {
		f.codec = &parquet.Snappy
		checkSame(t, f, good, want, wantStats)
	}
}

// TestParquetOddRows: rows that lack something or are wrong are counted under the
// same causes, with the same samples, as in text.
func TestParquetOddRows(t *testing.T) {
	t.Parallel()
	all := oddRecords()
	want, wantStats := decodeText(t, all)
	if len(wantStats.Malformed) < 8 || len(wantStats.Unsupported) < 6 || len(wantStats.Conflicts) < 2 || len(want) < 10 {
		t.Fatalf("the records do not try enough: %+v", wantStats)
	}
	for _, f := range []form{
		{optional: true}, {optional: true, plain: true}, {optional: true, wide: true, hyphens: true},
		{text: true}, {text: true, optional: true}, {text: true, optional: true, plain: true}, {text: true, plain: true},
	} {
		f.codec = &parquet.Uncompressed
		checkSame(t, f, all, want, wantStats)
	}
}

func checkSame(t *testing.T, f form, records [][]string, want []flow.Record, wantStats *Stats) {
	t.Helper()
	got, stats, err := decodeParquet(writeParquet(t, f, records), 1)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	if d := cmp.Diff(want, got, equalRecords); d != "" {
		t.Fatalf("%s: rows differ from text (-text +parquet):\n%s", f, d)
	}
	if d := cmp.Diff(wantStats, stats); d != "" {
		t.Fatalf("%s: stats differ from text (-text +parquet):\n%s", f, d)
	}
}

// TestParquetPacketAddresses: where the addresses of the packet header are those of the
// flow, page by page, the batch says so by leaving them out; and it says nothing else.
func TestParquetPacketAddresses(t *testing.T) {
	t.Parallel()
	const rows = 2500
	for name, differs := range map[string]func(row int) bool{
		"nowhere":         func(row int) bool { return false },
		"in one row":      func(row int) bool { return row == 1500 },
		"in the first":    func(row int) bool { return row == 0 },
		"now and then":    func(row int) bool { return row/300%2 == 1 && row%50 == 0 },
		"in a row group":  func(row int) bool { return row/1000 == 1 },
		"in nearly all":   func(row int) bool { return row%100 != 0 },
		"in other groups": func(row int) bool { return row/1000 != 1 && row%9 == 0 },
	} {
		records := goodRecords(rows)
		src, dst := slices.Index(records[0], "pkt-srcaddr"), slices.Index(records[0], "pkt-dstaddr")
		for i, r := range records[1:] {
			if differs(i) {
				r[src] = records[1+(i+1)%rows][slices.Index(records[0], "srcaddr")]
			}
			if differs(i) && i%2 == 0 {
				r[dst] = "-"
			}
		}
		want, wantStats := decodeText(t, records)
		for _, f := range []form{
			{codec: &parquet.Snappy, pageSize: 500}, {codec: &parquet.Gzip, optional: true, pageSize: 500},
			{codec: &parquet.Uncompressed, plain: true, pageSize: 5000}, {codec: &parquet.Snappy, optional: true},
		} {
			f.groupRows = 1000
			checkSame(t, f, records, want, wantStats)
			if name != "nowhere" {
				continue
			}
			file := writeParquet(t, f, records)
			_, err := DecodeParquet(context.Background(), bytes.NewReader(file), int64(len(file)), "x", 1, func(b *store.Batch) error {
				if b.PktSrc != nil || b.PktDst != nil {
					t.Errorf("%s: addresses of the packet header in a batch", f)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestParquetHandsBatchesOver: of a file of one row group the other workers emit batches too,
// and their errors are not lost.
func TestParquetHandsBatchesOver(t *testing.T) {
	t.Parallel()
	records := goodRecords(12_000)
	file := writeParquet(t, form{codec: &parquet.Snappy}, records)
	want, _, err := decodeParquet(file, 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []flow.Record
	var mu sync.Mutex
	collect, calls, most, now := collectRecords(&got), 0, 0, 0
	var failure error
	emit := func(b *store.Batch) error {
		mu.Lock()
		calls++
		now++
		most = max(most, now)
		err := failure
		mu.Unlock()
		time.Sleep(20 * time.Millisecond) // longer than decoding takes
		defer func() { mu.Lock(); now--; mu.Unlock() }()
		return errors.Join(err, collect(b))
	}
	decode := func() error {
		_, err := DecodeParquet(context.Background(), bytes.NewReader(file), int64(len(file)), "x", 3, emit)
		return err
	}
	if err := decode(); err != nil {
		t.Fatal(err)
	}
	if most != 3 || calls != (len(want)+store.BatchSize-1)/store.BatchSize {
		t.Errorf("%d batches, of which %d were emitted at once", calls, most)
	}
	order := func(a, b flow.Record) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if d := cmp.Diff(want, got, equalRecords); d != "" {
		t.Error("rows differ (-one +three):", d)
	}
	failure = errors.New("disk full")
	if err := decode(); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
}

// TestParquetWorkers: the number of workers changes the order of rows only.
func TestParquetWorkers(t *testing.T) {
	t.Parallel()
	records := append(goodRecords(3000), oddRecords()[1:]...)
	file := writeParquet(t, form{codec: &parquet.Snappy, optional: true, groupRows: 250, pageSize: 300}, records)
	want, wantStats, err := decodeParquet(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	order := func(a, b flow.Record) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(want, order)
	got, stats, err := decodeParquet(file, 4)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, order)
	if d := cmp.Diff(want, got, equalRecords); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(wantStats, stats); d != "" {
		t.Error(d)
	}
}

// TestParquetTimestamps: start and end may be timestamps of any unit.
func TestParquetTimestamps(t *testing.T) {
	t.Parallel()
	type row struct {
		Interface string `parquet:"interface_id"`
		Src       string `parquet:"srcaddr"`
		Dst       string `parquet:"dstaddr"`
		SrcPort   int32  `parquet:"srcport"`
		DstPort   int32  `parquet:"dstport"`
		Protocol  int32  `parquet:"protocol"`
		Action    string `parquet:"action"`
		Start     int64  `parquet:"start_time,timestamp(microsecond)"`
		End       int64  `parquet:"end_time,timestamp(millisecond)"`
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out)
	w.Write([]row{
		{"eni-1", "10.0.0.1", "10.0.0.2", 40000, 443, 6, "ACCEPT", 1700000000_000001, 1700000059_999},
		{"eni-1", "10.0.0.1", "10.0.0.2", 40000, 443, 6, "ACCEPT", -1, 1700000059_999}})
	w.Close()
	rows, stats, err := decodeParquet(out.Bytes(), 1)
	if err != nil || len(rows) != 1 || rows[0].Start != 1700000000 || rows[0].End != 1700000059 {
		t.Errorf("rows %v, error %v", rows, err)
	}
	if s, _ := stats.Malformed.First(); s.Line != 2 || s.Field != "start" {
		t.Errorf("sample %v", s)
	}
}

func TestParquetNotANumber(t *testing.T) {
	t.Parallel()
	records := [][]string{strings.Fields(defaultNames)}
	records = append(records, goodRecords(1)[1][:14])
	file := withoutChecksums(t, writeParquet(t, form{codec: &parquet.Uncompressed, float: true, plain: true}, records))
	// The bytes of packets are those of one DOUBLE: make it NaN, and then a fraction.
	old := []byte{}
	old = appendFloat(old, records[1][8])
	nan := bytes.ReplaceAll(file, old, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f})
	if rows, _, err := decodeParquet(nan, 1); err != nil || len(rows) != 1 || rows[0].Packets != 0 {
		t.Errorf("NaN: rows %v, error %v", rows, err)
	}
	half := bytes.ReplaceAll(file, old, []byte{0, 0, 0, 0, 0, 0, 0xe0, 0x3f})
	_, stats, err := decodeParquet(half, 1)
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := stats.Malformed.First(); s.String() != "x:1: packets: 0.5 is not a count" {
		t.Errorf("sample %q", s)
	}
}

func TestParquetRefusals(t *testing.T) {
	t.Parallel()
	type ocsf struct {
		ClassUID int32 `parquet:"class_uid"`
		Src      struct {
			IP string `parquet:"ip"`
		} `parquet:"src_endpoint"`
		Time   int64  `parquet:"time"`
		Action string `parquet:"action"`
	}
	type people struct{ Name, City string }
	type twice struct {
		A string `parquet:"srcaddr"`
		B string `parquet:"SRC-ADDR"`
	}
	type list struct {
		A []string `parquet:"srcaddr,list"`
		B []string `parquet:"dstaddr"`
	}
	type truth struct {
		A bool `parquet:"action"`
	}
	whole := writeParquet(t, form{codec: &parquet.Snappy}, goodRecords(10))
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"ocsf", "x: not a VPC flow log: its columns are nested (OCSF", fileOf(t, ocsf{})},
		{"other", "x: not a VPC flow log: none of its columns", fileOf(t, people{})},
		{"twice", "both mean srcaddr", fileOf(t, twice{})},
		{"list", "x: column dstaddr: is a list", fileOf(t, list{})},
		{"boolean", "x: column action: has the type BOOLEAN", fileOf(t, truth{})},
		{"lz4", ": compression LZ4_RAW is not read", writeParquet(t, form{codec: &parquet.Lz4Raw}, goodRecords(10))},
		{"empty", "x: not a complete Parquet file: too short", nil},
		{"text", "x: not a Parquet file", []byte(defaultNames)},
		{"cut", "x: not a complete Parquet file: its end is missing", whole[:len(whole)-1]},
		{"encrypted", "x: encrypted Parquet is not read", append([]byte("PARE"), whole[4:]...)},
		{"footer", "x: not a complete Parquet file: the footer is damaged", append(bytes.Clone(whole[:len(whole)-8]), "\xff\xff\xff\x7fPAR1"...)},
	} {
		if _, stats, err := decodeParquet(c.file, 1); err == nil || !strings.Contains(err.Error(), c.want) || stats != nil {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func fileOf[T any](t *testing.T, rows ...T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[T](&out)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestParquetLacksColumns: rows of a format from which no flow can be made are
// unsupported, as those of text are, and say what is missing.
func TestParquetLacksColumns(t *testing.T) {
	t.Parallel()
	records := goodRecords(5)
	for i := range records {
		records[i] = append(slices.Clone(records[i][:5]), records[i][7:]...) // without ports
	}
	want, wantStats := decodeText(t, records)
	if wantStats.Unsupported["the format has no srcport, dstport"] == nil {
		t.Fatalf("text: %+v", wantStats)
	}
	checkSame(t, form{codec: &parquet.Snappy}, records, want, wantStats)

	gateway := goodRecords(5)
	for i := range gateway {
		gateway[i] = append(gateway[i], []string{"tgw-id", "tgw-1"}[min(i, 1)])
	}
	want, wantStats = decodeText(t, gateway)
	checkSame(t, form{codec: &parquet.Snappy}, gateway, want, wantStats)
}

// TestParquetCutShort: a file that ends early anywhere is an error that names it.
func TestParquetCutShort(t *testing.T) {
	t.Parallel()
	whole := writeParquet(t, form{codec: &parquet.Snappy, groupRows: 20, optional: true}, goodRecords(60))
	for n := range whole {
		if _, _, err := decodeParquet(whole[:n], 2); err == nil || !strings.HasPrefix(err.Error(), "x: ") {
			t.Fatalf("cut to %d of %d bytes: error %v", n, len(whole), err)
		}
	}
	// A hole in the middle leaves the frame whole: most holes are seen, none panics.
	for n := 4; n+64 < len(whole)-8; n += 16 {
		holed := bytes.Clone(whole)
		clear(holed[n : n+64])
		decodeParquet(holed, 2)
	}
}

func TestParquetEmitError(t *testing.T) {
	t.Parallel()
	file := writeParquet(t, form{codec: &parquet.Snappy, groupRows: 5000}, goodRecords(20000))
	for _, workers := range []int{1, 4} {
		mine, calls := errors.New("mine"), atomic.Int64{}
		_, err := DecodeParquet(context.Background(), bytes.NewReader(file), int64(len(file)), "x", workers, func(*store.Batch) error {
			calls.Add(1)
			return mine
		})
		if n := calls.Load(); err != mine || n < 1 || n > int64(workers) {
			t.Errorf("%d workers: error %v after %d calls", workers, err, n)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := DecodeParquet(ctx, bytes.NewReader(file), int64(len(file)), "x", 2, func(*store.Batch) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestParquetSample reads a file that pandas wrote.
func TestParquetSample(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../shared/data/flowlogs/aws/flowlogs-reader/flows.parquet")
	if err != nil {
		t.Skip("the sample is not here: ", err)
	}
	rows, stats, err := decodeParquet(b, 2)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Records == 0 || stats.Records != stats.Rows+stats.Malformed.Total()+stats.Unsupported.Total() || uint64(len(rows)) != stats.Rows {
		t.Errorf("%+v", stats)
	}
	for name, r := range stats.Malformed {
		t.Errorf("malformed: %s: %v", name, r.Samples)
	}
	t.Logf("%d rows, the first %+v", len(rows), rows[0])
}
