package flowlog

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// counts is what a test says of a Stats.
type counts struct {
	records, rows          uint64
	malformed, unsupported string // the one cause, if any
}

func checkCounts(t *testing.T, s *Stats, want counts) {
	t.Helper()
	got := counts{records: s.Records, rows: s.Rows}
	if s.Malformed != nil {
		got.malformed = only(s.Malformed)
	}
	if s.Unsupported != nil {
		got.unsupported = only(s.Unsupported)
	}
	if got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if s.Records != s.Rows+s.Malformed.Total()+s.Unsupported.Total() {
		t.Errorf("%d records are not %d rows, %d malformed and %d unsupported", s.Records, s.Rows, s.Malformed.Total(), s.Unsupported.Total())
	}
}

func mustFormat(t *testing.T, format string) *Layout {
	t.Helper()
	l, err := ParseLogFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDefaultLayoutIsTakenByItsExactShapeOnly(t *testing.T) {
	fields := strings.Fields(ok)
	with := func(i int, v string) string {
		c := append([]string(nil), fields...)
		c[i] = v
		return strings.Join(c, " ")
	}
	swapped := append([]string(nil), fields...)
	swapped[4], swapped[5] = swapped[5], swapped[4]
	for _, c := range []struct {
		line string
		want counts
	}{
		{ok, counts{records: 1, rows: 1}},
		{with(0, "5"), counts{records: 1, malformed: causeNoLayout}},
		{with(3, "eni-1"), counts{records: 1, malformed: causeNoLayout}},
		{with(12, "OK"), counts{records: 1, malformed: causeNoLayout}},
		{with(13, "ACCEPT"), counts{records: 1, malformed: causeNoLayout}},
		{with(13, "-"), counts{records: 1, malformed: causeNoLayout}},
		{ok + " vpc-1", counts{records: 1, malformed: causeNoLayout}},
		{strings.Join(fields[:13], " "), counts{records: 1, malformed: causeNoLayout}},
		{strings.Join(swapped, " "), counts{records: 1, malformed: causeNoLayout}},
		{with(5, "70000"), counts{records: 1, malformed: "srcport is not in 0-65535"}},
	} {
		_, s := decode(c.line, DefaultLayout())
		checkCounts(t, s, c.want)
		if c.want.malformed == causeNoLayout {
			if first, _ := s.Malformed.First(); !strings.Contains(first.String(), "x.log:1: ") || !strings.Contains(first.Message, "give --log-format") {
				t.Errorf("message %q does not say where and what to do", first)
			}
		}
	}
}

func TestMessageNamesFileLineFieldAndValue(t *testing.T) {
	_, s := decode(ok+"\n\n"+strings.Replace(ok, "20641", "70000", 1), DefaultLayout())
	first, _ := s.Malformed.First()
	if got, want := first.String(), "x.log:3: srcport: 70000 is not in 0-65535"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	_, s = decode(strings.Replace(ok, "20641", "\x1b[31m"+strings.Repeat("é", 99), 1), DefaultLayout())
	if first, _ = s.Malformed.First(); len(first.Message) > 500 || strings.ContainsRune(first.Message, 0x1b) {
		t.Errorf("hostile value in message %q", first.Message)
	}
}

// Vectors 5 and 6 of the AWS semantics, and trap 3: no flow 0.0.0.0:0.
func TestNoDataAndSkipDataAreNoFlows(t *testing.T) {
	got, s := decode("2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA\n"+
		"2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA\n", DefaultLayout())
	want := []flow.Record{
		{Interface: "eni-1", Status: flow.StatusNoData, Start: 1431280876, End: 1431280934},
		{Interface: "eni-1", Status: flow.StatusSkipData, Start: 1431280876, End: 1431280934},
	}
	if d := cmp.Diff(want, got, equateNetip); d != "" {
		t.Error(d)
	}
	checkCounts(t, s, counts{records: 2, rows: 2})
}

func TestStatusRulesOverActionAndTheConflictIsReported(t *testing.T) {
	got, s := decode("2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 1 100 200 REJECT NODATA", DefaultLayout())
	if len(got) != 1 || got[0].Status != flow.StatusNoData || got[0].Src.IsValid() {
		t.Errorf("row %+v is not bare coverage", got)
	}
	if only(s.Conflicts) != causeStatusAction {
		t.Errorf("conflicts %v", s.Conflicts.Names())
	}
}

// Vector 7 and trap 4.
func TestHeaderLineReplacesTheLayoutWhereverItStands(t *testing.T) {
	text := ok + "\n" +
		"dstaddr srcaddr dstport srcport protocol action log-status start end interface-id no-such-field\n" +
		"172.31.16.21 172.31.16.139 22 20641 6 ACCEPT OK 1418530010 1418530070 eni-1 x\n" +
		"172.31.16.21 172.31.16.139 22 20641 6 ACCEPT OK 1418530010 1418530070 eni-1\n" +
		defaultNames + "\r\n\r\n" + ok + "\r\n"
	got, s := decode(text, DefaultLayout())
	checkCounts(t, s, counts{records: 4, rows: 3, malformed: causeCount})
	if d := cmp.Diff(got[0], got[2], equateNetip); d != "" {
		t.Error(d)
	}
	bare := got[0]
	bare.Packets, bare.Bytes = 0, 0
	if d := cmp.Diff(bare, got[1], equateNetip); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"no-such-field"}, s.UnknownFields); d != "" {
		t.Error(d)
	}
	if first, _ := s.Malformed.First(); first.Line != 4 {
		t.Errorf("bad line is %d, want 4", first.Line)
	}
}

