package bitcoind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestNetPartitionsAndHeals(t *testing.T) {
	t.Parallel()
	net := StartNet(t, 3, local()...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, b, c := net.Nodes[0], net.Nodes[1], net.Nodes[2]
	coin, err := b.Fund(ctx, someScript(t), 50_000)
	must(t, err)
	for _, node := range net.Nodes { // the transaction travels
		must(t, node.WaitTx(ctx, coin.Hash))
	}
	_, err = c.MineUntilConfirmed(ctx, coin.Hash, 1)
	must(t, err)
	must(t, net.WaitSync(ctx))

	must(t, net.Partition(ctx, []int{0}, []int{1, 2}))
	_, err = a.Mine(ctx, 2)
	must(t, err)
	_, err = b.Mine(ctx, 3)
	must(t, err)
	must(t, net.WaitSync(ctx, 1, 2))
	left, err := a.Tip(ctx)
	must(t, err)
	right, err := b.Tip(ctx)
	must(t, err)
	if left.Height+1 != right.Height {
		t.Errorf("tips %v and %v, want them one apart", left, right)
	}
	short, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	var wait *WaitError
	if err := net.WaitSync(short); !errors.As(err, &wait) {
		t.Errorf("sync of a parted net: %v, want a WaitError", err)
	}
	stop()

	must(t, net.Heal(ctx))
	must(t, net.WaitSync(ctx))
	if tip, err := a.Tip(ctx); err != nil || tip != right {
		t.Errorf("healed at %v, %v; want %v", tip, err, right)
	}

	// A node that was away finds its peers again.
	must(t, a.Stop(ctx))
	must(t, a.Restart(ctx))
	_, err = b.Mine(ctx, 1)
	must(t, err)
	must(t, net.Reconnect(ctx))
	must(t, net.WaitSync(ctx))

	// A link that breaks off is made again as soon as it can be.
	must(t, b.Call(ctx, "setnetworkactive", nil, false))
	must(t, b.wait(ctx, "no peers", func() (bool, string, error) {
		peers, err := b.peers(ctx)
		return err == nil && len(peers) == 0, fmt.Sprint(peers), err
	}))
	go func() {
		pause(ctx, 100*time.Millisecond)
		b.Call(ctx, "setnetworkactive", nil, true)
	}()
	must(t, net.Reconnect(ctx))

	for _, groups := range [][][]int{{{3}}, {{0}, {0}}, {{-1}}} {
		if err := net.Partition(ctx, groups...); err == nil {
			t.Errorf("groups %v: no error", groups)
		}
	}
}

// A node that is linked twice, as one that tried again on its own, loses one link.
func TestNetLinksOnce(t *testing.T) {
	var links atomic.Int32
	links.Store(2)
	node := func(peer string) *Node {
		client := fakeMethods(t, func(method string) any {
			switch method {
			case "disconnectnode":
				links.Add(-1)
			case "getpeerinfo":
				peers := []map[string]any{}
				for i := range links.Load() {
					peers = append(peers, map[string]any{"addr": strings.ReplaceAll(peer, "N", fmt.Sprint(i)), "version": 70016})
				}
				return peers
			}
			return nil
		})
		return &Node{Client: client, home: home{peerPort: 7}}
	}
	net := &Net{Nodes: []*Node{node("127.0.0.1:100N"), node("127.0.0.1:7")}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, net.Reconnect(ctx))
	if got := links.Load(); got != 1 {
		t.Errorf("%d links, want 1", got)
	}
	links.Store(-1) // for ever none
	short, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	var wait *WaitError
	if err := net.Reconnect(short); !errors.As(err, &wait) || !strings.Contains(err.Error(), "node 0 has 0 connections") {
		t.Errorf("without a link: %v, want a WaitError that says so", err)
	}
}

// fakeMethods answers each call with what reply returns for its method.
func fakeMethods(t *testing.T, reply func(method string) any) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request rpcRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Errorf("request: %v", err)
		}
		json.NewEncoder(w).Encode(map[string]any{"id": request.ID, "result": reply(request.Method)})
	}))
	t.Cleanup(server.Close)
	return newClient(Config{URL: server.URL, User: "user", Password: "password", Poll: time.Millisecond})
}

func TestNetIsOfBitcoindOnly(t *testing.T) {
	t.Parallel()
	if _, err := OpenNet(t.Context(), 2, WithBtcd()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("btcd: %v, want ErrUnsupported", err)
	}
	if _, err := OpenNet(t.Context(), 0); err == nil {
		t.Error("no nodes: no error")
	}
}

func TestPausedNodeHangsAndRunsOn(t *testing.T) {
	onEachKind(t, func(t *testing.T, node *Node) {
		must(t, node.Pause())
		for { // a call that was under way may still be answered
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			_, err := node.Tip(ctx)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			must(t, err)
		}
		must(t, node.Resume())
		_, err := node.Tip(t.Context())
		must(t, err)
		// Neither a stop nor the end of the test waits for a paused node.
		must(t, node.Pause())
		must(t, node.Restart(t.Context()))
		must(t, node.Pause())
		must(t, node.Close())
		if err := node.Pause(); err == nil {
			t.Error("after Close: no error")
		}
	})
}
