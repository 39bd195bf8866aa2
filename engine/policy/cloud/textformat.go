package cloud

import (
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
	if !slices.Equal(s.Platform, awsPlatform) {
		b.WriteString("platform")
		if len(s.Platform) == 0 {
			b.WriteString(" none")
		}
		for _, p := range s.Platform {
			b.WriteString(" " + p.String())
		}
		b.WriteByte('\n')
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
	for _, g := range f.Groups {
		b.WriteString(" " + word(g))
	}
	for _, p := range f.Prefixes {
		b.WriteString(" prefix=" + p.String())
	}
	option(b, "subnet", f.Subnet)
	option(b, "vpc", f.VPC)
	option(b, "account", f.Account)
	option(b, "instance", f.Instance)
	option(b, "kind", f.Kind)
	option(b, "name", f.Name)
	if !f.Attached.IsZero() {
		b.WriteString(" attached=" + formatTime(f.Attached))
	}
	flag(b, "requester-managed", f.RequesterManaged)
	flag(b, "transit", f.Transit)
	b.WriteByte('\n')
}

func formatGroup(b *strings.Builder, g *policy.Group) {
	b.WriteString("group " + word(g.ID))
	option(b, "name", g.Name)
	option(b, "vpc", g.VPC)
	option(b, "account", g.Account)
	option(b, "description", g.Description)
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
	b.WriteByte('\n')
}
