package proof_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// A case is a kind of proof, and what must be found when it was tampered with.
type kindCase struct {
	kind    proof.Kind
	body    func(s *story) proof.Body
	against string
	tampers []tamper
}

type tamper struct {
	name   string
	change func(s *story, body proof.Body)
	want   string // in the reason
}

// anchorTampers change an anchor, wherever it stands.
func anchorTampers(of func(proof.Body) *proof.Anchor) []tamper {
	at := func(name, want string, change func(s *story, a *proof.Anchor)) tamper {
		return tamper{"anchor: " + name, func(s *story, b proof.Body) { change(s, of(b)) }, want}
	}
	return []tamper{
		at("other books", "anchors the books", func(_ *story, a *proof.Anchor) { a.Books[107] ^= 1 }),
		at("books cut short", "have 116 bytes", func(_ *story, a *proof.Anchor) { a.Books = a.Books[1:] }),
		at("another output", "did not sign", func(_ *story, a *proof.Anchor) { a.Signed.Tx[len(a.Signed.Tx)-10] ^= 1 }),
		at("transaction cut short", "cannot be read", func(_ *story, a *proof.Anchor) { a.Signed.Tx = a.Signed.Tx[:70] }),
		at("transaction of 64 bytes", "64 bytes", func(_ *story, a *proof.Anchor) { a.Signed.Tx = make([]byte, 64) }),
		at("another's signature", "did not sign", func(_ *story, a *proof.Anchor) { a.Signed.Signature[3] ^= 1 }),
		at("another amount spent", "did not sign", func(_ *story, a *proof.Anchor) { a.Signed.Amounts[0] ^= 1 }),
		at("another address", "did not sign", func(_ *story, a *proof.Anchor) { a.Signed.Index++ }),
		at("a branch that is none", "branch 9", func(_ *story, a *proof.Anchor) { a.Signed.Branch = 9 }),
		at("an input that is none", "no input 5", func(_ *story, a *proof.Anchor) { a.Signed.Input = 5 }),
		at("somebody's transaction with the right anchor", "did not sign", func(s *story, a *proof.Anchor) {
			tx := s.txs[0].Copy()
			tx.TxIn[0].PreviousOutPoint.Index++
			a.Signed.Tx = stripped(tx)
		}),
		at("another place in the block", "is not in block", func(_ *story, a *proof.Anchor) { a.Block.Index++ }),
		at("a step of its path", "is not in block", func(_ *story, a *proof.Anchor) { a.Block.Path[0][0] ^= 1 }),
		at("a step missing", "is not in block", func(_ *story, a *proof.Anchor) { a.Block.Path = a.Block.Path[:1] }),
		at("an index beyond its path", "is not in block", func(_ *story, a *proof.Anchor) { a.Block.Index |= 1 << len(a.Block.Path) }),
		at("a header without work", "work", func(_ *story, a *proof.Anchor) { a.Block.Header = withoutWork(a.Block.Header) }),
		at("a header with less difficulty than any", "difficulty", func(_ *story, a *proof.Anchor) { a.Block.Header[75] = 0x21 }),
		at("a block that is not in the chain", "not in the chain", func(_ *story, a *proof.Anchor) { a.Block.Header = mined(a.Block.Header) }),
		at("a header cut short", "80", func(_ *story, a *proof.Anchor) { a.Block.Header = a.Block.Header[:79] }),
	}
}

