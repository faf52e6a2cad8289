package integration

import (
	"errors"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/quorum"
)

// TestSchemesSpend: each way of owning the vault together receives two coins on
// a real chain, whose addresses the node derives from the descriptor too, and
// spends them: too few guardians cannot, m can, the node mines it, and the
// transaction has the size that was known before.
func TestSchemesSpend(t *testing.T) {
	node := bitcoind.Start(t)
	for _, c := range []struct {
		scheme    taproot.Scheme
		t, n      int
		noKeyPath bool
		signers   []int
		tooFew    []int
		vbytes    int64 // of a transaction of two inputs and one P2TR output
	}{
		{taproot.FROST, 3, 5, false, []int{0, 2, 4}, []int{1, 3}, 169},
		{taproot.FROST, 7, 10, false, []int{0, 1, 2, 3, 5, 8, 9}, []int{0, 1, 2, 3, 4, 5}, 169},
		{taproot.MuSig2, 3, 3, false, []int{0, 1, 2}, []int{0, 1}, 169},
		{taproot.MuSig2Leaves, 3, 5, true, []int{1, 2, 3}, []int{1, 2}, 267},
		{taproot.MuSig2Leaves, 7, 10, false, []int{0, 1, 2, 3, 4, 5, 6}, []int{0, 1, 2, 3, 4, 5}, 299},
		{taproot.CheckSigAdd, 3, 5, true, []int{0, 3, 4}, []int{0, 3}, 354},
		{taproot.CheckSigAdd, 7, 10, false, []int{0, 1, 2, 3, 4, 5, 9}, []int{7, 8, 9}, 571},
		{taproot.CheckSigAdd, 2, 3, false, []int{0, 1, 2}, []int{2}, 169}, // all sign: by key
	} {
		t.Run(fmt.Sprintf("%s %d of %d by %d", c.scheme, c.t, c.n, len(c.signers)), func(t *testing.T) {
			s := newSchemeVault(t, node, taproot.Policy{Scheme: c.scheme, Threshold: c.t, Guardians: c.n}, c.noKeyPath)
			s.expectDescriptor()
			tx := s.fundedSpend()
			if _, err := s.Sign(tx, s.outputs, s.values, c.tooFew); !errors.Is(err, taproot.ErrSigners) {
				t.Fatalf("signed by %v: error %v, want %v", c.tooFew, err, taproot.ErrSigners)
			}
			signed, err := s.Sign(tx, s.outputs, s.values, c.signers)
			s.must(err)
			s.must(node.Broadcast(s.ctx, signed))
			_, err = node.Mine(s.ctx, 1)
			s.must(err)
			s.must(node.WaitConfirmed(s.ctx, signed.TxHash(), 1))

			var seen struct {
				VSize  int64 `json:"vsize"`
				Weight int64 `json:"weight"`
			}
			s.must(node.Call(s.ctx, "getrawtransaction", &seen, signed.TxHash().String(), true))
			path, err := s.Vault().Path(c.signers)
			s.must(err)
			if want := path.Weight(2, [][]byte{tx.TxOut[0].PkScript}); seen.Weight != want {
				t.Errorf("the node weighs %d, known before %d", seen.Weight, want)
			}
			if seen.VSize != c.vbytes {
				t.Errorf("the node measures %d vB, want %d", seen.VSize, c.vbytes)
			}
		})
	}
}

// TestTooFewSignaturesRefused: signatures of two where the leaf asks for three
// do not pass the node either, whatever this program says.
func TestTooFewSignaturesRefused(t *testing.T) {
	node := bitcoind.Start(t)
	s := newSchemeVault(t, node, taproot.Policy{Scheme: taproot.CheckSigAdd, Threshold: 3, Guardians: 5}, true)
	tx := s.fundedSpend()
	signed, err := s.Sign(tx, s.outputs, s.values, []int{0, 1, 2})
	s.must(err)
	signed.TxIn[1].Witness[4] = nil // of guardian 0
	refusedByScript(t, node.Broadcast(s.ctx, signed))
}

// refusedByScript wants the node's refusal, not a lost answer.
func refusedByScript(t *testing.T, err error) {
	t.Helper()
	var refused *bitcoind.RPCError
	if !errors.As(err, &refused) {
		t.Fatalf("the node says %v, want a refusal", err)
	}
	t.Logf("the node refuses: %s", refused.Message)
}

// schemeVault is a vault of one scheme on a node, with all its guardians' keys.
type schemeVault struct {
	story
	*quorum.Quorum
	outputs []taproot.Output
	values  []int64
}

func newSchemeVault(t *testing.T, node *bitcoind.Node, p taproot.Policy, noKeyPath bool) *schemeVault {
	t.Helper()
	s := &schemeVault{story: newStory(t, node)}
	if p.Recovery.Keys == nil {
		p.Recovery = taproot.Recovery{Threshold: 1, Keys: []taproot.XOnlyKey{newXOnlyKey(t)}, Delay: 1000}
	}
	p.Network = "regtest"
	var err error
	s.Quorum, err = quorum.Deal(p, noKeyPath, nil)
	s.must(err)
	return s
}

// fundedSpend pays a deposit and a change address and returns the transaction,
// not signed, that spends both coins.
func (s *schemeVault) fundedSpend() *wire.MsgTx {
	s.t.Helper()
	var paid []*wire.TxOut
	for _, branch := range []taproot.Branch{taproot.Deposit, taproot.Change} {
		out, err := s.Vault().Output(branch, 17)
		s.must(err)
		s.outputs, s.values = append(s.outputs, out), append(s.values, 100_000)
		paid = append(paid, wire.NewTxOut(100_000, out.Script))
	}
	coins, err := s.node.FundMany(s.ctx, paid)
	s.must(err)
	_, err = s.node.Mine(s.ctx, 1)
	s.must(err)
	tx := wire.NewMsgTx(2)
	for i := range coins {
		tx.AddTxIn(wire.NewTxIn(&coins[i], nil, nil))
	}
	key := newXOnlyKey(s.t)
	tx.AddTxOut(wire.NewTxOut(190_000, append([]byte{0x51, 32}, key[:]...)))
	return tx
}

// expectDescriptor: a stock node derives the same addresses.
func (s *schemeVault) expectDescriptor() {
	s.t.Helper()
	for branch, descriptor := range s.Vault().Descriptors() {
		var derived []string
		s.must(s.node.Call(s.ctx, "deriveaddresses", &derived, descriptor, []int{16, 18}))
		for i, want := range derived {
			got, err := s.Vault().Address(taproot.Branch(branch), uint32(16+i))
			s.must(err)
			if got != want {
				s.t.Errorf("address %d/%d: the node derives %s, the vault %s", branch, 16+i, want, got)
			}
		}
	}
}
