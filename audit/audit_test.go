package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// A story is a bank with some history, and the auditor's view of it, which a
// test may tamper with.
type story struct {
	*audittest.Bank
	ann, bob *audittest.Member
	journal  *audittest.Journal
	table    *audit.Table
	scanner  *audittest.Scanner
	heads    map[uint64]ledger.Hash
	dropped  []*wire.MsgBlock
}

// newStory: two members and the treasury get coins, ann pays bob, bob withdraws
// twice to one script, one settlement is posted, and life goes on after it.
func newStory(t *testing.T) *story {
	t.Helper()
	b := audittest.New(t)
	s := &story{Bank: b, ann: b.Open("ann"), bob: b.Open("bob")}
	b.Deposit(ledger.Treasury, 50_000)
	b.Deposit(s.ann.ID, 1_000_000, 2_000_000)
	b.Pay(s.ann, s.bob, 700_000)
	b.Withdraw(s.bob, 100_000, 1_000, audittest.Script("bob outside"))
	b.Withdraw(s.bob, 200_000, 1_000, audittest.Script("bob outside"))
	b.Settle(2_000)
	b.Deposit(s.bob.ID, 30_000)
	b.Pay(s.ann, s.bob, 1)
	s.scanner = &audittest.Scanner{Chain: b.Chain, Vaults: b.Vaults, Hide: make(map[wire.OutPoint]bool), Twice: make(map[wire.OutPoint]bool)}
	s.publish()
	return s
}

// publish copies what the auditor is shown.
func (s *story) publish() {
	s.journal = s.Bank.Journal.Clone()
	s.table = &audit.Table{Batch: s.Books.Last().Number}
	for id := range ledger.AccountID(s.Books.Accounts()) {
		if a, ok := s.Books.Account(id); ok && (id.IsMember() || id <= ledger.Suspense) {
			s.table.Balances = append(s.table.Balances, audit.Balance{Account: id, Key: a.Key, Amount: a.Balance})
		}
	}
}

func (s *story) config() audit.Config {
	return audit.Config{Charter: s.Charter, Vault: s.Vault, Journal: s.journal, Chain: s.Chain,
		Table: func(context.Context) (*audit.Table, error) { return s.table, nil }, Scanner: s.scanner, Heads: s.heads}
}

func (s *story) audit() *audit.Report {
	s.Helper()
	r, err := audit.Run(s.Context(), s.config())
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *story) lastBatch() *ledger.Batch { return (*s.journal)[len(*s.journal)-1] }

// failed lists the checks that found a difference.
func failed(r *audit.Report) (names []string) {
	for _, c := range r.Checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}

func TestHonestBank(t *testing.T) {
	s := newStory(t)
	var calls int
	c := s.config()
	c.Progress = func(p audit.Progress) {
		calls++
		if p.Until != s.table.Batch || p.Doing == "" {
			t.Errorf("progress %+v", p)
		}
	}
	r, err := audit.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || !r.Equal || r.First != nil || len(failed(r)) != 0 {
		t.Fatalf("the audit of an honest bank: %v, first %+v", failed(r), r.First)
	}
	height, _ := s.Books.Block()
	orders := uint64(6) // two opens, two payments, two withdrawals
	switch {
	case r.Orders != orders || r.Signatures != orders+r.Batches || r.Deposits != 4 || r.Settlements != 1 || r.Accounts != 2:
		t.Errorf("counted %+v", r)
	case r.LedgerSat != s.Books.Liabilities() || r.ChainSat != r.LedgerSat || r.OutsideSat != 0:
		t.Errorf("%d sat in the books, %d on chain, %d outside; want %d", r.LedgerSat, r.ChainSat, r.OutsideSat, s.Books.Liabilities())
	case r.Height != height || r.Batches != s.Books.Last().Number || r.Head != s.Books.Head():
		t.Errorf("the books stand at %+v", r)
	case calls == 0:
		t.Error("no progress was told")
	}
	for name, want := range map[string]uint64{audit.CheckJournal: r.Batches, audit.CheckOrders: 6, audit.CheckSettlements: 1,
		audit.CheckSpends: 3, audit.CheckBalances: 7, audit.CheckCoins: 2, audit.CheckScan: 2} {
		if c := r.Check(name); c.Counted != want || c.Skipped != "" {
			t.Errorf("check %s counted %d (%s), want %d", name, c.Counted, c.Skipped, want)
		}
	}
}

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