func receiptTampers(of func(proof.Body) *proof.Receipt) []tamper {
	at := func(name, want string, change func(s *story, r *proof.Receipt)) tamper {
		return tamper{"receipt: " + name, func(s *story, b proof.Body) { change(s, of(b)) }, want}
	}
	return []tamper{
		at("another amount", "is not entry", func(_ *story, r *proof.Receipt) { r.Order[len(r.Order)-65] ^= 1 }),
		at("another place", "is not entry", func(_ *story, r *proof.Receipt) { r.Receipt.Index++ }),
		at("another root", "not signed by this bank's operator", func(_ *story, r *proof.Receipt) { r.Receipt.Header.Root[0] ^= 1 }),
		at("another signature", "not signed by this bank's operator", func(_ *story, r *proof.Receipt) { r.Receipt.Header.Signature[9] ^= 1 }),
		at("another bank's header", "another bank", func(_ *story, r *proof.Receipt) { r.Receipt.Header.Bank[0] ^= 1 }),
		at("no order", "cut short", func(_ *story, r *proof.Receipt) { r.Order = nil }),
		at("an event for an order", "not an order", func(s *story, r *proof.Receipt) { *r = s.receipt(s.find(ledger.KindDeposit)) }),
	}
}

func kinds() []kindCase {
	return []kindCase{
		{proof.KindReceipt, func(s *story) proof.Body { r := s.receipt(s.find(ledger.KindTransfer)); return &r }, "",
			receiptTampers(func(b proof.Body) *proof.Receipt { return b.(*proof.Receipt) })},
		{proof.KindPayment, func(s *story) proof.Body { return s.payment() }, "", append(append(
			receiptTampers(func(b proof.Body) *proof.Receipt { return &b.(*proof.Payment).Receipt }),
			anchorTampers(func(b proof.Body) *proof.Anchor { return &b.(*proof.Payment).Anchor })...),
			tamper{"a step of the journal's path", func(_ *story, b proof.Body) { b.(*proof.Payment).Path[1][4] ^= 1 }, "is not in the journal"},
			tamper{"no path", func(_ *story, b proof.Body) { b.(*proof.Payment).Path = nil }, "is not in the journal"},
			tamper{"a fork of the journal", func(s *story, b proof.Body) {
				b.(*proof.Payment).Receipt = receiptOf(s.forked(s.find(ledger.KindTransfer)))
			}, "is not in the journal"},
			tamper{"a payment after the anchor", func(s *story, b proof.Body) {
				b.(*proof.Payment).Receipt = receiptOf(s.forked(s.books[0].Batch + 2))
			}, "is not in the journal"})},
		{proof.KindBalance, func(s *story) proof.Body { return s.balance() }, "", append(
			anchorTampers(func(b proof.Body) *proof.Anchor { return &b.(*proof.Balance).Anchor }),
			tamper{"a satoshi more", func(_ *story, b proof.Body) { b.(*proof.Balance).Owed++ }, "is not part of the anchored total"},
			tamper{"another account", func(s *story, b proof.Body) { b.(*proof.Balance).Account = s.alice.ID }, "is not part of the anchored total"},
			tamper{"a negative neighbour", func(_ *story, b proof.Body) { b.(*proof.Balance).Path[0].Sum = -5 }, "is not part of the anchored total"},
			tamper{"the anchor before", func(s *story, b proof.Body) { b.(*proof.Balance).Anchor = s.anchor(0) }, "is not part of the anchored total"})},
		{proof.KindCoins, func(s *story) proof.Body { return s.coinsProof() }, "", append(
			anchorTampers(func(b proof.Body) *proof.Anchor { return &b.(*proof.Coins).Anchor }),
			tamper{"a coin left out", func(_ *story, b proof.Body) { p := b.(*proof.Coins); p.Coins = p.Coins[1:] }, "the bank owed"},
			tamper{"a coin twice", func(_ *story, b proof.Body) { p := b.(*proof.Coins); p.Coins = append(p.Coins, p.Coins[0]) }, "counted twice"},
			tamper{"a coin of nobody's", func(_ *story, b proof.Body) { b.(*proof.Coins).Coins[0].Index++ }, "not at address"},
			tamper{"an output that is none", func(_ *story, b proof.Body) { b.(*proof.Coins).Coins[0].Vout = 77 }, "is not there"},
			tamper{"a coin that no block holds", func(s *story, b proof.Body) {
				for i := range b.(*proof.Coins).Coins {
					b.(*proof.Coins).Coins[i].Block = nil
				}
			}, "no block is shown"},
			tamper{"a coin that was made later", func(s *story, b proof.Body) {
				p := b.(*proof.Coins)
				change := s.Books.Coins()
				last := change[len(change)-1]
				tx, block := s.findTx(last.TxID)
				c := proof.NewCoin(&last, tx)
				c.Block, _ = proof.NewPlace(block, tx.TxHash())
				p.Coins = append(p.Coins, c)
			}, "not before the settlement's block"}),
		},
		{proof.KindConsistency, func(s *story) proof.Body { return s.consistency() }, "", append(append(
			anchorTampers(func(b proof.Body) *proof.Anchor { return &b.(*proof.Consistency).From }),
			anchorTampers(func(b proof.Body) *proof.Anchor { return &b.(*proof.Consistency).To })...),
			tamper{"a step of the path", func(_ *story, b proof.Body) { b.(*proof.Consistency).Path[0][0] ^= 1 }, "beginning"},
			tamper{"no path", func(_ *story, b proof.Body) { b.(*proof.Consistency).Path = nil }, "beginning"},
			tamper{"turned round", func(_ *story, b proof.Body) { p := b.(*proof.Consistency); p.From, p.To = p.To, p.From }, "beginning"})},
		{proof.KindOmission, func(s *story) proof.Body { return s.omission() }, "operator", append(append(
			receiptTampers(func(b proof.Body) *proof.Receipt { return &b.(*proof.Omission).Receipt }),
			anchorTampers(func(b proof.Body) *proof.Anchor { return &b.(*proof.Omission).Anchor })...),
			tamper{"an order that is not left out", func(s *story, b proof.Body) {
				b.(*proof.Omission).Receipt = s.receipt(s.find(ledger.KindTransfer))
			}, "not left out"},
			tamper{"another header said to stand there", func(_ *story, b proof.Body) { b.(*proof.Omission).Stands[0] ^= 1 }, "not shown to be number"},
			tamper{"an order after the anchor", func(s *story, b proof.Body) {
				b.(*proof.Omission).Receipt = receiptOf(s.forked(s.books[0].Batch + 2))
			}, "comes after"})},
		{proof.KindEquivocation, func(s *story) proof.Body { return s.equivocation() }, "operator", []tamper{
			{"one header twice", func(_ *story, b proof.Body) { p := b.(*proof.Equivocation); p.B = p.A }, "the same"},
			{"headers of two numbers", func(s *story, b proof.Body) { b.(*proof.Equivocation).B = (*s.Journal)[0].Header.Bytes() }, "are of batches"},
			{"a header that the operator did not sign", func(_ *story, b proof.Body) { b.(*proof.Equivocation).B[60] ^= 1 }, "did not sign"},
			{"another bank's header", func(_ *story, b proof.Body) { b.(*proof.Equivocation).A[1] ^= 1 }, "another bank"},
			{"a header cut short", func(_ *story, b proof.Body) { p := b.(*proof.Equivocation); p.A = p.A[1:] }, "189 bytes"},
		}},
		{proof.KindDoubleOrder, func(s *story) proof.Body { return s.doubleOrder() }, "holder of the key", []tamper{
			{"one order twice", func(_ *story, b proof.Body) { p := b.(*proof.DoubleOrder); p.B = p.A }, "one order"},
			{"orders of two numbers", func(s *story, b proof.Body) { b.(*proof.DoubleOrder).B = s.order(8, 2).Bytes() }, "do not have one number"},
			{"another's key", func(s *story, b proof.Body) { b.(*proof.DoubleOrder).Key = ledger.KeyOf(s.bob.Key) }, "signature is not by the key"},
			{"another amount", func(_ *story, b proof.Body) { p := b.(*proof.DoubleOrder); p.A[len(p.A)-65] ^= 2 }, "signature is not by the key"},
			{"an order of another bank", func(_ *story, b proof.Body) { b.(*proof.DoubleOrder).A[2] ^= 1 }, "bank"},
			{"an order that opens", func(s *story, b proof.Body) { b.(*proof.DoubleOrder).A = (*s.Journal)[0].Entries[0] }, "no number of its own"},
		}},
		{proof.KindSpend, func(s *story) proof.Body { return s.theft(false) }, "guardians", []tamper{
			{"a settlement", func(s *story, b proof.Body) {
				p := b.(*proof.StraySpend)
				p.Signed, p.Block = s.anchor(0).Signed, s.anchor(0).Block
			}, "only the journal shows"},
			{"a settlement that is posted", func(s *story, b proof.Body) {
				p := b.(*proof.StraySpend)
				p.Signed, p.Block, p.Posted = s.anchor(0).Signed, s.anchor(0).Block, s.posting(1)
			}, "is settlement 1 of the journal"},
			{"another signature", func(_ *story, b proof.Body) { b.(*proof.StraySpend).Signed.Signature[0] ^= 1 }, "did not sign"},
			{"a transaction in no block", func(_ *story, b proof.Body) { b.(*proof.StraySpend).Block.Path[0][0] ^= 1 }, "is not in block"},
			{"a proof of reserves", func(s *story, b proof.Body) { b.(*proof.StraySpend).Signed = *s.signedReserves() }, "is not in block"},
		}},
		{proof.KindSpend, func(s *story) proof.Body { return s.theft(true) }, "guardians", []tamper{
			{"no posting", func(_ *story, b proof.Body) { b.(*proof.StraySpend).Posted = nil }, "only the journal shows"},
			{"the posting of another settlement", func(s *story, b proof.Body) { b.(*proof.StraySpend).Posted = s.posting(2) }, "does not post settlement 1"},
			{"a posting that the operator did not sign", func(_ *story, b proof.Body) { b.(*proof.StraySpend).Posted.Receipt.Header.Signature[0] ^= 1 }, "not signed"},
			{"another entry", func(s *story, b proof.Body) {
				b.(*proof.StraySpend).Posted.Entry = s.receipt(s.find(ledger.KindTransfer)).Order
			}, "is not entry"},
		}},
		{proof.KindReserves, func(s *story) proof.Body { return s.reserves("an auditor's words") }, "", reservesTampers()},
	}
}

