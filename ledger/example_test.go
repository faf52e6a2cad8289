package ledger_test

import (
	"fmt"
	"log"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/ledger"
)

// Two people open accounts, a coin arrives for one of them, and she pays the
// other. He keeps a receipt and checks it with nothing but the charter.
func Example() {
	operator, alice, bob := newKey(1), newKey(2), newKey(3)
	charter := ledger.Charter{
		Name:          "Example bank",
		Chain:         ledger.Hash{0x06}, // the genesis block's hash
		Operator:      ledger.KeyOf(operator),
		BirthHeight:   100,
		BirthHash:     ledger.Hash{0x64},
		Depth:         1,
		WithdrawalMin: 1_000,
	}
	books, err := ledger.NewState(charter)
	if err != nil {
		log.Fatal(err)
	}
	var journal [][]byte
	apply := func(e ledger.Entry) ledger.Effects {
		effects, err := books.Apply(e)
		if err != nil {
			log.Fatal(err)
		}
		journal = append(journal, e.Bytes())
		return effects
	}

	// Open two accounts.
	var ids []ledger.AccountID
	for _, key := range []*btcec.PrivateKey{alice, bob} {
		order := &ledger.Order{Bank: books.Bank(), Body: &ledger.Open{Key: ledger.KeyOf(key)}}
		if err := order.Sign(key); err != nil {
			log.Fatal(err)
		}
		ids = append(ids, apply(ledger.Entry{Order: order}).Opened)
	}

	// A block brings a coin to Alice's deposit address.
	apply(ledger.Entry{Event: &ledger.Block{Height: 101, Hash: ledger.Hash{0x65}, Previous: ledger.Hash{0x64}}})
	apply(ledger.Entry{Event: &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash{0xaa}}, Amount: 50_000,
		Index: ids[0].Index(), Height: 101, TxIndex: 1}})

	// Alice pays Bob. Her order names her previous one and is signed by her.
	account, _ := books.Account(ids[0])
	payment := &ledger.Order{Bank: books.Bank(), Payer: account.ID, Sequence: account.Sequence + 1, Previous: account.Last,
		Body: &ledger.Transfer{Payments: []ledger.Payment{{Payee: ids[1], Amount: 20_000}}, Reference: []byte("lunch")}}
	if err := payment.Sign(alice); err != nil {
		log.Fatal(err)
	}
	if err := payment.Verify(account.Key); err != nil { // ApplyOrder leaves this to its caller
		log.Fatal(err)
	}
	apply(ledger.Entry{Order: payment})
	fmt.Println("Alice has", books.Balance(ids[0]).BTC(), "and Bob has", books.Balance(ids[1]).BTC())

	// The operator ends the batch with a signed header.
	leaves := make([]ledger.Hash, len(journal))
	for i, entry := range journal {
		leaves[i] = ledger.EntryLeaf(entry)
	}
	tree := ledger.NewMerkleTree(leaves)
	header, err := books.Next(tree.Root(), uint32(len(journal)), 1, 1_700_000_000_000).Sign(operator)
	if err != nil {
		log.Fatal(err)
	}
	if err := books.Seal(&header.Header); err != nil {
		log.Fatal(err)
	}

	// Bob's receipt is the header and the path of the payment. It needs no bank.
	last := len(journal) - 1
	receipt := ledger.Receipt{Header: header, Index: uint32(last), Path: tree.Path(last)}
	fmt.Println("receipt:", receipt.Verify(&charter, payment.Bytes()))
	fmt.Println("of another entry:", ledger.CodeOf(receipt.Verify(&charter, journal[0])))

	// Output:
	// Alice has 0.00030000 and Bob has 0.00020000
	// receipt: <nil>
	// of another entry: malformed
}

// newKey makes a key for the example. A real key comes from crypto/rand.
func newKey(secret byte) *btcec.PrivateKey {
	priv, _ := btcec.PrivKeyFromBytes([]byte{secret})
	return priv
}