// Vector 14 and trap 62.
func TestMillisecondsBecomeSeconds(t *testing.T) {
	got, _ := decode("2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 1 1700000000000 1700000060999 ACCEPT OK", DefaultLayout())
	if got[0].Start != 1700000000 || got[0].End != 1700000060 {
		t.Errorf("%d to %d", got[0].Start, got[0].End)
	}
}

// Trap 46.
func TestMappedAddresses(t *testing.T) {
	l := mustFormat(t, "interface-id type srcaddr dstaddr srcport dstport protocol start end action")
	for _, c := range []struct {
		typ, src, dst string
		want          string // source read, or the cause why not
	}{
		{"-", "::ffff:10.0.0.1", "::ffff:10.0.0.2", "10.0.0.1"},
		{"-", "::ffff:a00:1", "0:0:0:0:0:ffff:10.0.0.2", "10.0.0.1"},
		{"IPv4", "::ffff:10.0.0.1", "10.0.0.2", "10.0.0.1"},
		{"-", "::ffff:10.0.0.1", "10.0.0.2", causeFamilies},
		{"-", "::ffff:10.0.0.1", "2001:db8::1", causeMapped},
		{"IPv6", "2001:db8::1", "::ffff:10.0.0.1", causeMapped},
		{"-", "10.0.0.1", "2001:db8::1", causeFamilies},
		{"-", "2001:DB8:0:0::1", "2001:db8::1", "2001:db8::1"},
		{"-", "::", "2001:db8::1", causeUnspecified},
	} {
		got, s := decode("eni-1 "+c.typ+" "+c.src+" "+c.dst+" 1 2 6 100 200 ACCEPT", l)
		if len(got) == 1 {
			if got[0].Src != netip.MustParseAddr(c.want) {
				t.Errorf("%+v: read %v", c, got[0].Src)
			}
		} else if causes := append(s.Malformed.Names(), s.Unsupported.Names()...); len(causes) != 1 || causes[0] != c.want {
			t.Errorf("%+v: causes %v", c, causes)
		}
	}
}

func TestWhatIsNoFlowOfAnInterfaceIsUnsupported(t *testing.T) {
	for _, c := range []struct{ format, line, want string }{
		{"interface-id srcaddr dstaddr start end action", "eni-1 10.0.0.1 10.0.0.2 1 2 ACCEPT", "the format has no srcport, dstport, protocol"},
		{"interface-id srcport dstport protocol start end", "eni-1 1 2 6 1 2", "the format has no srcaddr, dstaddr, action"},
		{"version tgw-id srcaddr dstaddr srcport dstport protocol start end log-status", "6 tgw-1 10.0.0.1 10.0.0.2 1 2 6 1 2 OK", causeGateway},
		{"srcaddr dstaddr srcport dstport protocol start end action", "- - - - - 1 2 -", causeNoStatus},
		{"srcaddr dstaddr srcport dstport protocol start end action", "10.0.0.1 10.0.0.2 1 2 6 1 2 -", causeNoAction},
		{"srcaddr dstaddr srcport dstport protocol start end action", "10.0.0.1 10.0.0.2 - 2 17 1 2 ACCEPT", causeNoPort},
		{"srcaddr dstaddr srcport dstport protocol start end action", "10.0.0.1 10.0.0.2 1 2 - 1 2 ACCEPT", causeNoProtocol},
		{"srcaddr dstaddr srcport dstport protocol start end action", "10.0.0.1 10.0.0.2 1 2 6 - - ACCEPT", causeNoTime},
		{"srcaddr dstaddr srcport dstport protocol start end action type", "10.0.0.1 10.0.0.2 1 2 6 1 2 ACCEPT EFA", causeEFA},
		{"srcaddr dstaddr srcport dstport protocol start end action log-status", "- - - - - 1 2 - OK", causeNoAddress},
	} {
		got, s := decode(c.line, mustFormat(t, c.format))
		if len(got) != 0 {
			t.Errorf("%q gives the row %+v", c.line, got)
		}
		checkCounts(t, s, counts{records: 1, unsupported: c.want})
	}
}

