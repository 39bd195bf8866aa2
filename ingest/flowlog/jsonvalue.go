package flowlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxNesting bounds arrays around documents.
const maxNesting = 4

// value reads one value, io.EOF if there is none. What is not a document with
// records is counted, not an error.
func (d *jsonDecoder) value(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	d.here(dec)
	switch {
	case t == json.Delim('{'):
		return d.object(dec, depth)
	case t == json.Delim('[') && depth < maxNesting:
		for dec.More() {
			if err := d.value(dec, depth+1); err != nil {
				return cutOff(err)
			}
		}
		_, err := dec.Token()
		return cutOff(err)
	case t == json.Delim('['):
		err = skipRest(dec)
	}
	d.stats.Records++
	d.stats.AddMalformed(causeNotObject, d.sample(causeNotObject))
	return err
}

// cutOff turns the end of input inside a value into an error.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// object reads the rest of an object after its brace. depth is maxNesting in an
// object that was itself a message.
func (d *jsonDecoder) object(dec *json.Decoder, depth int) error {
	var (
		container, results, logs, ocsf, control, gateway, flat, alibaba bool

		message, status *string
		unknown         []string
		direction       string
		hits            int
		answer          progress
	)
	d.token, d.full = false, false
	d.cells = d.cells[:0]
	clear(d.pos[:])
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return cutOff(err)
		}
		switch key, _ := t.(string); key {
		case "events", "logEvents":
			container = true
			each := d.event
			if control {
				each = func(dec *json.Decoder) error { return dec.Decode(&json.RawMessage{}) }
			}
			_, err = d.elements(dec, each)
		case "results":
			container, results = true, true
			rows := 0
			_, err = d.elements(dec, func(dec *json.Decoder) error { rows++; return d.result(dec) })
			if rows == insightsLimit {
				d.stats.AddPartial(partialRows, d.sample(partialRows))
			}
		case "status":
			status, err = scalar(dec)
		case "message", "@message":
			message, err = scalar(dec)
		case "messageType":
			var kind *string
			kind, err = scalar(dec)
			control = kind != nil && *kind == "CONTROL_MESSAGE"
		case "nextToken", "NextToken":
			var next *string
			next, err = scalar(dec)
			d.token = next != nil && *next != ""
		case "data", "logs", "Logs":
			var n int
			var array bool
			n, array, err = d.logs(dec, depth)
			hits, logs = hits+n, logs || array
		case "meta":
			answer, err = readProgress(dec)
		case "class_uid", "src_endpoint":
			ocsf = true
			err = dec.Decode(&json.RawMessage{})
		default:
			n, known := lookupName(key)
			f := n.field
			alibaba = alibaba || n.alibaba
			if f == ENIDirection {
				direction = clip(key)
			}
			switch {
			case !known:
				unknown = append(unknown, clip(key))
				err = dec.Decode(&json.RawMessage{})
			case f == Carried:
				err = dec.Decode(&json.RawMessage{})
			case f == TransitGateway:
				gateway = true
				err = dec.Decode(&json.RawMessage{})
			default:
				flat = flat || f.identifies()
				var v *string
				if v, err = scalar(dec); v != nil {
					d.set(f, *v)
				}
			}
		}
		if err != nil {
			return cutOff(err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return cutOff(err)
	}
	switch {
	case results && status != nil && *status != "Complete":
		return fmt.Errorf("the query is %s, not Complete: its results are only a part", clip(*status))
	case container:
		return nil
	case ocsf:
		d.unsupported(causeOCSF)
	case message != nil:
		return d.message(*message, depth)
	case gateway:
		d.unsupported(causeGateway)
	case flat:
		d.addUnknown(unknown, direction, alibaba)
		return d.keyed(d.cells, alibaba)
	case logs:
		d.full = answer.known && hits == getLogsLimit
		if answer.partial {
			d.stats.AddPartial(partialLogs, d.sample(partialLogs))
		}
	default:
		d.unsupported(causeNoRecord)
	}
	return nil
}

// logs reads the records of an answer of GetLogs, which are the elements of one of
// its values, and returns their number, and whether that value is an array at all.
// What the object around it holds besides stays as it is.
func (d *jsonDecoder) logs(dec *json.Decoder, depth int) (n int, array bool, err error) {
	if depth >= maxNesting {
		return 0, false, dec.Decode(&json.RawMessage{})
	}
	token, cells, pos := d.token, bytes.Clone(d.cells), d.pos
	array, err = d.elements(dec, func(dec *json.Decoder) error {
		n++
		return d.value(dec, depth+1)
	})
	d.token, d.cells, d.pos = token, cells, pos
	return n, array, err
}

// progress is what the meta object of an answer of GetLogs says.
type progress struct{ known, partial bool }

// readProgress reads a meta object; of another kind of value it knows nothing.
func readProgress(dec *json.Decoder) (progress, error) {
	var meta struct {
		Progress *string `json:"progress"`
	}
	err := dec.Decode(&meta)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType), err == nil && meta.Progress == nil:
		return progress{}, nil
	case err != nil:
		return progress{}, err
	}
	return progress{known: true, partial: *meta.Progress != "Complete"}, nil
}

