// Package policy says what is allowed: the one model of filter rules for every
// cloud, and the slow, obvious [Decide] that defines what it means.
//
// A [Snapshot] holds groups, network ACLs, interfaces, subnets and prefix lists at
// one moment, with everything that is missing named. [Snapshot.Path] settles all
// that depends on membership and gives, for one interface and direction, the
// stages a connection passes. A [Stage] is a list of tiers; in a [Tier] the
// best-ranked matching [Rule] speaks, deny before allow at equal rank; no match
// goes to the next tier; after the last the stage's default speaks. Security groups
// are one stateful stage with one tier and one rank; a network ACL is a stateless
// stage with a rank for each line.
//
// Verdicts have three values: where a peer cannot be resolved the answer is
// Unknown, never "no".
//
// The package reads no files and knows no cloud: readers are in policy/cloud. It
// never optimises; engine/classify is fast and is tested against [Decide].
package policy
