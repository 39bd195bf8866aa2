package flowlog

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

const v5Line = ok + " vpc-1 subnet-1 - 2 IPv4 172.31.16.139 10.1.2.3 us-east-1 use1-az5 - - - - ingress 1"

var quotedOK = `"` + strings.ReplaceAll(ok, " ", `" "`) + `"`

// slowOnly reads text with the slow path alone.
func slowOnly(text string, l *Layout) ([]flow.Record, *Stats) {
	var c collector
	d := NewLineDecoder(c.add)
	d.file, d.layout, d.stats = "x.log", l, &Stats{Alibaba: l.alibaba}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if err := d.oddLine([]byte(line)); err != nil {
			panic(err)
		}
	}
	if err := d.Flush(); err != nil {
		panic(err)
	}
	return c.records, d.stats
}

// checkBlock compares the fast path with the slow one on whole text, to the samples.
func checkBlock(t *testing.T, b *bench, text string, l *Layout) {
	t.Helper()
	want, wantStats := slowOnly(text, l)
	got, stats := b.decode(text, l)
	if d := cmp.Diff(want, got, equateNetip); d != "" {
		t.Fatalf("records of %q differ (-slow +fast):\n%s", text, d)
	}
	if d := cmp.Diff(wantStats, stats); d != "" {
		t.Fatalf("account of %q differs (-slow +fast):\n%s", text, d)
	}
}

// pieces are what the blocks of tests are made of: lines of every kind, and what tears them.
func pieces(sep string) []string {
	of := func(line string) string { return strings.ReplaceAll(line, " ", sep) }
	lines := []string{
		ok, ok, strings.Replace(ok, "ACCEPT", "REJECT", 1),
		strings.Replace(ok, "172.31.16.139 172.31.16.21", "2001:db8::1 2001:db8:0:0:1::2", 1),
		strings.Replace(ok, "172.31.16.139", "172.31.16.0139", 1), strings.Replace(ok, " 6 ", " 1 ", 1),
		strings.Replace(ok, " 22 ", " 65536 ", 1), strings.Replace(ok, " 4249 ", " 42490000000 ", 1),
		strings.Replace(ok, "1418530070", "1418530009", 1), strings.Replace(ok, "1418530010 1418530070", "1418530010123 1418530070456", 1),
		"2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA", "2 1 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA",
		v5Line, defaultNames, v5Names, alibabaColumns, alibabaRow, "a b srcaddr", ok + " more", ok[2:], "2", "",
		strings.Replace(ok, "eni-1", "-", 1), strings.Replace(ok, "eni-1", "eni-0123456789abcdef0", 1), "  ", "2024-01-01T00:00:00.000Z " + ok,
		strings.Replace(quotedOK, "123456789010", "", 1), strings.Replace(quotedOK, `"123456789010"`, `1"2"`, 1), strings.Replace(quotedOK, `" "`, ` ""`, 1),
		strings.Replace(quotedOK, `"2" `, `2 `, 1), quotedOK, quotedOK, strings.Replace(quotedOK, `"2" `, `"2 "`, 1), strings.Replace(quotedOK, `"22"`, `"2""2"`, 1),
		strings.Replace(ok, "123456789010", "", 1), strings.Replace(ok, " ", "\xa0", 1), ok + " ", " " + ok,
	}
	out := []string{ok, ok + "\r", strings.Repeat("x", 400), `"` + strings.ReplaceAll(ok, " ", `"`+sep+`"`) + `"`, strings.Replace(of(ok), "eni-1", `"eni-1"`, 1), of(ok) + `"`}
	for _, line := range lines {
		out = append(out, of(line))
	}
	return out
}

func blockLayouts(sep string) []*Layout {
	if sep == " " {
		return []*Layout{DefaultLayout(), newLayout(strings.Fields(defaultNames), 0), newLayout(strings.Fields(v5Names), 0), newLayout(strings.Fields(alibabaColumns), 0)}
	}
	return []*Layout{CSVLayout(sep[0], '"', DefaultLayout()), newLayout(strings.Fields(defaultNames), sep[0]), newLayout(strings.Fields(v5Names), sep[0])}
}

func TestFastPathEqualsTheSlowOneOnBlocks(t *testing.T) {
	r, b := rand.New(rand.NewPCG(8, 8)), newBench()
	for _, sep := range []string{" ", ",", "|"} {
		pieces := pieces(sep)
		for _, l := range blockLayouts(sep) {
			for range 300 {
				var text strings.Builder
				plain := r.IntN(4) > 0
				for range r.IntN(60) {
					line := strings.ReplaceAll(ok, " ", sep)
					if !plain || r.IntN(6) == 0 {
						line = pieces[r.IntN(len(pieces))]
					}
					text.WriteString(line)
					if !plain && r.IntN(10) == 0 {
						continue // two lines become one
					}
					text.WriteString("\n")
				}
				block := text.String()
				checkBlock(t, b, block[:len(block)-r.IntN(min(3, len(block)+1))], l)
			}
		}
	}
}

