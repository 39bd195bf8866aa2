// Package classify compiles the stages of a path into a [Table] that finds all
// matching rules of a connection at once.
//
// [Compile] takes the path of one interface and direction, as
// [policy.Snapshot.Path] gives it, and the caller's number for each rule. The
// Table is immutable and may be shared by goroutines. [Table.Decide] says of a
// [Key] exactly what [policy.Decide] says of the same connection with an unknown
// ICMP type, and writes it into an [Outcome], which the caller owns and reuses.
// [Table.DecidePacket] does the same for [policy.DecidePacket], and
// [Table.DecideAll] goes on after a stage that denied, for callers that count what
// every stage would have done.
//
// The method is bit-vector classification. Every box of every rule has one bit;
// bits are sorted by tier, rank, and deny before allow. Each axis (protocol, local
// and remote port, local and remote address of each family) is cut into disjoint
// intervals at the bounds of the boxes, and each interval has the row of the boxes
// that hold it. A decision looks up one row an axis and ANDs them: the lowest bit
// left is the strongest rule, its equals follow it, and the first bit after those
// is what would speak next. Axes that no rule restricts are left out. Rules that
// match only perhaps are kept in a second set, which costs nothing where no rule is
// in doubt.
//
// A look-up is a binary search in each axis and one AND for each 64 boxes. Keys
// that follow one another in sorted order are cheaper, because an Outcome
// remembers the intervals of its last key. Building takes time in the number of
// bounds times their logarithm, and memory in the number of distinct rows.
//
// The package does not resolve references, choose paths, or count hits.
package classify
