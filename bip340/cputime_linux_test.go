package bip340_test

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the processor's time that the calling thread has used, which other
// work on the machine does not add to as it does to the time of day.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
