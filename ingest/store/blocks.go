package store

// Blocks give out memory outside the collector's heap, as the rows of [Connections] are,
// where the system has such. It lives until b is unreachable: whoever reads what
// [NewBlock] returned keeps b alive until then.
type Blocks struct{ mem *arena }

// NewBlocks returns Blocks that hold nothing yet.
func NewBlocks() *Blocks { return &Blocks{newArena()} }

// NewBlock returns n zero values of T, which has no pointers. It is safe for concurrent
// use. Few values are not worth it: the system gives pages.
func NewBlock[T any](b *Blocks, n int) []T { return allocSlice[T](b.mem, n) }
