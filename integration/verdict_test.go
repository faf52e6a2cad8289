package integration

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// The verdicts in their order.
const (
	inJournal = iota
	inBlocks
	inBooks
	inSettlements
	inOrders
	inPayouts
	inFees
	inBalances
	inCoins
)

// TestJudgeSees falsifies the evidence of a sound bank in one place at a time, as a
// bank would that lost, doubled or invented something, and expects the judge to say
// so. Nothing else would show that a judge who is content has looked.
func TestJudgeSees(t *testing.T) {
	newEvidence(t).falsify(t, []falsification{
		{"a batch is lost", func(e *evidence) { e.journal = slices.Delete(e.journal, 2, 3) }, inJournal},
		{"an entry is changed", func(e *evidence) { e.journal[0].entries[0][40] ^= 1 }, inJournal},
		{"a header is signed by somebody else", func(e *evidence) { e.journal[1].header[150] ^= 1 }, inJournal},
		{"a header names another before it", func(e *evidence) { e.journal[1].header[60] ^= 1 }, inJournal},
		{"a block of the books left the chain", func(e *evidence) { e.blocks[1] = e.blocks[0] }, inBooks},
		{"the vault is spent without an anchor", func(e *evidence) { e.spend(nil) }, inBlocks},
		{"a settlement is mined twice", func(e *evidence) { e.spend(e.payout().TxOut) }, inBlocks},
		{"the settlement in the chain is another", func(e *evidence) { e.payout().LockTime++ }, inSettlements},
		{"a deposit is not credited", func(e *evidence) {
			e.drop(func(x ledger.Entry) bool { _, ok := x.Event.(*ledger.Deposit); return ok })
		}, inBooks},
		{"a settlement is posted that nobody mined", func(e *evidence) { tx := e.payout(); tx.TxIn = tx.TxIn[:0] }, inSettlements},
		{"an acknowledged order is lost", func(e *evidence) {
			e.drop(func(x ledger.Entry) bool { return x.Order != nil && x.Order.Kind() == ledger.KindTransfer })
		}, inOrders},
		{"an order is carried out twice", func(e *evidence) {
			e.double(func(x ledger.Entry) bool { return x.Order != nil && x.Order.Kind() == ledger.KindTransfer })
		}, inOrders},
		{"a refused order is carried out", func(e *evidence) {
			last := &e.orders[len(e.orders)-1]
			last.receipt, last.refused = nil, errors.New("no")
		}, inOrders},
		{"an order that nobody sent is carried out", func(e *evidence) { e.orders = e.orders[:len(e.orders)-1] }, inOrders},
		{"a payout is missing", func(e *evidence) { e.payee().PkScript = []byte{0x6a} }, inPayouts},
		{"a payout is a satoshi short", func(e *evidence) { e.payee().Value-- }, inPayouts},
		{"a payout is made twice", func(e *evidence) { tx := e.payout(); tx.AddTxOut(e.payee()) }, inPayouts},
		{"a withdrawal is in no settlement", func(e *evidence) {
			e.edit(func(x ledger.Event) {
				if cut, ok := x.(*ledger.Cut); ok && len(cut.Payouts) > 0 {
					cut.Payouts = cut.Payouts[1:]
				}
			})
		}, inPayouts},
		{"a member pays another fee than the rule says", func(e *evidence) {
			e.edit(func(x ledger.Event) {
				if cut, ok := x.(*ledger.Cut); ok && len(cut.Payouts) > 0 {
					cut.Payouts[0].FeeShare++
				}
			})
		}, inFees},
		{"the miner gets more than the cut says", func(e *evidence) {
			e.edit(func(x ledger.Event) {
				if cut, ok := x.(*ledger.Cut); ok {
					cut.Fee--
				}
			})
		}, inFees},
		{"a balance differs", func(e *evidence) { e.balances[ledger.FirstMember]++ }, inBalances},
		{"a satoshi moves between members", func(e *evidence) { e.balances[ledger.FirstMember]++; e.balances[ledger.FirstMember+1]-- }, inBalances},
		{"the node has fewer coins", func(e *evidence) { e.unspent-- }, inCoins},
		{"the wallets are more than the coins", func(e *evidence) { e.balances[ledger.Treasury]++ }, inCoins},
	})
}

