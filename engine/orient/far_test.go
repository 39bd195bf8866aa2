package orient

import (
	"math/rand/v2"
	"testing"
)

func TestFarServicesAreAsInAMap(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		want := make(map[uint16]uint64)
		var s []farService
		for range r.IntN(20) {
			x := farService{uint16(r.IntN(12)), 1 << r.IntN(64)}
			if seed%2 == 0 { // in order, as a rule
				x.port += uint16(len(s))
			}
			s = append(s, x)
			want[x.port] |= x.clients
		}
		s = joined(s)
		for port := range uint16(40) {
			if got := clients(s, port); got != want[port] {
				t.Fatalf("seed %d: port %d has clients %#x, want %#x", seed, port, got, want[port])
			}
		}
	}
}
