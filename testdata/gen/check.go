package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// selfCheck makes 2,000 records in every format and reads back what was written:
// all records are there, in every format and choice of fields the same, and the exports, read by the
// program's own reader, explain the action of every opener.
func selfCheck() error {
	dir, err := os.MkdirTemp("", "gen")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o := options{records: 2000, ifaces: 40, days: 3, files: 3, clients: 1000, fields: "v5", codec: "zstd", traffic: "mixed", skip: true, seed: 1, groupRows: 500}
	var forms []string
	for _, o.format = range []string{"text", "csv", "parquet"} {
		o.gzip = o.format == "text"
		o.out = filepath.Join(dir, o.format)
		if err := generate(&o); err != nil {
			return err
		}
		text, err := readBack(o.out)
		if err != nil {
			return err
		}
		forms = append(forms, text)
	}
	want := o.records
	if n := strings.Count(forms[0], "\n"); n != want {
		return fmt.Errorf("%d records, want %d", n, want)
	}
	for i, f := range forms {
		if f != forms[0] {
			return fmt.Errorf("form %d differs from the text form", i)
		}
	}
	o.format, o.gzip = "text", false
	for _, o.fields = range []string{"v2", "custom"} {
		o.out = filepath.Join(dir, o.fields)
		if err := generate(&o); err != nil {
			return err
		}
		text, err := readBack(o.out)
		if err != nil {
			return err
		}
		names, err := o.columns()
		if err != nil {
			return err
		}
		if want := cut(forms[0], names); text != want {
			return fmt.Errorf("the fields of %s differ from those of v5", o.fields)
		}
	}
	return replay(&o)
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

// replay asks the reference evaluator about every record that opens a TCP connection.
func replay(o *options) error {
	snap, _, err := cloud.Read([]string{filepath.Join(o.out, "policy")}, cloud.Options{})
	if err != nil {
		return err
	}
	for _, m := range snap.Missing {
		if m.What != "history" { // no export has it
			return fmt.Errorf("the exports lack %s", m.What)
		}
	}
	type where struct {
		id string
		d  flow.Direction
	}
	paths := map[where][]policy.Stage{}
	judged := 0
	err = newTraffic(newWorld(o.ifaces, o.seed), o).run(10*o.records, o.days, func(r *record) error {
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
	if err == nil && judged < o.records {
		err = fmt.Errorf("only %d records were judged", judged)
	}
	return err
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
