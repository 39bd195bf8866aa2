// Package store keeps flow records as columns and reduces them to distinct
// connections.
//
// A decoder fills a [Batch], plain typed columns that are reused. A [Tally]
// takes batches from any number of goroutines, one [TallyWorker] each, and adds
// every record to its [Row]: one distinct half of a connection, with counts,
// times and days. What is left, [Connections], is immutable, in one total order,
// and to be had as Arrow columns ([Connections.Record]); with it comes the [Coverage]
// of each interface. [Merge] puts two of them together.
//
// Memory grows with the number of distinct rows, not of records. Equal records
// give equal Connections, whatever their order, the way they were cut into
// batches, and the number of workers.
//
// The package does not read files, does not know the policy beyond the numbers
// in [Config], and does not judge who opened a connection: [Row.Client] is what
// one record shows by itself, see [PortTier] and [WellKnown].
package store
