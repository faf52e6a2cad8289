package frost

import (
	"errors"
	"fmt"
	"testing"
)

// several are sessions of participant 0 with messages and tweaks of their own, and
// its secret nonces.
func several(t *testing.T, group *Group, shares []*Share, n int) (sessions []*Session, nonces []*SecretNonce, public []PublicNonce) {
	t.Helper()
	for i := range n {
		message := fmt.Appendf(nil, "message %d", i)
		all := make(map[ID]PublicNonce)
		var own *SecretNonce
		for id := range ID(2) {
			secret, nonce, err := NonceGen(seeded(uint64(2*i)+uint64(id)), NonceParams{Share: shares[id], Message: message})
			if err != nil {
				t.Fatal(err)
			}
			if all[id] = nonce; id == 0 {
				own = secret
			}
		}
		aggregate, err := NonceAgg(all)
		if err != nil {
			t.Fatal(err)
		}
		tweaked, err := group.Tweak([]Tweak{{Value: [32]byte{31: byte(i)}}, {Value: [32]byte{30: byte(i)}, XOnly: true}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSession(group, SessionParams{Signers: []ID{0, 1}, AggregateNonce: aggregate, Tweaked: tweaked, Message: message})
		if err != nil {
			t.Fatal(err)
		}
		sessions, nonces, public = append(sessions, s), append(nonces, own), append(public, all[0])
	}
	return sessions, nonces, public
}

// TestSignAllIsSign: in many sessions, of which the tweaked keys and the final nonces
// are odd and even, each part verifies, and the nonces are gone.
func TestSignAllIsSign(t *testing.T) {
	group, shares := deal(t, 2, 3, 1)
	sessions, nonces, public := several(t, group, shares, 40)
	parts, err := SignAll(sessions, nonces, shares[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range sessions {
		if err := s.PartialSigVerify(0, public[i], parts[i]); err != nil {
			t.Errorf("part %d: %v", i, err)
		}
	}
	if _, err := SignAll(sessions, nonces, shares[0]); !errors.Is(err, ErrNonceUsed) {
		t.Errorf("with the same nonces again: %v", err)
	}
}

// TestVerifyTogetherSees one part that is wrong among many, in every bit that a fault
// may flip at random, and two that are exchanged.
func TestVerifyTogetherSees(t *testing.T) {
	group, shares := deal(t, 2, 3, 1)
	sessions, nonces, public := several(t, group, shares, 8)
	parts, err := SignAll(sessions, nonces, shares[0])
	if err != nil {
		t.Fatal(err)
	}
	if !verifyTogether(sessions, shares[0], public, parts) {
		t.Fatal("right parts are refused")
	}
	for bit := range 256 {
		parts[bit%8][bit/8] ^= 1 << (bit % 8)
		if verifyTogether(sessions, shares[0], public, parts) {
			t.Errorf("bit %d of part %d is wrong and passes", bit, bit%8)
		}
		parts[bit%8][bit/8] ^= 1 << (bit % 8)
	}
	parts[2], parts[5] = parts[5], parts[2]
	if verifyTogether(sessions, shares[0], public, parts) {
		t.Error("exchanged parts pass")
	}
}

// TestSessionOfAnotherGroup: what one group's key was tweaked to is not taken for
// another's.
func TestSessionOfAnotherGroup(t *testing.T) {
	group, shares := deal(t, 2, 3, 1)
	other, _ := deal(t, 2, 3, 2)
	sessions, _, _ := several(t, group, shares, 1)
	tweaked, err := other.Tweak(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSession(group, SessionParams{Signers: []ID{0, 1}, AggregateNonce: sessions[0].nonce, Tweaked: tweaked, Message: sessions[0].message})
	if err != nil || s.Key() == tweaked.Key() {
		t.Errorf("the session is for %x, %v", s.Key(), err)
	}
}
