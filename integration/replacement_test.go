package integration

import (
	"bytes"
	"context"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// replaced is a bank whose second settlement has missed a block: its first version
// pays one withdrawal, the second both.
type replaced struct {
	*bank
	alice, bob     *member
	atAlice, atBob []byte
	versions       []*wire.MsgTx
}

const paidAlice, paidBob = 70_000, 50_000

func newReplaced(t *testing.T, options ...bitcoind.Option) *replaced {
	t.Helper()
	return replacedOf(newBank(t, bitcoind.Start(t, options...)))
}

func replacedOf(b *bank) *replaced {
	b.t.Helper()
	r := &replaced{bank: b, alice: b.newMember(), bob: b.newMember(), atAlice: b.newScript(), atBob: b.newScript()}
	b.deposit(map[ledger.AccountID]ledger.Amount{r.alice.id: 400_000, r.bob.id: 300_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	r.alice.withdraw(r.atAlice, paidAlice, 1_000)
	b.advance()
	r.bob.withdraw(r.atBob, paidBob, 1_000)
	r.miss()
	r.versions = b.signed(2)
	return r
}

// miss mines a block without the settlement.
func (r *replaced) miss() {
	r.t.Helper()
	_, err := r.node.Mine(r.ctx, 1, bitcoind.MineEmpty())
	r.must(err)
	r.advance()
}

// signed are the versions of a settlement that were signed, in order.
func (b *bank) signed(n uint32) (txs []*wire.MsgTx) {
	b.t.Helper()
	steps, err := b.store.Steps(b.ctx, n)
	b.must(err)
	for _, s := range steps {
		if s.Step == "signed" {
			tx := &wire.MsgTx{}
			b.must(tx.Deserialize(bytes.NewReader(s.Tx)))
			txs = append(txs, tx)
		}
	}
	return txs
}

// never asserts that no step of a settlement has a name.
func (b *bank) never(n uint32, step string) {
	b.t.Helper()
	steps, err := b.store.Steps(b.ctx, n)
	b.must(err)
	for _, s := range steps {
		if s.Step == step {
			b.t.Errorf("settlement %d, step %d: %s: %s", n, s.Ordinal, s.Step, s.Detail)
		}
	}
}

func (r *replaced) pooled(tx *wire.MsgTx) bool {
	r.t.Helper()
	in, err := r.node.InMempool(r.ctx, tx.TxHash())
	r.must(err)
	return in
}

// finish mines until nothing waits, and checks that both were paid once.
func (r *replaced) finish() {
	r.t.Helper()
	r.mine(3 * (depth + 1))
	if alice, bob := r.receivedBy(r.atAlice), r.receivedBy(r.atBob); alice != paidAlice || bob != paidBob {
		r.t.Errorf("alice received %d sat in all and bob %d, want %d and %d once", alice, bob, paidAlice, paidBob)
	}
	r.must(r.engine.View(r.ctx, func(s *ledger.State) {
		if s.Open() != nil || len(s.Held()) > 0 {
			r.t.Errorf("in flight %+v, held %v", s.Open(), s.Held())
		}
		for _, id := range []ledger.AccountID{ledger.WithdrawalsPending, ledger.MinerFees, ledger.Suspense} {
			if s.Balance(id) != 0 {
				r.t.Errorf("account %s has %d sat", id, s.Balance(id))
			}
		}
	}))
	r.expectSound()
}

// A settlement that is not in the next block is replaced, and the node takes the
// replacement the first time. Whichever version is mined, also after a reorganisation,
// everybody is paid once.
func TestReplacement(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mine    func(r *replaced)
		version uint16 // that is posted
	}{
		{"the second version is mined", func(r *replaced) { r.mine(1) }, 2},
		{"a miner has the first", func(r *replaced) {
			_, err := r.node.Mine(r.ctx, 1, bitcoind.MineTxs(r.versions[0]))
			r.must(err)
			r.advance()
		}, 1},
		{"the new branch has the first instead", func(r *replaced) {
			r.mine(1)
			_, err := r.node.Reorg(r.ctx, 1, bitcoind.ReorgReplace(r.versions[1].TxHash(), r.versions[0]))
			r.must(err)
			r.advance()
		}, 1},
		{"the new branch has the second instead of the first", func(r *replaced) {
			_, err := r.node.Mine(r.ctx, 1, bitcoind.MineTxs(r.versions[0]))
			r.must(err)
			r.advance()
			_, err = r.node.Reorg(r.ctx, 1, bitcoind.ReorgReplace(r.versions[0].TxHash(), r.versions[1]))
			r.must(err)
			r.advance()
		}, 2},
		{"both branches have the second", func(r *replaced) {
			r.mine(1)
			_, err := r.node.Reorg(r.ctx, 1, bitcoind.ReorgKeepAll())
			r.must(err)
			r.advance()
		}, 2},
		{"the new branch has neither", func(r *replaced) {
			r.mine(1)
			_, err := r.node.Reorg(r.ctx, 1, bitcoind.ReorgDrop(r.versions[1].TxHash()))
			r.must(err)
			r.advance()
			if got := r.status(2); got.Height != 0 || got.Stage == string(settlement.StageMined) {
				r.t.Errorf("with its block gone the settlement reads %+v", got)
			}
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReplaced(t)
			if len(r.versions) != 2 || !r.pooled(r.versions[1]) || r.pooled(r.versions[0]) {
				t.Fatalf("%d versions are signed, in the mempool the first is %v and the second %v",
					len(r.versions), r.pooled(r.versions[0]), r.pooled(r.versions[1]))
			}
			r.never(2, "refused")
			if got := r.status(2); got.Version != 2 || got.Versions != 2 || got.Payouts != 2 {
				t.Errorf("the settlement reads %+v", got)
			}
			tt.mine(r)
			for range 2 * depth {
				r.mine(1)
				if r.status(2).Stage == string(settlement.StagePosted) {
					break
				}
			}
			if got := r.status(2); got.Stage != string(settlement.StagePosted) || tt.version != 0 && got.Version != tt.version {
				t.Errorf("in the end the settlement reads %+v, want version %d posted", got, tt.version)
			}
			r.finish()
		})
	}
}

// The bank stops at any moment of a replacement and goes on with what is stored.
func TestStopWithinAReplacement(t *testing.T) {
	r := newReplaced(t)
	for n := range 3 {
		_, err := r.node.Mine(r.ctx, 1, bitcoind.MineEmpty())
		r.must(err)
		signer := r.desk.Signer
		r.desk.Signer = signerFunc(func(context.Context, *netting.Transaction, uint64) ([][]byte, error) { return nil, errCrash })
		r.crashes() // after the cut of the next version
		if got := r.status(2); got.Stage != string(settlement.StageCut) || int(got.Versions) != n+3 {
			t.Fatalf("the bank stops with %+v", got)
		}
		if last := r.signed(2); !r.pooled(last[len(last)-1]) {
			t.Errorf("while version %d is not signed the one before is not in the mempool", n+3)
		}
		r.desk.Signer = signer
		r.open(0, 2, 4)
		r.advance()
		if got := r.status(2); got.Stage != string(settlement.StageBroadcast) || int(got.Version) != n+3 {
			t.Fatalf("opened again the settlement reads %+v", got)
		}
	}
	r.never(2, "refused")
	r.finish()
}

// A version before is mined while the newest is not signed yet.
func TestOldVersionMinedBeforeTheNewestIsSigned(t *testing.T) {
	r := newReplaced(t)
	_, err := r.node.Mine(r.ctx, 1, bitcoind.MineEmpty())
	r.must(err)
	signer := r.desk.Signer
	r.desk.Signer = signerFunc(func(context.Context, *netting.Transaction, uint64) ([][]byte, error) { return nil, errCrash })
	r.crashes()
	_, err = r.node.Mine(r.ctx, 1)
	r.must(err)
	r.advance()
	if got := r.status(2); got.Stage != string(settlement.StageMined) || got.Version != 2 || got.Versions != 3 {
		t.Errorf("the settlement reads %+v", got)
	}
	r.desk.Signer = signer
	r.finish()
}

// The mempool is full and its floor above what the estimate says: the reason is
// recorded, and the next version pays the floor, without a block and without a person.
func TestFullMempool(t *testing.T) {
	b := newBank(t, bitcoind.Start(t, bitcoind.WithArgs("-maxmempool=5")))
	b.node.Require(t, bitcoind.CanLimitMempool)
	alice, to := b.newMember(), b.newScript()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 400_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	b.must(b.node.FillMempool(b.ctx, 20_000))
	alice.withdraw(to, 70_000, 1_000)
	b.advance()
	got := b.status(2)
	if got.Stage != string(settlement.StageBroadcast) || got.FeeRate < 20_000 {
		t.Errorf("the settlement reads %+v", got)
	}
	steps, err := b.store.Steps(b.ctx, 2)
	b.must(err)
	if len(steps) < 4 || steps[1].Step != "refused" || steps[1].Detail == "" {
		t.Errorf("steps %+v", steps)
	}
	// It is thrown out all the same, and comes back with the next block.
	txid, err := chainhash.NewHashFromStr(got.TxID)
	b.must(err)
	b.must(b.node.Evict(b.ctx, *txid))
	b.advance()
	if got = b.status(2); got.Stage != string(settlement.StageBroadcast) {
		t.Errorf("after an eviction the settlement reads %+v", got)
	}
	b.mine(4 * depth)
	if got := b.receivedBy(to); got != 70_000 {
		t.Errorf("the destination received %d sat", got)
	}
}

// A node that was restarted has an empty mempool: the settlement is sent again.
func TestNodeRestartedWithEmptyMempool(t *testing.T) {
	r := newReplaced(t, bitcoind.WithArgs("-persistmempool=0"))
	r.node.Require(t, bitcoind.CanKeepChain)
	r.must(r.node.Restart(r.ctx))
	if r.pooled(r.versions[1]) {
		t.Fatal("the restarted node has the settlement")
	}
	r.advance()
	if !r.pooled(r.versions[1]) {
		t.Error("the restarted node was not given the settlement again")
	}
	r.finish()
}

// A payee spends his unconfirmed payout with a large fee, so that whoever replaces
// the settlement has to pay for that too (BIP-125, rule 3). The replacement does, the
// first time.
func TestPayeeBuildsOnTheSettlement(t *testing.T) {
	b := newBank(t, bitcoind.Start(t))
	key, err := btcec.NewPrivateKey()
	b.must(err)
	own := append([]byte{0x51, 32}, schnorr.SerializePubKey(key.PubKey())...)
	alice := b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 400_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	alice.withdraw(own, 70_000, 1_000)
	b.advance()
	first := b.signed(2)[0]
	const childFee = 15_000
	b.must(b.node.Broadcast(b.ctx, spendPayout(t, first, own, key, childFee)))
	_, err = b.node.Mine(b.ctx, 1, bitcoind.MineEmpty())
	b.must(err)
	b.advance()
	b.never(2, "refused")
	got := b.status(2)
	if got.Version != 2 || got.Stage != string(settlement.StageBroadcast) || got.FeeSat <= childFee {
		t.Errorf("the settlement reads %+v", got)
	}
	b.mine(2 * depth)
	if got := b.receivedBy(own); got != 70_000 {
		t.Errorf("the destination received %d sat", got)
	}
	b.expectSound()
}

func spendPayout(t *testing.T, parent *wire.MsgTx, script []byte, key *btcec.PrivateKey, fee int64) *wire.MsgTx {
	t.Helper()
	tx := wire.NewMsgTx(2)
	for vout, out := range parent.TxOut {
		if !bytes.Equal(out.PkScript, script) {
			continue
		}
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: parent.TxHash(), Index: uint32(vout)}})
		tx.AddTxOut(wire.NewTxOut(out.Value-fee, script))
		hashes, err := taproot.Sighashes(tx, []*wire.TxOut{out})
		if err != nil {
			t.Fatal(err)
		}
		sig, err := schnorr.Sign(key, hashes[0][:])
		if err != nil {
			t.Fatal(err)
		}
		tx.TxIn[0].Witness = wire.TxWitness{sig.Serialize()}
	}
	return tx
}

