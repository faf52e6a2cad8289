package taproot

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/taproot/frost"
)

// spend is a transaction over coins of the vault, not yet signed.
type spend struct {
	tx       *wire.MsgTx
	outputs  []Output
	prevouts []*wire.TxOut
}

func newSpend(t testing.TB, v *Vault, random *rand.Rand, inputs int, payouts ...[]byte) spend {
	t.Helper()
	s := spend{tx: wire.NewMsgTx(2)}
	for i := range inputs {
		branch := Branch(random.Uint32N(branches))
		out, err := v.Output(branch, random.Uint32N(hardened))
		if err != nil {
			t.Fatal(err)
		}
		outPoint := wire.OutPoint{Hash: chainhash.Hash{byte(i), byte(i >> 8), 1}, Index: random.Uint32()}
		s.tx.AddTxIn(wire.NewTxIn(&outPoint, nil, nil))
		s.outputs = append(s.outputs, out)
		s.prevouts = append(s.prevouts, wire.NewTxOut(random.Int64N(21e14), out.Script))
	}
	for _, script := range payouts {
		s.tx.AddTxOut(wire.NewTxOut(random.Int64N(21e14), script))
	}
	return s
}

// signInput makes the key-path signature of one input by the given guardians.
func (v testVault) signInput(t testing.TB, out Output, message [32]byte, signers []frost.ID) []byte {
	t.Helper()
	secrets := make(map[frost.ID]*frost.SecretNonce)
	nonces := make(map[frost.ID]frost.PublicNonce)
	for _, id := range signers {
		secret, public, err := frost.NonceGen(nil, frost.NonceParams{
			Share: v.shares[id], Key: &out.OutputKey, Message: message[:],
		})
		if err != nil {
			t.Fatal(err)
		}
		secrets[id], nonces[id] = secret, public
	}
	aggregate, err := frost.NonceAgg(nonces)
	if err != nil {
		t.Fatal(err)
	}
	session, err := frost.NewSession(v.group, frost.SessionParams{
		Signers: signers, AggregateNonce: aggregate, Tweaks: out.Tweaks, Message: message[:],
	})
	if err != nil {
		t.Fatal(err)
	}
	if session.Key() != out.OutputKey {
		t.Fatalf("the session signs for %x, the output is %x", session.Key(), out.OutputKey)
	}
	parts := make(map[frost.ID]frost.PartialSignature)
	for _, id := range signers {
		if parts[id], err = session.Sign(secrets[id], v.shares[id]); err != nil {
			t.Fatal(err)
		}
	}
	signature, err := session.Aggregate(parts, nonces)
	if err != nil {
		t.Fatal(err)
	}
	return signature[:]
}

func (v testVault) sign(t testing.TB, s spend, signers func(input int) []frost.ID) *wire.MsgTx {
	t.Helper()
	messages, err := Sighashes(s.tx, s.prevouts)
	if err != nil {
		t.Fatal(err)
	}
	sigs := make([][]byte, len(messages))
	for i, message := range messages {
		sigs[i] = v.signInput(t, s.outputs[i], message, signers(i))
	}
	signed, err := AttachSignatures(s.tx, sigs)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Three of five guardians, others for every input, spend coins from all over
// the vault.
func TestGuardiansSpend(t *testing.T) {
	v := newTestVault(t)
	random := rand.New(seeded(2))
	change, err := v.Output(Change, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := newSpend(t, v.Vault, random, 6, change.Script, payoutScripts["P2WPKH"])
	signed := v.sign(t, s, func(int) []frost.ID {
		ids := random.Perm(5)[:3+random.IntN(3)]
		signers := make([]frost.ID, len(ids))
		for i, id := range ids {
			signers[i] = frost.ID(id)
		}
		return signers
	})
	if err := VerifySpend(signed, s.prevouts); err != nil {
		t.Fatal(err)
	}
	if s.tx.HasWitness() {
		t.Error("AttachSignatures changed its argument")
	}
	if signed.TxHash() != s.tx.TxHash() {
		t.Error("signing changed the txid")
	}
	signed.TxIn[3].Witness[0][63] ^= 1
	if err := VerifySpend(signed, s.prevouts); !errors.Is(err, ErrSpendInvalid) {
		t.Errorf("a damaged signature: error %v, want %v", err, ErrSpendInvalid)
	}
	signed.TxIn[3].Witness[0][63] ^= 1
	s.prevouts[5].Value++
	if err := VerifySpend(signed, s.prevouts); !errors.Is(err, ErrSpendInvalid) {
		t.Errorf("another value: error %v, want %v", err, ErrSpendInvalid)
	}
}

func TestRecoverySpends(t *testing.T) {
	v := newTestVault(t)
	delay := uint32(v.Policy().Recovery.Delay)
	for _, c := range []struct {
		name     string
		sequence uint32
		version  int32
		signers  []int
		valid    bool
	}{
		{"two of three after the delay", delay, 2, []int{0, 2}, true},
		{"another two, later", delay + 1, 2, []int{1, 2}, true},
		{"one block early", delay - 1, 2, []int{0, 1}, false},
		{"no timelock", wire.MaxTxInSequenceNum, 2, []int{0, 1}, false},
		{"time instead of blocks", wire.SequenceLockTimeIsSeconds | delay, 2, []int{0, 1}, false},
		{"version without timelocks", delay, 1, []int{0, 1}, false},
		{"one of three", delay, 2, []int{1}, false},
		{"three of three", delay, 2, []int{0, 1, 2}, false}, // multi_a wants exactly m
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpend(t, v.Vault, rand.New(seeded(3)), 1, payoutScripts["P2WPKH"])
			s.tx.Version = c.version
			s.tx.TxIn[0].Sequence = c.sequence
			s.tx.TxIn[0].Witness = v.recoveryWitness(t, s, c.signers)
			err := VerifySpend(s.tx, s.prevouts)
			if c.valid && err != nil {
				t.Error(err)
			}
			if !c.valid && !errors.Is(err, ErrSpendInvalid) {
				t.Errorf("error %v, want %v", err, ErrSpendInvalid)
			}
		})
	}
}

