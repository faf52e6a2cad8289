package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Processor time, and not the time of day, is what a transfer costs: other work on
// the machine does not add to it.

// ownCPU is the processor time that this process has used (getrusage(2)).
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// A cpuMeter reads the processor time that this process and the server's have used.
type cpuMeter struct {
	own    time.Duration
	server map[int]time.Duration // by process
}

// readCPU starts a meter. Of the server it sees what /proc tells.
func (b *clearingBank) readCPU(ctx context.Context) (m cpuMeter, err error) {
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return m, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "select pid from pg_stat_activity where pid <> pg_backend_pid()")
	if err != nil {
		return m, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	m = cpuMeter{own: ownCPU(), server: make(map[int]time.Duration, len(pids))}
	for _, pid := range pids {
		m.server[pid] = processCPU(pid)
	}
	return m, err
}

// since is what was used after an earlier reading, but for server processes that
// have ended in between.
func (m cpuMeter) since(earlier cpuMeter) time.Duration {
	total := m.own - earlier.own
	for pid, used := range m.server {
		total += max(0, used-earlier.server[pid])
	}
	return total
}

// processCPU is the first field of /proc/<pid>/schedstat: nanoseconds on a
// processor. It is 0 where there is no such file.
func processCPU(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0
	}
	used, _, _ := strings.Cut(string(text), " ")
	n, _ := strconv.ParseInt(used, 10, 64)
	return time.Duration(n)
}
