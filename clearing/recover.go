package clearing

import (
	"context"
	"fmt"

	"github.com/daobank/daobank/ledger"
)

// recoverState replays the whole journal and compares the balances that it
// gives with those that PostgreSQL has added up. The lease is taken already, so
// nobody writes meanwhile.
func recoverState(ctx context.Context, config *Config) (*ledger.State, error) {
	state, err := ledger.NewState(config.Charter)
	if err != nil {
		return nil, err
	}
	for b, err := range config.Store.Batches(ctx, 1) {
		if err != nil {
			return nil, err
		}
		if err := state.Append(b, config.Checks); err != nil {
			return nil, err
		}
	}
	if err := state.CheckInvariants(); err != nil {
		return nil, err
	}
	return state, compareBalances(ctx, config, state)
}

// compareBalances walks over both sets of accounts in the order of their
// numbers. Error: *BalanceError for the first difference.
func compareBalances(ctx context.Context, config *Config, state *ledger.State) error {
	next := ledger.AccountID(1)
	for stored, err := range config.Store.Balances(ctx) {
		if err != nil {
			return err
		}
		replayed, ok := state.Account(stored.Account)
		switch {
		case !ok:
			return &BalanceError{Account: stored.Account, Stored: stored.Amount, Reason: "the database has it, the journal never opened it"}
		case stored.Account != next:
			return missing(next, state)
		case stored.Key != replayed.Key:
			return &BalanceError{Account: stored.Account, Stored: stored.Amount, Replayed: replayed.Balance,
				Reason: fmt.Sprintf("the database has the key %s, the journal %s", stored.Key, replayed.Key)}
		case stored.Amount != replayed.Balance:
			return &BalanceError{Account: stored.Account, Stored: stored.Amount, Replayed: replayed.Balance}
		}
		if next++; next == ledger.Suspense+1 {
			next = ledger.FirstMember
		}
	}
	if next < ledger.AccountID(state.Accounts()) || next < ledger.FirstMember {
		return missing(next, state)
	}
	return nil
}

func missing(id ledger.AccountID, state *ledger.State) error {
	return &BalanceError{Account: id, Replayed: state.Balance(id), Reason: "the journal opened it, the database lacks it"}
}
