package ledger_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/ledger"
)

// The vectors of docs/formats.md, version 1. They are frozen: -update exists to
// add cases, and a change of one that stands is a change of the format. Each
// case is checked twice: against the bytes that byhand_test.go builds from its
// fields, and against the package.
var update = flag.Bool("update", false, "write testdata/*.json anew from this package")

const provenance = "Produced by package ledger of github.com/daobank/daobank, format version 1. " +
	"Cross-checked by an encoder written from docs/formats.md that shares no code with it. " +
	"Bytes are in hex; numbers of 64 bits that are not amounts are decimal strings; amounts are in satoshis. " +
	"Private keys are for tests only."

type vectorFile[T any] struct {
	Provenance string `json:"provenance"`
	Format     string `json:"format"`
	Cases      []T    `json:"cases"`
}

// vectors returns the cases of a file; with -update it writes them first.
func vectors[T any](t testing.TB, file, format string, generate func(t testing.TB) []T) []T {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		data, err := json.MarshalIndent(vectorFile[T]{provenance, format, generate(t)}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile[T]
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if f.Provenance != provenance || len(f.Cases) == 0 {
		t.Fatalf("%s: %d cases, provenance %q", path, len(f.Cases), f.Provenance)
	}
	return f.Cases
}

// hexBytes is bytes in hex, read by encoding/hex and not by the package.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.AppendDecode([]byte{}, text)
	return err
}

// same asserts that what a file says, what the hand makes and what the package
// makes are one.
func same(t *testing.T, what string, file, hand, pkg []byte) {
	t.Helper()
	if !bytes.Equal(file, hand) {
		t.Errorf("%s: the vector is\n%x, by hand it is\n%x", what, file, hand)
	}
	if !bytes.Equal(file, pkg) {
		t.Errorf("%s: the vector is\n%x, the package makes\n%x", what, file, pkg)
	}
}

type charterVector struct {
	Name          string   `json:"name"`
	Chain         hexBytes `json:"chain"`
	Operator      hexBytes `json:"operator"`
	BirthHeight   uint32   `json:"birth_height"`
	BirthHash     hexBytes `json:"birth_hash"`
	Depth         uint32   `json:"depth"`
	WithdrawalMin int64    `json:"withdrawal_min_sat"`
	Bytes         hexBytes `json:"bytes"`
	ID            hexBytes `json:"id"`
}

func TestCharterVectors(t *testing.T) {
	cases := vectors(t, "charter.json", "charter", charterVectors)
	for _, v := range cases {
		t.Run(v.Name, func(t *testing.T) {
			c := ledger.Charter{Name: v.Name, Chain: ledger.Hash(v.Chain), Operator: ledger.Key(v.Operator), BirthHeight: v.BirthHeight,
				BirthHash: ledger.Hash(v.BirthHash), Depth: v.Depth, WithdrawalMin: ledger.Amount(v.WithdrawalMin)}
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
			id, hand := c.ID(), handTag("daobank/charter", v.Bytes)
			same(t, "id", v.ID, hand[:], id[:])
			if !bytes.Equal(handCharter(&c), v.Bytes) {
				t.Errorf("the vector's bytes are %x, by hand %x", v.Bytes, handCharter(&c))
			}
			// The vector's fields bear the names of the charter's own JSON.
			var read ledger.Charter
			data, _ := json.Marshal(v)
			if err := json.Unmarshal(data, &read); err != nil || read != c {
				t.Errorf("the charter's JSON reads as %+v (%v), want %+v", read, err, c)
			}
		})
	}
}

type accountVector struct {
	Bank    hexBytes         `json:"bank"`
	Account ledger.AccountID `json:"account,string"`
	Address string           `json:"address"`
}

func TestAccountVectors(t *testing.T) {
	cases := vectors(t, "account.json", "account address", accountVectors)
	for _, v := range cases {
		bank := ledger.BankID(v.Bank)
		same(t, v.Account.String(), []byte(v.Address), []byte(handAccount(bank, uint64(v.Account))), []byte(ledger.FormatAccount(bank, v.Account)))
		if got, err := ledger.ParseAccount(bank, v.Address); err != nil || got != v.Account {
			t.Errorf("%s reads as %v, %v", v.Address, got, err)
		}
	}
}

