package inflate

import (
	"errors"
	"hash/crc32"
	"io"
)

var (
	// ErrHeader says that a gzip file, or what follows a member of one, does not begin
	// like a member of a gzip file.
	ErrHeader = errors.New("invalid gzip header")
	// ErrChecksum says that what was decompressed is not what was compressed.
	ErrChecksum = errors.New("gzip checksum or length does not match the data")
)

// Flags of a member's header, RFC 1952, section 2.3.1.
const (
	flagHeaderSum = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
	flagReserved  = 7 << 5

	maxText = 512 // bytes of a name or comment, as in compress/gzip
)

// members decodes gzip files: one or more members, each a deflate stream with a header
// before and a checksum after it.
type members struct {
	d    decoder
	head [10]byte // of a header
	sum  uint32   // of what was decompressed of the member at hand
	size uint32
	err  error // what ended it
}

// open begins to read a file and reads the first header. A file of no byte ends with
// io.EOF there.
func (m *members) open(src io.Reader) error {
	m.d.reset(src)
	m.err = m.header()
	return m.err
}

// next decompresses into buf, up to outSlack before its end and after room for the
// window, and returns the part of buf that holds what it got. It returns an error
// together with all that could be decompressed before it, and at the end io.EOF. What it
// returned last must not have been written to.
func (m *members) next(buf []byte) ([]byte, error) {
	if m.err != nil {
		return nil, m.err
	}
	start := m.d.use(buf)
	for from := start; ; from = m.d.op {
		err := m.d.decode()
		part := m.d.out[from:m.d.op]
		m.sum = crc32.Update(m.sum, crc32.IEEETable, part)
		m.size += uint32(len(part))
		if err == io.EOF {
			if err = m.trailer(); err == nil {
				err = m.header()
			}
		}
		if m.err = err; err != nil || m.d.full() {
			return m.d.out[start:m.d.op], err
		}
	}
}

func (m *members) trailer() error {
	var t [8]byte
	if m.d.readFull(t[:]) < len(t) {
		return m.d.ended()
	}
	if le.Uint32(t[:]) != m.sum || le.Uint32(t[4:]) != m.size {
		return ErrChecksum
	}
	return nil
}

// header reads the header of a member. What it says of the file compressed is of no use
// here and skipped.
func (m *members) header() error {
	d, h := &m.d, &m.head
	switch n := d.readFull(h[:]); {
	case n == 0:
		return d.srcErr // io.EOF: there is no other member
	case n < len(h):
		return d.ended()
	case h[0] != 0x1f || h[1] != 0x8b || h[2] != 8:
		return ErrHeader
	}
	sum := crc32.ChecksumIEEE(h[:])
	flags := h[3]
	if flags&flagExtra != 0 {
		n, ok := d.headerBytes(2, &sum)
		if !ok {
			return d.ended()
		}
		if _, ok = d.headerBytes(int(n), &sum); !ok {
			return d.ended()
		}
	}
	for _, flag := range []byte{flagName, flagComment} {
		if flags&flag == 0 {
			continue
		}
		for n := 1; ; n++ {
			c, ok := d.headerBytes(1, &sum)
			if !ok {
				return d.ended()
			}
			if c == 0 {
				break
			}
			if n == maxText {
				return ErrHeader
			}
		}
	}
	if flags&flagHeaderSum != 0 {
		want := uint16(sum)
		got, ok := d.headerBytes(2, &sum)
		if !ok {
			return d.ended()
		}
		if got != want {
			return ErrHeader
		}
	}
	if flags&flagReserved != 0 {
		return ErrHeader
	}
	m.sum, m.size = 0, 0
	d.begin()
	return nil
}

// headerBytes reads n bytes of a header, adds them to its checksum and returns the
// number that the last two of them are.
func (d *decoder) headerBytes(n int, sum *uint32) (last uint16, ok bool) {
	for ; n > 0; n-- {
		if d.ip == len(d.in) && !d.more() {
			return 0, false
		}
		*sum = crc32.Update(*sum, crc32.IEEETable, d.in[d.ip:d.ip+1])
		last = last>>8 | uint16(d.in[d.ip])<<8
		d.ip++
	}
	return last, true
}
