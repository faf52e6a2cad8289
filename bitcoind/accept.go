package bitcoind

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// RejectReason is the node's own identifier of the rule by which it refuses a
// transaction. Those below mean the same in bitcoind 28 to 30; there are more.
type RejectReason string

// Reasons that tests meet most.
const (
	ReasonAlreadyInMempool RejectReason = "txn-already-in-mempool"
	ReasonAlreadyKnown     RejectReason = "txn-already-known" // and confirmed
	ReasonMissingInputs    RejectReason = "missing-inputs"    // unknown or spent
	ReasonConflict         RejectReason = "txn-mempool-conflict"
	ReasonReplacementFee   RejectReason = "insufficient fee" // for a replacement (BIP 125)
	ReasonMinRelayFee      RejectReason = "min relay fee not met"
	ReasonMempoolMinFee    RejectReason = "mempool min fee not met" // the mempool is full
	ReasonMempoolFull      RejectReason = "mempool full"
	ReasonLongChain        RejectReason = "too-long-mempool-chain"
	ReasonNonFinal         RejectReason = "non-final"       // lock time
	ReasonNonBIP68Final    RejectReason = "non-BIP68-final" // relative lock time
	ReasonDust             RejectReason = "dust"
	ReasonTxSize           RejectReason = "tx-size"
	ReasonTRUC             RejectReason = "TRUC-violation" // BIP 431
)

// Acceptance is what a node says to one transaction.
type Acceptance struct {
	TxID    chainhash.Hash
	Allowed bool
	Reason  RejectReason // when it is not allowed; empty when the node did not get to it
	Details string       // more of it for people, where the version tells

	VSize int64          // when it was allowed
	Fee   btcutil.Amount // the same, without what Prioritise added
}

// TestAccept asks whether the mempool would take a transaction, or several that
// may spend each other, parents first, and changes nothing. The fee rate is not
// bounded above.
func (c *Client) TestAccept(ctx context.Context, txs ...*wire.MsgTx) ([]Acceptance, error) {
	raws, err := encodeTxs(txs)
	if err != nil {
		return nil, fmt.Errorf("bitcoind: test acceptance: %w", err)
	}
	var r []struct {
		TxID    hashJSON `json:"txid"`
		Allowed bool     `json:"allowed"`
		VSize   int64    `json:"vsize"`
		Fees    struct {
			Base amountJSON `json:"base"`
		} `json:"fees"`
		Reason  RejectReason `json:"reject-reason"`
		Details string       `json:"reject-details"`
		Package RejectReason `json:"package-error"`
	}
	if err := c.Call(ctx, "testmempoolaccept", &r, raws, 0); err != nil {
		return nil, err
	}
	results := make([]Acceptance, len(r))
	for i, a := range r {
		results[i] = Acceptance{TxID: a.TxID.Hash, Allowed: a.Allowed, Reason: a.Reason, Details: a.Details, VSize: a.VSize, Fee: a.Fees.Base.Amount}
		if a.Reason == "" {
			results[i].Reason = a.Package
		}
	}
	return results, nil
}

// PackageResult is what a node says to a package.
type PackageResult struct {
	Accepted bool // all of it is in the mempool now
	Message  string
	Txs      []Acceptance     // in the order of the call; Reason is the node's whole text here
	Replaced []chainhash.Hash // what the package pushed out
}

// SubmitPackage gives the mempool a child with its parents at once, parents
// first, so that the child can pay for them. The fee rate is not bounded above.
// A node without packages gives ErrUnsupported.
func (c *Client) SubmitPackage(ctx context.Context, txs ...*wire.MsgTx) (PackageResult, error) {
	raws, err := encodeTxs(txs)
	if err != nil {
		return PackageResult{}, fmt.Errorf("bitcoind: submit package: %w", err)
	}
	var r struct {
		Message string `json:"package_msg"`
		Results map[string]struct {
			TxID  hashJSON `json:"txid"`
			VSize int64    `json:"vsize"`
			Fees  struct {
				Base amountJSON `json:"base"`
			} `json:"fees"`
			Error RejectReason `json:"error"`
		} `json:"tx-results"` // by witness txid
		Replaced []hashJSON `json:"replaced-transactions"`
	}
	err = c.Call(ctx, "submitpackage", &r, raws, 0)
	if errors.Is(err, &RPCError{Code: CodeMethodNotFound}) {
		return PackageResult{}, fmt.Errorf("bitcoind: submit package: %w", ErrUnsupported)
	}
	if err != nil {
		return PackageResult{}, err
	}
	result := PackageResult{Accepted: r.Message == "success", Message: r.Message}
	for _, tx := range txs {
		a := r.Results[tx.WitnessHash().String()]
		result.Txs = append(result.Txs, Acceptance{
			TxID: tx.TxHash(), Allowed: a.Error == "" && a.VSize > 0, Reason: a.Error, VSize: a.VSize, Fee: a.Fees.Base.Amount,
		})
	}
	for _, txid := range r.Replaced {
		result.Replaced = append(result.Replaced, txid.Hash)
	}
	return result, nil
}

func encodeTxs(txs []*wire.MsgTx) ([]string, error) {
	raws := make([]string, len(txs))
	for i, tx := range txs {
		var err error
		if raws[i], err = encodeHex(tx.Serialize); err != nil {
			return nil, err
		}
	}
	return raws, nil
}
