package audit_test

import (
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// On real nodes: the blocks and the node's own scan of its unspent outputs give
// the same coins, also with a settlement and a deposit above the books' block;
// and btcd, which cannot scan, gives them from its blocks.
func TestOnRealNodes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opts  []bitcoind.Option
		scans bool
	}{
		{"bitcoind", nil, true},
		{"btcd", []bitcoind.Option{bitcoind.WithBtcd()}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := bitcoind.Start(t, tt.opts...)
			if node.Info().Kind == "btcd" {
				tt.scans = false // the ladder's last rung
			}
			auditOnNode(t, node, tt.scans)
		})
	}
}

func auditOnNode(t *testing.T, node *bitcoind.Node, scans bool) {
	// The first payment to the vault is older than the bank.
	founder := audittest.NewOnNode(t, node, 0)
	payOnChain(t, node, founder.To(taproot.Deposit, 16, 9_999))
	birth := mine(t, node, 1)
	b := audittest.NewOnNode(t, node, uint32(birth))
	ann := b.Open("ann")
	payOnChain(t, node, b.To(taproot.Deposit, uint32(ledger.Treasury), 100_000),
		b.To(taproot.Deposit, ann.ID.Index(), 3_000_000), b.To(taproot.Deposit, 40, 50_000))
	mine(t, node, audittest.Depth)
	b.CatchUp()

	for range 2 {
		b.Withdraw(ann, 400_000, 10_000, node.MinerScript())
		built := b.Cut(5_000)
		if err := node.Broadcast(t.Context(), b.Sign(built)); err != nil {
			t.Fatalf("the node refuses the settlement: %v", err)
		}
		payOnChain(t, node, b.To(taproot.Deposit, ann.ID.Index(), 20_000))
		mine(t, node, 1)
		if r := auditNode(t, b, node); r.Settlements != uint64(built.Settlement)-1 || r.Height >= uint32(tip(t, node)) {
			t.Errorf("the settlement is not deep enough, the report has %d at block %d", r.Settlements, r.Height)
		} else {
			checkNodeReport(t, b, r, scans)
		}
		mine(t, node, 1)
		b.CatchUp()
		checkNodeReport(t, b, auditNode(t, b, node), scans)
	}
}

func auditNode(t *testing.T, b *audittest.Bank, node *bitcoind.Node) *audit.Report {
	t.Helper()
	r, err := audit.Run(t.Context(), audit.Config{Charter: b.Charter, Vault: b.Vault, Journal: b.Journal,
		Chain: node, Scanner: node})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkNodeReport(t *testing.T, b *audittest.Bank, r *audit.Report, scans bool) {
	t.Helper()
	if !r.OK || !r.Equal || r.ChainSat != b.Books.Liabilities() || r.ChainSat == 0 {
		t.Errorf("first difference %+v; %d sat on chain, %d sat in the books", r.First, r.ChainSat, b.Books.Liabilities())
	}
	outside := ledger.Amount(0)
	if scans {
		outside = 9_999
	}
	if c := r.Check(audit.CheckScan); (c.Skipped == "") != scans || r.OutsideSat != outside {
		t.Errorf("scan %+v, %d sat outside", c, r.OutsideSat)
	}
}

func payOnChain(t *testing.T, node *bitcoind.Node, outs ...*wire.TxOut) {
	t.Helper()
	if _, err := node.FundMany(t.Context(), outs); err != nil {
		t.Fatal(err)
	}
}

// mine mines n blocks and returns the height of the last.
func mine(t *testing.T, node *bitcoind.Node, n int) int32 {
	t.Helper()
	if _, err := node.Mine(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return tip(t, node)
}

func tip(t *testing.T, node *bitcoind.Node) int32 {
	t.Helper()
	height, err := node.Height(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return height
}
