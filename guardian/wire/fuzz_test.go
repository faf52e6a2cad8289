package wire

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/daobank/daobank/taproot/frost"
)

// FuzzGuardian: no request makes a guardian panic or answer with anything but
// JSON of its own form.
func FuzzGuardian(f *testing.F) {
	for _, path := range []string{"/keygen/begin", "/keygen/step2", "/keygen/finalize", "/keygen/adopt", "/keygen/investigate", "/commit", "/sign"} {
		f.Add(path, []byte(`{"founding":"00","message":"AAAA"}`))
		f.Add(path, []byte(`{"proposal":{"settlement":1,"batch":2,"tx":"AA=="},"request":{"request":"00","messages":1}}`))
		f.Add(path, []byte(`{"proposal":{"batch":2,"tx":"AA==","reserves":{"text":"x","part":0}},"request":{"request":"00","messages":1}}`))
		f.Add(path, []byte(`null`))
	}
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \x00%?#") {
			return
		}
		c := newCouncil(t, 1, 1)
		request, err := http.NewRequest(http.MethodPost, "http://guardian"+path, bytes.NewReader(body))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		c.ends[0].Handler().ServeHTTP(w, request)
		if w.Code == answerStatus {
			var failed errorAnswer
			if err := decode(w.Body.Bytes(), &failed); err != nil || failed.Error == nil {
				t.Errorf("an error answer that cannot be read: %s", w.Body)
			}
		}
	})
}

// FuzzRemote: whatever a guardian answers, the coordinator's end returns an
// answer or an error.
func FuzzRemote(f *testing.F) {
	f.Add(200, []byte(`{"nonces":["00"]}`))
	f.Add(409, []byte(`{"error":{"kind":"refused","message":"no"}}`))
	f.Add(409, []byte(`{}`))
	f.Add(500, []byte(`x`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		r := NewRemote(frost.ID(1), tripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(body))}, nil
		}))
		if s, err := r.Status(t.Context()); err == nil && s == nil {
			t.Error("neither a status nor an error")
		}
	})
}
