package ledger_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// world is a bank in the middle of its life: ann is rich, bob has a withdrawal
// pending, cas has closed, and dan's last satoshi is in the settlement in
// flight.
type world struct {
	*bank
	ann, bob, cas, dan *member
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{bank: newBank(t)}
	w.ann, w.bob, w.cas, w.dan = w.open("ann"), w.open("bob"), w.open("cas"), w.open("dan")
	coins := w.fund(w.ann.id, 1_000_000, 500_000)
	w.deposit(ledger.Treasury, 10_000)
	w.order(w.ann, pay(w.bob.id, 100_000))
	w.order(w.ann, pay(w.dan.id, 20_000))
	w.order(w.dan, withdraw(19_000, 1_000))
	w.order(w.cas, &ledger.Close{})
	w.event(&ledger.Cut{Settlement: 1, Version: 1, Fee: 1_000, Inputs: coins[:1], Payouts: []ledger.CutPayout{{Payer: w.dan.id, Sequence: 1, FeeShare: 500}}})
	w.seal()
	w.order(w.bob, withdraw(60_000, 5_000))
	return w
}

const (
	nobody     ledger.AccountID = 4_000_000           // never opened
	otherShard ledger.AccountID = 1<<32 | 16          // another shard's first member
	oneTooMany ledger.Amount    = 21e14 + 1           // a satoshi above 21 million BTC
	huge       ledger.Amount    = 9_007e15            // near the end of int64
	lowest     ledger.Amount    = -1 << 63            // the end of int64 on the other side
	reserved   ledger.AccountID = ledger.Suspense + 1 // kept for the bank, not used
)

