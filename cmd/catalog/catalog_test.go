package catalog

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/cmd/lock"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

const (
	header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"
	day0   = 19_700
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// config is what a policy may ask for.
var config = store.Config{
	PortBounds: []uint16{443, 444, 3306, 3307, 40_000},
	Local:      map[string][]flow.Addr{"eni-0": {flow.Addr4(10<<24 | 1)}, "eni-1": {flow.Addr4(10<<24 | 2)}},
	Workers:    2,
}

// lines returns n rows of one day, with rows that end on the next, a bad one, and NODATA.
func lines(seed uint64, day, n int) string {
	rng := rand.New(rand.NewPCG(seed, uint64(day)))
	var b strings.Builder
	for i := range n {
		start := (day0+day)*86400 + rng.IntN(86400)
		if i == 0 {
			start = (day0+day+1)*86400 - 5
		}
		switch {
		case i == 1 && seed%3 == 0:
			fmt.Fprintf(&b, "2 1 eni-0 - - - - - - - %d %d - NODATA\n", start, start+60)
		case i == 2 && seed%3 == 1:
			b.WriteString("2 1 eni-0 10.0.0.300 10.0.0.2 1 2 6 1 1 1 1 ACCEPT OK\n")
		default:
			fmt.Fprintf(&b, "2 1 eni-%d 10.0.0.%d 10.0.0.%d %d %d 6 %d %d %d %d ACCEPT OK\n", rng.IntN(3), 1+rng.IntN(4), 1+rng.IntN(4),
				30_000+rng.IntN(30_000), []int{443, 3306, 8080}[rng.IntN(3)], 1+rng.IntN(9), 40+rng.IntN(999), start, start+rng.IntN(60))
		}
	}
	return b.String()
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func gz(text string, level int) string {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, level)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// world is a folder of logs and a store.
type world struct {
	t    *testing.T
	logs string
	dir  string
}

func newWorld(t *testing.T) *world {
	root := t.TempDir()
	return &world{t, filepath.Join(root, "logs"), filepath.Join(root, "store")}
}

func (w *world) log(name string) string { return filepath.Join(w.logs, name) }

func options() Options {
	return Options{Reading: ingest.Options{Workers: 2, MaxBadRows: -1}, Config: config, Now: now}
}

func (w *world) open() *Store {
	w.t.Helper()
	s, err := Open(context.Background(), w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	return s
}

// ingest adds all logs and returns what became of them, as state and name.
func (w *world) ingest() []string {
	w.t.Helper()
	s := w.open()
	r, err := s.Ingest(context.Background(), []string{w.logs}, options())
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, o := range r.Outcomes {
		rel, _ := filepath.Rel(w.logs, o.Path)
		line := string(o.State) + " " + rel
		if o.Err != nil {
			line += ": " + strings.ReplaceAll(o.Err.Error(), w.logs+"/", "")
		}
		if o.Of != "" {
			rel, _ := filepath.Rel(w.logs, o.Of)
			line += " of " + rel
		}
		out = append(out, line)
	}
	return out
}

// read returns what the logs themselves give, without those named.
func (w *world) read(cfg store.Config, but ...string) (*store.Connections, *ingest.Report) {
	w.t.Helper()
	names, err := ingest.Files([]string{w.logs})
	if err != nil {
		w.t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		rel, _ := filepath.Rel(w.logs, n)
		return slices.Contains(but, rel)
	})
	tally := store.NewTally(cfg)
	r, err := ingest.Read(context.Background(), names, ingest.Options{MaxBadRows: -1}, tally)
	if err != nil {
		w.t.Fatal(err)
	}
	return tally.Finish(), r
}

// holds checks that the store gives what the logs give, without those named, and that it is
// sound.
func (w *world) holds(but ...string) {
	w.t.Helper()
	w.gives(config, but...)
	windowed := config
	windowed.From, windowed.To = (day0+1)*86400, (day0+2)*86400
	w.gives(windowed, but...)
	v, err := w.open().Verify(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	if len(v.Problems) > 0 || len(v.Leftover) > 0 {
		w.t.Errorf("verify: %q, left over %q", v.Problems, v.Leftover)
	}
}

func (w *world) gives(cfg store.Config, but ...string) {
	w.t.Helper()
	want, wantReport := w.read(cfg, but...)
	got, report, err := w.open().Load(context.Background(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if d := gocmp.Diff(show(want, wantReport), show(got, report)); d != "" {
		w.t.Errorf("the store differs from the logs (-logs +store):\n%s", d)
	}
}

// show writes down all that an analysis sees.
func show(c *store.Connections, r *ingest.Report) []string {
	var out []string
	for i := range r.Files {
		f := &r.Files[i]
		out = append(out, fmt.Sprint(f.Path, f.Format, f.Compression, f.Bytes, f.Records, f.Digest))
	}
	for _, name := range r.Stats.Malformed.Names() {
		out = append(out, fmt.Sprint(name, *r.Stats.Malformed[name]))
	}
	from, to := c.Window()
	out = append(out, fmt.Sprint(r.Stats.Records, r.Stats.Rows, r.Ledger, c.Ledger(), c.Outside(), from, to, c.Interfaces()))
	for _, v := range c.Coverage() {
		out = append(out, fmt.Sprintf("%+v", v))
	}
	var row store.Row
	for i := range c.Len() {
		c.Row(i, &row)
		out = append(out, fmt.Sprintf("%+v", row))
	}
	return out
}

func TestStoreGivesWhatTheLogsGive(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("1.log"), header+lines(1, 0, 40))
	put(t, w.log("2.log.gz"), gz(lines(2, 1, 40)+lines(3, 2, 40), 6))
	put(t, w.log("empty.log"), "")
	if d := gocmp.Diff([]string{"new 1.log", "new 2.log.gz", "new empty.log"}, w.ingest()); d != "" {
		t.Error(d)
	}
	w.holds()
	if d := gocmp.Diff([]string{"unchanged 1.log", "unchanged 2.log.gz", "unchanged empty.log"}, w.ingest()); d != "" {
		t.Error(d)
	}
	w.holds()

	// A late file changes its days only.
	before := w.segments()
	put(t, w.log("3.log"), lines(4, 1, 20))
	w.ingest()
	w.holds()
	for day, names := range before {
		if day != day0+1 && !slices.Equal(names, w.segments()[day]) {
			t.Errorf("%s: %q were %q", dayText(day), w.segments()[day], names)
		}
	}

	if _, err := w.open().Compact(context.Background(), 2, now); err != nil {
		t.Fatal(err)
	}
	for day, names := range w.segments() {
		if len(names) != 1 {
			t.Errorf("%s has %d segments after compact", dayText(day), len(names))
		}
	}
	w.holds()
}

// segments returns the names of segments by day.
func (w *world) segments() map[int32][]string {
	s := w.open()
	list, err := s.segments(context.Background(), s.db)
	if err != nil {
		w.t.Fatal(err)
	}
	out := make(map[int32][]string)
	for _, g := range list {
		out[g.day] = append(out[g.day], g.name)
	}
	return out
}

func TestContentCountsOnceWhateverItIsCalled(t *testing.T) {
	w := newWorld(t)
	text := header + lines(1, 0, 30)
	put(t, w.log("a.log"), text)
	put(t, w.log("z/copy.log.gz"), gz(text, 9)) // in the same run
	put(t, w.log("b.log"), lines(2, 0, 30))
	if d := gocmp.Diff([]string{"new a.log", "new b.log", "duplicate z/copy.log.gz of a.log"}, w.ingest()); d != "" {
		t.Error(d)
	}
	w.holds("z/copy.log.gz")
	put(t, w.log("again.log.gz"), gz(text, 1)) // in a later one
	if err := os.Rename(w.log("b.log"), w.log("c.log")); err != nil {
		t.Fatal(err)
	}
	want := []string{"unchanged a.log", "duplicate again.log.gz of a.log", "duplicate c.log of b.log", "unchanged z/copy.log.gz"}
	if d := gocmp.Diff(want, w.ingest()); d != "" {
		t.Error(d)
	}
	if err := os.Rename(w.log("c.log"), w.log("b.log")); err != nil { // for the comparison
		t.Fatal(err)
	}
	w.holds("again.log.gz", "z/copy.log.gz")
}

func TestGrownTextIsReadFromWhereItGrew(t *testing.T) {
	w := newWorld(t)
	text := header + lines(1, 0, 30)
	put(t, w.log("a.log"), text)
	put(t, w.log("b.log.gz"), gz(lines(2, 0, 30), 6))
	put(t, w.log("cut.log"), lines(3, 0, 30)+"2 1 eni-0 10.0.0.1")
	w.ingest()
	w.holds()
	for round := range 2 {
		text += lines(uint64(4+round), round, 10)
		put(t, w.log("a.log"), text)
		put(t, w.log("b.log.gz"), gz(lines(2, 0, 30)+lines(7, 1+round, 10), 6))
		out := w.ingest()
		if d := gocmp.Diff([]string{"grown a.log", "grown b.log.gz", "unchanged cut.log"}, out); round == 0 && d != "" {
			t.Error(d)
		}
		w.holds()
	}
	// The last line was not whole: the file is read anew.
	put(t, w.log("cut.log"), lines(3, 0, 30)+"2 1 eni-0 10.0.0.1 10.0.0.2 1 2 6 1 1 1702080000 1702080060 ACCEPT OK\n")
	if out := w.ingest(); !slices.Contains(out, "replaced cut.log") {
		t.Error(out)
	}
	w.holds()
}

func TestCopyOfWhatGrewIsACopy(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("m.log"), lines(1, 0, 30))
	put(t, w.log("n.log"), lines(1, 0, 20))
	w.ingest()
	w.holds()
	more := lines(1, 0, 30) + lines(4, 1, 10)
	put(t, w.log("m.log"), more)
	put(t, w.log("a.log"), more)                     // of the same length
	put(t, w.log("z.log.gz"), gz("", 1)+gz(more, 6)) // found only when it is read
	want := []string{"duplicate a.log of m.log", "grown m.log", "unchanged n.log", "duplicate z.log.gz of m.log"}
	if d := gocmp.Diff(want, w.ingest()); d != "" {
		t.Error(d)
	}
	w.holds("a.log", "z.log.gz")
}

func TestCopiesThatGrow(t *testing.T) {
	for _, c := range []struct {
		name, a, b, c string // what each holds after it held the same as the others
		want          []string
	}{
		{"alike", lines(1, 0, 30) + lines(4, 1, 10), lines(1, 0, 30) + lines(4, 1, 10), lines(1, 0, 30) + lines(4, 1, 10),
			[]string{"grown a.log", "duplicate b.log of a.log", "duplicate c.log of a.log"}},
		{"apart", lines(1, 0, 30) + lines(4, 1, 10), lines(1, 0, 30) + lines(5, 1, 12), lines(1, 0, 30) + lines(6, 2, 10),
			[]string{"grown a.log", "new b.log", "new c.log"}},
		{"one is replaced", lines(7, 0, 15), lines(1, 0, 30) + lines(5, 1, 12), lines(8, 1, 15),
			[]string{"new a.log", "grown b.log", "new c.log"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			names := []string{"a.log", "b.log", "c.log"}
			for _, name := range names {
				put(t, w.log(name), lines(1, 0, 30))
			}
			w.ingest()
			w.holds("b.log", "c.log")
			for i, text := range []string{c.a, c.b, c.c} {
				put(t, w.log(names[i]), text)
			}
			if d := gocmp.Diff(c.want, w.ingest()); d != "" {
				t.Error(d)
			}
			var copies []string
			for _, line := range c.want {
				if name, ok := strings.CutPrefix(line, "duplicate "); ok {
					copies = append(copies, name[:5])
				}
			}
			w.holds(copies...)
			// It can be made again from what is there.
			opt := options()
			opt.Rebuild = true
			if _, err := w.open().Ingest(context.Background(), nil, opt); err != nil {
				t.Error(err)
			}
			w.holds(copies...)
		})
	}
}

func TestTwoFilesThatGrewToTheSameEnd(t *testing.T) {
	w := newWorld(t)
	rows := strings.SplitAfter(lines(2, 0, 30), "\n")
	put(t, w.log("a.log"), strings.Join(rows[:10], ""))
	put(t, w.log("b.log"), strings.Join(rows[:20], ""))
	w.ingest()
	for _, name := range []string{"a.log", "b.log"} {
		put(t, w.log(name), strings.Join(rows, ""))
	}
	want := []string{"grown a.log", "failed b.log: b.log: it has grown to what a.log holds, in the same run; run ingest again"}
	if d := gocmp.Diff(want, w.ingest()); d != "" {
		t.Error(d)
	}
	if d := gocmp.Diff([]string{"unchanged a.log", "duplicate b.log of a.log"}, w.ingest()); d != "" {
		t.Error(d)
	}
	w.holds("b.log")
}

func TestReplacedByWhatAnotherFileHolds(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("b.log"), lines(1, 0, 30))
	put(t, w.log("c.log"), lines(2, 0, 30))
	put(t, w.log("d.log"), lines(3, 1, 30))
	w.ingest()
	put(t, w.log("a.log"), lines(5, 0, 25)) // b is replaced by a copy of a new file
	put(t, w.log("b.log"), lines(5, 0, 25))
	put(t, w.log("c.log"), lines(6, 1, 25)) // and two by the same
	put(t, w.log("d.log"), lines(6, 1, 25))
	want := []string{"new a.log", "duplicate b.log of a.log", "replaced c.log", "duplicate d.log of c.log"}
	if d := gocmp.Diff(want, w.ingest()); d != "" {
		t.Error(d)
	}
	w.holds("b.log", "d.log")
}

func TestReplacedFileWhileOthersAreRenamed(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("a.log"), lines(1, 0, 30))
	put(t, w.log("b.log"), lines(2, 0, 30))
	put(t, w.log("c.log"), lines(3, 0, 30))
	w.ingest()
	// In one go: b is renamed, c is rotated, a is replaced.
	if err := os.Rename(w.log("b.log"), w.log("moved.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.log("c.log"), w.log("z.log")); err != nil {
		t.Fatal(err)
	}
	put(t, w.log("c.log"), lines(5, 1, 30))
	put(t, w.log("a.log"), lines(9, 0, 25))
	want := []string{"replaced a.log", "new c.log", "duplicate moved.log of b.log", "duplicate z.log of c.log"}
	if d := gocmp.Diff(want, w.ingest()); d != "" {
		t.Error(d)
	}
	v, err := w.open().Verify(context.Background())
	if err != nil || len(v.Problems) > 0 {
		t.Error(v, err)
	}
}

func TestReplacedFileLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("a.log"), lines(1, 0, 30)+lines(1, 1, 30))
	put(t, w.log("b.log"), lines(2, 0, 30))
	w.ingest()
	put(t, w.log("c.log"), lines(5, 1, 30)+lines(5, 2, 30))
	w.ingest()
	w.holds()

	put(t, w.log("a.log"), lines(9, 2, 25))
	if d := gocmp.Diff([]string{"replaced a.log", "unchanged b.log", "unchanged c.log"}, w.ingest()); d != "" {
		t.Error(d)
	}
	w.holds()

	// Without the others, it cannot be taken out; nothing changes.
	if err := os.Rename(w.log("c.log"), w.logs+".c"); err != nil {
		t.Fatal(err)
	}
	put(t, w.log("a.log"), lines(8, 2, 25))
	out := w.ingest()
	if len(out) != 2 || !strings.HasPrefix(out[0], "failed a.log: a.log: it was replaced") || !strings.Contains(out[0], "c.log") {
		t.Error(out)
	}
	put(t, w.log("a.log"), lines(9, 2, 25))
	if err := os.Rename(w.logs+".c", w.log("c.log")); err != nil {
		t.Fatal(err)
	}
	w.holds()
}

