package bitcoind

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
)

// TestRepliesOfOtherVersions gives the typed calls what versions of bitcoind say
// differently. The replies are written after the release notes of Bitcoin Core
// 28.0, 29.0 and 30.0 and the fields that each documents (docs/bitcoind.md).
func TestRepliesOfOtherVersions(t *testing.T) {
	const hash = `0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206`
	chain := func(more string) string {
		return `{"chain":"regtest","blocks":7,"headers":7,"bestblockhash":"` + hash + `","mediantime":1700000000` + more + `}`
	}
	info := func(c *Client) (any, error) {
		info, err := c.ChainInfo(t.Context())
		return info.Tip.Height, err
	}
	mempool := func(c *Client) (any, error) {
		info, err := c.MempoolInfo(t.Context())
		return info.Floor, err
	}
	accept := func(c *Client) (any, error) {
		answers, err := c.TestAccept(t.Context())
		if err != nil {
			return nil, err
		}
		return answers[0].Reason, nil
	}
	details := func(c *Client) (any, error) {
		answers, err := c.TestAccept(t.Context())
		if err != nil {
			return nil, err
		}
		return answers[0].Details, nil
	}
	header := func(c *Client) (any, error) {
		_, height, err := c.Header(t.Context(), *chaincfg.RegressionNetParams.GenesisHash)
		return height, err
	}
	genesis := func(more string) string {
		return `{"hash":"` + hash + `","confirmations":1,"height":0,"version":1,"versionHex":"00000001",` +
			`"merkleroot":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b","time":1296688602,` +
			`"mediantime":1296688602,"nonce":2,"bits":"207fffff","difficulty":4.656542373906925e-10` + more + `}`
	}
	pack := func(c *Client) (any, error) {
		result, err := c.SubmitPackage(t.Context())
		return result.Accepted, err
	}
	checksum := func(c *Client) (any, error) {
		return (&Wallet{Client: c}).withChecksum(t.Context(), "wpkh(x)")
	}
	paid := func(c *Client) (any, error) {
		txid, err := (&Wallet{Client: c}).Pay(t.Context(), "a", 1, 0)
		return txid.String(), err
	}
	balance := func(c *Client) (any, error) {
		balance, err := (&Wallet{Client: c}).Balance(t.Context())
		return int64(balance.Trusted), err
	}
	indexed := func(c *Client) (any, error) { return nil, c.indexed(t.Context()) }
	pool := func(c *Client) (any, error) {
		loaded, err := c.mempoolLoaded(t.Context())
		return loaded, err
	}
	txs := func(c *Client) (any, error) {
		txids, err := c.blockTxs(t.Context(), *chaincfg.RegressionNetParams.GenesisHash)
		return len(txids), err
	}
	fee := func(c *Client) (any, error) { return c.FeeRate(t.Context(), 2) }
	for _, test := range []struct {
		name, reply string
		ask         func(*Client) (any, error)
		want        any
	}{
		{"warnings as text, before 28", chain(`,"warnings":""`), info, int32(7)},
		{"warnings as a list, from 28 on", chain(`,"warnings":["a","b"]`), info, int32(7)},
		{"bits and target, from 29 on", chain(`,"bits":"207fffff","target":"7fffff"`), info, int32(7)},
		{"a floor of 1 sat/vB, before 29.1", `{"size":0,"mempoolminfee":0.00001000,"fullrbf":true}`, mempool, int64(1000)},
		{"a floor of 0.1 sat/vB, from 29.1 on", `{"size":0,"mempoolminfee":1e-06,"permitbaremultisig":true}`, mempool, int64(100)},
		{"a refusal without details, before 29", `[{"txid":"` + hash + `","allowed":false,"reject-reason":"dust"}]`, accept, ReasonDust},
		{"a refusal with details, from 29 on", `[{"txid":"` + hash + `","allowed":false,"reject-reason":"dust","reject-details":"dust, x"}]`, accept, ReasonDust},
		{"details of a refusal, from 29 on", `[{"txid":"` + hash + `","wtxid":"` + hash + `","allowed":false,"reject-reason":"dust","reject-details":"dust, x"}]`, details, "dust, x"},
		{"a header without target, before 29", genesis(``), header, int32(0)},
		{"a header with target, from 29 on", genesis(`,"target":"7fffff0000000000000000000000000000000000000000000000000000000000"`), header, int32(0)},
		{"a block's transactions, before 29", `{"hash":"` + hash + `","nTx":2,"tx":["` + hash + `","` + hash + `"]}`, txs, 2},
		{"a block's transactions, from 29 on", genesis(`,"target":"7f","nTx":1,"tx":["` + hash + `"]`), txs, 1},
		{"a package, 28 to 30", `{"package_msg":"success","tx-results":{},"replaced-transactions":[]}`, pack, true},
		{"a package refused, 28 to 30", `{"package_msg":"transaction failed","tx-results":{"` + hash + `":{"txid":"` + hash + `","error":"min relay fee not met, 0 < 110"}}}`, pack, false},
		{"a checksum, 28", `{"descriptor":"wpkh(x)#c","checksum":"c","isrange":false,"issolvable":true,"hasprivatekeys":false}`, checksum, "wpkh(x)#c"},
		{"a checksum of a multipath descriptor, from 29 on", `{"descriptor":"a#b","multipath_expansion":["a#b","c#d"],"checksum":"c"}`, checksum, "wpkh(x)#c"},
		{"a payment, 28 to 30", `{"txid":"` + hash + `","complete":true}`, paid, hash},
		{"balances with those of keys elsewhere", `{"mine":{"trusted":0.1},"watchonly":{"trusted":7},"lastprocessedblock":{}}`, balance, int64(10_000_000)},
		{"balances", `{"mine":{"trusted":0.1,"untrusted_pending":0,"immature":0,"nonmempool":0},"lastprocessedblock":{}}`, balance, int64(10_000_000)},
		{"an index, 28 to 30", `{"txindex":{"synced":true,"best_block_height":7}}`, indexed, nil},
		{"a mempool, 28", `{"loaded":true,"size":0,"unbroadcastcount":0,"fullrbf":true}`, pool, true},
		{"a mempool, from 30 on", `{"loaded":true,"size":0,"permitbaremultisig":true,"maxdatacarriersize":100000}`, pool, true},
		{"a package refused as a whole", `[{"txid":"` + hash + `","package-error":"package-too-large"}]`, accept, RejectReason("package-too-large")},
		{"a fee in exponents", `{"feerate":1.5e-05,"blocks":2}`, fee, int64(1500)},
	} {
		client, _ := fakeNode(t, func(w http.ResponseWriter, id uint64) {
			fmt.Fprintf(w, `{"id":%d,"result":%s,"error":null}`, id, strings.TrimSpace(test.reply))
		})
		if got, err := test.ask(client); err != nil || got != test.want {
			t.Errorf("%s: %v, %v; want %v", test.name, got, err, test.want)
		}
	}
}
