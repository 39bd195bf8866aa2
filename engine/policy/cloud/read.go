package cloud

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// Options are the choices of [Read]. The zero value reads files and folders.
type Options struct {
	Stdin io.Reader // what the path "-" stands for; nil: "-" is an error
	// Dated are earlier snapshots, for [ReadHistory].
	Dated []DatedPaths
}

// Input is one file that was looked at. Kind names what it held, "ignored" if that
// was no policy; Digest is "sha256:…" of the file as stored, empty if ignored.
type Input struct {
	Path, Kind, Digest string
	At                 time.Time // of an earlier snapshot; zero: the present, or a record of changes
}

// Ignored is the kind of an input that holds no policy.
const Ignored = "ignored"

// Cloud is one family of policy exports: a row of [Clouds].
type Cloud struct {
	Name string

	// claims reports whether f is of this family, and leaves what f holds in f.kinds;
	// a file of the family that holds nothing of use has no kinds.
	claims func(f *file) (bool, error)
	// read adds what the files, all claimed, hold to s.
	read func(files []*file, s *policy.Snapshot) error
	// declares: the files say what should be in force. They are read after those of
	// the other families, which say what is.
	declares bool
}

// Clouds is every family of exports, in the order in which files are offered to them.
var Clouds = []Cloud{
	{Name: "text", claims: claimsText, read: readText},
	{Name: "history", claims: claimsHistory, read: readRecords},
	{Name: "terraform", claims: claimsTerraform, read: readTerraform, declares: true},
	{Name: "aws", claims: claimsAWS, read: readAWS},
	{Name: "alibaba", claims: claimsAlibaba, read: readAlibaba},
}

// Read reads the policy in paths: files, folders (walked; names that start with a
// dot are left out), globs, and "-". Files may be gzipped. A file that is named must
// hold a policy; other files in folders and globs are ignored, and listed as such.
// The snapshot is sealed, and the same for any order of paths. Errors start with
// FILE:LINE where a line is to blame. Files that record changes are recognised and
// say nothing here: see [ReadHistory].
func Read(paths []string, opt Options) (*policy.Snapshot, []Input, error) {
	s, _, inputs, err := readAll(paths, opt)
	return s, inputs, err
}

// readAll does what Read says, and returns the records of changes, too.
func readAll(paths []string, opt Options) (*policy.Snapshot, []record, []Input, error) {
	files, err := open(paths, opt)
	if err != nil {
		return nil, nil, nil, err
	}
	var records []record
	policies := 0
	inputs := make([]Input, 0, len(files))
	claimed := make([][]*file, len(Clouds))
	seen := make(map[string]bool) // digests: a copy of a file adds nothing
	claims := loadAll(files)
	for n, f := range files {
		in := Input{Path: f.path, Kind: Ignored}
		i, err := claims[n].cloud, claims[n].err
		switch {
		case err != nil:
			return nil, nil, nil, err
		case i < 0 && f.named:
			return nil, nil, nil, f.unclaimed()
		case i >= 0 && len(f.kinds) > 0:
			slices.Sort(f.kinds)
			in.Kind = Clouds[i].Name + ":" + strings.Join(slices.Compact(f.kinds), ",")
			in.Digest = f.digest
			if !seen[f.digest] {
				seen[f.digest] = true
				claimed[i] = append(claimed[i], f)
				if records = append(records, f.records...); len(f.records) == 0 {
					policies++
				}
			}
		}
		inputs = append(inputs, in)
	}
	if policies == 0 {
		return nil, nil, inputs, fmt.Errorf("no policy in %s: expected JSON of aws ec2 describe-security-groups, describe-network-interfaces …, of aliyun ecs DescribeSecurityGroups, DescribeSecurityGroupAttribute …, terraform show -json, or the policy language",
			strings.Join(paths, ", "))
	}
	s := new(policy.Snapshot)
	for _, declares := range []bool{false, true} {
		for i, c := range Clouds {
			if c.declares != declares || len(claimed[i]) == 0 {
				continue
			}
			if err := c.read(claimed[i], s); err != nil {
				return nil, nil, inputs, err
			}
		}
	}
	if err := finish(s); err != nil {
		return nil, nil, inputs, err
	}
	return s, records, inputs, nil
}

// claim says which family a file belongs to, or why that cannot be told.
type claim struct {
	cloud int // see claimant
	err   error
}

// loadAll loads files, several at once, and asks whose they are.
func loadAll(files []*file) []claim {
	out := make([]claim, len(files))
	atOnce(len(files), func(i int) {
		c := &out[i]
		if c.err = files[i].load(); c.err == nil {
			c.cloud, c.err = claimant(files[i])
		}
	})
	return out
}

// atOnce calls f with 0 to n-1, several at once.
func atOnce(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}

// claimant returns the index of the family that f belongs to, -1 if there is none.
func claimant(f *file) (int, error) {
	for i, c := range Clouds {
		if ok, err := c.claims(f); ok || err != nil {
			return i, err
		}
	}
	return -1, nil
}

// finish names what s refers to and does not hold, and seals it.
func finish(s *policy.Snapshot) error {
	slices.SortFunc(s.Platforms, func(a, b policy.Platform) int { return strings.Compare(a.ID, b.ID) })
	s.Platforms = slices.CompactFunc(s.Platforms, samePlatform) // of several readers
	nameUnresolved(s)
	return s.Seal()
}