func TestRotatedFileIsNotReplaced(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("flow.log"), lines(1, 0, 30))
	w.ingest()
	put(t, w.log("flow.log.1.gz"), gz(lines(1, 0, 30)+lines(1, 1, 5), 6)) // moved, grown and compressed
	put(t, w.log("flow.log"), lines(2, 1, 30))
	if d := gocmp.Diff([]string{"new flow.log", "grown flow.log.1.gz"}, w.ingest()); d != "" {
		t.Error(d)
	}
	w.holds()
	put(t, w.log("flow.log.2.gz"), gz(lines(1, 0, 30)+lines(1, 1, 5), 1))
	put(t, w.log("flow.log.1.gz"), gz(lines(2, 1, 30), 6))
	put(t, w.log("flow.log"), lines(3, 2, 30))
	if d := gocmp.Diff([]string{"new flow.log", "duplicate flow.log.1.gz of flow.log", "duplicate flow.log.2.gz of flow.log.1.gz"}, w.ingest()); d != "" {
		t.Error(d)
	}
}

func TestStoreWhoseMakingWasCutOffIsMade(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("a.log"), lines(1, 0, 30))
	put(t, filepath.Join(w.dir, catalogFile), "") // as when the disk was full
	if w.open().Exists() {
		t.Error("there is something to read")
	}
	w.ingest()
	w.holds()
}

