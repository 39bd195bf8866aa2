// Clusters writes the second half of the demo: a database cluster, a web cluster and a
// payment service on Alibaba Cloud, their policy as its CLI prints it, and thirty days
// of flow logs as they are shipped from the log service.
//
//	go run ./testdata/demo/make/clusters -out ./testdata/demo/clusters
//
// It writes DIR/policy, DIR/plan.json and DIR/logs, always the same. The story is the one of the
// cloud's own guide: the web servers of 10.2.0.0/24 ask the databases of 10.1.0.0/24 on
// port 5432, the databases talk to one another on 2379 and 5432, and nobody wrote rules
// for that, because members of a basic group may talk anyway. Every name is invented;
// public addresses are those that RFC 5737 keeps for documentation.
//
// policy.go holds the groups with what is wrong about them, plan.go a change that breaks
// something, traffic.go who talks to whom.
package main

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const days = 30

var firstDay = time.Date(2026, 5, 11, 0, 0, 0, 0, time.UTC)

func main() {
	out := flag.String("out", "", "folder to write to")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: clusters -out DIR")
		os.Exit(2)
	}
	err := writePolicy(filepath.Join(*out, "policy"))
	if err == nil {
		err = writePlan(*out)
	}
	if err == nil {
		err = writeLogs(filepath.Join(*out, "logs"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clusters:", err)
		os.Exit(1)
	}
}

// object is a JSON object; its keys are written in order.
type object map[string]any

// writeJSON writes v as the CLI prints it.
func writeJSON(path string, v any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o666)
}

// writeLogs writes a file for each day under the name that shipping to a bucket gives it.
func writeLogs(dir string) error {
	w := &world{rng: 7}
	for d := range days {
		from := firstDay.AddDate(0, 0, d)
		w.out = w.out[:0]
		w.day(d, from.Unix())
		slices.SortStableFunc(w.out, func(a, b row) int { return int(a.end - b.end) })
		shipped := from.AddDate(0, 0, 1).Add(5 * time.Minute)
		path := filepath.Join(dir, shipped.Format("2006/01/02/15"), shipped.Format("04")+"_demo.json.gz")
		if err := writeDay(path, w.out, shipped.Unix()); err != nil {
			return err
		}
	}
	return nil
}

func writeDay(path string, rows []row, shipped int64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(z)
	for i := range rows {
		if err := enc.Encode(rows[i].object(shipped)); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
