package audittest

import (
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// Mine mines a block with these transactions and takes into the books what has
// reached the depth.
func (b *Bank) Mine(txs ...*wire.MsgTx) {
	b.Helper()
	b.Chain.Mine(txs...)
	b.CatchUp()
}

// Bury mines until the books have taken the block that is now the last.
func (b *Bank) Bury() {
	b.Helper()
	for range Depth - 1 {
		b.Mine()
	}
}

// CatchUp takes every block that has reached the depth into the books, each in
// a batch of its own.
func (b *Bank) CatchUp() {
	b.Helper()
	tip, err := b.node.Height(b.Context())
	must(b, err)
	for {
		height, _ := b.Books.Block()
		if height++; height+Depth-1 > uint32(tip) {
			return
		}
		for _, e := range b.facts(height) {
			b.Apply(ledger.Entry{Event: e})
		}
		b.Seal()
	}
}

func (b *Bank) facts(height uint32) []ledger.Event {
	b.Helper()
	must(b, b.watch.Extend(b.Books.Accounts(), b.Books.Settlements()))
	blocks, err := netting.ReadBlocks(b.Context(), b.node, &b.Charter, height)
	must(b, err)
	b.flight, err = b.flight.Follow(b.Books, b.Vaults)
	must(b, err)
	events := b.watch.Facts(&b.Charter, height, blocks, b.flight)
	if b.Report != nil {
		events = b.Report(events)
	}
	return events
}

// Deposit pays coins to an account and buries them.
func (b *Bank) Deposit(id ledger.AccountID, amounts ...ledger.Amount) {
	b.Helper()
	var outs []*wire.TxOut
	for _, amount := range amounts {
		outs = append(outs, b.To(taproot.Deposit, id.Index(), amount))
	}
	b.Mine(b.Payment(outs...))
	b.Bury()
}

// Cut plans the next settlement at a fee rate in satoshis per 1,000 vbytes,
// writes its cut and returns its transaction, not signed.
func (b *Bank) Cut(feeRate int64) *netting.Transaction {
	b.Helper()
	cut, err := netting.Plan(b.Books, b.Vaults, feeRate, netting.StandardLimits)
	must(b, err)
	b.Apply(ledger.Entry{Event: cut})
	b.Seal()
	return b.Build()
}

// Replace plans the next version of the settlement in flight, writes its cut and
// returns its transaction, not signed.
func (b *Bank) Replace(bid netting.Bid) *netting.Transaction {
	b.Helper()
	cut, err := netting.Replace(b.Books, b.Vaults, bid, netting.StandardLimits)
	must(b, err)
	b.Apply(ledger.Entry{Event: cut})
	b.Seal()
	return b.Build()
}

// Build is the transaction of the newest version of the settlement in flight.
func (b *Bank) Build() *netting.Transaction {
	b.Helper()
	built, err := netting.Build(b.Books.Open(), b.Vaults)
	must(b, err)
	return built
}

// Sign signs a settlement with the first t guardians.
func (b *Bank) Sign(t *netting.Transaction) *wire.MsgTx {
	b.Helper()
	hashes, err := t.Sighashes()
	must(b, err)
	sigs := make([][]byte, len(hashes))
	for i, hash := range hashes {
		s := t.Signers[i]
		sigs[i] = b.sign(b.groups[s.Generation], hash, s.OutputKey, s.Tweaks)
	}
	signed, err := taproot.AttachSignatures(t.Tx, sigs)
	must(b, err)
	return signed
}

// SignReserves has the first t guardians sign a proof of reserves: a signature for
// each coin, part by part.
func (b *Bank) SignReserves(text string) (*netting.Reserves, []ledger.Signature) {
	b.Helper()
	r, err := netting.ReservesOf(b.Books, b.Vaults, text)
	must(b, err)
	return r, b.SignParts(r)
}

// SignParts is SignReserves for coins that need not be in the books.
func (b *Bank) SignParts(r *netting.Reserves) (sigs []ledger.Signature) {
	b.Helper()
	for _, part := range r.Parts {
		hashes, err := part.Sighashes()
		must(b, err)
		for i, hash := range hashes {
			s := part.Signers[i]
			sigs = append(sigs, ledger.Signature(b.sign(b.groups[s.Generation], hash, s.OutputKey, s.Tweaks)))
		}
	}
	return sigs
}

// sign makes a signature of a group's first t guardians for its tweaked key.
func (b *Bank) sign(k groupKey, hash, key [32]byte, tweaks []frost.Tweak) []byte {
	b.Helper()
	secrets := make(map[frost.ID]*frost.SecretNonce)
	nonces := make(map[frost.ID]frost.PublicNonce)
	var ids []frost.ID
	for _, share := range k.shares[:k.group.Threshold()] {
		secret, public, err := frost.NonceGen(nil, frost.NonceParams{Share: share, Key: &key, Message: hash[:]})
		must(b, err)
		ids = append(ids, share.ID())
		secrets[share.ID()], nonces[share.ID()] = secret, public
	}
	aggregate, err := frost.NonceAgg(nonces)
	must(b, err)
	session, err := frost.NewSession(k.group, frost.SessionParams{Signers: ids, AggregateNonce: aggregate, Tweaks: tweaks, Message: hash[:]})
	must(b, err)
	parts := make(map[frost.ID]frost.PartialSignature)
	for _, share := range k.shares[:k.group.Threshold()] {
		parts[share.ID()], err = session.Sign(secrets[share.ID()], share)
		must(b, err)
	}
	sig, err := session.Aggregate(parts, nonces)
	must(b, err)
	return sig[:]
}

// Settle cuts, signs, mines and posts a settlement.
func (b *Bank) Settle(feeRate int64) *netting.Transaction {
	b.Helper()
	built := b.Cut(feeRate)
	b.Mine(b.Sign(built))
	b.Bury()
	if b.Books.Open() != nil {
		b.Fatalf("settlement %d is not posted", built.Settlement)
	}
	return built
}
