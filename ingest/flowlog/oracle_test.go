package flowlog

import (
	"encoding/csv"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// The slow, obvious reading of a line: the definition to which the decoder is held.

// outcome is what becomes of one line.
type outcome struct {
	record *flow.Record // a row in a batch
	class  string       // "", "malformed" or "unsupported"
	cause  string
}

func bad(cause string) outcome  { return outcome{class: "malformed", cause: cause} }
func none(cause string) outcome { return outcome{class: "unsupported", cause: cause} }

// slowLine reads one line of text (sep 0) or CSV under the named columns.
func slowLine(line string, names []string, sep, quote byte, assumed bool) (outcome, bool) {
	line = strings.TrimSuffix(line, "\r")
	if strings.Trim(line, " ") == "" {
		return outcome{}, false
	}
	var values []string
	if sep != 0 {
		swap := func(s string) string { return s }
		if quote != '"' { // the other package knows one quote only
			swap = swapQuotes
		}
		var err error
		r := csv.NewReader(strings.NewReader(swap(line)))
		r.FieldsPerRecord, r.Comma = -1, rune(sep)
		if values, err = r.Read(); err != nil {
			return bad("csv"), true
		}
		for i := range values {
			values[i] = swap(values[i])
		}
	} else {
		values = strings.FieldsFunc(line, func(r rune) bool { return r == ' ' })
		if len(values) == len(names)+1 && slowExportTime(values[0]) {
			values = values[1:]
		}
	}
	if len(values) != len(names) {
		if assumed {
			return bad(causeNoLayout), true
		}
		return bad(causeCount), true
	}
	v, alibaba := slowValues(names, values)
	return slowRecord(v, newLayout(names, 0).lacks, assumed, alibaba), true
}

var withoutMarks = strings.NewReplacer("-", "", "_", "").Replace

// slowValues says which field has which value, and whether the names are Alibaba's.
func slowValues(names, values []string) (v map[Field]string, alibaba bool) {
	for _, name := range names {
		switch strings.ToLower(withoutMarks(name)) {
		case "eniid", "vmid", "vswitchid":
			alibaba = true
		}
	}
	v = map[Field]string{}
	for i, name := range names {
		f, _ := LookupField(name)
		if f == ENIDirection {
			f = Carried
			if alibaba {
				f = FlowDirection
			}
		}
		if f != Carried {
			v[f] = values[i]
		}
	}
	return v, alibaba
}

var swapQuotes = strings.NewReplacer(`'`, `"`, `"`, `'`).Replace

var slowExportTime = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$`).MatchString

func slowMissing(s string) bool { return s == "" || s == "-" || s == "None" }

// slowAddr reads an address; mapped addresses stay IPv6.
func slowAddr(s string) (netip.Addr, bool) {
	if slowMissing(s) {
		return netip.Addr{}, true
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Zone() == ""
}

func slowNumber(s string, most uint64) (n uint64, ok bool) {
	if slowMissing(s) {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= most
}

func slowTime(s string) (int64, bool) {
	if slowMissing(s) {
		return -1, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if n > 1<<31-1 {
		n /= 1000
	}
	return int64(n), err == nil && n <= 1<<31-1
}

func slowRecord(v map[Field]string, lacks string, assumed, alibaba bool) outcome {
	fault := func(f Field) outcome {
		if alibaba && f == FlowDirection {
			f = ENIDirection
		}
		if assumed && slices.Contains([]Field{Version, SrcAddr, DstAddr, Action, LogStatus}, f) {
			return bad(causeNoLayout)
		}
		return bad(f.String() + " " + rules[f])
	}
	if _, ok := v[TransitGateway]; ok {
		return none(causeGateway)
	}
	var r flow.Record
	r.Interface = v[InterfaceID]
	if slowMissing(r.Interface) {
		r.Interface = "-"
	}
	stated := true
	switch s := v[LogStatus]; s {
	case "OK":
	case "NODATA":
		r.Status = flow.StatusNoData
	case "SKIPDATA":
		r.Status = flow.StatusSkipData
	default:
		if !slowMissing(s) || assumed {
			return fault(LogStatus)
		}
		stated = false
	}
	if s := v[Version]; alibaba && (strings.Trim(s, "0123456789") != "" || len(s) > 19 || strings.HasPrefix(v[VSwitchID], "vpc-")) {
		return bad(causeMisplaced)
	}
	if assumed && v[Version] != "2" {
		return fault(Version)
	}
	switch s := v[Action]; s {
	case "ACCEPT":
		r.Action = flow.Accept
	case "REJECT":
		r.Action = flow.Reject
	default:
		if !slowMissing(s) {
			return fault(Action)
		}
	}
	for _, a := range []struct {
		f    Field
		into *netip.Addr
	}{{SrcAddr, &r.Src}, {DstAddr, &r.Dst}, {PktSrcAddr, &r.PktSrc}, {PktDstAddr, &r.PktDst}} {
		var ok bool
		if *a.into, ok = slowAddr(v[a.f]); !ok {
			return fault(a.f)
		}
	}
	var ok bool
	if r.Start, ok = slowTime(v[Start]); !ok {
		return fault(Start)
	}
	if r.End, ok = slowTime(v[End]); !ok {
		return fault(End)
	}
	timed := r.Start >= 0 || r.End >= 0
	if _, some := v[Start]; alibaba && some && !timed {
		return bad(causeNoTime)
	}
	if r.Start < 0 {
		r.Start = r.End
	}
	if r.End < 0 {
		r.End = r.Start
	}
	if r.End < r.Start {
		return bad(causeBackward)
	}
	if r.Status != flow.StatusOK {
		if !timed {
			return none(causeNoTime)
		}
		return outcome{record: &flow.Record{Interface: r.Interface, Status: r.Status, Start: r.Start, End: r.End}}
	}
	if lacks != "" {
		return none(lacks)
	}
	if !stated && !r.Src.IsValid() && r.Action == flow.ActionNone {
		return none(causeNoStatus)
	}
	switch s := v[Type]; {
	case s == "EFA":
		return none(causeEFA)
	case s != "IPv4" && s != "IPv6" && !slowMissing(s):
		return none(causeType)
	}
	numbers := map[Field]uint64{}
	for _, n := range []struct {
		f    Field
		most uint64
	}{{Protocol, 255}, {SrcPort, 65535}, {DstPort, 65535}, {TCPFlags, 255}} {
		if numbers[n.f], ok = slowNumber(v[n.f], n.most); !ok {
			return fault(n.f)
		}
	}
	switch s := v[FlowDirection]; {
	case s == "ingress" || s == "in" && alibaba:
		r.Direction = flow.Ingress
	case s == "egress" || s == "out" && alibaba:
		r.Direction = flow.Egress
	case !slowMissing(s):
		return fault(FlowDirection)
	}
	if r.Packets, ok = slowNumber(v[Packets], 1<<64-1); !ok {
		return fault(Packets)
	}
	if r.Bytes, ok = slowNumber(v[Bytes], 1<<64-1); !ok {
		return fault(Bytes)
	}
	if !r.Src.IsValid() {
		r.Src = r.PktSrc
	}
	if !r.Dst.IsValid() {
		r.Dst = r.PktDst
	}
	if !r.Src.IsValid() || !r.Dst.IsValid() {
		return none(causeNoAddress)
	}
	if o := slowPair(&r.Src, &r.Dst, v[Type]); o != "" {
		return familyOutcome(o)
	}
	if r.PktSrc.IsValid() || r.PktDst.IsValid() {
		src, dst := r.PktSrc, r.PktDst
		if !src.IsValid() {
			src = mustOriginal(v, SrcAddr, PktSrcAddr)
		}
		if !dst.IsValid() {
			dst = mustOriginal(v, DstAddr, PktDstAddr)
		}
		if o := slowPair(&src, &dst, v[Type]); o != "" {
			return familyOutcome(o)
		}
		r.PktSrc, r.PktDst = r.PktSrc.Unmap(), r.PktDst.Unmap()
	}
	switch {
	case r.Action == flow.ActionNone:
		return none(causeNoAction)
	case slowMissing(v[Protocol]):
		return none(causeNoProtocol)
	case !timed:
		return none(causeNoTime)
	}
	r.Proto = flow.Proto(numbers[Protocol])
	if r.Proto.HasPorts() {
		if slowMissing(v[SrcPort]) || slowMissing(v[DstPort]) {
			return none(causeNoPort)
		}
		r.SrcPort, r.DstPort = uint16(numbers[SrcPort]), uint16(numbers[DstPort])
	}
	if n := numbers[TCPFlags]; !slowMissing(v[TCPFlags]) && !(alibaba && n&2 > 0 && n&16 > 0) {
		r.Flags = flow.FlagsKnown | flow.TCPFlags(numbers[TCPFlags])
	}
	return outcome{record: &r}
}

func mustOriginal(v map[Field]string, f, or Field) netip.Addr {
	a, _ := slowAddr(v[f])
	if !a.IsValid() {
		a, _ = slowAddr(v[or])
	}
	return a
}

func familyOutcome(cause string) outcome {
	if cause == causeFamilies {
		return bad(cause)
	}
	return none(cause)
}

// slowPair unmaps two addresses if they are IPv4 and says why they cannot be used.
func slowPair(a, b *netip.Addr, typ string) string {
	if a.IsUnspecified() && a.Is6() || b.IsUnspecified() && b.Is6() {
		return causeUnspecified
	}
	if typ == "IPv4" || a.Is4In6() && b.Is4In6() {
		*a, *b = a.Unmap(), b.Unmap()
	}
	switch {
	case a.Is4() && b.Is4():
		return ""
	case a.Is4() != b.Is4():
		return causeFamilies
	case a.Is4In6() || b.Is4In6():
		return causeMapped
	}
	return ""
}

// collector gathers the records of batches.
type collector struct{ records []flow.Record }

func (c *collector) add(b *store.Batch) error {
	c.records = append(c.records, recordsOf(b)...)
	return nil
}

func recordsOf(b *store.Batch) (records []flow.Record) {
	for i := range b.Len() {
		records = append(records, flow.Record{
			Interface: b.Names[b.Interface[i]],
			Src:       b.Src[i].Netip(), Dst: b.Dst[i].Netip(),
			PktSrc: cell(b.PktSrc, i).Netip(), PktDst: cell(b.PktDst, i).Netip(),
			SrcPort: b.SrcPort[i], DstPort: b.DstPort[i],
			Proto: b.Proto[i], Direction: cell(b.Direction, i),
			Action: b.Action[i], Status: b.Status[i], Flags: cell(b.Flags, i),
			Packets: b.Packets[i], Bytes: b.Bytes[i], Start: b.Start[i], End: b.End[i],
		})
	}
	return records
}

// cell returns the value of row i of a column, or zero if the batch lacks the column.
func cell[T any](column []T, i int) (v T) {
	if len(column) > 0 {
		v = column[i]
	}
	return v
}

// bench is a decoder with its collector, kept between lines: its columns are large.
type bench struct {
	collector
	d *LineDecoder
}

func newBench() *bench {
	b := &bench{}
	b.d = NewLineDecoder(b.add)
	return b
}

// decode decodes whole text under a layout.
func (b *bench) decode(text string, l *Layout) ([]flow.Record, *Stats) {
	b.records = nil
	var stats Stats
	if err := b.d.Decode("x.log", []byte(text), 1, l, &stats); err != nil {
		panic(err)
	}
	if err := b.d.Flush(); err != nil {
		panic(err)
	}
	return b.records, &stats
}

func decode(text string, l *Layout) ([]flow.Record, *Stats) { return newBench().decode(text, l) }

// only returns the one cause in a set of reasons, for messages of tests.
func only(m Reasons) string {
	if len(m) != 1 {
		return fmt.Sprint(m.Names())
	}
	return m.Names()[0]
}

var equateNetip = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
