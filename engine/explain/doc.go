// Package explain says what a policy does in words that can be checked: which stage,
// tier and rule decides one connection at each of its ends, what else matched and is
// masked by what, and what would have to change for the opposite verdict; and the
// consolidated list of rules of an interface or a group in evaluation order.
//
// Everything here is a function of a [policy.Snapshot]. Verdicts are those of
// [policy.Decide]; a [Change] is proposed only if Decide, asked about the changed
// stage, gives the verdict that it promises.
//
// # What the package does not do
//
// It reads no logs and knows no routes: whether packets find the way from one end to the
// other, and what address translation does to them on it, is not in a policy.
package explain
