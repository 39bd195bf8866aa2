// Package suppress reads lists of findings whose risk somebody has accepted, for a reason
// and until a day, and says which findings they are about. It judges nothing: a finding
// keeps its severity, and what follows is for the caller to say.
package suppress
