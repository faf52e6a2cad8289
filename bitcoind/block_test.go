package bitcoind

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

func TestBlockTime(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(1_700_000_000+seconds, 0) }
	hour := int64(maxAhead / time.Second)
	tests := []struct {
		name                string
		now, parent, median int64
		want                int64
	}{
		{"an old chain", 0, -1000, -2000, 0},
		{"two blocks in one second", 0, 0, -5, 1},
		{"a chain ahead of the clock", 0, 50, 45, 51},
		{"as far ahead as allowed", 0, hour - 1, hour - 6, hour},
		{"too far ahead: the median plus one", 0, hour, hour - 5, hour - 4},
		{"the median behind the clock", 0, hour, -5, 0},
	}
	for _, test := range tests {
		if got := blockTime(at(test.now), at(test.parent), at(test.median)); !got.Equal(at(test.want)) {
			t.Errorf("%s: %v, want %v", test.name, got, at(test.want))
		}
	}
}

func TestSubsidy(t *testing.T) {
	for height, want := range map[int32]int64{1: 5_000_000_000, 149: 5_000_000_000, 150: 2_500_000_000, 300: 1_250_000_000, 4949: 1, 4950: 0, 150 * 64: 0} {
		if got := subsidy(height); got != want {
			t.Errorf("height %d: %d, want %d", height, got, want)
		}
	}
}

func TestMerkleRootOfKnownBlocks(t *testing.T) {
	for _, block := range []*wire.MsgBlock{chaincfg.MainNetParams.GenesisBlock, chaincfg.RegressionNetParams.GenesisBlock} {
		if got := merkleRoot([]chainhash.Hash{block.Transactions[0].TxHash()}); got != block.Header.MerkleRoot {
			t.Errorf("root %v, want %v", got, block.Header.MerkleRoot)
		}
	}
	// An odd level repeats its last hash.
	ids := []chainhash.Hash{{1}, {2}, {3}}
	if merkleRoot(ids) != merkleRoot(append(ids, ids[2])) {
		t.Error("the root of three differs from that of four with the third twice")
	}
}

func TestTargetOf(t *testing.T) {
	// The mainnet genesis block fulfils its own target, and not a harder one.
	genesis := chaincfg.MainNetParams.GenesisBlock
	if hashNumber(genesis.BlockHash()).Cmp(targetOf(genesis.Header.Bits)) > 0 {
		t.Error("genesis does not fulfil its target")
	}
	if targetOf(0x207fffff).Cmp(chaincfg.RegressionNetParams.PowLimit) > 0 {
		t.Error("regtest's target is above its limit")
	}
}

func TestSelectTxs(t *testing.T) {
	// Transactions are named by letters; a fee for each, and its parents.
	type entry struct {
		name    string
		fee     int64
		bytes   int // of witness, one weight unit each
		parents []string
		gone    bool
	}
	big := maxBlockWeight - 2000
	tests := []struct {
		name string
		pool []entry
		want string
		fees int64
	}{
		{name: "empty"},
		{name: "the best fee first", pool: []entry{{name: "a", fee: 1}, {name: "b", fee: 3}, {name: "c", fee: 2}}, want: "bca", fees: 6},
		{name: "equal fees by txid", pool: []entry{{name: "b", fee: 1}, {name: "a", fee: 1}}, want: "ab", fees: 2},
		{name: "a parent before its child", pool: []entry{{name: "a", fee: 1}, {name: "b", fee: 9, parents: []string{"a"}}}, want: "ab", fees: 10},
		{name: "a diamond", pool: []entry{
			{name: "d", fee: 9, parents: []string{"b", "c"}}, {name: "b", fee: 1, parents: []string{"a"}},
			{name: "c", fee: 2, parents: []string{"a"}}, {name: "a", fee: 1},
		}, want: "abcd", fees: 13},
		{name: "a parent that left takes its descendants along", pool: []entry{
			{name: "a", fee: 1, gone: true}, {name: "b", fee: 9, parents: []string{"a"}},
			{name: "c", fee: 9, parents: []string{"b"}}, {name: "d", fee: 1},
		}, want: "d", fees: 1},
		{name: "a free transaction too", pool: []entry{{name: "a"}}, want: "a"},
		{name: "what does not fit is left out with its child", pool: []entry{
			{name: "a", fee: 9, bytes: big}, {name: "b", fee: 8, bytes: 3000},
			{name: "c", fee: 7, parents: []string{"b"}}, {name: "d", fee: 6},
		}, want: "ad", fees: 15},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pool := make(map[string]*poolTx)
			names := make(map[uint32]string)
			for _, e := range test.pool {
				tx := wire.NewMsgTx(2)
				tx.LockTime = uint32(e.name[0])
				witness := wire.TxWitness{make([]byte, e.bytes)}
				tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{}, nil, witness))
				names[tx.LockTime] = e.name
				pool[e.name] = &poolTx{depends: e.parents, fee: e.fee, score: float64(e.fee), vsize: 1, tx: tx}
				if e.gone {
					pool[e.name].tx = nil
				}
			}
			txs, fees := selectTxs(pool)
			got := ""
			for _, tx := range txs {
				got += names[tx.LockTime]
			}
			if got != test.want || fees != test.fees {
				t.Errorf("got %q with fees %d, want %q with %d", got, fees, test.want, test.fees)
			}
		})
	}
}

func TestCoinbaseIsUniqueAndBeginsWithItsHeight(t *testing.T) {
	miner := &Miner{client: newClient(Config{})}
	seen := make(map[chainhash.Hash]bool)
	// The height as BIP 34 wants it: a small number's opcode, else the shortest push.
	for height, prefix := range map[int32][]byte{
		1: {0x51}, 16: {0x60}, 17: {1, 17}, 128: {2, 128, 0}, 300: append([]byte{2}, binary.LittleEndian.AppendUint16(nil, 300)...),
	} {
		for range 3 {
			plan := miner.plan(Block{Height: height - 1}, &wire.BlockHeader{}, time.Time{})
			tx, err := plan.coinbase()
			must(t, err)
			script := tx.TxIn[0].SignatureScript
			if !slices.Equal(script[:len(prefix)], prefix) {
				t.Errorf("height %d: script %x, want prefix %x", height, script, prefix)
			}
			if seen[tx.TxHash()] {
				t.Errorf("height %d: coinbase repeated", height)
			}
			seen[tx.TxHash()] = true
		}
	}
}
