package ingest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/klauspost/compress/snappy"
)

// Snappy data comes in three forms. The framed one and that of the Java library name
// themselves; a bare block, as Log Service ships objects to OSS, does not.
const (
	magicFramed = "\xff\x06\x00\x00sNaPpY"
	magicXerial = "\x82SNAPPY\x00"

	// snappySuffix is the end of names that Log Service gives to objects it compressed.
	snappySuffix = ".snappy"

	// maxBlock bounds what a bare block may decompress to, since all of it is held at
	// once. Log Service ships at most 256 MB at a time.
	maxBlock = 1 << 30

	// maxChunk bounds a chunk of the Java form, which has 32 KiB as a rule.
	maxChunk = 64 << 20

	// maxExpansion is how many bytes a byte of snappy data can stand for: three of
	// them copy 64. A block that claims more is damaged, and costs no memory.
	maxExpansion = 22
)

var errBlock = errors.New("not a whole snappy block")

// snappyReader looks for snappy data in br. It returns what to read in place of br,
// and whether that was compressed. named says that the name is one of snappy data.
//
// A bare block is known by decompressing it: nothing else comes to exactly the length
// that it seems to declare. What is named as snappy data, is none and is no text
// either must be damaged.
func snappyReader(br *bufio.Reader, named bool) (r io.Reader, found bool, err error) {
	magic, _ := br.Peek(len(magicFramed))
	switch {
	case bytes.HasPrefix(magic, []byte(magicFramed)):
		return snappy.NewReader(br), true, nil
	case bytes.HasPrefix(magic, []byte(magicXerial)):
		return &xerialReader{r: br}, true, nil
	}
	head, _ := br.Peek(sniffBytes)
	text := isText(head)
	if bytes.HasPrefix(head, []byte("PAR1")) || text && !named || !named && !beginsAsLog(head) {
		return br, false, nil
	}
	stored, err := io.ReadAll(io.LimitReader(br, maxBlock))
	if err != nil {
		return nil, false, err
	}
	content, err := decodeBlock(stored, maxBlock)
	switch {
	case err == nil:
		return bytes.NewReader(content), true, nil
	case named && !text:
		return nil, false, err
	}
	return io.MultiReader(bytes.NewReader(stored), br), false, nil
}

// isText reports whether the beginning of a file is text.
func isText(head []byte) bool {
	if notText(head) != "" {
		return false
	}
	for cut := 0; cut < utf8.UTFMax && cut < len(head); cut++ { // the last character may be cut off
		if utf8.Valid(head[:len(head)-cut]) {
			return true
		}
	}
	return len(head) == 0
}

// beginsAsLog reports whether head may begin a bare block that holds text or Parquet:
// a length, then bytes that are not a copy of earlier ones.
func beginsAsLog(head []byte) bool {
	length, n := binary.Uvarint(head)
	if n <= 0 || length == 0 || length > maxBlock || n >= len(head) || head[n]&3 != 0 {
		return false
	}
	first := head[n+1:]
	if size := head[n] >> 2; size >= 60 { // the length of the bytes follows, in 1 to 4 bytes
		first = first[min(int(size)-59, len(first)):]
	} else {
		first = first[:min(int(size)+1, len(first))]
	}
	first = first[:min(8, len(first))]
	return len(first) > 0 && (bytes.HasPrefix(first, []byte("PAR1")) || isText(first))
}

// decodeBlock decompresses a bare block to at most that many bytes.
func decodeBlock(stored []byte, most uint64) ([]byte, error) {
	length, n := binary.Uvarint(stored)
	switch {
	case n <= 0 || length > maxExpansion*uint64(len(stored)):
		return nil, errBlock
	case length > most:
		return nil, fmt.Errorf("a snappy block of %d bytes; at most %d are decompressed at once", length, most)
	}
	content, err := snappy.DecodeStrict(nil, stored)
	if err != nil {
		return nil, errBlock
	}
	return content, nil
}

// xerialReader decompresses the form that the Java library writes: a header of its
// magic and two versions, which may stand again where streams were joined, and chunks
// of a length and a bare block each.
type xerialReader struct {
	r      *bufio.Reader
	stored []byte
	rest   []byte // of the chunk decompressed last
}

func (x *xerialReader) Read(p []byte) (int, error) {
	for len(x.rest) == 0 {
		if err := x.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, x.rest)
	x.rest = x.rest[n:]
	return n, nil
}

// next decompresses the next chunk, and returns io.EOF after the last.
func (x *xerialReader) next() error {
	const header = len(magicXerial) + 4 + 4
	for {
		magic, _ := x.r.Peek(len(magicXerial))
		if string(magic) != magicXerial {
			break
		}
		if _, err := x.r.Discard(header); err != nil {
			return cutOff(err)
		}
	}
	var size [4]byte
	if _, err := io.ReadFull(x.r, size[:]); err != nil {
		return err // io.EOF if there is not one byte more
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxChunk {
		return fmt.Errorf("a chunk of %d bytes", n)
	}
	if cap(x.stored) < int(n) {
		x.stored = make([]byte, n)
	}
	x.stored = x.stored[:n]
	if _, err := io.ReadFull(x.r, x.stored); err != nil {
		return cutOff(err)
	}
	var err error
	x.rest, err = decodeBlock(x.stored, maxChunk)
	return err
}

// cutOff turns the end of input inside something into an error.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