// recoveryWitness spends input 0 by the recovery leaf: signatures in reverse
// order of the keys, an empty one for who does not sign.
func (v testVault) recoveryWitness(t *testing.T, s spend, signers []int) wire.TxWitness {
	t.Helper()
	fetcher := txscript.NewCannedPrevOutputFetcher(s.prevouts[0].PkScript, s.prevouts[0].Value)
	hashes := txscript.NewTxSigHashes(s.tx, fetcher)
	message, err := txscript.CalcTapscriptSignaturehash(hashes, txscript.SigHashDefault, s.tx, 0, fetcher,
		txscript.NewBaseTapLeaf(v.RecoveryScript()))
	if err != nil {
		t.Fatal(err)
	}
	witness := make(wire.TxWitness, len(v.recovery))
	for _, i := range signers {
		signature, err := schnorr.Sign(v.recovery[i], message)
		if err != nil {
			t.Fatal(err)
		}
		witness[len(witness)-1-i] = signature.Serialize()
	}
	control, err := v.RecoveryControlBlock(s.outputs[0])
	if err != nil {
		t.Fatal(err)
	}
	return append(witness, v.RecoveryScript(), control)
}

func TestSpendShapeRefused(t *testing.T) {
	v := newTestVault(t)
	s := newSpend(t, v.Vault, rand.New(seeded(4)), 2, payoutScripts["P2TR"])
	twice := s.tx.Copy()
	twice.TxIn[1].PreviousOutPoint = twice.TxIn[0].PreviousOutPoint
	for _, c := range []struct {
		name     string
		tx       *wire.MsgTx
		prevouts []*wire.TxOut
	}{
		{"no transaction", nil, s.prevouts},
		{"no inputs", wire.NewMsgTx(2), nil},
		{"too few previous outputs", s.tx, s.prevouts[:1]},
		{"a missing previous output", s.tx, []*wire.TxOut{s.prevouts[0], nil}},
		{"a coin spent twice", twice, s.prevouts},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Sighashes(c.tx, c.prevouts); !errors.Is(err, ErrSpendShape) {
				t.Errorf("sighashes: error %v, want %v", err, ErrSpendShape)
			}
			if err := VerifySpend(c.tx, c.prevouts); !errors.Is(err, ErrSpendShape) {
				t.Errorf("verify: error %v, want %v", err, ErrSpendShape)
			}
		})
	}
	for name, sigs := range map[string][][]byte{
		"too few": {make([]byte, 64)}, "short": {make([]byte, 64), make([]byte, 63)},
		"with a sighash byte": {make([]byte, 64), make([]byte, 65)},
	} {
		if _, err := AttachSignatures(s.tx, sigs); !errors.Is(err, ErrSpendShape) {
			t.Errorf("%s: error %v, want %v", name, err, ErrSpendShape)
		}
	}
	if err := VerifySpend(s.tx, s.prevouts); !errors.Is(err, ErrSpendInvalid) {
		t.Errorf("unsigned: error %v, want %v", err, ErrSpendInvalid)
	}
}

func TestKeySpendWeightIsExact(t *testing.T) {
	v := newTestVault(t)
	opReturn := append([]byte{txscript.OP_RETURN, 40}, make([]byte, 40)...)
	for _, c := range []struct {
		inputs  int
		outputs [][]byte
	}{
		{1, [][]byte{payoutScripts["P2TR"]}},
		{1, [][]byte{payoutScripts["P2PKH"], payoutScripts["P2SH"], payoutScripts["P2WPKH"], payoutScripts["P2WSH"], opReturn}},
		{2, [][]byte{opReturn}},
		{3, repeat(payoutScripts["P2WPKH"], 252)},
		{3, repeat(payoutScripts["P2WPKH"], 253)},
		{253, repeat(payoutScripts["P2SH"], 300)},
		{1, [][]byte{make([]byte, 300)}},
	} {
		s := newSpend(t, v.Vault, rand.New(seeded(5)), c.inputs, c.outputs...)
		signed := v.sign(t, s, func(int) []frost.ID { return []frost.ID{0, 1, 2} })
		want := blockchain.GetTransactionWeight(btcutil.NewTx(signed))
		if got := KeySpendWeight(c.inputs, c.outputs); got != want {
			t.Errorf("%d inputs, %d outputs: weight %d, want %d", c.inputs, len(c.outputs), got, want)
		}
		if c.inputs > 3 {
			continue
		}
		if err := VerifySpend(signed, s.prevouts); err != nil {
			t.Error(err)
		}
	}
}

func repeat(script []byte, n int) [][]byte {
	scripts := make([][]byte, n)
	for i := range scripts {
		scripts[i] = script
	}
	return scripts
}
