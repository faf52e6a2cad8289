package taproot

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// Errors of spending.
var (
	// ErrSpendShape: transaction, previous outputs and signatures do not fit
	// together.
	ErrSpendShape = errors.New("taproot: transaction, previous outputs and signatures do not match")
	// ErrSpendInvalid: a node would refuse the spend.
	ErrSpendInvalid = errors.New("taproot: invalid spend")
)

// Sighashes are the messages that the inputs of tx sign by key path with
// SIGHASH_DEFAULT (BIP-341); prevouts[i] is what input i spends. Each message
// commits to every input's value and script. The error wraps ErrSpendShape.
func Sighashes(tx *wire.MsgTx, prevouts []*wire.TxOut) ([][32]byte, error) {
	fetcher, err := prevoutFetcher(tx, prevouts)
	if err != nil {
		return nil, err
	}
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	messages := make([][32]byte, len(tx.TxIn))
	for i := range tx.TxIn {
		message, err := txscript.CalcTaprootSignatureHash(hashes, txscript.SigHashDefault, tx, i, fetcher)
		if err != nil {
			return nil, fmt.Errorf("taproot: sighash of input %d: %w", i, err)
		}
		messages[i] = [32]byte(message)
	}
	return messages, nil
}

// AttachSignatures returns a copy of tx whose input i is spent by key path with
// sigs[i]; tx is unchanged. The signatures are 64 bytes long and not verified
// here. The error wraps ErrSpendShape.
func AttachSignatures(tx *wire.MsgTx, sigs [][]byte) (*wire.MsgTx, error) {
	if tx == nil || len(sigs) != len(tx.TxIn) {
		return nil, fmt.Errorf("%w: %d signatures", ErrSpendShape, len(sigs))
	}
	signed := tx.Copy()
	for i, sig := range sigs {
		if len(sig) != schnorr.SignatureSize {
			return nil, fmt.Errorf("%w: signature %d has %d bytes", ErrSpendShape, i, len(sig))
		}
		signed.TxIn[i].Witness = wire.TxWitness{append([]byte(nil), sig...)}
	}
	return signed, nil
}

// VerifySpend runs every input of a signed transaction through the script
// engine, by consensus and relay rules. The error wraps ErrSpendShape or
// ErrSpendInvalid and names the first input that fails.
func VerifySpend(tx *wire.MsgTx, prevouts []*wire.TxOut) error {
	fetcher, err := prevoutFetcher(tx, prevouts)
	if err != nil {
		return err
	}
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	for i, prevout := range prevouts {
		engine, err := txscript.NewEngine(prevout.PkScript, tx, i, txscript.StandardVerifyFlags,
			nil, hashes, prevout.Value, fetcher)
		if err == nil {
			err = engine.Execute()
		}
		if err != nil {
			return fmt.Errorf("%w: input %d (%v): %w", ErrSpendInvalid, i, tx.TxIn[i].PreviousOutPoint, err)
		}
	}
	return nil
}

// prevoutFetcher also refuses a coin spent twice: the later entry would hide the
// earlier one.
func prevoutFetcher(tx *wire.MsgTx, prevouts []*wire.TxOut) (*txscript.MultiPrevOutFetcher, error) {
	if tx == nil || len(tx.TxIn) == 0 || len(tx.TxIn) != len(prevouts) {
		return nil, fmt.Errorf("%w: %d previous outputs", ErrSpendShape, len(prevouts))
	}
	byOutPoint := make(map[wire.OutPoint]*wire.TxOut, len(prevouts))
	for i, in := range tx.TxIn {
		if prevouts[i] == nil {
			return nil, fmt.Errorf("%w: previous output %d is missing", ErrSpendShape, i)
		}
		if _, twice := byOutPoint[in.PreviousOutPoint]; twice {
			return nil, fmt.Errorf("%w: %v is spent twice", ErrSpendShape, in.PreviousOutPoint)
		}
		byOutPoint[in.PreviousOutPoint] = prevouts[i]
	}
	return txscript.NewMultiPrevOutFetcher(byOutPoint), nil
}
