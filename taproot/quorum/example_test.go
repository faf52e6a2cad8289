package quorum_test

import (
	"fmt"
	"log"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/quorum"
)

// Two of three people who share one machine spend a coin of their vault.
func Example() {
	q, err := quorum.Deal(taproot.Policy{
		Scheme: taproot.MuSig2Leaves, Threshold: 2, Guardians: 3, Network: "regtest",
		Recovery: taproot.Recovery{Threshold: 1, Keys: []taproot.XOnlyKey{taproot.XOnlyKey(taproot.Unspendable.XOnly())}, Delay: 144},
	}, false, nil)
	if err != nil {
		log.Fatal(err)
	}
	coin, err := q.Vault().Output(taproot.Deposit, 17)
	if err != nil {
		log.Fatal(err)
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Index: 1}, nil, nil))
	tx.AddTxOut(wire.NewTxOut(99_000, coin.Script))
	for _, signers := range [][]int{{0}, {0, 2}, {0, 1, 2}} {
		signed, err := q.Sign(tx, []taproot.Output{coin}, []int64{100_000}, signers)
		if err != nil {
			fmt.Println(signers, err)
			continue
		}
		fmt.Println(signers, len(signed.TxIn[0].Witness), "witness elements")
	}
	// Output:
	// [0] taproot: this set of guardians cannot spend: 1 signers, must be 2
	// [0 2] 3 witness elements
	// [0 1 2] 1 witness elements
}
