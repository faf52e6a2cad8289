package guardian

import (
	"bytes"
	"context"
	"fmt"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/roast"
)

// A round is a request that the guardian has found right to sign.
type round struct {
	kind     kind
	messages []roast.Message

	built *netting.Transaction // the settlement
	batch uint64               // that its cut ended
	paid  int64                // satoshis that leave the vault

	document ledger.Hash // of the succession
	text     string      // of the proof of reserves
}

// A kind is what a round is for.
type kind int

const (
	settlement kind = iota
	succession
	reserves
)

func refusal(format string, args ...any) error {
	return &roast.RefusalError{Reason: fmt.Sprintf(format, args...)}
}

// examine rebuilds what is proposed and refuses what differs.
func (g *Guardian) examine(ctx context.Context, p Proposal) (*round, error) {
	if err := g.caughtUp(p.Batch); err != nil {
		return nil, err
	}
	switch {
	case p.Reserves != nil:
		return g.examineReserves(ctx, p)
	case p.Succession != nil:
		return g.examineSuccession(p)
	}
	r, err := g.examineSettlement(p)
	if err != nil {
		return nil, err
	}
	if err := g.checkCoins(ctx, r.built.Tx.TxIn, r.built.Spent); err != nil {
		return nil, err
	}
	r.messages, err = Messages(r.built, p.Generation)
	if err == nil && len(r.messages) == 0 {
		err = refusal("the settlement spends no coin of generation %d", p.Generation)
	}
	return r, err
}

// caughtUp makes sure that the books are not behind a batch, or behind what the
// guardian has seen: a journal that is shorter than that is none.
func (g *Guardian) caughtUp(batch uint64) error {
	if g.config.Headers != nil {
		batch = max(batch, g.config.Headers.Last())
	}
	if last := g.replay.Books().Last().Number; last < batch {
		return fmt.Errorf("the guardian is at batch %d of %d: %w", last, batch, ErrNotThere)
	}
	return nil
}

// examineSettlement rebuilds the proposed settlement and refuses one that differs,
// that is beyond a limit, or that must not stand beside what was signed before.
func (g *Guardian) examineSettlement(p Proposal) (*round, error) {
	open := g.replay.Books().Open()
	if open == nil || open.Settlement != p.Settlement || open.Batch != p.Batch {
		return nil, refusal("the books have no such cut in flight")
	}
	built, err := netting.Build(open, g.replay.Vaults())
	if err != nil {
		return nil, err
	}
	own, err := serialize(built.Tx)
	if err != nil {
		return nil, err
	}
	switch {
	case !bytes.Equal(own, p.Tx):
		return nil, refusal("the proposed transaction is not the one that the books give (%s)", built.TxID)
	case int64(open.FeeRate) > g.config.Limits.FeeRateMax:
		return nil, refusal("its fee rate of %d sat per 1,000 vbytes is above the limit of %d", open.FeeRate, g.config.Limits.FeeRateMax)
	case built.FeeSat > g.config.Limits.FeeMax:
		return nil, refusal("its fee of %d sat is above the limit of %d sat", built.FeeSat, g.config.Limits.FeeMax)
	}
	r := &round{kind: settlement, built: built, batch: open.Batch, paid: built.FeeSat}
	for _, payout := range open.Payouts {
		r.paid += int64(payout.Amount)
	}
	if reason := g.config.Memory.Check(g.signed(r), g.config.Limits); reason != "" {
		return nil, refusal("%s", reason)
	}
	return r, nil
}

// checkCoins asks the guardian's node for every coin that these inputs spend: it
// must be there, unspent, as deep as the charter says, with the amount and script of
// the books.
func (g *Guardian) checkCoins(ctx context.Context, inputs []*wire.TxIn, spent []*wire.TxOut) error {
	for i, in := range inputs {
		at := in.PreviousOutPoint
		out, depth, err := g.config.Chain.UTXO(ctx, at)
		switch {
		case err != nil:
			return fmt.Errorf("the guardian looks up coin %s: %w", at, err)
		case out == nil:
			return refusal("coin %s is not there or is spent", at)
		case depth < int64(g.config.Charter.Depth):
			return refusal("coin %s has %d confirmations, the charter wants %d", at, depth, g.config.Charter.Depth)
		case out.Value != spent[i].Value || !bytes.Equal(out.PkScript, spent[i].PkScript):
			return refusal("coin %s holds %d sat on chain, the books say %d sat", at, out.Value, spent[i].Value)
		}
	}
	return nil
}

// stillRight says why a round that was right at Commit must not be signed any more;
// "" when it may.
func (g *Guardian) stillRight(r *round) string {
	switch r.kind {
	case succession:
		return g.stillAgreed(r.document)
	case reserves:
		return g.consents(r.text)
	}
	if open := g.replay.Books().Open(); open == nil || open.Settlement != r.built.Settlement || open.Batch != r.batch {
		return fmt.Sprintf("the cut of settlement %d in batch %d is not in flight any more", r.built.Settlement, r.batch)
	}
	return g.config.Memory.Check(g.signed(r), g.config.Limits)
}

// signed is what the guardian's memory keeps of a settlement.
func (g *Guardian) signed(r *round) Signed {
	s := Signed{Settlement: r.built.Settlement, Version: r.built.Version, TxID: ledger.Hash(r.built.TxID), PaidSat: r.paid, At: g.config.Now()}
	for _, in := range r.built.Tx.TxIn {
		s.Inputs = append(s.Inputs, ledger.OutPoint{TxID: ledger.Hash(in.PreviousOutPoint.Hash), Vout: in.PreviousOutPoint.Index})
	}
	return s
}

// Messages is what the signers of a generation sign in a settlement: for each
// input that spends a coin of theirs its sighash, computed here, and the tweaks
// that lead to the key of the coin.
func Messages(t *netting.Transaction, generation uint32) ([]roast.Message, error) {
	sighashes, err := t.Sighashes()
	return messagesOf(sighashes, t.Signers, generation), err
}

func messagesOf(sighashes [][32]byte, signers []netting.Signer, generation uint32) (messages []roast.Message) {
	for i, hash := range sighashes {
		if signers[i].Generation == generation {
			messages = append(messages, roast.Message{Digest: hash, Tweaks: signers[i].Tweaks})
		}
	}
	return messages
}

// serialize is the form in which a proposal carries a transaction.
func serialize(tx *wire.MsgTx) ([]byte, error) {
	var b bytes.Buffer
	err := tx.SerializeNoWitness(&b)
	return b.Bytes(), err
}
