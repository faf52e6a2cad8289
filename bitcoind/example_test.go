package bitcoind_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
)

// A payment from nothing to its first confirmation.
func Example() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	script := node.MinerScript() // any output script
	coin, err := node.Fund(ctx, script, btcutil.SatoshiPerBitcoin/2)
	if err != nil {
		log.Fatal(err)
	}
	waiting, err := node.InMempool(ctx, coin.Hash)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("in the mempool:", waiting)

	if _, err := node.Mine(ctx, 1); err != nil {
		log.Fatal(err)
	}
	tx, confirmations, _, err := node.Tx(ctx, coin.Hash)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(btcutil.Amount(tx.TxOut[coin.Index].Value), "with", confirmations, "confirmation")
	// Output:
	// in the mempool: true
	// 0.50000000 BTC with 1 confirmation
}

// In a test, one call starts the node and sees to its end.
func ExampleStart() {
	_ = func(t *testing.T) {
		node := bitcoind.Start(t)
		if _, err := node.Mine(t.Context(), 101); err != nil {
			t.Fatal(err)
		}
	}
}

// A consumer that remembers the last block it has handled continues from there,
// whatever happened in between.
func ExampleClient_Follow() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	if _, err := node.Mine(ctx, 3); err != nil {
		log.Fatal(err)
	}
	var last bitcoind.Block // the zero Block: from genesis
	for event, err := range node.Follow(ctx, last) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("connected:", event.Connected, "height:", event.Block.Height)
		if last = event.Block; last.Height == 3 {
			break
		}
	}
	// Output:
	// connected: true height: 1
	// connected: true height: 2
	// connected: true height: 3
}

// A node that is run by something else, such as a service of docker compose.
func ExampleDial() {
	ctx := context.Background()
	client, err := bitcoind.Dial(ctx, bitcoind.Config{
		URL: "http://127.0.0.1:18443", User: "user", Password: os.Getenv("RPC_PASSWORD"),
	})
	if err != nil {
		log.Print(err)
		return
	}
	miner, err := bitcoind.NewMiner(client, nil) // refuses any chain but regtest
	if err != nil {
		log.Print(err)
		return
	}
	hashes, err := miner.Mine(ctx, 1)
	fmt.Println(hashes, err)
}

// Errors of the node are told apart by code, and from lost replies by type.
func ExampleRPCError() {
	var err error = &bitcoind.RPCError{Method: "sendrawtransaction", Code: -26, Message: "dust"}
	fmt.Println(errors.Is(err, &bitcoind.RPCError{Code: bitcoind.CodeVerifyRejected}))
	var lost *bitcoind.TransportError
	fmt.Println(errors.As(err, &lost))
	// Output:
	// true
	// false
}

// A payment that a reorganisation takes out of its block, and one that it keeps.
func ExampleMiner_Reorg() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	lost, err := node.Fund(ctx, node.MinerScript(), 1e6)
	if err != nil {
		log.Fatal(err)
	}
	kept, err := node.Fund(ctx, node.MinerScript(), 1e6)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := node.MineUntilConfirmed(ctx, kept.Hash, 3); err != nil {
		log.Fatal(err)
	}
	result, err := node.Reorg(ctx, 3, bitcoind.ReorgKeep(kept.Hash))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(result.Disconnected), "blocks gone,", len(result.Connected), "came")
	fmt.Println("confirmed again:", result.Reconfirmed[0] == kept.Hash)
	fmt.Println("back in the mempool:", result.Returned[0] == lost.Hash)
	// Output:
	// 3 blocks gone, 4 came
	// confirmed again: true
	// back in the mempool: true
}

// A competing chain that is ready before the one it will replace.
func ExampleMiner_PrepareFork() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	if _, err := node.Mine(ctx, 10); err != nil {
		log.Fatal(err)
	}
	fork, err := node.PrepareFork(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := node.Mine(ctx, 5); err != nil { // the code under test sees these ...
		log.Fatal(err)
	}
	result, err := fork.Release(ctx) // ... until the fork comes out, longer by one
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("fork point:", result.Fork.Height)
	fmt.Println("blocks disconnected:", len(result.Disconnected))
	// Output:
	// fork point: 8
	// blocks disconnected: 7
}

// A wallet for transactions that other wallets refuse to make.
func ExampleMiner_NewMiniWallet() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	wallet, err := node.NewMiniWallet(ctx, 2, btcutil.SatoshiPerBitcoin) // two coins of 1 BTC
	if err != nil {
		log.Fatal(err)
	}
	stuck, err := wallet.Send(ctx, bitcoind.Payment{FeeRate: 1000, VSize: 2000}) // 1 sat/vB, padded
	if err != nil {
		log.Fatal(err)
	}
	bumped, err := wallet.Send(ctx, bitcoind.Payment{Coins: []wire.OutPoint{stuck.TxIn[0].PreviousOutPoint}, FeeRate: 50_000})
	if err != nil {
		log.Fatal(err)
	}
	for _, tx := range []*wire.MsgTx{stuck, bumped} {
		waiting, err := node.InMempool(ctx, tx.TxHash())
		fmt.Println(waiting, err)
	}
	// Output:
	// false <nil>
	// true <nil>
}

