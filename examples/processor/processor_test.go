package processor_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"example.com/shop/processor"
	"github.com/daobank/daobank/bitcoind"
)

var policy = processor.Policy{Depth: 3, Patience: 2, FeeRate: 2000}

// A shop is a processor on a node, as a test sees it.
type shop struct {
	*processor.Processor
	t     *testing.T
	node  *bitcoind.Node
	proxy *bitcoind.Proxy
	book  string
	end   func()
}

// openShop starts a node with coins to spend, and a processor with an empty book.
// The processor reaches the node by a proxy, which can spoil its calls.
func openShop(t *testing.T) *shop {
	t.Helper()
	node := bitcoind.Start(t, bitcoind.WithBlocks(120))
	s := &shop{t: t, node: node, proxy: node.Proxy(t), book: filepath.Join(t.TempDir(), "book.json")}
	s.open()
	return s
}

// open starts a processor on the shop's book.
func (s *shop) open() {
	s.t.Helper()
	client, err := bitcoind.Dial(s.t.Context(), s.proxy.Config())
	check(s.t, err)
	start, err := s.node.Tip(s.t.Context())
	check(s.t, err)
	s.Processor, err = processor.Open(client, s.book, []byte("a test"), start, policy)
	check(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	closed := false
	s.end = func() {
		if closed {
			return
		}
		closed = true
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			s.t.Errorf("the processor ended: %v", err)
		}
	}
	s.t.Cleanup(s.end)
}

