// Package engine replays connections against the effective rules of a policy snapshot
// and counts, for every rule, what it decided.
//
// [Replay] takes the connections of a store and a snapshot and gives a [Result]: a
// disposition for every record ([flow.Ledger]), how far the policy explains the log
// ([Fidelity]), the distinct connections ([Connection]) with the rules each one credits
// ([Signature]), and the evidence for every rule ([Usage]). [StoreConfig] is what the
// snapshot has to tell the store before logs are read into it.
//
// Who opened a connection comes from engine/orient; each reading that it leaves open is
// judged. Paths are compiled once for each distinct set of groups, network ACL and
// subnet (engine/classify). Of an accepted connection every rule with the winning rank
// and action gets a hit; of a rejected one the rule that denied it, a line of a stateless
// stage only where the groups would have allowed. Replies credit stateless stages only.
//
// [ReplayHistory] judges each record by what was in force at its time: the rows of a
// store made with [HistoryConfig] touch one era of their interface, or several that
// follow each other. A record agrees with the policy if it does in one of them; a rule is
// credited only if it decides in all, with the content that it has now. A connection that
// shows no opening may have been opened under earlier rules, and those are asked, too.
//
// Interfaces are replayed in parallel and joined in order, so the result is the same
// for any number of workers. The cost is one look-up for each reading of each distinct
// row, a sort of the readings of each interface, and memory in the number of distinct
// connections.
//
// The package reads no files, proposes nothing, and does not say what a rule is worth:
// that is the analyzer's. The slow twin that its tests hold it to judges one record at
// a time with policy.Decide.
package engine
