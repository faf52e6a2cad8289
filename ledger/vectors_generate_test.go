package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/ledger"
)

// What -update writes: the cases' fields are chosen here, their bytes and
// hashes are the package's.

func charterVectors(testing.TB) (list []charterVector) {
	short, long := testCharter(), testCharter()
	short.Name, short.BirthHeight, short.Depth, short.WithdrawalMin = "B", 0, 1, 546
	long.Name, long.BirthHeight, long.Depth, long.WithdrawalMin = "Die Bank der vielen, die sich fünf Schlüssel teilen, seit 2026", 4_000_000_000, 100, 21e14
	for _, c := range []ledger.Charter{testCharter(), short, long} {
		id := c.ID()
		list = append(list, charterVector{c.Name, c.Chain[:], c.Operator[:], c.BirthHeight, c.BirthHash[:],
			c.Depth, int64(c.WithdrawalMin), handCharter(&c), id[:]})
	}
	return list
}

func accountVectors(testing.TB) (list []accountVector) {
	for _, bank := range []ledger.BankID{hashOf("bank a"), {}} {
		for _, id := range []ledger.AccountID{ledger.FirstMember, ledger.Treasury, 12_345, ledger.MaxAccounts - 1, otherShard, 1<<64 - 1} {
			list = append(list, accountVector{bank[:], id, ledger.FormatAccount(bank, id)})
		}
	}
	return list
}

func orderVectors(t testing.TB) (list []orderVector) {
	charter := testCharter()
	bank, previous := charter.ID(), hashOf("previous order")
	order := func(name string, o ledger.Order) {
		priv := privateKey("member")
		signed(t, priv, &o)
		key, digest := ledger.KeyOf(priv), o.Digest()
		leaf, data := ledger.EntryLeaf(o.Bytes()), o.Bytes()
		v := orderVector{Name: name, PrivateKey: priv.Serialize(), PublicKey: key[:], Bank: o.Bank[:],
			Payer: o.Payer, Sequence: o.Sequence, Previous: o.Previous[:], Expiry: o.Expiry, Kind: byte(o.Kind()),
			Unsigned: data[:len(data)-64], Digest: digest[:], Signature: o.Signature[:], Bytes: data, Leaf: leaf[:]}
		switch b := o.Body.(type) {
		case *ledger.Open:
			v.Key = b.Key[:]
		case *ledger.Transfer:
			v.Reference = b.Reference
			for _, p := range b.Payments {
				v.Payments = append(v.Payments, paymentVector{p.Payee, int64(p.Amount)})
			}
		case *ledger.Withdraw:
			v.Amount, v.FeeMax, v.Script = int64(b.Amount), int64(b.FeeMax), b.Script
		case *ledger.Cancel:
			v.Cancelled = b.Sequence
		case *ledger.Standing:
			v.Keep, v.Every, v.FeeMax, v.Script = int64(b.Keep), b.Every, int64(b.FeeMax), b.Script
		}
		list = append(list, v)
	}
	next := func(body ledger.Body) ledger.Order {
		return ledger.Order{Bank: bank, Payer: 16, Sequence: 1, Previous: previous, Body: body}
	}
	order("open", ledger.Order{Bank: bank, Body: &ledger.Open{Key: ledger.KeyOf(privateKey("member"))}})
	order("open with an expiry", ledger.Order{Bank: bank, Expiry: 850_000, Body: &ledger.Open{Key: ledger.KeyOf(privateKey("member"))}})
	order("transfer of a satoshi", next(pay(17, 1)))
	order("transfer of 21 million BTC", next(pay(17, ledger.MaxAmount)))
	three := next(&ledger.Transfer{Payments: []ledger.Payment{{Payee: 17, Amount: 1_000}, {Payee: ledger.Treasury, Amount: 2_000}, {Payee: 17, Amount: 3_000}}, Reference: []byte("thrice")})
	three.Sequence, three.Expiry = 1<<64-1, 1<<32-1
	order("transfer to three payees", three)
	order("transfer with the longest reference", next(&ledger.Transfer{Payments: payments(1, 18, 5), Reference: []byte(strings.Repeat("r", ledger.MaxReference))}))
	shard := next(pay(otherShard, 7))
	shard.Payer = 1<<32 | 20
	order("transfer within another shard", shard)
	for _, s := range []struct {
		name   string
		script []byte
	}{{"P2PKH", scriptP2PKH}, {"P2SH", scriptP2SH}, {"P2WPKH", scriptP2WPKH}, {"P2WSH", scriptP2WSH}, {"P2TR", scriptP2TR}} {
		order("withdraw to "+s.name, next(&ledger.Withdraw{Amount: 50_000, FeeMax: 900, Script: s.script}))
	}
	order("close", next(&ledger.Close{}))
	order("cancel", next(&ledger.Cancel{Sequence: 1<<40 + 7}))
	order("standing payout", next(&ledger.Standing{Keep: 1_000_000, Every: 144, FeeMax: 900, Script: scriptP2TR}))
	order("end of a standing payout", next(&ledger.Standing{}))
	return list
}

