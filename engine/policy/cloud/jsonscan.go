package cloud

import (
	"encoding/binary"
	"math/bits"
)

// maxNesting is how deep the JSON library lets values lie in each other.
const maxNesting = 10000

// validEnd returns the end of the JSON value that begins at offset at; ok is false if that
// is no JSON. It says what valueEnd and [json.Valid] do, in one pass.
func validEnd(data []byte, at int) (end int, ok bool) {
	var room [64]byte
	open := room[:0] // the brackets around at
	for {
		// A value begins at at.
		if at >= len(data) {
			return 0, false
		}
		switch c := data[at]; c {
		case '{', '[':
			if len(open) == maxNesting {
				return 0, false
			}
			open = append(open, c)
			if at = skipSpace(data, at+1); at >= len(data) {
				return 0, false
			}
			switch {
			case data[at] == c+2: // the bracket that closes it: nothing is in it
				open = open[:len(open)-1]
				at++
			case c == '[':
				continue
			default:
				if at, ok = keyEnd(data, at); !ok {
					return 0, false
				}
				continue
			}
		case '"':
			if at, ok = validString(data, at); !ok {
				return 0, false
			}
		default:
			if at, ok = validScalar(data, at); !ok {
				return 0, false
			}
		}
		// A value ends at at, and perhaps more with it.
		for {
			if len(open) == 0 {
				return at, true
			}
			if at = skipSpace(data, at); at >= len(data) {
				return 0, false
			}
			in := open[len(open)-1]
			if data[at] != in+2 {
				break
			}
			open = open[:len(open)-1]
			at++
		}
		if data[at] != ',' {
			return 0, false
		}
		at = skipSpace(data, at+1)
		if open[len(open)-1] == '{' {
			if at, ok = keyEnd(data, at); !ok {
				return 0, false
			}
		}
	}
}

// keyEnd passes the key at offset at, and the colon behind it.
func keyEnd(data []byte, at int) (value int, ok bool) {
	if at >= len(data) || data[at] != '"' {
		return 0, false
	}
	if at, ok = validString(data, at); !ok {
		return 0, false
	}
	if at = skipSpace(data, at); at >= len(data) || data[at] != ':' {
		return 0, false
	}
	return skipSpace(data, at+1), true
}

// validString returns the end of the string at offset at. Bytes that are no text are let
// through, as the library does.
func validString(data []byte, at int) (end int, ok bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for at++; ; {
		// Eight bytes in one step, up to the first that is a quote, a backslash or a control
		// character. What is found may be none if one stands before it: it is looked at.
		for at+8 <= len(data) {
			x := binary.LittleEndian.Uint64(data[at:])
			quote, back := x^('"'*ones), x^('\\'*ones)
			special := ((quote-ones)&^quote | (back-ones)&^back | (x-' '*ones)&^x) & tops
			if special != 0 {
				at += bits.TrailingZeros64(special) / 8
				break
			}
			at += 8
		}
		if at >= len(data) {
			return 0, false
		}
		switch c := data[at]; {
		case c == '"':
			return at + 1, true
		case c < ' ':
			return 0, false
		case c == '\\':
			if at, ok = escapeEnd(data, at); !ok {
				return 0, false
			}
		default:
			at++
		}
	}
}

// escapeEnd returns the end of the escape at offset at of a string.
func escapeEnd(data []byte, at int) (end int, ok bool) {
	if at+1 >= len(data) {
		return 0, false
	}
	switch data[at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return at + 2, true
	case 'u':
		for i := at + 2; i < at+6; i++ {
			if i >= len(data) || !(data[i]-'0' <= 9 || data[i]|0x20-'a' <= 5) {
				return 0, false
			}
		}
		return at + 6, true
	}
	return 0, false
}

// validScalar returns the end of the number or word at offset at.
func validScalar(data []byte, at int) (end int, ok bool) {
	for _, word := range [3]string{"true", "false", "null"} {
		if len(data)-at >= len(word) && string(data[at:at+len(word)]) == word {
			return at + len(word), true
		}
	}
	digits := func() bool {
		from := at
		for at < len(data) && data[at]-'0' <= 9 {
			at++
		}
		return at > from
	}
	if data[at] == '-' {
		at++
	}
	switch {
	case at < len(data) && data[at] == '0':
		at++
	case !digits():
		return 0, false
	}
	if at < len(data) && data[at] == '.' {
		if at++; !digits() {
			return 0, false
		}
	}
	if at < len(data) && data[at]|0x20 == 'e' {
		if at++; at < len(data) && (data[at] == '+' || data[at] == '-') {
			at++
		}
		if !digits() {
			return 0, false
		}
	}
	return at, true
}
