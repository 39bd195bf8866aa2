package flowlog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

const v5Names = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"

// customNames are the fields of the benchmarks' custom format.
const customNames = defaultNames + " vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr flow-direction"

const ok = "2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"

// fields that lines of fuzz tests draw from: each good, at an edge, or bad.
var pool = map[Field][]string{
	Version:       {"2", "2", "2", "5", "-", "x"},
	InterfaceID:   {"eni-1", "eni-0123456789abcdef0", "-", "None", "eni-2"},
	SrcAddr:       {"10.0.0.1", "10.0.0.1", "255.255.255.255", "0.0.0.0", "2001:db8::1", "::ffff:10.0.0.1", "::", "-", "None", "10.0.0.256", "01.2.3.4", "fe80::1%eth0", "1.2.3", "::1"},
	SrcPort:       {"0", "443", "65535", "65536", "70000", "-", "", "+1", "00080", "99999999999999999999999"},
	Protocol:      {"6", "17", "1", "58", "0", "255", "256", "-", "tcp"},
	Packets:       {"0", "1", "18446744073709551615", "18446744073709551616", "-", "-1", "1.5"},
	Start:         {"1418530010", "1418530010000", "2147483647", "2147483648", "-", "0", "x", "99999999999999999"},
	Action:        {"ACCEPT", "ACCEPT", "REJECT", "-", "accept", "ALLOW"},
	LogStatus:     {"OK", "OK", "OK", "NODATA", "SKIPDATA", "-", "ok"},
	TCPFlags:      {"0", "2", "18", "255", "256", "-", "16", "26", "24"},
	Type:          {"IPv4", "IPv6", "EFA", "-", "IPv5"},
	FlowDirection: {"ingress", "egress", "-", "in"},
	ENIDirection:  {"in", "out", "-", "ingress", "egress", "up", ""},
	VSwitchID:     {"vsw-1", "-", "", "vpc-1"},
}

func init() {
	pool[DstAddr], pool[PktSrcAddr], pool[PktDstAddr] = pool[SrcAddr], pool[SrcAddr], pool[SrcAddr]
	pool[DstPort], pool[Bytes], pool[End] = pool[SrcPort], pool[Packets], pool[Start]
}

// randomLine makes a line whose values are mostly good.
func randomLine(r *rand.Rand, names []string, sep string) string {
	var values []string
	for _, name := range names {
		f, _ := LookupField(name)
		choices := pool[f]
		switch {
		case choices == nil:
			values = append(values, "x")
		case r.IntN(5) > 0:
			values = append(values, choices[0])
		default:
			values = append(values, choices[r.IntN(len(choices))])
		}
	}
	switch r.IntN(20) {
	case 0:
		values = values[1:]
	case 1:
		values = append(values, "more")
	case 2:
		values = append([]string{"2024-01-01T00:00:00.000Z"}, values...)
	}
	return strings.Join(values, sep)
}

// around is a blank line, of which nothing becomes. Between two of them stands a line that
// the fast path may take; the first and the last line of a block are not for it.
var around = strings.Repeat(" ", 2*slack)

// checkLine compares the decoder with the oracle on one line, by itself and among others.
func checkLine(t *testing.T, b *bench, line string, names []string, l *Layout) {
	t.Helper()
	if strings.Contains(line, "\n") || l.mayBeHeader([]byte(line)) && l.header([]byte(line)) != nil {
		return
	}
	checkReading(t, b, line, line, names, l)
	checkReading(t, b, line, around+"\n"+line+"\n"+around, names, l)
}

// checkReading compares what the decoder makes of text, which holds line, with what the
// oracle makes of line.
func checkReading(t *testing.T, b *bench, line, text string, names []string, l *Layout) {
	t.Helper()
	got, stats := b.decode(text, l)
	want, isRecord := slowLine(line, names, l.sep, l.quote, l.assumed)
	var wantStats Stats
	var wantRecords []flow.Record
	if isRecord {
		wantStats.Records = 1
	}
	switch want.class {
	case "malformed":
		wantStats.Malformed.at(want.cause).Count = 1
	case "unsupported":
		wantStats.Unsupported.at(want.cause).Count = 1
	default:
		if want.record != nil {
			wantStats.Rows = 1
			wantRecords = []flow.Record{*want.record}
		}
	}
	if d := cmp.Diff(wantRecords, got, equateNetip); d != "" {
		t.Errorf("records of %q differ (-slow +fast):\n%s", text, d)
	}
	causes := func(s *Stats) string {
		m := s.Malformed
		if l.sep != 0 && m.Total() > 0 && (m[causeBareQuote] != nil || m[causeOpenQuote] != nil || m[causeTail] != nil) {
			m = Reasons{"csv": &Reason{Count: 1}}
		}
		return fmt.Sprint(s.Records, s.Rows, m.Names(), s.Unsupported.Names())
	}
	if g, w := causes(stats), causes(&wantStats); g != w {
		t.Errorf("decode(%q) counts %s, want %s", text, g, w)
	}
}

