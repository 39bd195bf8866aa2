package cloud

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// Format writes a sealed snapshot in the policy language; [ParseText] reads it back
// to an equal one. A managed group is written without the mark that its rules are
// not for editing.
func Format(s *policy.Snapshot) string {
	var b strings.Builder
	if !s.Taken.IsZero() {
		b.WriteString("taken " + formatTime(s.Taken) + "\n")
	}
	if len(s.Platforms) == 0 {
		b.WriteString("platform none\n")
	}
	for i := range s.Platforms {
		if len(s.Platforms) > 1 || !samePlatform(s.Platforms[i], awsPlatform) {
			formatPlatform(&b, &s.Platforms[i])
		}
	}
	for i := range s.Missing {
		b.WriteString("missing " + word(s.Missing[i].What))
		if s.Missing[i].Effect != "" {
			b.WriteString(" " + strconv.Quote(s.Missing[i].Effect))
		}
		b.WriteByte('\n')
	}
	for i := range s.Interfaces {
		formatInterface(&b, &s.Interfaces[i])
	}
	for i := range s.Groups {
		formatGroup(&b, &s.Groups[i])
	}
	for i := range s.ACLs {
		formatACL(&b, &s.ACLs[i])
	}
	for i := range s.Subnets {
		formatSubnet(&b, &s.Subnets[i])
	}
	for i := range s.Lists {
		formatList(&b, &s.Lists[i])
	}
	for i := range s.FlowLogs {
		formatFlowLog(&b, &s.FlowLogs[i])
	}
	return b.String()
}

// samePlatform reports whether a and b do the same under the same name.
func samePlatform(a, b policy.Platform) bool {
	var x, y strings.Builder
	formatPlatform(&x, &a)
	formatPlatform(&y, &b)
	return x.String() == y.String()
}

func formatPlatform(b *strings.Builder, p *policy.Platform) {
	b.WriteString("platform")
	if len(p.Exempt) == 0 {
		b.WriteString(" none")
	}
	for _, x := range p.Exempt {
		b.WriteString(" " + x.String())
	}
	for _, x := range p.ACLExempt {
		b.WriteString(" acl-exempt=" + x.String())
	}
	for _, x := range p.Admitted {
		b.WriteString(" admitted=" + x.String())
	}
	option(b, "id", p.ID)
	if p.Quota > 0 {
		b.WriteString(" quota=" + strconv.Itoa(p.Quota))
	}
	if p.RankMax > 0 {
		fmt.Fprintf(b, " ranks=%d-%d", p.RankMin, p.RankMax)
	}
	flag(b, "open-untracked", p.OpenUntracked)
	flag(b, "groups-deny", p.GroupsDeny)
	flag(b, "acl-optional", p.ACLOptional)
	flag(b, "no-self-peer", p.NoSelfPeer)
	b.WriteByte('\n')
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// option writes key=value unless value is empty.
func option(b *strings.Builder, key, value string) {
	if value != "" {
		b.WriteString(" " + key + "=" + word(value))
	}
}

// flag writes name if it is on.
func flag(b *strings.Builder, name string, on bool) {
	if on {
		b.WriteString(" " + name)
	}
}

func formatInterface(b *strings.Builder, f *policy.Interface) {
	b.WriteString("interface " + word(f.ID))
	for _, a := range f.Addresses {
		b.WriteString(" " + a.String())
	}
	var staged []string // written with the stages
	for _, st := range f.Stages {
		staged = append(staged, slices.Concat(st.Tiers...)...)
	}
	for _, g := range f.Groups {
		if !slices.Contains(staged, g) {
			b.WriteString(" " + word(g))
		}
	}
	for _, p := range f.Prefixes {
		b.WriteString(" prefix=" + p.String())
	}
	option(b, "subnet", f.Subnet)
	option(b, "vpc", f.VPC)
	option(b, "account", f.Account)
	option(b, "instance", f.Instance)
	option(b, "kind", f.Kind)
	if f.Role != roles[f.Kind] {
		option(b, "role", roleNames[f.Role])
	}
	option(b, "platform", f.Platform)
	option(b, "name", f.Name)
	if !f.Attached.IsZero() {
		b.WriteString(" attached=" + formatTime(f.Attached))
	}
	flag(b, "requester-managed", f.RequesterManaged)
	flag(b, "transit", f.Transit)
	flag(b, "ingress-open", f.IngressOpen)
	flag(b, "no-acl", f.NoACL)
	b.WriteByte('\n')
	for i := range f.Stages {
		formatStage(b, &f.Stages[i])
	}
}

func formatStage(b *strings.Builder, st *policy.StageSpec) {
	b.WriteString("  stage " + word(st.Name) + " " + st.Defaults[0].String() + "/" + st.Defaults[1].String())
	flag(b, "first", st.First)
	for _, tier := range st.Tiers {
		if len(tier) == 0 {
			b.WriteString(" none")
			continue
		}
		b.WriteString(" " + word(strings.Join(tier, ",")))
	}
	b.WriteByte('\n')
}

func formatGroup(b *strings.Builder, g *policy.Group) {
	b.WriteString("group " + word(g.ID))
	option(b, "name", g.Name)
	option(b, "vpc", g.VPC)
	option(b, "account", g.Account)
	option(b, "description", g.Description)
	option(b, "kind", g.Kind)
	flag(b, "unnamed", g.Unnamed)
	flag(b, "egress-open", g.EgressOpen)
	flag(b, "intra", g.Intra)
	flag(b, "default", g.Default)
	flag(b, "managed", g.Managed)
	b.WriteByte('\n')
	for i := range g.Rules {
		formatRule(b, &g.Rules[i], g.Managed)
	}
}

func formatACL(b *strings.Builder, a *policy.ACL) {
	b.WriteString("acl " + word(a.ID))
	for _, s := range a.Subnets {
		b.WriteString(" subnet=" + word(s))
	}
	option(b, "vpc", a.VPC)
	flag(b, "default", a.Default)
	b.WriteByte('\n')
	for i := range a.Rules {
		formatRule(b, &a.Rules[i], false)
	}
}

func formatSubnet(b *strings.Builder, s *policy.Subnet) {
	b.WriteString("subnet " + word(s.ID))
	for _, p := range s.Blocks {
		b.WriteString(" " + p.String())
	}
	option(b, "vpc", s.VPC)
	b.WriteByte('\n')
}

func formatList(b *strings.Builder, l *policy.PrefixList) {
	b.WriteString("list " + word(l.ID))
	for _, p := range l.Entries {
		b.WriteString(" " + p.String())
	}
	if l.MaxEntries > 0 {
		b.WriteString(" max=" + strconv.Itoa(l.MaxEntries))
	}
	option(b, "name", l.Name)
	flag(b, "provider", l.Provider)
	flag(b, "unknown", !l.Known)
	b.WriteByte('\n')
}

func formatFlowLog(b *strings.Builder, l *policy.FlowLog) {
	b.WriteString("flowlog " + word(l.ID) + " " + word(l.Resource) + " " + word(l.Traffic))
	option(b, "format", l.Format)
	if !l.Created.IsZero() {
		b.WriteString(" created=" + formatTime(l.Created))
	}
	option(b, "failed", l.Failed)
	option(b, "paths", strings.Join(l.Paths, ","))
	if l.Interval > 0 {
		b.WriteString(" interval=" + l.Interval.String())
	}
	flag(b, "ipv4-only", l.IPv4Only)
	flag(b, "inactive", l.Inactive)
	b.WriteByte('\n')
}
