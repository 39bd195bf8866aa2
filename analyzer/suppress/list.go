package suppress

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/analyzer/yamlfile"
)

// Entry is one accepted risk: what it is about, and who accepted it for how long. What it
// does not name, it does not ask for; it names a finding or a check at least.
type Entry struct {
	File string
	Line int // where it begins

	ID      string // of one finding
	Check   string
	Account string
	VPC     string
	Group   string // id or name of a group, or id of a network ACL; * stands for any text
	Rule    string // id of a rule in its group, or GROUP/RULE; * stands for any text
	CIDR    netip.Prefix

	Reason, Owner, Ticket string
	Created               time.Time // zero: not said
	Expires               time.Time // the last moment at which it holds; zero: it holds forever
}

// Options are what a list is held to.
type Options struct {
	Checks         []string // the checks that there are
	AllowPermanent bool     // entries need no day on which they expire
}

// file is a list as it is written.
type file struct {
	Version int                    `yaml:"version"`
	Ignore  []yamlfile.Node[entry] `yaml:"ignore"`
}

type entry struct {
	ID      string `yaml:"id"`
	Check   string `yaml:"check"`
	Account string `yaml:"account"`
	Region  string `yaml:"region"`
	VPC     string `yaml:"vpc"`
	Group   string `yaml:"group"`
	Rule    string `yaml:"rule"`
	CIDR    string `yaml:"cidr"`
	Reason  string `yaml:"reason"`
	Owner   string `yaml:"owner"`
	Ticket  string `yaml:"ticket"`
	Created string `yaml:"created"`
	Expires string `yaml:"expires"`
}

// Parse reads data, the content of the file that name names. Errors name file, line and
// key, and are of type [*yamlfile.Error].
func Parse(name string, data []byte, o Options) ([]Entry, error) {
	var f file
	if err := yamlfile.Decode(name, data, &f); err != nil {
		return nil, err
	}
	if f.Version != 1 {
		return nil, &yamlfile.Error{File: name, Message: fmt.Sprintf("version: %d is not known; write version: 1", f.Version)}
	}
	out := make([]Entry, 0, len(f.Ignore))
	places := make(map[string]int)
	for i := range f.Ignore {
		n := &f.Ignore[i]
		e, err := n.Value.read(o)
		if err == nil {
			if line, twice := places[e.Key()]; twice {
				err = fmt.Errorf("the entry on line %d is about the same; one of them can go", line)
			}
			places[e.Key()] = n.Line
		}
		if err != nil {
			return nil, &yamlfile.Error{File: name, Line: n.Line, Message: err.Error()}
		}
		e.File, e.Line = name, n.Line
		out = append(out, e)
	}
	return out, nil
}

func (x *entry) read(o Options) (Entry, error) {
	e := Entry{ID: strings.ToLower(x.ID), Check: x.Check, Account: x.Account, VPC: x.VPC, Group: x.Group, Rule: x.Rule,
		Reason: strings.TrimSpace(x.Reason), Owner: x.Owner, Ticket: x.Ticket}
	switch {
	case x.ID == "" && x.Check == "":
		return e, fmt.Errorf("id, check: neither is there; name the id of a finding, or a check and what it is about")
	case x.Check != "" && !slices.Contains(o.Checks, x.Check):
		return e, fmt.Errorf("check: %q is no check; sgadvise checks lists them", x.Check)
	case x.Region != "":
		return e, fmt.Errorf("region: exports do not say the region of a group; name the account, the VPC or the group")
	case e.Reason == "":
		return e, fmt.Errorf("reason: not there; say why the risk is accepted")
	case x.Expires == "" && !o.AllowPermanent:
		return e, fmt.Errorf("expires: not there; name the last day on which the risk is accepted (or run with --allow-permanent)")
	}
	var err error
	if x.CIDR != "" {
		if e.CIDR, err = netip.ParsePrefix(x.CIDR); err != nil || e.CIDR != e.CIDR.Masked() {
			return e, fmt.Errorf("cidr: %q is no block of addresses such as 10.0.0.0/8", x.CIDR)
		}
	}
	if e.Created, err = moment(x.Created, false); err != nil {
		return e, fmt.Errorf("created: %w", err)
	}
	if e.Expires, err = moment(x.Expires, true); err != nil {
		return e, fmt.Errorf("expires: %w", err)
	}
	if !e.Expires.IsZero() && e.Expires.Before(e.Created) {
		return e, fmt.Errorf("expires: %s is before created: %s", x.Expires, x.Created)
	}
	return e, nil
}

// moment reads a day or a time in UTC; "" is the zero time. A day ends with its last
// second.
func moment(s string, end bool) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		if end {
			t = t.Add(24*time.Hour - time.Second)
		}
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a date (2006-01-02) nor a time (2006-01-02T15:04:05Z)", s)
	}
	return t.UTC(), nil
}

// Key names what e is about, not why or how long: it is the same while an entry is
// prolonged, and different for two entries of one list.
func (e *Entry) Key() string {
	cidr := ""
	if e.CIDR.IsValid() {
		cidr = e.CIDR.String()
	}
	h := sha256.Sum256([]byte(strings.Join([]string{e.ID, e.Check, e.Account, e.VPC, e.Group, e.Rule, cidr}, "\x00")))
	return hex.EncodeToString(h[:6])
}

// Expired reports whether e does not hold any more at now. A zero now is before
// everything.
func (e *Entry) Expired(now time.Time) bool {
	// A last second holds until the next one begins.
	return !e.Expires.IsZero() && now.Truncate(time.Second).After(e.Expires)
}

// Scope says in words what e is about, besides its check.
func (e *Entry) Scope() string {
	var parts []string
	add := func(name, v string) {
		if v != "" {
			parts = append(parts, name+" "+v)
		}
	}
	add("id", e.ID)
	add("account", e.Account)
	add("vpc", e.VPC)
	add("group", e.Group)
	add("rule", e.Rule)
	if e.CIDR.IsValid() {
		add("cidr", e.CIDR.String())
	}
	return cmp.Or(strings.Join(parts, ", "), "everywhere")
}

// Subject is what a finding is about, as far as entries can name it.
type Subject struct {
	ID, Check    string
	Account, VPC string
	Group, Name  string         // of the owner of the rule, or of the group itself
	Rule         string         // empty: a whole group
	Peers        []netip.Prefix // of the rule
	PeersWhole   bool           // Peers is all that the rule names
}

// Covers reports whether e is about s: all that e names has to agree. A CIDR agrees with a
// rule all of whose peers are addresses inside.
func (e *Entry) Covers(s *Subject) bool {
	return (e.ID == "" || e.ID == s.ID) &&
		(e.Check == "" || e.Check == s.Check) &&
		(e.Account == "" || e.Account == s.Account) &&
		(e.VPC == "" || e.VPC == s.VPC) &&
		(e.Group == "" || like(e.Group, s.Group) || s.Name != "" && like(e.Group, s.Name)) &&
		(e.Rule == "" || s.Rule != "" && (like(e.Rule, s.Rule) || like(e.Rule, s.Group+"/"+s.Rule))) &&
		(!e.CIDR.IsValid() || e.holds(s))
}

func (e *Entry) holds(s *Subject) bool {
	if !s.PeersWhole || len(s.Peers) == 0 {
		return false
	}
	for _, p := range s.Peers {
		if p.Bits() < e.CIDR.Bits() || !e.CIDR.Contains(p.Addr()) {
			return false
		}
	}
	return true
}

// like reports whether s is pattern, in which * stands for any text. It takes time in the
// order of the lengths multiplied.
func like(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s, rest = s[at+len(part):], more
	}
}
