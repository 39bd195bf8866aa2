// Package flowlog reads flow logs as clouds deliver them and fills columns
// ([store.Batch]) with what they say.
//
// A [Field] is one field of a record; fields.go is the one table of their names in
// every spelling. A [Layout] says which column of a line holds which field: it comes
// from a header line, from the LogFormat of the flow log, or is the default layout,
// recognised by its exact shape and never guessed. A [LineDecoder] turns blocks of
// lines, separated by spaces (vpctext.go) or commas (csv.go), into batches;
// [DecodeJSON] does the same for the JSON forms in which the CloudWatch commands and
// log shippers wrap records; [DecodeParquet] reads Parquet. All of them keep account
// of what they met in a [Stats]: every row is in a batch, malformed or unsupported,
// never shifted, never guessed, never dropped in silence.
//
// The fields are those of AWS; where names tell that a log is one of Alibaba Cloud,
// alibaba.go says what its values mean.
//
// The package does not open files, decompress or recognise formats (package ingest
// does), and it does not judge records: who opened a connection and what the policy
// says of it come later.
package flowlog
