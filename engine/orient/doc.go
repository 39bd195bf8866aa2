// Package orient decides who opened each connection, from evidence, and says what
// told it: flags, then what the rules make impossible, then fan-in, then ports. What
// stays open is undecided and counts for both readings.
package orient
