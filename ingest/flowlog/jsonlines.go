package flowlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sgadvise/sgadvise/ingest/store"
)

// Causes of JSON values that hold no readable record.
const (
	causeNotJSON   = "line is not JSON"
	causeNotObject = "not a JSON object"
	causeNoRecord  = "JSON object without a flow log record"
	causeOCSF      = "OCSF event: not supported in this version"
	causeNested    = "message is JSON inside JSON inside JSON"
)

// Signs that an export is only part of its answer.
const (
	partialPage = "the last page names a next one (nextToken)"
	partialRows = "as many rows as one Logs Insights query returns at most"
	partialLogs = "the query was not complete (progress)"
	partialHits = "as many logs as one GetLogs call returns at most"
)

// The most rows that get-query-results returns, and the most logs that GetLogs does.
const (
	insightsLimit = 10000
	getLogsLimit  = 100
)

// jsonWindow bounds how far a line of JSON lines may reach; documents that span
// lines, or lie on one longer line, are read token by token instead.
const jsonWindow = 1 << 20

// DecodeJSON decodes the JSON in which records travel: pages of filter-log-events
// and get-log-events, subscription envelopes, results of Logs Insights queries,
// answers of Alibaba's GetLogs, and JSON lines that hold the record in "message" or
// its fields as keys. Several documents may follow each other. Records that are text
// are read under layout text.
//
// A line of JSON lines that is not JSON is counted; damage inside a document that
// spans lines is an error, for nothing after it can be placed. The batch given to
// emit is valid during the call only. DecodeJSON reads one value at a time.
func DecodeJSON(ctx context.Context, r io.Reader, name string, text *Layout, emit func(*store.Batch) error) (*Stats, error) {
	d := &jsonDecoder{ctx: ctx, lines: NewLineDecoder(emit), text: text, stats: &Stats{}}
	d.lines.file = name
	br := bufio.NewReaderSize(r, jsonWindow)
	if err := d.input(br); err != nil {
		return nil, err
	}
	if d.token {
		d.stats.AddPartial(partialPage, d.sample(partialPage))
	}
	if d.full {
		d.stats.AddPartial(partialHits, d.sample(partialHits))
	}
	return d.stats, d.lines.Flush()
}

// jsonDecoder walks JSON values and hands the records in them to a LineDecoder.
type jsonDecoder struct {
	ctx   context.Context
	lines *LineDecoder
	text  *Layout // of records that are text; header lines replace it
	stats *Stats
	line  int64

	top  *json.Decoder // reads documents that span lines; nil in JSON lines
	ends *newlines     // what top reads from

	token bool // the document read last names a next page
	full  bool // the document read last is an answer of GetLogs as long as one can be

	cells []byte // the values of a record given as keys
	pos   [NumFields]span
	keys  map[string]flatKey // of flat lines
	names []string           // unknown names of the current one
}

// flatLayout is the layout of records given as keys and values, flatAlibaba the same
// in that dialect.
var (
	flatLayout  = newFlatLayout(false)
	flatAlibaba = newFlatLayout(true)
)

func newFlatLayout(alibaba bool) *Layout {
	l := newLayoutIn(nil, ',', alibaba)
	for f := range Field(NumFields) {
		if f != Carried && f != TransitGateway && f != Message {
			l.col[f] = int16(f)
		}
	}
	l.n, l.lacks = NumFields, ""
	return l
}

func (d *jsonDecoder) input(br *bufio.Reader) error {
	head, err := br.Peek(jsonWindow)
	if err != nil && err != io.EOF {
		return err
	}
	if end := bytes.IndexByte(head, '\n'); end < 0 || !wholeValues(head[:end]) {
		return d.documents(br)
	}
	for {
		line, err := br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return d.documents(io.MultiReader(bytes.NewReader(bytes.Clone(line)), br))
		}
		if err != nil && err != io.EOF {
			return err
		}
		d.line++
		if err := d.oneLine(line); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err := d.ctx.Err(); err != nil {
			return err
		}
	}
}

// wholeValues reports whether line holds complete JSON values.
func wholeValues(line []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(line))
	for {
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return err == io.EOF
		}
	}
}

// oneLine reads a line of JSON lines.
func (d *jsonDecoder) oneLine(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	if m, ok := plainMessage(line); ok {
		return d.record(m)
	}
	if done, err := d.flatLine(line); done {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	for {
		err := d.value(dec, 0)
		var syntax *json.SyntaxError
		switch {
		case err == io.EOF:
			return nil
		case err == io.ErrUnexpectedEOF || errors.As(err, &syntax):
			d.stats.Records++
			d.stats.AddMalformed(causeNotJSON, d.sample(err.Error()))
			return nil
		case err != nil:
			return err
		}
	}
}

// plainMessage returns the message of {"message":"…"} if that is all there is and
// nothing in it needs decoding: the form in which delivery streams wrap records.
func plainMessage(line []byte) ([]byte, bool) {
	m, ok := bytes.CutPrefix(line, []byte(`{"message":"`))
	if !ok {
		return nil, false
	}
	if m, ok = bytes.CutSuffix(m, []byte(`"}`)); !ok {
		return nil, false
	}
	for _, c := range m {
		if c == '"' || c == '\\' || c < ' ' || c >= 0x7f {
			return nil, false
		}
	}
	return m, len(m) > 0 && m[0] != '{'
}

// documents reads JSON values that follow each other, wherever lines end.
func (d *jsonDecoder) documents(r io.Reader) error {
	d.ends = &newlines{r: r, line: d.line + 1}
	d.top = json.NewDecoder(d.ends)
	d.top.UseNumber()
	for {
		err := d.value(d.top, 0)
		if err == io.EOF {
			return nil
		}
		if err == io.ErrUnexpectedEOF {
			err = errors.New("the JSON document is cut off")
		}
		if err != nil {
			d.here(d.top)
			return fmt.Errorf("line %d: %w", d.line, err)
		}
		if err := d.ctx.Err(); err != nil {
			return err
		}
	}
}

// here moves the current line to where dec stands, if dec reads the input itself.
func (d *jsonDecoder) here(dec *json.Decoder) {
	if dec == d.top {
		d.line = d.ends.at(dec.InputOffset())
	}
}

// newlines counts lines as a JSON decoder reads ahead of what it has decoded.
type newlines struct {
	r      io.Reader
	offset int64   // bytes read
	ends   []int64 // offsets of newlines read, beyond the last offset asked for
	line   int64   // line of the last offset asked for
}

func (n *newlines) Read(p []byte) (int, error) {
	got, err := n.r.Read(p)
	for rest, at := p[:got], 0; ; {
		i := bytes.IndexByte(rest[at:], '\n')
		if i < 0 {
			break
		}
		n.ends = append(n.ends, n.offset+int64(at+i))
		at += i + 1
	}
	n.offset += int64(got)
	return got, err
}

// at returns the line of an offset; offsets must not decrease.
func (n *newlines) at(offset int64) int64 {
	i := 0
	for i < len(n.ends) && n.ends[i] < offset {
		i++
	}
	n.ends = n.ends[:copy(n.ends, n.ends[i:])]
	n.line += int64(i)
	return n.line
}