// rekey writes a new key for the vault into the journal after change has spoilt it.
func (s *story) rekey(change func(e *ledger.Rekey)) {
	s.Helper()
	e, _, _ := s.NextKey(2, 4)
	change(e)
	s.Apply(ledger.Entry{Event: e})
	s.Seal()
	s.publish()
}

// steal spends a coin of the vault to somebody else.
func (s *story) steal(coin ledger.Coin) {
	s.Helper()
	theft := s.Payment(wire.NewTxOut(int64(coin.Amount)-500, audittest.Script("mallory")))
	theft.TxIn[0].PreviousOutPoint = wire.OutPoint{Hash: [32]byte(coin.TxID), Index: coin.Vout}
	s.Mine(theft)
	s.Bury()
	s.publish()
}

// An honest change of guardians, with coins of both keys: the audit follows it.
func TestAuditOfANewKey(t *testing.T) {
	s := newStory(t)
	s.Rekey(2, 4)
	s.Deposit(s.ann.ID, 40_000) // to an address of the founding, found all the same
	s.Mine(s.Payment(s.ToGeneration(1, taproot.Deposit, s.bob.ID.Index(), 50_000)))
	s.Bury()
	s.publish()
	if r := s.audit(); !r.OK || r.Check(audit.CheckKeys).Counted != 1 || r.ChainSat != s.Books.Liabilities() {
		t.Fatalf("with coins of both keys the audit says %+v", r)
	}
	s.Settle(2_000)
	s.publish()
	if r := s.audit(); !r.OK {
		t.Fatalf("after the sweep the audit says %+v", r)
	}
}

// stealSettlement makes the guardians sign, t of them together, another
// transaction than the cut gives, and the operator call it the settlement.
func (s *story) stealSettlement(change func(*wire.MsgTx)) {
	s.Helper()
	s.Withdraw(s.ann, 50_000, 1_000, audittest.Script("ann outside"))
	built := s.Cut(2_000)
	forged := *built
	forged.Tx = built.Tx.Copy()
	change(forged.Tx)
	signed := s.Sign(&forged)
	s.Report = func(honest []ledger.Event) []ledger.Event {
		events := honest[:1]
		for _, e := range honest {
			if d, ok := e.(*ledger.Deposit); ok && d.OutPoint.TxID == ledger.Hash(signed.TxHash()) {
				return append(events, &ledger.Settled{Settlement: built.Settlement, TxID: d.OutPoint.TxID, ChangeVout: d.OutPoint.Vout})
			}
		}
		return honest
	}
	s.Mine(signed)
	s.Bury()
	s.publish()
}

// What could not be checked proves nothing: it is an error, not a difference.
func TestUnchecked(t *testing.T) {
	away := errors.New("the node is away")
	for _, tt := range []struct {
		name   string
		change func(s *story, c *audit.Config)
		want   error
	}{
		{"node away", func(s *story, _ *audit.Config) { s.Chain.Away(away) }, away},
		{"node behind", func(s *story, _ *audit.Config) { s.Chain.Drop(3) }, audit.ErrNodeBehind},
		{"books not deep on the node", func(s *story, _ *audit.Config) { s.Chain.Drop(1) }, audit.ErrNodeBehind},
		{"node younger than the bank", func(s *story, _ *audit.Config) { s.Chain.Drop(10) }, audit.ErrNodeBehind},
		{"node on another chain", func(s *story, c *audit.Config) { c.Charter.BirthHash[0] ^= 1 }, audit.ErrOtherChain},
		{"vault of another network", func(s *story, c *audit.Config) { c.Charter.Chain[0] ^= 1 }, audit.ErrOtherVault},
		{"journal broken off", func(_ *story, c *audit.Config) { c.Journal = brokenJournal{away} }, away},
		{"database away", func(s *story, c *audit.Config) {
			c.Table = func(context.Context) (*audit.Table, error) { return nil, away }
		}, away},
		{"scan broken off", func(s *story, c *audit.Config) { c.Scanner = scanError{away} }, away},
		{"canceled", func(s *story, c *audit.Config) {
			c.Scanner = scanError{context.Canceled}
		}, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			c := s.config()
			tt.change(s, &c)
			r, err := audit.Run(t.Context(), c)
			var unchecked *audit.UncheckedError
			if r != nil || !errors.Is(err, tt.want) || !errors.As(err, &unchecked) {
				t.Fatalf("got %v, %v; want %v", r, err, tt.want)
			}
		})
	}
}

