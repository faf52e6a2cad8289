package taproot

import (
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// SpentHashes are what a key path signature covers of the outputs that are spent:
// sha_amounts and sha_scriptpubkeys of BIP-341. With them and the transaction
// SighashOf gives the message again, without those outputs. The error wraps
// ErrSpendShape.
func SpentHashes(tx *wire.MsgTx, prevouts []*wire.TxOut) (amounts, scripts [32]byte, err error) {
	fetcher, err := prevoutFetcher(tx, prevouts)
	if err != nil {
		return amounts, scripts, err
	}
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	return hashes.HashInputAmountsV1, hashes.HashInputScriptsV1, nil
}

// SighashOf is the message that an input of tx signs by key path with
// SIGHASH_DEFAULT, for who has only the hashes of what is spent. The error wraps
// ErrSpendShape.
func SighashOf(tx *wire.MsgTx, input int, amounts, scripts [32]byte) ([32]byte, error) {
	if tx == nil || input < 0 || input >= len(tx.TxIn) {
		return [32]byte{}, fmt.Errorf("%w: there is no input %d", ErrSpendShape, input)
	}
	// What is fetched here only says that these are Taproot outputs.
	fetcher := txscript.NewCannedPrevOutputFetcher(payToTaproot([32]byte{}), 0)
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	hashes.HashInputAmountsV1, hashes.HashInputScriptsV1 = chainhash.Hash(amounts), chainhash.Hash(scripts)
	message, err := txscript.CalcTaprootSignatureHash(hashes, txscript.SigHashDefault, tx, input, fetcher)
	if err != nil {
		return [32]byte{}, fmt.Errorf("taproot: sighash of input %d: %w", input, err)
	}
	return [32]byte(message), nil
}
