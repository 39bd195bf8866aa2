package cloud

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// record is one recorded change, or one recorded state, of a file.
type record struct {
	source *recordSource
	element
}

// recordSource is a kind of file with records.
type recordSource struct {
	name string // as in Input.Kind
	// apply gathers what the records say. They are in no order.
	apply func(b *pastBuilder, records []record) error
}

var (
	cloudTrail  = &recordSource{"cloudtrail", (*pastBuilder).addCloudTrail}
	actionTrail = &recordSource{"actiontrail", (*pastBuilder).addActionTrail}
	awsConfig   = &recordSource{"config", (*pastBuilder).addConfigItems}
)

var recordSources = []*recordSource{cloudTrail, actionTrail, awsConfig}

// claimsHistory recognises files with records of changes: objects with the name and the
// source of an event, each a document of its own, in "Records", or in "Events" as the
// commands that look events up print them; and configuration items.
func claimsHistory(f *file) (bool, error) {
	if !f.isJSON {
		return false, nil
	}
	for _, d := range f.docs {
		if err := f.findRecords(d.members); err != nil {
			return false, err
		}
	}
	for i := range f.records {
		f.kinds = append(f.kinds, f.records[i].source.name)
	}
	empty := len(f.docs) > 0 && !slices.ContainsFunc(f.docs, func(d document) bool { return !isEmptyTrail(d.members) })
	return len(f.records) > 0 || empty, nil
}

// isEmptyTrail reports whether members are those of a trail file without events.
func isEmptyTrail(members []member) bool {
	return len(members) == 1 && members[0].name == "records" && strings.TrimSpace(strings.Trim(string(members[0].raw), "[]")) == ""
}

// findRecords adds the records in an object with these members.
func (f *file) findRecords(members []member) error {
	if source := sourceOf(members); source != nil {
		f.records = append(f.records, record{source, whole(members)})
		return nil
	}
	for _, m := range members {
		switch m.name {
		case "records", "events", "configurationitems":
		case "detail", "configurationitem": // as an event bus passes it on
			inner, err := m.members()
			if err != nil {
				return err
			}
			if source := sourceOf(inner); source != nil {
				f.records = append(f.records, record{source, m.element})
			}
			continue
		default:
			continue
		}
		es, ok, err := m.objects()
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		for _, e := range es {
			inner, err := e.members()
			if err != nil {
				return err
			}
			if source := sourceOf(inner); source != nil {
				f.records = append(f.records, record{source, e})
				continue
			}
			for _, x := range inner {
				if x.name != "cloudtrailevent" {
					continue
				}
				var text string
				if err := json.Unmarshal(x.raw, &text); err != nil || !json.Valid([]byte(text)) {
					return x.pos.errorf("CloudTrailEvent is not a string that holds JSON")
				}
				f.records = append(f.records, record{cloudTrail, element{json.RawMessage(text), x.pos}})
			}
		}
	}
	return nil
}

// sourceOf returns the source of the event that members are, nil if they are none.
func sourceOf(members []member) *recordSource {
	var name, source, service bool
	for _, m := range members {
		switch m.name {
		case "eventname", "event.eventname":
			name = true
		case "eventsource":
			source = strings.Contains(string(m.raw), "amazonaws")
		case "servicename", "event.servicename":
			service = true
		case "configurationitemcapturetime":
			return awsConfig
		case "event":
			// As a log service keeps it: the event is one level down, perhaps as a string.
			return nestedSource(m.element)
		}
	}
	switch {
	case name && source:
		return cloudTrail
	case name && service:
		return actionTrail
	}
	return nil
}

func nestedSource(e element) *recordSource {
	raw := e.raw
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	if !json.Valid(raw) {
		return nil
	}
	inner, err := element{raw, e.pos}.members()
	if err != nil {
		return nil
	}
	return sourceOf(slices.DeleteFunc(inner, func(m member) bool { return m.name == "event" }))
}

// whole returns the object with these members, at the place of the first.
func whole(members []member) element {
	var b strings.Builder
	for i, m := range members {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		key, _ := json.Marshal(m.key)
		b.WriteString(sep)
		b.Write(key)
		b.WriteByte(':')
		b.Write(m.raw)
	}
	b.WriteByte('}')
	return element{json.RawMessage(b.String()), members[0].pos}
}

// readRecords is the reader of files with records: they say nothing of the present.
func readRecords([]*file, *policy.Snapshot) error { return nil }

// addRecords gathers what records say.
func (b *pastBuilder) addRecords(records []record) error {
	for _, source := range recordSources {
		var mine []record
		for _, r := range records {
			if r.source == source {
				mine = append(mine, r)
			}
		}
		if err := source.apply(b, mine); err != nil {
			return err
		}
	}
	return nil
}

// eventTime reads the time of an event.
func (e element) eventTime(text string) (int64, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, e.pos.errorf("eventTime: %q is not a time", text)
}

// inOrder sorts events by time and what they are, and drops repetitions: files overlap.
func inOrder[T any](events []T, at func(*T) int64, id func(*T) string) []T {
	slices.SortStableFunc(events, func(x, y T) int {
		return cmp.Or(cmp.Compare(at(&x), at(&y)), strings.Compare(id(&x), id(&y)))
	})
	return slices.CompactFunc(events, func(x, y T) bool { return at(&x) == at(&y) && id(&x) == id(&y) })
}
