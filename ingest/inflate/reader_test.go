package inflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// logText makes flow logs of some conversations, a few of which have most of the lines.
func logText(size int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	often := rand.NewZipf(rng, 1.1, 1, 20_000)
	b := make([]byte, 0, size+200)
	for start := 1700000000; len(b) < size; start += rng.IntN(2) {
		c := int(often.Uint64())
		host := c * 7919 % 500
		b = fmt.Appendf(b, "2 123456789010 eni-%017x 10.%d.%d.%d 10.20.%d.%d %d %d 6 %d %d %d %d ACCEPT OK\n", host*0x9e3779b97f4a7c>>3,
			20+c%4, c%8, c%251, host/256, host%256, 1024+rng.IntN(60000), []int{443, 22, 5432}[c%3],
			1+rng.IntN(100), rng.IntN(100000), start, start+rng.IntN(60))
	}
	return b[:size]
}

var writers = map[int]*gzip.Writer{} // by level

func compress(data []byte, level int) []byte {
	var b bytes.Buffer
	w := writers[level]
	if w == nil {
		w, _ = gzip.NewWriterLevel(&b, level) // all levels asked for exist
		writers[level] = w
	}
	w.Reset(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// The readers of all tests, so that each also begins with what another left.
var (
	shared        Reader
	sharedLibrary gzip.Reader
)

// read returns all that is in a gzip file, and the error that ends it.
func read(src io.Reader) ([]byte, error) {
	if err := shared.Reset(src); err != nil {
		return nil, err
	}
	defer shared.Close()
	return io.ReadAll(&shared)
}

// library is what compress/gzip makes of it.
func library(src io.Reader) ([]byte, error) {
	if err := sharedLibrary.Reset(src); err != nil {
		return nil, err
	}
	return io.ReadAll(&sharedLibrary)
}

// check compares with the library and returns what was read. Where the input is cut off
// the library looks at more bits than a symbol has, so that it may get less.
func check(t *testing.T, name string, z []byte) []byte {
	t.Helper()
	got, err := read(bytes.NewReader(z))
	checkMemory(t, name, z, got, err)
	want, wantErr := library(bytes.NewReader(z))
	if errors.Is(wantErr, io.ErrUnexpectedEOF) && len(got)-len(want) < 2*maxCode*258 && bytes.HasPrefix(got, want) && err != nil {
		return got
	}
	if (err == nil) != (wantErr == nil) || errors.Is(err, io.EOF) != errors.Is(wantErr, io.EOF) ||
		errors.Is(err, ErrChecksum) != errors.Is(wantErr, gzip.ErrChecksum) ||
		errors.Is(err, ErrHeader) != errors.Is(wantErr, gzip.ErrHeader) {
		t.Errorf("%s: error %v, the library's is %v", name, err, wantErr)
	}
	if !bytes.Equal(got, want) {
		n := 0
		for n < min(len(got), len(want)) && got[n] == want[n] {
			n++
		}
		t.Errorf("%s: %d bytes, the library has %d, the same up to %d (error %v)", name, len(got), len(want), n, err)
	}
	return got
}

var sharedMemory Memory

// checkMemory holds a Memory to what a Reader made of the same file.
func checkMemory(t *testing.T, name string, z, want []byte, wantErr error) {
	t.Helper()
	if wantErr == io.EOF { // there was no byte
		wantErr = io.ErrUnexpectedEOF
	}
	got, err := sharedMemory.Append([]byte("before"), z, len(want))
	if fmt.Sprint(err) != fmt.Sprint(wantErr) || err == nil && string(got) != "before"+string(want) {
		t.Errorf("%s, in memory: %d bytes, error %v, want %d and %v", name, len(got), err, len(want), wantErr)
	}
	if _, err := sharedMemory.Append(nil, z, len(want)-1); wantErr == nil && len(want) > 0 && err != ErrTooLong {
		t.Errorf("%s, in memory, a byte too long: error %v", name, err)
	}
}

func TestReaderReadsWhatTheLibraryWrites(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 300_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	var skewed []byte // the counts of its bytes are Fibonacci's numbers: the longest codes
	for i, n, m := 0, 1, 1; i < 24; i, n, m = i+1, m, n+m {
		skewed = append(skewed, bytes.Repeat([]byte{byte(i * 7)}, n)...)
	}
	rng.Shuffle(len(skewed), func(i, j int) { skewed[i], skewed[j] = skewed[j], skewed[i] })
	texts := map[string][]byte{
		"nothing": nil,
		"byte":    {'a'},
		"log":     logText(1_000_000),
		"random":  random,
		"skewed":  skewed,
		"zeros":   make([]byte, 1_000_000),
		"periods": []byte(strings.Repeat("a", 300) + strings.Repeat("ab", 300) + strings.Repeat("abc", 300) + strings.Repeat("abcdefghijk", 90) + strings.Repeat("0123456789abcde", 50)),
	}
	for _, n := range []int{blockSize - 1, blockSize, blockSize + 1, blockSize - window, bufferSize} {
		texts[fmt.Sprint(n)] = logText(n)
	}
	for name, text := range texts {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			if got := check(t, fmt.Sprintf("%s, level %d", name, level), compress(text, level)); !bytes.Equal(got, text) {
				t.Errorf("%s, level %d: not what was compressed", name, level)
			}
		}
	}
}

func TestReaderReadsEveryLengthAndDistance(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	first := make([]byte, window)
	for i := range first {
		first[i] = byte(rng.Uint32())
	}
	lit, dist := fixedCodes()
	s := new(stream)
	s.stored(0, first)
	s.bits(1|1<<1, 3)
	for distance := 1; distance <= window; distance++ {
		if distance%3 == 0 {
			s.literal(lit, byte(distance))
		}
		s.match(lit, dist, 3+distance%256, distance)
	}
	for distance := 1; distance < 40; distance++ { // chunks that overlap
		for length := 3; length <= 258; length++ {
			s.literal(lit, byte(rng.Uint32()))
			s.match(lit, dist, length, distance)
		}
	}
	s.symbol(lit, 256)
	if got := check(t, "matches", s.gzip()); !bytes.Equal(got, s.text) {
		t.Error("not what was written")
	}
}

func TestReaderReadsAnyCode(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range 60 {
		s := randomStream(rng, 1+i%7, 1+i*i)
		if got := check(t, fmt.Sprintf("stream %d", i), s.gzip()); !bytes.Equal(got, s.text) {
			t.Errorf("stream %d: not what was written", i)
		}
	}
}

// slowly decompresses a member symbol by symbol.
func slowly(t *testing.T, z []byte) (text []byte) {
	t.Helper()
	m, buf := new(members), make([]byte, bufferSize)
	err := m.open(bytes.NewReader(z))
	for d := &m.d; err == nil; {
		start := d.use(buf)
		for err == nil && !d.full() {
			end := false
			switch {
			case d.block == noBlock && d.final:
				d.align()
				err = io.EOF
			case d.block == noBlock:
				err = d.header()
			case d.block == storedBlock:
				err = d.copyStored()
			default:
				if end, err = d.decodeOne(); end {
					d.block = noBlock
				}
			}
		}
		text = append(text, buf[start:d.op]...)
	}
	if err != io.EOF {
		t.Errorf("symbol by symbol: %v", err)
	}
	return text
}

func TestOneSymbolAtATimeGivesTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	files := [][]byte{compress(logText(700_000), 6), compress(logText(700_000), 0), compress(logText(10_000), flate.HuffmanOnly)}
	for range 10 {
		files = append(files, randomStream(rng, 3, 2000).gzip())
	}
	for i, z := range files {
		if want, err := read(bytes.NewReader(z)); err != nil || !bytes.Equal(slowly(t, z), want) {
			t.Errorf("file %d: symbol by symbol gives something else (error %v)", i, err)
		}
	}
}

