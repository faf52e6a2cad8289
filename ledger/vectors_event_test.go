package ledger_test

import (
	"bytes"
	"testing"

	"github.com/daobank/daobank/ledger"
)

type (
	eventVector struct {
		Name    string         `json:"name"`
		Kind    byte           `json:"kind"`
		Block   *blockVector   `json:"block,omitempty"`
		Deposit *depositVector `json:"deposit,omitempty"`
		Cut     *cutVector     `json:"cut,omitempty"`
		Settled *settledVector `json:"settled,omitempty"`
		Rekey   *rekeyVector   `json:"rekey,omitempty"`

		Draw        *drawVector        `json:"draw,omitempty"`
		Reorganised *reorganisedVector `json:"reorganised,omitempty"`
		Correct     *correctVector     `json:"correct,omitempty"`

		Bytes hexBytes `json:"bytes"`
		Leaf  hexBytes `json:"leaf"`
	}
	outPointVector struct {
		TxID hexBytes `json:"txid_wire_order"`
		Vout uint32   `json:"vout"`
	}
	blockVector struct {
		Height   uint32   `json:"height"`
		Hash     hexBytes `json:"hash_wire_order"`
		Previous hexBytes `json:"previous_wire_order"`
	}
	depositVector struct {
		OutPoint   outPointVector `json:"outpoint"`
		Amount     int64          `json:"amount_sat"`
		Generation uint32         `json:"generation"`
		Branch     byte           `json:"branch"`
		Index      uint32         `json:"index"`
		Height     uint32         `json:"height"`
		TxIndex    uint32         `json:"tx_index"`
	}
	cutVector struct {
		Settlement uint32           `json:"settlement"`
		Version    uint16           `json:"version"`
		FeeRate    uint64           `json:"fee_rate_sat_per_kvb,string"`
		Fee        int64            `json:"fee_sat"`
		Inputs     []outPointVector `json:"inputs"`
		Payouts    []payoutVector   `json:"payouts"`
	}
	payoutVector struct {
		Payer    ledger.AccountID `json:"payer,string"`
		Sequence uint64           `json:"sequence,string"`
		FeeShare int64            `json:"fee_share_sat"`
	}
	settledVector struct {
		Settlement uint32   `json:"settlement"`
		Version    uint16   `json:"version"`
		TxID       hexBytes `json:"txid_wire_order"`
		ChangeVout uint32   `json:"change_vout"`
	}
	rekeyVector struct {
		Bank       hexBytes `json:"bank"`
		Generation uint32   `json:"generation"`
		Policy     string   `json:"policy"`
		Digest     hexBytes `json:"digest"`
		PrivateKey hexBytes `json:"vault_private_key_before"`
		PublicKey  hexBytes `json:"vault_public_key_before"`
		Signature  hexBytes `json:"signature"`
	}
	drawVector struct {
		Payer ledger.AccountID `json:"payer,string"`
	}
	reorganisedVector struct {
		From    uint32           `json:"from"`
		Height  uint32           `json:"height"`
		Hash    hexBytes         `json:"hash_wire_order"`
		Removed []outPointVector `json:"removed"`
		Added   []addedVector    `json:"added"`
		Paid    []orderRefVector `json:"paid"`
	}
	addedVector struct {
		OutPoint   outPointVector `json:"outpoint"`
		Amount     int64          `json:"amount_sat"`
		Generation uint32         `json:"generation"`
		Branch     byte           `json:"branch"`
		Index      uint32         `json:"index"`
		Deposit    bool           `json:"deposit"`
	}
	orderRefVector struct {
		Payer    ledger.AccountID `json:"payer,string"`
		Sequence uint64           `json:"sequence,string"`
	}
	correctVector struct {
		Account ledger.AccountID `json:"account,string"`
		Amount  int64            `json:"amount_sat"`
		Batch   uint64           `json:"batch,string"`
		Index   uint32           `json:"index"`
	}
)

func (v outPointVector) outPoint() ledger.OutPoint {
	return ledger.OutPoint{TxID: ledger.Hash(v.TxID), Vout: v.Vout}
}

