package inflate

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	window   = 32 << 10 // how far back a match may reach
	inSize   = 64 << 10
	inSlack  = 16  // what decodeFast may read in one round
	inStart  = 24  // and what it needs to start: it reads 8 bytes before the first round
	outSlack = 320 // and write: three entries of literals, and a match with what its chunks run over
	maxIdle  = 100 // reads in succession that bring neither data nor an error
)

var le = binary.LittleEndian

// A CorruptError says what is wrong with compressed data.
type CorruptError struct {
	Offset int64 // of about the byte at which it shows
	What   string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s at byte %d of the compressed data", e.What, e.Offset)
}

// kind is a kind of block.
type kind uint8

const (
	noBlock kind = iota // between blocks
	storedBlock
	huffmanBlock
)

// decoder decodes deflate streams. Its input is that of a whole gzip file.
type decoder struct {
	src    io.Reader
	srcErr error  // of src, once it has ended
	buf    []byte // for in
	in     []byte // the part of the input in hand
	ip     int    // what is read of it
	before int64  // bytes of input before in

	// Bits taken from in and not yet used, the next one lowest.
	bits  uint64
	nbits uint

	out []byte
	op  int // what is written of it
	low int // where the member at hand begins in it, or as far as out goes back

	block  kind // of the block at hand
	final  bool // it is the last
	stored int  // bytes left of a stored block

	packed [1 << litRoot]uint32 // single, with more to an entry
	single [litSize]uint32
	dist   [distSize]uint32
}

func (d *decoder) reset(src io.Reader) {
	d.src, d.srcErr, d.in, d.ip, d.before = src, nil, nil, 0, 0
	d.out, d.op = nil, 0
	d.begin()
}

// begin makes d ready for a deflate stream at the next byte.
func (d *decoder) begin() {
	d.bits, d.nbits, d.low, d.block, d.final = 0, 0, d.op, noBlock, false
}

// use makes out what is written to, after the window of what was written so far, and
// returns where that begins. Only the part before outSlack need be filled.
func (d *decoder) use(out []byte) (start int) {
	start = copy(out, d.out[max(0, d.op-window):d.op])
	d.low = max(0, d.low-(d.op-start))
	d.out, d.op = out, start
	return start
}

// full reports whether there may be no room for what one round of decodeFast writes.
func (d *decoder) full() bool { return d.op >= len(d.out)-outSlack }

