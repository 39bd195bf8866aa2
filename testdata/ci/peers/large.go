package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// large runs what is larger than the inputs, once each, for its memory: the records of
// the v2 text many times over, with the same connections, and a crowd of clients that
// come from the internet. It reports whether one needs more than it may.
func (b *bench) large(out io.Writer) (missed bool, err error) {
	t := &table{}
	t.add("memory", "", "wall s", "CPU s", "peak MiB", "must")
	add := func(title string, r run, must float64) {
		word, limit := "", ""
		if must > 0 {
			word, limit = "reached", fmt.Sprintf("%.0f", must)
			if r.memory > must {
				word, missed = "missed", true
			}
		}
		t.add(title, word, seconds(r.wall), seconds(r.cpu), fmt.Sprintf("%.0f", r.memory), limit)
	}
	if b.times > 1 {
		b.note("v2 text, %d times over", b.times)
		in := &inputs[0]
		once, err := b.generate(in.name, b.records, in.gen)
		if err != nil {
			return false, err
		}
		many, err := once.times(filepath.Join(b.data, fmt.Sprint(b.records), "times"), b.times)
		if err != nil {
			return false, err
		}
		r1, err := b.analyze(once, "none", b.records)
		if err != nil {
			return false, err
		}
		rn, err := b.analyze(many, "none", b.times*b.records)
		if err != nil {
			return false, err
		}
		add(in.title+", "+grouped(b.records)+" records", r1, 0)
		add(fmt.Sprintf("the same %d times over", b.times), rn, timesMust*r1.memory)
	}
	if b.crowd {
		records := 2 * b.records // a client asks and is answered
		b.note("a crowd of %s clients", grouped(b.records))
		set, err := b.generate("crowd", records, []string{"-traffic", "crowd"})
		if err != nil {
			return false, err
		}
		if b.db != nil {
			r, err := b.group(&inputs[0], set, records)
			if err != nil {
				return false, err
			}
			add("DuckDB, "+grouped(b.records)+" clients", r, 0)
		}
		r, err := b.analyze(set, "none", records)
		if err != nil {
			return false, err
		}
		add(grouped(b.records)+" clients, "+grouped(records)+" records", r, crowdMust)
	}
	if len(t.rows) > 1 {
		t.print(out)
	}
	return missed, nil
}

// times returns a set of n files, each of which is the first of s: links in dir, which
// take no space and are files of their own to whoever reads them.
func (s *set) times(dir string, n int) (*set, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	many := &set{logs: filepath.Join(dir, "logs"), policy: s.policy}
	if err := os.MkdirAll(many.logs, 0o777); err != nil {
		return nil, err
	}
	for i := range n {
		name := filepath.Join(many.logs, fmt.Sprintf("%03d.log", i))
		if err := os.Link(s.files[0], name); err != nil {
			return nil, err
		}
		many.files = append(many.files, name)
		many.bytes += s.bytes
	}
	return many, nil
}
