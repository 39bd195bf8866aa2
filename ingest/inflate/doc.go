// Package inflate decompresses gzip files, RFC 1951 and 1952, about twice as fast as
// the libraries do, since logs come compressed and decompressing them costs more than
// all that is done with them.
//
// It is made for streams of megabytes of text: 64 bits of input are looked at together,
// an entry of a decode table stands for up to three symbols, matches are copied in
// chunks of 16 bytes, and the output is made in large blocks, the next one on another
// goroutine while the last is read.
//
// What it accepts and what it rejects, and how much it gives out before it does, is what
// compress/gzip accepts, rejects and gives out; the tests hold it to that. There is
// nothing in the format that it leaves to a library.
package inflate
