// Package plan turns evidence into one list of edits that hold together, and
// proves the list by replay.
//
// Findings stand alone; edits conflict. [Make] accepts edits in sequence, each
// checked against what the earlier ones left: first those that keep the permitted
// space ([Equivalent]), then, if asked, those that shrink it to what was observed
// ([Observed]). [Apply] gives the planned snapshot; [Certify] replays every
// connection against it with the slow policy.Decide, which shares nothing with the
// code that made the plan.
package plan
