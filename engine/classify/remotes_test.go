package classify

import (
	"math/rand/v2"
	"testing"
)

func TestRemotesTellApartWhatTablesDo(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		var tables []*Table
		for range 1 + r.IntN(4) {
			table := &Table{stages: make([]stage, r.IntN(3))}
			for i := range table.stages {
				a := axis{{0, rowID(r.IntN(3))}}
				for from := uint32(r.IntN(4)); r.IntN(8) > 0; from += 1 + uint32(r.IntN(4)) {
					if from > 0 {
						a = append(a, cut{from, rowID(r.IntN(3))})
					}
				}
				if r.IntN(4) > 0 {
					table.stages[i].remote.in4 = a
				}
			}
			tables = append(tables, table)
		}
		var x Remotes
		if r.IntN(2) == 0 {
			x.Of(&Table{stages: []stage{{remote: side{in4: axis{{0, 1}, {7, 2}}}}}}) // what it was before
		}
		stages := 0
		for _, table := range tables {
			for i := range table.stages {
				if len(table.stages[i].remote.in4) > 0 {
					stages++
				}
			}
		}
		if ok := x.Of(tables...); ok != (stages <= 8) {
			t.Fatalf("seed %d: %v with %d stages", seed, ok, stages)
		} else if !ok {
			continue
		}
		rows := func(v uint32) (out [8]rowID) {
			n := 0
			for _, table := range tables {
				for i := range table.stages {
					if a := table.stages[i].remote.in4; len(a) > 0 {
						out[n] = a[a.find(v, 0)].row
						n++
					}
				}
			}
			return out
		}
		near := r.IntN(10)
		classes := make(map[int32][8]rowID)
		for range 200 {
			v := uint32(r.IntN(60))
			class := x.Class(v, &near)
			if want, ok := classes[class]; ok && want != rows(v) {
				t.Fatalf("seed %d: %d is of class %d, as is what tables tell apart from it", seed, v, class)
			}
			classes[class] = rows(v)
			if again := x.Class(v, new(int)); again != class {
				t.Fatalf("seed %d: %d is of class %d or %d", seed, v, class, again)
			}
		}
	}
	if new(Remotes).Of(&Table{stages: []stage{{trials: new(trials)}}}) {
		t.Error("a table that tries its boxes has classes")
	}
}
