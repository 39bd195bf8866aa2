package inflate

import (
	"errors"
	"io"
)

const (
	// blockSize is what is decompressed at once: much more than the window, which is
	// copied from block to block, and little enough for the second-level cache.
	blockSize  = 256 << 10
	bufferSize = window + blockSize + outSlack
	buffers    = 3 // one being read, one being written, and one for when either is late
)

var errClosed = errors.New("inflate: read after Close")

// Reader decompresses a gzip file, also one of several members. A file that is larger
// than a block is decompressed by a goroutine of its own, a few blocks ahead of what is
// read. The zero Reader is one to call Reset on. A Reader is not safe for concurrent use
// and must not be copied.
type Reader struct {
	m     members  // of the goroutine, while there is one
	begun bool     // the first block has been decompressed
	buf   []byte   // the buffer in hand
	spare [][]byte // further ones
	data  []byte   // what is still to be read of buf
	err   error    // what follows data

	blocks chan block  // what the goroutine has decompressed; nil without one
	free   chan []byte // what it may write to
}

type block struct {
	buf, data []byte
	err       error
}

// NewReader returns a Reader of the file that src holds, which may be read further than
// the end of the file. If src is empty, the error is io.EOF, if it begins with anything
// but a gzip header, ErrHeader. Reading ends with io.ErrUnexpectedEOF if the file is cut
// off, with ErrHeader if something else follows it, with ErrChecksum or a *CorruptError
// if it is damaged, and with the error of src if that has one; all that could be
// decompressed is read before. Whether it is right is known only at io.EOF.
//
// Close must be called in the end.
func NewReader(src io.Reader) (*Reader, error) {
	z := new(Reader)
	if err := z.Reset(src); err != nil {
		return nil, err
	}
	return z, nil
}

// Reset makes z what NewReader returns for src, with the memory that z has. It may be
// called at any time, also after Close.
func (z *Reader) Reset(src io.Reader) error {
	z.Close()
	z.err = z.m.open(src)
	return z.err
}

// Close stops z; src is no longer read when it returns. It returns nil.
func (z *Reader) Close() error {
	if z.blocks != nil {
		close(z.free)
		for b := range z.blocks {
			z.spare = append(z.spare, b.buf)
		}
		for buf := range z.free {
			z.spare = append(z.spare, buf)
		}
		z.blocks, z.free = nil, nil
	}
	z.m.d.reset(nil)
	z.begun, z.data, z.err = false, nil, errClosed
	return nil
}

// Read implements io.Reader.
func (z *Reader) Read(p []byte) (int, error) {
	for len(z.data) == 0 {
		if z.err != nil {
			return 0, z.err
		}
		z.next()
	}
	n := copy(p, z.data)
	z.data = z.data[n:]
	return n, nil
}

// next takes the next block: the first as it is decompressed, those after it from the
// goroutine.
func (z *Reader) next() {
	if !z.begun {
		z.begun = true
		if z.buf == nil {
			z.buf = make([]byte, bufferSize)
			z.spare = make([][]byte, buffers-1, buffers) // made when they are needed
		}
		z.data, z.err = z.m.next(z.buf)
		return
	}
	if z.blocks == nil {
		z.blocks, z.free = make(chan block, buffers), make(chan []byte, buffers)
		for _, buf := range z.spare {
			z.free <- buf
		}
		z.spare = z.spare[:0]
		go z.m.ahead(z.blocks, z.free)
	}
	z.free <- z.buf
	b := <-z.blocks
	z.buf, z.data, z.err = b.buf, b.data, b.err
}

// ahead sends what it decompresses until the file or free ends. It cannot be held up:
// there is room for as many blocks as there are buffers. That a buffer with the window
// of the next block may be free does not matter, since next copies it before it writes.
func (m *members) ahead(blocks chan<- block, free <-chan []byte) {
	defer close(blocks)
	for buf := range free {
		if buf == nil {
			buf = make([]byte, bufferSize)
		}
		data, err := m.next(buf)
		blocks <- block{buf, data, err}
		if err != nil {
			return
		}
	}
}
