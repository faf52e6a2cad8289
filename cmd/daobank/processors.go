package main

import (
	"runtime"
	"sync"
)

// spareProcessors is how many processors (P) Go gets beside one for each core. The
// verifiers of signatures keep a core for milliseconds at a time. Were there a
// processor for each of them and none more, Go would see only afterwards that the
// database has answered, or that an order has come; now the kernel divides the cores
// between them.
const spareProcessors = 2

// verifiers gives Go its spare processors, once, and returns for how many verifiers
// there are cores.
var verifiers = sync.OnceValue(func() int {
	cores := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(cores + spareProcessors)
	return cores
})
