package report

// SchemaName is the schema of the documents this package writes: a name, a slash and
// the major number, which is raised when a meaning changes. Keys may be added without.
const SchemaName = "sgadvise.report/1"

// Report is one analysis: what can change, the evidence, and the account of every
// record that was read. It is plain data; arrays are in a total order and are never
// null in JSON. The zero Report is valid and says nothing.
type Report struct {
	Schema      string        `json:"schema"`
	Tool        Tool          `json:"tool"`
	Created     Time          `json:"created"` // the moment the caller calls now; null: not stated
	Options     Settings      `json:"options"`
	Summary     Summary       `json:"summary"`
	Notes       []string      `json:"notes"` // what a reader must know before acting, the most important first
	Inputs      Inputs        `json:"inputs"`
	Window      Window        `json:"window"`
	Ledger      Ledger        `json:"ledger"`
	Fidelity    Fidelity      `json:"fidelity"`
	History     History       `json:"history"`
	Orientation []Orientation `json:"orientation"` // the strongest method first, undecided last
	Coverage    Coverage      `json:"coverage"`
	Groups      []Group       `json:"groups"`   // by id
	Rules       []Rule        `json:"rules"`    // by ref
	Checks      []string      `json:"checks"`   // that were run, by name; those without a finding found nothing
	Findings    []Finding     `json:"findings"` // by severity, check, ref
	Plan        Plan          `json:"plan"`
	Undecided   []Undecided   `json:"undecided"` // the greatest by records

	// What follows may be missing from a document: what is shown of it is then left out.
	Suppressions []SuppressionEntry `json:"suppressions,omitempty"` // accepted risks, by path and line
	Controls     []ControlEvidence  `json:"controls,omitempty"`     // evidence toward controls, by framework and number
	Assertions   []Assertion        `json:"assertions,omitempty"`   // what must stay allowed or denied, by path and line
	Details      []Detail           `json:"details,omitempty"`      // of the rules that matter most, by ref
	Pictures     *Pictures          `json:"pictures,omitempty"`     // what pictures show that stands nowhere else
	RollUp       *RollUp            `json:"roll_up,omitempty"`      // how far rows were rolled up; missing: not at all
	Trend        []TrendPoint       `json:"trend,omitempty"`        // this run and those before it, the earliest first
}

// Tool names the program that wrote a report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Settings are the options that shaped a report.
type Settings struct {
	Mode            string  `json:"mode"`             // none, tidy or tighten
	Budget          int     `json:"budget"`           // rules per group and direction; 0: as many as the group has now
	MinDaysNarrow   int     `json:"min_days_narrow"`  // days of evidence before a rule is narrowed
	MinDaysUnused   int     `json:"min_days_unused"`  // days of evidence before a rule is called unused
	MinFidelity     float64 `json:"min_fidelity"`     // below it there is no plan
	RequireCoverage float64 `json:"require_coverage"` // 0: not asked for
	MaxBadRows      int64   `json:"max_bad_rows"`     // malformed records that were tolerated; -1: any number
	Strict          bool    `json:"strict"`           // the first malformed record ends the run
	FailOn          string  `json:"fail_on"`          // findings at or above this severity fail the run; none: no finding does
	From            Time    `json:"from"`             // the window that was asked for; null: open
	To              Time    `json:"to"`
}

// Summary is the answer in numbers, so that no view counts for itself.
type Summary struct {
	Outcome      string     `json:"outcome"`  // see the Outcome constants
	Headline     string     `json:"headline"` // the answer as one sentence
	Scope        string     `json:"scope"`    // what was looked at, in words
	Rules        int        `json:"rules"`    // declared rules: all but the implicit ones
	Editable     int        `json:"editable"`
	Implicit     int        `json:"implicit"`
	Removals     int        `json:"removals"`
	Replacements int        `json:"replacements"`
	Additions    int        `json:"additions"`
	NewRules     int        `json:"new_rules"` // rules that replacements and additions bring
	Declined     int        `json:"declined"`
	Verdicts     Verdicts   `json:"verdicts"`   // of the declared rules
	Severities   Severities `json:"severities"` // of the findings that are not suppressed
	Confidence   Confidence `json:"confidence"` // of the edits
	Suppressed   int        `json:"suppressed_findings,omitempty"`
}