func TestOrdersRefused(t *testing.T) {
	// Each row changes ann's next order, which pays bob 1,000 sat, or makes
	// another. A row's order has one fault, unless it shows the order of checks.
	for _, tt := range []struct {
		name string
		make func(w *world, o *ledger.Order) *ledger.Order
		want ledger.Code
	}{
		// For whom it is, and its shape.
		{"another bank's id", with(func(o *ledger.Order) { o.Bank[31] ^= 1 }), ledger.CodeWrongBank},
		{"no bank's id", with(func(o *ledger.Order) { o.Bank = ledger.BankID{} }), ledger.CodeWrongBank},
		{"no body", with(func(o *ledger.Order) { o.Body = nil }), ledger.CodeMalformed},
		{"no payee", with(func(o *ledger.Order) { o.Body = &ledger.Transfer{} }), ledger.CodeNoPayee},
		{"1,001 payees", with(func(o *ledger.Order) { o.Body = &ledger.Transfer{Payments: payments(1_001, 17, 1)} }), ledger.CodeOversized},
		{"oversized reference", with(func(o *ledger.Order) { transfer(o).Reference = make([]byte, ledger.MaxReference+1) }), ledger.CodeOversized},

		// Amounts.
		{"amount zero", with(func(o *ledger.Order) { payment(o).Amount = 0 }), ledger.CodeAmount},
		{"amount negative", with(func(o *ledger.Order) { payment(o).Amount = -1 }), ledger.CodeAmount},
		{"amount as negative as can be", with(func(o *ledger.Order) { payment(o).Amount = lowest }), ledger.CodeAmount},
		{"amount above 21 million BTC", with(func(o *ledger.Order) { payment(o).Amount = oneTooMany }), ledger.CodeAmount},
		{"one bad amount of many", with(func(o *ledger.Order) {
			o.Body = &ledger.Transfer{Payments: append(payments(9, 17, 1), ledger.Payment{Payee: 17})}
		}), ledger.CodeAmount},
		{"overflow by a satoshi", with(func(o *ledger.Order) {
			o.Body = &ledger.Transfer{Payments: append(payments(1, 17, 21e14), payments(1, 17, 1)...)}
		}), ledger.CodeOverflow},
		{"overflow of int64", with(func(o *ledger.Order) { o.Body = &ledger.Transfer{Payments: payments(1_000, 17, 21e14)} }), ledger.CodeOverflow},

		// Who pays.
		{"unknown payer", with(func(o *ledger.Order) { o.Payer = nobody }), ledger.CodeAccount},
		{"payer of another shard", with(func(o *ledger.Order) { o.Payer = otherShard }), ledger.CodeAccount},
		{"payer 0", with(func(o *ledger.Order) { o.Payer = 0 }), ledger.CodeAccount},
		{"treasury as payer", with(func(o *ledger.Order) { o.Payer, o.Sequence = ledger.Treasury, 1 }), ledger.CodeSystemAccount},
		{"vault as payer", with(func(o *ledger.Order) { o.Payer, o.Sequence = ledger.Vault, 1 }), ledger.CodeSystemAccount},
		{"reserved account as payer", with(func(o *ledger.Order) { o.Payer, o.Sequence = reserved, 1 }), ledger.CodeSystemAccount},
		{"closed payer", by("cas", pay(17, 1_000)), ledger.CodeClosed},
		{"closing twice", by("cas", &ledger.Close{}), ledger.CodeClosed},

		// The payer's own chain.
		{"replayed sequence", with(func(o *ledger.Order) { o.Sequence-- }), ledger.CodeSequenceUsed},
		{"sequence 0", with(func(o *ledger.Order) { o.Sequence = 0 }), ledger.CodeSequenceUsed},
		{"skipped sequence", with(func(o *ledger.Order) { o.Sequence++ }), ledger.CodeSequenceGap},
		{"the last sequence there is", with(func(o *ledger.Order) { o.Sequence = 1<<64 - 1 }), ledger.CodeSequenceGap},
		{"wrong previous", with(func(o *ledger.Order) { o.Previous[0] ^= 1 }), ledger.CodePrevious},
		{"no previous", with(func(o *ledger.Order) { o.Previous = ledger.Hash{} }), ledger.CodePrevious},
		{"expired order", with(func(o *ledger.Order) { o.Expiry = birthHeight }), ledger.CodeExpired},
		{"order that expired at height 1", with(func(o *ledger.Order) { o.Expiry = 1 }), ledger.CodeExpired},

		// Who is paid.
		{"unknown payee", with(func(o *ledger.Order) { payment(o).Payee = nobody }), ledger.CodeAccount},
		{"payee of another shard", with(func(o *ledger.Order) { payment(o).Payee = otherShard }), ledger.CodeAccount},
		{"one unknown payee of many", with(func(o *ledger.Order) {
			o.Body = &ledger.Transfer{Payments: append(payments(9, 17, 1), payments(1, nobody, 1)...)}
		}), ledger.CodeAccount},
		{"payee is the payer", with(func(o *ledger.Order) { payment(o).Payee = o.Payer }), ledger.CodeSelfPayment},
		{"payee is the payer, last of many", with(func(o *ledger.Order) {
			o.Body = &ledger.Transfer{Payments: append(payments(9, 17, 1), payments(1, o.Payer, 1)...)}
		}), ledger.CodeSelfPayment},
		{"payee 0", with(func(o *ledger.Order) { payment(o).Payee = 0 }), ledger.CodeSystemAccount},
		{"vault as payee", with(func(o *ledger.Order) { payment(o).Payee = ledger.Vault }), ledger.CodeSystemAccount},
		{"withdrawals pending as payee", with(func(o *ledger.Order) { payment(o).Payee = ledger.WithdrawalsPending }), ledger.CodeSystemAccount},
		{"miner fees as payee", with(func(o *ledger.Order) { payment(o).Payee = ledger.MinerFees }), ledger.CodeSystemAccount},
		{"suspense as payee", with(func(o *ledger.Order) { payment(o).Payee = ledger.Suspense }), ledger.CodeSystemAccount},
		{"reserved account as payee", with(func(o *ledger.Order) { payment(o).Payee = reserved }), ledger.CodeSystemAccount},
		{"treasury of another shard as payee", with(func(o *ledger.Order) { payment(o).Payee = 1<<32 | ledger.Treasury }), ledger.CodeSystemAccount},
		{"closed payee", with(func(o *ledger.Order) { payment(o).Payee = 18 }), ledger.CodeClosed},

		// Funds.
		{"insufficient funds by a satoshi", with(func(o *ledger.Order) { payment(o).Amount = 1_380_001 }), ledger.CodeFunds},
		{"insufficient funds in a sum", with(func(o *ledger.Order) { o.Body = &ledger.Transfer{Payments: payments(2, 17, 690_001)} }), ledger.CodeFunds},
		{"insufficient funds with a hold pending", by("bob", pay(16, 35_001)), ledger.CodeFunds},
		{"insufficient funds to withdraw with a hold pending", by("bob", withdraw(35_000, 1)), ledger.CodeFunds},
		{"insufficient funds for the highest fee", body(withdraw(1_380_000, 1)), ledger.CodeFunds},

		// Withdrawals.
		{"dust withdrawal", body(withdraw(withdrawalMin-1, 0)), ledger.CodeDust},
		{"withdrawal of zero", body(withdraw(0, 0)), ledger.CodeAmount},
		{"withdrawal of less than zero", body(withdraw(-5_000, 0)), ledger.CodeAmount},
		{"withdrawal above 21 million BTC", body(withdraw(oneTooMany, 0)), ledger.CodeAmount},
		{"highest fee negative", body(withdraw(5_000, -1)), ledger.CodeAmount},
		{"highest fee above 21 million BTC", body(withdraw(5_000, oneTooMany)), ledger.CodeAmount},
		{"highest fee near the end of int64", body(withdraw(5_000, huge)), ledger.CodeAmount},
		{"withdrawal and fee above 21 million BTC together", body(withdraw(21e14, 1)), ledger.CodeOverflow},
		{"no script", script(nil), ledger.CodeScript},
		{"OP_RETURN script", script([]byte{0x6a, 2, 'h', 'i'}), ledger.CodeScript},
		{"P2PK script", script(concat([]byte{33, 2}, make([]byte, 32), []byte{0xac})), ledger.CodeScript},
		{"P2PKH with another last byte", script(corrupt(scriptP2PKH, 24)), ledger.CodeScript},
		{"P2PKH with another push", script(corrupt(scriptP2PKH, 2)), ledger.CodeScript},
		{"P2SH with another last byte", script(corrupt(scriptP2SH, 22)), ledger.CodeScript},
		{"P2WPKH of version 2", script(concat([]byte{0x52}, scriptP2WPKH[1:])), ledger.CodeScript},
		{"P2TR cut short", script(scriptP2TR[:33]), ledger.CodeScript},
		{"witness version 2 of 32 bytes", script(concat([]byte{0x52}, scriptP2TR[1:])), ledger.CodeScript},
		{"script longer than any", script(make([]byte, 300)), ledger.CodeScript},

		// Closing.
		{"closing with a balance", body(&ledger.Close{}), ledger.CodeNotEmpty},
		{"closing with a hold", by("bob", &ledger.Close{}), ledger.CodeNotEmpty},
		{"closing with nothing but an open withdrawal", by("dan", &ledger.Close{}), ledger.CodeNotEmpty},

		// Opening.
		{"open twice", reopen("ann"), ledger.CodeExists},
		{"open again after closing", reopen("cas"), ledger.CodeExists},
		{"open with a key that is no point", opening(func(o *ledger.Order) { o.Body.(*ledger.Open).Key = ledger.Key(bytes.Repeat([]byte{0xff}, 32)) }), ledger.CodeKey},
		{"open with the zero key", opening(func(o *ledger.Order) { o.Body.(*ledger.Open).Key = ledger.Key{} }), ledger.CodeKey},
		{"open with a payer", opening(func(o *ledger.Order) { o.Payer = 16 }), ledger.CodeMalformed},
		{"open with a sequence", opening(func(o *ledger.Order) { o.Sequence = 1 }), ledger.CodeMalformed},
		{"open with a previous order", opening(func(o *ledger.Order) { o.Previous[5] = 1 }), ledger.CodeMalformed},
		{"open expired", opening(func(o *ledger.Order) { o.Expiry = birthHeight }), ledger.CodeExpired},
		{"open at another bank", opening(func(o *ledger.Order) { o.Bank[0] ^= 1 }), ledger.CodeWrongBank},

		// Several faults: the first of the checks speaks.
		{"bank before amount", with(func(o *ledger.Order) { o.Bank[0] ^= 1; payment(o).Amount = 0 }), ledger.CodeWrongBank},
		{"amount before self payment", with(func(o *ledger.Order) { payment(o).Payee = o.Payer; payment(o).Amount = 0 }), ledger.CodeAmount},
		{"self payment before system payee", with(func(o *ledger.Order) { o.Payer, payment(o).Payee = ledger.Vault, ledger.Vault }), ledger.CodeSelfPayment},
		{"system payee before unknown payer", with(func(o *ledger.Order) { o.Payer = nobody; payment(o).Payee = ledger.Vault }), ledger.CodeSystemAccount},
		{"first payment before second", with(func(o *ledger.Order) {
			o.Body = &ledger.Transfer{Payments: []ledger.Payment{{Payee: ledger.Vault, Amount: 1}, {Payee: 17}}}
		}), ledger.CodeSystemAccount},
		{"closed payer before sequence", with(func(o *ledger.Order) { o.Payer, o.Sequence = 18, 99 }), ledger.CodeClosed},
		{"sequence before previous", with(func(o *ledger.Order) { o.Sequence++; o.Previous[0] ^= 1 }), ledger.CodeSequenceGap},
		{"previous before expiry", with(func(o *ledger.Order) { o.Expiry = 1; o.Previous[0] ^= 1 }), ledger.CodePrevious},
		{"expiry before payee", with(func(o *ledger.Order) { o.Expiry = 1; payment(o).Payee = nobody }), ledger.CodeExpired},
		{"payee before funds", with(func(o *ledger.Order) { payment(o).Payee = nobody; payment(o).Amount = 21e14 }), ledger.CodeAccount},
		{"amount before script", body(&ledger.Withdraw{Amount: 0}), ledger.CodeAmount},
		{"script before dust", body(&ledger.Withdraw{Amount: 1}), ledger.CodeScript},
		{"dust before funds", by("dan", withdraw(1, 0)), ledger.CodeDust},
		{"existing account before expiry", func(w *world, o *ledger.Order) *ledger.Order {
			o = reopen("ann")(w, o)
			o.Expiry = 1
			return o
		}, ledger.CodeExists},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.refuse(ledger.Entry{Order: tt.make(w, w.next(w.ann, pay(w.bob.id, 1_000)))}, tt.want)
			w.order(w.ann, pay(w.bob.id, 1_000)) // a refusal costs the payer no sequence number
		})
	}
}

