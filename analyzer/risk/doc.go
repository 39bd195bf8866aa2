// Package risk estimates the chance that a plan blocks what is still to come.
package risk
