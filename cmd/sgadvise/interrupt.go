package main

import (
	"context"
	"io"
)

// interruptible is a reader that ends when ctx does, even while a read of a terminal or
// a pipe waits for data that may never come. Not for concurrent use.
type interruptible struct {
	ctx context.Context
	r   io.Reader

	buf  []byte // what the reading goroutine fills
	left []byte // of buf, not handed out yet
	done chan outcome
	busy bool // a read is under way
	err  error
}

// outcome is that of one read.
type outcome struct {
	n   int
	err error
}

func newInterruptible(ctx context.Context, r io.Reader) *interruptible {
	return &interruptible{ctx: ctx, r: r, buf: make([]byte, 256<<10), done: make(chan outcome, 1)}
}

func (i *interruptible) Read(p []byte) (int, error) {
	if len(i.left) == 0 {
		if i.err != nil {
			return 0, i.err
		}
		if err := i.ctx.Err(); err != nil {
			return 0, err
		}
		if !i.busy {
			i.busy = true
			go func() {
				n, err := i.r.Read(i.buf)
				i.done <- outcome{n, err}
			}()
		}
		select {
		case <-i.ctx.Done():
			// The goroutine is left to its read: the process is about to end.
			return 0, i.ctx.Err()
		case o := <-i.done:
			i.busy, i.err, i.left = false, o.err, i.buf[:o.n]
			if o.n == 0 {
				return 0, i.err
			}
		}
	}
	n := copy(p, i.left)
	i.left = i.left[n:]
	return n, nil
}
