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
// planned snapshot plans nothing, unless denies are among the rules.
//
// An edit is [Equivalent] if, with the other equivalent ones alone, it leaves the
// permitted space as it is; otherwise it is [Observed]. [Apply] gives the planned snapshot;
// [Certify] replays every connection against it with the slow policy.Decide, which shares
// nothing with the code that made the plan, and [Widens] compares both policies whatever
// the traffic. A plan that either refutes is not given out.
//
// In an ordered list of group rules (some deny, or have ranks, the default allows,
// members of a group or the platform are admitted anyway) what is permitted is the union
// of what its allow rules admit once the denies above them have spoken. Allow rules are
// therefore planned there as everywhere, by what they admit, while all denies stand; new
// ones have the rank of the old ones. A connection that the default or an implicit rule
// admits obliges no rule. Rules that deny go last, and only where stronger rules decide
// all that they match, or other denies do the same, whatever the traffic and whichever of
// the other edits are made; a deny that only repeats a default stays as a guard. Hence
// edits hold in any order, once new rules are there, and a rule that only another edit
// makes needless waits for the next plan. Network ACLs are lists of the same kind, of
// which nothing is narrowed. A rule that nothing used because a network ACL denies all
// that it admits stays, as do rules between members that only the hidden intra-group
// rule makes idle.
//
// The package reads nothing, knows no cloud's commands and does not settle whether the
// evidence is enough: its caller does. It plans nothing for rules in stages that an
// interface spells out.
package plan
