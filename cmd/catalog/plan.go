package catalog

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sgadvise/sgadvise/ingest"
)

// plan is what to do with the paths of an Ingest.
type plan struct {
	jobs     []*job // to read
	known    []*job // whose places changed, or that are new names of known files
	replaced []displaced
	bytes    int64 // of the jobs, as stored
}

// displaced is a file whose path holds something else now.
type displaced struct {
	file *file
	job  *job
}

// plan looks at every path and says what to do with it.
func (in *intake) plan(ctx context.Context, names []string) (*plan, error) {
	p := &plan{}
	var moved []displaced
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		j := &job{path: name, abs: absolute(name), state: New}
		var err error
		if j.place, err = placeOf(name, in.opt.Now); err != nil {
			in.fail(j, &ingest.InputError{Path: name, Err: err})
			continue
		}
		was, ok := in.cat.paths[j.abs]
		switch {
		case ok && j.place.same(was):
			in.report.Outcomes = append(in.report.Outcomes, Outcome{Path: name, State: Unchanged})
		case ok:
			if d := in.changed(p, j, in.cat.byID[was.file]); d != nil {
				moved = append(moved, *d)
			}
		default:
			p.jobs = append(p.jobs, j)
		}
	}
	in.foresee(p)
	in.settle(p, moved)
	// Of copies of a file that all have grown, one is what became of it. What has grown comes
	// first: what holds the same then is a copy of it.
	became := make(map[int64]bool)
	for _, j := range p.jobs {
		if j.old == nil {
			continue
		}
		if became[j.old.id] {
			j.state, j.old, j.skip = New, nil, 0
			continue
		}
		became[j.old.id] = true
	}
	slices.SortStableFunc(p.jobs, func(a, b *job) int {
		switch {
		case a.old != nil && b.old == nil:
			return -1
		case a.old == nil && b.old != nil:
			return 1
		}
		return 0
	})
	for _, j := range p.jobs {
		j.weight = j.place.bytes
		if _, packed := lengthOf(j.path, j.place.bytes); packed {
			j.weight *= 6
		}
		p.bytes += j.place.bytes
	}
	return p, nil
}

// changed looks at a path that held f and may not any more. It returns what is displaced.
func (in *intake) changed(p *plan, j *job, f *file) *displaced {
	c, prefix, err := ingest.ContentOf(j.path, f.read.Content.Bytes)
	if err != nil {
		in.fail(j, err)
		return nil
	}
	j.content = c.Digest
	switch {
	case c.Digest == f.read.Content.Digest:
		j.state = Unchanged
		p.known = append(p.known, j)
		return nil
	case in.cat.byContent[c.Digest] != nil:
		j.state = Duplicate
		p.known = append(p.known, j)
	case f.grows() && prefix == f.read.Content.Digest:
		j.state, j.old, j.skip = Grown, f, f.read.Content.Bytes
		p.jobs = append(p.jobs, j)
		return nil
	default:
		p.jobs = append(p.jobs, j)
	}
	return &displaced{f, j}
}

// grows reports whether what follows the content of f can be read on its own.
func (f *file) grows() bool {
	switch f.read.Format {
	case "vpc-text", "csv", "alibaba-text", "alibaba-csv":
		return f.read.Content.EndsLine
	}
	return false
}

// foresee reads those of the jobs that may hold what another file holds, so that they need
// not be decoded for nothing.
func (in *intake) foresee(p *plan) {
	again := make(map[uint32]bool)
	lengths := make(map[*job]uint32)
	count := make(map[uint32]int)
	for _, j := range p.jobs {
		if j.content == "" && j.path != stdin {
			n, _ := lengthOf(j.path, j.place.bytes)
			lengths[j] = n
			count[n]++
			again[n] = again[n] || in.cat.lengths[n]
		}
	}
	held := make(map[string]bool)
	p.jobs = slices.DeleteFunc(p.jobs, func(j *job) bool {
		n, ok := lengths[j]
		if !ok || !again[n] && count[n] < 2 {
			return false
		}
		c, _, err := ingest.ContentOf(j.path, 0)
		if err != nil {
			return false // said when it is read
		}
		j.content = c.Digest
		if in.cat.byContent[c.Digest] == nil && !held[c.Digest] {
			held[c.Digest] = true
			return false
		}
		if in.cat.byContent[c.Digest] == nil {
			return false // known once the first of them is read: see intake.known
		}
		j.state = Duplicate
		p.known = append(p.known, j)
		return true
	})
	// Later copies of one another come after the first, which is in an earlier batch or
	// makes the batch be read again.
	first := make(map[string]bool)
	var copies []*job
	p.jobs = slices.DeleteFunc(p.jobs, func(j *job) bool {
		if j.content == "" || !first[j.content] {
			first[j.content] = j.content != ""
			return false
		}
		copies = append(copies, j)
		return true
	})
	p.jobs = append(p.jobs, copies...)
}

