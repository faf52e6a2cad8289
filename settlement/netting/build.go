package netting

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcutil/txsort"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// Transaction is the one Bitcoin transaction of a cut, unsigned.
type Transaction struct {
	Settlement uint32
	Version    uint16 // of the settlement
	Tx         *wire.MsgTx
	TxID       chainhash.Hash
	// Spent are the outputs that the inputs spend, in the order of the inputs.
	Spent []*wire.TxOut
	// Signers says for each input which key spends it, and how that is tweaked.
	Signers []Signer
	// ChangeVout is the output that returns change, or ledger.NoChange.
	ChangeVout uint32
	// FeeSat is the whole fee in satoshis.
	FeeSat int64
	// Destinations is the number of outputs that pay members.
	Destinations int
}

// Signer is the key of one input.
type Signer struct {
	Generation uint32 // whose guardians sign
	taproot.Output
}

// UnsignedError says that the guardians of a generation of the vault's key did not
// sign a settlement, or a proof of reserves.
type UnsignedError struct {
	Settlement uint32 // 0 for a proof of reserves
	Generation uint32
	Err        error
}

func (e *UnsignedError) Error() string {
	what := fmt.Sprintf("settlement %d", e.Settlement)
	if e.Settlement == 0 {
		what = "the proof of reserves"
	}
	return fmt.Sprintf("the guardians of generation %d do not sign %s: %v", e.Generation, what, e.Err)
}

func (e *UnsignedError) Unwrap() error { return e.Err }

// AnchorTag opens the 40 bytes that a settlement's OP_RETURN carries.
const AnchorTag = "DAOB"

// anchorScript is OP_RETURN with one push of 40 bytes: tag, settlement number,
// hash of the books. 42 bytes, so that it relays under the strictest limit in use.
func anchorScript(settlement uint32, books ledger.Hash) []byte {
	s := append([]byte{txscript.OP_RETURN, 40}, AnchorTag...)
	s = binary.BigEndian.AppendUint32(s, settlement)
	return append(s, books[:]...)
}

// ReadAnchor finds the anchor of a transaction: the settlement number and the
// hash of the books that it carries.
func ReadAnchor(tx *wire.MsgTx) (settlement uint32, books ledger.Hash, ok bool) {
	for _, out := range tx.TxOut {
		s := out.PkScript
		if len(s) == 42 && s[0] == txscript.OP_RETURN && s[1] == 40 && string(s[2:6]) == AnchorTag {
			return binary.BigEndian.Uint32(s[6:10]), ledger.Hash(s[10:42]), true
		}
	}
	return 0, ledger.Hash{}, false
}

// Build makes the transaction of a cut. It depends on nothing but the cut and
// the vaults: everybody who has replayed the journal gets the same bytes.
func Build(open *ledger.OpenCut, vaults *Vaults) (*Transaction, error) {
	change, err := vaults.Output(open.Generation, ledger.BranchChange, open.Settlement)
	if err != nil {
		return nil, fmt.Errorf("change address %d: %w", open.Settlement, err)
	}
	payouts := netted(open.Payouts)
	tx := wire.NewMsgTx(2)
	tx.TxOut = append(payouts, wire.NewTxOut(0, anchorScript(open.Settlement, open.Books.Hash())))
	if open.Change > 0 {
		tx.AddTxOut(wire.NewTxOut(int64(open.Change), change.Script))
	}
	coins := make(map[wire.OutPoint]ledger.Coin, len(open.Inputs))
	for _, c := range open.Inputs {
		at := wire.OutPoint{Hash: chainhash.Hash(c.TxID), Index: c.Vout}
		coins[at] = c
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: at, Sequence: wire.MaxTxInSequenceNum - 2})
	}
	txsort.InPlaceSort(tx)

	t := &Transaction{Settlement: open.Settlement, Version: open.Version, Tx: tx, TxID: tx.TxHash(), FeeSat: int64(open.Fee),
		ChangeVout: ledger.NoChange, Destinations: len(payouts)}
	if open.Change > 0 {
		t.ChangeVout = findOutput(tx, int64(open.Change), change.Script)
	}
	for _, in := range tx.TxIn {
		c := coins[in.PreviousOutPoint]
		out, err := vaults.Output(c.Generation, c.Branch, c.Index)
		if err != nil {
			return nil, fmt.Errorf("address of coin %s: %w", c.OutPoint, err)
		}
		t.Signers = append(t.Signers, Signer{Generation: c.Generation, Output: out})
		t.Spent = append(t.Spent, wire.NewTxOut(int64(c.Amount), out.Script))
	}
	return t, nil
}

// netted adds up the payouts of each destination.
func netted(payouts []ledger.Payout) []*wire.TxOut {
	place := make(map[string]*wire.TxOut, len(payouts))
	var outs []*wire.TxOut
	for _, p := range payouts {
		out, ok := place[string(p.Script)]
		if !ok {
			out = wire.NewTxOut(0, p.Script)
			place[string(p.Script)] = out
			outs = append(outs, out)
		}
		out.Value += int64(p.Amount)
	}
	return outs
}

func findOutput(tx *wire.MsgTx, value int64, script []byte) uint32 {
	i := slices.IndexFunc(tx.TxOut, func(o *wire.TxOut) bool {
		return o.Value == value && bytes.Equal(o.PkScript, script)
	})
	return uint32(i)
}

// A Flight are the transactions of all versions of the settlement in flight, the
// newest last.
type Flight []*Transaction

// Follow builds what the books have and the flight has not. A version never changes,
// so what was built of the same settlement is kept.
func (f Flight) Follow(books *ledger.State, vaults *Vaults) (Flight, error) {
	return f.Extend(books.Versions(), vaults)
}

// Extend is Follow for whoever has the versions of the books.
func (f Flight) Extend(versions []*ledger.OpenCut, vaults *Vaults) (Flight, error) {
	if len(versions) == 0 {
		return nil, nil
	}
	if len(f) > 0 && f[0].Settlement != versions[0].Settlement {
		f = nil
	}
	for _, open := range versions[len(f):] {
		t, err := Build(open, vaults)
		if err != nil {
			return nil, err
		}
		f = append(f, t)
	}
	return f, nil
}

// Newest is the version that guardians sign, nil for none.
func (f Flight) Newest() *Transaction {
	if len(f) == 0 {
		return nil
	}
	return f[len(f)-1]
}

// Find is the version with a txid, nil for none.
func (f Flight) Find(txid chainhash.Hash) *Transaction {
	for _, t := range f {
		if t.TxID == txid {
			return t
		}
	}
	return nil
}

// settled is the entry that posts the transaction.
func (t *Transaction) settled() *ledger.Settled {
	return &ledger.Settled{Settlement: t.Settlement, Version: t.Version, TxID: ledger.Hash(t.TxID), ChangeVout: t.ChangeVout}
}

// Sighashes returns what is signed for each input: BIP-341, SIGHASH_DEFAULT.
func (t *Transaction) Sighashes() ([][32]byte, error) {
	return taproot.Sighashes(t.Tx, t.Spent)
}
