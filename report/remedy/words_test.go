package remedy

import (
	"os/exec"
	"strings"
	"testing"
)

var hostile = []string{
	"", "plain", "two words", "it's", `"double"`, "$(id)", "`id`", "${x}", "%{if x}", "a\nb", "\ttab", "back\\slash", "-n", "--flag", "; rm -rf /", "&&", "|| true",
	"*", "?", "~", "#", "!!", "<(x)", "ünïcode", "\u202ereversed", "\u200b", "\x1b[31mred", "\x00nul", "\xff\xfe", "\x7f", "日本語", "😀", "'\\''", "\\", "$'x'", "\x01a", "\u0085", "EOF", "'\n'", "{a,b}", "[x]",
}

func TestQuoteIsReadBackByBash(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	var script strings.Builder
	for _, s := range hostile {
		script.WriteString("printf '%s\\0' " + quote(s) + "\n")
	}
	out, err := exec.Command("bash", "-euo", "pipefail", "-c", script.String()).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(string(out), "\x00")
	for i, s := range hostile {
		want := strings.ReplaceAll(s, "\x00", " ")
		if got[i] != want {
			t.Errorf("%q is %s, and bash reads %q", s, quote(s), got[i])
		}
		if words := bashWords(t, quote(s)); s != "" && (len(words) != 1 || words[0] != want) {
			t.Errorf("%s is read as %q", quote(s), words)
		}
	}
}

func FuzzQuoteIsOnePrintableWord(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := quote(s)
		if q != oneLine(q) {
			t.Errorf("%q holds what does not print: %q", s, q)
		}
		words := bashWords(t, q+" next")
		want := strings.ReplaceAll(s, "\x00", " ")
		if len(words) != 2 && want != "" || words[len(words)-1] != "next" || want != "" && words[0] != want {
			t.Errorf("%q is %s, which reads %q", s, q, words)
		}
	})
}

func TestHCLStringsHoldNoTemplates(t *testing.T) {
	for in, want := range map[string]string{
		"plain": `"plain"`, `a "b" \c`: `"a \"b\" \\c"`, "${x} %{y} $x $$": `"$${x} %%{y} $x $$"`, "a\nb\t": `"a\nb\u0009"`,
		"\u202e": `"\u202e"`, "\U000e0041": `"\U000e0041"`, "ü": `"ü"`, "\x00": `" "`,
	} {
		if got := hclString(in); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

func TestMarkdownTextIsInert(t *testing.T) {
	got := md("[x](http://e) <img> `c` |\n# y $z$ @a")
	want := "\\[x\\]\\(http://e\\) \\<img\\> \\`c\\` \\| \\# y \\$z\\$ \\@a"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := fenced("hcl", "a\n```\nb\n"); !strings.HasPrefix(got, "````hcl\n") || !strings.HasSuffix(got, "````\n") {
		t.Errorf("the fence can be closed: %s", got)
	}
}