// What a report amounts to.
const (
	OutcomeChange     = "change"      // the plan holds edits
	OutcomeKeep       = "keep"        // a plan was made, and nothing is to be changed
	OutcomeDeclined   = "declined"    // the plan as a whole was declined; plan.declined says why
	OutcomeRejectOnly = "reject-only" // the log holds rejected traffic only: it cannot show use
	OutcomeNoPlan     = "no-plan"     // no plan was asked for
)

// Verdicts counts rules by verdict.
type Verdicts struct {
	Used          int `json:"used"`
	UsedInferred  int `json:"used-inferred"`
	AttemptOnly   int `json:"attempt-only"`
	Redundant     int `json:"redundant"`
	Unused        int `json:"unused"`
	NotSeenGaps   int `json:"not-seen-gaps"`
	NotObservable int `json:"not-observable"`
	DeadByConfig  int `json:"dead-by-config"`
	Unknown       int `json:"unknown"`
}

// Severities counts findings by severity.
type Severities struct {
	Critical int `json:"critical"`
	High     int `json:"high"`
	Medium   int `json:"medium"`
	Low      int `json:"low"`
	Info     int `json:"info"`
}

// Confidence counts edits by confidence.
type Confidence struct {
	High   int `json:"high"`
	Medium int `json:"medium"`
	Low    int `json:"low"`
}

// Inputs are the files that were read and those that were passed over.
type Inputs struct {
	Logs    []LogInput    `json:"logs"`   // by path
	Policy  []PolicyInput `json:"policy"` // by path
	Skipped []Skipped     `json:"skipped"`
	Lists   []ListInput   `json:"lists,omitempty"` // what people wrote beside the policy; by kind, path
}

// ListInput is a list of accepted risks or of assertions.
type ListInput struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // suppressions or assertions
	Digest string `json:"digest"`
}

// LogInput is one flow-log file.
type LogInput struct {
	Path    string `json:"path"`
	Format  string `json:"format"`
	Bytes   int64  `json:"bytes"`
	Records uint64 `json:"records"`
	Digest  string `json:"digest"` // algorithm:hex
}

// PolicyInput is one policy export, or a record of changes.
type PolicyInput struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"`
	Digest string `json:"digest"`
	At     Time   `json:"at"` // the earlier time that it describes; null: the present
}

// Skipped is a file that was found and not read.
type Skipped struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Window is the time span the evidence speaks for. Days is its length, rounded up.
type Window struct {
	From Time `json:"from"`
	To   Time `json:"to"`
	Days int  `json:"days"`
}

// Ledger is the account of every record: the dispositions add up to Records.
type Ledger struct {
	Records      uint64       `json:"records"`
	Dispositions Dispositions `json:"dispositions"`
	Outside      uint64       `json:"outside"` // records outside the window that was asked for; not in Records
	RejectedBy   RejectedBy   `json:"rejected_by"`
	Reasons      []Reason     `json:"reasons"` // why records were not used, or used with doubt; by kind and reason
	Samples      []Sample     `json:"samples"` // a few of the malformed records, by path and line
}

// Dispositions counts records by what became of them.
type Dispositions struct {
	Permitted    uint64 `json:"permitted"`
	Reply        uint64 `json:"reply"`
	Blocked      uint64 `json:"blocked"`
	Unexplained  uint64 `json:"unexplained"`
	Contradicted uint64 `json:"contradicted"`
	Late         uint64 `json:"late"`
	Undirected   uint64 `json:"undirected"`
	Unscoped     uint64 `json:"unscoped"`
	NoData       uint64 `json:"nodata"`
	SkipData     uint64 `json:"skipdata"`
	Unsupported  uint64 `json:"unsupported"`
	Malformed    uint64 `json:"malformed"`
}

