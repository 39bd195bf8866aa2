// Package analyzer turns evidence into verdicts on rules, findings, and one plan.
//
// [Run] takes the result of a replay. It first settles what the logs could have shown
// ([Evidence]: the window, coverage and gaps of every interface), then judges every rule
// ([RuleVerdict]), has the plan made (analyzer/plan), and runs the checks ([All]). A check
// is an [Analyzer], a file each, with a text for the operator: what it claims, from what
// evidence, when it is wrong, what to do. A [Finding] is one claim with its facts; its ID
// depends on check, subject and substance only, so it is the same in the next run.
//
// Verdicts follow the definitions of the report document; the first that fits holds. "Unused"
// needs a rule that is attached, that a log could have shown, whose peers are known, and
// evidence without gaps over the minimum of days; otherwise the verdict says which of these
// is missing.
//
// Findings stand alone and conflict with each other: two equal rules are each a duplicate.
// What can be done together is in the plan alone, and every edit of the plan answers a
// finding.
//
// The package reads no files and no clock; its outcome is a function of its input.
package analyzer
