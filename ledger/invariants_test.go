package ledger

import "testing"

// CheckInvariants is what other tests trust: it must see each way in which
// books can be wrong.
func TestCheckInvariantsSeesEachFault(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(s *State)
	}{
		{"money from nowhere", func(s *State) { s.accounts.at(uint32(FirstMember)).balance++ }},
		{"money gone", func(s *State) { s.accounts.at(uint32(Treasury)).balance-- }},
		{"member below zero", func(s *State) { s.post(FirstMember, Treasury, 101) }},
		{"system account below zero", func(s *State) { s.post(MinerFees, Treasury, 1) }},
		{"hold above the balance", func(s *State) { s.accounts.at(uint32(FirstMember)).held = 101 }},
		{"hold below zero", func(s *State) { s.accounts.at(uint32(FirstMember)).held = -1 }},
		{"coin that the vault's account does not know", func(s *State) { s.coins[OutPoint{Vout: 9}] = Coin{Amount: 1} }},
		{"coin lost", func(s *State) { clear(s.coins) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &State{accounts: newAccountTable(), coins: map[OutPoint]Coin{{}: {Amount: 150}}}
			s.accounts.add(account{key: Key{1}})
			s.post(Vault, FirstMember, 100)
			s.post(Vault, Treasury, 50)
			if err := s.CheckInvariants(); err != nil {
				t.Fatal(err)
			}
			tt.spoil(s)
			if s.CheckInvariants() == nil {
				t.Error("not seen")
			}
		})
	}
}
