package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var kills = flag.Int("kills", 120, "how often TestStoreOutlivesBeingKilled kills a run")

// killWorld is a folder with logs, a policy and the command.
type killWorld struct {
	t        *testing.T
	dir, bin string
	files    int
}

func newKillWorld(t *testing.T) *killWorld {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &killWorld{t: t, dir: t.TempDir()}
	w.bin = filepath.Join(w.dir, "sgadvise") // the test binary is sgadvise if it is called so
	if err := os.Symlink(self, w.bin); err != nil {
		t.Fatal(err)
	}
	policy, err := os.ReadFile("../../testdata/policies/web.policy")
	if err != nil {
		t.Fatal(err)
	}
	w.put("web.policy", policy)
	return w
}

func (w *killWorld) put(name string, b []byte) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// rows returns n records of a day that the policy of testdata explains, one of which ends
// on the next.
func (w *killWorld) rows(day, n int) []byte {
	var b bytes.Buffer
	w.files++
	rng := rand.New(rand.NewPCG(uint64(w.files), uint64(day)))
	fmt.Fprintln(&b, "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags flow-direction")
	for i := range n {
		start := 1777593600 + 86400*day + rng.IntN(86000)
		if i == 0 {
			start = 1777593600 + 86400*(day+1) - 20
		}
		fmt.Fprintf(&b, "5 123456789012 eni-web 198.51.100.%d 10.0.0.5 %d 443 6 10 840 %d %d ACCEPT OK 3 ingress\n", 1+rng.IntN(30), 40000+rng.IntN(20000), start, start+60)
	}
	return b.Bytes()
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func (w *killWorld) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.bin, args...)
	cmd.Dir = w.dir
	return cmd
}

func (w *killWorld) run(args ...string) []byte {
	w.t.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("sgadvise %q: %v\n%s", args, err, out)
	}
	return out
}

// report returns what analyze says of a store, and checks that the store is sound.
func (w *killWorld) report(store string) []byte {
	w.t.Helper()
	w.run("store", "verify", "--store", store)
	w.run("analyze", "--store", store, "--policy", "web.policy", "--min-days", "0", "--now", "2026-06-01", "-o", "out.json")
	b, err := os.ReadFile(filepath.Join(w.dir, "out.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// TestStoreOutlivesBeingKilled kills runs that write to a store at random moments, lets
// them finish at last, and holds the store to what it is without: nothing is lost, nothing
// counts twice. In between the store changes in every way that it can: files come, grow and
// are replaced, days are made again and put together.
func TestStoreOutlivesBeingKilled(t *testing.T) {
	most := *kills
	if testing.Short() {
		most = min(most, 25)
	}
	w := newKillWorld(t)
	rng := rand.New(rand.NewPCG(1, 2))
	killed, finished, before := 0, 0, 0
	for round := 0; killed < most; round++ {
		logs, broken, whole := fmt.Sprintf("logs%d", round), fmt.Sprintf("broken%d", round), fmt.Sprintf("whole%d", round)
		ingest := []string{"ingest", logs, "--policy", "web.policy", "--batch-files", "2", "--now", "2026-06-01", "--store"}
		text := w.rows(0, 30)
		w.put(logs+"/grows.log", text)
		for i := range 8 {
			w.put(fmt.Sprintf("%s/%d.log.gz", logs, i), zipped(w.rows(i/2, 30)))
		}
		steps := []struct {
			change func()
			args   []string
		}{
			{func() {}, ingest},
			{func() {
				text = append(text, bytes.SplitAfterN(w.rows(3, 10), []byte("\n"), 2)[1]...)
				w.put(logs+"/grows.log", text)
				w.put(logs+"/late.log", w.rows(1, 20))
			}, ingest},
			{func() {}, []string{"store", "compact", "--store"}},
			{func() { w.put(logs+"/3.log.gz", zipped(w.rows(2, 25))) }, ingest},
			{func() {}, append([]string{"ingest", "--rebuild"}, ingest[2:]...)},
		}
		for _, step := range steps {
			step.change()
			began := time.Now()
			w.run(append(step.args, whole)...)
			took := time.Since(began)
			for range 6 {
				cmd := w.command(append(step.args, broken)...)
				var said bytes.Buffer
				cmd.Stderr = &said
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				timer := time.AfterFunc(time.Duration(rng.Int64N(int64(took))), func() { cmd.Process.Signal(syscall.SIGKILL) })
				err := cmd.Wait()
				timer.Stop()
				var exit *exec.ExitError
				switch {
				case err == nil:
					finished++
				case errors.As(err, &exit) && exit.ExitCode() == -1:
					killed++
					if _, err := os.Stat(filepath.Join(w.dir, broken, "catalog.sqlite")); err != nil {
						before++
					}
				case step.args[0] == "store" && exit.ExitCode() == exitInput: // compact before there is a store
				default:
					t.Fatalf("round %d, sgadvise %q: %v\n%s", round, step.args, err, &said)
				}
			}
			w.run(append(step.args, broken)...)
			if want, got := w.report(whole), w.report(broken); !bytes.Equal(want, got) {
				t.Fatalf("round %d, after sgadvise %q was killed: the store gives another report than without", round, step.args)
			}
		}
		w.run("analyze", "--logs", logs, "--policy", "web.policy", "--min-days", "0", "--now", "2026-06-01", "-o", "logs.json")
		want, err := os.ReadFile(filepath.Join(w.dir, "logs.json"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, w.report(broken)) {
			t.Fatalf("round %d: the store gives another report than the logs", round)
		}
	}
	t.Logf("%d runs were killed, %d of them before there was a store; %d ended before they were", killed, before, finished)
}

// TestIngestStoppedBySignalContinues stops runs by SIGTERM and SIGINT: each ends by itself
// with the exit code of its signal, unless it was done, and what it committed counts.
func TestIngestStoppedBySignalContinues(t *testing.T) {
	w := newKillWorld(t)
	for i := range 40 {
		w.put(fmt.Sprintf("logs/%02d.log", i), w.rows(i/10, 200))
	}
	args := []string{"ingest", "logs", "--policy", "web.policy", "--batch-files", "1", "--now", "2026-06-01", "--store"}
	began := time.Now()
	w.run(append(args, "whole")...)
	took := time.Since(began)
	stopped := 0
	for i, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		cmd := w.command(append(args, "broken")...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(took / 3)
		cmd.Process.Signal(sig)
		err := cmd.Wait()
		want := 128 + int(sig)
		var exit *exec.ExitError
		switch {
		case err == nil:
		case errors.As(err, &exit) && exit.ExitCode() == want:
			stopped++
		case errors.As(err, &exit) && exit.ExitCode() == -1: // before the command was listening
		default:
			t.Fatalf("run %d: %v, want exit code %d\n%s", i, err, want, &out)
		}
	}
	t.Logf("%d runs were stopped", stopped)
	w.run(append(args, "broken")...)
	if !bytes.Equal(w.report("whole"), w.report("broken")) {
		t.Error("the store gives another report than that of a run that was not stopped")
	}
}
