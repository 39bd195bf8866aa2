// Package flow names what happened on the wire: the record a flow log holds and
// the small value types it is made of.
//
// A [Record] is one row of a flow log as captured. Its parts are [Addr] (an
// address as two words, cheap to compare, hash and store), [Proto], [Direction]
// (relative to the interface, never who opened the connection), [Action],
// [Status], and [TCPFlags] with the [FlagClass] they amount to. Every record read
// ends in exactly one [Disposition]; a [Ledger] counts them and its sum is checked.
//
// The package uses the standard library only, holds no state and does no I/O.
// It does not judge: who opened a connection is decided in engine/orient, what
// the policy says of it in engine/policy.
package flow
