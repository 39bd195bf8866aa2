package cloud

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// ParseText reads a policy in the language of the package's documentation. Errors
// start with name:line. The snapshot is sealed.
func ParseText(name string, text []byte) (*policy.Snapshot, error) {
	s := new(policy.Snapshot)
	if err := readText([]*file{{path: name, data: text}}, s); err != nil {
		return nil, err
	}
	if err := finish(s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// statements are the words that lines start with; rules of groups and ACLs are
// indented and start with their id.
var statements = map[string]func(*textReader, *words) error{
	"interface": (*textReader).networkInterface,
	"group":     (*textReader).group,
	"acl":       (*textReader).acl,
	"subnet":    (*textReader).subnet,
	"list":      (*textReader).list,
	"flowlog":   (*textReader).flowLog,
	"missing":   (*textReader).missing,
	"platform":  (*textReader).platform,
	"taken":     (*textReader).taken,
}

// claimsText recognises a text whose first line with words starts with a statement.
func claimsText(f *file) (bool, error) {
	if f.isJSON {
		return false, nil
	}
	for line := range strings.Lines(string(f.data)) {
		t, err := tokens(strings.TrimRight(line, "\n"))
		if len(t) == 0 && err == nil {
			continue
		}
		if err != nil || statements[t[0].text] == nil || t[0].quoted || t[0].key != "" {
			return false, nil
		}
		f.kinds = []string{"policy"}
		return true, nil
	}
	return false, nil
}

// textReader adds texts to a snapshot.
type textReader struct {
	s    *policy.Snapshot
	seen map[string]position // "group sg-1" → where it stands
	at   position
	// rules adds a rule to the group or ACL under which indented lines stand; nil
	// elsewhere.
	rules       func(*words) error
	platformSet bool
}

func readText(files []*file, s *policy.Snapshot) error {
	r := &textReader{s: s, seen: make(map[string]position)}
	for _, f := range files {
		r.rules = nil
		offset := 0
		for line := range strings.Lines(string(f.data)) {
			r.at = position{f, offset}
			offset += len(line)
			if err := r.line(strings.TrimRight(line, "\n")); err != nil {
				return r.at.errorf("%w", err)
			}
		}
	}
	if !r.platformSet {
		s.Platforms = append(s.Platforms, awsPlatform)
	}
	return nil
}

func (r *textReader) line(line string) error {
	ts, err := tokens(line)
	if err != nil || len(ts) == 0 {
		return err
	}
	w := &words{ts}
	if line[0] == ' ' || line[0] == '\t' {
		if r.rules == nil {
			return fmt.Errorf("an indented line must be a rule of a group or acl, or a stage of an interface")
		}
		err = r.rules(w)
	} else {
		t, _ := w.next()
		read := statements[t.text]
		if read == nil || t.quoted || t.key != "" {
			return fmt.Errorf("%q starts no statement; rules are indented", t.text)
		}
		r.rules = nil
		err = read(r, w)
	}
	if t, left := w.next(); err == nil && left {
		return unexpected(t)
	}
	return err
}

func unexpected(t token) error {
	if t.key != "" {
		return fmt.Errorf("unexpected %s=%s", t.key, word(t.text))
	}
	return fmt.Errorf("unexpected %q", t.text)
}

// once fails if id of kind was there before.
func (r *textReader) once(kind, id string) error {
	key := kind + " " + id
	if old, ok := r.seen[key]; ok {
		return fmt.Errorf("%s occurs twice, first at %s", key, old)
	}
	r.seen[key] = r.at
	return nil
}

// options reads the rest of a line: key=value words into values, flags into flags.
// other takes every other word; nil refuses them.
func options(w *words, values map[string]*string, flags map[string]*bool, other func(token) error) error {
	for {
		t, ok := w.next()
		if !ok {
			return nil
		}
		switch {
		case t.key != "":
			v := values[t.key]
			if v == nil {
				return unexpected(t)
			}
			*v = t.text
		case !t.quoted && flags[t.text] != nil:
			*flags[t.text] = true
		case other != nil:
			if err := other(t); err != nil {
				return err
			}
		default:
			return unexpected(t)
		}
	}
}

func (r *textReader) networkInterface(w *words) error {
	id, err := w.id("interface id")
	if err == nil {
		err = r.once("interface", id)
	}
	if err != nil {
		return err
	}
	f := policy.Interface{ID: id}
	var attached, role string
	var rest []token
	for _, t := range w.rest { // prefix= may be repeated
		if t.key != "prefix" {
			rest = append(rest, t)
			continue
		}
		p, err := parsePrefix(t.text)
		if err != nil {
			return err
		}
		f.Prefixes = append(f.Prefixes, p)
	}
	w.rest = rest
	err = options(w, map[string]*string{"name": &f.Name, "vpc": &f.VPC, "subnet": &f.Subnet, "account": &f.Account,
		"instance": &f.Instance, "kind": &f.Kind, "attached": &attached, "role": &role, "platform": &f.Platform},
		map[string]*bool{"requester-managed": &f.RequesterManaged, "transit": &f.Transit, "ingress-open": &f.IngressOpen, "no-acl": &f.NoACL},
		func(t token) error {
			if a, err := parseAddr(t.text); err == nil && !t.quoted {
				f.Addresses = append(f.Addresses, a)
			} else if t.text != "" {
				f.Groups = append(f.Groups, t.text)
			}
			return nil
		})
	if err != nil {
		return err
	}
	f.Role = roles[f.Kind]
	if role != "" {
		n := slices.Index(roleNames, role)
		if n < 0 {
			return fmt.Errorf("role %q is none of %s", role, strings.Join(roleNames, ", "))
		}
		f.Role = policy.Role(n)
	}
	if attached != "" {
		if f.Attached, err = parseTime("attached", attached); err != nil {
			return err
		}
	}
	f.Addresses, f.Prefixes, f.Groups = sortAddresses(f.Addresses), sortPrefixes(f.Prefixes), sortStrings(f.Groups)
	r.s.Interfaces = append(r.s.Interfaces, f)
	i := len(r.s.Interfaces) - 1
	r.rules = func(w *words) error { return readStage(w, &r.s.Interfaces[i]) }
	return nil
}

// roleNames are the words for roles, by their values.
var roleNames = []string{"host", "nat", "network-balancer", "gateway-balancer", "gateway-endpoint", "service-endpoint", "connect-endpoint", "transit-gateway", "fabric"}

// readStage reads: stage NAME ACTION/ACTION [first] TIER…, a tier being group ids
// joined by commas, or "none"; the actions are the defaults of ingress and egress.
func readStage(w *words, f *policy.Interface) error {
	if t, _ := w.next(); !t.is("stage") {
		return fmt.Errorf("%q where a stage of interface %s should be", t.text, f.ID)
	}
	var st policy.StageSpec
	var err error
	if st.Name, err = w.id("name of the stage"); err != nil {
		return err
	}
	t, _ := w.next()
	in, out, _ := strings.Cut(t.text, "/")
	for d, word := range [2]string{in, out} {
		switch word {
		case "allow":
			st.Defaults[d] = policy.Allow
		case "deny":
		default:
			return fmt.Errorf("stage %s: %q is no pair of defaults like deny/allow", st.Name, t.text)
		}
	}
	for {
		t, ok := w.next()
		switch {
		case !ok:
			f.Stages = append(f.Stages, st)
			return nil
		case t.is("first") && len(st.Tiers) == 0:
			st.First = true
		case t.is("none"):
			st.Tiers = append(st.Tiers, nil)
		case t.key != "" || t.text == "":
			return unexpected(t)
		default:
			st.Tiers = append(st.Tiers, strings.Split(t.text, ","))
		}
	}
}

func (r *textReader) group(w *words) error {
	id, err := w.id("group id")
	if err == nil {
		err = r.once("group", id)
	}
	if err != nil {
		return err
	}
	g := policy.Group{ID: id}
	err = options(w, map[string]*string{"name": &g.Name, "vpc": &g.VPC, "account": &g.Account, "description": &g.Description, "kind": &g.Kind},
		map[string]*bool{"default": &g.Default, "managed": &g.Managed, "unnamed": &g.Unnamed, "egress-open": &g.EgressOpen, "intra": &g.Intra}, nil)
	if err != nil {
		return err
	}
	r.s.Groups = append(r.s.Groups, g)
	i := len(r.s.Groups) - 1
	r.rules = func(w *words) error {
		rule, err := parseRule(w)
		if err == nil {
			err = r.once("rule", id+"/"+rule.Ref.Rule)
		}
		g := &r.s.Groups[i]
		rule.Ref.Owner = id
		rule.Editable = rule.Editable && !g.Managed
		r.at.mark(&rule)
		g.Rules = append(g.Rules, rule)
		return err
	}
	return nil
}

func (r *textReader) acl(w *words) error {
	id, err := w.id("acl id")
	if err == nil {
		err = r.once("acl", id)
	}
	if err != nil {
		return err
	}
	a := policy.ACL{ID: id}
	var rest []token
	for _, t := range w.rest { // subnet= may be repeated
		switch t.key {
		case "subnet":
			a.Subnets = append(a.Subnets, t.text)
		case "subnets":
			a.Subnets = append(a.Subnets, strings.Split(t.text, ",")...)
		default:
			rest = append(rest, t)
		}
	}
	w.rest = rest
	if err := options(w, map[string]*string{"vpc": &a.VPC}, map[string]*bool{"default": &a.Default}, nil); err != nil {
		return err
	}
	a.Subnets = sortStrings(a.Subnets)
	for _, s := range a.Subnets {
		if err := r.once("acl of subnet", s); err != nil {
			return err
		}
	}
	r.s.ACLs = append(r.s.ACLs, a)
	i := len(r.s.ACLs) - 1
	r.rules = func(w *words) error {
		rule, err := parseRule(w)
		if err == nil {
			err = r.once("rule", id+"/"+rule.Ref.Rule)
		}
		rule.Ref.Owner = id
		r.at.mark(&rule)
		r.s.ACLs[i].Rules = append(r.s.ACLs[i].Rules, rule)
		return err
	}
	return nil
}

func (r *textReader) missing(w *words) error {
	what, err := w.id("name of what is missing")
	if err != nil {
		return err
	}
	t, _ := w.next()
	if t.key != "" {
		return unexpected(t)
	}
	r.s.Missing = append(r.s.Missing, policy.Missing{What: what, Effect: t.text})
	return nil
}

func (r *textReader) platform(w *words) error {
	r.platformSet = true
	var p policy.Platform
	if len(w.rest) == 0 {
		return fmt.Errorf("platform: no CIDR")
	}
	exempt := prefixes(&p.Exempt)
	if w.peek().is("none") {
		w.next()
		exempt = nil
	}
	var quota, ranks string
	var rest []token
	for _, t := range w.rest { // these may be repeated
		to := map[string]*[]netip.Prefix{"acl-exempt": &p.ACLExempt, "admitted": &p.Admitted}[t.key]
		if to == nil {
			rest = append(rest, t)
			continue
		}
		x, err := parsePrefix(t.text)
		if err != nil {
			return err
		}
		*to = append(*to, x)
	}
	w.rest = rest
	err := options(w, map[string]*string{"id": &p.ID, "quota": &quota, "ranks": &ranks}, map[string]*bool{"open-untracked": &p.OpenUntracked, "groups-deny": &p.GroupsDeny, "acl-optional": &p.ACLOptional, "no-self-peer": &p.NoSelfPeer}, exempt)
	if err == nil && quota != "" {
		n, e := strconv.ParseUint(quota, 10, 31)
		if e != nil {
			return fmt.Errorf("quota: %q is not a number of rules", quota)
		}
		p.Quota = int(n)
	}
	if err == nil && ranks != "" {
		p.RankMin, p.RankMax, err = parseRanks(ranks)
	}
	if err == nil {
		err = r.once("platform", p.ID)
	}
	p.Exempt, p.ACLExempt, p.Admitted = sortPrefixes(p.Exempt), sortPrefixes(p.ACLExempt), sortPrefixes(p.Admitted)
	r.s.Platforms = append(r.s.Platforms, p)
	return err
}

// parseRanks reads "1-100".
func parseRanks(text string) (first, last uint32, err error) {
	lo, hi, _ := strings.Cut(text, "-")
	a, errA := strconv.ParseUint(lo, 10, 32)
	b, errB := strconv.ParseUint(hi, 10, 32)
	if errA != nil || errB != nil || a >= b {
		return 0, 0, fmt.Errorf("ranks: %q is not two numbers, the lower first: 1-100", text)
	}
	return uint32(a), uint32(b), nil
}

func (r *textReader) taken(w *words) error {
	text, err := w.id("time")
	if err == nil {
		r.s.Taken, err = parseTime("taken", text)
	}
	return err
}
