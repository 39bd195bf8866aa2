// Package engine replays connections against the effective rules of a policy
// snapshot and counts, for every rule, what it decided.
package engine