// The rows above stand on these limits; one step inside each is accepted.
func TestOrdersAtTheLimitAccepted(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(w *world, o *ledger.Order) *ledger.Order
	}{
		{"all that is available", with(func(o *ledger.Order) { payment(o).Amount = 1_380_000 })},
		{"all that a hold leaves", by("bob", pay(16, 35_000))},
		{"1,000 payees and the longest reference", with(func(o *ledger.Order) {
			o.Body = &ledger.Transfer{Payments: payments(1_000, 17, 1), Reference: make([]byte, ledger.MaxReference)}
		})},
		{"the treasury as payee", with(func(o *ledger.Order) { payment(o).Payee = ledger.Treasury })},
		{"the last height", with(func(o *ledger.Order) { o.Expiry = birthHeight + 1 })},
		{"an account without a balance as payee", with(func(o *ledger.Order) { payment(o).Payee = 19 })},
		{"the smallest withdrawal", body(withdraw(withdrawalMin, 0))},
		{"all as amount and fee", body(withdraw(1_379_000, 1_000))},
		{"P2PKH", script(scriptP2PKH)},
		{"P2SH", script(scriptP2SH)},
		{"P2WPKH", script(scriptP2WPKH)},
		{"P2WSH", script(scriptP2WSH)},
		{"P2TR", script(scriptP2TR)},
		{"open at the last height", opening(func(o *ledger.Order) { o.Expiry = birthHeight + 1 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			o := tt.make(w, w.next(w.ann, pay(w.bob.id, 1_000)))
			if err := w.CanApplyOrder(o); err != nil {
				t.Error(err)
			}
			w.apply(ledger.Entry{Order: o})
		})
	}
}

