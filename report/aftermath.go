package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/analyzer/change"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Aftermath is what became of a rule that was taken away or narrowed: whether anything
// was blocked since which the rule as it was would have let through.
type Aftermath struct {
	Status  string   `json:"status" enum:"broke,outside,quiet,restored,unknown" doc:"broke: something inside was blocked; outside: only attempts from public addresses were, which may be scans; quiet: nothing was; restored: the rule is back; unknown: it cannot be told."`
	Ref     string   `json:"ref"`
	Group   string   `json:"group"`
	Was     string   `json:"was" doc:"The rule in words."`
	Now     Optional `json:"now" doc:"The rule of that ref at present; null if it is gone."`
	Planned bool     `json:"planned" doc:"The change is the one that the plan of the run before asked for."`
	Since   Time     `json:"since" doc:"The run that last saw the rule as it was."`
	Until   Time     `json:"until" doc:"The end of the logs."`
	Why     string   `json:"why"`
	New     int      `json:"new" doc:"Blocked connections from inside that no earlier run told of."`
	Inside  int      `json:"inside" doc:"Blocked connections that interfaces of the policy, or peers with private addresses, wanted to open."`
	Outside int      `json:"outside" doc:"Blocked connections that others wanted to open."`
	Records uint64   `json:"records"`
	Blocked []Block  `json:"blocked" doc:"The greatest, those from inside first."`
}

// What became of it.
const (
	AfterBroke    = "broke"
	AfterOutside  = "outside"
	AfterQuiet    = "quiet"
	AfterRestored = "restored"
	AfterUnknown  = "unknown"
)

var afterOrder = []string{AfterBroke, AfterUnknown, AfterOutside, AfterRestored, AfterQuiet}

// Block is a connection that the rule would have let through.
type Block struct {
	Interface     string   `json:"interface" doc:"Where it was blocked."`
	Groups        []string `json:"groups" doc:"Of that interface."`
	Direction     string   `json:"direction" enum:"ingress,egress"`
	Protocol      string   `json:"protocol"`
	Ports         string   `json:"ports"`
	Peer          string   `json:"peer"`
	PeerInterface Optional `json:"peer_interface" doc:"Whose address that is; null if the policy does not know it."`
	Inside        bool     `json:"inside"`
	New           bool     `json:"new" doc:"No earlier run told of it."`
	Records       uint64   `json:"records"`
	First         Time     `json:"first_seen"`
	Last          Time     `json:"last_seen"`
}

// Key names what was blocked whatever the counts and the times.
func (b *Block) Key() string {
	return strings.Join([]string{b.Interface, b.Direction, b.Protocol, b.Ports, b.Peer}, " ")
}

// maxBlocks is how many blocked connections are listed for one rule: enough to know who
// is affected. Counts are of all.
const maxBlocks = 20

// Taken is a rule that was taken away or narrowed.
type Taken struct {
	Ref     policy.Ref
	Was     string
	Now     string // "" if it is gone
	Planned bool
	Since   Time
	Until   Time
	Told    map[string]bool // keys of the connections that earlier runs told of
}

// AftermathOf judges a rule by what it would let through: the connections that are
// denied now and would pass if it were put back. Those that passed, and those that ended
// before it was taken away, do not count. It also returns the keys of all blocked
// connections from inside.
func AftermathOf(t Taken, opened []change.Connection, snap *policy.Snapshot) (a Aftermath, inside []string) {
	a = Aftermath{Status: AfterQuiet, Ref: t.Ref.String(), Group: t.Ref.Owner, Was: t.Was, Now: Optional(t.Now), Planned: t.Planned, Since: t.Since, Until: t.Until}
	owners := ownersOf(snap)
	var blocks []Block
	for i := range opened {
		c := &opened[i]
		if c.Action != flow.Reject || Time(c.Last) < t.Since {
			continue
		}
		b := blockOf(c, snap, owners)
		b.First = max(b.First, t.Since)
		b.New = !t.Told[b.Key()]
		a.Records += b.Records
		if b.Inside {
			a.Inside++
			inside = append(inside, b.Key())
			if b.New {
				a.New++
			}
		} else {
			a.Outside++
		}
		blocks = append(blocks, b)
	}
	slices.SortStableFunc(blocks, func(x, y Block) int {
		return cmp.Or(compareBool(y.Inside, x.Inside), cmp.Compare(y.Records, x.Records), strings.Compare(x.Key(), y.Key()))
	})
	a.Blocked = firstOf(blocks, maxBlocks)
	switch {
	case a.Inside > 0:
		a.Status = AfterBroke
		a.Why = fmt.Sprintf("%s from inside %s blocked that the rule would have let through", plural(a.Inside, "connection"), wasWere(a.Inside))
	case a.Outside > 0:
		a.Status = AfterOutside
		a.Why = fmt.Sprintf("%s from public addresses %s blocked that the rule would have let through: customers, or scans", plural(a.Outside, "connection"), wasWere(a.Outside))
	default:
		a.Why = "nothing was blocked that the rule would have let through"
	}
	if a.Until <= a.Since {
		a.Status, a.Why = AfterUnknown, "the logs do not reach to the time after the change yet"
	}
	return a, inside
}