// await waits until the processor knows the node's tip and done holds.
func (s *shop) await(what string, done func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for {
		tip, err := s.node.Tip(ctx)
		if err == nil && s.Tip() == tip && done() {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("waited for %s; the processor is at %v, the node at %v (%v)", what, s.Tip(), tip, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *shop) awaitStatus(invoice processor.Invoice, want processor.Status) {
	s.t.Helper()
	s.await("an invoice that is "+string(want), func() bool {
		got, err := s.Status(invoice.Number)
		check(s.t, err)
		return got == want
	})
}

func (s *shop) mine(n int, options ...bitcoind.MineOption) {
	s.t.Helper()
	_, err := s.node.Mine(s.t.Context(), n, options...)
	check(s.t, err)
}

// earn has a customer pay an invoice, deep enough.
func (s *shop) earn(amountSat int64) {
	s.t.Helper()
	invoice, err := s.Invoice(amountSat)
	check(s.t, err)
	_, err = s.node.Fund(s.t.Context(), invoice.Script, btcutil.Amount(amountSat))
	check(s.t, err)
	s.mine(3)
	s.awaitStatus(invoice, processor.Paid)
}

// received counts the coins in blocks that pay a script: what was paid out.
func (s *shop) received(script []byte) (count int) {
	s.t.Helper()
	tip, err := s.node.Tip(s.t.Context())
	check(s.t, err)
	for height := int32(1); height <= tip.Height; height++ {
		hash, err := s.node.BlockHash(s.t.Context(), height)
		check(s.t, err)
		block, err := s.node.Block(s.t.Context(), hash)
		check(s.t, err)
		for _, tx := range block.Transactions {
			for _, out := range tx.TxOut {
				if string(out.PkScript) == string(script) {
					count++
				}
			}
		}
	}
	return count
}

// An invoice is paid when its coins are deep enough, and not before.
func TestConfirmation(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	invoice, err := s.Invoice(50_000)
	check(t, err)
	_, err = s.node.Fund(t.Context(), invoice.Script, 50_000)
	check(t, err)
	s.awaitStatus(invoice, processor.Unpaid) // the mempool is no payment
	s.mine(1)
	s.awaitStatus(invoice, processor.Seen)
	s.mine(1)
	s.awaitStatus(invoice, processor.Seen)
	s.mine(1)
	s.awaitStatus(invoice, processor.Paid)

	short, err := s.Invoice(50_000)
	check(t, err)
	_, err = s.node.Fund(t.Context(), short.Script, 49_999)
	check(t, err)
	s.mine(3)
	s.awaitStatus(short, processor.Unpaid)
}

// A customer pays, sees two confirmations, and spends the coin otherwise in a chain
// of more work: the invoice is unpaid again. An honest payment in the same blocks
// comes back by itself.
func TestReorganisation(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	cheated, err := s.Invoice(50_000)
	check(t, err)
	honest, err := s.Invoice(70_000)
	check(t, err)
	customer, err := s.node.NewMiniWallet(t.Context(), 1, 100_000)
	check(t, err)
	payment, err := customer.Send(t.Context(), bitcoind.Payment{Outputs: []*wire.TxOut{wire.NewTxOut(50_000, cheated.Script)}})
	check(t, err)
	_, err = s.node.Fund(t.Context(), honest.Script, 70_000)
	check(t, err)
	s.mine(2)
	s.awaitStatus(cheated, processor.Seen)

	double, err := customer.Build(bitcoind.Payment{Coins: []wire.OutPoint{payment.TxIn[0].PreviousOutPoint}})
	check(t, err)
	_, err = s.node.Reorg(t.Context(), 2, bitcoind.ReorgReplace(payment.TxHash(), double))
	check(t, err)
	s.awaitStatus(cheated, processor.Unpaid)
	s.awaitStatus(honest, processor.Unpaid) // in the mempool again

	s.mine(3)
	s.awaitStatus(cheated, processor.Unpaid)
	s.awaitStatus(honest, processor.Paid)
}

// A payout that miners leave out is replaced by a dearer one, and made once.
func TestFeeBump(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.earn(1_000_000)
	supplier := newScript(t)
	first, err := s.Pay(t.Context(), "flour", supplier, 300_000)
	check(t, err)
	check(t, s.node.WaitTx(t.Context(), first.Versions[0].TxID))

	s.mine(2, bitcoind.MineEmpty())
	s.await("a second version", func() bool { return len(s.Payout("flour").Versions) == 2 })
	second := s.Payout("flour").Versions[1]
	if second.FeeRate != 2*policy.FeeRate {
		t.Errorf("the second version pays %d, want twice %d", second.FeeRate, policy.FeeRate)
	}
	check(t, s.node.WaitTx(t.Context(), second.TxID))
	if in, err := s.node.InMempool(t.Context(), first.Versions[0].TxID); err != nil || in {
		t.Errorf("the first version is still in the mempool: %v, error %v", in, err)
	}
	s.mine(1)
	s.await("a block with the payout", func() bool { return s.Payout("flour").Height > 0 })
	if n := s.received(supplier); n != 1 {
		t.Errorf("paid %d times, want once", n)
	}
}

// The node takes the payout and its reply is lost. The caller asks again, and so
// does the processor: the supplier is paid once.
func TestLostReply(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.earn(1_000_000)
	supplier := newScript(t)

	lost := s.proxy.Inject(bitcoind.Fault{Method: "sendrawtransaction", Count: 1, Do: bitcoind.DropReply()})
	payout, err := s.Pay(t.Context(), "sugar", supplier, 300_000)
	check(t, err)
	check(t, lost.WaitHits(t.Context(), 1))
	again, err := s.Pay(t.Context(), "sugar", supplier, 300_000)
	check(t, err)
	if len(again.Versions) != 1 || again.Versions[0].TxID != payout.Versions[0].TxID {
		t.Errorf("asked again, it made another transaction: %+v", again)
	}
	if _, err := s.Pay(t.Context(), "sugar", supplier, 400_000); !errors.Is(err, processor.ErrOtherPayout) {
		t.Errorf("another payout of the same name: error %v", err)
	}
	s.mine(2)
	s.await("a block with the payout", func() bool { return s.Payout("sugar").Height > 0 })
	if n := s.received(supplier); n != 1 {
		t.Errorf("paid %d times, want once", n)
	}
}

// A request that never reached the node is in the book all the same. While the
// processor is away, an invoice is paid and the chain reorganised; it comes back
// and makes up for both.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.earn(1_000_000)
	supplier := newScript(t)
	unsent := s.proxy.Inject(bitcoind.Fault{Method: "sendrawtransaction", Do: bitcoind.DropRequest()})
	payout, err := s.Pay(t.Context(), "salt", supplier, 300_000)
	check(t, err)
	check(t, unsent.WaitHits(t.Context(), 1))
	invoice, err := s.Invoice(50_000)
	check(t, err)
	s.end()
	unsent.Remove()

	_, err = s.node.Fund(t.Context(), invoice.Script, 50_000)
	check(t, err)
	s.mine(1)
	_, err = s.node.Reorg(t.Context(), 2, bitcoind.ReorgKeepAll())
	check(t, err)
	s.mine(2)

	s.open()
	s.awaitStatus(invoice, processor.Paid)
	// It is sent as it was, and then, for the blocks that passed, at a higher rate.
	s.await("a payout in the mempool", func() bool {
		versions := s.Payout("salt").Versions
		if versions[0].TxID != payout.Versions[0].TxID {
			t.Fatalf("it made another transaction: %+v", versions)
		}
		in, err := s.node.InMempool(t.Context(), versions[len(versions)-1].TxID)
		check(t, err)
		return in
	})
	s.mine(1)
	s.await("a block with the payout", func() bool { return s.Payout("salt").Height > 0 })
	if n := s.received(supplier); n != 1 {
		t.Errorf("paid %d times, want once", n)
	}
}

func newScript(t *testing.T) []byte {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	check(t, err)
	script, err := txscript.PayToTaprootScript(key.PubKey())
	check(t, err)
	return script
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
