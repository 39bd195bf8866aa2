package flow

// Disposition is the one class a record ends in.
type Disposition uint8

// The dispositions, in the order reports show them.
const (
	Permitted    Disposition = iota // from the opener's side, ACCEPT, and the policy allows
	Reply                           // the reverse side of a connection that the policy allows, ACCEPT
	Blocked                         // REJECT of a new connection, and the policy denies
	Unexplained                     // ACCEPT that no reading of the policy allows
	Contradicted                    // REJECT of a new connection that the policy allows
	Late                            // REJECT of a packet of no new connection
	Undirected                      // whose opener stays undecided, and the readings differ
	Unscoped                        // of an interface not in the policy, or something unknown decides
	NoData                          // a coverage row
	SkipData                        // a gap row
	Unsupported                     // well-formed, but not an IP flow of a network interface
	Malformed                       // could not be read

	NumDispositions = iota
)

var dispositionNames = [NumDispositions]string{
	"permitted", "reply", "blocked", "unexplained", "contradicted", "late",
	"undirected", "unscoped", "nodata", "skipdata", "unsupported", "malformed",
}

func (d Disposition) String() string { return dispositionNames[d] }

// Ledger counts records by disposition. The zero value is an empty ledger.
type Ledger [NumDispositions]uint64

// Total returns the number of records in l.
func (l *Ledger) Total() uint64 {
	var n uint64
	for _, v := range l {
		n += v
	}
	return n
}

// Merge adds o to l.
func (l *Ledger) Merge(o *Ledger) {
	for i, v := range o {
		l[i] += v
	}
}
