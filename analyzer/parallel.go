package analyzer

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls f with every number below n, in any order, from as many goroutines as
// run at once. Calls for different numbers must not touch the same things.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}
