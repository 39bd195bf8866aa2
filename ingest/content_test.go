package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// rowAt is a row of the default format that tells rows apart by its start.
func rowAt(start int) string {
	return fmt.Sprintf("2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 %d %d ACCEPT OK\n", start, start+60)
}

func TestContentIsThatOfTheDecompressedBytes(t *testing.T) {
	text := header + "\n" + rowAt(1418530010) + rowAt(1418530070)
	dir := write(t, "a.log", text, "b.log.gz", gz(text), "c.zst", zst(text), "d.gz", gz(text[:len(text)-1]), "e", "")
	read := func(name string) Content {
		t.Helper()
		opt := tolerant
		opt.Contents = true
		_, r, err := readRows([]string{filepath.Join(dir, name)}, opt)
		if err != nil {
			t.Fatal(err)
		}
		c, prefix, err := ContentOf(filepath.Join(dir, name), int64(len(header)+1))
		if err != nil {
			t.Fatal(err)
		}
		if c != r.Files[0].Content {
			t.Errorf("%s: ContentOf gives %+v, Read %+v", name, c, r.Files[0].Content)
		}
		if (prefix == "") != (name == "e") {
			t.Errorf("%s: prefix %q", name, prefix)
		}
		return c
	}
	want := read("a.log")
	if want.Bytes != int64(len(text)) || !want.EndsLine {
		t.Errorf("content of text: %+v", want)
	}
	for _, name := range []string{"b.log.gz", "c.zst"} {
		if got := read(name); got != want {
			t.Errorf("%s: %+v, the text itself has %+v", name, got, want)
		}
	}
	if cut := read("d.gz"); cut.Digest == want.Digest || cut.EndsLine {
		t.Errorf("without the last byte: %+v", cut)
	}
	if empty := read("e"); empty.Bytes != 0 || empty.EndsLine {
		t.Errorf("empty: %+v", empty)
	}
}

func TestPrefixOfAGrownFileIsThatOfTheOldOne(t *testing.T) {
	old := header + "\n" + rowAt(1418530010)
	dir := write(t, "old.log", old, "new.log.gz", gz(old+rowAt(1418530070)))
	was, _, err := ContentOf(filepath.Join(dir, "old.log"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, prefix, err := ContentOf(filepath.Join(dir, "new.log.gz"), was.Bytes); err != nil || prefix != was.Digest {
		t.Errorf("prefix %s, %v, want %s", prefix, err, was.Digest)
	}
	if _, prefix, err := ContentOf(filepath.Join(dir, "old.log"), was.Bytes+1); err != nil || prefix != "" {
		t.Errorf("prefix longer than the file: %q, %v", prefix, err)
	}
}

// growing is a file to which a line is written each time that its end is reached.
type growing struct{ lines []string }

func (g *growing) Read(p []byte) (int, error) {
	if len(g.lines) == 0 || g.lines[0] == "" {
		g.lines = g.lines[min(1, len(g.lines)):]
		return 0, io.EOF
	}
	n := copy(p, g.lines[0])
	g.lines[0] = g.lines[0][n:]
	return n, nil
}

func TestContentIsThatOfTheRowsThatWereRead(t *testing.T) {
	first := header + "\n" + rowAt(1418530010)
	opt := Options{MaxBadRows: -1, Contents: true, Stdin: &growing{[]string{first, rowAt(1418530070), rowAt(1418530130)}}}
	rows, report, err := readRows([]string{"-"}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Files[0].Content; len(rows) != 1 || got.Bytes != int64(len(first)) || got.Digest != fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(first))) {
		t.Errorf("%d rows, content %+v; one row of %d bytes was there", len(rows), got, len(first))
	}
}

// TestSkipGivesTheRowsAfterIt reads each of many files whole, and again without its first
// lines, at every line and with blocks that fall everywhere.
func TestSkipGivesTheRowsAfterIt(t *testing.T) {
	custom := "start end interface-id srcaddr dstaddr srcport dstport protocol action log-status\n" +
		"1418530010 1418530070 eni-9 10.0.0.1 10.0.0.2 1 2 6 ACCEPT OK\n"
	long := strings.Repeat("x", 3000) + "\n"
	for name, text := range map[string]string{
		"plain":       rowAt(1418530010) + rowAt(1418530070) + rowAt(1418530130),
		"header":      header + "\n" + rowAt(1418530010) + rowAt(1418530070),
		"new header":  rowAt(1418530010) + custom + rowAt(1418530070)[2:] + custom,
		"mark":        byteOrderMark + header + "\n" + rowAt(1418530010) + "bad\n" + rowAt(1418530070),
		"long line":   header + "\n" + long + rowAt(1418530010) + long + custom,
		"csv":         strings.ReplaceAll(header+"\n"+rowAt(1418530010)+rowAt(1418530070), " ", ","),
		"no line end": rowAt(1418530010) + strings.TrimSuffix(rowAt(1418530070), "\n"),
	} {
		dir := write(t, "a.log", text, "b.gz", gz(text))
		for _, file := range []string{"a.log", "b.gz"} {
			path := filepath.Join(dir, file)
			for _, block := range []int{512, 700, defaultBlockSize} {
				opt := tolerant
				opt.blockSize = block
				all, whole, err := readRows([]string{path}, opt)
				if err != nil {
					t.Fatal(err)
				}
				for cut := range text {
					if text[cut] != '\n' {
						continue
					}
					dir := write(t, "a.log", text[:cut+1])
					before, head, err := readRows([]string{filepath.Join(dir, "a.log")}, opt)
					if err != nil {
						t.Fatal(err)
					}
					opt := opt
					opt.Skip = map[string]int64{path: int64(cut + 1)}
					opt.SkipDigest = map[string]string{path: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text[:cut])))}
					if _, _, err := readRows([]string{path}, opt); err == nil || !strings.Contains(err.Error(), "replaced by another file while it was read") {
						t.Errorf("%s, %s, cut at %d: another file: %v", name, file, cut, err)
					}
					opt.SkipDigest[path] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text[:cut+1])))
					after, tail, err := readRows([]string{path}, opt)
					if err != nil {
						t.Fatal(err)
					}
					if len(before)+len(after) != len(all) || !contains(all, before) || !contains(all, after) {
						t.Errorf("%s, %s, cut at %d, blocks of %d: %d and %d rows of %d", name, file, cut, block, len(before), len(after), len(all))
					}
					if head.Stats.Records+tail.Stats.Records != whole.Stats.Records {
						t.Errorf("%s, %s, cut at %d: %d and %d records of %d", name, file, cut, head.Stats.Records, tail.Stats.Records, whole.Stats.Records)
					}
					if first, ok := whole.Stats.Malformed.First(); ok && len(head.Stats.Malformed) == 0 {
						if got, ok := tail.Stats.Malformed.First(); !ok || got.Line != first.Line {
							t.Errorf("%s, %s, cut at %d: bad line %d, want %d", name, file, cut, got.Line, first.Line)
						}
					}
				}
			}
		}
	}
}

