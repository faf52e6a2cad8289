package proof_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
)

func header(raw []byte) *wire.BlockHeader {
	h := &wire.BlockHeader{}
	if err := h.Deserialize(bytes.NewReader(raw)); err != nil {
		panic(err)
	}
	return h
}

func headerBytes(h *wire.BlockHeader) []byte {
	var b bytes.Buffer
	_ = h.Serialize(&b)
	return b.Bytes()
}

// tries changes the nonce until the header has regtest's work, or lacks it.
func tries(raw []byte, work bool) []byte {
	h := header(raw)
	for h.Nonce++; ; h.Nonce++ {
		if hash := h.BlockHash(); (blockchain.HashToBig(&hash).Cmp(chaincfg.RegressionNetParams.PowLimit) <= 0) == work {
			return headerBytes(h)
		}
	}
}

func withoutWork(raw []byte) []byte { return tries(raw, false) }
func mined(raw []byte) []byte       { return tries(raw, true) }

func stripped(tx *wire.MsgTx) []byte {
	var b bytes.Buffer
	_ = tx.SerializeNoWitness(&b)
	return b.Bytes()
}

func TestReadHeadersRefuses(t *testing.T) {
	s := newStory(t)
	for _, tt := range []struct {
		name string
		edit func(lines []string) []string
		want string
	}{
		{"none", func([]string) []string { return nil }, "none"},
		{"one missing", func(l []string) []string { return slices.Delete(l, 3, 4) }, "block 7: it follows"},
		{"the first missing", func(l []string) []string { return l[1:] }, "block 4: it follows"},
		{"two swapped", func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, "block 5: it follows"},
		{"one changed", func(l []string) []string { l[2] = l[2][:150] + "0000000000"; return l }, ""},
		{"not hex", func(l []string) []string { l[0] = "x" + l[0][1:]; return l }, "block 4"},
		{"cut short", func(l []string) []string { l[0] = l[0][2:]; return l }, "80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := proof.ReadHeaders(strings.NewReader(strings.Join(s.headerLines(tt.edit), "\n")), &s.Charter)
			if !errors.Is(err, proof.ErrHeaders) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	other := s.Charter
	other.Chain[0] ^= 1
	if _, err := proof.ReadHeaders(strings.NewReader(""), &other); !errors.Is(err, proof.ErrHeaders) {
		t.Errorf("an unknown chain: %v", err)
	}
}

// Bitcoin's first headers, where the whole of a period is known, and the rule for
// the difficulty beside them: mainnet's own work, which nobody can make up here, is
// left out by asking the rules alone.
func TestWorkRules(t *testing.T) {
	genesis := chaincfg.MainNetParams.GenesisBlock.Header
	charter := ledger.Charter{Chain: ledger.Hash(*chaincfg.MainNetParams.GenesisHash)}
	at := func(seconds int, bits uint32) *wire.BlockHeader {
		return &wire.BlockHeader{Timestamp: genesis.Timestamp.Add(time.Duration(seconds) * time.Second), Bits: bits}
	}
	const fortnight = 14 * 24 * 3600
	for _, tt := range []struct {
		name   string
		period []*wire.BlockHeader // first and last of the period before; the first may be missing
		next   *wire.BlockHeader
		height uint32
		ok     bool
	}{
		{"within a period, the same", []*wire.BlockHeader{nil, at(0, 0x1b0404cb)}, at(1, 0x1b0404cb), 2017, true},
		{"within a period, easier", []*wire.BlockHeader{nil, at(0, 0x1b0404cb)}, at(1, 0x1d00ffff), 2017, false},
		{"a period of two weeks", []*wire.BlockHeader{at(0, 0x1b0404cb), at(fortnight, 0x1b0404cb)}, at(fortnight+1, 0x1b0404cb), 4032, true},
		{"a period of four weeks", []*wire.BlockHeader{at(0, 0x1b0404cb), at(2*fortnight, 0x1b0404cb)}, at(2*fortnight+1, 0x1b080996), 4032, true},
		{"a period of four weeks, and no change", []*wire.BlockHeader{at(0, 0x1b0404cb), at(2*fortnight, 0x1b0404cb)}, at(2*fortnight+1, 0x1b0404cb), 4032, false},
		{"a period of a year, at most four times easier", []*wire.BlockHeader{at(0, 0x1b0404cb), at(26*fortnight, 0x1b0404cb)}, at(26*fortnight+1, 0x1b10132c), 4032, true},
		{"never easier than the limit", []*wire.BlockHeader{at(0, 0x1d00ffff), at(4*fortnight, 0x1d00ffff)}, at(4*fortnight+1, 0x1d00ffff), 4032, true},
		{"its beginning not known, four times easier", []*wire.BlockHeader{nil, at(0, 0x1b0404cb)}, at(1, 0x1b10132c), 4032, true},
		{"its beginning not known, ten times easier", []*wire.BlockHeader{nil, at(0, 0x1b0404cb)}, at(1, 0x1b282fee), 4032, false},
	} {
		if err := proof.CheckBits(&charter, tt.period[0], tt.period[1], tt.height, tt.next); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if hash := genesis.BlockHash(); proof.CheckWork(&charter, &genesis, hash) != nil || proof.CheckWork(&charter, &genesis, chainhash.Hash{31: 1}) == nil {
		t.Error("the work of Bitcoin's first block is judged wrongly")
	}
}