func TestDamagedCatalogueIsSaid(t *testing.T) {
	w := newWorld(t)
	put(t, filepath.Join(w.dir, catalogFile), "not a database at all\n")
	_, err := Open(context.Background(), w.dir)
	if err == nil || !strings.Contains(err.Error(), catalogFile) || !strings.Contains(err.Error(), "make a new one from the logs") {
		t.Error(err)
	}
	other := newWorld(t)
	if err := os.MkdirAll(other.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(other.dir, catalogFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE notes (text)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := Open(context.Background(), other.dir); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Error(err)
	}
}

func TestLostSegmentIsSaid(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("a.log"), lines(1, 0, 30))
	w.ingest()
	for _, names := range w.segments() {
		if err := os.Remove(filepath.Join(w.dir, segmentsDir, names[0])); err != nil {
			t.Fatal(err)
		}
		break
	}
	_, _, err := w.open().Load(context.Background(), config)
	var damaged *DamagedError
	if !errors.As(err, &damaged) || !strings.Contains(err.Error(), "--rebuild") {
		t.Error(err)
	}
}

func TestBadFileFailsAlone(t *testing.T) {
	w := newWorld(t)
	for i := range 6 {
		put(t, w.log(fmt.Sprintf("%d.log.gz", i)), gz(lines(uint64(i), i%3, 20), 6))
	}
	put(t, w.log("3.log.gz"), gz(lines(3, 0, 20), 6)[:200])
	put(t, w.log("x.zip"), "PK\x03\x04")
	out := w.ingest()
	if len(out) != 7 || !strings.HasPrefix(out[3], "failed 3.log.gz: 3.log.gz: ") || !strings.HasPrefix(out[6], "failed x.zip: x.zip: ") {
		t.Errorf("%q", out)
	}
	w.holds("3.log.gz", "x.zip")
	put(t, w.log("3.log.gz"), gz(lines(3, 0, 20), 6)) // it arrived whole at last
	w.ingest()
	w.holds("x.zip")
}

