package ledger_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// Every entry of every small tree has one path, which proves that entry at that
// place among that many and nothing else.
func TestMerklePathsProveOnePlace(t *testing.T) {
	for count := uint32(1); count <= 40; count++ {
		leaves := make([]ledger.Hash, count)
		for i := range leaves {
			leaves[i] = hashOf("leaf %d", i)
		}
		tree := ledger.NewMerkleTree(leaves)
		root := tree.Root()
		for i := range count {
			path := tree.Path(int(i))
			if !ledger.VerifyPath(root, leaves[i], i, count, path) {
				t.Fatalf("the path of leaf %d of %d is refused", i, count)
			}
			for j := range count + 2 {
				if j != i && ledger.VerifyPath(root, leaves[i], j, count, path) {
					t.Errorf("leaf %d of %d is accepted at place %d", i, count, j)
				}
			}
			if ledger.VerifyPath(root, hashOf("another leaf"), i, count, path) {
				t.Errorf("another leaf is accepted at place %d of %d", i, count)
			}
			if ledger.VerifyPath(root, leaves[i], i, count, append(slices.Clone(path), ledger.Hash{})) {
				t.Errorf("a path too long is accepted for leaf %d of %d", i, count)
			}
			if len(path) == 0 {
				continue
			}
			if ledger.VerifyPath(root, leaves[i], i, count, path[:len(path)-1]) || ledger.VerifyPath(root, leaves[i], i, count, path[1:]) {
				t.Errorf("a path too short is accepted for leaf %d of %d", i, count)
			}
			for step := range path {
				bad := slices.Clone(path)
				bad[step][9] ^= 1
				if ledger.VerifyPath(root, leaves[i], i, count, bad) {
					t.Errorf("a path with another step %d is accepted for leaf %d of %d", step, i, count)
				}
			}
		}
	}
}

// The largest count must not overflow the verifier's arithmetic.
func TestMerklePathOfTheLargestTree(t *testing.T) {
	leaf := hashOf("leaf")
	if ledger.VerifyPath(leaf, leaf, 1<<32-2, 1<<32-1, nil) || ledger.VerifyPath(leaf, leaf, 0, 0, nil) {
		t.Error("an empty path is accepted in a tree of more or less than one leaf")
	}
}

func TestReceipts(t *testing.T) {
	b, _ := history(t)
	charter := testCharter()
	batch := b.batches[2]
	leaves := make([]ledger.Hash, len(batch.Entries))
	for i, entry := range batch.Entries {
		leaves[i] = ledger.EntryLeaf(entry)
	}
	good := ledger.Receipt{Header: batch.Header, Index: 1, Path: ledger.NewMerkleTree(leaves).Path(1)}
	entry := batch.Entries[1]
	if err := good.Verify(&charter, entry); err != nil {
		t.Fatal(err)
	}
	text, err := good.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var read ledger.Receipt
	if err := read.UnmarshalText(text); err != nil || !bytes.Equal(read.Bytes(), good.Bytes()) {
		t.Fatalf("the receipt's text reads as %+v (%v)", read, err)
	}

	for _, tt := range []struct {
		name   string
		change func(r *ledger.Receipt, c *ledger.Charter, entry *[]byte)
		want   ledger.Code
	}{
		{"another bank's charter", func(_ *ledger.Receipt, c *ledger.Charter, _ *[]byte) { c.Depth++ }, ledger.CodeWrongBank},
		{"another operator's charter", func(_ *ledger.Receipt, c *ledger.Charter, _ *[]byte) { c.Operator = ledger.KeyOf(privateKey("eve")) }, ledger.CodeWrongBank},
		{"header of another bank", func(r *ledger.Receipt, _ *ledger.Charter, _ *[]byte) { r.Header.Bank[0] ^= 1 }, ledger.CodeWrongBank},
		{"header signed by another key", func(r *ledger.Receipt, _ *ledger.Charter, _ *[]byte) {
			r.Header, _ = r.Header.Sign(privateKey("eve"))
		}, ledger.CodeSignature},
		{"header changed", func(r *ledger.Receipt, _ *ledger.Charter, _ *[]byte) { r.Header.Number++ }, ledger.CodeSignature},
		{"another entry", func(_ *ledger.Receipt, _ *ledger.Charter, e *[]byte) { *e = batch.Entries[2] }, ledger.CodeMalformed},
		{"entry with another signature", func(_ *ledger.Receipt, _ *ledger.Charter, e *[]byte) { *e = corrupt(*e, len(*e)-1) }, ledger.CodeMalformed},
		{"another place", func(r *ledger.Receipt, _ *ledger.Charter, _ *[]byte) { r.Index = 0 }, ledger.CodeMalformed},
		{"place beyond the batch", func(r *ledger.Receipt, _ *ledger.Charter, _ *[]byte) { r.Index = 4 }, ledger.CodeMalformed},
		{"path of another entry", func(r *ledger.Receipt, _ *ledger.Charter, _ *[]byte) { r.Path = ledger.NewMerkleTree(leaves).Path(2) }, ledger.CodeMalformed},
		{"no path", func(r *ledger.Receipt, _ *ledger.Charter, _ *[]byte) { r.Path = nil }, ledger.CodeMalformed},
		{"inner node shown as an entry", func(r *ledger.Receipt, _ *ledger.Charter, e *[]byte) {
			*e, r.Path, r.Index = slices.Concat(leaves[0][:], leaves[1][:]), r.Path[1:], 0
		}, ledger.CodeMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, c, e := good, charter, entry
			r.Path = slices.Clone(good.Path)
			tt.change(&r, &c, &e)
			if err := r.Verify(&c, e); ledger.CodeOf(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