// The rate never passes the ceiling, and never what the treasury can pay; then the
// settlement says why it waits, and goes on being sent.
func TestReplacementIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name     string
		treasury ledger.Amount
		ceiling  int64
		waits    string
	}{
		{"by the ceiling", 100_000, 4_000, "the ceiling is 4000"},
		{"by the treasury", 1_600, 500_000, "the treasury has"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBank(t, bitcoind.Start(t))
			b.desk.Policy.FeeRateCeiling = tt.ceiling
			alice, to := b.newMember(), b.newScript()
			b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 400_000, ledger.Treasury: tt.treasury})
			b.mine(depth)
			b.settled(1)
			alice.withdraw(to, 70_000, 100)
			b.advance()
			var got settlement.Status
			for range 8 {
				_, err := b.node.Mine(b.ctx, 1, bitcoind.MineEmpty())
				b.must(err)
				b.advance()
				if got = b.status(2); got.FeeRate > tt.ceiling {
					t.Errorf("the rate is %d", got.FeeRate)
				}
			}
			if got.Versions < 2 || got.Stage != string(settlement.StageBroadcast) || !bytes.Contains([]byte(got.Waits), []byte(tt.waits)) {
				t.Errorf("after eight blocks the settlement reads %+v", got)
			}
			b.never(2, "refused")
			b.mine(2 * depth)
			if got := b.receivedBy(to); got != 70_000 {
				t.Errorf("the destination received %d sat", got)
			}
			// 100 sat was the most that alice would pay.
			if got := b.balance(alice.id); got != 400_000-70_000-100 && got != 400_000-70_000-86 {
				t.Errorf("alice has %d sat", got)
			}
			b.expectSound()
		})
	}
}