// TestJudgeSeesBranches does the same with the evidence of a bank that has followed a
// reorganisation deeper than its depth.
func TestJudgeSeesBranches(t *testing.T) {
	reorganised := func(change func(*ledger.Reorganised)) func(*evidence) {
		return func(e *evidence) {
			e.edit(func(x ledger.Event) {
				if r, ok := x.(*ledger.Reorganised); ok {
					change(r)
				}
			})
		}
	}
	isCorrection := func(x ledger.Entry) bool { _, ok := x.Event.(*ledger.Correct); return ok }
	newBranchEvidence(t).falsify(t, []falsification{
		{"a lost coin stays in the books", reorganised(func(r *ledger.Reorganised) { r.Removed = r.Removed[1:] }), inBooks},
		{"a coin that came is left out", reorganised(func(r *ledger.Reorganised) { r.Added = r.Added[1:] }), inBooks},
		{"a coin that came is worth more", reorganised(func(r *ledger.Reorganised) { r.Added[0].Amount++ }), inBooks},
		{"the books follow a branch that nobody has seen", reorganised(func(r *ledger.Reorganised) { r.Hash[0] ^= 1 }), inBooks},
		{"no block has left the chain", reorganised(func(r *ledger.Reorganised) { r.From-- }), inBooks},
		{"the books had blocks that nobody has seen", func(e *evidence) { e.stale = nil }, inBooks},
		{"what the branch does not pay is not given back", func(e *evidence) { e.drop(isCorrection) }, inPayouts},
		{"it is given back twice", func(e *evidence) { e.double(isCorrection) }, inPayouts},
		{"it is given to another", func(e *evidence) {
			e.edit(func(x ledger.Event) {
				if c, ok := x.(*ledger.Correct); ok {
					c.Account--
				}
			})
		}, inPayouts},
		{"it is a satoshi less", func(e *evidence) {
			e.edit(func(x ledger.Event) {
				if c, ok := x.(*ledger.Correct); ok {
					c.Amount--
				}
			})
		}, inPayouts},
		{"the operator kept silent about it", func(e *evidence) { e.returned = nil }, inPayouts},
		{"suspense has less than the branch left it", func(e *evidence) { e.balances[ledger.Suspense]-- }, inBalances},
	})
}

// A falsification changes evidence, and expects one verdict to see it, whatever others
// see besides.
type falsification struct {
	name    string
	falsify func(e *evidence)
	expect  int
}

func (e *evidence) falsify(t *testing.T, cases []falsification) {
	t.Helper()
	for _, v := range e.judge() {
		if len(v.wrong) > 0 {
			t.Fatalf("the judge finds fault with a sound bank: %s: %v", v.what, v.wrong)
		}
		if v.count == 0 {
			t.Fatalf("the judge has looked at nothing: %s", v.what)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			changed := e.clone()
			c.falsify(changed)
			if v := changed.judge()[c.expect]; len(v.wrong) == 0 {
				t.Errorf("the judge does not see it under %q", v.what)
			}
		})
	}
}

// newBranchEvidence is of a bank that has posted a settlement which pays alice and bob;
// the branch that won has an earlier version of it, which pays alice alone, and bob was
// given back what he had ordered.
func newBranchEvidence(t *testing.T) *evidence {
	t.Helper()
	database := cluster.Test(t)
	r := replacedOf(newBankOn(t, bitcoind.Start(t), database))
	_, err := r.node.Mine(r.ctx, 1, bitcoind.MineTxs(r.versions[1]))
	r.must(err)
	r.mine(depth - 1)
	var stale []*wire.MsgBlock
	height, err := r.node.Height(r.ctx)
	r.must(err)
	for i := range int32(depth) {
		hash, err := r.node.BlockHash(r.ctx, height-i)
		r.must(err)
		block, err := r.node.Block(r.ctx, hash)
		r.must(err)
		stale = append(stale, block)
	}
	_, err = r.node.Reorg(r.ctx, depth, bitcoind.ReorgReplace(r.versions[1].TxHash(), r.versions[0]), bitcoind.ReorgLonger(2))
	r.must(err)
	r.resolve()
	r.correct(r.bob.id, paidBob)
	r.mine(3 * depth)
	r.must(r.engine.Close(r.ctx))
	e, err := gather(r.ctx, r.node.Client, database, r.charter, r.vault, r.sent)
	r.must(err)
	e.stale, e.returned = stale, map[ledger.OrderRef]bool{{Payer: r.bob.id, Sequence: r.bob.sequence}: true}
	return e
}