type paymentVector struct {
	Payee  ledger.AccountID `json:"payee,string"`
	Amount int64            `json:"amount_sat"`
}

type orderVector struct {
	Name       string           `json:"name"`
	PrivateKey hexBytes         `json:"private_key"`
	PublicKey  hexBytes         `json:"public_key"`
	Bank       hexBytes         `json:"bank"`
	Payer      ledger.AccountID `json:"payer,string"`
	Sequence   uint64           `json:"sequence,string"`
	Previous   hexBytes         `json:"previous"`
	Expiry     uint32           `json:"expiry"`
	Kind       byte             `json:"kind"`
	Key        hexBytes         `json:"key,omitempty"`
	Reference  hexBytes         `json:"reference,omitempty"`
	Payments   []paymentVector  `json:"payments,omitempty"`
	Amount     int64            `json:"amount_sat,omitempty"`
	FeeMax     int64            `json:"fee_max_sat,omitempty"`
	Script     hexBytes         `json:"script,omitempty"`
	Cancelled  uint64           `json:"cancelled,omitempty,string"`
	Keep       int64            `json:"keep_sat,omitempty"`
	Every      uint32           `json:"every_blocks,omitempty"`
	Unsigned   hexBytes         `json:"unsigned"`
	Digest     hexBytes         `json:"digest"`
	Signature  hexBytes         `json:"signature"`
	Bytes      hexBytes         `json:"bytes"`
	Leaf       hexBytes         `json:"leaf"`
}

// order builds the order from the vector's fields.
func (v *orderVector) order() *ledger.Order {
	o := &ledger.Order{Bank: ledger.BankID(v.Bank), Payer: v.Payer, Sequence: v.Sequence,
		Previous: ledger.Hash(v.Previous), Expiry: v.Expiry, Signature: ledger.Signature(v.Signature)}
	switch v.Kind {
	case 1:
		o.Body = &ledger.Open{Key: ledger.Key(v.Key)}
	case 2:
		t := &ledger.Transfer{Reference: v.Reference}
		for _, p := range v.Payments {
			t.Payments = append(t.Payments, ledger.Payment{Payee: p.Payee, Amount: ledger.Amount(p.Amount)})
		}
		o.Body = t
	case 3:
		o.Body = &ledger.Withdraw{Amount: ledger.Amount(v.Amount), FeeMax: ledger.Amount(v.FeeMax), Script: v.Script}
	case 4:
		o.Body = &ledger.Close{}
	case 5:
		o.Body = &ledger.Cancel{Sequence: v.Cancelled}
	case 6:
		o.Body = &ledger.Standing{Keep: ledger.Amount(v.Keep), Every: v.Every, FeeMax: ledger.Amount(v.FeeMax), Script: v.Script}
	}
	return o
}

