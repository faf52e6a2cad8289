package ledger_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"pgregory.net/rapid"

	"github.com/daobank/daobank/ledger"
)

// Draws: most are good, so that histories grow deep; each field is bad now and
// then.

// uniform draws 0 to n-1 alike often; rapid's own ranges and samples lean to
// the ends. The usual case is 0, so that rapid shrinks to it.
func (r *run) uniform(what string, n int) int {
	if n <= 1 {
		return 0
	}
	return rapid.Custom(func(t *rapid.T) int {
		for {
			v := 0
			for bits := n - 1; bits > 0; bits /= 2 {
				v *= 2
				if rapid.Bool().Draw(t, "bit") {
					v++
				}
			}
			if v < n {
				return v
			}
		}
	}).Draw(r.T, what)
}

func (r *run) oneIn(what string, n int) bool { return r.uniform(what, n) == n-1 }

func sample[T any](r *run, what string, from []T) T { return from[r.uniform(what, len(from))] }

// badKey is the x of no point: not every x below the field's prime is one, but
// no x above it is.
var badKey = ledger.Key(bytes.Repeat([]byte{0xff}, 32))

var pointCache = make(map[int]ledger.Key)

func point(n int) ledger.Key {
	if _, ok := pointCache[n]; !ok {
		pointCache[n] = ledger.KeyOf(privateKey(fmt.Sprint("point ", n)))
	}
	return pointCache[n]
}

func (r *run) drawOpen() *ledger.Order {
	body := &ledger.Open{Key: point(r.keys)}
	r.keys++
	o := &ledger.Order{Bank: r.state.Bank(), Expiry: r.drawExpiry(), Body: body}
	switch r.uniform("open's fault", 12) {
	case 8:
		body.Key = badKey
	case 9:
		body.Key = point(rapid.IntRange(0, r.keys-1).Draw(r.T, "key"))
	case 10:
		o.Sequence = 1
	case 11:
		o.Bank[0] ^= 1
	}
	return o
}

func (r *run) drawOrder(body ledger.Body) *ledger.Order {
	id := r.drawMember("payer")
	if _, closing := body.(*ledger.Close); !closing && r.model.accounts[id] != nil && r.model.balance(id).Sign() == 0 {
		id = r.drawMember("payer") // again, for one who may have something
	}
	o := &ledger.Order{Bank: r.state.Bank(), Payer: ledger.AccountID(id), Sequence: 1, Expiry: r.drawExpiry(), Body: body}
	if a := r.model.accounts[id]; a != nil {
		o.Sequence, o.Previous = a.sequence+1, a.previous
	}
	switch r.uniform("order's fault", 25) {
	case 21:
		o.Bank[0] ^= 1
	case 22:
		o.Sequence--
	case 23:
		o.Sequence++
	case 24:
		o.Previous[0] ^= 1
	}
	return o
}

func (r *run) drawExpiry() uint32 {
	switch r.uniform("expiry", 20) {
	case 17:
		return r.model.height
	case 18:
		return r.model.height + 1
	case 19:
		return r.model.height - 1
	}
	return 0
}

// drawMember is the number of a member's account, or now and then of another.
func (r *run) drawMember(what string) uint64 {
	if r.oneIn("odd "+what, 15) {
		return rapid.SampledFrom([]uint64{0, 1, 2, 3, 5, 6, 15, r.model.next, 1<<32 | 16, 1<<64 - 1}).Draw(r.T, what)
	}
	if r.model.next == 16 {
		return 16
	}
	return 16 + uint64(r.uniform(what, int(r.model.next-16)))
}

// drawAmount is an amount about a limit: what is available, now and then odd.
func (r *run) drawAmount(what string, limit int64) int64 {
	if r.oneIn("odd "+what, 15) {
		return rapid.SampledFrom([]int64{0, -1, 21e14, 21e14 + 1, 1<<63 - 1, -1 << 63, limit + 1}).Draw(r.T, what)
	}
	switch rapid.IntRange(0, 5).Draw(r.T, what+" kind") {
	case 4:
		return limit
	case 5:
		return min(limit, 1)
	}
	least := min(int64(r.uniform(what+" at least", 3)*withdrawalMin), limit)
	return rapid.Int64Range(max(1, least), max(1, limit)).Draw(r.T, what)
}

