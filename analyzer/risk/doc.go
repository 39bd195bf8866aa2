// Package risk estimates the chance that a plan blocks what is still to come.
//
// The unit is the peer-day, never the flow: flows come in sessions, and estimates
// made from them are too low by orders of magnitude. A [Window] names the days the
// evidence speaks for; [Window.NewPeers] estimates how many peers of the next days
// were not seen yet; [Window.Split] cuts the window for a back-test, in which the
// plan is made from the first days and tried on the last ones; [Outcome.Class]
// sums both up in a word.
//
// No estimator sees a rhythm longer than its window. The package makes no plan and
// reads no policy: it gets day masks and gives numbers.
package risk
