package cloud

import (
	"bytes"
	"strings"
	"sync"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// lineIndex finds the lines of a file. It is made when a line is asked for, once.
type lineIndex struct {
	once   sync.Once
	breaks []int // line breaks before each stretch of the file
}

// stretch is the length of the parts of a file whose line breaks are counted together.
const stretch = 4096

// line returns the line that holds the byte at offset, from 1.
func (f *file) line(offset int) int {
	f.lines.once.Do(func() {
		n := 0
		for at := 0; at <= len(f.data); at += stretch {
			f.lines.breaks = append(f.lines.breaks, n)
			n += bytes.Count(f.data[at:min(at+stretch, len(f.data))], []byte{'\n'})
		}
	})
	offset = min(offset, len(f.data))
	k := offset / stretch
	return 1 + f.lines.breaks[k] + bytes.Count(f.data[k*stretch:offset], []byte{'\n'})
}

// mark notes in r that it is written at p.
func (p position) mark(r *policy.Rule) {
	if p.file != nil {
		r.File, r.Line = p.file.path, p.line()
	}
}

// level is one array or object around a place in JSON.
type level struct {
	key   string // of the member of an object that is being read, in lower case
	index int    // of the element of an array
	array bool
}

// walkObjects calls visit for each object in the JSON value that begins at p, with what is
// around it, the value itself first. It reads bytes and decodes nothing; what is not JSON
// ends it. Levels are valid during the call only.
func walkObjects(p position, visit func(around []level, at position)) {
	data := p.file.data
	var around []level
	for i := p.offset; i < len(data); i++ {
		switch data[i] {
		case '{':
			visit(around, position{p.file, i})
			around = append(around, level{})
		case '[':
			around = append(around, level{array: true})
		case '}', ']':
			if len(around) > 0 {
				around = around[:len(around)-1]
			}
			if len(around) == 0 {
				return
			}
		case ',':
			if n := len(around); n > 0 && around[n-1].array {
				around[n-1].index++
			}
		case '"':
			end := i + 1
			for end < len(data) && data[end] != '"' {
				if data[end] == '\\' {
					end++
				}
				end++
			}
			if n := len(around); n > 0 && !around[n-1].array && isKey(data, end+1) {
				around[n-1].key = strings.ToLower(string(data[i+1 : min(end, len(data))]))
			}
			i = end
		}
	}
}

// isKey reports whether a colon follows.
func isKey(data []byte, at int) bool {
	for at < len(data) && (data[at] == ' ' || data[at] == '\n' || data[at] == '\t' || data[at] == '\r') {
		at++
	}
	return at < len(data) && data[at] == ':'
}

// peerKind names the lists of peers of a permission, in the order in which
// awsPermission.peers has them.
var peerKinds = []string{"ipranges", "ipv6ranges", "prefixlistids", "useridgrouppairs"}

// peerPlaces finds where the peers of the permissions of a group are written, by list of
// permissions and by permission, each in the order of awsPermission.peers.
func peerPlaces(group position) map[string][][]position {
	type list struct {
		under string
		index int
		kind  string
	}
	found := make(map[list][]position)
	most := make(map[string]int)
	walkObjects(group, func(around []level, at position) {
		// {IpPermissions: [{IpRanges: [{
		if len(around) != 4 || around[0].array || !around[1].array || around[2].array || !around[3].array {
			return
		}
		l := list{around[0].key, around[1].index, around[2].key}
		found[l] = append(found[l], at)
		most[l.under] = max(most[l.under], l.index+1)
	})
	out := make(map[string][][]position)
	for under, n := range most {
		out[under] = make([][]position, n)
		for i := range out[under] {
			for _, kind := range peerKinds {
				out[under][i] = append(out[under][i], found[list{under, i, kind}]...)
			}
		}
	}
	return out
}

// objectsUnder finds where the elements of the list that is called key in the object at p
// are written.
func objectsUnder(p position, key string) []position {
	var out []position
	walkObjects(p, func(around []level, at position) {
		if len(around) == 2 && around[0].key == key && around[1].array {
			out = append(out, at)
		}
	})
	return out
}
