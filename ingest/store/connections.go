package store

import "github.com/sgadvise/sgadvise/ingest/flow"

// Connections is the reduced form of a set of flow logs: distinct rows in one
// total order, so that equal input gives equal Connections whatever the order of
// files and lines and the number of workers. It is immutable and safe for
// concurrent use.
type Connections struct {
	interfaces []string
	rows       []Row
	coverage   []Coverage
	ledger     flow.Ledger
	outside    uint64
	from, to   int64
}

// Len returns the number of rows.
func (c *Connections) Len() int { return len(c.rows) }

// Row copies row i into r. Rows are ordered by interface name, protocol, remote
// address, local address, local port, remote port, client side, side, action, class.
func (c *Connections) Row(i int, r *Row) { *r = c.rows[i] }

// Interfaces returns the names that Row.Interface indexes, ascending. It includes
// interfaces with coverage rows only.
func (c *Connections) Interfaces() []string { return c.interfaces }

// Coverage returns what is known of each interface, in the order of Interfaces.
func (c *Connections) Coverage() []Coverage { return c.coverage }

// Ledger returns the dispositions settled while reading: nodata and skipdata rows.
func (c *Connections) Ledger() flow.Ledger { return c.ledger }

// Outside returns the number of records left out because they lie outside the window.
func (c *Connections) Outside() uint64 { return c.outside }

// Window returns the least start and the greatest end of all rows, in Unix
// seconds; 0, 0 if there are none.
func (c *Connections) Window() (from, to int64) { return c.from, c.to }
