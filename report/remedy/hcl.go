package remedy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
)

// hclString writes s as a string of HCL, in which nothing is a template.
func hclString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	rest := []rune(s)
	for i, c := range rest {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case (c == '$' || c == '%') && i+1 < len(rest) && rest[i+1] == '{':
			b.WriteRune(c)
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == 0: // no string of HCL holds it
			b.WriteByte(' ')
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, c)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.String() + `"`
}

// block is a block of HCL whose arguments are written in line with one another.
type block struct {
	head  string
	names []string
	vals  []string
	inner string // blocks inside, indented by two
}

func (b *block) set(name, value string) {
	b.names, b.vals = append(b.names, name), append(b.vals, value)
}

func (b *block) text(name, value string) { b.set(name, hclString(value)) }

func (b *block) String() string {
	width := 0
	for _, n := range b.names {
		width = max(width, len(n))
	}
	var out strings.Builder
	out.WriteString(b.head + " {\n")
	for i, n := range b.names {
		fmt.Fprintf(&out, "  %-*s = %s\n", width, n, b.vals[i])
	}
	if b.inner != "" {
		if len(b.names) > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(b.inner)
	}
	return out.String() + "}\n"
}

// The types of resources that are one rule, or a few.
const (
	awsIngress    = "aws_vpc_security_group_ingress_rule"
	awsEgress     = "aws_vpc_security_group_egress_rule"
	awsOldRule    = "aws_security_group_rule"
	awsACLRule    = "aws_network_acl_rule"
	alicloudRule  = "alicloud_security_group_rule"
	awsGroup      = "aws_security_group"
	awsDefaultOne = "aws_default_security_group"
)

// address is the address of a resource without keys: the only one that a block can name.
var address = regexp.MustCompile(`^((?:module\.[A-Za-z_][0-9A-Za-z_-]*\.)*)([a-z0-9]+_[a-z0-9_]+)\.[A-Za-z_][0-9A-Za-z_-]*$`)

// typeOf returns the type of the resource at addr, and whether addr has keys.
func typeOf(addr string) (typ string, keyed bool) {
	plain := keys.ReplaceAllString(addr, "")
	if m := address.FindStringSubmatch(plain); m != nil {
		typ = m[2]
	}
	return typ, plain != addr
}

var keys = regexp.MustCompile(`\[[^\]]*\]`)

// resourceName is a name for the resource of r, the same whenever r is the same.
func resourceName(prefix string, r *policy.Rule) string {
	sum := sha256.Sum256([]byte(r.Ref.Owner + " " + cloud.RuleDigest(r)))
	return prefix + hex.EncodeToString(sum[:6])
}

// resource writes r as a resource of type typ.
func resource(typ, name string, r *policy.Rule) string {
	b := &block{head: fmt.Sprintf("resource %q %q", typ, name)}
	switch typ {
	case alicloudRule:
		alicloudArgs(b, r)
	case awsOldRule:
		awsOldArgs(b, r)
	default:
		awsNewArgs(b, r)
	}
	if r.Description != "" {
		b.text("description", r.Description)
	}
	b.inner = "  lifecycle {\n    create_before_destroy = true\n  }\n"
	return b.String()
}

func awsNewArgs(b *block, r *policy.Rule) {
	m := &r.Match[0]
	b.text("security_group_id", r.Ref.Owner)
	b.text("ip_protocol", awsProtocol(m))
	if from, to, ok := awsPorts(m, r.Direction); ok {
		b.set("from_port", strconv.Itoa(from))
		b.set("to_port", strconv.Itoa(to))
	}
	for _, p := range m.Remote.Prefixes {
		if p.Addr().Is4() {
			b.text("cidr_ipv4", p.String())
		} else {
			b.text("cidr_ipv6", p.String())
		}
	}
	for _, s := range m.Remote.Refs {
		switch {
		case s.Kind == policy.ListSet:
			b.text("prefix_list_id", s.ID)
		case s.Account != "":
			b.text("referenced_security_group_id", s.Account+"/"+s.ID)
		default:
			b.text("referenced_security_group_id", s.ID)
		}
	}
}

func awsOldArgs(b *block, r *policy.Rule) {
	m := &r.Match[0]
	b.text("security_group_id", r.Ref.Owner)
	b.text("type", r.Direction.String())
	b.text("protocol", awsProtocol(m))
	from, to, ok := awsPorts(m, r.Direction)
	if !ok {
		from, to = 0, 0 // the resource wants them
	}
	b.set("from_port", strconv.Itoa(from))
	b.set("to_port", strconv.Itoa(to))
	for _, p := range m.Remote.Prefixes {
		if p.Addr().Is4() {
			b.set("cidr_blocks", "["+hclString(p.String())+"]")
		} else {
			b.set("ipv6_cidr_blocks", "["+hclString(p.String())+"]")
		}
	}
	for _, s := range m.Remote.Refs {
		switch {
		case s.Kind == policy.ListSet:
			b.set("prefix_list_ids", "["+hclString(s.ID)+"]")
		case s.Account != "":
			b.text("source_security_group_id", s.Account+"/"+s.ID)
		case s.ID == r.Ref.Owner:
			b.set("self", "true")
		default:
			b.text("source_security_group_id", s.ID)
		}
	}
}

func alicloudArgs(b *block, r *policy.Rule) {
	m := &r.Match[0]
	b.text("security_group_id", r.Ref.Owner)
	b.text("type", r.Direction.String())
	b.text("ip_protocol", strings.ToLower(alibabaProtocol(m)))
	b.text("port_range", alibabaService(m, r.Direction))
	b.text("policy", alibabaAction(r.Action))
	b.set("priority", strconv.Itoa(int(r.Rank)))
	b.text("nic_type", "intranet")
	switch kind, peer := alibabaPeer(m); kind {
	case "Cidr":
		b.text("cidr_ip", peer)
	case "Cidr6":
		b.text("ipv6_cidr_ip", peer)
	case "PrefixListId":
		b.text("prefix_list_id", peer)
	default:
		b.text("source_security_group_id", peer)
		if account := m.Remote.Refs[0].Account; account != "" {
			b.text("source_group_owner_account", account)
		}
	}
}

// alicloudUnfit says why a resource cannot be this rule.
func alicloudUnfit(r *policy.Rule) string {
	if why := alibabaUnfit(r); why != "" {
		return why
	}
	m := &r.Match[0]
	switch {
	case r.PortList != "":
		return "the resource knows no port lists"
	case !sameSet(m.Local, policy.AnyAddr) || alibabaClient(r) != "-":
		return "the resource knows no source ports and own addresses"
	}
	switch strings.ToLower(alibabaProtocol(m)) {
	case "all", "tcp", "udp", "icmp", "icmpv6", "gre":
		return ""
	}
	return "the resource knows no protocol numbers"
}

// importID is what names the rule where it is to be imported.
func importID(typ string, r *policy.Rule) string {
	if typ != alicloudRule {
		return r.Ref.Rule
	}
	m := &r.Match[0]
	_, peer := alibabaPeer(m)
	return strings.Join([]string{r.Ref.Owner, r.Direction.String(), strings.ToLower(alibabaProtocol(m)), alibabaService(m, r.Direction),
		"intranet", strings.ReplaceAll(peer, ":", "_"), alibabaAction(r.Action), strconv.Itoa(int(r.Rank))}, ":")
}

// removed writes the block that takes the resource at addr out.
func removedBlock(addr string, destroy bool) string {
	return fmt.Sprintf("removed {\n  from = %s\n\n  lifecycle {\n    destroy = %t\n  }\n}\n", addr, destroy)
}
