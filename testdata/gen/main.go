// Gen makes AWS flow logs and the policy exports that explain them, of any size,
// always the same for the same flags.
//
//	go run ./testdata/gen -records 10000000 -out flows                 # text, default fields
//	go run ./testdata/gen -records 1000000 -format parquet -codec gzip -out flows
//	go run ./testdata/gen -records 1000000 -fields custom -gzip -files 100 -out flows
//	go run ./testdata/gen -records 2000000 -traffic crowd -out flows   # a million clients
//
// It writes DIR/logs (the folders and names of flow logs in S3) and DIR/policy
// (the output of the aws ec2 describe-… commands). The network has load balancers,
// applications, data stores and operations; interfaces carry one to five groups of
// 60 rules. Traffic inside is logged at both ends in both directions; most rules
// are never used. A record is ACCEPT exactly where the groups and network ACLs
// allow it or its opener, so a replay of the log agrees with the policy. Every
// interface has a row on every day if there are at least ten records for each
// interface and day on average.
//
// With -traffic crowd all traffic is visits of public services from the internet, two
// records each, and hardly a client comes twice.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

type options struct {
	records, ifaces, days, files, clients int
	format, fields, codec, traffic, out   string
	gzip, skip                            bool
	seed                                  uint64
	groupRows                             int64
}

func main() {
	var o options
	flag.IntVar(&o.records, "records", 100_000, "number of records")
	flag.IntVar(&o.ifaces, "interfaces", 500, "number of network interfaces, 10 to 4000")
	flag.StringVar(&o.format, "format", "text", "text, csv or parquet")
	flag.StringVar(&o.fields, "fields", "", "v2 (14, the default of text and csv), custom (22) or v5 (all 29 of versions 2 to 5); parquet has those of v5")
	flag.StringVar(&o.traffic, "traffic", "mixed", "mixed, or crowd: every client of the internet but once")
	flag.StringVar(&o.codec, "codec", "snappy", "of parquet: none, snappy, gzip, zstd")
	flag.Int64Var(&o.groupRows, "group-rows", 1_000_000, "of parquet: rows in a row group")
	flag.IntVar(&o.days, "days", 30, "days over which the records spread")
	flag.IntVar(&o.files, "files", 1, "number of log files")
	flag.IntVar(&o.clients, "clients", 3_000_000, "number of internet clients to draw from")
	flag.BoolVar(&o.gzip, "gzip", false, "compress text and csv")
	flag.BoolVar(&o.skip, "skipdata", false, "with SKIPDATA rows")
	flag.Uint64Var(&o.seed, "seed", 42, "seed")
	flag.StringVar(&o.out, "out", "", "folder to write to")
	flag.Parse()
	err := error(nil)
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.out == "":
		err = fmt.Errorf("-out is missing")
	default:
		err = generate(&o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// sink writes the records of one file.
type sink interface {
	write(*record) error
	close() error
}

func generate(o *options) error {
	if o.ifaces < 10 || o.ifaces > 4000 || o.records < 1 || o.days < 1 || o.files < 1 || o.clients < 2 {
		return fmt.Errorf("-interfaces must be 10 to 4000, -records, -days and -files at least 1, -clients at least 2")
	}
	w := newWorld(o.ifaces, o.seed)
	names, err := o.columns()
	if err != nil {
		return err
	}
	if err := writePolicy(w, filepath.Join(o.out, "policy"), o.format, names); err != nil {
		return err
	}
	perFile := (o.records + o.files - 1) / o.files
	var s sink
	var file *os.File
	finish := func() error {
		if s == nil {
			return nil
		}
		if err := s.close(); err != nil {
			return err
		}
		return file.Close()
	}
	n, part := 0, 0
	err = newTraffic(w, o).run(o.records, o.days, func(r *record) error {
		if n%perFile == 0 {
			if err := finish(); err != nil {
				return err
			}
			var err error
			if file, err = create(w, o, r.end, part); err != nil {
				return err
			}
			if s, err = newSink(file, o, names); err != nil {
				return err
			}
			part++
		}
		n++
		return s.write(r)
	})
	if err != nil {
		return err
	}
	return finish()
}

// columns returns the names of the fields that the options ask for.
func (o *options) columns() ([]string, error) {
	if o.traffic != "mixed" && o.traffic != "crowd" {
		return nil, fmt.Errorf("traffic %q is not one of mixed, crowd", o.traffic)
	}
	switch {
	case o.format == "parquet" && (o.fields == "" || o.fields == "v5"):
		return v5Fields, nil
	case o.format == "parquet":
		return nil, fmt.Errorf("parquet has the fields of v5, not %s", o.fields)
	case o.format != "text" && o.format != "csv":
		return nil, fmt.Errorf("format %q is not one of text, csv, parquet", o.format)
	case o.fields == "" || o.fields == "v2":
		return v2Fields, nil
	case o.fields == "custom":
		return customFields, nil
	case o.fields == "v5":
		return v5Fields, nil
	}
	return nil, fmt.Errorf("fields %q are not one of v2, custom, v5", o.fields)
}

func newSink(f io.Writer, o *options, names []string) (sink, error) {
	if o.format == "parquet" {
		return newParquetSink(f, o.codec, o.groupRows)
	}
	return newTextSink(f, o.format == "csv", o.gzip, names)
}

// create makes the file of the records that end about the time end, named as the
// cloud names them.
func create(w *world, o *options, end int64, part int) (*os.File, error) {
	t := time.Unix(end-end%300, 0).UTC()
	dir := filepath.Join(o.out, "logs", "AWSLogs", account, "vpcflowlogs", region, t.Format("2006/01/02"))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	suffix := map[string]string{"csv": ".csv", "parquet": ".log.parquet"}[o.format]
	if suffix == "" {
		suffix = ".log"
	}
	if o.gzip && o.format != "parquet" {
		suffix += ".gz"
	}
	name := fmt.Sprintf("%s_vpcflowlogs_%s_%s_%s_%08x%s", account, region, w.logID, t.Format("20060102T1504Z"), uint32(mix(uint64(part)+1)), suffix)
	return os.Create(filepath.Join(dir, name))
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