// RejectedBy counts the rejected records by the layer that must have rejected them.
type RejectedBy struct {
	Groups     uint64 `json:"groups"`      // the groups deny, and no network ACL does
	NetworkACL uint64 `json:"network_acl"` // the network ACL denies, and no group does
	Either     uint64 `json:"either"`      // both deny, or the network ACL is not known
	Unknown    uint64 `json:"unknown"`     // neither is known to deny
}

// Reason is a cause with the number of records it befell. Records of the kind
// conflict were used although two of their fields disagree.
type Reason struct {
	Kind    string `json:"kind"` // malformed, unsupported or conflict
	Reason  string `json:"reason"`
	Records uint64 `json:"records"`
}

// Sample is one record that could not be read. Line is 0 where a format has no lines.
type Sample struct {
	Path   string `json:"path"`
	Line   int64  `json:"line"`
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// Fidelity says how far the policy explains the log.
type Fidelity struct {
	Judged     uint64              `json:"judged"`
	Agree      uint64              `json:"agree"`
	Rate       float64             `json:"rate"`   // agree / judged; 1 if nothing was judged
	Causes     map[string]uint64   `json:"causes"` // cause of a disagreement → records, all interfaces
	Interfaces []InterfaceFidelity `json:"interfaces"`
}

// History says what of the account rests on how the policy was before.
type History struct {
	Known     bool        `json:"known"`     // records of changes or earlier exports were given
	Former    uint64      `json:"former"`    // connections that rules carried which are gone or were changed
	Outlived  uint64      `json:"outlived"`  // records of connections that lived on after the rules that let them in
	Unsettled []Unsettled `json:"unsettled"` // objects of which it is not known what they held, by id
}

// Unsettled is an object of which nothing is known before a time.
type Unsettled struct {
	ID     string `json:"id"`
	Before Time   `json:"before"`
}

// InterfaceFidelity is the fidelity of one interface.
type InterfaceFidelity struct {
	Interface string            `json:"interface"`
	Judged    uint64            `json:"judged"`
	Agree     uint64            `json:"agree"`
	Causes    map[string]uint64 `json:"causes"`
}

// Orientation counts records by what told who opened their connection.
type Orientation struct {
	Method  string `json:"method"`
	Proven  bool   `json:"proven"` // proof, not inference
	Records uint64 `json:"records"`
}

// Coverage says what the log could have shown.
type Coverage struct {
	Ratio         float64             `json:"ratio"`          // covered_days / interface_days; 1 if there are none
	InterfaceDays int                 `json:"interface_days"` // interfaces of the policy × days of the window
	CoveredDays   int                 `json:"covered_days"`   // of those, the ones without a gap
	Interfaces    []InterfaceCoverage `json:"interfaces"`     // by interface
	Missing       []Missing           `json:"missing"`        // what was not exported, and what follows
}

// InterfaceCoverage is what the log holds of one interface. From and To are null if
// it holds nothing.
type InterfaceCoverage struct {
	Interface string `json:"interface"`
	InPolicy  bool   `json:"in_policy"` // false: only the log has it, and nothing is said of its gaps
	From      Time   `json:"from"`
	To        Time   `json:"to"`
	Records   uint64 `json:"records"`
	NoData    uint64 `json:"nodata"` // of the records, those that say "no traffic"
	Gaps      []Gap  `json:"gaps"`   // by time
}

// The two kinds of gap.
const (
	GapNoRecord = "no-record" // whole UTC days without any record
	GapSkipData = "skipdata"  // the log says that records were lost
)

// Gap is a time span in which traffic could have gone unseen, up to and without To.
type Gap struct {
	From Time   `json:"from"`
	To   Time   `json:"to"`
	Kind string `json:"kind"`
}

// Missing is something that the policy exports lack.
type Missing struct {
	What   string `json:"what"`
	Effect string `json:"effect"`
}

// Group is an owner of rules: a security group or a network ACL.
type Group struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Kind       string `json:"kind"` // security-group or network-acl
	VPC        string `json:"vpc"`
	Interfaces int    `json:"interfaces"` // interfaces it filters
	Rules      int    `json:"rules"`
	Edits      int    `json:"edits"`
}

