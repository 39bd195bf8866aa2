package digest

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/engine"
)

// mostOf is how many of each list of a [Detail] are kept.
const mostOf = 5

// Detail is what the connections say of one rule beside its counts.
type Detail struct {
	Rule int // index into Result.Rules
	// Shares are rules of the same direction that matched connections of this one, too,
	// the greatest first; More is the number of those left out. Network ACL lines and
	// group rules decide one after the other, so they are kept apart.
	Shares []Share
	More   int
	// Decisive are the connections that would end otherwise without the rule, by index
	// into Result.Connections, the greatest by records first. How many there are in all
	// is in the usage of the rule.
	Decisive []int
}

// Share is how many connections a rule has in common with another one.
type Share struct {
	Rule        int // index into Result.Rules
	Connections uint64
}

// Details looks at the given rules of res, indexes into Result.Rules, ascending. It
// returns one Detail for each.
func Details(res *engine.Result, rules []int) []Detail {
	out := make([]Detail, len(rules))
	at := make(map[int32]int, len(rules))
	for k, id := range rules {
		out[k].Rule = id
		at[int32(id)] = k
	}
	chosen := func(ids []int32) (of []int32) {
		for _, id := range ids {
			if k, ok := at[id]; ok {
				of = append(of, int32(k))
			}
		}
		return of
	}
	decisive := make([][]int32, len(res.Signatures)) // signature → details
	for s := range res.Signatures {
		decisive[s] = chosen(res.Signatures[s].Decisive)
	}
	count := make([]uint64, len(res.Signatures))
	greatest := make([][]great, len(rules))
	for i, c := range res.Connections.All() {
		count[c.Signature]++
		for _, k := range decisive[c.Signature] {
			greatest[k] = insert(greatest[k], great{i, c.Records})
		}
	}
	acl := aclRules(res)
	shares := make([]map[int32]uint64, len(rules))
	for s := range res.Signatures {
		hits := res.Signatures[s].Hits
		for _, k := range chosen(hits) {
			if shares[k] == nil {
				shares[k] = make(map[int32]uint64)
			}
			for _, id := range hits {
				if mine := out[k].Rule; mine != int(id) && count[s] > 0 && acl[id] == acl[mine] && res.Rules[id].Direction == res.Rules[mine].Direction {
					shares[k][id] += count[s]
				}
			}
		}
	}
	for k := range out {
		for _, x := range greatest[k] {
			out[k].Decisive = append(out[k].Decisive, x.index)
		}
		for id, n := range shares[k] {
			out[k].Shares = append(out[k].Shares, Share{int(id), n})
		}
		slices.SortFunc(out[k].Shares, func(a, b Share) int {
			return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Rule, b.Rule))
		})
		if n := len(out[k].Shares); n > mostOf {
			out[k].Shares, out[k].More = out[k].Shares[:mostOf], n-mostOf
		}
	}
	return out
}

// aclRules says of each rule of res whether it is a line of a network ACL.
func aclRules(res *engine.Result) []bool {
	owners := make(map[string]bool)
	for i := range res.Snapshot.ACLs {
		owners[res.Snapshot.ACLs[i].ID] = true
	}
	out := make([]bool, len(res.Rules))
	for i, r := range res.Rules {
		out[i] = owners[r.Ref.Owner]
	}
	return out
}

// great is a connection that may be among the greatest.
type great struct {
	index   int
	records uint64
}

// insert adds x to the greatest by records, the first of equal ones first.
func insert(top []great, x great) []great {
	if len(top) == mostOf && top[mostOf-1].records >= x.records {
		return top
	}
	if len(top) == mostOf {
		top = top[:mostOf-1]
	}
	k := len(top)
	for k > 0 && top[k-1].records < x.records {
		k--
	}
	return slices.Insert(top, k, x)
}
