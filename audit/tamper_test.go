package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// Each row tampers with one thing and says which checks notice; the first is
// the one that the report names first.
func TestTampering(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tamper func(s *story)
		want   []string
		first  string
	}{
		{"one satoshi moved in the stored balances", func(s *story) {
			s.table.Balances[len(s.table.Balances)-1].Amount++
			s.table.Balances[len(s.table.Balances)-2].Amount--
		}, []string{"balances"}, "after batch 14 account 16 is stored with 2299998 sat, by the journal it holds 2299999 sat"},
		{"an account not stored", func(s *story) {
			s.table.Balances = s.table.Balances[:len(s.table.Balances)-1]
		}, []string{"balances"}, "account 17 holds"},
		{"an account that was never opened", func(s *story) {
			s.table.Balances = append(s.table.Balances, audit.Balance{Account: 99})
		}, []string{"balances"}, "account 99 is stored with 0 sat and was never opened"},
		{"an account stored under another key", func(s *story) {
			s.table.Balances[len(s.table.Balances)-1].Key[0] ^= 1
		}, []string{"balances"}, "account 17 is stored with the key"},
		{"the journal cut short", func(s *story) {
			*s.journal = (*s.journal)[:len(*s.journal)-1]
		}, []string{"balances"}, "the stored balances stand at batch 14, the journal ends at batch 13"},
		{"a batch removed", func(s *story) {
			*s.journal = append((*s.journal)[:3], (*s.journal)[4:]...)
		}, []string{"journal"}, "batch 5: it follows batch 3"},
		{"an order removed", func(s *story) {
			s.lastBatch().Entries = s.lastBatch().Entries[1:]
		}, []string{"journal"}, "batch 14: its header counts 1 entries, it has 0"},
		{"an order changed", func(s *story) {
			s.lastBatch().Entries[0][100]++
		}, []string{"journal"}, "batch 14: its entries have the root"},
		{"an order changed by the operator", func(s *story) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte { e[0][104]++; return e }) // the lowest byte of the amount
		}, []string{"orders"}, "batch 14 entry 0"},
		{"an order signed by another key", func(s *story) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte {
				o, err := ledger.DecodeOrder(e[0])
				if err != nil {
					s.Fatal(err)
				}
				o.Sign(audittest.Key("mallory"))
				return [][]byte{o.Bytes()}
			})
		}, []string{"orders"}, "batch 14 entry 0: order 2 of account 16 is not signed by the account's key"},
		{"an order that the rules refuse", func(s *story) {
			o := s.Next(s.ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.bob.ID, Amount: 1}}})
			o.Sign(s.ann.Key)
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte { return append(e, o.Bytes(), o.Bytes()) })
		}, []string{"orders"}, "batch 14 entry 2: the books refuse it"},
		{"bytes that are no entry", func(s *story) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte { return append(e, []byte{9, 9}) })
		}, []string{"orders"}, "batch 14 entry 1: it cannot be read"},
		{"a transfer removed from the end by the operator", func(s *story) {
			s.twoOrders()
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte { return e[:1] })
		}, []string{"balances"}, "after batch 15 account 16 is stored with"},
		{"a transfer removed from the middle, all signed anew", func(s *story) {
			s.twoOrders()
			s.Bank.Rewrite(s.journal, len(*s.journal)-1, func(e [][]byte) [][]byte { return e[1:] })
		}, []string{"orders"}, "batch 15 entry 0: the books refuse it: sequence 4 of account 16 comes too early: the next is 3"},
		{"a batch's transfer removed, and the journal signed anew", func(s *story) {
			s.twoOrders()
			s.Bank.Rewrite(s.journal, 13, func([][]byte) [][]byte {
				o := &ledger.Order{Bank: s.Books.Bank(), Body: &ledger.Open{Key: ledger.KeyOf(audittest.Key("mallory"))}}
				if err := o.Sign(audittest.Key("mallory")); err != nil {
					s.Fatal(err)
				}
				return [][]byte{o.Bytes()}
			})
		}, []string{"orders"}, "batch 15 entry 0: the books refuse it: sequence 3 of account 16 comes too early"},
		{"a transfer inserted that nobody signed", func(s *story) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte {
				return append(e, s.Next(s.ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.bob.ID, Amount: 5}}}).Bytes())
			})
		}, []string{"orders"}, "batch 14 entry 1: order 3 of account 16 is not signed by the account's key"},
		{"a transfer repeated", func(s *story) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte { return append(e, e[0]) })
		}, []string{"orders"}, "batch 14 entry 1: the books refuse it: sequence 2 of account 16 is used by another order"},
		{"two transfers reordered", func(s *story) {
			s.twoOrders()
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte { return [][]byte{e[1], e[0]} })
		}, []string{"orders"}, "batch 15 entry 0: the books refuse it: sequence 4 of account 16 comes too early"},
		{"one satoshi moved from the payee of an order to another account", func(s *story) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte {
				o, err := ledger.DecodeOrder(e[0])
				if err != nil {
					s.Fatal(err)
				}
				o.Body.(*ledger.Transfer).Payments[0].Payee = ledger.Treasury
				return [][]byte{o.Bytes()}
			})
		}, []string{"orders"}, "batch 14 entry 0: order 2 of account 16 is not signed"},
		{"an order of another bank", func(s *story) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte {
				o := s.Next(s.ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.bob.ID, Amount: 5}}})
				o.Bank[0] ^= 1
				if err := o.Sign(s.ann.Key); err != nil {
					s.Fatal(err)
				}
				return append(e, o.Bytes())
			})
		}, []string{"orders"}, "batch 14 entry 1: the books refuse it: the order is for bank"},
		{"a header changed", func(s *story) { s.lastBatch().Header.Time++ }, []string{"journal"}, "batch 14: its header is not signed by the operator"},
		{"a header linked to another and signed anew", func(s *story) {
			s.Bank.Resign(s.journal, func(h *ledger.Header) { h.Previous[0] ^= 1 })
		}, []string{"journal"}, "batch 14: it names"},
		{"a header with an older epoch", func(s *story) {
			s.Bank.Resign(s.journal, func(h *ledger.Header) { h.Epoch = 0 })
		}, []string{"journal"}, "batch 14: epoch 0 is older than epoch 1 before it"},
		{"a header with an earlier time", func(s *story) {
			s.Bank.Resign(s.journal, func(h *ledger.Header) { h.Time = 0 })
		}, []string{"journal"}, "batch 14: its time 0 is before"},
		{"a header of another bank", func(s *story) {
			s.Bank.Resign(s.journal, func(h *ledger.Header) { h.Bank[0] ^= 1 })
		}, []string{"journal"}, "batch 14: the header is of bank"},
		{"a header of another number", func(s *story) {
			s.Bank.Resign(s.journal, func(h *ledger.Header) { h.Number = 13 })
		}, []string{"journal"}, "batch 13: it follows batch 13"},
		{"a header that counts one entry more", func(s *story) {
			s.Bank.Resign(s.journal, func(h *ledger.Header) { h.Count++ })
		}, []string{"journal"}, "batch 14: its header counts 2 entries, it has 1"},
		{"a second history shown to a second auditor", func(s *story) {
			s.heads = map[uint64]ledger.Hash{14: {1}}
		}, []string{"journal"}, "batch 14 has the header"},
		{"an account stored twice", func(s *story) {
			s.table.Balances = append(s.table.Balances, s.table.Balances[len(s.table.Balances)-1])
		}, []string{"balances"}, "account 17 is stored twice"},
		{"a header signed by another key", func(s *story) {
			b := s.lastBatch()
			*b = *audittest.Sign(s, audittest.Key("mallory"), b.Header.Header, b.Entries)
		}, []string{"journal"}, "batch 14: its header is not signed by the operator"},
		{"a deposit credited without a coin", func(s *story) {
			s.Report = func(honest []ledger.Event) []ledger.Event {
				h := honest[0].(*ledger.Block).Height
				return append(honest, &ledger.Deposit{OutPoint: ledger.OutPoint{Vout: 7}, Amount: 5_000, Index: 16, Height: h, TxIndex: 1})
			}
			s.Mine()
			s.publish()
		}, []string{"chain", "coins", "sum"}, "batch 15: block 11: deposit"},
		{"a deposit credited twice in its block", func(s *story) {
			s.Report = func(honest []ledger.Event) []ledger.Event { return honest }
			s.Deposit(s.ann.ID, 1_000)
			s.publish()
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte { return append(e, e[len(e)-1]) })
		}, []string{"chain"}, "does not follow the one before it on the chain"},
		{"a deposit credited again later", func(s *story) {
			var first *ledger.Deposit
			s.Report = func(honest []ledger.Event) []ledger.Event {
				for _, e := range honest {
					if d, ok := e.(*ledger.Deposit); ok {
						first = d
					}
				}
				return honest
			}
			s.Deposit(s.ann.ID, 1_000)
			s.Mine()
			s.publish()
			height, _ := s.Books.Block()
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte {
				again := *first
				again.Height = height
				return append(e, ledger.Entry{Event: &again}.Bytes())
			})
		}, []string{"chain"}, "is credited already"},
		{"a deposit on a branch that lost", func(s *story) {
			s.Deposit(s.ann.ID, 1_000)
			s.publish()
			s.Chain.Drop(audittest.Depth)
			for range audittest.Depth + 1 {
				s.Chain.Mine()
			}
		}, []string{"chain", "coins", "sum"}, "the books record a block that the chain does not show"},
		{"a settlement posted twice", func(s *story) {
			var posted ledger.Event
			s.Report = func(honest []ledger.Event) []ledger.Event {
				if e := honest[len(honest)-1]; e.Kind() == ledger.KindSettled {
					posted = e
				}
				return honest
			}
			s.Withdraw(s.ann, 50_000, 1_000, audittest.Script("ann outside"))
			s.Settle(2_000)
			s.publish()
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte { return append(e, ledger.Entry{Event: posted}.Bytes()) })
		}, []string{"chain"}, "the books refuse it"},
		{"a deposit of more than its coin", func(s *story) {
			s.Report = func(honest []ledger.Event) []ledger.Event {
				for _, e := range honest {
					if d, ok := e.(*ledger.Deposit); ok {
						d.Amount += 5
					}
				}
				return honest
			}
			s.Deposit(s.ann.ID, 1_000)
			s.publish()
		}, []string{"chain", "coins", "sum"}, "is on chain as 1000 sat"},
		{"a deposit credited to another member", func(s *story) {
			s.Report = func(honest []ledger.Event) []ledger.Event {
				for _, e := range honest {
					if d, ok := e.(*ledger.Deposit); ok {
						d.Index = s.bob.ID.Index()
					}
				}
				return honest
			}
			s.Deposit(s.ann.ID, 1_000)
			s.publish()
		}, []string{"chain"}, "is on chain as 1000 sat to"},
		{"a deposit left out", func(s *story) {
			s.Report = func(honest []ledger.Event) []ledger.Event { return honest[:1] }
			s.Deposit(s.ann.ID, 1_000)
			s.publish()
		}, []string{"chain", "coins", "sum"}, "the chain shows a deposit that the books leave out"},
		{"a block of another chain", func(s *story) {
			s.Report = func(honest []ledger.Event) []ledger.Event {
				honest[0].(*ledger.Block).Hash[0] ^= 1
				return honest
			}
			s.Mine()
			s.publish()
		}, []string{"chain"}, "the books record a block that the chain does not show"},
		{"a block left out", func(s *story) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte {
				height, hash := s.Books.Block()
				return append(e, ledger.Entry{Event: &ledger.Block{Height: height + 2, Previous: hash}}.Bytes())
			})
		}, []string{"chain"}, "batch 14 entry 1: block 12 does not follow block 10"},
		{"a settlement that pays another address", func(s *story) {
			s.stealSettlement(func(tx *wire.MsgTx) {
				for _, out := range tx.TxOut {
					if string(out.PkScript) == string(audittest.Script("ann outside")) {
						out.PkScript = audittest.Script("mallory")
					}
				}
			})
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"a settlement that pays less", func(s *story) {
			s.stealSettlement(func(tx *wire.MsgTx) { outputTo(tx, "ann outside").Value -= 1000 })
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"a settlement that pays one withdrawal twice", func(s *story) {
			s.stealSettlement(func(tx *wire.MsgTx) {
				out := *outputTo(tx, "ann outside")
				tx.AddTxOut(&out)
				s.change(tx).Value -= out.Value
			})
		}, []string{"chain", "settlements", "spends", "coins", "sum"}, "the books record a settled that the chain does not show"},
		{"a settlement without a payout", func(s *story) {
			s.stealSettlement(func(tx *wire.MsgTx) {
				out := outputTo(tx, "ann outside")
				s.change(tx).Value += out.Value
				tx.TxOut = slices.DeleteFunc(tx.TxOut, func(o *wire.TxOut) bool { return o == out })
			})
		}, []string{"chain", "settlements", "spends", "coins", "sum"}, "the books record a settled that the chain does not show"},
		{"an anchor of another cut", func(s *story) {
			s.anchor(func(open *ledger.OpenCut) ledger.Books {
				books := open.Books
				books.Header = ledger.Hash{1}
				return books
			})
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"an anchor of a tree with a negative leaf", func(s *story) {
			s.forgeTree(func(owed []ledger.Amount) { owed[s.bob.ID], owed[s.ann.ID] = -1, owed[s.ann.ID]+owed[s.bob.ID]+1 })
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"an anchor of a tree whose leaf overflows", func(s *story) {
			s.forgeTree(func(owed []ledger.Amount) { owed[s.ann.ID] = math.MaxInt64 })
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"an anchor of a tree without one liability", func(s *story) {
			s.forgeTree(func(owed []ledger.Amount) { owed[s.bob.ID] = 0 })
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"an anchor of a total below the leaves' sum", func(s *story) {
			s.anchor(func(open *ledger.OpenCut) ledger.Books {
				books := open.Books
				books.Root.Sum--
				return books
			})
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"an anchor of a tree with fewer accounts", func(s *story) {
			s.anchor(func(open *ledger.OpenCut) ledger.Books {
				books := open.Books
				books.Accounts--
				return books
			})
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"a settlement with another anchor", func(s *story) {
			s.stealSettlement(func(tx *wire.MsgTx) {
				for _, out := range tx.TxOut {
					if out.PkScript[0] == 0x6a {
						out.PkScript[20] ^= 1
					}
				}
			})
		}, []string{"chain", "settlements", "spends"}, "the books record a settled that the chain does not show"},
		{"a new key that the guardians did not sign", func(s *story) {
			s.rekey(func(e *ledger.Rekey) { e.Signature[40] ^= 1 })
		}, []string{"keys"}, "batch 15 entry 0: the vault's key is not changed so: generation 1 of the vault's key: it is not signed by the key before"},
		{"a new key of the operator's own choice", func(s *story) {
			s.rekey(func(e *ledger.Rekey) {
				e.Policy = bytes.Replace(e.Policy, []byte(`"guardians":4`), []byte(`"guardians":5`), 1)
			})
		}, []string{"keys"}, "it is not signed by the key before"},
		{"a coin of the new key spent outside a settlement", func(s *story) {
			s.Rekey(2, 4)
			s.Settle(2_000)
			s.steal(s.Books.Coins()[0])
		}, []string{"spends", "coins", "sum"}, "is spent by transaction"},
		{"a deposit to the key before left out", func(s *story) {
			s.Rekey(2, 4)
			s.Settle(2_000)
			s.Report = func(honest []ledger.Event) []ledger.Event { return honest[:1] }
			s.Deposit(s.ann.ID, 1_000) // to an address of the founding
			s.publish()
		}, []string{"chain", "coins", "sum"}, "the chain shows a deposit that the books leave out"},
		{"a vault coin spent outside a settlement", func(s *story) {
			s.steal(s.Books.Coins()[1])
		}, []string{"spends", "coins", "sum"}, "of 30000 sat is spent by transaction"},
		{"a coin counted twice in the reserves", func(s *story) {
			coin := s.Books.Coins()[0]
			s.scanner.Twice[wire.OutPoint{Hash: [32]byte(coin.TxID), Index: coin.Vout}] = true
		}, []string{"scan"}, "is counted twice among the node's unspent outputs"},
		{"a coin missing on chain", func(s *story) {
			coin := s.Books.Coins()[0]
			s.scanner.Hide[wire.OutPoint{Hash: [32]byte(coin.TxID), Index: coin.Vout}] = true
		}, []string{"scan", "sum"}, "stands in the blocks and not in the node's unspent outputs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			tt.tamper(s)
			r := s.audit()
			if got := strings.Join(failed(r), " "); got != strings.Join(tt.want, " ") {
				t.Errorf("found by %q, want %q", got, tt.want)
			}
			if r.OK || r.First == nil || !strings.Contains(r.First.Text, tt.first) {
				t.Errorf("the first difference is %+v, want %q", r.First, tt.first)
			}
			if sum := r.Check(audit.CheckSum); sum.Skipped == "" && sum.OK != r.Equal {
				t.Errorf("equal is %v, the sum is found %v", r.Equal, sum.OK)
			}
		})
	}
}

// twoOrders adds a batch of two payments of ann.
func (s *story) twoOrders() {
	s.Helper()
	for _, amount := range []ledger.Amount{5, 6} {
		s.Order(s.ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.bob.ID, Amount: amount}}})
	}
	s.Seal()
	s.publish()
}

// outputTo is the output that pays a script made from a name.
func outputTo(tx *wire.MsgTx, name string) *wire.TxOut {
	i := slices.IndexFunc(tx.TxOut, func(o *wire.TxOut) bool { return bytes.Equal(o.PkScript, audittest.Script(name)) })
	return tx.TxOut[i]
}

// change is the output that returns to the vault.
func (s *story) change(tx *wire.MsgTx) *wire.TxOut {
	script := s.To(taproot.Change, s.Books.Settlements(), 0).PkScript
	i := slices.IndexFunc(tx.TxOut, func(o *wire.TxOut) bool { return bytes.Equal(o.PkScript, script) })
	return tx.TxOut[i]
}

// anchor makes the guardians sign a settlement whose anchor commits to other books.
func (s *story) anchor(forge func(open *ledger.OpenCut) ledger.Books) {
	s.Helper()
	s.stealSettlement(func(tx *wire.MsgTx) {
		books := forge(s.Books.Open())
		hash := books.Hash()
		i := slices.IndexFunc(tx.TxOut, func(o *wire.TxOut) bool { return o.PkScript[0] == 0x6a })
		copy(tx.TxOut[i].PkScript[len(tx.TxOut[i].PkScript)-32:], hash[:])
	})
}

// forgeTree anchors the sum tree of other balances than the books have. With the
// balances of the books it gives their own root.
func (s *story) forgeTree(change func(owed []ledger.Amount)) {
	s.Helper()
	s.anchor(func(open *ledger.OpenCut) ledger.Books {
		owed := make([]ledger.Amount, s.Books.Accounts())
		for id := range owed {
			if ledger.AccountID(id) != ledger.Vault {
				owed[id] = s.Books.Balance(ledger.AccountID(id))
			}
		}
		if root := sumRoot(owed, 0); root != open.Books.Root {
			s.Fatalf("the test's tree has the root %v, the books %v", root, open.Books.Root)
		}
		change(owed)
		books := open.Books
		books.Root = sumRoot(owed, 0)
		return books
	})
}

// sumRoot is the sum tree's root as docs/formats.md describes it, written from the page.
func sumRoot(owed []ledger.Amount, first ledger.AccountID) ledger.SumNode {
	if len(owed) == 1 {
		return ledger.SumLeaf(first, owed[0])
	}
	half := 1
	for 2*half < len(owed) {
		half *= 2
	}
	left, right := sumRoot(owed[:half], first), sumRoot(owed[half:], first+ledger.AccountID(half))
	tag := sha256.Sum256([]byte("daobank/sum/node"))
	b := append(append(tag[:], tag[:]...), left.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(left.Sum))
	b = append(b, right.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(right.Sum))
	return ledger.SumNode{Hash: sha256.Sum256(b), Sum: left.Sum + right.Sum}
}