// member makes a member with the header given.
func member(header, text string) string {
	z := compress([]byte(text), 6)
	return header + string(z[10:])
}

func TestReaderReadsAllMembersAndSkipsTheirHeaders(t *testing.T) {
	const start = "\x1f\x8b\x08"
	withSum := start + "\x02\x00\x00\x00\x00\x00\xff"
	sum := crc32.ChecksumIEEE([]byte(withSum))
	headers := []string{
		start + "\x00\x01\x02\x03\x04\x02\xff",
		start + "\x01\x00\x00\x00\x00\x00\xff", // said to be text
		start + "\x04\x00\x00\x00\x00\x00\xff\x03\x00abc",
		start + "\x04\x00\x00\x00\x00\x00\xff\x00\x00",
		start + "\x08\x00\x00\x00\x00\x00\xffname\x00",
		start + "\x10\x00\x00\x00\x00\x00\xffcomment \xe9\x00",
		start + "\x1c\x00\x00\x00\x00\x00\xff\x01\x00xname\x00comment\x00",
		withSum + string([]byte{byte(sum), byte(sum >> 8)}),
	}
	all, want := "", ""
	for i, h := range headers {
		text := strings.Repeat(fmt.Sprint("member ", i, "\n"), i*i*i)
		if got := check(t, fmt.Sprintf("header %d", i), []byte(member(h, text))); string(got) != text {
			t.Errorf("header %d: %d bytes, want %d", i, len(got), len(text))
		}
		all, want = all+member(h, text), want+text
	}
	if got := check(t, "all members", []byte(all)); string(got) != want {
		t.Errorf("all members: %d bytes, want %d", len(got), len(want))
	}
	z := string(compress([]byte("text"), 6))
	for name, bad := range map[string]string{
		"empty":               "",
		"no gzip":             "hello, world",
		"other method":        "\x1f\x8b\x07" + z[3:],
		"wrong header sum":    withSum + "\x00\x00" + z[10:],
		"long name":           start + "\x08\x00\x00\x00\x00\x00\xff" + strings.Repeat("n", 512) + "\x00" + z[10:],
		"longest name":        start + "\x08\x00\x00\x00\x00\x00\xff" + strings.Repeat("n", 511) + "\x00" + z[10:],
		"long extra":          start + "\x04\x00\x00\x00\x00\x00\xff\xff\xff" + z[10:],
		"wrong sum":           z[:len(z)-8] + "\x00\x00\x00\x00" + z[len(z)-4:],
		"wrong size":          z[:len(z)-4] + "\x05\x00\x00\x00",
		"a zero follows":      z + "\x00",
		"zeros follow":        z + strings.Repeat("\x00", 512),
		"text follows":        z + "and something else",
		"half a header":       z + z[:5],
		"match before member": z + string(reaching(len("text"))),
		"reserved block":      z[:10] + "\x07" + z[10:],
		"stored length":       z[:10] + "\x01\x05\x00\x05\x00hello",
	} {
		check(t, name, []byte(bad))
	}
}

