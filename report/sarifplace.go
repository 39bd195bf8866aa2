package report

import (
	"net/url"
	"slices"
	"strings"
)

// sarifView finds the places of what a report names.
type sarifView struct {
	r      *Report // cleaned
	rules  map[string]*Rule
	kinds  map[string]string  // group → kind
	files  map[string]*Source // group → the first place that is known of its rules
	inputs map[string]int     // path of a policy file → its number
	plans  map[string]string  // id of a finding → the edit that answers it

	suppressed bool // some findings are
}

func newSARIFView(r *Report) *sarifView {
	s := &sarifView{r: r, rules: rulesByRef(r), kinds: map[string]string{}, files: map[string]*Source{}, inputs: map[string]int{}, plans: map[string]string{}}
	for i := range r.Groups {
		s.kinds[r.Groups[i].ID] = r.Groups[i].Kind
	}
	for i := range r.Rules {
		x := &r.Rules[i]
		if x.Source != nil && x.Source.Path != "" && s.files[x.Group] == nil {
			s.files[x.Group] = x.Source
		}
	}
	for i, in := range r.Inputs.Policy {
		if _, twice := s.inputs[in.Path]; !twice {
			s.inputs[in.Path] = i
		}
	}
	for i := range r.Plan.Edits {
		e := &r.Plan.Edits[i]
		text := e.Op
		if len(e.With) > 0 {
			text += " by " + newRulesText(e.With)
		}
		s.plans[string(e.Finding)] = text
	}
	delete(s.plans, "")
	return s
}

// automation names the series that the run is one of: what is before the last slash is
// the same in the next run on the same network, and another one on another.
func (s *sarifView) automation() string {
	vpcs := make([]string, 0, len(s.r.Groups))
	for i := range s.r.Groups {
		if v := s.r.Groups[i].VPC; v != "" {
			vpcs = append(vpcs, strings.ReplaceAll(v, "/", "-"))
		}
	}
	id := "sgadvise/"
	if len(vpcs) > 0 {
		id += slices.Min(vpcs) + "/"
	}
	return id + s.r.Created.String()
}

// artifacts lists the policy files: the places of results. Logs are not listed, there
// may be more of them than results.
func (s *sarifView) artifacts() []sarifArtifact {
	out := []sarifArtifact{}
	for _, in := range s.r.Inputs.Policy {
		a := sarifArtifact{Location: sarifURI{URI: fileURI(in.Path)}, Roles: []string{"analysisTarget"}}
		if hash, ok := strings.CutPrefix(in.Digest, "sha256:"); ok {
			a.Hashes = map[string]string{"sha-256": hash}
		}
		if in.Kind != "" {
			a.Description = &sarifText{Text: sarifPlain(in.Kind)}
		}
		out = append(out, a)
	}
	return out
}

// location is where ref is: its name, the names of what it belongs to, and the file. A
// file is always named, since code scanning services refuse results without; where the
// report does not know it, the location says so.
func (s *sarifView) location(ref string) sarifLocation {
	out := sarifLocation{Logical: []sarifLogical{{ruleName(ref), ref, "resource"}}}
	src := s.source(ref)
	if src.Address != "" {
		out.Logical = append(out.Logical, sarifLogical{string(src.Address), string(src.Address), "resource"})
	}
	path := string(src.Path)
	if path == "" {
		if path = s.likelyFile(ref); path == "" {
			return out
		}
		out.Message = &sarifText{Text: "The report does not know the file and line; this file is one that the policy was read from."}
	}
	out.Physical = &sarifPhysical{Artifact: sarifURI{URI: fileURI(path)}, Region: sarifRegion{max(src.Line, 1)}}
	if i, ok := s.inputs[path]; ok {
		out.Physical.Artifact.Index = &i
	}
	return out
}

// ruleName is the part of a ref that names a rule in its group, or all of it.
func ruleName(ref string) string {
	return orDash(ref[strings.LastIndexByte(ref, '/')+1:])
}

// source is what the report knows of the place of a rule, or of a group.
func (s *sarifView) source(ref string) Source {
	if x := s.rules[ref]; x != nil {
		if x.Source != nil {
			return *x.Source
		}
		return Source{}
	}
	if src := s.files[ref]; src != nil {
		return Source{Path: src.Path}
	}
	return Source{}
}

// likelyFile is the policy file that speaks of the group of ref by its name, or of
// groups of that kind, or the first.
func (s *sarifView) likelyFile(ref string) string {
	group := ref
	if x := s.rules[ref]; x != nil {
		group = x.Group
	}
	best, rank := "", 0
	for _, in := range s.r.Inputs.Policy {
		n := 1
		switch kind := s.kinds[group]; {
		case kind == "": // an interface, or implicit
		case strings.Contains(in.Path, group):
			n = 4
		case strings.HasSuffix(in.Kind, ":"+kind+"s"):
			n = 3
		case strings.Contains(in.Kind, kind):
			n = 2
		}
		if n > rank {
			best, rank = in.Path, n
		}
	}
	return best
}

// fileURI writes a path as a URI reference: relative ones stay so.
func fileURI(path string) string {
	path = strings.ReplaceAll(path, `\`, "/")
	prefix := ""
	switch {
	case strings.HasPrefix(path, "//"):
		prefix, path = "file:", "//"+strings.TrimLeft(path, "/")
	case strings.HasPrefix(path, "/"):
		prefix = "file://"
	case len(path) > 2 && path[1] == ':' && path[2] == '/':
		return "file:///" + path[:2] + escapePath(path[2:])
	}
	return prefix + escapePath(path)
}

func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		// A colon in the first part would be taken for the end of a scheme.
		parts[i] = strings.ReplaceAll(url.PathEscape(p), ":", "%3A")
	}
	return strings.Join(parts, "/")
}