// decode goes on until the stream ends, with io.EOF, or out is full.
func (d *decoder) decode() error {
	for !d.full() {
		var err error
		switch {
		case d.block == storedBlock:
			err = d.copyStored()
		case d.block == huffmanBlock:
			err = d.huffman()
		case d.final:
			d.align()
			return io.EOF
		default:
			err = d.header()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) corrupt(what string) error {
	return &CorruptError{d.before + int64(d.ip) - int64(d.nbits/8), what}
}

// ended returns the error of input that ends where it must not.
func (d *decoder) ended() error {
	if d.srcErr == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return d.srcErr
}

// more reads more input and reports whether there was some.
func (d *decoder) more() bool {
	if d.srcErr != nil {
		return false
	}
	if d.buf == nil {
		d.buf = make([]byte, inSize)
	}
	keep := min(d.ip, 8) // what bits may hold and align give back
	d.before += int64(d.ip - keep)
	rest := copy(d.buf, d.in[d.ip-keep:])
	n := 0
	for range maxIdle {
		if n, d.srcErr = d.src.Read(d.buf[rest:]); n > 0 || d.srcErr != nil {
			break
		}
	}
	if n == 0 && d.srcErr == nil {
		d.srcErr = io.ErrNoProgress
	}
	d.in, d.ip = d.buf[:rest+n], keep
	return n > 0
}

// need makes n bits available, n at most 56, and reports whether there are so many.
func (d *decoder) need(n uint) bool {
	for d.nbits < n {
		if d.ip == len(d.in) && !d.more() {
			return false
		}
		d.bits |= uint64(d.in[d.ip]) << d.nbits
		d.ip++
		d.nbits += 8
	}
	return true
}

func (d *decoder) take(n uint) uint32 {
	v := uint32(d.bits & (1<<n - 1))
	d.bits >>= n
	d.nbits -= n
	return v
}

// align drops the rest of a byte that was begun, and gives back the bytes after it.
func (d *decoder) align() {
	d.ip -= int(d.nbits / 8)
	d.bits, d.nbits = 0, 0
}

// readFull reads as many bytes of a stream that is aligned as p takes, and returns how
// many there were.
func (d *decoder) readFull(p []byte) (n int) {
	for n < len(p) {
		if d.ip == len(d.in) && !d.more() {
			break
		}
		k := copy(p[n:], d.in[d.ip:])
		n += k
		d.ip += k
	}
	return n
}

// header reads the header of a block.
func (d *decoder) header() error {
	if !d.need(3) {
		return d.ended()
	}
	d.final = d.take(1) == 1
	switch d.take(2) {
	case 0:
		return d.storedHeader()
	case 1:
		d.fixed()
	case 2:
		if err := d.dynamic(); err != nil {
			return err
		}
	default:
		return d.corrupt("reserved type of block")
	}
	d.block = huffmanBlock
	return nil
}

func (d *decoder) storedHeader() error {
	d.align()
	var h [4]byte
	if d.readFull(h[:]) < len(h) {
		return d.ended()
	}
	n := le.Uint16(h[:])
	if le.Uint16(h[2:]) != ^n {
		return d.corrupt("length of stored block does not match its complement")
	}
	d.stored = int(n)
	d.block = storedBlock
	return nil
}

func (d *decoder) copyStored() error {
	p := d.out[d.op:]
	p = p[:min(d.stored, len(p))]
	n := d.readFull(p)
	d.op += n
	d.stored -= n
	switch {
	case n < len(p):
		return d.ended()
	case d.stored == 0:
		d.block = noBlock
	}
	return nil
}

func (d *decoder) fixed() {
	var lengths [maxLits]uint8
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	build(d.single[:], litRoot, lengths[:], litSymbols[:], notLiterals|notLength)
	pack(&d.packed, &d.single)
	for i := range maxDists {
		lengths[i] = 5
	}
	build(d.dist[:], distRoot, lengths[:maxDists], distSymbols[:], notDistance)
}

// codeOrder is in which order the lengths of the code for lengths are written.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block.
func (d *decoder) dynamic() error {
	const root = 7 // bits of the longest code for lengths
	if !d.need(14) {
		return d.ended()
	}
	lits, dists, codes := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if lits > 286 || dists > 30 {
		return d.corrupt("more codes than there are symbols")
	}
	var lengths [286 + 30]uint8
	for _, s := range codeOrder[:codes] {
		if !d.need(3) {
			return d.ended()
		}
		lengths[s] = uint8(d.take(3))
	}
	if !build(d.dist[:], root, lengths[:19], codeSymbols[:], notDistance) {
		return d.corrupt("wrong code for the lengths of codes")
	}
	clear(lengths[:19])
	for i := 0; i < lits+dists; {
		d.need(root)
		e := d.dist[d.bits&(1<<root-1)]
		switch {
		case d.nbits == 0 || uint(e&bitsMask) > d.nbits:
			return d.ended()
		case e&notDistance != 0:
			return d.corrupt("no code for the lengths of codes")
		}
		d.take(uint(e & bitsMask))
		s := e >> baseShift
		if s < 16 {
			lengths[i] = uint8(s)
			i++
			continue
		}
		length, extra, times := uint8(0), uint(7), 11
		switch s {
		case 16:
			if i == 0 {
				return d.corrupt("no length to repeat")
			}
			length, extra, times = lengths[i-1], 2, 3
		case 17:
			extra, times = 3, 3
		}
		if !d.need(extra) {
			return d.ended()
		}
		times += int(d.take(extra))
		if i+times > lits+dists {
			return d.corrupt("more lengths than codes")
		}
		for range times {
			lengths[i] = length
			i++
		}
	}
	if !build(d.single[:], litRoot, lengths[:lits], litSymbols[:], notLiterals|notLength) ||
		!build(d.dist[:], distRoot, lengths[lits:lits+dists], distSymbols[:], notDistance) {
		return d.corrupt("wrong lengths of codes")
	}
	pack(&d.packed, &d.single)
	return nil
}

// huffman decodes a block until it ends or out is full: by decodeFast as long as enough
// input is at hand, by decodeOne else.
func (d *decoder) huffman() error {
	for !d.full() {
		for len(d.in)-d.ip <= inStart && d.more() {
		}
		end, err := d.decodeFast()
		if err == nil && !end && !d.full() && len(d.in)-d.ip <= inStart {
			end, err = d.decodeOne()
		}
		if end {
			d.block = noBlock
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeOne decodes one symbol, or a length and its distance, by the tables that have
// one symbol to an entry: a packed entry may also stand for bits that are not there.
// It reports whether the symbol was the end of the block.
func (d *decoder) decodeOne() (end bool, err error) {
	e, bits, err := d.symbol(d.single[:], litRoot)
	switch {
	case err != nil:
		return false, err
	case e&notLiterals == 0:
		d.out[d.op] = byte(e >> litShift)
		d.op++
		return false, nil
	case e&notLength != 0 && e&kindEnd != 0:
		return true, nil
	case e&notLength != 0:
		return false, d.corrupt("no symbol of the code")
	}
	length := int(e>>baseShift&lengthMask) + int(bits>>(e>>lenCode&codeMask))

	if e, bits, err = d.symbol(d.dist[:], distRoot); err != nil {
		return false, err
	}
	if e&notDistance != 0 {
		return false, d.corrupt("no symbol of the code for distances")
	}
	distance := int(e>>baseShift) + int(bits>>(e>>distCode&codeMask))
	if distance > d.op-d.low {
		return false, d.corrupt("match from before the beginning")
	}
	for range length {
		d.out[d.op] = d.out[d.op-distance]
		d.op++
	}
	return false, nil
}

// symbol reads a code with its extra bits and returns its entry in table and the bits
// that the entry stands for.
func (d *decoder) symbol(table []uint32, root uint) (e uint32, bits uint64, err error) {
	d.need(maxCode + 13) // or what is left
	e = table[d.bits&(1<<root-1)]
	if e&(notDistance|kindLink) == notDistance|kindLink {
		if d.nbits < root {
			return 0, 0, d.ended()
		}
		d.take(root)
		e = table[e>>offsetShift&offsetMask+uint32(d.bits)&(1<<(e>>secondShift&codeMask)-1)]
	}
	n := uint(e & bitsMask)
	if n > d.nbits {
		return 0, 0, d.ended()
	}
	return e, uint64(d.take(n)), nil
}