// An export is a journal as good as any other; one that is damaged proves nothing.
func TestAuditOfAnExport(t *testing.T) {
	s := newStory(t)
	dir := t.TempDir()
	w, err := export.Continue(dir, s.Charter)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range *s.journal {
		if err := w.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run := func() (*audit.Report, error) {
		set, err := export.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := s.config()
		c.Journal = set
		return audit.Run(t.Context(), c)
	}
	if r, err := run(); err != nil || !r.OK || r.Batches != s.Books.Last().Number || r.Signatures != 6+r.Batches {
		t.Fatalf("%+v, %v", r, err)
	}
	segment := filepath.Join(dir, "batches-000001.seg")
	raw, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(segment, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	var unchecked *audit.UncheckedError
	var damage *export.DamageError
	if r, err := run(); r != nil || !errors.As(err, &unchecked) || !errors.As(err, &damage) || damage.File != "batches-000001.seg" {
		t.Fatalf("of a damaged export: %+v, %v", r, err)
	}
}

// A journal of many batches, whose signatures are verified in several groups, with one
// forged in the middle: the batches after it count for nothing, however far the books
// were when it was found.
func TestForgedBetweenManyGroups(t *testing.T) {
	s := newStory(t)
	for range 50 {
		for range 100 {
			s.Order(s.ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.bob.ID, Amount: 1}}})
		}
		s.Seal()
	}
	s.publish()
	if r := s.audit(); !r.OK || r.Orders != 5006 || r.Signatures != 5006+r.Batches {
		t.Fatalf("%v, %+v", failed(r), r.First)
	}
	const batch, entry = 40, 71
	s.Bank.Rewrite(s.journal, batch-1, func(e [][]byte) [][]byte {
		e[entry][len(e[entry])-1] ^= 1 // of the signature: the digest stays
		return e
	})
	r := s.audit()
	want := "batch 40 entry 71: order"
	if got := strings.Join(failed(r), " "); got != "orders" || !strings.HasPrefix(r.First.Text, want) {
		t.Errorf("found by %q: %+v, want %q", got, r.First, want)
	}
	if header := (*s.journal)[batch-2].Header.Header; r.Batches != batch-1 || r.Head != header.Hash() || r.Orders != 6+(batch-1-14)*100 {
		t.Errorf("the report stands at batch %d with %d orders", r.Batches, r.Orders)
	}

	c := s.config()
	c.WithoutSignatures = true
	if r, err := audit.Run(t.Context(), c); err != nil || !r.OK || r.Check(audit.CheckOrders).Skipped == "" {
		t.Errorf("without members' signatures: %+v, %v", r, err)
	}
}

type brokenJournal struct{ err error }

func (j brokenJournal) Batches(context.Context, uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) { yield(nil, j.err) }
}

type scanError struct{ err error }

func (s scanError) ScanDescriptor(context.Context, []string, int) (bitcoind.Scan, error) {
	return bitcoind.Scan{}, s.err
}

// A node without scantxoutset (btcd), and an auditor without the account table.
func TestWithoutScanAndTable(t *testing.T) {
	s := newStory(t)
	c := s.config()
	c.Scanner, c.Table = scanError{bitcoind.ErrUnsupported}, nil
	r, err := audit.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || !r.Equal || r.Check(audit.CheckScan).Skipped == "" || r.Check(audit.CheckBalances).Skipped == "" {
		t.Errorf("report %+v", r)
	}
}

// The books stand below the tip: what happens above them changes nothing.
func TestScanIsBroughtBack(t *testing.T) {
	s := newStory(t)
	s.Withdraw(s.bob, 10_000, 1_000, audittest.Script("bob outside"))
	built := s.Cut(2_000)
	s.publish()
	before := s.Books.Liabilities()
	// The settlement and a new deposit are in the last block, not deep enough.
	s.Chain.Mine(s.Sign(built), s.Payment(s.To(taproot.Deposit, s.ann.ID.Index(), 77_000)))
	r := s.audit()
	if !r.OK || !r.Equal || r.ChainSat != before || r.Check(audit.CheckScan).Counted != 2 {
		t.Fatalf("%v, first %+v, %d sat on chain, want %d", failed(r), r.First, r.ChainSat, before)
	}
	s.CatchUp()
	s.Bury()
	s.publish()
	if r := s.audit(); !r.OK || r.ChainSat != before-10_000-ledger.Amount(built.FeeSat)+77_000 {
		t.Fatalf("%v, first %+v, %d sat on chain", failed(r), r.First, r.ChainSat)
	}
}