func (r *run) payerFunds(o *ledger.Order) int64 {
	if r.model.accounts[uint64(o.Payer)] == nil {
		return 0
	}
	return r.model.available(uint64(o.Payer)).Int64()
}

func (r *run) drawTransfer() *ledger.Order {
	body := &ledger.Transfer{Reference: make([]byte, sample(r, "reference", []int{0, 0, 0, 0, 3, 63, 64, 0, 0, 0, 0, 0, 0, 0, 0, 65}))}
	o := r.drawOrder(body)
	left := r.payerFunds(o)
	for range sample(r, "payees", []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 5, 0}) {
		amount := r.drawAmount("amount", left)
		if inRange(amount) && amount <= left {
			left -= amount
		}
		payee := r.drawMember("payee")
		if payee == uint64(o.Payer) && !r.oneIn("oneself", 4) {
			payee = 16 + (payee-15)%max(1, r.model.next-16)
		}
		if r.oneIn("to the treasury", 8) {
			payee = 2
		}
		body.Payments = append(body.Payments, ledger.Payment{Payee: ledger.AccountID(payee), Amount: ledger.Amount(amount)})
	}
	if r.oneIn("overflow", 20) {
		body.Payments = append(body.Payments, ledger.Payment{Payee: ledger.Treasury, Amount: 21e14}, ledger.Payment{Payee: ledger.Treasury, Amount: 1})
	}
	return o
}

func (r *run) drawWithdraw() *ledger.Order {
	body := &ledger.Withdraw{Script: sample(r, "script", [][]byte{scriptP2PKH, scriptP2SH, scriptP2WPKH, scriptP2WSH, scriptP2TR, scriptP2TR, scriptP2TR, {0x6a}})}
	o := r.drawOrder(body)
	funds := r.payerFunds(o)
	body.Amount = ledger.Amount(r.drawAmount("amount", funds))
	if body.Amount > 0 && int64(body.Amount) <= funds {
		body.FeeMax = ledger.Amount(r.drawAmount("highest fee", min(funds-int64(body.Amount), 5_000)))
	} else if r.oneIn("too much together", 2) {
		body.FeeMax = 21e14
	}
	return o
}

func (r *run) drawBlock() *ledger.Block {
	e := &ledger.Block{Height: r.model.height + 1, Previous: r.model.tip}
	e.Hash = hashOf("block %d", e.Height)
	switch r.uniform("block's fault", 10) {
	case 8:
		e.Height += 2
	case 9:
		e.Previous[0] ^= 1
	}
	return e
}

func (r *run) drawDeposit() *ledger.Deposit {
	r.tx++
	e := &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: hashOf("deposit %d", r.tx), Vout: rapid.Uint32Range(0, 2).Draw(r.T, "vout")},
		Amount: ledger.Amount(r.drawAmount("deposit", 1_000_000)), Index: uint32(r.drawMember("index")), Height: r.model.height, TxIndex: r.tx,
		Generation: rapid.Uint32Range(0, r.model.keys).Draw(r.T, "generation")}
	if lost := sorted(r.model.lost); len(lost) > 0 && r.oneIn("a lost coin", 3) {
		coin := sample(r, "lost", lost)
		e.OutPoint = ledger.OutPoint{TxID: coin.tx, Vout: coin.vout}
	}
	switch r.uniform("deposit's kind", 21) {
	case 11, 12, 13:
		e.Index = uint32(ledger.Treasury)
	case 14:
		e.TxIndex = 0
		e.Height = uint32(int64(e.Height) + int64(r.model.charter.Depth) - 100)
	case 15:
		e.TxIndex = 0
	case 16:
		e.Branch = ledger.Branch(rapid.IntRange(1, 2).Draw(r.T, "branch"))
	case 17:
		e.Height++
	case 18:
		e.TxIndex = rapid.Uint32Range(1, r.tx).Draw(r.T, "place")
	case 20:
		e.Generation = r.model.keys + 1
	case 19:
		if coins := r.state.Coins(); len(coins) > 0 {
			e.OutPoint = sample(r, "coin", coins).OutPoint
		}
	}
	return e
}

