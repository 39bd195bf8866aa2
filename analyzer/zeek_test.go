package analyzer_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

const traces = "../../shared/data/traces"

// traced is one connection of a packet trace: who opened it is known.
type traced struct {
	orig, resp         netip.Addr
	origPort, respPort uint16
	proto              flow.Proto
	start, end         int64
	sent, answered     uint64 // packets
	sentBytes, ansByte uint64
	// Flags of all packets of either side; midlife connections lack the SYN.
	sentFlags, ansFlags flow.TCPFlags
}

// conns reads Zeek's conn logs.
func conns(t *testing.T, pattern string) []traced {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(traces, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no traces match %s: they are not part of the project", filepath.Join(traces, pattern))
	}
	var out []traced
	for _, name := range files {
		column := make(map[string]int)
		for line := range lines(t, name) {
			if rest, ok := strings.CutPrefix(line, "#fields\t"); ok {
				for i, f := range strings.Split(rest, "\t") {
					column[f] = i
				}
			}
			if strings.HasPrefix(line, "#") || line == "" {
				continue
			}
			fields := strings.Split(line, "\t")
			out = append(out, zeekConn(t, func(name string) string { return fields[column[name]] }))
		}
	}
	return out
}

func zeekConn(t *testing.T, field func(string) string) traced {
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(field(name), 10, 64)
		if err != nil {
			t.Fatalf("%s: %q", name, field(name))
		}
		return n
	}
	seconds := func(name string) float64 {
		s, err := strconv.ParseFloat(strings.Replace(field(name), "-", "0", 1), 64)
		if err != nil {
			t.Fatalf("%s: %q", name, field(name))
		}
		return s
	}
	c := traced{orig: netip.MustParseAddr(field("id.orig_h")), resp: netip.MustParseAddr(field("id.resp_h")),
		start: int64(seconds("ts")), end: int64(seconds("ts") + seconds("duration")),
		sent: number("orig_pkts"), sentBytes: number("orig_ip_bytes"), answered: number("resp_pkts"), ansByte: number("resp_ip_bytes")}
	switch field("proto") {
	case "tcp":
		c.proto = flow.TCP
	case "udp":
		c.proto = flow.UDP
	case "icmp":
		c.proto = flow.ICMP
		if c.orig.Is6() {
			c.proto = flow.ICMPv6
		}
	default:
		t.Fatalf("proto %q", field("proto"))
	}
	if c.proto.HasPorts() {
		c.origPort, c.respPort = uint16(number("id.orig_p")), uint16(number("id.resp_p"))
	}
	if c.proto == flow.TCP {
		c.sentFlags, c.ansFlags = flow.FlagsKnown, flow.FlagsKnown
		for _, h := range field("history") {
			to := &c.sentFlags
			if h >= 'a' && h <= 'z' {
				to = &c.ansFlags
			}
			switch h {
			case 'S', 's':
				*to |= flow.SYN
			case 'H', 'h':
				*to |= flow.SYN | flow.ACK
			case 'F', 'f':
				*to |= flow.FIN
			case 'R', 'r':
				*to |= flow.RST
			}
		}
	}
	if strings.HasPrefix(field("history"), "^") { // Zeek turned it round: its first packet came from the "responder"
		c.orig, c.resp, c.origPort, c.respPort = c.resp, c.orig, c.respPort, c.origPort
		c.sent, c.answered, c.sentBytes, c.ansByte = c.answered, c.sent, c.ansByte, c.sentBytes
		c.sentFlags, c.ansFlags = c.ansFlags, c.sentFlags
	}
	return c
}

// competition reads the connections of the wrccdc2018 trace, which has no packet
// counts: what a protocol analyser logged was answered.
func competition(t *testing.T) []traced {
	t.Helper()
	name := filepath.Join(traces, "wrccdc2018", "connections.csv.gz")
	var text strings.Builder
	for line := range lines(t, name) {
		text.WriteString(line + "\n")
	}
	rows, err := csv.NewReader(strings.NewReader(text.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []traced
	for _, r := range rows[1:] {
		c := traced{orig: netip.MustParseAddr(r[3]), resp: netip.MustParseAddr(r[5]), sent: 5, sentBytes: 400, answered: 4, ansByte: 900}
		for _, f := range []struct {
			to   *int64
			text string
		}{{&c.start, r[0]}, {&c.end, r[1]}} {
			s, err := strconv.ParseFloat(f.text, 64)
			if err != nil {
				t.Fatal(err)
			}
			*f.to = int64(s)
		}
		for _, f := range []struct {
			to   *uint16
			text string
		}{{&c.origPort, r[4]}, {&c.respPort, r[6]}} {
			n, err := strconv.ParseUint(f.text, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			*f.to = uint16(n)
		}
		c.proto = flow.UDP
		if r[7] == "tcp" {
			c.proto = flow.TCP
			c.sentFlags, c.ansFlags = flow.FlagsKnown|flow.SYN|flow.FIN, flow.FlagsKnown|flow.SYN|flow.ACK|flow.FIN
		}
		if r[8] == "" || r[8] == "syslog" { // a probe, or one way by nature
			c.answered, c.ansByte = 0, 0
		}
		out = append(out, c)
	}
	return out
}

// serves returns what each host of the wrccdc2018 trace was seen to serve, as "tcp/443".
func serves(t *testing.T) map[netip.Addr]map[string]bool {
	t.Helper()
	out := make(map[netip.Addr]map[string]bool)
	for line := range lines(t, filepath.Join(traces, "wrccdc2018", "known_services.log.gz")) {
		f := strings.Split(line, "\t")
		if strings.HasPrefix(line, "#") || len(f) < 4 {
			continue
		}
		a := netip.MustParseAddr(f[1])
		if out[a] == nil {
			out[a] = make(map[string]bool)
		}
		out[a][f[3]+"/"+f[2]] = true
	}
	return out
}

// lines yields the lines of a gzip file; the test is skipped if it is not there.
func lines(t *testing.T, name string) func(func(string) bool) {
	t.Helper()
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		t.Skipf("%s is not there: traces are not part of the project", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string) bool) {
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(z)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			if !yield(s.Text()) {
				return
			}
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
	}
}
