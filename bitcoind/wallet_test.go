package bitcoind

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"
	"golang.org/x/sync/errgroup"
)

func TestNamedWallets(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		alice, err := node.Wallet(ctx, "alice & co")
		if node.Info().Kind == "btcd" {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("btcd: %v, want ErrUnsupported", err)
			}
			return
		}
		must(t, err)
		bob, err := node.Wallet(ctx, "bob")
		must(t, err)
		address, err := alice.NewAddress(ctx, "bech32m")
		must(t, err)
		_, err = node.FundAddress(ctx, address, 1_000_000)
		must(t, err)
		if balance, err := alice.Balance(ctx); err != nil || balance != (WalletBalance{Pending: 1_000_000}) {
			t.Errorf("alice unconfirmed: %+v, %v", balance, err)
		}
		_, err = node.Mine(ctx, 1)
		must(t, err)
		to, err := bob.NewAddress(ctx, "")
		must(t, err)
		txid, err := alice.Pay(ctx, to, 400_000, 2500)
		must(t, err)
		_, err = node.MineUntilConfirmed(ctx, txid, 1)
		must(t, err)
		for _, test := range []struct {
			wallet     *Wallet
			least, top btcutil.Amount
		}{{alice, 599_000, 599_700}, {bob, 400_000, 400_000}} {
			if balance, err := test.wallet.Balance(ctx); err != nil || balance.Trusted < test.least || balance.Trusted > test.top {
				t.Errorf("%s: %+v, %v; want %d to %d", test.wallet.Name(), balance, err, test.least, test.top)
			}
		}
		must(t, alice.Unload(ctx))
		again, err := node.Wallet(ctx, "alice & co")
		must(t, err)
		if balance, err := again.Balance(ctx); err != nil || balance.Trusted == 0 {
			t.Errorf("opened again: %+v, %v", balance, err)
		}
	})
}

func TestWalletImportsDescriptors(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120))...)
	ctx := t.Context()
	master, err := hdkeychain.NewMaster(make([]byte, 32), &chaincfg.RegressionNetParams)
	must(t, err)
	public, err := master.Neuter()
	must(t, err)
	child, err := public.Derive(3)
	must(t, err)
	key, err := child.Address(&chaincfg.RegressionNetParams)
	must(t, err)
	script := append([]byte{0, 20}, key.ScriptAddress()...)
	_, err = node.FundMany(ctx, []*wire.TxOut{wire.NewTxOut(70_000, script)})
	must(t, err)
	_, err = node.Mine(ctx, 1)
	must(t, err)

	watcher, err := node.Wallet(ctx, "watcher", WalletWatchOnly(), WalletBlank())
	must(t, err)
	must(t, watcher.Import(ctx, WalletDescriptor{Descriptor: "wpkh(" + public.String() + "/*)", Range: 5, Active: true}))
	if balance, err := watcher.Balance(ctx); err != nil || balance.Trusted != 70_000 {
		t.Errorf("balance %+v, %v; want 70,000", balance, err)
	}
	descriptors, err := watcher.Descriptors(ctx)
	if err != nil || len(descriptors) != 1 || !strings.HasPrefix(descriptors[0], "wpkh("+public.String()) {
		t.Errorf("descriptors %v, %v", descriptors, err)
	}
	address := watcherAddress(t, watcher)
	if txid, err := watcher.Pay(ctx, address, 10_000, 0); err == nil {
		t.Errorf("a payment without keys: %v and no error", txid)
	}
	var refused *RPCError
	if err := watcher.Import(ctx, WalletDescriptor{Descriptor: "wpkh(" + master.String() + "/*)"}); !errors.As(err, &refused) {
		t.Errorf("a private key: %v, want an RPCError", err)
	}
	if err := watcher.Import(ctx, WalletDescriptor{Descriptor: "nonsense"}); !errors.As(err, &refused) {
		t.Errorf("nonsense: %v, want an RPCError", err)
	}
	if _, err := node.Wallet(ctx, "../up"); err == nil {
		t.Error("a name with a slash: no error")
	}
}

func TestAmountText(t *testing.T) {
	for amount, want := range map[btcutil.Amount]string{0: "0.00000000", 1: "0.00000001", -1: "-0.00000001", 150_000_000: "1.50000000", btcutil.MaxSatoshi: "21000000.00000000"} {
		if got := amountText(amount); got != want {
			t.Errorf("%d: %s, want %s", int64(amount), got, want)
		}
	}
}

// TestOneWalletForAll opens one wallet in several places at once.
func TestOneWalletForAll(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120))...)
	node.Require(t, CanHoldWallets, CanFreezeTime)
	ctx := t.Context()
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { _, err := node.Wallet(ctx, "shared"); return err })
	}
	must(t, group.Wait())

	wallet, err := node.Wallet(ctx, "shared")
	must(t, err)
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	must(t, wallet.Freeze(ctx, at))
	if !node.Now().Equal(at) {
		t.Errorf("the node's time is %v, want %v, which its wallet set", node.Now(), at)
	}
}

func watcherAddress(t *testing.T, w *Wallet) string {
	t.Helper()
	address, err := w.NewAddress(t.Context(), "bech32")
	must(t, err)
	return address
}
