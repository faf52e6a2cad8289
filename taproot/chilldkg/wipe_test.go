package chilldkg

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
	r := contributed(t, 2, 3, 41)
	for name, act := range map[string]func(random io.Reader) error{
		"host key":    func(random io.Reader) error { _, err := GenerateHostKey(random); return err },
		"participant": func(random io.Reader) error { _, _, err := NewParticipant(r.hosts[0], r.params, random); return err },
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
