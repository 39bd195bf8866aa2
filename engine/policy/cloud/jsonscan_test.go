package cloud

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkScan compares validEnd with what it stands for.
func checkScan(t *testing.T, data []byte) {
	t.Helper()
	at := skipSpace(data, 0)
	if at == len(data) {
		return
	}
	want, ok := valueEnd(data, at)
	ok = ok && json.Valid(data[at:want])
	got, valid := validEnd(data, at)
	valid = valid && ends(data, at, got)
	if ok != valid || ok && got != want {
		t.Fatalf("%q: ends at %d, %t, want %d, %t", data, got, valid, want, ok)
	}
	if at == 0 {
		if whole := valid && skipSpace(data, got) == len(data); whole != json.Valid(data) {
			t.Fatalf("%q: valid %t, want %t", data, whole, !whole)
		}
	}
}

var scanCases = []string{
	`{}`, `[]`, `{"a":1}`, ` {"a" : [ 1 , -0.5e+7 , true,false , null, "x\"\\\/\b\f\n\r\t\u00e9\uD83D" ] } `, `[[[]],{}]`, `{"a":{},"b":[{}]}`,
	`{`, `[`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{1:1}`, `[1,]`, `[,1]`, `[1 2]`, `{"a" 1}`, `{"a":1 "b":2}`, `[}`, `{]`, `[1}`, `{"a":1]`,
	`"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\x1f\"", "\"\t\"", "\"\x7f\xff\x80\"", `"01234567"`, `"0123456\""`, `"01234567\u00e9"`, "\"01234567\n\"", `"!!!!!!!!!!"`,
	`0`, `-0`, `01`, `-`, `1.`, `.5`, `1e`, `1e+`, `1E-5`, `1e5.`, `12x`, `1"`, `tru`, `true`, `truex`, `nul`, `null null`, `nulll`, `+1`, `NaN`, "\x00", "1\x00", `{}x`, `{} {}`, `[1]2`,
	`{"a":                    1                ,         "b":2}`, "{\n                \t        \"a\":\r\n        1}",
	strings.Repeat("[", 9999) + strings.Repeat("]", 9999), strings.Repeat("[", 10000) + strings.Repeat("]", 10000), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
	strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001),
}

func TestScanIsTheLibrary(t *testing.T) {
	for _, s := range scanCases {
		checkScan(t, []byte(s))
	}
	files, err := filepath.Glob("testdata/aws/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no exports", err)
	}
	rng := rand.New(rand.NewPCG(2, 3))
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		checkScan(t, data)
		for range 60 { // with a byte that is another one, or missing, or cut off behind it
			at := rng.IntN(len(data))
			other := append([]byte{}, data...)
			other[at] = "{}[]\",:\\ \n\x01a0-.e\xff"[rng.IntN(17)]
			checkScan(t, other)
			checkScan(t, append(append([]byte{}, data[:at]...), data[at+1:]...))
			checkScan(t, data[:at])
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range scanCases {
		if len(s) < 1000 {
			f.Add([]byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkScan(t, data) })
}
