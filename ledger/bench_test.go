package ledger_test

import (
	"fmt"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// rich is a bank with a few members whose money lasts for any benchmark.
func rich(b *testing.B, members int) (*bank, []*member) {
	b.Helper()
	bank := newBank(b)
	var list []*member
	for i := range members {
		list = append(list, bank.open(fmt.Sprint("member ", i)))
	}
	bank.block()
	for _, m := range list {
		bank.deposit(m.id, 1e12)
	}
	bank.seal()
	return bank, list
}

func BenchmarkApplyOrder(b *testing.B) {
	for _, payees := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("transfer/payees=%d", payees), func(b *testing.B) {
			bank, members := rich(b, 2)
			body := &ledger.Transfer{Payments: payments(payees, members[1].id, 1)}
			b.ReportAllocs()
			o := bank.next(members[0], body)
			for b.Loop() {
				if _, err := bank.ApplyOrder(o); err != nil {
					b.Fatal(err)
				}
				a, _ := bank.Account(o.Payer)
				o.Sequence, o.Previous = a.Sequence+1, a.Last
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	for _, payees := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("payees=%d", payees), func(b *testing.B) {
			o := &ledger.Order{Payer: 16, Sequence: 1, Body: &ledger.Transfer{Payments: payments(payees, 17, 1)}}
			b.ReportAllocs()
			for b.Loop() {
				o.Digest()
			}
		})
	}
}

func BenchmarkDecodeOrder(b *testing.B) {
	for _, payees := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("payees=%d", payees), func(b *testing.B) {
			data := (&ledger.Order{Payer: 16, Sequence: 1, Body: &ledger.Transfer{Payments: payments(payees, 17, 1)}}).Bytes()
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ledger.DecodeOrder(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAppend replays batches of 1,000 transfers; its time per entry is what
// recovery and every guardian pay.
func BenchmarkAppend(b *testing.B) {
	const entries = 1000
	for name, checks := range map[string]ledger.Checks{"chain": ledger.CheckChain, "all": ledger.CheckAll} {
		b.Run(name, func(b *testing.B) {
			bank, members := rich(b, 10)
			for i := range entries {
				bank.order(members[i%10], pay(members[(i+1)%10].id, 1))
			}
			bank.seal()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				b.StopTimer()
				s, err := replay(b, bank.batches[:1], checks)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := s.Append(bank.batches[1], checks); err != nil {
					b.Fatal(err)
				}
				n += entries
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/entry")
		})
	}
}

// BenchmarkBooks is what a cut of a bank with many members costs: the first one
// hashes every balance, the others those that changed since.
func BenchmarkBooks(b *testing.B) {
	const members = 100_000
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ledger.BankOf(members).ComputeBooks()
		}
	})
	for _, changed := range []int{1, 1_000, members} {
		b.Run(fmt.Sprintf("changed=%d", changed), func(b *testing.B) {
			state := ledger.BankOf(members)
			state.ComputeBooks()
			b.ReportAllocs()
			for b.Loop() {
				state.Touch(changed)
				state.ComputeBooks()
			}
		})
	}
}
