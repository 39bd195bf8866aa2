package plan

import (
	"github.com/sgadvise/sgadvise/engine/policy"
)

// Op is what an edit does to a rule.
type Op string

const (
	Remove  Op = "remove"
	Replace Op = "replace"
	Add     Op = "add" // Rule is zero; Group says where
)

// Basis says what an edit rests on.
type Basis string

const (
	Equivalent Basis = "equivalent" // the permitted space is unchanged: holds whatever comes
	Observed   Basis = "observed"   // the permitted space shrinks: holds for what was seen in the window
)

// Confidence labels an edit; it never withholds one.
type Confidence string

const (
	High   Confidence = "high"
	Medium Confidence = "medium"
	Low    Confidence = "low"
)

// Mode says which edits a plan may hold.
type Mode string

const (
	ModeNone    Mode = "none"
	ModeTidy    Mode = "tidy"    // equivalent edits only
	ModeTighten Mode = "tighten" // observed edits too
)

// Edit is one change to one rule. With holds the new rules: one direction, one
// peer, one port range each; their Ref.Owner is the group, their Ref.Rule a digest
// of their own fields.
type Edit struct {
	Op         Op
	Rule       policy.Ref
	Group      string
	With       []policy.Rule
	Basis      Basis
	Confidence Confidence
	Check      string // the check whose finding this edit answers: unused-rule, wide-source …
	Reason     string // one sentence, for people
}

// Declined is a rule that could have been edited and was not, with the reason. Rule
// may be zero when the whole plan was declined.
type Declined struct {
	Rule   policy.Ref
	Reason string
}

// Proof is the outcome of replaying every connection against the planned snapshot
// with the reference evaluator.
type Proof struct {
	Tuples, Records uint64 // distinct connections replayed, log records they stand for
	NewlyDenied     uint64
	NewlyAllowed    uint64
	Witness         string // the first connection that stands against the plan; empty: none
}

// Holds reports whether nothing observed is newly denied and nothing newly allowed.
func (p *Proof) Holds() bool { return p.NewlyDenied == 0 && p.NewlyAllowed == 0 }

// Backtest is the outcome of making the plan from the first three quarters of the
// days and replaying the rest against it.
type Backtest struct {
	Days               int // days replayed; 0: the window is too short
	BlockedDays        int
	BlockedTuples      uint64
	ExpectedNewPeers7d float64
}

// Exposure is the weighted number of (address, service) pairs that the editable allow
// rules admit, as decimal integers, before and after the plan.
type Exposure struct {
	Before, After string
	Ratio         float64 // after / before; 1 when before is 0
	Families      []Part  // IPv4 and IPv6 apart: next to the one the other does not show
	Groups        []Part  // by id
}

// Part is the exposure of one family or group.
type Part struct {
	Name          string // ipv4, ipv6, or the id of a group
	Before, After string
	Ratio         float64
}

// Plan is the outcome of Make.
type Plan struct {
	Mode     Mode
	Edits    []Edit // by group, ref
	Declined []Declined
	Exposure Exposure
	Proof    Proof
	Backtest Backtest
	// Slack is the greatest exposure by which a cover of what was observed can exceed that
	// of the peers themselves, as some are rolled up to prefixes; empty where none is, and
	// where the plan rests on no traffic.
	Slack    string
	Tradeoff []Tradeoff       // by number of rules; empty without a plan
	Planned  *policy.Snapshot // the snapshot with the edits applied; the old one if there are none
}