// newEvidence is of a small bank that swept deposits and paid two withdrawals.
func newEvidence(t *testing.T) *evidence {
	t.Helper()
	database := cluster.Test(t)
	b := newBankOn(t, bitcoind.Start(t), database)
	alice, bob := b.newMember(), b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 400_000, bob.id: 300_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	alice.pay(bob.id, 5_000)
	shared := b.newScript()
	alice.withdraw(shared, 70_000, 1_000)
	bob.withdraw(shared, 30_000, 1_000)
	b.advance()
	b.settled(2)
	b.must(b.engine.Close(b.ctx))
	e, err := gather(b.ctx, b.node.Client, database, b.charter, b.vault, b.sent)
	b.must(err)
	return e
}

// clone is a deep copy of what the cases change.
func (e *evidence) clone() *evidence {
	c := *e
	c.journal = make([]journalRow, len(e.journal))
	for i, row := range e.journal {
		c.journal[i].header = slices.Clone(row.header)
		for _, entry := range row.entries {
			c.journal[i].entries = append(c.journal[i].entries, slices.Clone(entry))
		}
	}
	c.blocks = nil
	for _, block := range e.blocks {
		copied := &wire.MsgBlock{Header: block.Header}
		for _, tx := range block.Transactions {
			copied.Transactions = append(copied.Transactions, tx.Copy())
		}
		c.blocks = append(c.blocks, copied)
	}
	c.balances = maps.Clone(e.balances)
	c.orders = slices.Clone(e.orders)
	return &c
}

// payout is the settlement that pays members.
func (e *evidence) payout() *wire.MsgTx {
	for _, block := range e.blocks {
		for _, tx := range block.Transactions {
			if number, ok := anchorOf(tx); ok && number == 2 {
				return tx
			}
		}
	}
	panic("the evidence has no second settlement")
}

// payee is its output that pays members.
func (e *evidence) payee() *wire.TxOut {
	for _, out := range e.payout().TxOut {
		if _, own := e.scripts[string(out.PkScript)]; !own && out.PkScript[0] != 0x6a {
			return out
		}
	}
	panic("the settlement pays nobody")
}

// spend adds to the last block a spend of the settlement's change.
func (e *evidence) spend(outs []*wire.TxOut) {
	settled := e.payout()
	for vout, out := range settled.TxOut {
		if _, own := e.scripts[string(out.PkScript)]; own {
			tx := wire.NewMsgTx(2)
			tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: settled.TxHash(), Index: uint32(vout)}})
			tx.TxOut = outs
			last := e.blocks[len(e.blocks)-1]
			last.Transactions = append(last.Transactions, tx)
			return
		}
	}
}

// each calls f with each entry of the journal, and keeps what it returns in its
// place.
func (e *evidence) each(f func(raw []byte, x ledger.Entry) [][]byte) {
	for i := range e.journal {
		var kept [][]byte
		for _, raw := range e.journal[i].entries {
			x, err := ledger.DecodeEntry(raw)
			if err != nil {
				panic(err) // the evidence was sound
			}
			kept = append(kept, f(raw, x)...)
		}
		e.journal[i].entries = kept
	}
}

func (e *evidence) drop(which func(ledger.Entry) bool) {
	e.each(func(raw []byte, x ledger.Entry) [][]byte {
		if which(x) {
			return nil
		}
		return [][]byte{raw}
	})
}

func (e *evidence) double(which func(ledger.Entry) bool) {
	e.each(func(raw []byte, x ledger.Entry) [][]byte {
		if which(x) {
			return [][]byte{raw, raw}
		}
		return [][]byte{raw}
	})
}

func (e *evidence) edit(change func(ledger.Event)) {
	e.each(func(raw []byte, x ledger.Entry) [][]byte {
		if x.Event == nil {
			return [][]byte{raw}
		}
		change(x.Event)
		return [][]byte{x.Bytes()}
	})
}