// lengthOf guesses the low 32 bits of the length of what a file holds, and reports whether
// the file is compressed.
func lengthOf(path string, size int64) (n uint32, packed bool) {
	n = uint32(size)
	if path == stdin {
		return n, false
	}
	f, err := os.Open(path)
	if err != nil {
		return n, false // said when it is read
	}
	defer f.Close()
	var magic, end [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return n, false
	}
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		// The length of its last member, which is nearly always the only one.
		if _, err := f.ReadAt(end[:], size-4); err != nil {
			return n, true
		}
		return binary.LittleEndian.Uint32(end[:]), true
	case magic == [4]byte{0x28, 0xb5, 0x2f, 0xfd}:
		return n, true
	}
	return n, false
}

// settle decides which of the displaced files are still there under another name, and which
// are replaced.
func (in *intake) settle(p *plan, moved []displaced) {
	for _, d := range moved {
		if in.lives(p, d) {
			continue
		}
		if d.job.state == New {
			d.job.state = Replaced
		}
		p.replaced = append(p.replaced, d)
	}
	if len(p.replaced) > 0 {
		p.jobs = slices.DeleteFunc(p.jobs, func(j *job) bool { return j.state == Replaced })
	}
}

// lives reports whether the file of d has another path that holds it, or that holds it and
// more.
func (in *intake) lives(p *plan, d displaced) bool {
	digest := d.file.read.Content.Digest
	for _, j := range p.known {
		if j.content == digest {
			return true
		}
	}
	for _, was := range in.cat.paths {
		if was.file != d.file.id || was.path == d.job.abs {
			continue
		}
		if now, err := placeOf(was.path, in.opt.Now); err == nil && now.same(was) {
			return true
		}
		if c, _, err := ingest.ContentOf(was.path, 0); err == nil && c.Digest == digest {
			return true
		}
	}
	if !d.file.grows() {
		return false
	}
	if slices.ContainsFunc(p.jobs, func(j *job) bool { return j.old != nil && j.old.id == d.file.id }) {
		return true
	}
	for _, j := range p.jobs {
		if j.path == stdin || j.old != nil {
			continue
		}
		_, prefix, err := ingest.ContentOf(j.path, d.file.read.Content.Bytes)
		if err == nil && prefix == digest {
			j.state, j.old, j.skip = Grown, d.file, d.file.read.Content.Bytes
			return true
		}
	}
	return false
}

// known takes out the jobs that hold what the catalogue knows by now. One that has grown
// to what another file holds fails: the next run finds it to be a copy.
func (in *intake) known(ctx context.Context, batch []*job) ([]*job, error) {
	p := &plan{}
	var todo []*job
	for _, j := range batch {
		f := in.cat.byContent[j.content]
		switch {
		case j.content == "" || f == nil || f == j.old:
			todo = append(todo, j)
		case j.old != nil:
			in.fail(j, &ingest.InputError{Path: j.path, Err: fmt.Errorf("it has grown to what %s holds, in the same run; run ingest again", f.read.Path)})
		default:
			j.state = Duplicate
			p.known = append(p.known, j)
		}
	}
	return todo, in.touch(ctx, p)
}

// touch notes what was found to be known.
func (in *intake) touch(ctx context.Context, p *plan) error {
	if len(p.known) == 0 {
		return nil
	}
	return in.s.inTx(ctx, func(tx *sql.Tx) error {
		for _, j := range p.known {
			f := in.cat.byContent[j.content]
			if err := in.putPath(context.WithoutCancel(ctx), tx, j, f.id); err != nil {
				return err
			}
			out := Outcome{Path: j.path, State: j.state}
			if j.state == Duplicate {
				out.Of = f.read.Path
			}
			in.report.Outcomes = append(in.report.Outcomes, out)
		}
		return nil
	})
}
