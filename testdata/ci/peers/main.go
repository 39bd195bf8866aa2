// Peers times the main job, from the files to the report, beside what people would
// reach for otherwise: DuckDB doing only the first step of it, a GROUP BY over the
// same files into a count. Both sides get two threads and run in turn, so that a
// machine that slows down slows down both; each file is read once, untimed, before
// every run.
//
//	go run ./testdata/ci/peers -sgadvise bin/sgadvise                     # 10 million records
//	go run ./testdata/ci/peers -sgadvise bin/sgadvise -records 1000000 -fail
//	go run ./testdata/ci/peers -sgadvise bin/sgadvise -alone -only v2,snappy -rounds 3
//
// Run it from the root of the repository: it makes its data with testdata/gen, once,
// and keeps it beside DuckDB, which it installs from npm, in -data. A run counts only
// if it saw all records.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

type options struct {
	sgadvise, data, only, profiles string
	records, rounds, times         int
	wait                           time.Duration
	alone, fail, crowd, plan       bool
}

func main() {
	var o options
	flag.StringVar(&o.sgadvise, "sgadvise", "bin/sgadvise", "the program")
	flag.StringVar(&o.data, "data", "", "folder for the data and DuckDB (default: sgadvise-peers in the user's cache)")
	flag.StringVar(&o.only, "only", "", "inputs to run, comma-separated (default: all): "+strings.Join(inputNames(), ", "))
	flag.StringVar(&o.profiles, "profiles", "", "folder for CPU profiles of one more run of each input")
	flag.IntVar(&o.records, "records", 10_000_000, "number of records")
	flag.IntVar(&o.rounds, "rounds", 5, "times that everything is run")
	flag.IntVar(&o.times, "times", 0, "give the v2 text this many times over to one run and compare the memory; 0: do not")
	flag.BoolVar(&o.crowd, "crowd", false, "run a log with as many internet clients as records asked for, and show the memory")
	flag.DurationVar(&o.wait, "wait", 0, "time to wait for an idle machine before each run")
	flag.BoolVar(&o.plan, "plan", true, "run with a plan (--mode tighten) as well")
	flag.BoolVar(&o.alone, "alone", false, "without DuckDB")
	flag.BoolVar(&o.fail, "fail", false, "exit 1 if the best run of an input misses what it must reach")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "peers: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	missed, err := o.run(os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
	if missed && o.fail {
		os.Exit(1)
	}
}

// run does everything and reports whether an input missed what it must reach.
func (o *options) run(out io.Writer) (missed bool, err error) {
	chosen, err := choose(o.only)
	if err != nil {
		return false, err
	}
	if o.rounds < 1 || o.records < 1000 {
		return false, fmt.Errorf("-rounds must be at least 1, -records at least 1000")
	}
	if o.sgadvise, err = filepath.Abs(o.sgadvise); err != nil {
		return false, err
	}
	if o.data == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return false, err
		}
		o.data = filepath.Join(cache, "sgadvise-peers")
	}
	note := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	note("data is kept in %s", o.data)
	var db *duckDB
	if !o.alone {
		if db, err = installDuckDB(filepath.Join(o.data, "duckdb")); err != nil {
			note("%v: sgadvise runs alone", err)
		}
	}
	b := bench{options: o, db: db, note: note}
	if b.gen, err = buildGenerator(o.data); err != nil {
		return false, err
	}
	var results []*result
	for i := range chosen {
		r, err := b.input(&chosen[i])
		if err != nil {
			return false, err
		}
		results = append(results, r)
	}
	fmt.Fprintf(out, "%s records, %s, %d processors, %s/%s, rounds: %d", grouped(o.records), b.version, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, o.rounds)
	if db != nil {
		fmt.Fprintf(out, ", DuckDB %s: %s groups", db.version, grouped(db.groups))
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out)
	printRuns(out, results)
	missed = printGoals(out, results)
	large, err := b.large(out)
	return missed || large, err
}

