// Package ahead works on a sequence before its consumer asks: what the source
// yields is worked on by several goroutines and handed on in order. A source that reads a
// disk or a network, the work, and the consumer then overlap.
package ahead

import (
	"context"
	"iter"
	"sync"
)

// Map yields f of all that source yields, in the source's order. f is called by so
// many workers (runtime.GOMAXPROCS for work, more for waiting), for at most depth
// elements that the consumer has not taken yet. The source runs in a goroutine of its own, with a context that
// ends when the consumer stops; all goroutines have ended when the loop has. After
// the first error, of the source or of f, nothing more is yielded.
func Map[T, U any](ctx context.Context, workers, depth int, source func(context.Context) iter.Seq2[T, error], f func(T) (U, error)) iter.Seq2[U, error] {
	return func(yield func(U, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()

		queue := make(chan *element[T, U], depth) // in order, for the consumer
		work := make(chan *element[T, U], depth)  // for whoever is free
		for range workers {
			running.Go(func() {
				for e := range work {
					e.out, e.err = f(e.in)
					close(e.done)
				}
			})
		}
		running.Go(func() {
			defer close(work)
			defer close(queue)
			for in, err := range source(ctx) {
				e := &element[T, U]{in: in, err: err, done: make(chan struct{})}
				select {
				case queue <- e:
				case <-ctx.Done():
					return
				}
				if err != nil {
					close(e.done)
					return
				}
				work <- e // has room: no more than queue's are in it
			}
		})
		for e := range queue {
			<-e.done
			if !yield(e.out, e.err) || e.err != nil {
				return
			}
		}
	}
}

type element[T, U any] struct {
	in   T
	out  U
	err  error
	done chan struct{}
}
