package classify

import "slices"

// Remotes cuts the IPv4 addresses into classes of remote addresses that some tables do not
// tell apart. The zero value is ready to use.
type Remotes struct {
	from  []uint32 // the first address of each range
	class []int32  // of each range
	known map[places]int32
}

// places are the rows of a range, by axis.
type places [8]rowID

// Of makes r that of tables, in place of what it was. It fails if one of them tries its boxes
// one by one (see [Try]), and if they have more than a few stages.
func (r *Remotes) Of(tables ...*Table) bool {
	r.from, r.class = append(r.from[:0], 0), r.class[:0]
	var axes []axis
	for _, t := range tables {
		for i := range t.stages {
			s := &t.stages[i]
			if s.trials != nil {
				return false
			}
			if len(s.remote.in4) == 0 {
				continue
			}
			if len(axes) == len(places{}) {
				return false
			}
			axes = append(axes, s.remote.in4)
			for _, c := range s.remote.in4 {
				r.from = append(r.from, c.from)
			}
		}
	}
	slices.Sort(r.from)
	r.from = slices.Compact(r.from)
	if r.known == nil {
		r.known = make(map[places]int32)
	}
	clear(r.known)
	var at [len(places{})]int
	var rows places
	for _, from := range r.from {
		for i, a := range axes {
			if at[i]+1 < len(a) && a[at[i]+1].from <= from {
				at[i]++
			}
			rows[i] = a[at[i]].row
		}
		class, ok := r.known[rows]
		if !ok {
			class = int32(len(r.known))
			r.known[rows] = class
		}
		r.class = append(r.class, class)
	}
	return true
}

// Class returns the class of v. near is where the last address was found; in ascending order
// it is there, or a little further.
func (r *Remotes) Class(v uint32, near *int) int32 {
	i := *near
	if i >= len(r.from) || r.from[i] > v {
		i = 0
	}
	if i+1 < len(r.from) && r.from[i+1] <= v {
		if i++; i+1 < len(r.from) && r.from[i+1] <= v {
			n, ok := slices.BinarySearch(r.from[i+1:], v)
			if i += n; ok {
				i++
			}
		}
	}
	*near = i
	return r.class[i]
}
