package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot"
)

// Limits of what one answer lists.
const (
	defaultLimit = 50
	maxLimit     = 1000
	// batchesSize is the number of entry bytes after which a list of batches
	// ends; it has one batch at least.
	batchesSize = 4 << 20
)

func decimal(n int) string { return strconv.Itoa(n) }

// number reads a decimal number of at most that many bits.
func number(text, name string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, malformed("%s is %.40q: write a whole number that is not negative", name, text)
	}
	return n, nil
}

// query reads a number of the query string, or gives what stands for its absence.
func query(req *http.Request, name string, absent uint64, bits int) (uint64, error) {
	text := req.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	return number(text, name, bits)
}

func limitOf(req *http.Request) (int, error) {
	n, err := query(req, "limit", defaultLimit, 63)
	if err == nil && n == 0 {
		return 0, malformed("limit is 0: ask for at least 1")
	}
	return int(min(n, maxLimit)), err
}

func (b *bank) getBank(req *http.Request) (any, error) {
	vaults := b.Vaults.All()
	newest := vaults[len(vaults)-1]
	answer := Bank{
		ID: b.id, Charter: b.Charter, Network: newest.Policy().Network, Descriptor: newest.Descriptor(),
		Policy: newest.Policy(), Founded: vaults[0].Policy(), WithdrawalMin: b.Charter.WithdrawalMin,
	}
	if councils := b.Councils(); len(councils) > 0 {
		answer.Guardians = councils[len(councils)-1].Guardians
	}
	var err error
	// Before the last batch is read, so that it is not ahead of it.
	if answer.Attested, err = b.attested(req.Context()); err != nil {
		return nil, err
	}
	err = b.Clearing.View(req.Context(), func(s *ledger.State) {
		var block ledger.Hash
		answer.Height, block = s.Block()
		slices.Reverse(block[:])
		answer.Block = block.String()
		answer.Batch, answer.Head = s.Last().Number, s.Head()
		answer.Settlements = s.Settlements()
		answer.Cleared, answer.Settled = s.Cleared(), s.PaidOut()
		answer.Ratio = settlement.NettingRatio(answer.Cleared, answer.Settled)
		for _, e := range s.Rekeys() {
			answer.Rekeys = append(answer.Rekeys, Rekey{Generation: e.Generation, Policy: e.Policy, Signature: e.Signature})
		}
	})
	if err != nil {
		return nil, err // and do not look at the answer: the View may still write to it
	}
	answer.Anchored, err = b.anchored(req.Context(), answer.Settlements)
	return answer, err
}

// pathAccount reads an account of the path: dao1… or a number.
func (b *bank) pathAccount(req *http.Request, name string) (ledger.AccountID, error) {
	text := req.PathValue(name)
	if strings.HasPrefix(strings.ToLower(text), "dao1") {
		return ledger.ParseAccount(b.id, text)
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, malformed("%.40q is not an account: write dao1… or the account's number", text)
	}
	return ledger.AccountID(n), nil
}

func (b *bank) getAccount(req *http.Request) (any, error) {
	id, err := b.pathAccount(req, "account")
	if err != nil {
		return nil, err
	}
	return b.account(req.Context(), func(*ledger.State) (ledger.AccountID, error) { return id, nil })
}

func (b *bank) getKey(req *http.Request) (any, error) {
	var key ledger.Key
	if err := key.UnmarshalText([]byte(req.PathValue("key"))); err != nil {
		return nil, malformed("this is not a key: %v", err)
	}
	return b.account(req.Context(), func(s *ledger.State) (ledger.AccountID, error) {
		id, ok := s.Lookup(key)
		if !ok {
			return 0, &ledger.Error{Code: ledger.CodeAccount, Message: "the key has no account here: open one first"}
		}
		return id, nil
	})
}

func (b *bank) account(ctx context.Context, find func(*ledger.State) (ledger.AccountID, error)) (*Account, error) {
	var found ledger.Account
	var height uint32
	var missing error
	err := b.Clearing.View(ctx, func(s *ledger.State) {
		height, _ = s.Block()
		var id ledger.AccountID
		var ok bool
		if id, missing = find(s); missing != nil {
			return
		}
		if found, ok = s.Account(id); !ok {
			missing = &ledger.Error{Code: ledger.CodeAccount, Message: fmt.Sprintf("account %s does not exist: check the account", id)}
		}
	})
	if err != nil {
		return nil, err
	}
	if missing != nil {
		return nil, missing
	}
	answer := &Account{
		Address: accountName(b.id, found.ID), Number: found.ID, Key: found.Key,
		Balance: found.Balance, Held: found.Held, Available: found.Available(),
		Sequence: found.Sequence, Last: found.Last, Closed: found.Closed, Height: height,
	}
	if found.ID.IsMember() || found.ID == ledger.Treasury {
		newest, _ := b.Vaults.Newest()
		answer.DepositAddress, err = newest.Address(taproot.Deposit, found.ID.Index())
	}
	return answer, err
}