func TestOrderVectors(t *testing.T) {
	for _, v := range vectors(t, "order.json", "order", orderVectors) {
		t.Run(v.Name, func(t *testing.T) {
			o := v.order()
			digest, leaf := o.Digest(), ledger.EntryLeaf(v.Bytes)
			handDigest, handLeaf := handDigest(o), handLeaf(v.Bytes)
			hand := handUnsigned(o)
			same(t, "digest", v.Digest, handDigest[:], digest[:])
			same(t, "bytes", v.Bytes, concat(hand, v.Signature), o.Bytes())
			same(t, "leaf", v.Leaf, handLeaf[:], leaf[:])
			if !bytes.Equal(v.Unsigned, hand) {
				t.Errorf("unsigned: the vector is %x, by hand %x", v.Unsigned, hand)
			}
			decoded, err := ledger.DecodeOrder(v.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if !ledger.SameOrder(decoded, o) || decoded.Signature != o.Signature || !bytes.Equal(decoded.Bytes(), v.Bytes) {
				t.Errorf("decoded %+v, want %+v", decoded, o)
			}
			if err := decoded.Verify(ledger.Key(v.PublicKey)); err != nil {
				t.Error(err)
			}
			if err := decoded.Check(ledger.BankID(v.Bank)); err != nil {
				t.Error(err)
			}
			priv, _ := btcec.PrivKeyFromBytes(v.PrivateKey)
			if ledger.KeyOf(priv) != ledger.Key(v.PublicKey) {
				t.Errorf("the private key's public key is %s", ledger.KeyOf(priv))
			}
			if entry, err := ledger.DecodeEntry(v.Bytes); err != nil || entry.Leaf() != leaf || byte(entry.Kind()) != v.Kind {
				t.Errorf("as an entry: %+v, %v", entry, err)
			}
		})
	}
}

type headerVector struct {
	Bank      hexBytes `json:"bank"`
	Number    uint64   `json:"number,string"`
	Epoch     uint64   `json:"epoch,string"`
	Time      uint64   `json:"time,string"`
	Previous  hexBytes `json:"previous"`
	Root      hexBytes `json:"root"`
	Count     uint32   `json:"count"`
	Hash      hexBytes `json:"hash"`
	Operator  hexBytes `json:"operator"`
	Signature hexBytes `json:"signature"`
	Bytes     hexBytes `json:"bytes"`
}

func newHeaderVector(h ledger.SignedHeader) headerVector {
	hash, operator := h.Hash(), ledger.KeyOf(privateKey("operator"))
	return headerVector{h.Bank[:], h.Number, h.Epoch, h.Time, h.Previous[:], h.Root[:], h.Count,
		hash[:], operator[:], h.Signature[:], h.Bytes()}
}

func (v *headerVector) header() ledger.SignedHeader {
	return ledger.SignedHeader{Header: ledger.Header{Bank: ledger.BankID(v.Bank), Number: v.Number, Epoch: v.Epoch, Time: v.Time,
		Previous: ledger.Hash(v.Previous), Root: ledger.Hash(v.Root), Count: v.Count}, Signature: ledger.Signature(v.Signature)}
}

func (v *headerVector) check(t *testing.T) {
	t.Helper()
	h := v.header()
	hash, hand := h.Hash(), handTag("daobank/header", handHeader(&h.Header))
	same(t, "hash", v.Hash, hand[:], hash[:])
	same(t, "bytes", v.Bytes, concat(handHeader(&h.Header), v.Signature), h.Bytes())
	if decoded, err := ledger.DecodeSignedHeader(v.Bytes); err != nil || decoded != h {
		t.Errorf("decoded %+v, %v", decoded, err)
	}
	if !h.Verify(ledger.Key(v.Operator)) {
		t.Error("the operator's signature does not verify")
	}
}

func TestHeaderVectors(t *testing.T) {
	for _, v := range vectors(t, "header.json", "signed header", headerVectors) {
		v.check(t)
	}
}

type receiptVector struct {
	Charter  ledger.Charter `json:"charter"`
	Header   headerVector   `json:"header"`
	Entries  []hexBytes     `json:"entries"`
	Receipts []struct {
		Index uint32     `json:"index"`
		Path  []hexBytes `json:"path"`
		Bytes hexBytes   `json:"bytes"`
	} `json:"receipts"`
}

func TestReceiptVectors(t *testing.T) {
	for i, v := range vectors(t, "receipt.json", "receipt", receiptVectors) {
		v.Header.check(t)
		if len(v.Entries) != i+1 || len(v.Receipts) != i+1 {
			t.Fatalf("case %d has %d entries and %d receipts", i, len(v.Entries), len(v.Receipts))
		}
		leaves := make([]handHash, len(v.Entries))
		for i, entry := range v.Entries {
			leaves[i] = handLeaf(entry)
		}
		root := handRoot(leaves)
		if !bytes.Equal(v.Header.Root, root[:]) {
			t.Errorf("%d entries: the root is %x, by hand %x", len(leaves), v.Header.Root, root)
		}
		for m, w := range v.Receipts {
			r := ledger.Receipt{Header: v.Header.header(), Index: w.Index}
			for _, h := range w.Path {
				r.Path = append(r.Path, ledger.Hash(h))
			}
			if !slices.EqualFunc(handPath(m, leaves), r.Path, func(a handHash, b ledger.Hash) bool { return a == b }) {
				t.Errorf("%d entries: the path of entry %d is %v, by hand %x", len(leaves), m, r.Path, handPath(m, leaves))
			}
			same(t, "receipt", w.Bytes, handReceipt(&r), r.Bytes())
			decoded, err := ledger.DecodeReceipt(w.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if err := decoded.Verify(&v.Charter, v.Entries[m]); err != nil {
				t.Errorf("%d entries: receipt %d: %v", len(leaves), m, err)
			}
		}
	}
}

type merkleVector struct {
	Leaves []hexBytes `json:"leaves"`
	Root   hexBytes   `json:"root"`
}

func TestMerkleVectors(t *testing.T) {
	for _, v := range vectors(t, "merkle.json", "Merkle root of entry leaves", merkleVectors) {
		leaves, hand := make([]ledger.Hash, len(v.Leaves)), make([]handHash, len(v.Leaves))
		for i, leaf := range v.Leaves {
			leaves[i], hand[i] = ledger.Hash(leaf), handHash(leaf)
		}
		tree := ledger.NewMerkleTree(slices.Clone(leaves)).Root()
		root, byHand := ledger.MerkleRoot(leaves), handRoot(hand)
		same(t, "root", v.Root, byHand[:], root[:])
		same(t, "tree's root", v.Root, byHand[:], tree[:])
	}
}

type sumVector struct {
	Owed  []int64           `json:"owed_sat"` // by account, from 0
	Root  hexBytes          `json:"root"`
	Sum   int64             `json:"sum_sat"`
	Paths [][]sumNodeVector `json:"paths"` // of each account
}

type sumNodeVector struct {
	Hash hexBytes `json:"hash"`
	Sum  int64    `json:"sum_sat"`
}

func TestSumTreeVectors(t *testing.T) {
	for _, v := range vectors(t, "sumtree.json", "Merkle-sum tree of balances", sumVectors) {
		root, sum := handSum(0, v.Owed)
		got := sumRootOf(v.Owed)
		same(t, "root", v.Root, root[:], got.Hash[:])
		if v.Sum != sum || ledger.Amount(v.Sum) != got.Sum {
			t.Errorf("the sum is %d, by hand %d, the package says %d", v.Sum, sum, got.Sum)
		}
		for i, nodes := range v.Paths {
			var path []ledger.SumNode
			for _, n := range nodes {
				path = append(path, ledger.SumNode{Hash: ledger.Hash(n.Hash), Sum: ledger.Amount(n.Sum)})
			}
			if !ledger.VerifySumPath(got, ledger.AccountID(i), ledger.Amount(v.Owed[i]), uint32(len(v.Owed)), path) {
				t.Errorf("path of account %d of %d does not verify", i, len(v.Owed))
			}
		}
	}
}

func sumRootOf(owed []int64) ledger.SumNode {
	leaves := make([]ledger.Amount, len(owed))
	for i, amount := range owed {
		leaves[i] = ledger.Amount(amount)
	}
	return ledger.SumRoot(leaves)
}

type journalVector struct {
	Headers     []hexBytes   `json:"headers"` // hashes
	Root        hexBytes     `json:"root"`
	Paths       [][]hexBytes `json:"paths"`       // of each batch
	Consistency [][]hexBytes `json:"consistency"` // of the journal with the first 1, 2 … of these batches
}

func TestJournalTreeVectors(t *testing.T) {
	var hand, headers, roots []handHash // by number of batches
	for n, v := range vectors(t, "journal.json", "journal tree over header hashes", journalVectors) {
		if n > 0 {
			headers = append(headers, handHash(v.Headers[n-1]))
			hand = append(hand, handTag("daobank/journal/leaf", v.Headers[n-1]))
		}
		root := handJournal(headers)
		roots = append(roots, root)
		peaks := ledger.JournalRootOf(hashes(v.Headers))
		same(t, "root", v.Root, root[:], peaks[:])
		for i, path := range v.Paths {
			sameHashes(t, fmt.Sprintf("path of batch %d of %d", i+1, n), path, handTreePath("daobank/journal/node", i, hand))
			if !ledger.VerifyJournalPath(ledger.Hash(v.Root), ledger.Hash(v.Headers[i]), uint64(i)+1, uint64(n), hashes(path)) {
				t.Errorf("path of batch %d of %d does not verify", i+1, n)
			}
		}
		for i, path := range v.Consistency {
			sameHashes(t, fmt.Sprintf("consistency of %d and %d batches", i+1, n), path, handConsistency("daobank/journal/node", i+1, hand, true))
			if !ledger.VerifyConsistency(ledger.Hash(roots[i+1]), ledger.Hash(v.Root), uint64(i)+1, uint64(n), hashes(path)) {
				t.Errorf("the journals of %d and %d batches are not consistent", i+1, n)
			}
		}
	}
}

func sameHashes(t *testing.T, what string, got []hexBytes, want []handHash) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a hexBytes, b handHash) bool { return bytes.Equal(a, b[:]) }) {
		t.Errorf("%s is %x, by hand %x", what, got, want)
	}
}