func TestOtherPolicyIsToldAndRebuilt(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("a.log"), lines(1, 0, 300))
	put(t, w.log("b.log"), lines(2, 1, 300))
	w.ingest()
	other := config
	other.PortBounds = append(slices.Clone(config.PortBounds), 45_000, 45_001)
	_, _, err := w.open().Load(context.Background(), other)
	var bounds *store.BoundsError
	if !errors.As(err, &bounds) || !slices.Contains(bounds.Bounds, 45_001) || bounds.Rows == 0 {
		t.Fatalf("loading for a rule of port 45000: %v", err)
	}
	opt := options()
	opt.Config, opt.Rebuild = other, true
	r, err := w.open().Ingest(context.Background(), []string{w.logs}, opt)
	if err != nil || r.Rebuilt != 2 {
		t.Fatalf("rebuild: %+v, %v", r, err)
	}
	w.gives(other)
	w.holds()

	// A source that is gone keeps its day from being made again, and no other.
	if err := os.Remove(w.log("b.log")); err != nil {
		t.Fatal(err)
	}
	opt.Config.PortBounds = append(opt.Config.PortBounds, 46_000)
	var gone *GoneError
	r, err = w.open().Ingest(context.Background(), nil, opt)
	if !errors.As(err, &gone) || len(gone.Files) != 1 {
		t.Errorf("rebuild without a source: %+v, %v", r, err)
	}
}

