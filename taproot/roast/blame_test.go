package roast_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// The evidence shows the lie, and none any more when it is altered so as to frame
// somebody: a right partial signature, another signer, other messages.
func TestBlameChecksItsEvidence(t *testing.T) {
	var c *cast
	var result *roast.Result
	synctest.Test(t, func(t *testing.T) {
		c = newCast(t, 2, 3, []behaviour{wrongOne, slow, slow})
		var err error
		if result, err = c.sign(patient, time.Hour); err != nil {
			t.Fatal(err)
		}
	})
	if len(result.Blamed) != 1 {
		t.Fatalf("blamed %v", result.Blamed)
	}
	genuine := result.Blamed[0]
	tests := []struct {
		name  string
		alter func(b *roast.Blame)
		want  error
	}{
		{"as it is", func(*roast.Blame) {}, nil},
		{"the right signature", func(b *roast.Blame) { b.Signatures = c.actors[0].signed[0].Signatures }, roast.ErrNoLie},
		{"a message it signed rightly", func(b *roast.Blame) { b.Message = 0 }, roast.ErrNoLie},
		{"a message that is not there", func(b *roast.Blame) { b.Message = 3 }, roast.ErrNoLie},
		{"a signer outside the session", func(b *roast.Blame) { b.ID = 2; b.Signers = []frost.ID{0, 1} }, roast.ErrNoLie},
		{"no sums", func(b *roast.Blame) { b.Aggregates = nil }, roast.ErrNoLie},
		{"no such session", func(b *roast.Blame) { b.Signers = []frost.ID{0} }, roast.ErrNoLie},
		{"called a wrong count", func(b *roast.Blame) { b.Lie = roast.LieSignatureCount }, roast.ErrNoLie},
		{"called a wrong number of nonces", func(b *roast.Blame) { b.Lie = roast.LieNonceCount }, roast.ErrNoLie},
		{"called a nonce that is none", func(b *roast.Blame) { b.Lie = roast.LieNonce }, roast.ErrNoLie},
		{"called malformed", func(b *roast.Blame) { b.Lie = roast.LieMalformed }, roast.ErrNoLie},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := *genuine
			test.alter(&b)
			if err := b.Check(c.group, c.messages); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
	if want := "lied: signer 0 sent a wrong partial signature for message 2 in session 1"; genuine.Error() != want {
		t.Errorf("%q, want %q", genuine.Error(), want)
	}
}

// What a signer gives as its reason is shown quoted and cut.
func TestRefusalIsShownSafely(t *testing.T) {
	e := &roast.RefusalError{Reason: "\x1b[2J" + strings.Repeat("x", 1<<20)}
	if text := e.Error(); len(text) > 1024 || slices.Contains([]byte(text), 0x1b) {
		t.Errorf("%d bytes: %.40s", len(text), text)
	}
}
