package ahead_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daobank/daobank/ahead"
)

// numbers yields 0 to n-1 and then err, if there is one.
func numbers(n int, err error) func(context.Context) iter.Seq2[int, error] {
	return func(context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			if err != nil {
				yield(0, err)
			}
		}
	}
}

func square(i int) (int, error) { return i * i, nil }

// The order is the source's, although the first elements take the longest.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(i int) (int, error) {
			time.Sleep(time.Duration(100-i) * time.Second)
			return square(i)
		}
		next := 0
		for got, err := range ahead.Map(t.Context(), 4, 8, numbers(100, nil), slow) {
			if err != nil || got != next*next {
				t.Fatalf("element %d is %d, %v", next, got, err)
			}
			next++
		}
		if next != 100 {
			t.Fatalf("%d elements", next)
		}
	})
}

// What goes wrong is told in its place, and ends the sequence.
func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		source func(context.Context) iter.Seq2[int, error]
		f      func(int) (int, error)
		want   []int
	}{
		{"of the source", numbers(3, broken), square, []int{0, 1, 4}},
		{"of the work", numbers(9, nil), func(i int) (int, error) {
			if i == 2 {
				return 0, broken
			}
			return square(i)
		}, []int{0, 1}},
	} {
		var got []int
		var last error
		for n, err := range ahead.Map(t.Context(), 3, 4, tt.source, tt.f) {
			if last = err; err == nil {
				got = append(got, n)
			}
		}
		if !slices.Equal(got, tt.want) || !errors.Is(last, broken) {
			t.Errorf("an error %s: %v, then %v", tt.name, got, last)
		}
	}
}

// A consumer that stops ends the source, which is not read far ahead of it.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const depth = 4
		var yielded atomic.Int64
		var ended atomic.Bool
		endless := func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				defer ended.Store(true)
				for i := 0; yield(i, nil); i++ {
					yielded.Add(1)
				}
			}
		}
		for range ahead.Map(t.Context(), 2, depth, endless, square) {
			synctest.Wait()
			break
		}
		if n := yielded.Load(); !ended.Load() || n > depth+2 {
			t.Errorf("ended %v after %d elements", ended.Load(), n)
		}
	})
}
