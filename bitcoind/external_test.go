package bitcoind

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestExternalNode(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, owner *Node) {
		ctx := t.Context()
		node, err := Open(ctx, WithExternal(owner.Config()))
		must(t, err)
		if node.Info().Kind != "external" || node.Version() != owner.Version() {
			t.Errorf("info %v", node.Info())
		}
		coin, err := node.Fund(ctx, someScript(t), 50_000)
		must(t, err)
		_, err = node.MineUntilConfirmed(ctx, coin.Hash, 2)
		must(t, err)
		tip, err := node.Tip(ctx)
		must(t, err)
		_, reorg := node.Reorg(ctx, 1)
		for name, err := range map[string]error{
			"Reorg": reorg, "Freeze": node.Freeze(ctx, time.Now()), "Evict": node.Evict(ctx, coin.Hash),
		} {
			if name == "Evict" && errors.Is(err, ErrTxNotFound) {
				continue // it is in a block
			}
			if !errors.Is(err, ErrShared) {
				t.Errorf("%s: %v, want ErrShared", name, err)
			}
		}
		for name, err := range map[string]error{
			"Kill": node.Kill(), "Stop": node.Stop(ctx), "Restart": node.Restart(ctx), "Pause": node.Pause(), "Resume": node.Resume(),
		} {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v, want ErrUnsupported", name, err)
			}
		}
		if err := node.ExpectLog(ctx, `.`, nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("ExpectLog: %v, want ErrUnsupported", err)
		}
		must(t, node.Close())
		if after, err := owner.Tip(ctx); err != nil || after != tip {
			t.Errorf("after Close: %v, %v; want the owner's node as it was, at %v", after, err, tip)
		}
		own, err := Open(ctx, WithExternal(owner.Config()), WithDestruction())
		must(t, err)
		if _, err := own.Reorg(ctx, 1); err != nil {
			t.Errorf("with leave: %v", err)
		}
	})
}

func TestExternalNodeOfAnotherChainIsRefused(t *testing.T) {
	client, _ := fakeNode(t, func(w http.ResponseWriter, id uint64) {
		w.Write([]byte(strings.ReplaceAll(`{"id":ID,"result":{"chain":"main","blocks":9}}`, "ID", "1")))
	})
	if _, err := Open(t.Context(), WithExternal(client.Config())); !errors.Is(err, ErrNotRegtest) {
		t.Errorf("mainnet: %v, want ErrNotRegtest", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var wait *WaitError
	if _, err := Open(ctx, WithExternal(Config{URL: "http://127.0.0.1:1"})); !errors.As(err, &wait) {
		t.Errorf("nobody there: %v, want a WaitError", err)
	}
}
