// Package digest sums up the connections of a replay for people who look rather than
// read: the days on which each rule was used, who talks to whom, how much of what a wide
// rule admits was used, and for chosen rules the connections that would end otherwise
// without them and the rules that matched the same ones.
//
// What it returns is bounded, whatever the log: the greatest of each kind, and the rest
// as numbers. It looks at each connection a few times and keeps nothing of it. Ties are
// broken by what the entries say, so that equal results give equal digests.
package digest
