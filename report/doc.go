// Package report is the document that an analysis ends in, and the views of it.
//
// A [Report] is plain data; its JSON is the stored form ([Write], [Read]) and is
// described by [Schema]. [Build] converts what the stages before it found.
// [Formats] lists the views: text for terminals, Markdown, one self-contained HTML
// page, the JSON itself, and what other programs read: SARIF, CSV, JUnit. A view made
// from a stored report is the view made from the report it was stored from, byte for
// byte.
//
// [Compare] says what is different between two reports, and why.
//
// Renderers format. They do not compute, sort or decide: what a reader is told is in
// the document. They may leave out what would not fit, and then say how much.
//
// Names, descriptions and log fields come from outside and are not trusted. Every
// view passes the document through one gate that strips what could steer a terminal
// or reorder text, and then escapes for its own syntax.
//
// The package reads no files, no clock and no environment.
package report
