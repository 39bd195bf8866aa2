package flowlog

// flatLine reads a line that is one object with plain values only: the form in which
// log services ship records, line by line. Such lines come by the million, and one
// token at a time costs ten times as much. It returns false, and has done nothing, if
// the line is or may be anything else; what it does read means what [jsonDecoder.object]
// would have made of it.
func (d *jsonDecoder) flatLine(line []byte) (done bool, err error) {
	clear(d.pos[:])
	d.names = d.names[:0]
	flat, alibaba, direction := false, false, ""
	at := 1
	if len(line) == 0 || line[0] != '{' {
		return false, nil
	}
	for {
		key, next, ok := plainString(line, skipSpace(line, at))
		if !ok {
			return false, nil
		}
		k := d.flatKey(key)
		if k.complex {
			return false, nil
		}
		at = skipSpace(line, next)
		if at >= len(line) || line[at] != ':' {
			return false, nil
		}
		value, next, ok := plainValue(line, skipSpace(line, at+1))
		if !ok {
			return false, nil
		}
		alibaba = alibaba || k.alibaba
		switch {
		case k.unknown != "":
			d.names = append(d.names, k.unknown)
		case k.field != Carried:
			flat = flat || k.field.identifies()
			if k.field == ENIDirection {
				direction = k.spelling
			}
			if value != nullSpan {
				d.pos[k.field] = trimSpan(line, value)
			}
		}
		at = skipSpace(line, next)
		if at >= len(line) {
			return false, nil
		}
		if line[at] == '}' {
			break
		}
		if line[at] != ',' {
			return false, nil
		}
		at++
	}
	if !flat || skipSpace(line, at+1) != len(line) {
		return false, nil
	}
	d.token, d.full = false, false
	d.addUnknown(d.names, direction, alibaba)
	return true, d.keyed(line, alibaba)
}

// flatKey is what a key of a flat line means.
type flatKey struct {
	nameInfo
	spelling string // as an unknown name is reported
	unknown  string // the same, empty if the name is known
	complex  bool   // asks for more than the value of a field
}

// maxKeys bounds the keys remembered; logs have some thirty.
const maxKeys = 1 << 10

func (d *jsonDecoder) flatKey(key []byte) flatKey {
	if k, ok := d.keys[string(key)]; ok {
		return k
	}
	name := string(key)
	n, known := lookupName(name)
	k := flatKey{nameInfo: n, spelling: clip(name)}
	if !known {
		k.unknown = k.spelling
	}
	switch name {
	case "events", "logEvents", "results", "status", "message", "@message", "messageType", "nextToken", "NextToken",
		"data", "logs", "Logs", "meta", "class_uid", "src_endpoint":
		k.complex = true
	}
	k.complex = k.complex || n.field == Message || n.field == TransitGateway
	if len(d.keys) >= maxKeys {
		clear(d.keys)
	}
	if d.keys == nil {
		d.keys = map[string]flatKey{}
	}
	d.keys[name] = k
	return k
}

// identifies reports whether an object with field f is a record of a flow log.
func (f Field) identifies() bool {
	switch f {
	case InterfaceID, SrcAddr, DstAddr, PktSrcAddr, PktDstAddr:
		return true
	}
	return false
}

// nullSpan is the place of a value that is null.
var nullSpan = span{1, 0}

// plainValue returns the place of the value that begins at a place of line, and the
// place after it: a string, a whole number or a literal.
func plainValue(line []byte, at int) (value span, next int, ok bool) {
	if at < len(line) && line[at] == '"' {
		s, next, ok := plainString(line, at)
		return span{uint32(at + 1), uint32(at + 1 + len(s))}, next, ok
	}
	end := at
	for end < len(line) && line[end] != ',' && line[end] != '}' && !isJSONSpace(line[end]) {
		end++
	}
	switch v := line[at:end]; string(v) {
	case "null":
		return nullSpan, end, true
	case "true", "false":
		return span{uint32(at), uint32(end)}, end, true
	default:
		_, number := parseUint(v)
		return span{uint32(at), uint32(end)}, end, number && (v[0] != '0' || len(v) == 1)
	}
}

// plainString returns the content of the string that begins at a place of line, if
// nothing in it needs decoding, and the place after it.
func plainString(line []byte, at int) (s []byte, next int, ok bool) {
	if at >= len(line) || line[at] != '"' {
		return nil, 0, false
	}
	for i := at + 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			return line[at+1 : i], i + 1, true
		case c == '\\' || c < ' ' || c >= 0x7f:
			return nil, 0, false
		}
	}
	return nil, 0, false
}

func skipSpace(line []byte, at int) int {
	for at < len(line) && isJSONSpace(line[at]) {
		at++
	}
	return at
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// trimSpan takes the spaces off a value, of which strings have no other kind here.
func trimSpan(line []byte, p span) span {
	for p.lo < p.hi && line[p.lo] == ' ' {
		p.lo++
	}
	for p.lo < p.hi && line[p.hi-1] == ' ' {
		p.hi--
	}
	return p
}

// addUnknown notes the names of a record that are not known. Outside the dialect of
// Alibaba Cloud the name direction, if it is there, is one of them.
func (d *jsonDecoder) addUnknown(names []string, direction string, alibaba bool) {
	if direction != "" && !alibaba {
		d.stats.AddUnknownField(direction)
	}
	for _, name := range names {
		d.stats.AddUnknownField(name)
	}
}
