// Package plan turns evidence into one list of edits that hold together, and
// proves the list by replay.
//
// Findings stand alone; edits conflict. [Make] works in rounds over an [Input]. A round of
// [ModeTidy] removes rules that the remaining ones admit on every interface, one after the
// other, and joins rules that are one; nothing observed counts. A round of
// [ModeTighten] takes all at once: what nothing used goes, of the rest the set of
// rules that admits least and still admits all that was observed stays, and each rule of
// it shrinks to what it must go on admitting. Rules whose evidence is thin, and those that
// accepted traffic perhaps used, stay as they are. Rounds follow until nothing changes;
// the sum of all is one [Edit] at most for each rule, so that planning again for the
// planned snapshot plans nothing.
//
// An edit is [Equivalent] if, with the other equivalent ones alone, it leaves the
// permitted space as it is; otherwise it is [Observed]. [Apply] gives the planned snapshot;
// [Certify] replays every connection against it with the slow policy.Decide, which shares
// nothing with the code that made the plan, and [Widens] compares both policies whatever
// the traffic. A plan that either refutes is not given out.
//
// The package reads nothing, knows no cloud's commands and does not settle whether the
// evidence is enough: its caller does. Of network ACLs it removes lines that allow and
// passed nothing; it never removes a rule that denies, and plans nothing where group
// rules deny or have ranks.
package plan
