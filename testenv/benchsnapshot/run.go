package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/failoverd/failoverd/testenv"
)

// The names of what is measured.
const (
	nameTake      = "failoverd"
	nameMysqldump = "mysqldump \\| zstd -1"
	nameFloor     = "floor: read, hash, zstd"
	nameInto      = "restore --into"
	nameNew       = "restore --new"
	namePlain     = "zstd -d \\| mysql"
)

// result is one measurement.
type result struct {
	name                 string
	seconds              float64
	clientCPU, serverCPU float64 // seconds
	peakMB               float64 // resident, of the largest process of the client's
	read, stored         int64   // bytes; read is 0 where it is not known
	logged               int64   // bytes read of the binary log
	note                 string
}

type runner struct {
	server  *testenv.Server
	install testenv.Install
	program string // the path of this one
	options options
	say     func(string)
}

// all measures everything in turn, several times, and keeps the fastest of each. The
// line is of Debian's zstd program, as a person would use it.
func (b *runner) all(ctx context.Context) ([]result, error) {
	type contender struct {
		name string
		run  func(context.Context) (result, error)
	}
	contenders := []contender{
		{nameTake, func(ctx context.Context) (result, error) { return b.self(ctx, "take") }},
		{nameMysqldump, b.mysqldump},
		{"mydumper", b.mydumper},
		{nameFloor, func(ctx context.Context) (result, error) { return b.self(ctx, "floor") }},
	}
	best := make([]result, len(contenders))
	for i := range b.options.repeats {
		for k, c := range contenders {
			r, err := c.run(ctx)
			if errors.Is(err, exec.ErrNotFound) {
				best[k] = result{name: c.name, note: "not measured: " + err.Error()}
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", plain(c.name), err)
			}
			r.name = c.name
			b.say(fmt.Sprintf("%s, run %d: %.2f s, client %.2f s, server %.2f s of CPU", plain(c.name), i+1, r.seconds, r.clientCPU, r.serverCPU))
			if i == 0 || r.seconds < best[k].seconds {
				best[k] = r
			}
		}
	}
	return best, nil
}

// itself is the command line of this program as a process of its own.
func (b *runner) itself(child, addr, store string) []string {
	return []string{b.program, "-child", child, "-addr", addr, "-store", store, "-workers", strconv.Itoa(b.options.workers)}
}

// self measures what this program does as a process of its own.
func (b *runner) self(ctx context.Context, child string) (result, error) {
	store := filepath.Join(b.options.dir, "store")
	defer os.RemoveAll(store)
	argv := b.itself(child, b.server.Addr(), store)
	if child == "take" && b.options.profile != "" {
		argv = append(argv, "-profile", b.options.profile)
	}
	var out bytes.Buffer
	r, err := b.measure(ctx, argv, &out)
	if err != nil {
		return result{}, err
	}
	var said childResult
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		return result{}, err
	}
	r.read, r.stored = said.Read, said.Stored
	return r, nil
}

// dumpOptions are what a careful person gives mysqldump.
var dumpOptions = "--single-transaction --quick --routines --triggers --events --hex-blob --set-gtid-purged=ON"

func (b *runner) mysqldump(ctx context.Context) (result, error) {
	if b.install.Mysqldump == "" {
		return result{}, fmt.Errorf("mysqldump: %w", exec.ErrNotFound)
	}
	if _, err := exec.LookPath("zstd"); err != nil {
		return result{}, fmt.Errorf("zstd: %w", exec.ErrNotFound)
	}
	file := filepath.Join(b.options.dir, "dump.sql.zst")
	defer os.Remove(file)
	script := fmt.Sprintf("set -o pipefail; %s %s --protocol=tcp -h%s -P%d -u%s -p%s --databases bench 2>/dev/null | zstd -q -f -1 -o %s && sync %s",
		b.install.Mysqldump, dumpOptions, b.server.Host, b.server.Port, reader.User, reader.Password, file, file)
	r, err := b.measure(ctx, []string{"bash", "-c", script}, nil)
	if err != nil {
		return r, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return r, err
	}
	r.stored = info.Size()
	return r, nil
}

func (b *runner) mydumper(ctx context.Context) (result, error) {
	if _, err := exec.LookPath("mydumper"); err != nil {
		return result{}, fmt.Errorf("mydumper: %w", exec.ErrNotFound)
	}
	dir := filepath.Join(b.options.dir, "mydumper")
	defer os.RemoveAll(dir)
	r, err := b.measure(ctx, []string{"mydumper", "-h", b.server.Host, "-P", strconv.Itoa(b.server.Port), "-u", reader.User, "-p", reader.Password,
		"-B", "bench", "-o", dir, "-t", strconv.Itoa(b.options.workers), "--compress=ZSTD", "--trx-consistency-only"}, nil)
	if err != nil {
		return r, err
	}
	r.stored, err = sizeOf(dir)
	return r, err
}

// measure runs a program, and says what it, its children and the server used.
func (b *runner) measure(ctx context.Context, argv []string, out *bytes.Buffer) (result, error) {
	var stderr bytes.Buffer
	cmd := command(ctx, argv)
	cmd.Stderr = &stderr
	if out != nil {
		cmd.Stdout = out
	}
	before, err := cpuSeconds(b.server.PID())
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	err = cmd.Run()
	endGroup(cmd)
	if ctx.Err() != nil {
		return result{}, context.Cause(ctx)
	}
	if err != nil {
		return result{}, fmt.Errorf("%w: %s", err, stderr.String())
	}
	r := result{seconds: time.Since(began).Seconds()}
	after, err := cpuSeconds(b.server.PID())
	if err != nil {
		return result{}, err
	}
	r.serverCPU = after - before
	r.clientCPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peakMB = float64(usage.Maxrss) / 1024 // kilobytes on Linux (getrusage(2))
	}
	return r, nil
}

// cpuSeconds is the CPU time that a process has used, from /proc/PID/stat (proc(5)), of
// which a hundredth of a second is the unit wherever Go runs on Linux.
func cpuSeconds(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return float64(user+system) / 100, err
}
