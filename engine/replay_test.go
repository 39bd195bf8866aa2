package engine_test

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// records reads log lines of the fields interface-id srcaddr dstaddr srcport dstport
// protocol action tcp-flags, with "-" for what the log does not have; a line of
// three fields is a status row. Times follow the lines, a minute apart.
func records(t testing.TB, text string) []flow.Record {
	t.Helper()
	var out []flow.Record
	start := int64(1700000000)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		r := flow.Record{Interface: f[0], Start: start, End: start + 59, Packets: 4, Bytes: 336}
		start += 60
		if len(f) == 2 {
			r.Status = map[string]flow.Status{"NODATA": flow.StatusNoData, "SKIPDATA": flow.StatusSkipData}[f[1]]
			out = append(out, r)
			continue
		}
		r.Src, r.Dst = netip.MustParseAddr(f[1]), netip.MustParseAddr(f[2])
		sp, _ := strconv.Atoi(f[3])
		dp, _ := strconv.Atoi(f[4])
		p, _ := strconv.Atoi(f[5])
		r.SrcPort, r.DstPort, r.Proto = uint16(sp), uint16(dp), flow.Proto(p)
		r.Action = map[string]flow.Action{"ACCEPT": flow.Accept, "REJECT": flow.Reject}[f[6]]
		if f[7] != "-" {
			v, _ := strconv.Atoi(f[7])
			r.Flags = flow.FlagsKnown | flow.TCPFlags(v)
		}
		for _, extra := range f[8:] {
			k, v, _ := strings.Cut(extra, "=")
			switch k {
			case "pkt-src":
				r.PktSrc = netip.MustParseAddr(v)
			case "pkt-dst":
				r.PktDst = netip.MustParseAddr(v)
			case "dir":
				r.Direction = map[string]flow.Direction{"ingress": flow.Ingress, "egress": flow.Egress}[v]
			}
		}
		out = append(out, r)
	}
	return out
}

func replay(t testing.TB, policyText, logText string) *engine.Result {
	t.Helper()
	snap, err := cloud.ParseText("policy", []byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	return replayRecords(t, snap, records(t, logText), 2)
}

func replayRecords(t testing.TB, snap *policy.Snapshot, recs []flow.Record, workers int) *engine.Result {
	t.Helper()
	res, err := engine.Replay(context.Background(), store.FromRecords(engine.StoreConfig(snap), recs), snap, workers)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func usage(t testing.TB, res *engine.Result, ref string) engine.Usage {
	t.Helper()
	for _, u := range res.Usage {
		if u.Ref.String() == ref {
			return u
		}
	}
	t.Fatalf("no usage of %s", ref)
	return engine.Usage{}
}

// want checks "ref hits decisive possible" lines and "disposition count" lines.
func want(t *testing.T, res *engine.Result, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch len(f) {
		case 0:
		case 2:
			n, _ := strconv.ParseUint(f[1], 10, 64)
			found := false
			for d, got := range res.Ledger {
				if flow.Disposition(d).String() == f[0] {
					found = true
					if got != n {
						t.Errorf("%s = %d, want %d; ledger %v", f[0], got, n, res.Ledger)
					}
				}
			}
			if !found {
				t.Fatalf("no disposition %s", f[0])
			}
		case 4:
			u := usage(t, res, f[0])
			got := strings.Join([]string{f[0], strconv.FormatUint(u.Hits, 10), strconv.FormatUint(u.Decisive, 10), strconv.FormatUint(u.Possible, 10)}, " ")
			if got != strings.Join(f, " ") {
				t.Errorf("got %q, want %q", got, strings.Join(f, " "))
			}
		default:
			t.Fatalf("bad line %q", line)
		}
	}
}