func wasWere(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// ownersOf finds the interface of each private address.
func ownersOf(s *policy.Snapshot) map[netip.Addr]*policy.Interface {
	m := make(map[netip.Addr]*policy.Interface)
	for i := range s.Interfaces {
		for _, a := range s.Interfaces[i].Addresses {
			if m[a] == nil {
				m[a] = &s.Interfaces[i]
			}
		}
	}
	return m
}

// shared is the address space between customers and providers: nobody outside has it.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func blockOf(c *change.Connection, snap *policy.Snapshot, owners map[netip.Addr]*policy.Interface) Block {
	ports := "all"
	if c.Proto.HasPorts() {
		ports = netset.PortRange{First: c.Port, Last: max(c.Port, c.PortHi)}.String()
	}
	peer := c.Remote.Netip()
	b := Block{Interface: c.Interface, Direction: c.Direction.String(), Protocol: c.Proto.Name(), Ports: ports, Peer: netset.FoldedText(c.Remote, c.RemoteFree),
		Records: c.Records, First: TimeOf(time.Unix(c.First, 0)), Last: TimeOf(time.Unix(c.Last, 0))}
	if f, ok := snap.Interface(c.Interface); ok {
		b.Groups = append([]string{}, f.Groups...)
	}
	if owner := owners[peer]; owner != nil {
		b.PeerInterface, b.Inside = Optional(owner.ID), true
	}
	// Who opens a connection to somewhere outside is inside.
	b.Inside = b.Inside || c.Direction == flow.Egress || peer.IsPrivate() || peer.IsLinkLocalUnicast() || shared.Contains(peer)
	return b
}

// Attach adds what became of earlier changes to the comparison.
func (c *Comparison) Attach(after []Aftermath) {
	slices.SortStableFunc(after, func(a, b Aftermath) int {
		return cmp.Or(cmp.Compare(slices.Index(afterOrder, a.Status), slices.Index(afterOrder, b.Status)), strings.Compare(a.Ref, b.Ref), cmp.Compare(a.Since, b.Since))
	})
	c.After = after
	n := 0
	for i := range after {
		if after[i].Status == AfterBroke {
			n++
		}
	}
	if n > 0 {
		c.Same = false
		what := "A rule that was taken away or narrowed broke something. "
		if n > 1 {
			what = fmt.Sprintf("%d rules that were taken away or narrowed broke something. ", n)
		}
		c.Headline = what + c.Headline
	}
}

// aftermath is the section on rules that were taken away.
func (c *Comparison) aftermath() diffSection {
	s := diffSection{title: "After changes", about: "was anything blocked since which the rule as it was would have let through?", what: "rules", head: []string{"outcome", "rule"}}
	for i := range c.After {
		a := &c.After[i]
		lines := []string{a.Ref, "- " + a.Was}
		if a.Now != "" {
			lines = append(lines, "+ "+string(a.Now))
		}
		by := "not as planned"
		if a.Planned {
			by = "as planned"
		}
		lines = append(lines, fmt.Sprintf("changed %s after %s; logs until %s: %s", by, minute(a.Since), minute(a.Until), a.Why))
		for j := range a.Blocked {
			lines = append(lines, a.Blocked[j].text())
		}
		if n := a.Inside + a.Outside; n > len(a.Blocked) {
			lines = append(lines, fmt.Sprintf("showing %d of %s", len(a.Blocked), plural(n, "connection")))
		}
		s.rows = append(s.rows, []string{a.Status, joinLines(lines...)})
	}
	return s
}

// text says who was blocked where.
func (b *Block) text() string {
	word := "from"
	if b.Direction == flow.Egress.String() {
		word = "to"
	}
	peer := b.Peer
	if b.PeerInterface != "" {
		peer += " (" + string(b.PeerInterface) + ")"
	}
	new := ""
	if b.New && b.Inside {
		new = ", new"
	}
	return fmt.Sprintf("%s: %s %s %s %s %s, %s, %s to %s%s", b.Interface, b.Direction, b.Protocol, b.Ports, word, peer,
		plural64(b.Records, "record"), minute(b.First), minute(b.Last), new)
}