func eventVectors(t testing.TB) (list []eventVector) {
	tx := func(n int) hexBytes { h := hashOf("tx %d", n); return h[:] }
	outPoint := func(n int) outPointVector { return outPointVector{tx(n), uint32(n)} }
	list = []eventVector{
		{Name: "block", Block: &blockVector{850_000, tx(1), tx(2)}},
		{Name: "deposit", Deposit: &depositVector{outPoint(1), 100_000, 0, 0, 16, 850_000, 7}},
		{Name: "deposit to the vault's second key", Deposit: &depositVector{outPoint(2), 1, 1, 0, 2, 850_001, 1}},
		{Name: "deposit from a coinbase to a change address", Deposit: &depositVector{outPoint(0), int64(ledger.MaxAmount), 0, 1, 3, 849_903, 0}},
		{Name: "cut without payouts", Cut: &cutVector{1, 1, 1_000, 154, []outPointVector{outPoint(1)}, []payoutVector{}}},
		{Name: "cut", Cut: &cutVector{2, 3, 12_345, 4_000, []outPointVector{outPoint(1), outPoint(2)},
			[]payoutVector{{16, 1, 400}, {17, 9, 0}, {16, 2, 900}}}},
		{Name: "settled", Settled: &settledVector{2, 3, tx(3), 4}},
		{Name: "settled without change", Settled: &settledVector{3, 1, tx(4), ledger.NoChange}},
		{Name: "rekey", Rekey: newRekeyVector(t, 1, `{"threshold":3}`)},
		{Name: "rekey with the largest policy", Rekey: newRekeyVector(t, 1<<32-1, strings.Repeat("p", ledger.MaxPolicySize))},
		{Name: "draw", Draw: &drawVector{1<<32 - 1}},
		{Name: "reorganised without a difference", Reorganised: &reorganisedVector{850_000, 850_002, tx(5), []outPointVector{}, []addedVector{}, []orderRefVector{}}},
		{Name: "reorganised", Reorganised: &reorganisedVector{850_000, 850_000, tx(6), []outPointVector{outPoint(1), outPoint(2)},
			[]addedVector{{outPoint(3), 70_000, 1, 1, 9, false}, {outPoint(4), 5_000, 0, 0, 17, true}}, []orderRefVector{{16, 1}, {17, 1<<40 + 1}}}},
		{Name: "correct", Correct: &correctVector{ledger.Treasury, 1_234, 77, 3}},
	}
	for i := range list {
		e := ledger.Entry{Event: list[i].event()}
		leaf := e.Leaf()
		list[i].Kind, list[i].Bytes, list[i].Leaf = byte(e.Kind()), e.Bytes(), leaf[:]
	}
	return list
}

