package bitcoind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
)

// counterNode answers each call with how many it has executed.
func counterNode(t *testing.T) (config Config, executed func() int) {
	t.Helper()
	var calls int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request rpcRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if user, _, _ := r.BasicAuth(); user != "user" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		calls++ // the tests below make one call at a time
		fmt.Fprintf(w, `{"id":%d,"result":%d,"error":null}`, request.ID, calls)
	}))
	t.Cleanup(server.Close)
	return Config{URL: server.URL, User: "user", Poll: time.Millisecond}, func() int { return calls }
}

func TestFaults(t *testing.T) {
	const lost, refused, dropped = -1, -2, -3 // instead of a result
	tests := []struct {
		name     string
		fault    Fault
		want     []int // result of each of five calls
		executed int
	}{
		{"none", Fault{Method: "other", Do: DropReply()}, []int{1, 2, 3, 4, 5}, 5},
		{"refuse", Fault{Do: Refuse(CodeVerifyRejected, "no"), Count: 2}, []int{refused, refused, 1, 2, 3}, 3},
		{"answer", Fault{Do: Answer(42), Skip: 1, Count: 1}, []int{1, 42, 2, 3, 4}, 4},
		{"status", Fault{Do: HTTPStatus(503), Skip: 4}, []int{1, 2, 3, 4, lost}, 4},
		{"drop the request", Fault{Do: DropRequest(), Count: 1}, []int{dropped, 1, 2, 3, 4}, 4},
		{"drop the reply", Fault{Do: DropReply(), Skip: 1, Count: 2}, []int{1, dropped, dropped, 4, 5}, 5},
		{"delay", Fault{Do: Delay(time.Millisecond), Method: "count"}, []int{1, 2, 3, 4, 5}, 5},
		{"stale before the first", Fault{Do: Stale(), Count: 3}, []int{1, 1, 1, 2, 3}, 3},
		{"stale later", Fault{Do: Stale(), Skip: 2}, []int{1, 2, 3, 3, 3}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config, executed := counterNode(t)
			proxy, err := NewProxy(config)
			must(t, err)
			defer proxy.Close()
			client := newClient(proxy.Config())
			fault := proxy.Inject(test.fault)
			var got []int
			for range 5 {
				result := 0
				err := client.Call(t.Context(), "count", &result)
				var transport *TransportError
				switch {
				case errors.Is(err, &RPCError{Code: CodeVerifyRejected}):
					result = refused
				case errors.As(err, &transport) && transport.Status == 503:
					result = lost
				case errors.Is(err, io.EOF):
					result = dropped
				default:
					must(t, err)
				}
				got = append(got, result)
			}
			if !slices.Equal(got, test.want) || executed() != test.executed {
				t.Errorf("results %v with %d executed, want %v with %d", got, executed(), test.want, test.executed)
			}
			if proxy.Calls("count") != 5 || proxy.Calls("") != 5 {
				t.Errorf("%d calls counted, want 5", proxy.Calls("count"))
			}
			fault.Remove()
			before := fault.Hits()
			must(t, client.Call(t.Context(), "count", nil))
			if fault.Hits() != before {
				t.Error("a removed fault strikes")
			}
		})
	}
}

func TestStaleIsOfTheMomentOfInjection(t *testing.T) {
	config, _ := counterNode(t)
	proxy, err := NewProxy(config)
	must(t, err)
	defer proxy.Close()
	client := newClient(proxy.Config())
	ask := func(params ...any) (n int) {
		t.Helper()
		must(t, client.Call(t.Context(), "count", &n, params...))
		return n
	}
	ask()
	ask()
	stale := proxy.Inject(Fault{Method: "count", Do: Stale()})
	if got := []int{ask(), ask(), ask("other"), ask("other")}; !slices.Equal(got, []int{2, 2, 3, 3}) {
		t.Errorf("stale answers %v, want 2 2 3 3", got)
	}
	stale.Remove()
	if got := ask(); got != 4 {
		t.Errorf("afterwards %d, want 4", got)
	}
}

