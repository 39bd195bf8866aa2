package cloud

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// alibabaKind is one list of a reply: {key: {inner: […]}}, or {key: […]} as newer
// command lines print it. Bare lists are told from those of another cloud by the names
// in marks, one of which their elements have; none: the key alone tells.
type alibabaKind struct {
	key, inner string
	name       string // as in Input.Kind
	marks      []string
	read       func(*alibabaReader, *alibabaPage, element) error
}

var alibabaKinds = []alibabaKind{
	{"securitygroups", "securitygroup", "security-groups", []string{"securitygroupid"}, (*alibabaReader).readGroup},
	{"permissions", "permission", "security-group-attributes", []string{"nictype", "portrange", "ipprotocol"}, (*alibabaReader).readPermission},
	{"networkinterfacesets", "networkinterfaceset", "network-interfaces", nil, (*alibabaReader).readInterface},
	{"instances", "instance", "instances", []string{"vpcattributes", "instancenetworktype", "securitygroupids"}, (*alibabaReader).readInstance},
	{"prefixlists", "prefixlist", "prefix-lists", []string{"associationcount", "creationtime"}, (*alibabaReader).readList},
	{"entries", "entry", "list-entries", []string{"portrange"}, (*alibabaReader).readEntry},
	{"networkacls", "networkacl", "network-acls", []string{"networkaclname", "ingressaclentries", "resources"}, (*alibabaReader).readACL},
	{"networkaclattribute", "", "network-acls", nil, (*alibabaReader).readACL},
	{"vswitches", "vswitch", "subnets", nil, (*alibabaReader).readSubnet},
	{"flowlogs", "flowlog", "flow-logs", []string{"resourcetype", "projectname"}, (*alibabaReader).readFlowLog},
}

// alibabaUnused are the keys of replies that hold nothing about filters.
var alibabaUnused = map[string]bool{
	"eipaddresses": true, "havips": true, "loadbalancers": true, "monitordata": true, "natgateways": true, "portrangelists": true,
	"regions": true, "routeentrys": true, "routetables": true, "securitygroupreferences": true, "vpcs": true, "zones": true,
}

// alibabaPage is one reply of one call.
type alibabaPage struct {
	parts []alibabaPart
	head  map[string]alibabaText // the members that are no lists, by name
	under string                 // the key that the page is under
	pos   position
}

type alibabaPart struct {
	kind     *alibabaKind
	elements []element
}

// alibabaPages finds the pages of f: at the top of each document or one level down, in
// the wrapper of another tool. known reports whether f is of this family.
func alibabaPages(f *file) (pages []*alibabaPage, known bool, err error) {
	var others []document
	for _, d := range f.docs {
		n := len(pages)
		p, here, err := alibabaPageOf(d.members, "")
		if err != nil {
			return nil, false, err
		}
		known = known || here
		if p != nil {
			pages = append(pages, p)
		}
		for _, m := range d.members {
			inner, err := m.members()
			if err != nil {
				return nil, false, err
			}
			p, here, err := alibabaPageOf(inner, m.key)
			if err != nil {
				return nil, false, err
			}
			known = known || here
			if p != nil {
				pages = append(pages, p)
			}
		}
		if len(pages) == n {
			others = append(others, d)
		}
	}
	if len(pages) > 0 && len(others) > 0 {
		of, _, err := awsPages(&file{path: f.path, data: f.data, docs: others})
		if err == nil && len(of) > 0 {
			err = of[0].pos.errorf("a reply of another cloud than %s: keep the exports of each cloud in files of their own", pages[0].pos)
		}
		if err != nil {
			return nil, false, err
		}
	}
	return pages, known || len(pages) > 0, nil
}

// alibabaPageOf reads the object with these members as a page; nil if it is none.
func alibabaPageOf(members []member, under string) (p *alibabaPage, known bool, err error) {
	p = &alibabaPage{head: make(map[string]alibabaText), under: under}
	for _, m := range members {
		var t alibabaText
		if m.raw[0] != '{' && m.raw[0] != '[' && json.Unmarshal(m.raw, &t) == nil {
			p.head[m.name] = t
		}
	}
	_, reply := p.head["requestid"]
	for _, m := range members {
		known = known || reply && alibabaUnused[m.name]
		i := slices.IndexFunc(alibabaKinds, func(k alibabaKind) bool { return k.key == m.name })
		if i < 0 {
			continue
		}
		k := &alibabaKinds[i]
		es, ok, err := k.elements(m.element, p.head, reply)
		if err != nil {
			return nil, false, err
		}
		if ok {
			if p.parts == nil {
				p.pos = m.pos
			}
			p.parts = append(p.parts, alibabaPart{k, es})
		}
	}
	if len(p.parts) == 0 {
		return nil, known, nil
	}
	return p, true, nil
}

