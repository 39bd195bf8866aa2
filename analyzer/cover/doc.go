// Package cover finds the least prefixes and port ranges that include what was
// observed, under a budget of rules.
//
// [Solve] takes [Point]s, services seen at an address, and returns one [Solution] for
// every number of [Box]es up to the budget, so that the caller can weigh rules
// against exposure. A box is what one rule can say. [Options] keep boxes inside the
// rule that they replace, prefer subnets to arbitrary prefixes, and name the hosts
// that must not be written down one by one. [Exposure] is the weighted number of
// (address, service) pairs that boxes admit, counted once; [Weights] are its weights.
// [Knapsack] and [GapCut] solve the two halves of the problem alone: prefixes for
// addresses, and ranges for ports.
//
// For one service the best prefixes come from a knapsack on the trie of addresses,
// for one address the best ranges from a cut at the heaviest gaps; both are exact.
// Prefixes and ports together are a hard problem: port slabs, address slabs,
// agglomeration and local search compete, and up to 12 points are solved exactly.
//
// [MinCover] is the other cover problem of the analysis: the cheapest rules to keep
// such that each observed signature still has one of its rules.
//
// The package does not know rules, groups or findings, and does not judge whether
// what was observed is enough to go by.
package cover