// Rule is one rule with the evidence for it and the verdict on it.
type Rule struct {
	Ref           string  `json:"ref"`
	Group         string  `json:"group"`
	Rule          string  `json:"rule"`
	Direction     string  `json:"direction"`
	Action        string  `json:"action"`
	Priority      uint32  `json:"priority"` // 1 where the platform has none
	Protocol      string  `json:"protocol"`
	Ports         string  `json:"ports"`
	Peer          string  `json:"peer"`
	Description   string  `json:"description"`
	Implicit      bool    `json:"implicit"`
	Editable      bool    `json:"editable"`
	Created       Time    `json:"created"`
	Verdict       string  `json:"verdict"`
	Reason        string  `json:"reason"` // why this verdict
	Hits          uint64  `json:"hits"`
	Decisive      uint64  `json:"decisive"`
	PossibleHits  uint64  `json:"possible_hits"`
	Records       uint64  `json:"records"`
	Packets       uint64  `json:"packets"`
	Bytes         uint64  `json:"bytes"`
	Peers         uint64  `json:"peers"`
	FirstSeen     Time    `json:"first_seen"` // null without hits
	LastSeen      Time    `json:"last_seen"`
	Interfaces    int     `json:"interfaces"`     // interfaces on which it is in force
	HitInterfaces uint64  `json:"hit_interfaces"` // interfaces on which it has hits
	Source        *Source `json:"source"`         // where it is written; null: not known
	// Daily has a digit for each UTC day of the window: how many connections used the rule,
	// 0: none, 1: one, 2: less than 10, 3: less than 100, 4: less than 1000, 5: more.
	// Missing without hits, and in a window of more than 366 days.
	Daily string `json:"daily,omitempty"`
	// AtLeast: hits, decisive ones and peers are at least so many, as some were rolled up,
	// and records, packets and bytes at most.
	AtLeast bool `json:"at_least,omitempty"`
}

// RollUp says how far the rows were rolled up that the log came to: peers of the services
// with the most of them stand there as prefixes. What rules decide about them is as exact
// as without it, as no set of addresses that the policy knows cuts such a prefix.
type RollUp struct {
	ExactRows int `json:"exact_rows"` // the limit beyond which rows are rolled up
	Peers     int `json:"peers"`      // rows that a service may have as they are
	Services  int `json:"services"`   // that were rolled up
	Rows      int `json:"rows"`       // to so many
	// Slack is the greatest exposure, as in the plan's, that covers of what was observed
	// can have because of it, beyond covers of the peers themselves; 0 without such a plan.
	Slack string `json:"slack"`
}

// Source is the place that a rule was read from.
type Source struct {
	Path    Optional `json:"path"`    // one of inputs.policy; null: not known
	Line    int      `json:"line"`    // from 1; 0: not known
	Address Optional `json:"address"` // the resource of infrastructure code that declares it; null: none
}

// Finding is a claim with its evidence.
type Finding struct {
	ID         string       `json:"id"` // fingerprint: check, subject and substance
	Check      string       `json:"check"`
	Severity   string       `json:"severity"`
	Confidence string       `json:"confidence"`
	Ref        Optional     `json:"ref"` // the rule, or the group or interface if it has no slash
	Message    string       `json:"message"`
	Facts      []Fact       `json:"facts"`
	Related    []string     `json:"related"`  // refs, in order
	Controls   []string     `json:"controls"` // of compliance catalogues
	Suppressed *Suppression `json:"suppressed"`
}

