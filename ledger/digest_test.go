package ledger_test

import (
	"testing"

	"github.com/daobank/daobank/ledger"
)

// The digest of canonical bytes is the order's, whatever it asks for.
func TestOrderDigestOfCanonicalBytes(t *testing.T) {
	for _, body := range []ledger.Body{
		&ledger.Open{Key: ledger.Key{1}},
		&ledger.Transfer{Payments: []ledger.Payment{{Payee: 17, Amount: 1}, {Payee: 18, Amount: 2}}, Reference: []byte("rent")},
		&ledger.Transfer{Payments: make([]ledger.Payment, ledger.MaxPayees), Reference: make([]byte, ledger.MaxReference)},
		&ledger.Withdraw{Amount: 5000, Script: make([]byte, 34)},
		&ledger.Close{},
	} {
		o := &ledger.Order{Bank: ledger.BankID{7}, Payer: 16, Sequence: 3, Previous: ledger.Hash{9}, Body: body, Signature: ledger.Signature{5}}
		if got, want := ledger.OrderDigest(o.Bytes()), o.Digest(); got != want {
			t.Errorf("%s: digest %s of its bytes, want %s", body.Kind(), got, want)
		}
	}
}

// Every path is where Path would put it, behind what was there.
func TestAppendPath(t *testing.T) {
	for count := range 20 {
		leaves := make([]ledger.Hash, count)
		for i := range leaves {
			leaves[i] = ledger.Hash{byte(i + 1)}
		}
		tree := ledger.NewMerkleTree(leaves)
		for i := range count {
			all := tree.AppendPath([]ledger.Hash{{0xff}}, i)
			if all[0] != (ledger.Hash{0xff}) || len(all)-1 > tree.Depth() ||
				!ledger.VerifyPath(tree.Root(), leaves[i], uint32(i), uint32(count), all[1:]) {
				t.Errorf("leaf %d of %d: path %v, depth %d", i, count, all, tree.Depth())
			}
		}
	}
}