func (b *bank) getHistory(req *http.Request) (any, error) {
	id, err := b.pathAccount(req, "account")
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(req)
	if err != nil {
		return nil, err
	}
	var before Cursor
	if text := req.URL.Query().Get("before"); text != "" {
		if err := before.UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
	}
	// An account that does not exist is told from one that has no history.
	if _, err := b.account(req.Context(), func(*ledger.State) (ledger.AccountID, error) { return id, nil }); err != nil {
		return nil, err
	}
	movements, err := b.Journal.History(req.Context(), id, postgres.Cursor(before), limit)
	if err != nil {
		return nil, err
	}
	answer := History{Movements: make([]Movement, len(movements))}
	for i := range movements {
		answer.Movements[i] = newMovement(b.id, &movements[i])
	}
	if len(movements) == limit {
		answer.Next = answer.Movements[limit-1].Cursor.String()
	}
	return answer, nil
}

func (b *bank) getQuote(req *http.Request) (any, error) {
	address := req.URL.Query().Get("address")
	script, err := parseAddress(address, b.params)
	if err != nil {
		return nil, err
	}
	var amount satoshis
	if err := amount.UnmarshalJSON([]byte(req.URL.Query().Get("amount_sat"))); err != nil {
		return nil, err
	}
	if err := b.withdrawable(ledger.Amount(amount)); err != nil {
		return nil, err
	}
	q, err := b.Desk.Quote(req.Context(), script)
	if err != nil {
		return nil, err
	}
	return Quote{
		Address: address, Script: hex.EncodeToString(script), Amount: ledger.Amount(amount),
		FeeRate: q.FeeRate, Fee: q.Fee, FeeMax: q.FeeMax, WithdrawalMin: b.Charter.WithdrawalMin, Height: q.Height,
	}, nil
}

// withdrawable refuses early what the books would refuse.
func (b *bank) withdrawable(amount ledger.Amount) error {
	switch {
	case !amount.Valid():
		return &ledger.Error{Code: ledger.CodeAmount,
			Message: fmt.Sprintf("the amount is %v: it must be above zero and at most 21,000,000 BTC", amount)}
	case amount < b.Charter.WithdrawalMin:
		return &ledger.Error{Code: ledger.CodeDust,
			Message: fmt.Sprintf("the withdrawal of %d sat is too small to be paid on chain: withdraw at least %d sat", amount, b.Charter.WithdrawalMin)}
	}
	return nil
}

func (b *bank) getBatch(req *http.Request) (any, error) {
	n, err := number(req.PathValue("number"), "the batch", 63)
	if err != nil {
		return nil, err
	}
	batch, err := b.Journal.Batch(req.Context(), n)
	if err != nil {
		return nil, err
	}
	return newBatchForm(batch), nil
}

func (b *bank) getBatches(req *http.Request) (any, error) {
	from, err := query(req, "from", 1, 63)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(req)
	if err != nil {
		return nil, err
	}
	answer := batchesForm{Batches: []batchForm{}, Next: max(from, 1)}
	size := 0
	for batch, err := range b.Journal.Batches(req.Context(), from) {
		if err != nil {
			return nil, err
		}
		for _, entry := range batch.Entries {
			size += len(entry)
		}
		if len(answer.Batches) > 0 && size > batchesSize {
			break
		}
		answer.Batches = append(answer.Batches, newBatchForm(batch))
		answer.Next = batch.Header.Number + 1
		if len(answer.Batches) == limit {
			break
		}
	}
	return answer, nil
}

func (b *bank) getSettlements(req *http.Request) (any, error) {
	from, err := query(req, "from", 1, 32)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(req)
	if err != nil {
		return nil, err
	}
	list, err := b.Desk.Settlements(req.Context(), uint32(from), limit)
	if err != nil {
		return nil, err
	}
	answer := settlementsForm{Settlements: list, Next: max(uint32(from), 1)}
	if len(list) > 0 {
		answer.Next = list[len(list)-1].Number + 1
	} else {
		answer.Settlements = []settlement.Status{}
	}
	return answer, nil
}

func (b *bank) getWithdrawal(req *http.Request) (any, error) {
	payer, err := b.pathAccount(req, "payer")
	if err != nil {
		return nil, err
	}
	sequence, err := number(req.PathValue("sequence"), "the sequence", 63)
	if err != nil {
		return nil, err
	}
	w, err := b.Desk.Withdrawal(req.Context(), ledger.OrderRef{Payer: payer, Sequence: sequence})
	if err != nil {
		return nil, err
	}
	return withdrawalForm{Withdrawal: w, Script: w.Script}, nil
}

// getHealth says that the process lives, and nothing more.
func getHealth(*http.Request) (any, error) { return statusForm{Status: "alive"}, nil }

func (b *bank) getReady(req *http.Request) (any, error) {
	if err := b.Ready(req.Context()); err != nil {
		return nil, &ledger.Error{Code: clearing.CodeUnavailable, Message: "the bank is not ready: " + err.Error()}
	}
	return statusForm{Status: "ready"}, nil
}
