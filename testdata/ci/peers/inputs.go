package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// input is a form of the log, and what the main job must reach on it.
type input struct {
	name, title string
	gen         []string // flags of testdata/gen
	columns     []string // of text and CSV, in order; nil: Parquet
	sep         byte
	reader      []string // a command that does nothing but read the files, as a limit; nil: none

	// Wall time of the main job by that of DuckDB's GROUP BY: to reach, and to hope for.
	must, moonshot float64
	// The same by that of reader; 0: no goal.
	readerMust, readerMoonshot float64
}

var (
	v2Columns = strings.Fields(`version account_id interface_id srcaddr dstaddr srcport dstport protocol
		packets bytes start end action log_status`)
	customColumns = append(v2Columns[:len(v2Columns):len(v2Columns)], strings.Fields(`vpc_id subnet_id instance_id
		tcp_flags type pkt_srcaddr pkt_dstaddr flow_direction`)...)
)

var (
	countLines = []string{"wc", "-l"}
	decompress = []string{"gzip", "-dc"}
)

var inputs = []input{
	{name: "v2", title: "default v2 text", columns: v2Columns, sep: ' ', reader: countLines,
		must: 0.33, moonshot: 0.20, readerMust: 6, readerMoonshot: 4},
	{name: "custom", title: "custom 22-field text", gen: []string{"-fields", "custom"}, columns: customColumns, sep: ' ', reader: countLines,
		must: 0.27, moonshot: 0.17},
	{name: "csv", title: "CSV with header", gen: []string{"-format", "csv"}, columns: v2Columns, sep: ',', reader: countLines,
		must: 0.33, moonshot: 0.20},
	{name: "gz100", title: "100 .log.gz files", gen: []string{"-gzip", "-files", "100"}, columns: v2Columns, sep: ' ', reader: decompress,
		must: 0.45, moonshot: 0.28},
	{name: "gz", title: "one .log.gz file", gen: []string{"-gzip"}, columns: v2Columns, sep: ' ', reader: decompress,
		must: 0.45, moonshot: 0.25},
	{name: "snappy", title: "Parquet snappy", gen: []string{"-format", "parquet", "-codec", "snappy"},
		must: 0.60, moonshot: 0.40},
	{name: "gzip", title: "Parquet gzip", gen: []string{"-format", "parquet", "-codec", "gzip"},
		must: 0.80, moonshot: 0.50},
}

// What peak memory by that of DuckDB, the time with a plan by that without, the memory
// for many times the records by that for once, and the memory for a crowd must reach.
const (
	memoryMust, memoryMoonshot = 0.5, 0.33
	planMust                   = 2
	timesMust                  = 1.10
	crowdMust                  = 1024 // MiB
)

func inputNames() []string {
	var names []string
	for i := range inputs {
		names = append(names, inputs[i].name)
	}
	return names
}

// choose returns the inputs that only names, all if it is empty.
func choose(only string) ([]input, error) {
	if only == "" {
		return inputs, nil
	}
	var chosen []input
	for name := range strings.SplitSeq(only, ",") {
		i := slices.Index(inputNames(), name)
		if i < 0 {
			return nil, fmt.Errorf("-only: %q is not one of %s", name, strings.Join(inputNames(), ", "))
		}
		chosen = append(chosen, inputs[i])
	}
	return chosen, nil
}

// set is an input on disk.
type set struct {
	logs, policy string
	files        []string
	bytes        int64
}

// open returns the set that lies in dir.
func open(dir string) (*set, error) {
	s := &set{logs: filepath.Join(dir, "logs"), policy: filepath.Join(dir, "policy")}
	err := filepath.WalkDir(s.logs, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		s.files = append(s.files, path)
		s.bytes += info.Size()
		return nil
	})
	return s, err
}

// buildGenerator builds testdata/gen into dir and returns its path. The name holds the
// digest of its sources: what another version of it made is made anew.
func buildGenerator(dir string) (string, error) {
	sources, err := filepath.Glob("testdata/gen/*.go")
	if err != nil {
		return "", err
	}
	if len(sources) == 0 {
		return "", fmt.Errorf("testdata/gen is not here: run from the root of the repository")
	}
	sum := sha256.New()
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	path := filepath.Join(dir, fmt.Sprintf("gen-%x", sum.Sum(nil)[:6]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	tool := cmp.Or(os.Getenv("GO"), "go")
	if out, err := exec.Command(tool, "build", "-o", path, "./testdata/gen").CombinedOutput(); err != nil {
		return "", fmt.Errorf("testdata/gen: %w\n%s", err, out)
	}
	return path, nil
}

// generate makes records of the log unless they are there.
func (b *bench) generate(name string, records int, flags []string) (*set, error) {
	dir := filepath.Join(b.data, fmt.Sprint(records), name)
	// The last thing written: without it, or with another, the rest is not what it should be.
	mark := filepath.Join(dir, "made-by")
	by := strings.Join(slices.Concat([]string{filepath.Base(b.gen)}, flags), " ") + "\n"
	if text, err := os.ReadFile(mark); err == nil && string(text) == by {
		return open(dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	b.note("  making %s records", grouped(records))
	args := append([]string{"-records", fmt.Sprint(records), "-out", dir}, flags...)
	if out, err := exec.Command(b.gen, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gen: %w\n%s", err, out)
	}
	if err := os.WriteFile(mark, []byte(by), 0o666); err != nil {
		return nil, err
	}
	return open(dir)
}
