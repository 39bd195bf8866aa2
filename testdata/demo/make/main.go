// Make writes the demo data set: a small web shop, the policy around it as the AWS
// CLI exports it, and six weeks of its flow logs as they lie in a bucket.
//
//	go run ./testdata/demo/make -out ./testdata/demo
//
// It writes DIR/policy and DIR/logs, always the same. Every name is invented; the
// addresses are those that RFC 5737 and RFC 3849 keep for documentation, and 10/8.
//
// network.go holds the network and its rules with what is wrong about them,
// traffic.go who talks to whom. A record is ACCEPT or REJECT as the rules have it,
// except where the story wants it otherwise, and says so.
package main

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "", "folder to write to")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: make -out DIR")
		os.Exit(2)
	}
	n := newNetwork()
	err := writePolicy(n, filepath.Join(*out, "policy"))
	if err == nil {
		err = writeLogs(n, filepath.Join(*out, "logs"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}

// id returns a resource id that looks like one of AWS and depends on the name alone.
func id(kind, name string) string {
	sum := sha256.Sum256([]byte(kind + " " + name))
	return kind + "-0" + hex.EncodeToString(sum[:8])
}

// writeJSON writes v as the AWS CLI prints it.
func writeJSON(path string, v any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	e := json.NewEncoder(f)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	if err := e.Encode(v); err != nil {
		return err
	}
	return f.Close()
}

// logFields is the order of fields of the flow log: all of versions 2 to 5.
const logFields = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status " +
	"vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id " +
	"pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"

// writeLogs writes a file for each day, in the folders and under the names that flow
// logs have in S3.
func writeLogs(n *network, dir string) error {
	for d := range days {
		from := firstDay.AddDate(0, 0, d)
		recs := n.day(d, from.Unix())
		slices.SortStableFunc(recs, func(a, b record) int { return int(a.end - b.end) })
		var b strings.Builder
		b.WriteString(logFields + "\n")
		for i := range recs {
			recs[i].write(&b)
		}
		name := fmt.Sprintf("%s_vpcflowlogs_%s_%s_%s_%s.log.gz", account, region, n.flowLog, from.Format("20060102T1504Z"), id("x", from.Format(time.DateOnly))[3:11])
		path := filepath.Join(dir, "AWSLogs", account, "vpcflowlogs", region, from.Format("2006/01/02"), name)
		if err := writeGzip(path, b.String()); err != nil {
			return err
		}
	}
	return nil
}

func writeGzip(path, text string) error {
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
	if _, err := z.Write([]byte(text)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