func reservesTampers() []tamper {
	at := func(name, want string, change func(s *story, r *proof.Reserves)) tamper {
		return tamper{name, func(s *story, b proof.Body) { change(s, b.(*proof.Reserves)) }, want}
	}
	const unsigned = "did not sign this message"
	return []tamper{
		at("another message", unsigned, func(_ *story, r *proof.Reserves) { r.Message += "." }),
		at("no message", "want 1 to 500", func(_ *story, r *proof.Reserves) { r.Message = "" }),
		at("a message that moves the cursor", "not printed", func(_ *story, r *proof.Reserves) { r.Message = "\x1b[2J" }),
		at("another height", unsigned, func(_ *story, r *proof.Reserves) { r.Height++ }),
		at("another block", unsigned, func(s *story, r *proof.Reserves) { r.Block = ledger.Hash(s.blocks[0].BlockHash()) }),
		at("a satoshi more", unsigned, func(_ *story, r *proof.Reserves) { r.Coins[0].Amount++ }),
		at("a negative amount", "not there", func(_ *story, r *proof.Reserves) { r.Coins[0].Amount = -5 }),
		at("more than there is", "more than there are", func(_ *story, r *proof.Reserves) { r.Coins[0].Amount = ledger.MaxAmount }),
		at("another's coin", unsigned, func(_ *story, r *proof.Reserves) { r.Coins[0].Index++ }),
		at("another output", unsigned, func(_ *story, r *proof.Reserves) { r.Coins[1].Vout += 7 }),
		at("a coin left out", unsigned, func(_ *story, r *proof.Reserves) { r.Coins = r.Coins[1:] }),
		at("a coin twice", "there twice", func(_ *story, r *proof.Reserves) { r.Coins = append(r.Coins, r.Coins[1]) }),
		at("coins in another order", "not in its place", func(_ *story, r *proof.Reserves) { r.Coins[0], r.Coins[1] = r.Coins[1], r.Coins[0] }),
		at("another's signature", unsigned, func(_ *story, r *proof.Reserves) { r.Coins[1].Signature[5] ^= 1 }),
		at("the signature of another coin", unsigned, func(_ *story, r *proof.Reserves) { r.Coins[0].Signature = r.Coins[1].Signature }),
		at("no coins", "has no coins", func(_ *story, r *proof.Reserves) { r.Coins = nil }),
		at("a branch that is none", "branch 9", func(_ *story, r *proof.Reserves) { r.Coins[0].Branch = 9 }),
		at("the signatures of another message", unsigned, func(s *story, r *proof.Reserves) {
			r.Coins = s.reserves("other words").Coins
		}),
	}
}

