package cloud

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// parseRule reads a rule; its owner is for the caller to set.
func parseRule(w *words) (policy.Rule, error) {
	r := policy.Rule{Action: policy.Allow, Editable: true}
	first, _ := w.next()
	if first.key != "" || first.text == "" {
		return r, fmt.Errorf("no rule id")
	}
	number, err := strconv.ParseUint(first.text, 10, 32)
	numbered := err == nil && !first.quoted
	r.Ref.Rule = first.text

	switch t, _ := w.next(); {
	case t.is("ingress"):
		r.Direction = flow.Ingress
	case t.is("egress"):
		r.Direction = flow.Egress
	default:
		return r, fmt.Errorf("rule %s: %q is neither ingress nor egress", first.text, t.text)
	}
	for _, a := range []policy.Action{policy.Deny, policy.Allow, policy.Next, policy.AllowAll} {
		if w.peek().is(a.String()) {
			r.Action = a
			w.next()
			break
		}
	}
	for {
		m, err := parseBox(w, r.Direction)
		if err != nil {
			return r, err
		}
		r.Match = append(r.Match, m)
		if !w.peek().is("or") {
			break
		}
		w.next()
	}
	var priority, created string
	readonly := false
	err = options(w, map[string]*string{"priority": &priority, "created": &created, "address": &r.Address, "ports-of": &r.PortList},
		map[string]*bool{"readonly": &readonly, "implicit": &r.Implicit},
		func(t token) error {
			if !t.quoted || r.Description != "" {
				return unexpected(t)
			}
			r.Description = t.text
			return nil
		})
	if err != nil {
		return r, err
	}
	r.Editable = !readonly && !r.Implicit
	if created != "" {
		if r.Created, err = parseTime("created", created); err != nil {
			return r, err
		}
	}
	if numbered {
		r.Rank, r.Ref.Rule = uint32(number), lineID(&r, number)
		if priority != "" {
			return r, fmt.Errorf("rule %s: the number of a line is its priority", first.text)
		}
	}
	if priority != "" {
		n, err := strconv.ParseUint(priority, 10, 32)
		if err != nil {
			return r, fmt.Errorf("priority: %q is not a number", priority)
		}
		r.Rank = uint32(n)
	}
	return r, nil
}

// lineID is the id of the ACL line with this number.
func lineID(r *policy.Rule, number uint64) string {
	id := r.Direction.String() + "-" + strconv.FormatUint(number, 10)
	v6 := func(p netip.Prefix) bool { return p.Addr().Is6() }
	for i := range r.Match {
		p := r.Match[i].Remote.Prefixes
		if len(p) == 0 || !v6(p[0]) { // prefixes are in order, IPv4 first
			return id
		}
	}
	return id + "-ipv6"
}

// parseBox reads: PROTOCOLS [PORTS] [type N [code M]] from|to PEER… [at PEER…] [peer-ports=PORTS].
func parseBox(w *words, d flow.Direction) (policy.Match, error) {
	m := policy.NewMatch(d, policy.ProtoSet{}, netset.AllPorts, policy.AnyICMP, policy.AddrSet{})
	t, _ := w.next()
	if t.quoted || t.key != "" || t.text == "" {
		return m, fmt.Errorf("no protocol")
	}
	if t.text == "all" {
		m.Protos = policy.AnyProto
	} else {
		for name := range strings.SplitSeq(t.text, "+") {
			p, ok := flow.ParseProto(name)
			if !ok {
				return m, fmt.Errorf("protocol %q is neither a name nor in 0-255", name)
			}
			one := policy.OneProto(p)
			for i := range m.Protos {
				m.Protos[i] |= one[i]
			}
		}
	}
	var err error
	service := netset.AllPorts
	if t := w.peek(); t.is("all") || t.key == "" && !t.quoted && t.text != "" && '0' <= t.text[0] && t.text[0] <= '9' {
		w.next()
		if service, err = netset.ParsePorts(t.text); err != nil {
			return m, err
		}
		if service != netset.AllPorts && !m.Protos.Has(flow.TCP) && !m.Protos.Has(flow.UDP) {
			return m, fmt.Errorf("ports %s: only tcp and udp have ports", t.text)
		}
	}
	if w.peek().is("type") {
		if !m.Protos.Has(flow.ICMP) && !m.Protos.Has(flow.ICMPv6) {
			return m, fmt.Errorf("type: only icmp and icmpv6 have types")
		}
		w.next()
		if m.ICMP.Type, err = parseByte(w, "type"); err != nil {
			return m, err
		}
		if w.peek().is("code") {
			w.next()
			if m.ICMP.Code, err = parseByte(w, "code"); err != nil {
				return m, err
			}
		}
	}
	want := "from"
	if d == flow.Egress {
		want = "to"
	}
	if t, _ := w.next(); !t.is(want) {
		return m, fmt.Errorf("%q where %q should be: %s rules say %s", t.text, want, d, want)
	}
	if m.Remote, err = parsePeers(w, want); err != nil {
		return m, err
	}
	if w.peek().is("at") {
		w.next()
		if m.Local, err = parsePeers(w, "at"); err != nil {
			return m, err
		}
	}
	other := netset.AllPorts
	if t := w.peek(); t.key == "peer-ports" {
		w.next()
		if other, err = netset.ParsePorts(t.text); err != nil {
			return m, err
		}
	}
	if m.LocalPorts, m.RemotePorts = service, other; d == flow.Egress {
		m.LocalPorts, m.RemotePorts = other, service
	}
	return m, nil
}

func parseByte(w *words, what string) (int16, error) {
	t, _ := w.next()
	n, err := strconv.ParseUint(t.text, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not in 0-255", what, t.text)
	}
	return int16(n), nil
}