func hashes(list []hexBytes) []ledger.Hash {
	out := make([]ledger.Hash, len(list))
	for i, h := range list {
		out[i] = ledger.Hash(h)
	}
	return out
}

type booksVector struct {
	Header     hexBytes `json:"header"`
	Batch      uint64   `json:"batch,string"`
	Journal    hexBytes `json:"journal"`
	Accounts   uint32   `json:"accounts"`
	Root       hexBytes `json:"root"`
	Sum        int64    `json:"sum_sat"`
	Hash       hexBytes `json:"hash"`
	Settlement uint32   `json:"settlement"`
	Anchor     hexBytes `json:"anchor"`
}

func TestBooksVectors(t *testing.T) {
	for _, v := range vectors(t, "books.json", "books hash and anchor", booksVectors) {
		books := ledger.Books{Header: ledger.Hash(v.Header), Batch: v.Batch, Journal: ledger.Hash(v.Journal), Accounts: v.Accounts,
			Root: ledger.SumNode{Hash: ledger.Hash(v.Root), Sum: ledger.Amount(v.Sum)}}
		hash, hand := books.Hash(), handBooks(handHash(v.Header), v.Batch, handHash(v.Journal), v.Accounts, handHash(v.Root), v.Sum)
		same(t, "hash", v.Hash, hand[:], hash[:])
		if want := concat([]byte("DAOB"), u32(v.Settlement), v.Hash); !bytes.Equal(v.Anchor, want) || len(want) != 40 {
			t.Errorf("the anchor is %x, by hand %x", v.Anchor, want)
		}
	}
}

