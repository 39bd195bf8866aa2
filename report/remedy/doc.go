// Package remedy writes a plan down as files that a person runs: with the command line of
// a cloud, or with Terraform.
//
// Every target keeps one order. First all new rules are added, and read back. Then rules
// that allow go, then rules that deny. A new rule lies inside of what is allowed, so the
// first part opens nothing; whatever has been removed at any moment, everything that the
// plan keeps is there already, so nothing observed is ever denied in between; and denies
// go last, when nothing is left below them that they hold back. Rolling back takes the
// same way back.
//
// What a target cannot say exactly is not said at all: it is in Outcome.Left, with the
// reason, and so is every edit that might rest on it.
//
// The package opens no file and runs nothing. Texts from policies are hostile: every
// word of a script is quoted, ids that do not look like ids of the cloud are refused.
package remedy