// reserves is a proof of reserves that t guardians sign, at the end of the story.
func (s *story) reserves(text string) *proof.Reserves {
	s.Helper()
	p, err := proof.NewReserves(s.SignReserves(text))
	if err != nil {
		s.Fatal(err)
	}
	return p
}

// signedReserves is the transaction of a proof of reserves, as evidence of a theft has
// one.
func (s *story) signedReserves() *proof.Signed {
	s.Helper()
	txs, spent, err := s.reserves("words").Transactions(s.trust.Bank, s.trust.Vaults)
	if err != nil {
		s.Fatal(err)
	}
	signed, err := proof.NewSigned(txs[0], spent[0], s.trust.Vaults, s.Books.Accounts(), s.Books.Settlements())
	if err != nil {
		s.Fatal(err)
	}
	return signed
}

// theft is a spend of the vault that t guardians signed and nobody ordered; with
// disguised it carries the anchor of settlement 1.
func (s *story) theft(disguised bool) *proof.StraySpend {
	s.Helper()
	coin := s.Books.Coins()[0]
	out, err := s.Vaults.Output(coin.Generation, coin.Branch, coin.Index)
	if err != nil {
		s.Fatal(err)
	}
	built := &netting.Transaction{Tx: wire.NewMsgTx(2), Spent: []*wire.TxOut{wire.NewTxOut(int64(coin.Amount), out.Script)},
		Signers: []netting.Signer{{Generation: coin.Generation, Output: out}}}
	built.Tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash(coin.TxID), Index: coin.Vout}, nil, nil))
	built.Tx.AddTxOut(wire.NewTxOut(int64(coin.Amount)-1000, audittest.Script("thief")))
	p := &proof.StraySpend{}
	if disguised {
		for _, o := range s.txs[0].TxOut {
			if o.Value == 0 {
				built.Tx.AddTxOut(o)
			}
		}
		p.Posted = s.posting(1)
	}
	tx := s.Sign(built)
	block := s.Chain.Mine(tx)
	s.trust.Chain = s.headers(nil)
	signed, err := proof.NewSigned(tx, built.Spent, s.trust.Vaults, s.Books.Accounts(), s.Books.Settlements())
	if err != nil {
		s.Fatal(err)
	}
	place, err := proof.NewPlace(block, tx.TxHash())
	if err != nil {
		s.Fatal(err)
	}
	p.Signed, p.Block = *signed, *place
	return p
}

