package taproot

import (
	"math"
	"math/bits"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/input"
)

// dustRelayFee is Bitcoin Core's -dustrelayfee, in satoshis per 1,000 virtual
// bytes.
const dustRelayFee = 3000

// KeySpendWeight is the exact weight, in weight units, of a transaction that
// spends that many vault outputs by key path and pays to outputScripts.
func KeySpendWeight(inputs int, outputScripts [][]byte) int64 {
	var estimator input.TxWeightEstimator
	for range inputs {
		estimator.AddTaprootKeySpendInput(txscript.SigHashDefault)
	}
	for _, script := range outputScripts {
		estimator.AddTxOutput(wire.NewTxOut(0, script))
	}
	return int64(estimator.Weight())
}

// OutputVBytes is what one output adds to a transaction, in virtual bytes,
// leaving aside that the count of outputs may grow by two bytes.
func OutputVBytes(script []byte) int64 {
	return int64(wire.NewTxOut(0, script).SerializeSize())
}

// FeeForWeight is the least fee in satoshis with which a transaction of weight
// (weight units) pays satPerKvB (satoshis per 1,000 virtual bytes) by Bitcoin
// Core's reckoning: weight is rounded up to virtual bytes, then the fee up to
// satoshis. Zero or less gives zero; a product past int64 gives MaxInt64, above
// any ceiling.
func FeeForWeight(weight, satPerKvB int64) int64 {
	if weight <= 0 || satPerKvB <= 0 {
		return 0
	}
	vbytes := uint64(weight-1)/4 + 1
	hi, lo := bits.Mul64(vbytes, uint64(satPerKvB))
	if hi >= 1000 {
		return math.MaxInt64
	}
	fee, rest := bits.Div64(hi, lo, 1000)
	if rest > 0 {
		fee++
	}
	if fee > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(fee)
}

// DustLimit is the least value in satoshis of an output that Bitcoin Core relays
// at its default dust fee (GetDustThreshold): what it would cost to create and
// spend the output. An unspendable output has no limit: zero.
func DustLimit(script []byte) int64 {
	if txscript.IsUnspendable(script) {
		return 0
	}
	size := OutputVBytes(script)
	if txscript.IsWitnessProgram(script) {
		size += 32 + 4 + 1 + 107/4 + 4
	} else {
		size += 32 + 4 + 1 + 107 + 4
	}
	return size * dustRelayFee / 1000
}