func TestPruneDropsDaysAndKnowsTheirFiles(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		put(t, w.log(fmt.Sprintf("%d.log", i)), lines(uint64(i), i, 30))
		w.ingest()
	}
	before := time.Unix((day0+2)*86400, 0).UTC()
	dry, err := w.open().Prune(context.Background(), before, true, now)
	if err != nil {
		t.Fatal(err)
	}
	w.holds()
	got, err := w.open().Prune(context.Background(), before, false, now)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(dry, got); d != "" || got.Days != 2 || got.Files != 2 {
		t.Errorf("pruned %+v, the dry run said %+v", got, dry)
	}
	w.holds("0.log", "1.log")
	w.ingest()
	w.holds("0.log", "1.log")
}

func TestDamageIsFound(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("a.log"), lines(1, 0, 300))
	w.ingest()
	var path string
	for _, names := range w.segments() {
		path = filepath.Join(w.dir, segmentsDir, names[0])
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	put(t, path, string(b))
	put(t, filepath.Join(w.dir, segmentsDir, "x.part"), "")
	v, err := w.open().Verify(context.Background())
	if err != nil || len(v.Problems) != 1 || len(v.Leftover) != 1 || !strings.Contains(v.Problems[0], path) {
		t.Errorf("verify: %+v, %v", v, err)
	}
	if _, _, err := w.open().Load(context.Background(), config); !errors.As(err, new(*DamagedError)) {
		t.Errorf("load: %v", err)
	}
	// Made again from its source.
	opt := options()
	opt.Rebuild = true
	if _, err := w.open().Ingest(context.Background(), nil, opt); err != nil {
		t.Fatal(err)
	}
	w.holds()
}

func TestSecondWriterIsTurnedAway(t *testing.T) {
	w := newWorld(t)
	put(t, w.log("a.log"), lines(1, 0, 30))
	w.ingest()
	s := w.open()
	err := s.write(context.Background(), "test", now, func() error {
		_, err := w.open().Ingest(context.Background(), []string{w.logs}, options())
		var locked *lock.HeldError
		if !errors.As(err, &locked) || !strings.Contains(locked.Holder, fmt.Sprintf("process %d", os.Getpid())) || !strings.Contains(locked.Holder, "since 2030-01-02T03:04:05Z") {
			t.Errorf("second writer: %v", err)
		}
		w.holds() // readers need no lock
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.ingest()
}