// The books do not look at signatures; Verify does, against the key that they
// hold.
func TestSignaturesRefused(t *testing.T) {
	w := newWorld(t)
	good := signed(t, w.ann.key, w.next(w.ann, pay(w.bob.id, 1_000)))
	account, _ := w.Account(w.ann.id)
	if err := good.Verify(account.Key); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		order  *ledger.Order
		key    ledger.Key
		change func(o *ledger.Order)
	}{
		{"another key signed", signed(t, w.bob.key, w.next(w.ann, pay(w.bob.id, 1_000))), account.Key, func(*ledger.Order) {}},
		{"not signed", w.next(w.ann, pay(w.bob.id, 1_000)), account.Key, func(*ledger.Order) {}},
		{"amount changed", good, account.Key, func(o *ledger.Order) { o.Body = pay(w.bob.id, 1_001) }},
		{"payee changed", good, account.Key, func(o *ledger.Order) { o.Body = pay(w.dan.id, 1_000) }},
		{"bank changed", good, account.Key, func(o *ledger.Order) { o.Bank[0] ^= 1 }},
		{"expiry changed", good, account.Key, func(o *ledger.Order) { o.Expiry = 7 }},
		{"first half of the signature changed", good, account.Key, func(o *ledger.Order) { o.Signature[0] ^= 1 }},
		{"second half of the signature changed", good, account.Key, func(o *ledger.Order) { o.Signature[63] ^= 1 }},
		{"signature's s above the group's order", good, account.Key, func(o *ledger.Order) { copy(o.Signature[32:], bytes.Repeat([]byte{0xff}, 32)) }},
		{"key that is no point", good, ledger.Key(bytes.Repeat([]byte{0xff}, 32)), func(*ledger.Order) {}},
		{"open signed by another key", signed(t, w.bob.key, w.openOrder("eve")), ledger.KeyOf(privateKey("eve")), func(*ledger.Order) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := *tt.order
			tt.change(&o)
			if err := o.Verify(tt.key); ledger.CodeOf(err) != ledger.CodeSignature {
				t.Errorf("got %v, want %s", err, ledger.CodeSignature)
			}
		})
	}
}

