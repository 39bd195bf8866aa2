package report

import (
	"encoding/json"
	"fmt"
	"time"
)

// Time is a moment in Unix seconds; in JSON it is RFC 3339 in UTC. Zero means not
// known, or never, and is null.
type Time int64

// TimeOf converts t; the zero time.Time gives the zero Time.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.Unix())
}

// RFC 3339 has years of four digits. A log can claim any time at all; what lies
// beyond is written as the first or last moment that can be.
const (
	firstTime Time = -62167219200 // 0000-01-01T00:00:00Z
	lastTime  Time = 253402300799 // 9999-12-31T23:59:59Z
)

// String returns the moment in RFC 3339, or "" for the zero Time.
func (t Time) String() string { return t.format(time.RFC3339) }

func (t Time) format(layout string) string {
	if t == 0 {
		return ""
	}
	return time.Unix(int64(min(max(t, firstTime), lastTime)), 0).UTC().Format(layout)
}

// MarshalJSON writes RFC 3339 or null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(t.String())
}

// UnmarshalJSON reads what MarshalJSON writes; fractions of a second are dropped.
func (t *Time) UnmarshalJSON(b []byte) error {
	*t = 0
	if string(b) == "null" {
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("%q is not a time in RFC 3339", s)
	}
	*t = Time(v.Unix())
	return nil
}

// Optional is a string that is null in JSON when it is empty.
type Optional string

// MarshalJSON writes a string or null.
func (o Optional) MarshalJSON() ([]byte, error) {
	if o == "" {
		return []byte("null"), nil
	}
	return marshalPlain(string(o))
}

// UnmarshalJSON reads a string or null.
func (o *Optional) UnmarshalJSON(b []byte) error {
	var s string // null leaves it empty
	err := json.Unmarshal(b, &s)
	*o = Optional(s)
	return err
}

// NewlyAllowed lists the connections that only the planned policy allows. Empty, it
// is the word "none" in JSON.
type NewlyAllowed []string

// MarshalJSON writes "none" or an array.
func (n NewlyAllowed) MarshalJSON() ([]byte, error) {
	if len(n) == 0 {
		return []byte(`"none"`), nil
	}
	return marshalPlain([]string(n))
}

// UnmarshalJSON reads "none" or an array.
func (n *NewlyAllowed) UnmarshalJSON(b []byte) error {
	*n = nil
	if string(b) == `"none"` || string(b) == "null" {
		return nil
	}
	return json.Unmarshal(b, (*[]string)(n))
}