// posting is the entry that posts a settlement, with its receipt.
func (s *story) posting(number uint32) *proof.Posting {
	s.Helper()
	for _, b := range *s.Journal {
		for i, raw := range b.Entries {
			e, err := ledger.DecodeEntry(raw)
			if settled, ok := e.Event.(*ledger.Settled); err == nil && ok && settled.Settlement == number {
				leaves := make([]ledger.Hash, len(b.Entries))
				for k := range leaves {
					leaves[k] = ledger.EntryLeaf(b.Entries[k])
				}
				return &proof.Posting{Entry: raw, Receipt: ledger.Receipt{Header: b.Header, Index: uint32(i), Path: ledger.NewMerkleTree(leaves).Path(i)}}
			}
		}
	}
	s.Fatalf("settlement %d is not posted", number)
	return nil
}

// Every kind verifies, from a file, and says whom it accuses and what it leaves open;
// tampered with in any way it is refused, and the message names what is wrong.
func TestKinds(t *testing.T) {
	for _, k := range kinds() {
		t.Run(string(k.kind), func(t *testing.T) {
			s := newStory(t)
			file := encode(t, s, k.body(s))
			found, err := decode(t, file).Verify(s.trust)
			if err != nil {
				t.Fatal(err)
			}
			if found.Kind != k.kind || found.Bank != s.Charter.ID() || found.Proves == "" || len(found.NotProved) == 0 {
				t.Errorf("found %+v", found)
			}
			if (k.against == "") != (found.Against == "") || !strings.Contains(found.Against, k.against) {
				t.Errorf("it is against %q, want %q", found.Against, k.against)
			}
			for _, tt := range k.tampers {
				t.Run(tt.name, func(t *testing.T) {
					p := decode(t, file)
					tt.change(s, p.Body)
					found, err := p.Verify(s.trust)
					var invalid *proof.InvalidError
					if !errors.As(err, &invalid) || !strings.Contains(invalid.Reason, tt.want) {
						t.Errorf("got %+v, %v; want a reason with %q", found, err, tt.want)
					}
				})
			}
		})
	}
}

