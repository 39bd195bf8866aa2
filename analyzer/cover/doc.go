// Package cover finds the least prefixes and port ranges that include what was
// observed, under a budget of rules.
package cover