type malformedVector struct {
	Name   string      `json:"name"`
	Format string      `json:"format"` // order, entry, header, receipt, account or amount
	Bank   hexBytes    `json:"bank,omitempty"`
	Bytes  hexBytes    `json:"bytes,omitempty"`
	Text   string      `json:"text,omitempty"`
	Code   ledger.Code `json:"code"`
}

// decode reads the vector with the decoder of its format.
func (v *malformedVector) decode() error {
	var err error
	switch v.Format {
	case "order":
		_, err = ledger.DecodeOrder(v.Bytes)
	case "entry":
		_, err = ledger.DecodeEntry(v.Bytes)
	case "header":
		_, err = ledger.DecodeSignedHeader(v.Bytes)
	case "receipt":
		_, err = ledger.DecodeReceipt(v.Bytes)
	case "receipt text":
		err = new(ledger.Receipt).UnmarshalText([]byte(v.Text))
	case "account":
		_, err = ledger.ParseAccount(ledger.BankID(v.Bank), v.Text)
	case "amount":
		_, err = ledger.ParseBTC(v.Text)
	default:
		err = errors.New("no such format")
	}
	return err
}

func TestMalformedVectors(t *testing.T) {
	for _, v := range vectors(t, "malformed.json", "what decoders refuse", malformedVectors) {
		t.Run(v.Format+"/"+v.Name, func(t *testing.T) {
			if err := v.decode(); ledger.CodeOf(err) != v.Code {
				t.Errorf("got %v, want %s", err, v.Code)
			}
		})
	}
}
