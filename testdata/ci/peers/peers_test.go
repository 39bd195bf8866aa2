package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		figures []float64
		want    spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{4, 1, 3}, spread{1, 3, 4}},
		{[]float64{4, 1, 3, 2}, spread{1, 2.5, 4}},
	} {
		if got := spreadOf(c.figures); got != c.want {
			t.Errorf("spread of %v is %v, want %v", c.figures, got, c.want)
		}
	}
}

// TestRatiosAreOfOneRound has a machine that is half as fast in the second round: the
// ratio is the same.
func TestRatiosAreOfOneRound(t *testing.T) {
	ours, theirs := runs{{wall: 1}, {wall: 2}, {wall: 3}}, runs{{wall: 4}, {wall: 8}, {wall: 10}}
	g := goal{}.by(ours, theirs, wall, wall)
	if want := (spread{0.25, 0.25, 0.3}); g.each != want || g.best != 0.25 {
		t.Errorf("ratios %v, best %v, want %v and 0.25", g.each, g.best, want)
	}
}

func TestMissedGoals(t *testing.T) {
	in := &input{title: "text", must: 0.33, moonshot: 0.20}
	for _, c := range []struct {
		wall, memory float64
		want         string // words of the table
		missed       bool
	}{
		{0.2, 33, "moonshot moonshot", false},
		{0.3, 50, "reached reached", false},
		{0.4, 20, "missed moonshot", true},
		{0.1, 60, "moonshot missed", true},
	} {
		var out strings.Builder
		missed := printGoals(&out, []*result{{in: in, none: runs{{wall: c.wall, memory: c.memory}}, duckdb: runs{{wall: 1, memory: 100}}}})
		var words []string
		for _, w := range strings.Fields(out.String()) {
			if w == "moonshot" || w == "reached" || w == "missed" {
				words = append(words, w)
			}
		}
		// The first is in the header.
		if got := strings.Join(words[1:], " "); got != c.want || missed != c.missed {
			t.Errorf("%v s and %v MiB: %s, missed %v, want %s, %v", c.wall, c.memory, got, missed, c.want, c.missed)
		}
	}
}

// TestAlone has nothing to compare with: no goal is missed.
func TestAlone(t *testing.T) {
	var out strings.Builder
	r := []*result{{in: &inputs[0], none: runs{{wall: 1, memory: 10}}}}
	if printGoals(&out, r) || out.Len() > 0 {
		t.Errorf("goals without DuckDB:\n%s", &out)
	}
	printRuns(&out, r)
	if !strings.Contains(out.String(), "sgadvise, no plan") || strings.Contains(out.String(), "DuckDB") {
		t.Errorf("runs without DuckDB:\n%s", &out)
	}
}

func TestQueryNamesColumnsInOrder(t *testing.T) {
	sql := query(&inputs[0], &set{files: []string{"a", "it's"}})
	for _, want := range []string{
		"read_csv(['a', 'it''s'], delim=' ', header=true, auto_detect=false, nullstr='-', quote='', escape=''",
		"'dstaddr': 'VARCHAR', 'srcport': 'USMALLINT', 'dstport': 'USMALLINT', 'protocol': 'UTINYINT', 'packets': 'VARCHAR'",
	} {
		if !strings.Contains(sql, want) {
			t.Errorf("no %s in %s", want, sql)
		}
	}
}

// TestRunMeasures runs this very test binary with a part that takes memory.
func TestRunMeasures(t *testing.T) {
	if os.Getenv("PEERS_TAKE_MEMORY") != "" {
		b := make([]byte, 300<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	small := &command{args: []string{self, "-test.run", "^$"}}
	big := &command{args: []string{self, "-test.run", "^TestRunMeasures$"}, env: []string{"PEERS_TAKE_MEMORY=1"}}
	s, err := small.run()
	if err != nil {
		t.Fatal(err)
	}
	b, err := big.run()
	if err != nil {
		t.Fatal(err)
	}
	if b.memory < 300 || b.memory > 400 || s.memory > 100 {
		t.Errorf("%.0f MiB for one that takes 300, %.0f MiB for one that does not", b.memory, s.memory)
	}
	if b.wall <= 0 || b.cpu <= 0 {
		t.Errorf("%v s of wall time, %v s of processor time", b.wall, b.cpu)
	}
	if _, err := (&command{args: []string{self, "-no-such-flag"}}).run(); err == nil {
		t.Error("a command that fails is a run")
	}
}

func TestReadHead(t *testing.T) {
	h, err := readHead(strings.NewReader(`{"schema":"x","tool":{"name":"sgadvise","version":"1"},"inputs":{"logs":[{"a":[1]}]},"ledger":{"records":7,"dispositions":{"malformed":2}},"rules":`))
	if err != nil || h.ledger.Records != 7 || h.ledger.Dispositions.Malformed != 2 || h.tool.Version != "1" {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := readHead(strings.NewReader(`{"tool":{}}`)); err == nil {
		t.Error("a report without a ledger is read")
	}
}

// TestManyTimesIsOneFile holds the links to the size of the file: they take no space.
func TestManyTimesIsOneFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.log")
	if err := os.WriteFile(file, []byte("x\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	s := &set{files: []string{file}, bytes: 2}
	many, err := s.times(filepath.Join(dir, "times"), 3)
	if err != nil {
		t.Skip("no links here: ", err)
	}
	if len(many.files) != 3 || many.bytes != 6 {
		t.Errorf("%v, %d bytes", many.files, many.bytes)
	}
}

// TestBenchOnFewRecords runs it all without DuckDB on next to nothing.
func TestBenchOnFewRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	t.Chdir("../../..")
	data := t.TempDir()
	bin := filepath.Join(data, "sgadvise")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/sgadvise").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	gen, err := buildGenerator(data)
	if err != nil {
		t.Fatal(err)
	}
	b := bench{options: &options{sgadvise: bin, data: data, records: 1000, rounds: 1, plan: true}, gen: gen, note: t.Logf}
	for _, in := range inputs {
		in.gen = append([]string{"-interfaces", "20"}, in.gen...)
		r, err := b.input(&in)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.none) != 1 || len(r.tight) != 1 || r.none[0].wall <= 0 || r.none[0].memory <= 0 || r.bytes == 0 {
			t.Errorf("%s: %+v", in.name, r)
		}
	}
}
