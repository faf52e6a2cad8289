package bitcoind

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestRepliesOfOtherVersions gives the typed calls what versions of bitcoind say
// differently. The replies are written after the versions' documentation.
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
	fee := func(c *Client) (any, error) { return c.FeeRate(t.Context(), 2) }
	for _, test := range []struct {
		name, reply string
		ask         func(*Client) (any, error)
		want        any
	}{
		{"warnings as text, before 28", chain(`,"warnings":""`), info, int32(7)},
		{"warnings as a list, from 28 on", chain(`,"warnings":["a","b"]`), info, int32(7)},
		{"bits and target, from 29 on", chain(`,"bits":"207fffff","target":"7fffff"`), info, int32(7)},
		{"a floor of 1 sat/vB, before 30", `{"size":0,"mempoolminfee":0.00001000,"fullrbf":true}`, mempool, int64(1000)},
		{"a floor of 0.1 sat/vB, from 30 on", `{"size":0,"mempoolminfee":1e-06,"permitbaremultisig":true}`, mempool, int64(100)},
		{"a refusal without details, before 29", `[{"txid":"` + hash + `","allowed":false,"reject-reason":"dust"}]`, accept, ReasonDust},
		{"a refusal with details, from 29 on", `[{"txid":"` + hash + `","allowed":false,"reject-reason":"dust","reject-details":"dust, x"}]`, accept, ReasonDust},
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