func TestReservedFlagsAreAnError(t *testing.T) {
	z := compress([]byte("text"), 6)
	for flag := byte(1 << 5); flag != 0; flag <<= 1 {
		z[3] = flag // which compress/gzip passes over, against RFC 1952, section 2.3.1.2
		if _, err := read(bytes.NewReader(z)); err != ErrHeader {
			t.Errorf("flag %#x: error %v", flag, err)
		}
	}
}

// reaching returns a member that begins with a match.
func reaching(distance int) []byte {
	lit, dist := fixedCodes()
	s := &stream{text: make([]byte, distance)}
	s.bits(1|1<<1, 3)
	s.match(lit, dist, 3, distance)
	s.symbol(lit, 256)
	return s.gzip()
}

func TestReaderTakesItsInputInAnyPieces(t *testing.T) {
	text := logText(700_000)
	z := append(compress(text, 6), compress(text, 0)...)
	want := append(bytes.Clone(text), text...)
	for name, piece := range map[string]func(io.Reader) io.Reader{
		"bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "error with data": iotest.DataErrReader,
		"strange sizes": func(r io.Reader) io.Reader { return &oddReader{r: r} },
	} {
		if got, err := read(piece(bytes.NewReader(z))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, error %v", name, len(got), err)
		}
	}
	broken := errors.New("broken")
	for _, n := range []int{0, 5, 15, 1000, 100_000, len(z)} {
		src := io.MultiReader(bytes.NewReader(z[:n]), iotest.ErrReader(broken))
		if _, err := read(src); err != broken {
			t.Errorf("error after %d bytes: got %v", n, err)
		}
	}
	if _, err := read(io.MultiReader(bytes.NewReader(z[:1000]), idle{})); err != io.ErrNoProgress {
		t.Errorf("reader that gives nothing: error %v", err)
	}
}