// Each byte is put where a separator or a quote is; those that have some of its bits, as a
// space has of a comma, are the likeliest to be taken for it.
func TestNoByteStandsForAnother(t *testing.T) {
	b := newBench()
	for _, sep := range []string{" ", ",", "|"} {
		for _, line := range []string{strings.ReplaceAll(ok, " ", sep), strings.ReplaceAll(quotedOK, " ", sep)} {
			l := blockLayouts(sep)[0]
			for i := range len(line) {
				if line[i] != sep[0] && line[i] != '"' {
					continue
				}
				var text strings.Builder
				for c := range 256 {
					if c != '\n' {
						text.WriteString(line + "\n" + line[:i] + string([]byte{byte(c)}) + line[i+1:] + "\n")
					}
				}
				checkBlock(t, b, text.String(), l)
			}
		}
	}
}

// A return at the end of a line is no part of its last value, whichever that is.
func TestReturnsBehindEachColumn(t *testing.T) {
	b := newBench()
	names, values := strings.Fields(defaultNames), strings.Fields(ok)
	for _, sep := range []string{" ", ",", "\t", ";", "|"} {
		for i := range names {
			at := func(of []string) []string { return append(slices.Delete(slices.Clone(of), i, i+1), of[i]) }
			l := newLayout(at(names), sep[0])
			if sep == " " {
				l = newLayout(at(names), 0)
			}
			line := strings.Join(at(values), sep)
			checkBlock(t, b, line+"\r\n"+line+"\n"+line+"\r\r\n"+line+"\r", l)
		}
	}
}

func TestColumnsInAnyOrderAndLongBlocks(t *testing.T) {
	r, b := rand.New(rand.NewPCG(9, 9)), newBench()
	names := strings.Fields(v5Names)
	values := strings.Fields(v5Line)
	for n := range 60 {
		order := r.Perm(len(names))
		if n%2 == 1 { // some of the columns
			order = order[:len(order)-r.IntN(12)]
		}
		var mixed []string
		for _, k := range order {
			mixed = append(mixed, names[k])
		}
		sep := []string{" ", ","}[n%2]
		l := newLayout(mixed, sep[0])
		if sep == " " {
			l = newLayout(mixed, 0)
		}
		var text strings.Builder
		for i := range 300 { // some scans
			for j, k := range order {
				if j > 0 {
					text.WriteString(sep)
				}
				switch v := values[k]; {
				case names[k] == "bytes" || names[k] == "srcport":
					fmt.Fprint(&text, i*i)
				case i == 77:
					text.WriteString("-")
				default:
					text.WriteString(v)
				}
			}
			text.WriteString("\n")
		}
		checkBlock(t, b, text.String(), l)
	}
}

func TestBlockCutAtEveryByteGivesTheSame(t *testing.T) {
	// Blocks of whole lines, cut after every line, give what one block gives.
	for _, sep := range []string{" ", ","} {
		text := strings.Join(pieces(sep), "\n") + "\n"
		for _, l := range blockLayouts(sep) {
			want, wantStats := slowOnly(text, l)
			for cut := range len(text) {
				if cut > 0 && text[cut-1] != '\n' {
					continue
				}
				b := newBench()
				var stats Stats
				layout, lines := l.Scan([]byte(text[:cut]))
				for _, part := range []struct {
					text string
					line int64
					l    *Layout
				}{{text[:cut], 1, l}, {text[cut:], lines + 1, layout}} {
					if err := b.d.Decode("x.log", []byte(part.text), part.line, part.l, &stats); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.d.Flush(); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, b.records, equateNetip); d != "" {
					t.Fatalf("records differ when cut at %d (-slow +fast):\n%s", cut, d)
				}
				stats.UnknownFields, wantStats.UnknownFields = nil, nil // the reader tells them
				if d := cmp.Diff(wantStats, &stats); d != "" {
					t.Fatalf("account differs when cut at %d (-slow +fast):\n%s", cut, d)
				}
			}
		}
	}
}

