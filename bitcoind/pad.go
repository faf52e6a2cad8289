package bitcoind

import (
	"fmt"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

const (
	paddingOutput = 43  // virtual bytes of a P2TR output
	leastPadding  = 10  // of a bare OP_RETURN output
	keyPathVSize  = 111 // of a transaction from one key path input to one P2TR output
)

// pad brings a transaction to a virtual size by outputs that every node relays:
// as many to script as fit, and one OP_RETURN for the rest. It returns what the
// outputs cost. Nodes refuse transactions above 100,000 virtual bytes.
func pad(tx *wire.MsgTx, vsize int64, script []byte) (paid int64, err error) {
	size := vsizeOf(tx)
	if vsize == 0 || size == vsize {
		return 0, nil
	}
	if size+leastPadding > vsize {
		return 0, fmt.Errorf("cannot pad a transaction of %d virtual bytes to %d: the least padding is %d", size, vsize, leastPadding)
	}
	own := len(tx.TxOut)
	for count := (vsize - size - leastPadding) / paddingOutput; count >= 0; count-- {
		tx.TxOut = tx.TxOut[:own]
		for range count {
			tx.AddTxOut(wire.NewTxOut(dustP2TR, script))
		}
		rest := vsize - vsizeOf(tx)
		if rest < leastPadding { // the count of outputs took more bytes
			continue
		}
		tx.AddTxOut(wire.NewTxOut(0, dataScript(int(rest)-leastPadding+1)))
		if vsizeOf(tx) == vsize {
			return count * dustP2TR, nil
		}
	}
	// The count of outputs grows from one byte to three at the 253rd; between
	// the two some sizes do not exist.
	return 0, fmt.Errorf("cannot pad to exactly %d virtual bytes; try one more", vsize)
}

// dataScript is an OP_RETURN script of n bytes, with n from 1 to 77.
func dataScript(n int) []byte {
	script := make([]byte, n)
	script[0] = txscript.OP_RETURN
	if n > 1 {
		script[1] = byte(n - 2) // a push of what follows
	}
	return script
}
