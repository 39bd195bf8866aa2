package cloud

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

func (r *textReader) subnet(w *words) error {
	id, err := w.id("subnet id")
	if err == nil {
		err = r.once("subnet", id)
	}
	if err != nil {
		return err
	}
	s := policy.Subnet{ID: id}
	err = options(w, map[string]*string{"vpc": &s.VPC}, nil, prefixes(&s.Blocks))
	s.Blocks = sortPrefixes(s.Blocks)
	r.s.Subnets = append(r.s.Subnets, s)
	return err
}

// prefixes takes words that are CIDRs.
func prefixes(to *[]netip.Prefix) func(token) error {
	return func(t token) error {
		p, err := parsePrefix(t.text)
		*to = append(*to, p)
		return err
	}
}

func (r *textReader) list(w *words) error {
	id, err := w.id("list id")
	if err == nil {
		err = r.once("list", id)
	}
	if err != nil {
		return err
	}
	l := policy.PrefixList{ID: id}
	var most string
	var unknown bool
	err = options(w, map[string]*string{"name": &l.Name, "max": &most}, map[string]*bool{"provider": &l.Provider, "unknown": &unknown},
		prefixes(&l.Entries))
	if err != nil {
		return err
	}
	if most != "" {
		n, err := strconv.ParseUint(most, 10, 31)
		if err != nil {
			return fmt.Errorf("max: %q is not a number of entries", most)
		}
		l.MaxEntries = int(n)
	}
	if l.Known = !unknown; unknown && len(l.Entries) > 0 {
		return fmt.Errorf("list %s: unknown, yet it has entries", id)
	}
	l.Entries = sortPrefixes(l.Entries)
	r.s.Lists = append(r.s.Lists, l)
	return nil
}

func (r *textReader) flowLog(w *words) error {
	id, err := w.id("flow log id")
	if err == nil {
		err = r.once("flowlog", id)
	}
	if err != nil {
		return err
	}
	l := policy.FlowLog{ID: id}
	if l.Resource, err = w.id("interface, subnet or VPC"); err != nil {
		return err
	}
	switch t, _ := w.next(); t.text {
	case "ALL", "ACCEPT", "REJECT":
		l.Traffic = t.text
	default:
		return fmt.Errorf("traffic %q is none of ALL, ACCEPT, REJECT", t.text)
	}
	var created, paths, interval string
	err = options(w, map[string]*string{"format": &l.Format, "failed": &l.Failed, "created": &created, "paths": &paths, "interval": &interval},
		map[string]*bool{"ipv4-only": &l.IPv4Only, "inactive": &l.Inactive}, nil)
	if err == nil && created != "" {
		l.Created, err = parseTime("created", created)
	}
	l.Paths = sortStrings(splitWords(paths))
	if err == nil && interval != "" {
		if l.Interval, err = time.ParseDuration(interval); err != nil || l.Interval <= 0 {
			err = fmt.Errorf("interval: %q is not a time like 10m", interval)
		}
	}
	r.s.FlowLogs = append(r.s.FlowLogs, l)
	return err
}

// splitWords splits a list at its commas and drops what is empty.
func splitWords(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ',' })
}
