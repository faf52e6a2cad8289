package frost

import (
	"bytes"
	"io"
	"testing"
)

// A watcher keeps hold of the memory that random bytes were read into.
type watcher struct {
	io.Reader
	buffers [][]byte
}

func (w *watcher) Read(b []byte) (int, error) {
	w.buffers = append(w.buffers, b)
	return w.Reader.Read(b)
}

func TestRandomnessIsWiped(t *testing.T) {
	for name, act := range map[string]func(random io.Reader) error{
		"nonce":  func(random io.Reader) error { _, _, err := NonceGen(random, NonceParams{}); return err },
		"dealer": func(random io.Reader) error { _, _, err := TrustedDealer(1, 1, random); return err },
	} {
		for _, length := range []int{32, 20} {
			w := &watcher{Reader: bytes.NewReader(bytes.Repeat([]byte{7}, length))}
			if err := act(w); (err == nil) != (length == 32) {
				t.Errorf("%s, %d random bytes: %v", name, length, err)
			}
			for _, b := range w.buffers {
				if !bytes.Equal(b, make([]byte, len(b))) {
					t.Errorf("%s, %d random bytes: %x is still in memory", name, length, b)
				}
			}
		}
	}
}
