// Package ingest turns paths into connections: it finds the flow log files, opens
// and recognises them, decompresses, decodes their rows into columns on several
// workers, and hands the columns to a [store.Tally].
//
// [Read] is the whole of it. Its [Options] say how to read logs that do not say so
// themselves; its [Report] gives the account of every file and every row. Files are
// known by their content, never by their name: text, CSV, the JSON forms and
// Parquet, plain or compressed with gzip, zstd or snappy. (One form of snappy data has
// no sign of its own; there, the name is a reason to try.)
//
// A bad row is counted and the reading goes on; a damaged file is an [InputError]
// and there is no report, since a part of the evidence must not pass for the whole.
// The report and the tally are the same for any number of workers and any order of
// files.
//
// The package does not judge records and does not look at any policy.
package ingest
