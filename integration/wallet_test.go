package integration

import (
	"testing"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// TestDescriptor checks that a stock node reads the vault's descriptor as this
// program means it: same checksum, same addresses on both branches, same sum, by a scan
// and by a wallet of the node that only watches.
func TestDescriptor(t *testing.T) {
	b := newBank(t, bitcoind.Start(t))
	var info struct {
		Descriptor string `json:"descriptor"`
		IsRange    bool   `json:"isrange"`
		IsSolvable bool   `json:"issolvable"`
		HasPrivate bool   `json:"hasprivatekeys"`
	}
	b.must(b.node.Call(b.ctx, "getdescriptorinfo", &info, b.vault.Descriptor()))
	if !info.IsRange || !info.IsSolvable || info.HasPrivate {
		t.Errorf("the node reads the descriptor as %+v", info)
	}
	for branch, descriptor := range b.vault.Descriptors() {
		var derived []string
		b.must(b.node.Call(b.ctx, "deriveaddresses", &derived, descriptor, []int{0, 20}))
		for i, want := range derived {
			got, err := b.vault.Address(taproot.Branch(branch), uint32(i))
			b.must(err)
			if got != want {
				t.Errorf("address %d/%d: the node derives %s, the vault %s", branch, i, want, got)
			}
		}
	}
	alice := b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 123_456, ledger.Treasury: 50_000})
	b.mine(depth)
	b.settled(1)
	b.expectSound()
	w, err := b.node.Wallet(b.ctx, "watch", bitcoind.WalletWatchOnly(), bitcoind.WalletBlank())
	b.must(err)
	for branch, descriptor := range b.vault.Descriptors() {
		b.must(w.Import(b.ctx, bitcoind.WalletDescriptor{Descriptor: descriptor, Range: 100, Internal: branch == int(taproot.Change)}))
	}
	balance, err := w.Balance(b.ctx)
	b.must(err)
	var owed ledger.Amount
	b.must(b.engine.View(b.ctx, func(s *ledger.State) { owed = s.Liabilities() }))
	if int64(balance.Trusted) != int64(owed) {
		t.Errorf("the node's wallet watches %+v, the bank owes %d sat", balance, owed)
	}
}