func TestTextEqualsTheSlowReading(t *testing.T) {
	r, b := rand.New(rand.NewPCG(42, 42)), newBench()
	for _, format := range []string{defaultNames, v5Names, alibabaColumns, "vm-id direction eni_id srcaddr dstaddr srcport dstport protocol start end action tcp-flags",
		"interface-id pkt-srcaddr pkt-dstaddr srcport dstport protocol start action type",
		"srcaddr dstaddr srcport dstport protocol start end action flow-direction"} {
		names := strings.Fields(format)
		layouts := []*Layout{newLayout(names, 0)}
		if format == defaultNames {
			layouts = append(layouts, DefaultLayout())
		}
		for _, l := range layouts {
			for range 6000 {
				checkLine(t, b, randomLine(r, names, " "), names, l)
			}
		}
	}
}

func TestCSVEqualsTheSlowReading(t *testing.T) {
	r, b := rand.New(rand.NewPCG(43, 43)), newBench()
	names := strings.Fields(v5Names)
	l := newLayout(names, ',')
	for range 6000 {
		line := randomLine(r, names, ",")
		checkLine(t, b, line, names, l)
		checkLine(t, b, `"`+strings.ReplaceAll(line, ",", `","`)+`"`, names, l)
	}
	names = strings.Fields(alibabaColumns)
	for _, sep := range separators {
		for _, quote := range []string{`"`, "'"} {
			l := newLayout(names, ',').Separated(sep[0], quote[0])
			for range 800 {
				line := randomLine(r, names, sep)
				checkLine(t, b, line, names, l)
				checkLine(t, b, quote+strings.ReplaceAll(line, sep, quote+sep+quote)+quote, names, l)
			}
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{ok, "", " ", "-", strings.Repeat("- ", 14), ok + " ", "  " + ok, ok + "\r", strings.ReplaceAll(ok, " ", "  "),
		strings.ReplaceAll(ok, " ", "\xa0"), "2024-01-01T00:00:00.000Z " + ok, alibabaRow} {
		f.Add(s)
	}
	names, b := strings.Fields(defaultNames), newBench()
	for r := rand.New(rand.NewPCG(1, 1)); r.IntN(50) > 0; {
		f.Add(randomLine(r, names, " "))
	}
	f.Fuzz(func(t *testing.T, line string) {
		checkLine(t, b, line, names, DefaultLayout())
		checkLine(t, b, line, names, newLayout(names, 0))
		v5 := strings.Fields(v5Names)
		checkLine(t, b, line+" vpc-1 subnet-1 - 2 IPv4 "+line, v5, newLayout(v5, 0))
		alibaba := strings.Fields(alibabaColumns)
		checkLine(t, b, line, alibaba, newLayout(alibaba, 0))
	})
}

func FuzzCSV(f *testing.F) {
	commas := strings.ReplaceAll(ok, " ", ",")
	for _, s := range []string{commas, `"` + strings.ReplaceAll(ok, " ", `","`) + `"`, `"a""b",` + commas, `a"b`, `"a"b`, `"a`, ",", `""`, `"",""`,
		alibabaRow, strings.ReplaceAll(alibabaRow, " ", ","), strings.ReplaceAll(alibabaRow, " ", "\t"), strings.ReplaceAll(alibabaRow, " ", "|")} {
		f.Add(s)
	}
	names, b := strings.Fields(defaultNames), newBench()
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\r") {
			return // encoding/csv drops some carriage returns inside values
		}
		checkLine(t, b, line, names, newLayout(names, ','))
		alibaba := newLayout(strings.Fields(alibabaColumns), ',')
		for _, sep := range separators {
			checkLine(t, b, line, strings.Fields(alibabaColumns), alibaba.Separated(sep[0], '"'))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 7))
	addr := func() string { return fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(256), r.IntN(256)) }
	var v2, custom, v5, quoted strings.Builder
	const lines = 40000 // more than a processor learns by heart
	for range lines {
		line := fmt.Sprintf("2 123456789010 eni-%017x %s %s %d %d 6 %d %d %d %d ACCEPT OK", 0x0a479835a7588c9+r.IntN(500)*0x10001, addr(), addr(),
			32768+r.IntN(28000), []int{22, 443, 5432}[r.IntN(3)], r.IntN(200), r.IntN(100000), 1700000000+r.IntN(100000), 1700100000+r.IntN(60))
		v2.WriteString(line + "\n")
		custom.WriteString(line + " vpc-09676f97abcdef8a7 subnet-02d645abcdefadbc0 i-0a0123456789abcd1 2 IPv4 " + addr() + " " + addr() + " ingress\n")
		v5.WriteString(line + " vpc-09676f97abcdef8a7 subnet-02d645abcdefadbc0 i-0a0123456789abcd1 2 IPv4 " + addr() + " " + addr() + " us-east-1 use1-az5 - - - - ingress 1\n")
		quoted.WriteString(`"` + strings.ReplaceAll(line, " ", `","`) + "\"\n")
	}
	for _, c := range []struct {
		name, text string
		layout     *Layout
	}{
		{"v2", v2.String(), DefaultLayout()},
		{"custom", custom.String(), newLayout(strings.Fields(customNames), 0)},
		{"v5", v5.String(), newLayout(strings.Fields(v5Names), 0)},
		{"csv", strings.ReplaceAll(v2.String(), " ", ","), newLayout(strings.Fields(defaultNames), ',')},
		{"csv-quoted", quoted.String(), newLayout(strings.Fields(defaultNames), ',')},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := NewLineDecoder(func(*store.Batch) error { return nil })
			text := []byte(c.text)
			var stats Stats
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				d.Decode("x", text, 1, c.layout, &stats)
			}
			if stats.Rows != stats.Records {
				b.Fatal(stats.Malformed.First())
			}
			b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