func newRekeyVector(t testing.TB, generation uint32, policy string) *rekeyVector {
	charter, priv := testCharter(), privateKey("vault")
	bank, key := charter.ID(), ledger.KeyOf(priv)
	e := ledger.Rekey{Generation: generation, Policy: []byte(policy)}
	digest := e.Digest(bank)
	sig, err := schnorr.Sign(priv, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return &rekeyVector{bank[:], generation, policy, digest[:], priv.Serialize(), key[:], sig.Serialize()}
}

func headerVectors(t testing.TB) []headerVector {
	charter := testCharter()
	first := ledger.Header{Bank: charter.ID(), Number: 1, Epoch: 1, Time: 1_700_000_000_000, Previous: charter.ID(), Root: hashOf("root"), Count: 1}
	later := ledger.Header{Bank: charter.ID(), Number: 1<<64 - 1, Epoch: 1 << 40, Time: 1 << 50, Previous: first.Hash(), Root: hashOf("root"), Count: ledger.MaxBatch}
	return []headerVector{newHeaderVector(signHeader(t, first)), newHeaderVector(signHeader(t, later))}
}

func receiptVectors(t testing.TB) (list []receiptVector) {
	for count := 1; count <= 9; count++ {
		v := receiptVector{Charter: testCharter()}
		var leaves []ledger.Hash
		for i := range count {
			e := ledger.Entry{Event: &ledger.Block{Height: uint32(i), Hash: hashOf("block %d", i), Previous: hashOf("block %d", i-1)}}
			v.Entries = append(v.Entries, e.Bytes())
			leaves = append(leaves, e.Leaf())
		}
		tree := ledger.NewMerkleTree(leaves)
		bank := v.Charter.ID()
		header := signHeader(t, ledger.Header{Bank: bank, Number: 1, Epoch: 1, Time: 1_700_000_000_000, Previous: bank, Root: tree.Root(), Count: uint32(count)})
		v.Header = newHeaderVector(header)
		for i := range count {
			r := ledger.Receipt{Header: header, Index: uint32(i), Path: tree.Path(i)}
			w := struct {
				Index uint32     `json:"index"`
				Path  []hexBytes `json:"path"`
				Bytes hexBytes   `json:"bytes"`
			}{Index: r.Index, Path: []hexBytes{}, Bytes: r.Bytes()}
			for _, h := range r.Path {
				w.Path = append(w.Path, h[:])
			}
			v.Receipts = append(v.Receipts, w)
		}
		list = append(list, v)
	}
	return list
}

func merkleVectors(testing.TB) (list []merkleVector) {
	for count := range 10 {
		v := merkleVector{Leaves: []hexBytes{}}
		var leaves []ledger.Hash
		for i := range count {
			leaf := hashOf("leaf %d", i)
			leaves, v.Leaves = append(leaves, leaf), append(v.Leaves, leaf[:])
		}
		root := ledger.MerkleRoot(leaves)
		v.Root = root[:]
		list = append(list, v)
	}
	return list
}

func sumVectors(testing.TB) (list []sumVector) {
	for count := range 10 {
		v := sumVector{Owed: []int64{}, Paths: [][]sumNodeVector{}}
		for i := range count {
			v.Owed = append(v.Owed, int64(i*i*i*1_000))
		}
		root := sumRootOf(v.Owed)
		v.Root, v.Sum = root.Hash[:], int64(root.Sum)
		for i := range count {
			v.Paths = append(v.Paths, handSumPath(i, 0, v.Owed))
		}
		list = append(list, v)
	}
	return list
}

func journalVectors(testing.TB) (list []journalVector) {
	var headers []ledger.Hash
	var tree ledger.JournalTree
	read := func(first, last uint64) ([]ledger.Hash, error) { return headers[first-1 : last], nil }
	for count := range uint64(10) {
		v := journalVector{Headers: []hexBytes{}, Paths: [][]hexBytes{}, Consistency: [][]hexBytes{}}
		for _, h := range headers {
			v.Headers = append(v.Headers, h[:])
		}
		root := ledger.JournalRootOf(headers)
		v.Root = root[:]
		for batch := uint64(1); batch <= count; batch++ {
			path, _ := tree.Path(batch, count, read)
			v.Paths = append(v.Paths, hexList(path))
			path, _ = tree.Consistency(batch, count, read)
			v.Consistency = append(v.Consistency, hexList(path))
		}
		list = append(list, v)
		headers = append(headers, hashOf("header %d", count+1))
		tree.Add(headers[count])
	}
	return list
}

func hexList(hashes []ledger.Hash) []hexBytes {
	list := []hexBytes{}
	for _, h := range hashes {
		list = append(list, h[:])
	}
	return list
}

func booksVectors(testing.TB) (list []booksVector) {
	for i, sum := range []int64{0, 123_456_789, int64(ledger.MaxAmount)} {
		header, journal, root := hashOf("header %d", i), hashOf("journal root %d", i), hashOf("sum root %d", i)
		books := ledger.Books{Header: header, Batch: uint64(i)*1_000_000 + 1, Journal: journal, Accounts: uint32(16 + i*1_000_000), Root: ledger.SumNode{Hash: root, Sum: ledger.Amount(sum)}}
		hash := books.Hash()
		list = append(list, booksVector{header[:], books.Batch, journal[:], books.Accounts, root[:], sum, hash[:], uint32(i + 1), concat([]byte("DAOB"), u32(uint32(i+1)), hash[:])})
	}
	return list
}

func malformedVectors(t testing.TB) (list []malformedVector) {
	charter := testCharter()
	bank := charter.ID()
	add := func(format, name string, code ledger.Code, data []byte) {
		list = append(list, malformedVector{Name: name, Format: format, Bytes: data, Code: code})
	}
	text := func(format, name string, code ledger.Code, s string) {
		v := malformedVector{Name: name, Format: format, Text: s, Code: code}
		if format == "account" {
			v.Bank = bank[:]
		}
		list = append(list, v)
	}
	set := func(b []byte, at int, v ...byte) []byte {
		b = slices.Clone(b)
		copy(b[at:], v)
		return b
	}
	const body = 86 // offset of an order's body
	orders := make(map[string][]byte)
	for _, v := range orderVectors(t) {
		orders[v.Name] = v.Bytes
	}
	transfer, withdraw := orders["transfer of a satoshi"], orders["withdraw to P2WPKH"]
	add("order", "nothing", ledger.CodeMalformed, nil)
	add("order", "one byte", ledger.CodeMalformed, []byte{1})
	add("order", "version 0", ledger.CodeMalformed, set(transfer, 0, 0))
	add("order", "version 2", ledger.CodeMalformed, set(transfer, 0, 2))
	add("order", "kind 0", ledger.CodeMalformed, set(transfer, 1, 0))
	add("order", "kind 7", ledger.CodeMalformed, set(transfer, 1, 7))
	add("order", "an event's kind", ledger.CodeMalformed, set(transfer, 1, 64))
	add("order", "a transfer said to be an open", ledger.CodeMalformed, set(transfer, 1, 1))
	add("order", "cut short in the prefix", ledger.CodeMalformed, transfer[:40])
	add("order", "cut short in the body", ledger.CodeMalformed, transfer[:body+5])
	add("order", "cut short by a byte", ledger.CodeMalformed, transfer[:len(transfer)-1])
	add("order", "followed by a byte", ledger.CodeMalformed, concat(transfer, []byte{0}))
	add("order", "a payment fewer than counted", ledger.CodeMalformed, set(transfer, body+1, 0, 2))
	add("order", "more payments than bytes", ledger.CodeMalformed, set(transfer, body+1, 3, 0xe8))
	add("order", "1,001 payees", ledger.CodeOversized, set(transfer, body+1, 3, 0xe9))
	add("order", "65,535 payees", ledger.CodeOversized, set(transfer, body+1, 0xff, 0xff))
	add("order", "reference of 65 bytes", ledger.CodeOversized, concat(transfer[:body], []byte{65}, make([]byte, 65), transfer[body+1:]))
	add("order", "script of 43 bytes", ledger.CodeMalformed, concat(withdraw[:body+16], []byte{43}, make([]byte, 43), make([]byte, 64)))
	add("order", "script longer than the order", ledger.CodeMalformed, set(withdraw, body+16, 255))
	add("order", "close with a body", ledger.CodeMalformed, concat(orders["close"], []byte{0}))

	events := make(map[string][]byte)
	for _, v := range eventVectors(t) {
		events[v.Name] = v.Bytes
		add("entry", v.Name+" cut short by a byte", ledger.CodeMalformed, v.Bytes[:len(v.Bytes)-1])
		add("entry", v.Name+" followed by a byte", ledger.CodeMalformed, concat(v.Bytes, []byte{0}))
	}
	cut := events["cut"]
	add("entry", "nothing", ledger.CodeMalformed, nil)
	add("entry", "version 0 of an event", ledger.CodeMalformed, set(events["block"], 0, 0))
	add("entry", "kind 63", ledger.CodeMalformed, set(events["block"], 1, 63))
	add("entry", "kind 72", ledger.CodeMalformed, set(events["block"], 1, 72))
	add("entry", "reorganised with more lost coins than may be", ledger.CodeMalformed,
		concat(events["reorganised"][:42], u16(ledger.MaxReorganised+1), make([]byte, 36*(ledger.MaxReorganised+1)+4)))
	add("entry", "kind 255", ledger.CodeMalformed, set(events["block"], 1, 255))
	add("entry", "cut with more inputs than bytes", ledger.CodeMalformed, set(cut, 24, 5, 0xdc))

	header := headerVectors(t)[0].Bytes
	add("header", "nothing", ledger.CodeMalformed, nil)
	add("header", "version 2", ledger.CodeMalformed, set(header, 0, 2))
	add("header", "cut short by a byte", ledger.CodeMalformed, header[:len(header)-1])
	add("header", "followed by a byte", ledger.CodeMalformed, concat(header, []byte{0}))

	receipt := receiptVectors(t)[2].Receipts[0].Bytes
	add("receipt", "nothing", ledger.CodeMalformed, nil)
	add("receipt", "version 2", ledger.CodeMalformed, set(receipt, 0, 2))
	add("receipt", "header cut short", ledger.CodeMalformed, receipt[:100])
	add("receipt", "path cut short", ledger.CodeMalformed, receipt[:len(receipt)-1])
	add("receipt", "followed by a byte", ledger.CodeMalformed, concat(receipt, []byte{0}))
	add("receipt", "path of 33 steps", ledger.CodeMalformed, concat(receipt[:len(header)+4], []byte{33}, make([]byte, 33*32)))
	text("receipt text", "nothing", ledger.CodeMalformed, "")
	text("receipt text", "odd number of digits", ledger.CodeMalformed, fmt.Sprintf("%x", receipt)[1:])
	text("receipt text", "not hex", ledger.CodeMalformed, strings.Repeat("g", 2*len(receipt)))
	text("receipt text", "longer than any", ledger.CodeOversized, strings.Repeat("00", len(header)+5+33*32))

	address := ledger.FormatAccount(bank, 16)
	text("account", "nothing", ledger.CodeMalformed, "")
	text("account", "a digit changed", ledger.CodeMalformed, address[:10]+string(address[10]^1)+address[11:])
	text("account", "two digits swapped", ledger.CodeMalformed, address[:6]+string([]byte{address[7], address[6]})+address[8:])
	text("account", "a digit missing", ledger.CodeMalformed, address[:29])
	text("account", "mixed case", ledger.CodeMalformed, "DAO1"+address[4:])
	text("account", "another program's, though its checksum is right", ledger.CodeMalformed, handBech32("dap", concat(bank[:4], u64(16)), bech32m))
	text("account", "bech32, not bech32m", ledger.CodeMalformed, handBech32("dao", concat(bank[:4], u64(16)), bech32))
	text("account", "11 bytes", ledger.CodeMalformed, handBech32("dao", concat(bank[:4], u64(16)[1:]), bech32m))
	text("account", "13 bytes", ledger.CodeMalformed, handBech32("dao", concat(bank[:4], u64(16), u8(0)), bech32m))
	text("account", "a Bitcoin address of BIP-350", ledger.CodeMalformed, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0")
	text("account", "a Bitcoin address of BIP-173", ledger.CodeMalformed, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
	text("account", "longer than any", ledger.CodeMalformed, "dao1"+strings.Repeat("q", 100))
	text("account", "another bank's", ledger.CodeWrongBank, ledger.FormatAccount(hashOf("another bank"), 16))

	for _, s := range []string{"", "x", "0", "-1", "-0.00000001", "0.000000001", "1.000000001", "21000000.00000001", "21000001", "1e99999999999999999",
		"1e17", "1e-65", "NaN", "Inf", "0x10", "1,5", "1 000", "1_000", "٣", strings.Repeat("0", 33)} {
		text("amount", fmt.Sprintf("%q", s), ledger.CodeAmount, s)
	}
	return list
}