// bench runs the commands.
type bench struct {
	*options
	db      *duckDB // nil: none
	gen     string  // the generator
	version string  // of sgadvise
	note    func(format string, args ...any)
}

// threads that each side gets.
const threads = "2"

// result holds the runs of one input, by command.
type result struct {
	in                          *input
	bytes                       int64
	reader, duckdb, none, tight runs
}

// input runs all that there is for an input, in turn.
func (b *bench) input(in *input) (*result, error) {
	b.note("%s", in.title)
	set, err := b.generate(in.name, b.records, in.gen)
	if err != nil {
		return nil, err
	}
	res := &result{in: in, bytes: set.bytes}
	reader := in.reader != nil
	for round := range b.rounds {
		b.note("  round %d of %d", round+1, b.rounds)
		if reader {
			r, err := b.timed(set, &command{args: slices.Concat(in.reader, set.files)})
			if err != nil {
				b.note("  %v: left out", err)
				reader = false
			} else {
				res.reader = append(res.reader, r)
			}
		}
		if b.db != nil {
			r, err := b.group(in, set, b.records)
			if err != nil {
				return nil, err
			}
			res.duckdb = append(res.duckdb, r)
		}
		r, err := b.analyze(set, "none", b.records)
		if err != nil {
			return nil, err
		}
		res.none = append(res.none, r)
		if b.plan {
			if r, err = b.analyze(set, "tighten", b.records); err != nil {
				return nil, err
			}
			res.tight = append(res.tight, r)
		}
	}
	if b.profiles == "" {
		return res, nil
	}
	if err := os.MkdirAll(b.profiles, 0o777); err != nil {
		return nil, err
	}
	_, err = b.analyze(set, "none", b.records, "--cpu-profile", filepath.Join(b.profiles, in.name+".prof"))
	return res, err
}

// group runs DuckDB's part of the job.
func (b *bench) group(in *input, set *set, records int) (run, error) {
	r, err := b.timed(set, b.db.command(query(in, set)))
	if err == nil {
		err = b.db.check(&r, records)
	}
	return r, err
}

// analyze runs the main job and checks that it saw all records.
func (b *bench) analyze(set *set, mode string, records int, more ...string) (run, error) {
	report := filepath.Join(b.data, "report.json")
	c := &command{
		args: append([]string{b.sgadvise, "analyze", "--mode", mode, "--workers", threads, "--progress", "none", "--quiet",
			"--format", "json", "-o", report, "--logs", set.logs, "--policy", set.policy}, more...),
		env: []string{"GOMAXPROCS=" + threads},
	}
	r, err := b.timed(set, c)
	if err != nil {
		return r, err
	}
	f, err := os.Open(report)
	if err != nil {
		return r, err
	}
	defer f.Close()
	h, err := readHead(f)
	if err != nil {
		return r, fmt.Errorf("%s: %w", report, err)
	}
	if h.ledger.Records != records || h.ledger.Dispositions.Malformed > 0 {
		return r, fmt.Errorf("%s: %d records, %d malformed, want %d records", set.logs, h.ledger.Records, h.ledger.Dispositions.Malformed, records)
	}
	b.version = h.tool.Name + " " + h.tool.Version
	return r, nil
}

// head is what is read of a report.
type head struct {
	tool   struct{ Name, Version string }
	ledger struct {
		Records      int
		Dispositions struct{ Malformed int }
	}
}

// readHead reads a report up to its ledger. To hold a whole one would make this
// program so large that it shows in the memory of what it runs.
func readHead(r io.Reader) (head, error) {
	var h head
	d := json.NewDecoder(r)
	if _, err := d.Token(); err != nil {
		return h, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return h, err
		}
		into := any(&json.RawMessage{})
		switch key {
		case "tool":
			into = &h.tool
		case "ledger":
			into = &h.ledger
		}
		if err := d.Decode(into); err != nil || key == "ledger" {
			return h, err
		}
	}
	return h, fmt.Errorf("it has no ledger")
}