func (r *run) drawCut() *ledger.Cut {
	e := &ledger.Cut{Settlement: r.model.cuts + 1, Version: 1, FeeRate: rapid.Uint64().Draw(r.T, "fee rate")}
	waiting := r.state.Held()
	if n := len(r.model.flight); n > 0 {
		e.Settlement, e.Version = r.model.cuts, uint16(n+1)
		for _, v := range r.state.Versions() {
			for _, p := range v.Payouts {
				if !slices.ContainsFunc(waiting, func(q ledger.Payout) bool { return q.OrderRef == p.OrderRef }) {
					waiting = append(waiting, p)
				}
			}
		}
	}
	out, in := int64(0), int64(0)
	for _, p := range waiting {
		if r.oneIn("leave the payout", 3) {
			continue
		}
		share := rapid.Int64Range(0, int64(p.FeeMax)).Draw(r.T, "share")
		e.Payouts = append(e.Payouts, ledger.CutPayout{Payer: p.Payer, Sequence: p.Sequence, FeeShare: ledger.Amount(share)})
		e.Fee += ledger.Amount(share)
		out += int64(p.Amount)
	}
	treasury := r.model.system[2].Int64() + r.model.system[4].Int64()
	e.Fee += ledger.Amount(rapid.Int64Range(0, min(treasury, 2_000)).Draw(r.T, "treasury's part"))
	common, forget := false, e.Version > 1 && r.oneIn("forget the common coin", 8)
	for _, c := range r.state.Coins() {
		shared := r.model.inAll(modelCoin{c.TxID, c.Vout})
		if shared && forget {
			continue
		}
		if in < out+int64(e.Fee) || in == 0 || shared && !common || r.oneIn("one more coin", 2) {
			e.Inputs = append(e.Inputs, c.OutPoint)
			in += int64(c.Amount)
			common = common || shared
		}
	}
	// All of the treasury as fee, when that leaves nothing: a cut without change.
	if rest := in - out - int64(e.Fee); rest >= 0 && big.NewInt(treasury).Cmp(big.NewInt(rest)) >= 0 && r.oneIn("no change", 2) {
		e.Fee += ledger.Amount(rest)
	}
	r.spoilCut(e)
	return e
}

func (r *run) spoilCut(e *ledger.Cut) {
	switch r.uniform("cut's fault", 20) {
	case 12:
		e.Version += uint16(sample(r, "version", []int{-1, 1}))
	case 13:
		e.Settlement += uint32(sample(r, "number", []int{-1, 1}))
	case 14:
		e.Fee = ledger.Amount(r.drawAmount("fee", r.model.system[2].Int64()))
	case 15:
		e.Inputs = slices.Concat(e.Inputs, e.Inputs)
	case 16:
		e.Payouts = slices.Concat(e.Payouts, e.Payouts)
	case 17:
		e.Inputs = append(e.Inputs, ledger.OutPoint{})
	case 18:
		e.Payouts = append(e.Payouts, ledger.CutPayout{Payer: ledger.AccountID(r.drawMember("payout")), Sequence: rapid.Uint64Range(0, 5).Draw(r.T, "sequence")})
	case 19:
		if len(e.Payouts) > 0 {
			e.Payouts[0].FeeShare = ledger.Amount(r.drawAmount("share", int64(e.Payouts[0].FeeShare)+1))
		}
	}
}

func (r *run) drawCancel() *ledger.Order {
	body := &ledger.Cancel{}
	o := r.drawOrder(body)
	body.Sequence = rapid.Uint64Range(0, o.Sequence).Draw(r.T, "cancelled")
	if held := r.state.Held(); len(held) > 0 && !r.oneIn("any order", 3) {
		p := sample(r, "withdrawal", held)
		a := r.model.accounts[uint64(p.Payer)]
		o.Payer, o.Sequence, o.Previous, body.Sequence = p.Payer, a.sequence+1, a.previous, p.Sequence
	}
	return o
}

func (r *run) drawStanding() *ledger.Order {
	body := &ledger.Standing{Every: rapid.Uint32Range(0, 3).Draw(r.T, "every"), Script: sample(r, "script", [][]byte{scriptP2TR, scriptP2WPKH, scriptP2TR, scriptP2WPKH, {0x6a}, nil})}
	o := r.drawOrder(body)
	if body.Script == nil && !r.oneIn("an end with an interval", 4) {
		body.Every = 0
		return o
	}
	funds := max(0, r.payerFunds(o))
	body.Keep = ledger.Amount(r.drawAmount("kept", funds/2))
	body.FeeMax = ledger.Amount(sample(r, "highest fee", []int64{0, 100, 1_000, 1_000, -1, 21e14}))
	return o
}

