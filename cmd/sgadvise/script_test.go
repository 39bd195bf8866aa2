package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sgadvise": main})
}

// TestScripts runs the command as users do. Besides the commands of testscript, the
// scripts know:
//
//	exits CODE ARG…            run sgadvise and hold it to its exit code
//	field FILE PATH VALUE      hold a value of a report, as plan.edits.0.op; len is a
//	                           length, [key=value] the element of a list that has it
//	ledger FILE NAME=N…        hold the account of records: what is not named is 0
//	gz FILE NEW, cut FILE N    compress; drop the last N bytes
//	toparquet FILE NEW         write a text log with a header line as Parquet
//	tocsv FILE NEW             … as CSV
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			root, err := filepath.Abs("../..")
			env.Setenv("ROOT", root)
			env.Setenv("NO_COLOR", "1")
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     cmdExits,
			"field":     cmdField,
			"ledger":    cmdLedger,
			"gz":        cmdGz,
			"cut":       cmdCut,
			"toparquet": cmdToParquet,
			"tocsv":     cmdToCSV,
		},
	})
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec("sgadvise", args[1:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func readJSON(ts *testscript.TestScript, name string) any {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(name)))
	d.UseNumber()
	var v any
	ts.Check(d.Decode(&v))
	return v
}

func cmdField(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: field FILE PATH VALUE")
	}
	v, err := lookup(readJSON(ts, args[0]), args[1])
	ts.Check(err)
	got := ""
	switch v := v.(type) {
	case string:
		got = v
	default:
		text, err := json.Marshal(v)
		ts.Check(err)
		got = string(text)
	}
	if got != args[2] {
		ts.Fatalf("%s: %s is %s, want %s", args[0], args[1], got, args[2])
	}
}

// lookup returns the value at path, whose steps are keys, numbers, len or [key=value].
func lookup(v any, path string) (any, error) {
	for path != "" {
		var step string
		if sel, ok := strings.CutPrefix(path, "["); ok {
			step, path, _ = strings.Cut(sel, "]")
			path = strings.TrimPrefix(path, ".")
			key, want, _ := strings.Cut(step, "=")
			list, _ := v.([]any)
			i := slices.IndexFunc(list, func(x any) bool {
				m, _ := x.(map[string]any)
				return fmt.Sprint(m[key]) == want
			})
			if i < 0 {
				return nil, fmt.Errorf("no element has %s", step)
			}
			v = list[i]
			continue
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		step, path = path[:end], strings.TrimPrefix(path[end:], ".")
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = x[step]; !ok {
				return nil, fmt.Errorf("no key %q", step)
			}
		case []any:
			if step == "len" {
				v = len(x)
				continue
			}
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				return nil, fmt.Errorf("no element %q in a list of %d", step, len(x))
			}
			v = x[i]
		default:
			return nil, fmt.Errorf("%q of a value that is neither object nor list", step)
		}
	}
	return v, nil
}

func cmdLedger(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: ledger FILE NAME=N…")
	}
	doc := readJSON(ts, args[0])
	v, err := lookup(doc, "ledger.dispositions")
	ts.Check(err)
	got := v.(map[string]any)
	want := make(map[string]string)
	for _, a := range args[1:] {
		name, n, _ := strings.Cut(a, "=")
		if _, ok := got[name]; !ok {
			ts.Fatalf("%q is no disposition", name)
		}
		want[name] = n
	}
	sum := int64(0)
	for name, n := range got {
		count, err := n.(json.Number).Int64()
		ts.Check(err)
		sum += count
		if w, ok := want[name]; !ok && count != 0 || ok && n.(json.Number).String() != w {
			ts.Fatalf("%s: %s records are %s; the ledger is %v", args[0], n, name, got)
		}
	}
	total, err := lookup(doc, "ledger.records")
	ts.Check(err)
	if fmt.Sprint(sum) != fmt.Sprint(total) {
		ts.Fatalf("%s: dispositions add up to %d of %v records", args[0], sum, total)
	}
}

func cmdGz(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: gz FILE NEW")
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(z.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o666))
}

func cmdCut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	body := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(body[:max(0, len(body)-n)]), 0o666))
}

func cmdToParquet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: toparquet FILE NEW")
	}
	var b bytes.Buffer
	ts.Check(writeParquet(&b, []byte(ts.ReadFile(args[0]))))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o666))
}

func cmdToCSV(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tocsv FILE NEW")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), toCSV([]byte(ts.ReadFile(args[0]))), 0o666))
}

// toCSV writes a text log with a header line as a query engine exports it.
func toCSV(text []byte) []byte {
	var b bytes.Buffer
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		for j, v := range strings.Fields(line) {
			switch {
			case j > 0:
				b.WriteByte(',')
			}
			switch {
			case i == 0:
				fmt.Fprintf(&b, "%q", strings.ReplaceAll(v, "-", "_"))
			case v != "-":
				fmt.Fprintf(&b, "%q", v)
			}
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// numeric are the columns that are no strings in Parquet flow logs.
var numeric = map[string]parquet.Node{
	"version": parquet.Int(32), "srcport": parquet.Int(32), "dstport": parquet.Int(32), "protocol": parquet.Int(32),
	"packets": parquet.Int(64), "bytes": parquet.Int(64), "start": parquet.Int(64), "end": parquet.Int(64),
	"tcp_flags": parquet.Int(32), "traffic_path": parquet.Int(32),
}

// writeParquet writes a text log with a header line as flow logs are in Parquet: "-" is
// null, names have underscores.
func writeParquet(w *bytes.Buffer, text []byte) error {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	names := strings.Fields(strings.ReplaceAll(lines[0], "-", "_"))
	group := parquet.Group{}
	for _, name := range names {
		node, ok := numeric[name]
		if !ok {
			node = parquet.String()
		}
		group[name] = parquet.Optional(node)
	}
	schema := parquet.NewSchema("flow", group)
	column := make(map[string]int)
	for i, path := range schema.Columns() {
		column[path[0]] = i
	}
	out := parquet.NewWriter(w, schema, parquet.Compression(&parquet.Snappy))
	for _, line := range lines[1:] {
		row := make(parquet.Row, len(names))
		for i, v := range strings.Fields(line) {
			c := column[names[i]]
			x := parquet.Value{}
			if node, ok := numeric[names[i]]; v != "-" && ok {
				n, err := strconv.ParseInt(v, 10, 64)
				if err != nil {
					return err
				}
				if x = parquet.Int64Value(n); node.Type().Kind() == parquet.Int32 {
					x = parquet.Int32Value(int32(n))
				}
			} else if v != "-" {
				x = parquet.ByteArrayValue([]byte(v))
			}
			if x.IsNull() {
				row[c] = x.Level(0, 0, c)
			} else {
				row[c] = x.Level(0, 1, c)
			}
		}
		if _, err := out.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
	}
	return out.Close()
}
