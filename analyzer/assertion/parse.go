// Package assertion reads lists of connections that must stay allowed or denied, and asks
// a policy about them with the reference evaluator.
package assertion

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/yamlfile"
	"github.com/sgadvise/sgadvise/engine/explain"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Assertion is a connection, or a set of them, that must stay allowed or denied: one
// Flow, or all from one end to another.
type Assertion struct {
	File string
	Line int
	Name string

	Flow      *explain.Flow // nil: From, To and what follows them
	Interface string        // which owner of an address of Flow is meant; empty: it is clear

	From, To string // what ends are is settled by the policy
	AnyProto bool
	Proto    flow.Proto
	ICMP     policy.TypeCode
	Ports    []netset.PortRange // of the destination; of tcp and udp only

	Expect policy.Verdict // Allowed or Denied
}

type file struct {
	Version int                      `yaml:"version"`
	Assert  []yamlfile.Node[written] `yaml:"assert"`
}

type written struct {
	Name      string `yaml:"name"`
	Flow      string `yaml:"flow"`
	Interface string `yaml:"interface"`
	From      string `yaml:"from"`
	To        string `yaml:"to"`
	Protocol  string `yaml:"protocol"`
	Ports     string `yaml:"ports"`
	Expect    string `yaml:"expect"`
}

// Parse reads data, the content of the file that name names. Errors name file, line and
// key, and are of type [*yamlfile.Error].
func Parse(name string, data []byte) ([]Assertion, error) {
	var f file
	if err := yamlfile.Decode(name, data, &f); err != nil {
		return nil, err
	}
	if f.Version != 1 {
		return nil, &yamlfile.Error{File: name, Message: fmt.Sprintf("version: %d is not known; write version: 1", f.Version)}
	}
	out := make([]Assertion, 0, len(f.Assert))
	named := make(map[string]int)
	for i := range f.Assert {
		n := &f.Assert[i]
		a, err := n.Value.read()
		if line, twice := named[a.Name]; err == nil && twice {
			err = fmt.Errorf("name: %q is the name of line %d, too", a.Name, line)
		}
		if err != nil {
			return nil, &yamlfile.Error{File: name, Line: n.Line, Message: err.Error()}
		}
		named[a.Name] = n.Line
		a.File, a.Line = name, n.Line
		out = append(out, a)
	}
	return out, nil
}

func (w *written) read() (Assertion, error) {
	a := Assertion{Name: strings.TrimSpace(w.Name), Interface: w.Interface, From: w.From, To: w.To, ICMP: policy.AnyICMP}
	if a.Name == "" {
		return a, fmt.Errorf("name: not there; say what the connection is for")
	}
	switch w.Expect {
	case "allow":
		a.Expect = policy.Allowed
	case "deny":
		a.Expect = policy.Denied
	default:
		return a, fmt.Errorf("expect: %q is neither allow nor deny", w.Expect)
	}
	ends := w.From != "" || w.To != "" || w.Protocol != "" || w.Ports != ""
	switch {
	case w.Flow != "" && ends:
		return a, fmt.Errorf("flow: it says all of from, to, protocol and ports; write one or the other")
	case w.Flow != "":
		f, err := explain.ParseFlow(w.Flow)
		if err != nil {
			return a, err
		}
		a.Flow = &f
		return a, nil
	case w.From == "" || w.To == "":
		return a, fmt.Errorf("flow, from, to: write a flow, or both from and to")
	case w.Interface != "":
		return a, fmt.Errorf("interface: it goes with flow; name the interface in from or to")
	}
	for _, end := range [2][2]string{{"from", w.From}, {"to", w.To}} {
		key, text := end[0], end[1]
		addr, err := netip.ParseAddr(strings.SplitN(text, "/", 2)[0])
		if err == nil && (addr.Is4In6() || addr.Zone() != "") {
			return a, fmt.Errorf("%s: %q is no address that flow logs have; write 10.0.0.1 or 2001:db8::1", key, text)
		}
		// Groups of Terraform plans may be addresses, which may have slashes in their keys.
		if p, err := netip.ParsePrefix(text); strings.Contains(text, "/") && (err != nil || p != p.Masked()) && !strings.ContainsAny(text, "[]") {
			return a, fmt.Errorf("%s: %q is no block of addresses such as 10.0.0.0/8", key, text)
		}
	}
	return a, a.services(w)
}

// services reads protocol and ports.
func (a *Assertion) services(w *written) error {
	switch w.Protocol {
	case "":
		return fmt.Errorf("protocol: not there; write tcp, udp, icmp, a number, or all")
	case "all":
		if w.Ports != "" {
			return fmt.Errorf("ports: not of all protocols; name tcp or udp")
		}
		a.AnyProto, a.Ports = true, []netset.PortRange{netset.AllPorts}
		return nil
	}
	var err error
	if a.Proto, a.ICMP, err = explain.ParseProtocol(w.Protocol); err != nil {
		return err
	}
	switch {
	case !a.Proto.HasPorts() && w.Ports != "":
		return fmt.Errorf("ports: %s has none that rules read", a.Proto.Name())
	case !a.Proto.HasPorts():
		return nil
	case w.Ports == "":
		return fmt.Errorf("ports: not there; write ports as in 443, 8000-8100, or all")
	}
	for part := range strings.SplitSeq(w.Ports, ",") {
		part = strings.TrimSpace(part)
		if part == "all" {
			a.Ports = append(a.Ports, netset.AllPorts)
			continue
		}
		r, err := netset.ParsePorts(part)
		if err != nil {
			return fmt.Errorf("ports: %q: %w", part, err)
		}
		a.Ports = append(a.Ports, r)
	}
	return nil
}

// Text says what a is about, on one line.
func (a *Assertion) Text() string {
	if a.Flow != nil {
		if a.Interface != "" {
			return a.Flow.String() + " at " + a.Interface
		}
		return a.Flow.String()
	}
	service := "all traffic"
	if !a.AnyProto {
		service = a.Proto.Name()
		if a.ICMP.Type >= 0 {
			service += " " + a.ICMP.String()
		}
		var ports []string
		for _, r := range a.Ports {
			ports = append(ports, r.String())
		}
		if len(ports) > 0 {
			service += " " + strings.Join(ports, ",")
		}
	}
	return a.From + " -> " + a.To + ", " + service
}
