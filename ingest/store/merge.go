package store

import "github.com/sgadvise/sgadvise/ingest/flow"

// Merge returns the Connections of the records of a and of b together. Both were
// made with the same Config, but for Workers. It is commutative and associative,
// and leaves a and b as they are.
func Merge(a, b *Connections) *Connections {
	t := NewTally(Config{})
	w := t.Worker()
	w.mergeRollUps(a, b)
	w.merge(a)
	w.merge(b)
	return t.Finish()
}

// merge adds c.
func (w *TallyWorker) merge(c *Connections) {
	of := w.single[:0]
	for i, name := range c.interfaces {
		id := w.id(name)
		of = append(of, id)
		w.ifaces[id].add(c.coverage[i].sightings())
	}
	w.of, w.single = of, of
	w.outside = saturatingAdd(w.outside, c.outside)
	w.noData = saturatingAdd(w.noData, c.ledger[flow.NoData])
	w.skipData = saturatingAdd(w.skipData, c.ledger[flow.SkipData])
	w.unsupported = saturatingAdd(w.unsupported, c.ledger[flow.Unsupported])

	var r Row
	for from := 0; from < c.Len(); from += BatchSize {
		w.begin()
		w.clear()
		for i := from; i < min(from+BatchSize, c.Len()); i++ {
			c.Row(i, &r)
			w.addKnown(w.eraID(eraKey{w.of[r.Interface], r.EraLo, r.EraHi}), &r)
		}
		w.flush()
		w.end()
	}
}

// mergeRollUps takes over how far a and b were rolled up.
func (w *TallyWorker) mergeRollUps(a, b *Connections) {
	t := w.t
	for _, c := range []*Connections{a, b} {
		if c.roll.limit == 0 {
			continue // no logs, or no limit
		}
		if t.roll.limit == 0 {
			t.roll.limit, t.roll.bounds, t.roll.peers = c.roll.limit, c.roll.bounds, c.roll.peers
			t.rollAt = uint64(t.roll.limit) + uint64(t.roll.limit)/4
		}
		t.roll.peers = min(t.roll.peers, c.roll.peers)
		for k, level := range c.roll.levels {
			if t.roll.levels == nil {
				t.roll.levels = make(map[wideKey]uint8)
			}
			k.iface = w.idOf(c, k.iface)
			t.roll.levels[k] = max(t.roll.levels[k], level)
		}
	}
}

// idOf returns the id here of the interface, or era, that rows of c have the number of.
func (w *TallyWorker) idOf(c *Connections, number uint32) uint32 {
	var r Row
	c.place(number, &r)
	return w.eraID(eraKey{w.id(c.interfaces[r.Interface]), r.EraLo, r.EraHi})
}

// addKnown appends r as a row of the interface, or the era, of that id.
func (w *TallyWorker) addKnown(id uint32, r *Row) {
	w.addRow(&wideRow{
		wideKey: wideKey{
			local: r.Local, remote: r.Remote, iface: id, localPort: r.LocalPort, remotePort: r.RemotePort,
			free: r.RemoteFree, kind: kindOf(r.Proto, r.Client, r.Side, r.Action, r.Class),
		},
		flags: r.Flags, portLo: r.PortLo, portHi: r.PortHi, portBits: r.PortBits, days: r.Days,
		records: r.Records, packets: r.Packets, bytes: r.Bytes, first: r.First, last: r.Last,
	})
}