func TestMissingIsNotZero(t *testing.T) {
	l := mustFormat(t, "${version} ${interface_id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${tcp-flags} ${flow-direction} ${pkt-srcaddr} ${pkt-dstaddr}")
	got, s := decode("5 None 10.0.0.1 10.0.0.2 1 2 6 - - 100 200 ACCEPT - - - -\n"+
		"5 - 10.0.0.1 10.0.0.2 - - 1 1 1 100 200 REJECT 0 ingress 10.9.9.9 -\n"+
		"5 - - - 1 2 6 1 1 100 - REJECT 18 egress 10.9.9.9 10.8.8.8\n", l)
	checkCounts(t, s, counts{records: 3, rows: 3})
	a := netip.MustParseAddr
	want := []flow.Record{
		{Interface: "-", Src: a("10.0.0.1"), Dst: a("10.0.0.2"), SrcPort: 1, DstPort: 2, Proto: 6, Action: flow.Accept, Start: 100, End: 200},
		{Interface: "-", Src: a("10.0.0.1"), Dst: a("10.0.0.2"), PktSrc: a("10.9.9.9"), Proto: 1, Action: flow.Reject, Flags: flow.FlagsKnown,
			Direction: flow.Ingress, Packets: 1, Bytes: 1, Start: 100, End: 200},
		{Interface: "-", Src: a("10.9.9.9"), Dst: a("10.8.8.8"), PktSrc: a("10.9.9.9"), PktDst: a("10.8.8.8"), SrcPort: 1, DstPort: 2, Proto: 6,
			Action: flow.Reject, Flags: flow.FlagsKnown | flow.SYN | flow.ACK, Direction: flow.Egress, Packets: 1, Bytes: 1, Start: 100, End: 100},
	}
	if d := cmp.Diff(want, got, equateNetip); d != "" {
		t.Error(d)
	}
}

func TestExportTaskLines(t *testing.T) {
	want, _ := decode(ok, DefaultLayout())
	got, s := decode("2024-01-01T00:00:00.000Z "+ok+"\n2024-01-01 "+ok, DefaultLayout())
	checkCounts(t, s, counts{records: 2, rows: 1, malformed: causeNoLayout})
	if d := cmp.Diff(want, got, equateNetip); d != "" {
		t.Error(d)
	}
}