// Wallets inside the node, each with its own RPC path.
func ExampleClient_Wallet() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	alice, err := node.Wallet(ctx, "alice")
	if errors.Is(err, bitcoind.ErrUnsupported) {
		return // the node was built without wallets
	} else if err != nil {
		log.Fatal(err)
	}
	address, err := alice.NewAddress(ctx, "bech32m")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := node.FundAddress(ctx, address, 1e8); err != nil {
		log.Fatal(err)
	}
	balance, err := alice.Balance(ctx)
	fmt.Println(balance.Pending, err)
	// Output:
	// 1 BTC <nil>
}

// A mempool so full that only what pays 20 satoshis per virtual byte enters.
func ExampleMiner_FillMempool() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120), bitcoind.WithArgs("-maxmempool=5"))
	if err != nil {
		log.Print(err) // btcd has no such limit
		return
	}
	defer node.Close()
	wallet, err := node.NewMiniWallet(ctx, 2, 1e6)
	if err != nil {
		log.Fatal(err)
	}
	if err := node.FillMempool(ctx, 20_000); err != nil {
		log.Fatal(err)
	}
	for _, rate := range []int64{10_000, 30_000} {
		tx, err := wallet.Build(bitcoind.Payment{FeeRate: rate})
		if err != nil {
			log.Fatal(err)
		}
		answers, err := node.TestAccept(ctx, tx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(rate, answers[0].Allowed, answers[0].Reason)
	}
	// Output:
	// 10000 false mempool min fee not met
	// 30000 true
}

// A parent that pays nothing, and a child that pays for both.
func ExampleClient_SubmitPackage() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	wallet, err := node.NewMiniWallet(ctx, 1, 1e6)
	if err != nil {
		log.Fatal(err)
	}
	parent, child, err := wallet.BuildPackage(bitcoind.Payment{FeeRate: 5000})
	if err != nil {
		log.Fatal(err)
	}
	result, err := node.SubmitPackage(ctx, parent, child)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Accepted, result.Txs[0].Fee)
	// Output:
	// true 0 BTC
}

// A month passes at once for the clock, and in six blocks for lock times.
func ExampleMiner_MineMedianTime() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	if err := node.Freeze(ctx, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		log.Fatal(err)
	}
	if _, err := node.Mine(ctx, 11); err != nil { // the median is that of eleven
		log.Fatal(err)
	}
	opens, err := node.Advance(ctx, 30*24*time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	blocks, err := node.MineMedianTime(ctx, opens)
	if err != nil {
		log.Fatal(err)
	}
	info, err := node.ChainInfo(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(blocks), "blocks;", info.MedianTime.UTC())
	// Output:
	// 6 blocks; 2030-01-31 00:00:00 +0000 UTC
}

// The reply to the first payment is lost: the caller must find out what became of
// it before it pays again.
func ExampleProxy() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	wallet, err := node.NewMiniWallet(ctx, 1, 1e6)
	if err != nil {
		log.Fatal(err)
	}
	proxy, err := bitcoind.NewProxy(node.Config())
	if err != nil {
		log.Fatal(err)
	}
	defer proxy.Close()
	client, err := bitcoind.Dial(ctx, proxy.Config()) // the code under test gets this
	if err != nil {
		log.Fatal(err)
	}
	proxy.Inject(bitcoind.Fault{Method: "sendrawtransaction", Count: 1, Do: bitcoind.DropReply()})
	tx, err := wallet.Build(bitcoind.Payment{})
	if err != nil {
		log.Fatal(err)
	}
	var unknown *bitcoind.TransportError
	fmt.Println("outcome unknown:", errors.As(client.Broadcast(ctx, tx), &unknown))
	paid, err := client.InMempool(ctx, tx.TxHash())
	fmt.Println("paid:", paid, err)
	// Output:
	// outcome unknown: true
	// paid: true <nil>
}

