package ledger

import (
	"bytes"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// busyBooks are books with a settlement in flight, a withdrawal held, two coins
// and a second key, at the end of a batch.
func busyBooks(t *testing.T) *State {
	t.Helper()
	key := func(n byte) Key {
		priv, _ := btcec.PrivKeyFromBytes([]byte{31: n})
		return KeyOf(priv)
	}
	s, err := NewState(Charter{Name: "busy", Chain: Hash{1}, Operator: key(1), Depth: 1, WithdrawalMin: 1000})
	if err != nil {
		t.Fatal(err)
	}
	order := func(payer AccountID, body Body) Entry {
		o := &Order{Bank: s.bank, Payer: payer, Body: body}
		if a := s.account(payer); a != nil {
			o.Sequence, o.Previous = a.sequence+1, a.last
		}
		return Entry{Order: o}
	}
	script := append([]byte{0, 20}, make([]byte, 20)...)
	const ann = FirstMember
	for _, next := range []func() Entry{
		func() Entry { return order(0, &Open{Key: key(2)}) },
		func() Entry { return order(0, &Open{Key: key(3)}) },
		func() Entry { return Entry{Event: &Block{Height: 1, Hash: Hash{1}}} },
		func() Entry {
			return Entry{Event: &Deposit{OutPoint: OutPoint{Vout: 1}, Amount: 9000, Index: 16, Height: 1, TxIndex: 1}}
		},
		func() Entry {
			return Entry{Event: &Deposit{OutPoint: OutPoint{Vout: 2}, Amount: 9000, Index: 17, Height: 1, TxIndex: 2}}
		},
		func() Entry { return order(ann, &Withdraw{Amount: 1000, FeeMax: 10, Script: script}) },
		func() Entry { return order(ann, &Withdraw{Amount: 2000, FeeMax: 10, Script: script}) },
		func() Entry {
			return Entry{Event: &Cut{Settlement: 1, Version: 1, Fee: 5, Inputs: []OutPoint{{Vout: 1}}, Payouts: []CutPayout{{Payer: ann, Sequence: 1, FeeShare: 5}}}}
		},
		func() Entry { return Entry{Event: &Rekey{Generation: 1, Policy: []byte("policy")}} },
	} {
		e := next()
		if _, err := s.Apply(e); err != nil {
			t.Fatal(err)
		}
		if !e.Kind().EndsBatch() {
			continue
		}
		h := s.Next(Hash{}, 1, 1, 0)
		if err := s.Seal(&h); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Books that break a rule are not taken from a snapshot, even if it were signed.
func TestSnapshotOfImpossibleBooksRefused(t *testing.T) {
	first := func(s *State) *account { return s.accounts.at(uint32(FirstMember)) }
	held := OrderRef{Payer: FirstMember, Sequence: 2}
	changeHeld := func(s *State, change func(p *Payout)) {
		p := s.held[held]
		delete(s.held, held)
		change(&p)
		s.held[p.OrderRef] = p
	}
	changeCoin := func(s *State, change func(c *Coin)) {
		c := s.coins[OutPoint{Vout: 2}]
		change(&c)
		s.coins[c.OutPoint] = c
	}
	for _, tt := range []struct {
		name  string
		spoil func(s *State)
		want  Code
	}{
		{"nothing", func(s *State) {}, ""},
		{"another bank", func(s *State) { s.last.Bank[0] ^= 1 }, CodeWrongBank},
		{"no batch", func(s *State) { s.last.Number = 0 }, CodeMalformed},
		{"money from nowhere", func(s *State) { first(s).balance++ }, CodeMalformed},
		{"member below zero", func(s *State) { s.post(FirstMember, Treasury, 7000) }, CodeMalformed},
		{"vault above zero", func(s *State) { s.post(Treasury, Vault, 50_000) }, CodeMalformed},
		{"more than there can be", func(s *State) { s.post(Vault, Treasury, MaxAmount) }, CodeMalformed},
		{"one key twice", func(s *State) { first(s).key = s.accounts.at(uint32(FirstMember + 1)).key }, CodeMalformed},
		{"key of a system account", func(s *State) { s.accounts.at(uint32(Treasury)).key[0] = 1 }, CodeMalformed},
		{"hold that nothing explains", func(s *State) { first(s).held++ }, CodeMalformed},
		{"withdrawal that nothing explains", func(s *State) { first(s).withdrawals++ }, CodeMalformed},
		{"withdrawal of nobody", func(s *State) { changeHeld(s, func(p *Payout) { p.Payer = 99 }) }, CodeMalformed},
		{"withdrawal of the treasury", func(s *State) { changeHeld(s, func(p *Payout) { p.Payer = Treasury }) }, CodeMalformed},
		{"withdrawal not ordered yet", func(s *State) { changeHeld(s, func(p *Payout) { p.Sequence = 3 }) }, CodeMalformed},
		{"withdrawal not accepted yet", func(s *State) { changeHeld(s, func(p *Payout) { p.Ordinal = 3 }) }, CodeMalformed},
		{"withdrawal to no script", func(s *State) { changeHeld(s, func(p *Payout) { p.Script = nil }) }, CodeMalformed},
		{"withdrawal held and in flight", func(s *State) { changeHeld(s, func(p *Payout) { p.Sequence = 1 }) }, CodeMalformed},
		{"fee share before the cut", func(s *State) { changeHeld(s, func(p *Payout) { p.FeeShare = 1 }) }, CodeMalformed},
		{"coin of nothing", func(s *State) { changeCoin(s, func(c *Coin) { c.OutPoint.Vout, c.Amount = 3, 0 }) }, CodeMalformed},
		{"coin too many", func(s *State) { changeCoin(s, func(c *Coin) { c.OutPoint.Vout = 3 }) }, CodeMalformed},
		{"coin of a key to come", func(s *State) { changeCoin(s, func(c *Coin) { c.Generation = 2 }) }, CodeMalformed},
		{"coin on a third branch", func(s *State) { changeCoin(s, func(c *Coin) { c.Branch = 2 }) }, CodeMalformed},
		{"rekey skipped", func(s *State) { s.rekeys[0].Generation = 2 }, CodeMalformed},
		{"rekey to nothing", func(s *State) { s.rekeys[0].Policy = nil }, CodeMalformed},
		{"another settlement in flight", func(s *State) { s.settlements = 0 }, CodeMalformed},
		{"cut of a batch to come", func(s *State) { s.versions[0].Batch = 9 }, CodeMalformed},
		{"cut without a coin", func(s *State) { s.versions[0].Inputs = nil }, CodeMalformed},
		{"cut of a coin that is not there", func(s *State) { s.versions[0].Inputs[0].Amount++ }, CodeMalformed},
		{"cut of one coin twice", func(s *State) { s.versions[0].Inputs = append(s.versions[0].Inputs, s.versions[0].Inputs[0]) }, CodeMalformed},
		{"cut whose change is not the rest", func(s *State) { s.versions[0].Change++ }, CodeMalformed},
		{"cut that pays one withdrawal twice", func(s *State) { s.versions[0].Payouts = append(s.versions[0].Payouts, s.versions[0].Payouts[0]) }, CodeMalformed},
		{"cut that charges more than was allowed", func(s *State) { s.versions[0].Payouts[0].FeeShare = 11 }, CodeMalformed},
		{"cut lost", func(s *State) { s.versions = nil }, CodeMalformed},
		{"versions that exclude nothing", func(s *State) {
			second := *s.versions[0]
			second.Inputs = nil
			for _, c := range sortedCoins(s.coins) {
				if c != s.versions[0].Inputs[0] {
					second.Inputs, second.Payouts, second.Fee, second.Change = []Coin{c}, nil, 0, c.Amount
				}
			}
			s.versions = append(s.versions, &second)
		}, CodeMalformed},
		{"versions that pay one withdrawal unlike", func(s *State) {
			second := *s.versions[0]
			second.Payouts = slices.Clone(second.Payouts)
			second.Payouts[0].FeeMax++
			s.versions = append(s.versions, &second)
		}, CodeMalformed},
		{"reserve below what the second version needs", func(s *State) {
			second := *s.versions[0]
			second.Fee++
			second.Change--
			s.versions = append(s.versions, &second)
		}, CodeMalformed},
		{"a lost coin that is there", func(s *State) { s.lost[OutPoint{Vout: 2}] = true }, CodeMalformed},
		{"a standing payout of nobody", func(s *State) {
			s.standing[99] = Instruction{OrderRef: OrderRef{Payer: 99, Sequence: 1}, Every: 1, Script: s.versions[0].Payouts[0].Script}
		}, CodeMalformed},
		{"a standing payout not ordered yet", func(s *State) {
			s.standing[FirstMember] = Instruction{OrderRef: OrderRef{Payer: FirstMember, Sequence: 3}, Every: 1, Script: s.versions[0].Payouts[0].Script}
		}, CodeMalformed},
		{"a standing payout to nowhere", func(s *State) {
			s.standing[FirstMember] = Instruction{OrderRef: OrderRef{Payer: FirstMember, Sequence: 1}, Every: 1}
		}, CodeMalformed},
		{"no accounts", func(s *State) { s.accounts.count.Store(0) }, CodeMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := busyBooks(t)
			tt.spoil(s)
			var b bytes.Buffer
			if err := (&Snapshot{books: *s}).write(&b); err != nil {
				t.Fatal(err)
			}
			_, err := decodeSnapshot(s.charter, b.Bytes())
			if got := CodeOf(err); got != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("got %v, want code %q", err, tt.want)
			}
		})
	}
}
