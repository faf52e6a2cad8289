//go:build !linux

package bip340_test

import "time"

var started = time.Now()

// cpuTime stands in with the time of day.
func cpuTime() time.Duration { return time.Since(started) }