// A net falls apart, both sides mine, and the side with more work wins.
func ExampleStartNet() {
	_ = func(t *testing.T) {
		net := bitcoind.StartNet(t, 3)
		ctx := t.Context()
		if err := net.Partition(ctx, []int{0}, []int{1, 2}); err != nil {
			t.Fatal(err)
		}
		net.Nodes[0].Mine(ctx, 1)
		net.Nodes[1].Mine(ctx, 2)
		if err := net.Heal(ctx); err != nil {
			t.Fatal(err)
		}
		if err := net.WaitSync(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// A consumer that sees payments before and after they confirm. With WithZMQ it
// need not wait for its next look.
func ExampleClient_Watch() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120), bitcoind.WithZMQ())
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	coin, err := node.Fund(ctx, node.MinerScript(), 1e6)
	if err != nil {
		log.Fatal(err)
	}
	tip, err := node.Tip(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for change, err := range node.Watch(ctx, tip) {
		if err != nil {
			log.Fatal(err)
		}
		switch {
		case change.Kind == bitcoind.TxEntered && change.TxID == coin.Hash:
			fmt.Println("seen")
			if _, err := node.Mine(ctx, 1); err != nil {
				log.Fatal(err)
			}
		case change.Kind == bitcoind.TxConfirmed && change.TxID == coin.Hash:
			fmt.Println("in a block")
		case change.Kind == bitcoind.BlockConnected:
			fmt.Println("which is connected")
		case change.Kind == bitcoind.TxLeft && change.TxID == coin.Hash:
			fmt.Println("no longer waiting")
			return
		}
	}
	// Output:
	// seen
	// in a block
	// which is connected
	// no longer waiting
}

// A test for what only some nodes can do says so first, and when it fails, what
// the node logged.
func ExampleNode_Require() {
	_ = func(t *testing.T) {
		node := bitcoind.Start(t)
		node.Require(t, bitcoind.CanHoldWallets, bitcoind.CanFreezeTime)
		err := node.ExpectLog(t.Context(), `UpdateTip: .*height=1 `, func() error {
			_, err := node.Mine(t.Context(), 1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Nodes that can pay at once, started before a test asks for one.
func ExampleNewWarm() {
	warm := bitcoind.NewWarm(1, bitcoind.WithBlocks(120)) // usually in TestMain
	defer warm.Close()
	_ = func(t *testing.T) {
		node := warm.Start(t)
		if _, err := node.Fund(t.Context(), node.MinerScript(), 1e8); err != nil {
			t.Fatal(err)
		}
	}
}

// What a block holds, whom it pays, and when it was found.
func ExampleMiner_Mine() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	first, err := node.Fund(ctx, node.MinerScript(), 1e6)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := node.Fund(ctx, node.MinerScript(), 1e6); err != nil {
		log.Fatal(err)
	}
	for _, options := range [][]bitcoind.MineOption{
		{bitcoind.MineEmpty()},
		{bitcoind.MineOnly(first.Hash), bitcoind.MineAt(time.Now().Add(time.Hour))},
		{}, // what is left
	} {
		hashes, err := node.Mine(ctx, 1, options...)
		if err != nil {
			log.Fatal(err)
		}
		block, err := node.Block(ctx, hashes[0])
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(block.Transactions)-1, "transactions")
	}
	// Output:
	// 0 transactions
	// 1 transactions
	// 1 transactions
}

// Every RPC can be called, with its result in a type of the caller's.
func ExampleClient_Call() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	hashes, err := node.Mine(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	var block struct {
		Height int      `json:"height"`
		TxIDs  []string `json:"tx"`
	}
	if err := node.Call(ctx, "getblock", &block, hashes[0].String(), 1); err != nil {
		log.Fatal(err)
	}
	fmt.Println("height", block.Height, "with", len(block.TxIDs), "transaction")
	// Output:
	// height 1 with 1 transaction
}

// The node's own estimate is brought to a rate.
func ExampleMiner_TeachFeeRate() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	if err := node.TeachFeeRate(ctx, 30_000, 2); err != nil { // 30 sat/vB for the second block
		log.Fatal(err)
	}
	rate, err := node.FeeRate(ctx, 2)
	fmt.Println(rate > 27_000, rate < 33_000, err)
	// Output:
	// true true <nil>
}

// After a crash the node comes back on the same port. What it had not written is
// gone: Stop instead of Kill would keep all.
func ExampleNode_Kill() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	if err := node.Kill(); err != nil {
		log.Fatal(err)
	}
	var unreachable *bitcoind.TransportError
	_, err = node.Height(ctx)
	fmt.Println("away:", errors.As(err, &unreachable))
	if err := node.Restart(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = node.Height(ctx)
	fmt.Println("back:", err)
	// Output:
	// away: true
	// back: <nil>
}

// A node that docker compose runs. Without WithDestruction the calls that others on
// it would notice are refused.
func ExampleWithExternal() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := bitcoind.Open(ctx, bitcoind.WithExternal(bitcoind.Config{
		URL: "http://127.0.0.1:18443", User: "user", Password: os.Getenv("RPC_PASSWORD"),
	}))
	if err != nil {
		log.Print(err) // says what it last heard, or that the chain is not regtest
		return
	}
	defer node.Close() // leaves the node running
	_, err = node.Reorg(ctx, 1)
	fmt.Println(errors.Is(err, bitcoind.ErrShared))
}

// The coins of a descriptor, from the node's set of unspent outputs.
func ExampleClient_ScanDescriptor() {
	ctx := context.Background()
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(120))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	wallet, err := node.NewMiniWallet(ctx, 3, 50_000) // three coins, in a block
	if err != nil {
		log.Fatal(err)
	}
	scan, err := node.ScanDescriptor(ctx, []string{"addr(" + wallet.Address() + ")"}, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(scan.Coins), "coins of", int64(scan.Total), "satoshis")
	// Output:
	// 3 coins of 150000 satoshis
}
