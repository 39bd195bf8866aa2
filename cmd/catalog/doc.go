// Package catalog keeps flow logs on disk as reduced days: the store that analyses read in
// place of the logs.
//
// A store is a folder. Below segments lie Parquet files, each the rows of one day (see
// store.Segment). The catalogue, a SQLite database, says which of them count, which source
// files they were made from, and what the logs show of each interface on each day. A file
// that the catalogue does not name is not there: data is written first, then one transaction
// makes it count, so that a run that is cut off at any moment leaves the store as it was
// before or after a batch of files, and the next run removes what it left.
//
// A source file counts once, by its content: decompressed, and whatever it is called. One
// writer at a time holds the lock; readers need none.
package catalog