// Fact is one named piece of evidence, in the order the check gives them.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Suppression says why a finding is not acted on.
type Suppression struct {
	Reason  string `json:"reason"`
	Expires Time   `json:"expires"` // the last moment; null: never
	Owner   string `json:"owner,omitempty"`
	Ticket  string `json:"ticket,omitempty"`
	Entry   string `json:"entry,omitempty"` // of Report.Suppressions
}

// Plan is one list of edits that hold together, with its proof.
type Plan struct {
	Mode     string     `json:"mode"`
	Edits    []Edit     `json:"edits"` // by group, ref
	Declined []Declined `json:"declined"`
	Exposure Exposure   `json:"exposure"`
	Proof    Proof      `json:"proof"`
	Backtest Backtest   `json:"backtest"`
}

// Edit is one change to one rule. Ref is null for an addition.
type Edit struct {
	Op         string    `json:"op"`
	Ref        Optional  `json:"ref"`
	Group      string    `json:"group"`
	With       []NewRule `json:"with"`
	Basis      string    `json:"basis"`
	Confidence string    `json:"confidence"`
	Check      string    `json:"check"`
	Reason     string    `json:"reason"`
	Finding    Optional  `json:"finding"` // fingerprint of the finding it answers; null: none
}

// NewRule is a rule that an edit brings: one direction, one peer, one port range.
type NewRule struct {
	Direction   string `json:"direction"`
	Action      string `json:"action"`
	Priority    uint32 `json:"priority"`
	Protocol    string `json:"protocol"`
	Ports       string `json:"ports"`
	Peer        string `json:"peer"`
	Description string `json:"description"`
}

// Declined is an edit that was possible and was not proposed. Ref is null if it is
// the plan as a whole.
type Declined struct {
	Ref    Optional `json:"ref"`
	Reason string   `json:"reason"`
}

// Exposure is the weighted number of (address, service) pairs that the editable allow
// rules admit, as decimal integers, before and after the plan.
type Exposure struct {
	Before   string           `json:"before"`
	After    string           `json:"after"`
	Ratio    float64          `json:"ratio"`
	Families []FamilyExposure `json:"families"` // IPv4, IPv6: next to the one the other does not show
	Groups   []GroupExposure  `json:"groups"`   // by group; empty if it was not measured
}

// FamilyExposure is the exposure to one address family.
type FamilyExposure struct {
	Family string  `json:"family"` // ipv4 or ipv6
	Before string  `json:"before"`
	After  string  `json:"after"`
	Ratio  float64 `json:"ratio"`
}

// GroupExposure is the exposure of one group.
type GroupExposure struct {
	Group  string  `json:"group"`
	Before string  `json:"before"`
	After  string  `json:"after"`
	Ratio  float64 `json:"ratio"`
}

// Proof is the outcome of replaying the log against the planned policy with the
// reference evaluator.
type Proof struct {
	Tuples       uint64       `json:"tuples"`
	Records      uint64       `json:"records"`
	NewlyDenied  uint64       `json:"newly_denied"`
	NewlyAllowed NewlyAllowed `json:"newly_allowed"`
	Checker      string       `json:"checker"`
	Witness      Optional     `json:"witness"` // the first connection against the plan; null: none
}

// Backtest is the outcome of planning from the earlier days and replaying the later ones.
type Backtest struct {
	Days               int     `json:"days"` // days replayed; 0: the window is too short
	BlockedDays        int     `json:"blocked_days"`
	BlockedTuples      uint64  `json:"blocked_tuples"`
	ExpectedNewPeers7d float64 `json:"expected_new_peers_7d"`
}

// Undecided is a connection whose opener stays open. It counted for both readings.
type Undecided struct {
	Interface  string `json:"interface"`
	Protocol   string `json:"protocol"`
	Local      string `json:"local"`
	LocalPort  uint16 `json:"local_port"`
	Remote     string `json:"remote"`
	RemotePort uint16 `json:"remote_port"`
	Records    uint64 `json:"records"`
}