func encode(t testing.TB, s *story, body proof.Body) []byte {
	t.Helper()
	file, err := (&proof.Proof{Charter: s.Charter, Body: body}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func decode(t testing.TB, file []byte) *proof.Proof {
	t.Helper()
	p, err := proof.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What the verifier does not bring is asked for, and nothing is said about the proof.
func TestNeeds(t *testing.T) {
	s := newStory(t)
	p := &proof.Proof{Charter: s.Charter, Body: s.balance()}
	for name, change := range map[string]func(*proof.Trust){
		"no public file": func(t *proof.Trust) { t.Vaults = nil },
		"no headers":     func(t *proof.Trust) { t.Chain = nil },
	} {
		trust := s.trust
		change(&trust)
		var need *proof.NeedError
		if _, err := p.Verify(trust); !errors.As(err, &need) {
			t.Errorf("%s: %v", name, err)
		}
	}
	trust := s.trust
	trust.Chain = proof.KnownBlock(s.blocks[1].BlockHash())
	if found, err := p.Verify(trust); err != nil || found.Anchors[0].Height != 0 {
		t.Errorf("with the block's hash alone: %+v, %v", found, err)
	}
	if _, err := (&proof.Proof{Charter: s.Charter, Body: s.coinsProof()}).Verify(trust); err == nil {
		t.Error("coins of other blocks are taken with one block's hash")
	}
	trust.Bank[0] ^= 1
	var invalid *proof.InvalidError
	if _, err := p.Verify(trust); !errors.As(err, &invalid) {
		t.Errorf("another bank's: %v", err)
	}
}

// A proof of reserves rests on the verifier's node for what headers cannot show, and
// says less without one.
func TestReservesUnspent(t *testing.T) {
	s := newStory(t)
	body := s.reserves("words")
	p := &proof.Proof{Charter: s.Charter, Body: body}
	block := chainhash.Hash(body.Block)
	txs, spent, err := body.Transactions(s.trust.Bank, s.trust.Vaults)
	if err != nil {
		t.Fatal(err)
	}
	if err := taproot.VerifySpend(txs[0], spent[0]); err != nil {
		t.Fatal(err)
	}
	node := func(edit func(at wire.OutPoint, u *proof.Unspent)) *proof.Unspent {
		u := &proof.Unspent{Block: block, Coins: make(map[wire.OutPoint]*wire.TxOut)}
		for i, in := range txs[0].TxIn[1:] {
			u.Coins[in.PreviousOutPoint] = wire.NewTxOut(spent[0][i+1].Value, spent[0][i+1].PkScript)
		}
		edit(txs[0].TxIn[1].PreviousOutPoint, u)
		return u
	}
	other := proof.KnownBlock(s.blocks[0].BlockHash())
	for _, tt := range []struct {
		name    string
		unspent *proof.Unspent
		chain   *proof.Chain
		says    string // in what it proves or does not, or in the error
		invalid bool
		need    bool
	}{
		{"headers", nil, s.trust.Chain, "headers cannot show it", false, false},
		{"nothing", nil, nil, "give the chain's headers", false, false},
		{"a node", node(func(wire.OutPoint, *proof.Unspent) {}), nil, "All of them were unspent", false, false},
		{"a node and headers", node(func(wire.OutPoint, *proof.Unspent) {}), s.trust.Chain, "All of them were unspent", false, false},
		{"a node and the block's hash", node(func(wire.OutPoint, *proof.Unspent) {}), proof.KnownBlock(block), "All of them were unspent", false, false},
		{"a chain without the block", nil, other, "not in the chain", true, false},
		{"a node without a coin", node(func(at wire.OutPoint, u *proof.Unspent) { delete(u.Coins, at) }), nil, "was not there, or was spent", true, false},
		{"a node with less in a coin", node(func(at wire.OutPoint, u *proof.Unspent) { u.Coins[at].Value-- }), nil, "holds", true, false},
		{"a node with another's coin", node(func(at wire.OutPoint, u *proof.Unspent) { u.Coins[at].PkScript = audittest.Script("eve") }), nil, "holds", true, false},
		{"a node that was asked about another block", node(func(_ wire.OutPoint, u *proof.Unspent) { u.Block[0] ^= 1 }), nil, "was asked about block", false, true},
	} {
		trust := s.trust
		trust.Chain, trust.Unspent = tt.chain, tt.unspent
		found, err := p.Verify(trust)
		var invalid *proof.InvalidError
		var need *proof.NeedError
		said := fmt.Sprint(found, err)
		if errors.As(err, &invalid) != tt.invalid || errors.As(err, &need) != tt.need || !strings.Contains(said, tt.says) {
			t.Errorf("%s: %s", tt.name, said)
		}
		if tt.unspent == nil && err == nil && strings.Contains(found.Proves, "unspent") {
			t.Errorf("%s: without a node it proves %q", tt.name, found.Proves)
		}
	}
	p.Body.(*proof.Reserves).Generation = 1
	var need *proof.NeedError
	if _, err := p.Verify(s.trust); !errors.As(err, &need) {
		t.Errorf("of a newer key: %v", err)
	}
}

// A proof of more coins than one transaction spends: each signature stands at its coin,
// in the file and in the transactions.
func TestReservesInParts(t *testing.T) {
	s := newStory(t)
	var coins []ledger.Coin
	for i := range netting.ReservesCoinsMax + 2 {
		coins = append(coins, ledger.Coin{OutPoint: ledger.OutPoint{TxID: ledger.Hash{byte(i >> 8), byte(i)}, Vout: uint32(i)}, Amount: ledger.Amount(1 + i), Index: uint32(i % 3)})
	}
	statement := netting.Statement{Bank: s.Charter.ID(), Text: "many"}
	statement.Height, statement.Block = s.Books.Block()
	r, err := netting.NewReserves(statement, coins, s.Vaults.Output)
	if err != nil {
		t.Fatal(err)
	}
	signatures := s.SignParts(r)
	body, err := proof.NewReserves(r, signatures)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(t, encode(t, s, body)).Verify(s.trust); err != nil {
		t.Fatal(err)
	}
	txs, spent, err := body.Transactions(s.trust.Bank, s.trust.Vaults)
	if err != nil || len(txs) != 2 {
		t.Fatalf("%d transactions, %v", len(txs), err)
	}
	for i := range txs {
		if err := taproot.VerifySpend(txs[i], spent[i]); err != nil {
			t.Error(err)
		}
	}
	last := len(coins) - 1
	body.Coins[last].Signature, body.Coins[last-1].Signature = body.Coins[last-1].Signature, body.Coins[last].Signature
	var invalid *proof.InvalidError
	if _, err := (&proof.Proof{Charter: s.Charter, Body: body}).Verify(s.trust); !errors.As(err, &invalid) {
		t.Errorf("with two signatures exchanged: %v", err)
	}
	for _, n := range []int{0, last, last + 2} {
		if _, err := proof.NewReserves(r, make([]ledger.Signature, n)); err == nil {
			t.Errorf("%d signatures were taken for %d coins", n, len(coins))
		}
	}
}

// The vault's own signature is what makes an anchor: nobody else's transaction that
// carries the hash counts.
func TestNewAnchorRefuses(t *testing.T) {
	s := newStory(t)
	if _, err := proof.NewAnchor(&s.books[1], s.txs[0], s.spent[0], s.blocks[0], s.trust.Vaults); err == nil {
		t.Error("the books of another cut are anchored")
	}
	if _, err := proof.NewAnchor(&s.books[0], s.txs[0], s.spent[0], s.blocks[1], s.trust.Vaults); err == nil {
		t.Error("another block holds the transaction")
	}
	if _, err := proof.NewSigned(s.txs[0], s.spent[1], nil, 100, 2); err == nil {
		t.Error("a signature of no vault is shown")
	}
}

func TestDecodeRefuses(t *testing.T) {
	s := newStory(t)
	good := encode(t, s, s.equivocation())
	var fields map[string]any
	if err := json.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) []byte {
		changed := map[string]any{}
		for k, v := range fields {
			changed[k] = v
		}
		changed[name] = value
		text, _ := json.Marshal(changed)
		return text
	}
	for name, file := range map[string][]byte{
		"nothing":                                nil,
		"no object":                              []byte("[]"),
		"version 2":                              with("daobank_proof", 2),
		"no version":                             with("daobank_proof", nil),
		"a kind that is none":                    with("kind", "promise"),
		"an unknown field":                       with("more", 1),
		"a charter without a name":               with("charter", map[string]any{}),
		"another kind's body":                    with("kind", "receipt"),
		"no body":                                with("body", nil),
		"a body with a list that is cut short":   with("body", map[string]any{"path": "AAAA"}),
		"bytes with bits that stand for nothing": with("body", map[string]any{"a": "AB=="}),
		"bytes with a line break":                with("body", map[string]any{"a": "AA\n=="}),
		"followed by something":                  append(good[:len(good):len(good)], '{'),
		"too large":                              make([]byte, proof.MaxSize+1),
	} {
		if _, err := proof.Decode(file); !errors.Is(err, proof.ErrNotProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A balance's proof has the size that a bank of a million accounts needs, in a block
// of four thousand transactions: 20 steps and 12.
func TestBalanceIsSmall(t *testing.T) {
	s := newStory(t)
	p := s.balance()
	for len(p.Path) < 20 {
		p.Path = append(p.Path, ledger.SumNode{Hash: ledger.Hash{1}, Sum: ledger.MaxAmount})
	}
	for len(p.Anchor.Block.Path) < 12 {
		p.Anchor.Block.Path = append(p.Anchor.Block.Path, ledger.Hash{2})
	}
	p.Account, p.Owed, p.Anchor.Signed.Index = 1_000_000, ledger.MaxAmount, 1<<31-1
	size := len(encode(t, s, p))
	t.Logf("%d bytes, with a settlement of %d bytes", size, len(p.Anchor.Signed.Tx))
	if size >= 3<<10 {
		t.Errorf("it has %d bytes", size)
	}
}

// BenchmarkBalance is what reading and verifying a balance's proof costs.
func BenchmarkBalance(b *testing.B) {
	s := newStory(b)
	file := encode(b, s, s.balance())
	b.ReportMetric(float64(len(file)), "bytes/proof")
	for b.Loop() {
		if _, err := decode(b, file).Verify(s.trust); err != nil {
			b.Fatal(err)
		}
	}
}
