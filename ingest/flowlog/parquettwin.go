package flowlog

import (
	"bytes"

	"github.com/parquet-go/parquet-go"
)

// The addresses in the packet header are those of the flow, unless something between
// replaced them. Then the two columns are mostly the same in the file too, byte for byte,
// and the second one need not be decoded: a batch without it means just that.

// flowAddr returns, of an address of the packet header, which one of the flow it replaces;
// of other fields the field.
func (f Field) flowAddr() Field {
	switch f {
	case PktSrcAddr:
		return SrcAddr
	case PktDstAddr:
		return DstAddr
	}
	return f
}

// mayRepeat says that c may have the same pages as twin, which is read before c.
func (c *parquetColumn) mayRepeat(twin *parquetColumn) {
	if c.kind == parquet.ByteArray && twin.kind == c.kind && twin.pages.nullable == c.pages.nullable {
		c.twin, c.pages.like, twin.pages.keep = twin, &twin.pages, true
	}
}

// repeated reports whether the page with the header h, which was just read, is the one
// that like is at, and steps over it then.
func (p *pageReader) repeated(h *pageHeader) (bool, error) {
	if p.hasDict != p.like.hasDict || p.hasDict && !p.dictLike {
		return false, nil
	}
	same, err := p.skipSame(h, &p.like.page)
	if same {
		p.rows = h.values
	}
	return same, err
}

// repeatedDictionary does the same for the dictionary of like.
func (p *pageReader) repeatedDictionary(h *pageHeader) (bool, error) {
	if p.like == nil || !p.like.hasDict {
		return false, nil
	}
	return p.skipSame(h, &p.like.dictionary)
}

// skipSame steps over the page that follows its header, if both are what kept has.
func (p *pageReader) skipSame(h *pageHeader, kept *storedPage) (bool, error) {
	if kept.body == nil || *h != kept.header {
		return false, nil
	}
	at := min(h.compressed, len(p.ahead))
	if !bytes.Equal(p.ahead[:at], kept.body[:at]) {
		return false, nil
	}
	const part = 1 << 15
	p.unpack.stored = resized(p.unpack.stored, part)
	for at < h.compressed {
		b := p.unpack.stored[:min(part, h.compressed-at)]
		if err := readFull(p.r, b, p.at+int64(at)); err != nil {
			return false, err
		}
		if !bytes.Equal(b, kept.body[at:at+len(b)]) {
			return false, nil
		}
		at += len(b)
	}
	p.skip(h.compressed)
	return true, nil
}

// ownDictionary takes over the dictionary of like, if it is the same, for a page that is not.
func (p *pageReader) ownDictionary() {
	if !p.dictLike {
		return
	}
	d, like := &p.dict, &p.like.dict
	d.own, d.offs = append(d.own[:0], like.text...), append(d.offs[:0], like.offs...)
	d.text, d.gap = d.own, like.gap
	p.dictLike, p.newDict = false, true
}