// event builds the event from the vector's fields.
func (v *eventVector) event() ledger.Event {
	switch {
	case v.Block != nil:
		return &ledger.Block{Height: v.Block.Height, Hash: ledger.Hash(v.Block.Hash), Previous: ledger.Hash(v.Block.Previous)}
	case v.Deposit != nil:
		d := v.Deposit
		return &ledger.Deposit{OutPoint: d.OutPoint.outPoint(), Amount: ledger.Amount(d.Amount),
			Generation: d.Generation, Branch: ledger.Branch(d.Branch), Index: d.Index, Height: d.Height, TxIndex: d.TxIndex}
	case v.Cut != nil:
		c := &ledger.Cut{Settlement: v.Cut.Settlement, Version: v.Cut.Version, FeeRate: v.Cut.FeeRate, Fee: ledger.Amount(v.Cut.Fee)}
		for _, in := range v.Cut.Inputs {
			c.Inputs = append(c.Inputs, in.outPoint())
		}
		for _, p := range v.Cut.Payouts {
			c.Payouts = append(c.Payouts, ledger.CutPayout{Payer: p.Payer, Sequence: p.Sequence, FeeShare: ledger.Amount(p.FeeShare)})
		}
		return c
	case v.Rekey != nil:
		return &ledger.Rekey{Generation: v.Rekey.Generation, Policy: []byte(v.Rekey.Policy), Signature: ledger.Signature(v.Rekey.Signature)}
	case v.Draw != nil:
		return &ledger.Draw{Payer: v.Draw.Payer}
	case v.Reorganised != nil:
		e := &ledger.Reorganised{From: v.Reorganised.From, Height: v.Reorganised.Height, Hash: ledger.Hash(v.Reorganised.Hash)}
		for _, at := range v.Reorganised.Removed {
			e.Removed = append(e.Removed, at.outPoint())
		}
		for _, a := range v.Reorganised.Added {
			e.Added = append(e.Added, ledger.Added{OutPoint: a.OutPoint.outPoint(), Amount: ledger.Amount(a.Amount),
				Generation: a.Generation, Branch: ledger.Branch(a.Branch), Index: a.Index, Deposit: a.Deposit})
		}
		for _, ref := range v.Reorganised.Paid {
			e.Paid = append(e.Paid, ledger.OrderRef{Payer: ref.Payer, Sequence: ref.Sequence})
		}
		return e
	case v.Correct != nil:
		return &ledger.Correct{Account: v.Correct.Account, Amount: ledger.Amount(v.Correct.Amount), Batch: v.Correct.Batch, Index: v.Correct.Index}
	}
	return &ledger.Settled{Settlement: v.Settled.Settlement, Version: v.Settled.Version, TxID: ledger.Hash(v.Settled.TxID), ChangeVout: v.Settled.ChangeVout}
}

func TestEventVectors(t *testing.T) {
	for _, v := range vectors(t, "event.json", "chain event", eventVectors) {
		t.Run(v.Name, func(t *testing.T) {
			v.checkRekey(t)
			e := ledger.Entry{Event: v.event()}
			leaf, hand := e.Leaf(), handLeaf(v.Bytes)
			same(t, "bytes", v.Bytes, handEvent(v.event()), e.Bytes())
			same(t, "leaf", v.Leaf, hand[:], leaf[:])
			decoded, err := ledger.DecodeEntry(v.Bytes)
			if err != nil || !bytes.Equal(decoded.Bytes(), v.Bytes) || byte(decoded.Kind()) != v.Kind {
				t.Errorf("decoded %+v, %v", decoded, err)
			}
		})
	}
}

// checkRekey checks what a Rekey's signature is for and that it is good.
func (v *eventVector) checkRekey(t *testing.T) {
	if v.Rekey == nil {
		return
	}
	e, bank := v.event().(*ledger.Rekey), ledger.BankID(v.Rekey.Bank)
	digest, hand := e.Digest(bank), handRekeyDigest(bank, e)
	same(t, "digest", v.Rekey.Digest, hand[:], digest[:])
	if !ledger.Key(v.Rekey.PublicKey).Verify(digest, e.Signature) {
		t.Error("the signature does not verify")
	}
}