func (r *run) drawDraw() *ledger.Draw {
	if due := r.state.Due(); len(due) > 0 && !r.oneIn("anybody", 4) {
		return &ledger.Draw{Payer: sample(r, "due", due)}
	}
	return &ledger.Draw{Payer: ledger.AccountID(r.drawMember("drawn"))}
}

func (r *run) drawReorganised() *ledger.Reorganised {
	r.tx++
	e := &ledger.Reorganised{From: r.model.height, Height: r.model.height + uint32(r.uniform("higher", 3)), Hash: hashOf("branch %d", r.tx)}
	coins := r.state.Coins()
	for _, c := range coins {
		if r.oneIn("lose a coin", 5) {
			e.Removed = append(e.Removed, c.OutPoint)
		}
	}
	for _, p := range r.state.Held() {
		if r.oneIn("find it paid", 6) {
			e.Paid = append(e.Paid, p.OrderRef)
		}
	}
	for range r.uniform("added", 3) {
		r.tx++
		e.Added = append(e.Added, ledger.Added{OutPoint: ledger.OutPoint{TxID: hashOf("added %d", r.tx)}, Amount: ledger.Amount(r.drawAmount("added", 100_000)),
			Generation: r.model.keys, Branch: ledger.Branch(r.uniform("branch", 2)), Index: uint32(r.drawMember("added to")), Deposit: r.oneIn("a deposit", 2)})
	}
	switch r.uniform("reorganisation's fault", 16) {
	case 9:
		e.From = sample(r, "from", []uint32{r.model.charter.BirthHeight, r.model.height + 1, 0})
	case 10:
		e.Height = r.model.height - 1
	case 11:
		e.Hash = r.model.tip
	case 12:
		e.Removed = append(e.Removed, ledger.OutPoint{})
	case 13:
		e.Removed = slices.Concat(e.Removed, e.Removed)
	case 14:
		e.Added = slices.Concat(e.Added, e.Added)
	case 15:
		e.Paid = append(e.Paid, ledger.OrderRef{Payer: 16, Sequence: 1})
	}
	return e
}

func (r *run) drawCorrect() *ledger.Correct {
	return &ledger.Correct{Account: ledger.AccountID(r.drawMember("corrected")), Amount: ledger.Amount(r.drawAmount("correction", r.model.system[5].Int64())),
		Batch: rapid.Uint64Range(0, r.model.batch+1).Draw(r.T, "batch")}
}

func (r *run) drawRekey() *ledger.Rekey {
	e := &ledger.Rekey{Generation: r.model.keys + 1, Policy: []byte("policy"), Signature: ledger.Signature{1}}
	switch r.uniform("rekey's fault", 12) {
	case 9:
		e.Generation = uint32(sample(r, "generation", []int{0, int(r.model.keys), int(r.model.keys) + 2}))
	case 10:
		e.Policy = nil
	case 11:
		e.Policy = make([]byte, ledger.MaxPolicySize+rapid.IntRange(0, 1).Draw(r.T, "size"))
	}
	return e
}

func (r *run) drawSettled() *ledger.Settled {
	r.tx++
	e := &ledger.Settled{Settlement: r.model.cuts, Version: uint16(len(r.model.flight)), TxID: hashOf("settlement %d", r.tx), ChangeVout: rapid.Uint32Range(0, 3).Draw(r.T, "change")}
	if e.Version > 1 && r.oneIn("an old version", 2) {
		e.Version = 1 + uint16(r.uniform("version", len(r.model.flight)))
	}
	if e.Version > 0 && r.model.flight[e.Version-1].change == 0 {
		e.ChangeVout = ledger.NoChange
	}
	switch r.uniform("settled's fault", 12) {
	case 8:
		e.Version++
	case 9:
		e.Settlement++
	case 10:
		e.ChangeVout = ledger.NoChange - e.ChangeVout
	case 11:
		if coins := sorted(r.model.coins); len(coins) > 0 {
			coin := sample(r, "coin", coins)
			e.TxID, e.ChangeVout = coin.tx, coin.vout
		}
	}
	return e
}

// sorted are the keys of a map of coins, in one order at every run.
func sorted[T any](coins map[modelCoin]T) []modelCoin {
	return slices.SortedFunc(maps.Keys(coins), func(a, b modelCoin) int {
		return bytes.Compare(concat(a.tx[:], u32(a.vout)), concat(b.tx[:], u32(b.vout)))
	})
}