// oddReader gives one to a few bytes, and sometimes none.
type oddReader struct {
	r io.Reader
	n int
}

func (o *oddReader) Read(p []byte) (int, error) {
	o.n = (o.n + 5) % 43
	return o.r.Read(p[:min(o.n, len(p))])
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestReaderIsReadInAnyPieces(t *testing.T) {
	text := logText(600_000)
	z, err := NewReader(bytes.NewReader(compress(text, 6)))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if err := iotest.TestReader(z, text); err != nil {
		t.Error(err)
	}
}

// counting counts the reads of an endless file.
type counting struct{ n int }

func (c *counting) Read(p []byte) (int, error) { c.n++; return rand.NewChaCha8([32]byte{}).Read(p) }

func TestClosedReaderNoLongerReads(t *testing.T) {
	before := runtime.NumGoroutine()
	head := compress(logText(2_000_000), 6)
	for _, n := range []int{0, 10, blockSize, 2 * blockSize, 1_500_000} {
		var rest counting
		z, err := NewReader(io.MultiReader(bytes.NewReader(head), &rest))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(z, make([]byte, n)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		z.Close()
		reads := rest.n
		time.Sleep(time.Millisecond)
		if rest.n != reads {
			t.Errorf("%d bytes: read on after Close", n)
		}
		if _, err := z.Read(make([]byte, 10)); err != errClosed {
			t.Errorf("Read after Close: error %v", err)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines are left", after-before)
	}
}

func TestResetReaderIsAsGoodAsNew(t *testing.T) {
	z, err := NewReader(bytes.NewReader(compress(logText(100), 6)))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for i, n := range []int{1_000_000, 0, 10, 300_000, 2_000_000, 5} {
		text := logText(n)
		if err := z.Reset(bytes.NewReader(compress(text, 6))); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // abandoned
			if _, err := io.ReadFull(z, make([]byte, n/2)); err != nil {
				t.Error(err)
			}
			continue
		}
		if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d: %d bytes, error %v", n, len(got), err)
		}
	}
	if err := z.Reset(strings.NewReader("this is no gzip file")); err != ErrHeader {
		t.Errorf("error %v, want ErrHeader", err)
	}
	if _, err := z.Read(make([]byte, 1)); err != ErrHeader {
		t.Errorf("error %v, want ErrHeader", err)
	}
	if len(z.spare) > buffers-1 {
		t.Errorf("%d buffers to spare", len(z.spare))
	}
	// A member may not reach back to what was read before.
	if err := z.Reset(bytes.NewReader(reaching(1))); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err == nil || len(got) > 0 {
		t.Errorf("read %q, error %v", got, err)
	}
}

func TestDecodingAllocatesNothing(t *testing.T) {
	z := compress(logText(1_000_000), 6)
	z = append(z, z...)
	src, m, buf := bytes.NewReader(nil), new(members), make([]byte, bufferSize)
	if n := testing.AllocsPerRun(5, func() {
		src.Reset(z)
		err := m.open(src)
		for err == nil {
			_, err = m.next(buf)
		}
		if err != io.EOF {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%.1f allocations for a file", n)
	}
}
