// Package analyzer turns evidence into verdicts and findings: a file a check.
package analyzer
