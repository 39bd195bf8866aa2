// Package orient decides who opened each connection, from evidence, and says what
// told it.
//
// A flow log states which way packets crossed an interface, never who began. [Decide]
// goes down a ladder and stops at the first rung that answers: TCP flags; another
// row of the same connection that has them; what the rules make impossible;
// the far end's own log; fan-in (many clients, one service); ports; one-way traffic.
// What stays open is undecided: [Readings] then gives every way to read the row, and
// all of them count, so that errors fall on the side of keeping a rule. From fan-in on
// an answer is likely, not proven ([Method.Proven]); where little speaks for it, it is
// marked weak, and the reading it turned down counts as possible.
//
// A client's port may have been folded away, so "the same connection" means the same
// hosts and service, and client ports that were all seen with flags, modulo 64. Where the
// two ends look the same (ICMP, UDP from and to one port), it means seen within the longest
// idle time of any platform, too: either end may open one, now this, now that.
//
// The rungs that do not ask the policy see only what does not depend on it: rows
// that differ in nothing but their port class are summed up before they are looked
// at. Closing rules therefore never flips a decision, it can only make one.
//
// The package does not judge records and reads no logs. Its cost is a few look-ups a
// row, and a map of the local endpoints of the interface being read.
package orient