// elements returns what e, the value under the kind's key, holds; ok is false if it is
// of another cloud.
func (k *alibabaKind) elements(e element, head map[string]alibabaText, reply bool) (es []element, ok bool, err error) {
	if k.inner == "" { // a single object, not a list
		return []element{e}, len(e.raw) > 0 && e.raw[0] == '{', nil
	}
	es, bare, ok, err := e.wrapped(k.inner)
	if !ok || err != nil {
		// A list without elements may lose its inner key.
		return nil, reply && string(e.raw) == "{}", err
	}
	if !bare {
		return es, true, nil
	}
	if len(es) == 0 {
		return nil, reply || len(k.marks) == 0, nil
	}
	members, err := es[0].members()
	marked := slices.ContainsFunc(members, func(m member) bool { return slices.Contains(k.marks, m.name) })
	if k.key == "entries" && !marked { // of a prefix list; another cloud's reply is {"Entries": […]} alone
		_, family := head["addressfamily"]
		marked = family || reply
	}
	return es, len(members) > 0 && (marked || len(k.marks) == 0), err
}

// list is the id of the list whose entries p holds, or "": the reply with a list of
// ports does not say it, so the wrapper or the name of the file has to.
func (p *alibabaPage) list() string {
	for _, id := range []alibabaText{p.head["portrangelistid"], p.head["prefixlistid"]} {
		if id != "" {
			return string(id)
		}
	}
	for _, name := range []string{p.under, filepath.Base(p.pos.file.path)} {
		if m := alibabaListID.FindStringSubmatch(name); m != nil {
			return m[1]
		}
	}
	return ""
}

var alibabaListID = regexp.MustCompile(`(?:^|[^0-9a-z])((?:prl|pl)-[0-9a-z]+)`)

// alibabaTurn is a page's place among the pages of a call.
type alibabaTurn struct {
	number, size, total int // 0: not said
	count               int // of its elements
	more                bool
	pos                 position
}

func (r *alibabaReader) readPage(p *alibabaPage) error {
	for _, part := range p.parts {
		name := part.kind.name
		r.seen[name] = true
		whose := ""
		var err error
		switch part.kind.key {
		case "permissions":
			whose, err = r.beginAttribute(p)
		case "entries":
			whose, err = r.beginEntries(p, part.elements)
		}
		if err != nil {
			return err
		}
		if part.kind.inner != "" {
			r.addTurn(name, whose, p, part.elements)
		}
		for i, e := range part.elements {
			if e.raw[0] != '{' {
				return e.pos.errorf("%s[%d]: not an object", name, i)
			}
			if err := part.kind.read(r, p, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// addTurn notes the place of p among the pages of its call: those of one list, of one
// group or region.
func (r *alibabaReader) addTurn(name, whose string, p *alibabaPage, es []element) {
	number := func(key string) int {
		n, _ := strconv.Atoi(string(p.head[key]))
		return n
	}
	key := name
	if whose != "" {
		key += " of " + whose
	} else if region := p.region(es); region != "" {
		key += " of " + region
	}
	r.turns[key] = append(r.turns[key], alibabaTurn{number("pagenumber"), number("pagesize"), number("totalcount"), len(es), p.head["nexttoken"] != "", p.pos})
}

// region returns the region of the objects es of p, or "".
func (p *alibabaPage) region(es []element) string {
	if region := p.head["regionid"]; region != "" {
		return string(region)
	}
	if len(es) == 0 {
		return ""
	}
	var place struct {
		RegionID alibabaText `json:"RegionId"`
		ZoneID   alibabaText `json:"ZoneId"`
	}
	if json.Unmarshal(es[0].raw, &place) != nil {
		return ""
	}
	if place.RegionID == "" && place.ZoneID != "" { // cn-shenzhen-c, ap-southeast-1a
		place.RegionID = alibabaText(strings.TrimSuffix(string(place.ZoneID[:len(place.ZoneID)-1]), "-"))
	}
	return string(place.RegionID)
}

// complete fails if pages are missing: rules that are not read must not pass for rules
// that do not exist. Calls count their pages, or hand out a token for the next one, or
// both.
func (r *alibabaReader) complete() error {
	keys := make([]string, 0, len(r.turns))
	for k := range r.turns {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := completeTurns(k, r.turns[k]); err != nil {
			return err
		}
	}
	return nil
}

func completeTurns(what string, turns []alibabaTurn) error {
	last := turns[len(turns)-1]
	ended := false
	here, of := 0, 0
	for _, t := range turns {
		switch {
		case t.number == 0 || t.size == 0 || t.total == 0:
			ended = ended || !t.more
			continue
		case t.more && t.count >= t.size:
			// The number of all objects does not hold where pages go by token.
			continue
		}
		// The page is one of so many; objects may come and go meanwhile.
		pages := (t.total + t.size - 1) / t.size
		seen := make(map[int]bool)
		for _, o := range turns {
			if o.size == t.size && 0 < o.number && o.number <= pages {
				seen[o.number] = true
			}
		}
		if len(seen) < pages {
			here, of = len(seen), pages
		}
		ended = true // or the check above says what is missing
	}
	switch {
	case of > 0:
		return last.pos.errorf("%s: truncated export: %d of %d pages are here; fetch all pages", what, here, of)
	case !ended:
		return last.pos.errorf("%s: truncated export: NextToken left; fetch all pages", what)
	}
	return nil
}
