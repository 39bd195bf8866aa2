// Package browser holds the test that opens HTML reports in a headless browser: with axe, in
// both themes, at several widths, without script, and on paper. It needs Chromium and npm,
// is skipped where one of them is not to be had, and is run by "make test-browser".
package browser
