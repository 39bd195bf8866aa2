package cloud

import "bytes"

// plain reads JSON of a known shape, as command lines print it: keys in their usual
// case, strings without escapes, whole numbers, no null. The JSON is valid. What is
// anything else makes it give up (odd), and the general decoder reads the value.
type plain struct {
	data []byte
	at   int
	odd  bool
	ints []int // room for numbers that are pointed at
}

// open begins the object or array that bracket opens.
func (p *plain) open(bracket byte) {
	if p.at = skipSpace(p.data, p.at); p.odd || p.at >= len(p.data) || p.data[p.at] != bracket {
		p.odd = true
		return
	}
	p.at++
}

// more reports whether another member or element follows; if not it passes the bracket
// that closes.
func (p *plain) more(bracket byte) bool {
	if p.odd {
		return false
	}
	if p.at = skipSpace(p.data, p.at); p.data[p.at] == ',' {
		p.at = skipSpace(p.data, p.at+1)
	}
	if p.data[p.at] == bracket {
		p.at++
		return false
	}
	return true
}

// quoted reads a string as it stands in the data, which must be what it says.
func (p *plain) quoted() []byte {
	if p.odd || p.at >= len(p.data) || p.data[p.at] != '"' {
		p.odd = true
		return nil
	}
	from := p.at + 1
	for i := from; i < len(p.data); i++ {
		switch c := p.data[i]; {
		case c == '"':
			p.at = i + 1
			return p.data[from:i]
		case c == '\\' || c >= 0x80:
			p.odd = true
			return nil
		}
	}
	p.odd = true
	return nil
}

// key reads the name of a member and passes the colon.
func (p *plain) key() []byte {
	k := p.quoted()
	if p.odd {
		return nil
	}
	p.at = skipSpace(p.data, skipSpace(p.data, p.at)+1)
	return k
}

// text reads a string. It returns like if that is the same one: most repeat.
func (p *plain) text(like string) string {
	b := p.quoted()
	if string(b) == like {
		return like
	}
	return string(b)
}

// integer reads a whole number.
func (p *plain) integer() *int {
	n, digits, at, sign := 0, 0, p.at, 1
	if at < len(p.data) && p.data[at] == '-' {
		sign, at = -1, at+1
	}
	for ; at < len(p.data) && p.data[at]-'0' <= 9; at++ {
		n = 10*n + int(p.data[at]-'0')
		digits++
	}
	// An exponent, a fraction, a number too long, or none.
	if p.odd || digits == 0 || digits > 9 || at < len(p.data) && (p.data[at]|0x20 == 'e' || p.data[at] == '.') {
		p.odd = true
		return nil
	}
	p.at = at
	if len(p.ints) == cap(p.ints) {
		p.ints = make([]int, 0, 256)
	}
	p.ints = append(p.ints, sign*n)
	return &p.ints[len(p.ints)-1]
}

// truth reads true or false.
func (p *plain) truth() bool {
	for _, word := range [2]string{"true", "false"} {
		if !p.odd && bytes.HasPrefix(p.data[p.at:], []byte(word)) {
			p.at += len(word)
			return word == "true"
		}
	}
	p.odd = true
	return false
}

// pass passes a value.
func (p *plain) pass() {
	end, ok := valueEnd(p.data, p.at)
	if p.odd = p.odd || !ok; ok {
		p.at = end
	}
}

// unknown passes the value under a key that is none of known; but the general decoder
// takes some of those for keys that it knows in another case.
func (p *plain) unknown(key []byte, known []string) {
	for _, k := range known {
		if len(k) == len(key) && bytes.EqualFold(key, []byte(k)) {
			p.odd = true
			return
		}
	}
	p.pass()
}