// parsePeers reads the words that name addresses, up to one that does not.
func parsePeers(w *words, after string) (policy.AddrSet, error) {
	var s policy.AddrSet
	some := false
	for {
		t := w.peek()
		switch {
		case t.is("any"):
			s.Prefixes = append(s.Prefixes, policy.AnyAddr.Prefixes...)
		case t.is("none"):
		case t.is("unknown"):
			s.Unknown = true
		case t.key == "group" && t.text != "", t.key == "" && !t.quoted && strings.HasPrefix(t.text, "sg-"):
			s.Refs = append(s.Refs, policy.SetRef{Kind: policy.GroupSet, ID: t.text})
		case t.key == "list" && t.text != "", t.key == "" && !t.quoted && strings.HasPrefix(t.text, "pl-"):
			s.Refs = append(s.Refs, policy.SetRef{Kind: policy.ListSet, ID: t.text})
		case t.key == "foreign" || t.key == "peer-vpc" || t.key == "dead":
			if len(s.Refs) == 0 {
				return s, fmt.Errorf("%s= belongs after a group or list", t.key)
			}
			ref := &s.Refs[len(s.Refs)-1]
			switch t.key {
			case "foreign":
				ref.Account = t.text
			case "peer-vpc":
				ref.VPC = t.text
			case "dead":
				ref.Dead = t.text
			}
		case t.key == "" && !t.quoted && t.text != "" && !keywords[t.text]:
			p, err := parsePrefix(t.text)
			if err != nil {
				return s, fmt.Errorf("peer %q is no CIDR, group or list", t.text)
			}
			s.Prefixes = append(s.Prefixes, p)
		default:
			if !some {
				return s, fmt.Errorf("nothing after %s", after)
			}
			s.Prefixes = sortPrefixes(s.Prefixes)
			return s, nil
		}
		some = true
		w.next()
	}
}

// formatRule writes r as parseRule reads it. own says whether the flag readonly is
// implied by the owner.
func formatRule(b *strings.Builder, r *policy.Rule, implied bool) {
	b.WriteString("  ")
	short := strconv.FormatUint(uint64(r.Rank), 10)
	if r.Ref.Rule == lineID(r, uint64(r.Rank)) {
		b.WriteString(short)
	} else {
		b.WriteString(word(r.Ref.Rule))
	}
	fmt.Fprintf(b, " %s", r.Direction)
	if r.Action != policy.Allow || r.Ref.Rule == lineID(r, uint64(r.Rank)) {
		fmt.Fprintf(b, " %s", r.Action)
	}
	for i := range r.Match {
		if i > 0 {
			b.WriteString(" or")
		}
		formatBox(b, &r.Match[i], r.Direction)
	}
	if r.Rank != 0 && r.Ref.Rule != lineID(r, uint64(r.Rank)) {
		b.WriteString(" priority=" + short)
	}
	if !r.Created.IsZero() {
		b.WriteString(" created=" + formatTime(r.Created))
	}
	option(b, "address", r.Address)
	option(b, "ports-of", r.PortList)
	if !r.Editable && !implied && !r.Implicit {
		b.WriteString(" readonly")
	}
	if r.Implicit {
		b.WriteString(" implicit")
	}
	if r.Description != "" {
		b.WriteString(" " + strconv.Quote(r.Description))
	}
	b.WriteByte('\n')
}

func formatBox(b *strings.Builder, m *policy.Match, d flow.Direction) {
	b.WriteByte(' ')
	if m.Protos == policy.AnyProto {
		b.WriteString("all")
	} else {
		sep := ""
		for p := range 256 {
			if m.Protos.Has(flow.Proto(p)) {
				b.WriteString(sep + flow.Proto(p).Name())
				sep = "+"
			}
		}
	}
	service, other := m.ServicePorts(d), m.RemotePorts
	if d == flow.Egress {
		other = m.LocalPorts
	}
	if service != netset.AllPorts {
		b.WriteString(" " + service.String())
	}
	if m.ICMP != policy.AnyICMP {
		b.WriteString(" " + m.ICMP.String())
	}
	if d == flow.Egress {
		b.WriteString(" to")
	} else {
		b.WriteString(" from")
	}
	formatPeers(b, &m.Remote)
	if !isAny(&m.Local) {
		b.WriteString(" at")
		formatPeers(b, &m.Local)
	}
	if other != netset.AllPorts {
		b.WriteString(" peer-ports=" + other.String())
	}
}

// isAny reports whether s is AnyAddr.
func isAny(s *policy.AddrSet) bool {
	return !s.Unknown && len(s.Refs) == 0 && slices.Equal(s.Prefixes, policy.AnyAddr.Prefixes)
}

func formatPeers(b *strings.Builder, s *policy.AddrSet) {
	switch {
	case isAny(s):
		b.WriteString(" any")
		return
	case len(s.Prefixes) == 0 && len(s.Refs) == 0 && !s.Unknown:
		b.WriteString(" none")
	}
	for _, p := range s.Prefixes {
		b.WriteString(" " + p.String())
	}
	if s.Unknown {
		b.WriteString(" unknown")
	}
	for _, r := range s.Refs {
		key, prefix := "group=", "sg-"
		if r.Kind == policy.ListSet {
			key, prefix = "list=", "pl-"
		}
		if bare(r.ID) && strings.HasPrefix(r.ID, prefix) {
			key = ""
		}
		b.WriteString(" " + key + word(r.ID))
		for _, o := range []struct{ key, text string }{{"foreign", r.Account}, {"peer-vpc", r.VPC}, {"dead", r.Dead}} {
			if o.text != "" {
				b.WriteString(" " + o.key + "=" + word(o.text))
			}
		}
	}
}