func TestPlainLinesTakeTheFastPath(t *testing.T) {
	six := strings.Replace(ok, "172.31.16.139 172.31.16.21", "2001:db8::1 2001:db8::2", 1)
	for _, c := range []struct {
		names, sep string
		lines      []string
	}{
		{defaultNames, " ", []string{ok, six, ok + "\r", "2024-01-01T00:00:00.000Z " + ok}},
		{defaultNames, ",", []string{ok, six, ok + "\r", quotedOK, quotedOK + "\r"}},
		{v5Names, " ", []string{v5Line}},
		{v5Names, "\t", []string{v5Line}},
	} {
		l := newLayout(strings.Fields(c.names), 0)
		if c.sep != " " {
			l = newLayout(strings.Fields(c.names), c.sep[0])
		}
		for _, line := range c.lines {
			b := newBench()
			text := around + "\n" + strings.ReplaceAll(line, " ", c.sep) + "\n" + around
			if records, _ := b.decode(text, l); len(records) != 1 {
				t.Fatalf("%d records of %q", len(records), text)
			}
			if slices.ContainsFunc(b.d.pos[:cap(b.d.pos)], func(s span) bool { return s != span{} }) {
				t.Errorf("%q took the slow path", text)
			}
		}
	}
}

func TestAddressesThatWereReadAreKnownByTheWholeOfTheirText(t *testing.T) {
	r, b := rand.New(rand.NewPCG(11, 11)), newBench()
	for range 30 {
		// Addresses, and texts that differ from them in a byte more, less or other.
		var addrs []string
		for range 20 {
			a := []byte(fmt.Sprintf("%d.%d.%d.%d", r.IntN(2)*110+r.IntN(3), r.IntN(12), r.IntN(2)*111, 1+r.IntN(250)))
			addrs = append(addrs, string(a))
			for range 4 {
				at := r.IntN(len(a))
				switch r.IntN(3) {
				case 0:
					a[at] = ".10-"[r.IntN(4)]
				case 1:
					a = slices.Insert(a, at, ".10"[r.IntN(3)])
				default:
					a = slices.Delete(a, at, at+1)
				}
				addrs = append(addrs, string(a))
			}
		}
		var text strings.Builder
		for range 500 {
			text.WriteString(strings.Replace(ok, "172.31.16.139 172.31.16.21", addrs[r.IntN(len(addrs))]+" "+addrs[r.IntN(len(addrs))/5*5], 1) + "\n")
		}
		checkBlock(t, b, text.String(), DefaultLayout())
	}
}

func TestAddressesKeptInOnePlaceAreToldApart(t *testing.T) {
	s := newScan()
	word := func(text string) uint64 { return binary.LittleEndian.Uint64([]byte(text)) }
	kept := map[*recentAddr]string{}
	var text strings.Builder
	pair := func(a, b string) {
		for _, addr := range []string{a, b, a} {
			text.WriteString(strings.Replace(ok, "172.31.16.139 172.31.16.21", addr+" "+addr, 1) + "\n")
		}
	}
	for _, form := range []string{"%d.%d.111.111", "111.111.%d.%d"} { // the same end, the same front
		clear(kept)
		for i := range 5000 {
			a := fmt.Sprintf(form, 10+i%90, 10+i/90)
			e := s.recent(word(a), word(a[len(a)-8:]))
			if b, found := kept[e]; found && len(b) == len(a) {
				pair(a, b)
			}
			kept[e] = a
		}
	}
	pair("11.11.11.11", "11.11.11") // both
	pair("11.11.11.11", "11.11.1111.11.11")
	if text.Len() < 1000*len(ok) {
		t.Fatalf("only %d bytes", text.Len())
	}
	checkBlock(t, newBench(), text.String(), DefaultLayout())
}

func FuzzBlocks(f *testing.F) {
	for _, sep := range []string{" ", ","} {
		text := strings.Join(pieces(sep), "\n") + "\n"
		f.Add(text, byte(0))
		f.Add(text[:len(text)/2], byte(2))
	}
	b := newBench()
	f.Fuzz(func(t *testing.T, text string, which byte) {
		for _, sep := range []string{" ", ","} {
			layouts := blockLayouts(sep)
			checkBlock(t, b, text, layouts[int(which)%len(layouts)])
		}
	})
}

func TestNamesStartAgainWhenTheyAreTooMany(t *testing.T) {
	var text strings.Builder
	want := map[string]int{}
	for i := range maxNames + 3*store.BatchSize {
		name := fmt.Sprintf("eni-%017x", i%(maxNames+9)*0x10001)
		if i%7 == 0 {
			name = fmt.Sprintf("eni-%x", i%70000)
		}
		want[name]++
		text.WriteString(strings.Replace(ok, "eni-1", name, 1) + "\n")
	}
	got := map[string]int{}
	series := map[*store.Series]bool{}
	d := NewLineDecoder(func(b *store.Batch) error {
		series[b.Series] = true
		for _, i := range b.Interface {
			got[b.Names[i]]++
		}
		return nil
	})
	if err := d.Decode("x", []byte(text.String()), 1, DefaultLayout(), &Stats{}); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(series) < 2 {
		t.Errorf("%d series", len(series))
	}
}
