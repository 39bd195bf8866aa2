package report

import (
	"bytes"
	_ "embed"
)

//go:embed report.schema.json
var schemaJSON []byte

// Schema returns the JSON Schema (2020-12) of the report document. The caller may
// change the bytes.
func Schema() []byte { return bytes.Clone(schemaJSON) }