// file is a file that may hold a policy.
type file struct {
	path    string
	named   bool // by the caller, not found in a folder or by a glob
	raw     func() ([]byte, error)
	data    []byte // uncompressed
	docs    []document
	pages   []*awsPage // what the AWS reader found in docs
	alibaba []*alibabaPage
	plans   []*tfDocument // what the Terraform reader found in docs
	isJSON  bool
	records []record // what the reader of records found in docs
	digest  string
	kinds   []string
	lines   lineIndex
}

// open finds the files that paths stand for, each once, in order of their paths.
func open(paths []string, opt Options) ([]*file, error) {
	byPath := make(map[string]*file)
	add := func(path string, named bool) {
		clean := filepath.Clean(path)
		f, ok := byPath[clean]
		if !ok {
			f = &file{path: path, raw: func() ([]byte, error) { return os.ReadFile(path) }}
			byPath[clean] = f
		}
		f.named = f.named || named
		f.path = min(f.path, path)
	}
	walk := func(root string) error {
		if target, err := filepath.EvalSymlinks(root); err == nil && target != filepath.Clean(root) {
			root += string(filepath.Separator) // a link to a folder: walk what it names
		}
		return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case path != root && strings.HasPrefix(d.Name(), "."):
				if d.IsDir() {
					return filepath.SkipDir
				}
			case !d.IsDir():
				// Through links; pipes and sockets are no exports.
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
					add(path, false)
				}
			}
			return nil
		})
	}
	for _, path := range paths {
		if path == "-" {
			if opt.Stdin == nil {
				return nil, errors.New("-: there is no standard input here")
			}
			byPath["-"] = &file{path: "-", named: true, raw: func() ([]byte, error) { return io.ReadAll(opt.Stdin) }}
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			err = walk(path)
		case err == nil:
			add(path, true)
		case strings.ContainsAny(path, "*?["):
			var found []string
			if found, err = filepath.Glob(path); err == nil && len(found) == 0 {
				err = fmt.Errorf("%s: no file matches", path)
			}
			for _, p := range found {
				if info, e := os.Stat(p); e == nil && info.IsDir() {
					err = errors.Join(err, walk(p))
				} else {
					add(p, false)
				}
			}
		}
		if err != nil {
			return nil, namePath(err)
		}
	}
	files := make([]*file, 0, len(byPath))
	for _, f := range byPath {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b *file) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// namePath words an error of the file system as path and cause, without the name of the
// system call.
func namePath(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}

// load reads f and, if it is JSON, splits it into documents. JSON that does not
// parse is an error wherever the file was found: it may be a truncated export.
func (f *file) load() error {
	raw, err := f.raw()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	f.digest = "sha256:" + hex.EncodeToString(sum[:])
	f.data = raw
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err == nil {
			f.data, err = io.ReadAll(z)
		}
		if err != nil {
			return fmt.Errorf("%s: gzip: %w", f.path, err)
		}
	}
	f.data = bytes.TrimPrefix(f.data, []byte("\ufeff"))
	if f.isJSON = startsJSON(f.data); f.isJSON {
		f.docs, err = splitDocuments(f)
	}
	return err
}

// startsJSON reports whether data starts with an object or an array; "[section]" is
// neither.
func startsJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	if len(data) == 0 || data[0] != '[' {
		return len(data) > 0 && data[0] == '{'
	}
	data = bytes.TrimLeft(data[1:], " \t\r\n")
	return len(data) == 0 || bytes.IndexByte([]byte(`{[]"`), data[0]) >= 0
}

// unclaimed is the error for a named file that no cloud recognises.
func (f *file) unclaimed() error {
	if bytes.HasPrefix(f.data, []byte("PK\x03\x04")) {
		return fmt.Errorf("%s: an archive; a Terraform plan is printed by: terraform show -json %s", f.path, f.path)
	}
	if !f.isJSON {
		return fmt.Errorf("%s: neither JSON nor the policy language", f.path)
	}
	var keys []string
	for _, d := range f.docs {
		for _, m := range d.members {
			keys = append(keys, m.key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) == 0 {
		return fmt.Errorf("%s: JSON without the key of an export (SecurityGroups, NetworkInterfaces …); export without --query", f.path)
	}
	const show = 10
	more := ""
	if len(keys) > show {
		more = fmt.Sprintf(" and %d more", len(keys)-show)
		keys = keys[:show]
	}
	return fmt.Errorf("%s: not a policy export: its keys are %s%s", f.path, strings.Join(keys, ", "), more)
}

// position is a place in a file.
type position struct {
	file   *file
	offset int
}

// line returns the line of p, from 1.
func (p position) line() int {
	return p.file.line(p.offset)
}

func (p position) String() string { return fmt.Sprintf("%s:%d", p.file.path, p.line()) }

// errorf returns an error that starts with p.
func (p position) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", p, fmt.Errorf(format, args...))
}

// compare orders positions by path, then offset.
func (p position) compare(q position) int {
	if c := strings.Compare(p.file.path, q.file.path); c != 0 {
		return c
	}
	return p.offset - q.offset
}