func TestCSVForms(t *testing.T) {
	want, _ := decode(ok, DefaultLayout())
	commas := strings.ReplaceAll(ok, " ", ",")
	for name, text := range map[string]string{
		"plain":   strings.ReplaceAll(defaultNames, " ", ",") + "\n" + commas,
		"athena":  `"version","account","interfaceid","sourceaddress","destinationaddress","sourceport","destinationport","protocol","numpackets","numbytes","starttime","endtime","action","logstatus","date"` + "\r\n" + `"` + strings.ReplaceAll(commas, ",", `","`) + `",` + "\r\n",
		"aliased": "version,account_id,interface_id,source_address,dest_address,source_port,dest_port,protocol,num_packets,num_bytes,start_time,end_time,action,log_status\n" + commas,
		"camel":   "version,accountId,interfaceId,srcAddr,dstAddr,srcPort,dstPort,protocol,packets,bytes,startTime,endTime,action,logStatus\n" + commas,
		"message": "@timestamp,@message\n2022-03-01 22:18:35.000,\"" + ok + "\"\n",
		"joined":  strings.ReplaceAll(defaultNames, " ", ",") + "\n" + commas + "\n@timestamp,@message\nx," + ok,
	} {
		got, s := decode(text, CSVLayout(',', '"', DefaultLayout()))
		if name == "joined" {
			want := append(want, want...)
			if d := cmp.Diff(want, got, equateNetip); d != "" {
				t.Errorf("%s: %s", name, d)
			}
			continue
		}
		checkCounts(t, s, counts{records: 1, rows: 1})
		if d := cmp.Diff(want, got, equateNetip); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	l, err := ParseColumns(strings.ReplaceAll(defaultNames, " ", ", "), DefaultLayout())
	if err != nil {
		t.Fatal(err)
	}
	got, _ := decode(commas, l)
	if d := cmp.Diff(want, got, equateNetip); d != "" {
		t.Error(d)
	}
	_, s := decode(commas, CSVLayout(',', '"', DefaultLayout()))
	checkCounts(t, s, counts{records: 1, malformed: "no header line; give --columns"})
}

func TestFormatsThatCannotBe(t *testing.T) {
	for _, format := range []string{"", "   ", "${version", "${srcaddr} ${srcaddr}", "a b c", "${version} 10.0.0.1"} {
		if _, err := ParseLogFormat(format); err == nil {
			t.Errorf("ParseLogFormat(%q) succeeds", format)
		}
	}
	for _, columns := range []string{"", "a,b", "srcaddr,,dstaddr", "srcaddr,src_addr"} {
		if _, err := ParseColumns(columns, nil); err == nil {
			t.Errorf("ParseColumns(%q) succeeds", columns)
		}
	}
}

func TestEveryFieldIsKnownInEverySpelling(t *testing.T) {
	official := 0
	for _, f := range fieldTable {
		if f.since > 0 && f.field != TransitGateway {
			official++
		}
		for _, name := range []string{f.name, strings.ReplaceAll(f.name, "-", "_"), strings.ReplaceAll(f.name, "-", ""), strings.ToUpper(f.name)} {
			if got, known := LookupField(name); !known || got != f.field {
				t.Errorf("LookupField(%q) = %v, %v, want %v", name, got, known, f.field)
			}
		}
	}
	// 2-11: 14 + 7 + 4 + 4 + 10 + 1 + 1 + 1 + 12 names.
	if official != 54 {
		t.Errorf("%d fields of VPC flow logs, want 54", official)
	}
	if _, known := LookupField("srcaddress2"); known {
		t.Error("an unknown name is known")
	}
}

func TestMergeOfStatsDoesNotDependOnTheSplit(t *testing.T) {
	lines := strings.Split(strings.Repeat(ok+"\n"+strings.Replace(ok, "22", "x", 1)+"\nversion a-"+"b srcaddr\n", 40), "\n")
	whole, parts := &Stats{}, []*Stats{}
	d := newBench().d
	for i, line := range lines {
		part := &Stats{}
		for _, s := range []*Stats{whole, part} {
			if err := d.Decode("x", []byte(line), int64(i+1), DefaultLayout(), s); err != nil {
				t.Fatal(err)
			}
		}
		part.AddUnknownField("f" + strings.Repeat("x", i))
		whole.AddUnknownField("f" + strings.Repeat("x", i))
		parts = append(parts, part)
	}
	merged := &Stats{}
	for i := len(parts) - 1; i >= 0; i-- {
		merged.Merge(parts[i])
	}
	if d := cmp.Diff(whole, merged); d != "" {
		t.Errorf("whole and merged differ (-whole +merged):\n%s", d)
	}
	if !whole.MoreUnknownFields || len(whole.UnknownFields) != maxUnknownFields {
		t.Errorf("%d unknown fields kept, more: %v", len(whole.UnknownFields), whole.MoreUnknownFields)
	}
}

func TestDecodingAllocatesNothingPerLine(t *testing.T) {
	for _, text := range []string{ok + "\n", around + "\n" + ok + "\n" + around + "\n"} {
		d := newBench().d
		d.columns.emit = nil // never full here
		text, l := []byte(text), DefaultLayout()
		var s Stats
		d.Decode("x", text, 1, l, &s)
		if n := testing.AllocsPerRun(1000, func() { d.Decode("x", text, 1, l, &s) }); n != 0 {
			t.Errorf("%v allocations a line", n)
		}
	}
}

func FuzzAddr(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "::", "::1", "1::", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4.5", "12345::", "01.2.3.4", "1.2.3.4:", ":::", "1:::2", "::1::", "fe80::1%a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, kind := parseAddr([]byte(s))
		want, ok := slowAddr(s)
		switch {
		case ok != (kind != addrBad):
			t.Fatalf("parseAddr(%q) kind %d, want ok %v", s, kind, ok)
		case ok && a.Netip() != want.Unmap() && !(want.IsUnspecified() && want.Is6()):
			t.Fatalf("parseAddr(%q) = %v, want %v", s, a, want)
		case ok && (kind == addrMapped) != want.Is4In6():
			t.Fatalf("parseAddr(%q) kind %d", s, kind)
		}
	})
}
