package main

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// TestLogsHoldTheSameRecords makes 2,000 records in every format and choice of fields
// and reads back what was written.
func TestLogsHoldTheSameRecords(t *testing.T) {
	o := small(t)
	made := func() string {
		o.out = filepath.Join(t.TempDir(), o.format)
		if err := generate(&o); err != nil {
			t.Fatal(err)
		}
		text, err := readBack(o.out)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	o.gzip = true
	all := made()
	if n := strings.Count(all, "\n"); n != o.records {
		t.Fatalf("%d records, want %d", n, o.records)
	}
	o.gzip = false
	for _, o.format = range []string{"csv", "parquet"} {
		if made() != all {
			t.Errorf("%s differs from text", o.format)
		}
	}
	o.format = "text"
	for _, o.fields = range []string{"v2", "custom"} {
		names, err := o.columns()
		if err != nil {
			t.Fatal(err)
		}
		if made() != cut(all, names) {
			t.Errorf("the fields of %s differ from those of v5", o.fields)
		}
	}
}

func small(t *testing.T) options {
	return options{records: 2000, ifaces: 40, days: 3, files: 3, clients: 1000, format: "text", fields: "v5", codec: "zstd",
		traffic: "mixed", skip: true, seed: 1, groupRows: 500, out: t.TempDir()}
}

// TestNoClientOfACrowdComesTwice counts the clients of a crowd.
func TestNoClientOfACrowdComesTwice(t *testing.T) {
	o := small(t)
	o.traffic = "crowd"
	clients, records := map[netip.Addr]bool{}, 0
	w := newWorld(o.ifaces, o.seed)
	err := newTraffic(w, &o).run(o.records, o.days, func(r *record) error {
		if r.status != okay { // an interface that nobody visited on a day
			return nil
		}
		records++
		if r.egress {
			clients[r.dst] = true
		} else {
			clients[r.src] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if records == 0 || len(clients) < records/2 { // more: conversations cut in half at the end
		t.Errorf("%d clients in %d records", len(clients), records)
	}
}

// cut returns what a log of all fields has in the named ones.
func cut(text string, names []string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		all := strings.Fields(line)
		if len(names) == len(v2Fields) {
			all[0] = "2" // the version that has these fields
		}
		for i, name := range names {
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(all[slices.Index(v5Fields, name)])
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// TestPolicyExplainsTheLog reads the exports with the reader of the program and asks
// the reference evaluator about every record that opens a TCP connection.
func TestPolicyExplainsTheLog(t *testing.T) {
	o := small(t)
	if err := generate(&o); err != nil {
		t.Fatal(err)
	}
	snap, _, err := cloud.Read([]string{filepath.Join(o.out, "policy")}, cloud.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range snap.Missing {
		if m.What != "history" { // no export has it
			t.Errorf("the exports lack %s", m.What)
		}
	}
	type where struct {
		id string
		d  flow.Direction
	}
	paths := map[where][]policy.Stage{}
	judged := 0
	err = newTraffic(newWorld(o.ifaces, o.seed), &o).run(10*o.records, o.days, func(r *record) error {
		if r.proto != 6 || r.flags&2 == 0 || r.flags&16 != 0 {
			return nil
		}
		c := policy.Conn{Direction: flow.Ingress, Proto: flow.TCP, Local: r.dst, Remote: r.src, LocalPort: r.dstPort, RemotePort: r.srcPort, ICMP: policy.AnyICMP}
		if r.egress {
			c = policy.Conn{Direction: flow.Egress, Proto: flow.TCP, Local: r.src, Remote: r.dst, LocalPort: r.srcPort, RemotePort: r.dstPort, ICMP: policy.AnyICMP}
		}
		at := where{r.at.id, c.Direction}
		if paths[at] == nil {
			paths[at] = snap.Path(at.id, at.d)
		}
		judged++
		if v := policy.Decide(paths[at], &c).Verdict; (v == policy.Allowed) != r.accept || v == policy.Unknown {
			return fmt.Errorf("%s %v: the policy says %s, the log %s", r.at.id, c, v, actionName(r.accept))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if judged < o.records {
		t.Errorf("only %d records were judged", judged)
	}
}

// readBack returns the records of all logs under dir as lines of text without headers.
func readBack(dir string) (string, error) {
	var out strings.Builder
	err := filepath.WalkDir(filepath.Join(dir, "logs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".parquet") {
			rows, err := parquet.Read[row](bytes.NewReader(b), int64(len(b)))
			for i := range rows {
				out.WriteString(rows[i].line())
			}
			return err
		}
		if strings.HasSuffix(path, ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				return err
			}
			if b, err = io.ReadAll(r); err != nil {
				return err
			}
		}
		_, body, _ := strings.Cut(string(b), "\n")
		out.WriteString(strings.ReplaceAll(body, ",", " "))
		return nil
	})
	return out.String(), err
}

func (x *row) line() string {
	return strings.Join([]string{number(&x.Version), x.Account, x.Interface, x.Src, x.Dst, number(x.SrcPort), number(x.DstPort), number(x.Proto),
		number(x.Packets), number(x.Bytes), number(&x.Start), number(&x.End), x.Action, x.Status, x.VPC, x.Subnet, x.Instance, number(x.Flags), x.Type,
		x.PktSrc, x.PktDst, x.Region, x.Zone, x.SublocationT, x.SublocationID, x.SrcService, x.DstService, x.Direction, number(x.Path)}, " ") + "\n"
}

func number[T int32 | int64](n *T) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}
