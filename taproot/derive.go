package taproot

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"

	"github.com/daobank/daobank/taproot/frost"
)

// syntheticChainCode is the chain code that BIP-328 gives to aggregate keys:
// SHA256("MuSig2MuSig2MuSig2").
var syntheticChainCode = [32]byte{
	0x86, 0x80, 0x87, 0xca, 0x02, 0xa6, 0xf9, 0x74, 0xc4, 0x59, 0x89, 0x24, 0xc3, 0x6b, 0x57, 0x76,
	0x2d, 0x32, 0xcb, 0x45, 0x71, 0x71, 0x67, 0xe3, 0x00, 0x62, 0x2c, 0x71, 0x67, 0xe3, 0x89, 0x65,
}

// hardened is the first index that needs a private key (BIP-32).
const hardened = hdkeychain.HardenedKeyStart

// tapTweakTag is SHA256("TapTweak"), written twice before what is hashed.
var tapTweakTag = sha256.Sum256([]byte("TapTweak"))

// SyntheticXpub writes a group key as an extended public key of depth zero, as
// BIP-328 does for aggregate keys, so that wallets can derive from it.
func SyntheticXpub(key frost.PublicKey, params *chaincfg.Params) (string, error) {
	if _, err := frost.ParsePublicKey(key[:]); err != nil {
		return "", err
	}
	xpub := hdkeychain.NewExtendedKey(params.HDPublicKeyID[:], key[:], syntheticChainCode[:],
		make([]byte, 4), 0, 0, false)
	return xpub.String(), nil
}

// extendedKey is a public key of BIP-32. The derivation is written out here
// because hdkeychain computes on big integers and parses the parent anew for
// every child, which costs a scan several times the work.
type extendedKey struct {
	point      btcec.JacobianPoint // affine
	compressed [33]byte
	chainCode  [32]byte
	tweak      [32]byte // what was added to the parent
}

func newExtendedKey(key frost.PublicKey) (*extendedKey, error) {
	parsed, err := btcec.ParsePubKey(key[:])
	if err != nil {
		return nil, fmt.Errorf("%w: group key: %w", ErrPolicy, err)
	}
	k := &extendedKey{compressed: key, chainCode: syntheticChainCode}
	parsed.AsJacobian(&k.point)
	return k, nil
}

// child is CKDpub of BIP-32.
func (k *extendedKey) child(index uint32) (extendedKey, error) {
	child, err := k.unfinishedChild(index)
	if err != nil {
		return extendedKey{}, err
	}
	child.point.ToAffine()
	child.compress()
	return child, nil
}

// unfinishedChild leaves the point in Jacobian form and not compressed, so that
// many children can share one field inversion.
func (k *extendedKey) unfinishedChild(index uint32) (extendedKey, error) {
	if index >= hardened {
		return extendedKey{}, fmt.Errorf("%w: index %d, must be below 2^31", ErrDerivation, index)
	}
	var data [37]byte
	copy(data[:], k.compressed[:])
	binary.BigEndian.PutUint32(data[33:], index)
	mac := hmac.New(sha512.New, k.chainCode[:])
	mac.Write(data[:])
	var sum [64]byte
	mac.Sum(sum[:0])

	child := extendedKey{tweak: [32]byte(sum[:32]), chainCode: [32]byte(sum[32:])}
	var err error
	if child.point, err = addTweak(&k.point, &child.tweak); err != nil {
		return extendedKey{}, fmt.Errorf("%w: index %d: %w", ErrDerivation, index, err)
	}
	return child, nil
}

// compress fills in the encoding of an affine point.
func (k *extendedKey) compress() {
	k.compressed[0] = 0x02
	if k.point.Y.IsOdd() {
		k.compressed[0] = 0x03
	}
	k.point.X.PutBytesUnchecked(k.compressed[1:])
}

func (k *extendedKey) xOnly() [32]byte { return [32]byte(k.compressed[1:]) }

// taproot is taproot_tweak_pubkey of BIP-341: the output key over this internal
// key and the tweak that leads to it. An empty root is a key without scripts.
func (k *extendedKey) taproot(root []byte) (outputKey, tweak [32]byte, err error) {
	output, tweak, err := k.unfinishedTaproot(root)
	if err != nil {
		return outputKey, tweak, err
	}
	output.ToAffine()
	output.X.PutBytesUnchecked(outputKey[:])
	return outputKey, tweak, nil
}

// unfinishedTaproot leaves the output key in Jacobian form.
func (k *extendedKey) unfinishedTaproot(root []byte) (output btcec.JacobianPoint, tweak [32]byte, err error) {
	tweak = tapTweak(k.compressed[1:], root)
	even := k.point
	if even.Y.IsOdd() {
		even.Y.Negate(1).Normalize()
	}
	output, err = addTweak(&even, &tweak)
	if err != nil {
		return output, tweak, fmt.Errorf("%w: output key: %w", ErrDerivation, err)
	}
	return output, tweak, nil
}

// tapTweak is the tagged hash TapTweak of BIP-341.
func tapTweak(internalKey, root []byte) [32]byte {
	b := make([]byte, 0, 128)
	b = append(b, tapTweakTag[:]...)
	b = append(b, tapTweakTag[:]...)
	b = append(b, internalKey...)
	b = append(b, root...)
	return sha256.Sum256(b)
}

// addTweak returns p + t·G, not infinity, in Jacobian form.
func addTweak(p *btcec.JacobianPoint, tweak *[32]byte) (btcec.JacobianPoint, error) {
	var t btcec.ModNScalar
	if overflow := t.SetBytes(tweak); overflow != 0 {
		return btcec.JacobianPoint{}, frost.ErrTweakRange
	}
	var tG, sum btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(&t, &tG)
	btcec.AddNonConst(&tG, p, &sum)
	if sum.Z.IsZero() || (sum.X.IsZero() && sum.Y.IsZero()) {
		return btcec.JacobianPoint{}, frost.ErrTweakInfinity
	}
	return sum, nil
}

func payToTaproot(outputKey [32]byte) []byte {
	return append([]byte{txscript.OP_1, txscript.OP_DATA_32}, outputKey[:]...)
}