// contains reports whether some are among all; both are sorted.
func contains(all, some []string) bool {
	for _, s := range some {
		for len(all) > 0 && all[0] != s {
			all = all[1:]
		}
		if len(all) == 0 {
			return false
		}
		all = all[1:]
	}
	return true
}

func TestStopLeavesFilesUnbegun(t *testing.T) {
	var pairs []string
	for i := range 20 {
		pairs = append(pairs, fmt.Sprintf("%02d.log", i), rowAt(1418530010+i))
	}
	dir := write(t, pairs...)
	stop := make(chan struct{})
	close(stop)
	opt := Options{Stop: stop, Workers: 2}
	rows, r, err := readRows([]string{dir}, opt)
	if err != nil || len(rows) != 0 || len(r.Files) != 0 {
		t.Errorf("stopped at once: %d rows, %d files, %v", len(rows), len(r.Files), err)
	}

	// Stopped when the first rows come: what was begun is whole, the rest is not there.
	stop = make(chan struct{})
	var seen []string
	opt = Options{Stop: stop, Workers: 1}
	r, err = read(context.Background(), []string{dir}, opt, func() adder { return stopper{&seen, stop} })
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Files) != len(seen) || uint64(len(seen)) != r.Stats.Rows {
		t.Errorf("%d files with %d rows in the report, %d rows came", len(r.Files), r.Stats.Rows, len(seen))
	}
	var names []string
	for _, f := range r.Files {
		names = append(names, filepath.Base(f.Path))
	}
	if d := gocmp.Diff(pairNames(pairs)[:len(names)], names); d != "" {
		t.Errorf("files are read in order:\n%s", d)
	}
}

// stopper is an adder that stops the reading at its first batch.
type stopper struct {
	seen *[]string
	stop chan struct{}
}

func (s stopper) Add(b *store.Batch) {
	if len(*s.seen) == 0 {
		close(s.stop)
	}
	for i := range b.Len() {
		*s.seen = append(*s.seen, b.Names[b.Interface[i]])
	}
}

func pairNames(pairs []string) (out []string) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, pairs[i])
	}
	return out
}