// Builders of the rows.

type orderMaker = func(w *world, o *ledger.Order) *ledger.Order

func with(change func(o *ledger.Order)) orderMaker {
	return func(_ *world, o *ledger.Order) *ledger.Order { change(o); return o }
}

func by(name string, body ledger.Body) orderMaker {
	return func(w *world, _ *ledger.Order) *ledger.Order { return w.next(w.member(name), body) }
}

func body(b ledger.Body) orderMaker { return with(func(o *ledger.Order) { o.Body = b }) }

func script(s []byte) orderMaker { return body(&ledger.Withdraw{Amount: 5_000, Script: s}) }

func reopen(name string) orderMaker {
	return func(w *world, _ *ledger.Order) *ledger.Order { return w.openOrder(name) }
}

func opening(change func(o *ledger.Order)) orderMaker {
	return func(w *world, _ *ledger.Order) *ledger.Order {
		o := w.openOrder("eve")
		change(o)
		return o
	}
}

func transfer(o *ledger.Order) *ledger.Transfer { return o.Body.(*ledger.Transfer) }

func payment(o *ledger.Order) *ledger.Payment { return &transfer(o).Payments[0] }

func payments(n int, payee ledger.AccountID, amount ledger.Amount) []ledger.Payment {
	return slices.Repeat([]ledger.Payment{{Payee: payee, Amount: amount}}, n)
}

func corrupt(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}