func TestHangingCallEndsWithItsCaller(t *testing.T) {
	config, executed := counterNode(t)
	proxy, err := NewProxy(config)
	must(t, err)
	defer proxy.Close()
	client := newClient(proxy.Config())
	hang := proxy.Inject(Fault{Do: Hang()})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- client.Call(ctx, "count", nil) }()
	must(t, hang.WaitHits(t.Context(), 1))
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) || executed() != 0 {
		t.Errorf("%v with %d executed, want Canceled and none", err, executed())
	}
	short, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	var wait *WaitError
	if err := proxy.WaitCalls(short, "count", 2); !errors.As(err, &wait) || wait.Last != "1 calls" {
		t.Errorf("%v, want a WaitError that saw one call", err)
	}
}

func TestProxyTakesBatchesAndNonsense(t *testing.T) {
	config, _ := counterNode(t)
	proxy, err := NewProxy(config)
	must(t, err)
	defer proxy.Close()
	proxy.Inject(Fault{Method: "b", Do: Answer("struck")})
	post := func(body string) string {
		request, err := http.NewRequest(http.MethodPost, proxy.Config().URL, bytes.NewReader([]byte(body)))
		must(t, err)
		request.SetBasicAuth("user", "")
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		defer response.Body.Close()
		reply, err := io.ReadAll(response.Body)
		must(t, err)
		return fmt.Sprint(response.StatusCode, " ", string(reply))
	}
	for body, want := range map[string]string{
		`[{"id":1,"method":"a"},{"id":2,"method":"b"}]`: `200 [{"id":1,"result":1,"error":null},{"error":null,"id":2,"result":"struck"}]`,
		`[]`:       `200 []`,
		`nonsense`: `400 `,
		`[1`:       `400 `,
	} {
		if got := post(body); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// TestLostReplyOfARealPayment is the case that the proxy is for: the caller hears
// nothing, yet the payment was made.
func TestLostReplyOfARealPayment(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		coin := fundKey(t, node, 100_000)
		tx := coin.spend(t, someScript(t), 1000)
		proxy := node.Proxy(t)
		client, err := Dial(ctx, proxy.Config())
		must(t, err)
		proxy.Inject(Fault{Method: "sendrawtransaction", Count: 1, Do: DropReply()})
		var transport *TransportError
		if err := client.Broadcast(ctx, tx); !errors.As(err, &transport) {
			t.Errorf("lost reply: %v, want a TransportError", err)
		}
		if in, err := node.InMempool(ctx, tx.TxHash()); err != nil || !in {
			t.Errorf("in mempool %v, %v; the node did not execute it", in, err)
		}
		must(t, client.Broadcast(ctx, tx)) // is safe to repeat
	})
}

// TestRefusedAndNotLookedUp: the node has the payment, refuses it the second time,
// and then cannot be asked. That is not a refusal.
func TestRefusedAndNotLookedUp(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(101))...)
	ctx := t.Context()
	first := fundKey(t, node, 100_000)
	tx := first.spend(t, first.script, 1000)
	child := spendable{key: first.key, script: first.script, amount: 99_000, coin: wire.OutPoint{Hash: tx.TxHash()}}.spend(t, someScript(t), 1000)
	_, err := node.Mine(ctx, 1, MineOnly(first.coin.Hash), MineTxs(tx, child))
	must(t, err)
	proxy := node.Proxy(t)
	client, err := Dial(ctx, proxy.Config())
	must(t, err)
	lost := proxy.Inject(Fault{Method: "getrawtransaction", Count: 1, Do: DropReply()})
	err = client.Broadcast(ctx, tx)
	var refused *RPCError
	var transport *TransportError
	if errors.As(err, &refused) || !errors.As(err, &transport) || lost.Hits() != 1 {
		t.Errorf("%v, want a TransportError and no refusal", err)
	}
	must(t, client.Broadcast(ctx, tx))
}

// TestProxyPassesPathsAsTheyAre has a wallet whose name has to be escaped.
func TestProxyPassesPathsAsTheyAre(t *testing.T) {
	t.Parallel()
	node := Start(t, local()...)
	node.Require(t, CanHoldWallets)
	client, err := Dial(t.Context(), node.Proxy(t).Config())
	must(t, err)
	wallet, err := client.Wallet(t.Context(), "100% sure?")
	must(t, err)
	_, err = wallet.NewAddress(t.Context(), "")
	must(t, err)
}