// elements calls each for every element of an array and returns true; other values
// it skips.
func (d *jsonDecoder) elements(dec *json.Decoder, each func(*json.Decoder) error) (array bool, err error) {
	t, err := dec.Token()
	if err != nil {
		return false, err
	}
	if t != json.Delim('[') {
		if _, open := t.(json.Delim); open {
			return false, skipRest(dec)
		}
		return false, nil
	}
	for dec.More() {
		d.here(dec)
		if err := each(dec); err != nil {
			return true, err
		}
	}
	_, err = dec.Token()
	return true, err
}

// event reads one event of CloudWatch Logs.
func (d *jsonDecoder) event(dec *json.Decoder) error {
	var e struct {
		Message *string `json:"message"`
	}
	err := dec.Decode(&e)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType), err == nil && e.Message == nil:
		d.stats.Records++
		d.stats.AddMalformed(causeNoMessage, d.sample("event without a message"))
		return nil
	case err != nil:
		return err
	}
	return d.message(*e.Message, 0)
}

// result reads one row of a Logs Insights query: a list of named values.
func (d *jsonDecoder) result(dec *json.Decoder) error {
	var row []struct{ Field, Value string }
	err := dec.Decode(&row)
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		d.stats.Records++
		d.stats.AddMalformed(causeNotObject, d.sample("row is not a list of fields and values"))
		return nil
	}
	if err != nil {
		return err
	}
	d.cells = d.cells[:0]
	clear(d.pos[:])
	flat := false
	for _, c := range row {
		f, known := lookupIn(c.Field, false)
		switch {
		case !known:
			d.stats.AddUnknownField(clip(c.Field))
		case f == Message:
			return d.message(c.Value, 0)
		case f == TransitGateway:
			d.unsupported(causeGateway)
			return nil
		case f != Carried:
			flat = true
			d.set(f, c.Value)
		}
	}
	if !flat {
		d.unsupported(causeNoRecord)
		return nil
	}
	return d.keyed(d.cells, false)
}

// message reads a record that is text, or JSON once more.
func (d *jsonDecoder) message(s string, depth int) error {
	s = strings.TrimSpace(s)
	if s == "" {
		d.stats.Records++
		d.stats.AddMalformed(causeNoMessage, d.sample(causeNoMessage))
		return nil
	}
	if s[0] != '{' {
		for line := range strings.Lines(s) {
			if err := d.record([]byte(line)); err != nil {
				return err
			}
		}
		return nil
	}
	if depth == maxNesting {
		d.unsupported(causeNested)
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	t, err := dec.Token()
	if t == json.Delim('{') {
		next := d.token // belongs to the document around the message
		err = d.object(dec, maxNesting)
		d.token = next
	}
	var syntax *json.SyntaxError
	if err == io.ErrUnexpectedEOF || errors.As(err, &syntax) {
		d.stats.Records++
		d.stats.AddMalformed(causeNotJSON, d.sample(err.Error()))
		return nil
	}
	return err
}

// record decodes one record that is text.
func (d *jsonDecoder) record(line []byte) error {
	err := d.lines.Decode(d.lines.file, line, d.line, d.text, d.stats)
	d.text = d.lines.layout // a header line among the messages holds for those after it
	return err
}

// keyed decodes the record whose values stand in base where d.pos says.
func (d *jsonDecoder) keyed(base []byte, alibaba bool) error {
	d.lines.line, d.lines.layout, d.lines.stats = d.line, flatLayout, d.stats
	d.stats.Records++
	if alibaba {
		d.lines.layout, d.stats.Alibaba = flatAlibaba, true
		d.pos[FlowDirection] = d.pos[ENIDirection]
	}
	return d.lines.record(base, d.pos[:])
}

func (d *jsonDecoder) set(f Field, v string) {
	v = strings.TrimSpace(v)
	lo := len(d.cells)
	d.cells = append(d.cells, v...)
	d.pos[f] = span{uint32(lo), uint32(len(d.cells))}
}

func (d *jsonDecoder) unsupported(cause string) {
	d.stats.Records++
	d.stats.AddUnsupported(cause, d.sample(cause))
}

func (d *jsonDecoder) sample(message string) Sample {
	return Sample{File: d.lines.file, Line: d.line, Message: message}
}

// scalar reads a value as text; nil for null and for arrays and objects.
func scalar(dec *json.Decoder) (*string, error) {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return nil, err
	}
	s := string(bytes.TrimSpace(raw))
	switch {
	case s == "null" || s[0] == '{' || s[0] == '[':
		return nil, nil
	case s[0] == '"':
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
	}
	return &s, nil
}

// skipRest reads to the end of an array or object that is already open.
func skipRest(dec *json.Decoder) error {
	for open := 1; open > 0; {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
	return nil
}
