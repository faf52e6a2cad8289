package ledger

import (
	"encoding/hex"
	"errors"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/bip340"
)

// Key is an x-only public key as BIP-340 defines it.
type Key [32]byte

// Signature is a 64-byte BIP-340 signature.
type Signature [64]byte

// KeyOf returns the x-only public key of a private key.
func KeyOf(priv *btcec.PrivateKey) Key {
	return Key(schnorr.SerializePubKey(priv.PubKey()))
}

// String returns 64 hex digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// MarshalText implements encoding.TextMarshaler.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Key) UnmarshalText(text []byte) error { return unhex(k[:], text) }

// Validate reports CodeKey when no point of secp256k1 has this x coordinate.
func (k Key) Validate() error {
	if _, err := schnorr.ParsePubKey(k[:]); err != nil {
		return fail(CodeKey, "%s is not a public key: use the 32-byte x-only form of BIP-340", k)
	}
	return nil
}

// Verify checks a BIP-340 signature over a 32-byte digest.
func (k Key) Verify(digest Hash, sig Signature) bool { return bip340.Verify(k, digest[:], sig) }

// String returns 128 hex digits.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

// MarshalText implements encoding.TextMarshaler.
func (s Signature) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Signature) UnmarshalText(text []byte) error { return unhex(s[:], text) }

// errFaulty keeps a signature from going out that a machine which computes wrongly
// has made: it could give the key away (BIP-340, "Default Signing").
var errFaulty = errors.New("the signature just made does not verify: do not use this machine")

func sign(priv *btcec.PrivateKey, digest Hash) (Signature, error) {
	// FastSign leaves out a verification that takes four times as long as the one here.
	s, err := schnorr.Sign(priv, digest[:], schnorr.FastSign())
	if err != nil {
		return Signature{}, err
	}
	signature := Signature(s.Serialize())
	if !KeyOf(priv).Verify(digest, signature) {
		return Signature{}, errFaulty
	}
	return signature, nil
}
