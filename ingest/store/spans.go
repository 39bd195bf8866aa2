package store

import "sort"

// Spans returns where the rows of each interface begin, in the order of
// [Connections.Interfaces], and after those the number of rows: interface i has rows
// Spans()[i] up to, and without, Spans()[i+1].
func (c *Connections) Spans() []int {
	out := make([]int, len(c.interfaces)+1)
	n := c.Len()
	for i := range c.interfaces {
		lo := out[i]
		out[i+1] = lo + sort.Search(n-lo, func(k int) bool { return c.columns.iface[lo+k] > uint32(i) })
	}
	return out
}

// Records returns the number of records in all rows.
func (c *Connections) Records() uint64 {
	var n uint64
	for _, r := range c.columns.records {
		n = saturatingAdd(n, r)
	}
	return n
}
