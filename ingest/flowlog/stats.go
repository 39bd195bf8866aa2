package flowlog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Bounds on what a Stats keeps, so that a file full of damage costs no memory.
const (
	maxSamples       = 3  // of each reason: enough to see a pattern
	maxUnknownFields = 64 // more names than that are garbage, not fields
)

// Sample is one bad row: where it was, and what was wrong.
type Sample struct {
	File    string
	Line    int64  // 1-based line, or row of a Parquet file; 0: not known
	Field   string // empty: the row as a whole
	Message string // what was wrong with which value
}

// String returns s as "file:line: field: message".
func (s Sample) String() string {
	if s.Field == "" {
		return fmt.Sprintf("%s:%d: %s", s.File, s.Line, s.Message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", s.File, s.Line, s.Field, s.Message)
}

// Compare orders samples by file, line, field and message.
func (s Sample) Compare(o Sample) int {
	return cmp.Or(cmp.Compare(s.File, o.File), cmp.Compare(s.Line, o.Line),
		cmp.Compare(s.Field, o.Field), cmp.Compare(s.Message, o.Message))
}

// Reason counts the rows that one cause befell, with the least few as samples.
type Reason struct {
	Count   uint64
	Samples []Sample // ascending
}

// wants reports whether a sample at file:line could be among the least.
func (r *Reason) wants(file string, line int64) bool {
	if len(r.Samples) < maxSamples {
		return true
	}
	last := r.Samples[maxSamples-1]
	return cmp.Or(cmp.Compare(file, last.File), cmp.Compare(line, last.Line)) <= 0
}

func (r *Reason) keep(s Sample) {
	i, _ := slices.BinarySearchFunc(r.Samples, s, Sample.Compare)
	if i < maxSamples {
		r.Samples = slices.Insert(r.Samples, i, s)
		r.Samples = r.Samples[:min(len(r.Samples), maxSamples)]
	}
}

// Reasons counts rows by cause. The causes are a small fixed set: values from the
// input are only in the samples.
type Reasons map[string]*Reason

// Total returns the number of rows over all causes.
func (m Reasons) Total() uint64 {
	var n uint64
	for _, r := range m {
		n += r.Count
	}
	return n
}

// First returns the least sample of all causes, and false if there is none.
func (m Reasons) First() (Sample, bool) {
	var least Sample
	found := false
	for _, r := range m {
		if len(r.Samples) > 0 && (!found || r.Samples[0].Compare(least) < 0) {
			least, found = r.Samples[0], true
		}
	}
	return least, found
}

// Names returns the causes in ascending order.
func (m Reasons) Names() []string { return slices.Sorted(maps.Keys(m)) }

func (m *Reasons) at(cause string) *Reason {
	if *m == nil {
		*m = Reasons{}
	}
	r := (*m)[cause]
	if r == nil {
		r = &Reason{}
		(*m)[cause] = r
	}
	return r
}

func (m *Reasons) merge(o Reasons) {
	for cause, from := range o {
		r := m.at(cause)
		r.Count += from.Count
		for _, s := range from.Samples {
			r.keep(s)
		}
	}
}

// Stats is the account a decoder gives of one input. Records is the sum of Rows,
// Malformed and Unsupported. The zero Stats is empty and ready for use; it is not
// for concurrent use.
type Stats struct {
	Alibaba bool   // some rows came under the names that Alibaba Cloud gives to fields
	Records uint64 // all rows: everything except header lines and blank lines
	Rows    uint64 // of them handed on in batches, NODATA and SKIPDATA rows included

	Malformed   Reasons // could not be read
	Unsupported Reasons // well-formed, but not an IP flow of a network interface
	Conflicts   Reasons // rows handed on although two of their fields disagree
	Partial     Reasons // signs that the input is only part of what was asked for

	UnknownFields     []string // names in headers that no version known here has, ascending
	MoreUnknownFields bool     // there were more than are listed
}

// AddMalformed counts a row that could not be read. The cause is one of a fixed
// set; what was wrong with which value goes into the sample.
func (s *Stats) AddMalformed(cause string, at Sample) { add(&s.Malformed, cause, at) }

// AddUnsupported counts a well-formed row that is not an IP flow of an interface.
func (s *Stats) AddUnsupported(cause string, at Sample) { add(&s.Unsupported, cause, at) }

// AddConflict counts a row that is used although two of its fields disagree.
func (s *Stats) AddConflict(cause string, at Sample) { add(&s.Conflicts, cause, at) }

// AddPartial notes a sign that the input is not complete.
func (s *Stats) AddPartial(cause string, at Sample) { add(&s.Partial, cause, at) }

func add(m *Reasons, cause string, at Sample) {
	r := m.at(cause)
	r.Count++
	r.keep(at)
}

// AddUnknownField notes the name of a field that is not in the table.
func (s *Stats) AddUnknownField(name string) {
	i, found := slices.BinarySearch(s.UnknownFields, name)
	if found {
		return
	}
	s.UnknownFields = slices.Insert(s.UnknownFields, i, name)
	if len(s.UnknownFields) > maxUnknownFields {
		s.UnknownFields = s.UnknownFields[:maxUnknownFields]
		s.MoreUnknownFields = true
	}
}

// Merge adds o to s. It is commutative and associative: the result does not depend
// on how the input was split.
func (s *Stats) Merge(o *Stats) {
	s.Alibaba = s.Alibaba || o.Alibaba
	s.Records += o.Records
	s.Rows += o.Rows
	s.Malformed.merge(o.Malformed)
	s.Unsupported.merge(o.Unsupported)
	s.Conflicts.merge(o.Conflicts)
	s.Partial.merge(o.Partial)
	for _, name := range o.UnknownFields {
		s.AddUnknownField(name)
	}
	s.MoreUnknownFields = s.MoreUnknownFields || o.MoreUnknownFields
}
