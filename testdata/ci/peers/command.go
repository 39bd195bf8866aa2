package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// command is something to time.
type command struct {
	args  []string
	env   []string // besides the environment at hand
	dir   string
	reply bool // keep what it prints
}

// run is what a command took: seconds of wall and processor time, and the most memory
// that it held at a time, in MiB.
type run struct {
	wall, cpu, memory float64
	others            float64 // share of the machine that other processes took meanwhile
	query             float64 // seconds of the query alone, as DuckDB sees it; 0: no query
	output            []byte
}

// timed runs a command after reading the files of set once: a file that has not been
// used for a while may be on disk again, and the first to read it would pay.
func (b *bench) timed(set *set, c *command) (run, error) {
	if err := warm(set.files); err != nil {
		return run{}, err
	}
	waitIdle(b.wait)
	return c.run()
}

func (c *command) run() (run, error) {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	var stdout, stderr bytes.Buffer
	if c.reply {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	busy := busySeconds()
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start).Seconds()
	busy = busySeconds() - busy
	if err != nil {
		return run{}, fmt.Errorf("%s: %w\n%s", strings.Join(c.args, " "), err, &stderr)
	}
	state := cmd.ProcessState
	r := run{wall: wall, cpu: (state.UserTime() + state.SystemTime()).Seconds(), memory: peakMemory(state), output: stdout.Bytes()}
	if busy > 0 {
		r.others = max(0, busy-r.cpu) / (wall * float64(runtime.NumCPU()))
	}
	return r, nil
}

// peakMemory returns the high-water mark of a process in MiB. On Linux that of the
// process that started it counts as well, so this program stays small.
func peakMemory(state *os.ProcessState) float64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	unit := 1 << 10
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return float64(usage.Maxrss) * float64(unit) / (1 << 20)
}

func warm(files []string) error {
	buffer := make([]byte, 1<<20)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{f}, buffer)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// onlyReader and onlyWriter hide the methods by which io.CopyBuffer would go round
// the buffer.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }

// busySeconds returns the processor time that the machine has spent on anything, by
// Linux's account; 0 elsewhere.
func busySeconds() float64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var user, nice, system, idle, wait, irq, softirq, steal float64
	if _, err := fmt.Sscanf(string(text), "cpu %f %f %f %f %f %f %f %f", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); err != nil {
		return 0
	}
	const perSecond = 100 // in the units of this file, on every architecture
	return (user + nice + system + irq + softirq + steal) / perSecond
}

// waitIdle returns when the machine does next to nothing, or after limit.
func waitIdle(limit time.Duration) {
	const look = 200 * time.Millisecond
	for end := time.Now().Add(limit); time.Now().Before(end); {
		busy := busySeconds()
		time.Sleep(look)
		if busySeconds()-busy < look.Seconds()/4 {
			return
		}
	}
}