// A bank at work: the table was read, then the journal grew.
func TestAuditStopsAtTheTable(t *testing.T) {
	s := newStory(t)
	at := s.table
	s.Deposit(s.bob.ID, 40_000)
	s.publish()
	s.table = at
	if r := s.audit(); !r.OK || r.Batches != at.Batch {
		t.Fatalf("%v, first %+v, at batch %d, want %d", failed(r), r.First, r.Batches, at.Batch)
	}
}

// Coins at the vault's addresses that the books rightly leave out.
func TestCoinsOutsideTheBooks(t *testing.T) {
	chain := audittest.NewChain(audittest.BirthHeight)
	founder := audittest.NewOn(t, chain, audittest.BirthHeight)
	early := founder.Payment(founder.To(taproot.Deposit, 16, 1_111))
	chain.Mine(early)
	b := audittest.NewOn(t, chain, audittest.BirthHeight+1)
	s := &story{Bank: b, ann: b.Open("ann")}
	s.scanner = &audittest.Scanner{Chain: chain, Vaults: b.Vaults}
	// Beyond the watch when it came: the bank has 17 accounts and a gap of 100.
	const ahead = 17 + 100
	b.Mine(b.Payment(b.To(taproot.Deposit, ahead, 2_222)))
	chain.MineCoinbase(b.To(taproot.Deposit, 16, 4_444))
	b.CatchUp()
	for i := range 3 {
		b.Open(string(rune('p' + i)))
	}
	b.Deposit(s.ann.ID, 8_888)
	s.publish()
	r := s.audit()
	if !r.OK || r.OutsideSat != 1_111+2_222+4_444 || r.ChainSat != 8_888 {
		t.Fatalf("%v, first %+v, outside %d sat, chain %d sat", failed(r), r.First, r.OutsideSat, r.ChainSat)
	}
	// A hundred blocks later the coinbase is ripe, and in the books.
	for range ledger.CoinbaseDepth {
		b.Mine()
	}
	s.publish()
	if r = s.audit(); !r.OK || r.OutsideSat != 1_111+2_222 || r.ChainSat != 8_888+4_444 {
		t.Fatalf("%v, first %+v, outside %d sat, chain %d sat", failed(r), r.First, r.OutsideSat, r.ChainSat)
	}
}

// The proposer may have known of accounts that the checker did not yet.
func TestDepositBeyondTheCheckersWatch(t *testing.T) {
	b := audittest.New(t)
	s := &story{Bank: b, ann: b.Open("ann")}
	b.Mine()
	b.Chain.Mine(b.Payment(b.To(taproot.Deposit, 117, 5_000)))
	b.CatchUp() // with this block the checker's watch ends 100 addresses beyond account 16
	for i := range 3 {
		b.Open(string(rune('p' + i)))
	}
	b.Mine() // the bank's watch goes three addresses further
	s.scanner = &audittest.Scanner{Chain: b.Chain, Vaults: b.Vaults}
	s.publish()
	if r := s.audit(); !r.OK || r.Deposits != 1 || r.ChainSat != 5_000 || r.OutsideSat != 0 {
		t.Fatalf("%v, first %+v, chain %d sat, outside %d sat", failed(r), r.First, r.ChainSat, r.OutsideSat)
	}
}

func TestReportForms(t *testing.T) {
	s := newStory(t)
	var text strings.Builder
	honest := s.audit()
	if err := honest.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Bank of the Audits", "journal", "sum of wallets", "coins on chain", "The books hold"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	s.table.Balances[0].Amount++
	bad := s.audit()
	raw, err := json.Marshal(bad)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ok", "first", "batches", "head", "height", "orders", "signatures", "deposits", "settlements", "ledger_sat", "chain_sat", "equal", "checks"} {
		if _, ok := fields[key]; !ok {
			t.Errorf("the JSON lacks %q: %s", key, raw)
		}
	}
	if fields["ok"] != false || fields["equal"] != true {
		t.Errorf("JSON %s", raw)
	}
	text.Reset()
	if err := bad.WriteText(&text); err != nil || !strings.Contains(text.String(), "DIFFERENCE: after batch") || !strings.Contains(text.String(), "do not hold") {
		t.Errorf("%v\n%s", err, text.String())
	}
}
