// Package change says what would be different if another policy had been in force:
// which observed connections break, which rejected ones would pass, and, whatever the
// traffic, what the one policy permits and the other does not.
//
// [Compare] takes the replay of the logs against the present policy and the proposed
// one. Every distinct connection is put to both with policy.Decide, for every reading
// that is open of who opened it; nothing faster stands between the definition and the
// answer. The symbolic part compares the lists of both policies stage by stage
// ([space.Compare]), once for all interfaces whose paths are the same.
//
// A proof that holds for a plan is package plan's; here nothing is planned or judged.
package change
