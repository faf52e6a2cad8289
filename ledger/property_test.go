package ledger_test

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/daobank/daobank/ledger"
)

// Random orders and events, good and bad, give the same answers and the same
// books in the package and in the model. Keys are arbitrary points: the books
// do not look at signatures.
func TestBooksAgainstModel(t *testing.T) {
	// A run that never gets deep proves little, so it goes on until every kind
	// of entry, every refusal and every turn of a settlement has happened.
	const rounds = 20
	seen := make(map[string]int)
	for range rounds {
		rapid.Check(t, func(t *rapid.T) {
			r := newRun(t, seen)
			r.begin()
			for range rapid.IntRange(20, 150).Draw(t, "steps") {
				r.step()
			}
		})
		if t.Failed() || len(unseen(seen)) == 0 {
			break
		}
	}
	t.Logf("seen: %v", seen)
	if missing := unseen(seen); len(missing) > 0 && !t.Failed() {
		t.Errorf("after %d rounds too rare or never: %q", rounds, missing)
	}
}

// unseen lists what did not happen often enough.
func unseen(seen map[string]int) (missing []string) {
	const often = 5
	for kind, codes := range map[string][]ledger.Code{
		"open":     {"", ledger.CodeWrongBank, ledger.CodeMalformed, ledger.CodeKey, ledger.CodeExists, ledger.CodeExpired},
		"transfer": {"", ledger.CodeWrongBank, ledger.CodeNoPayee, ledger.CodeOversized, ledger.CodeAmount, ledger.CodeSelfPayment, ledger.CodeSystemAccount, ledger.CodeOverflow, ledger.CodeEvent, ledger.CodeAccount, ledger.CodeClosed, ledger.CodeSequenceUsed, ledger.CodeSequenceGap, ledger.CodePrevious, ledger.CodeExpired, ledger.CodeFunds},
		"withdraw": {"", ledger.CodeAmount, ledger.CodeOverflow, ledger.CodeScript, ledger.CodeDust, ledger.CodeFunds},
		"close":    {"", ledger.CodeClosed, ledger.CodeNotEmpty},
		"block":    {"", ledger.CodeEvent},
		"deposit":  {"", ledger.CodeEvent},
		"cut":      {"", ledger.CodeEvent},
		"settled":  {"", ledger.CodeEvent},
		"rekey":    {"", ledger.CodeEvent},

		"cancel":      {"", ledger.CodeNotWaiting},
		"standing":    {"", ledger.CodeMalformed, ledger.CodeAmount, ledger.CodeOverflow, ledger.CodeScript},
		"draw":        {"", ledger.CodeEvent},
		"reorganised": {"", ledger.CodeEvent},
		"correct":     {"", ledger.CodeEvent},
	} {
		for _, code := range codes {
			if what := answer(kind, code); seen[what] < often {
				missing = append(missing, what)
			}
		}
	}
	for _, what := range []string{"deposit to suspense", "deposit to treasury", "coinbase deposit", "transfer to many", "transfer while a settlement is in flight",
		"cut with payouts", "fee paid by the treasury", "settled with payouts", "settled without change", "refund of a fee",
		"replacement", "replacement with another payout", "old version settled", "payout that waits again", "reserve given back",
		"draw in flight", "end of a standing payout", "coin lost", "coin lost with a settlement in flight", "loss borne by the treasury", "lost coin back",
		"withdrawal found paid", "cut refused for want of a common coin", "rekey with a settlement in flight", "deposit to an old key", "change to a new key"} {
		if seen[what] < often {
			missing = append(missing, what)
		}
	}
	slices.Sort(missing)
	return missing
}

func answer(kind string, code ledger.Code) string {
	if code == "" {
		return kind
	}
	return fmt.Sprintf("%s refused: %s", kind, code)
}

// run drives the package and the model through one random history.
type run struct {
	*rapid.T
	state   *ledger.State
	model   *model
	keys    int // made so far
	tx      uint32
	seen    map[string]int
	headers []handHash // hashes, of the batches that are sealed
}

func newRun(t *rapid.T, seen map[string]int) *run {
	charter := testCharter()
	charter.Depth = uint32(rapid.SampledFrom([]int{1, 3, 99, 100}).Draw(t, "depth"))
	state, err := ledger.NewState(charter)
	if err != nil {
		t.Fatal(err)
	}
	return &run{T: t, state: state, model: newModel(charter), seen: seen}
}

// begin gives a few members and the treasury coins, so that random orders have
// something to move.
func (r *run) begin() {
	for range rapid.IntRange(2, 5).Draw(r.T, "members") {
		r.judgeOrder(&ledger.Order{Bank: r.state.Bank(), Body: &ledger.Open{Key: point(r.keys)}})
		r.keys++
	}
	r.judgeEvent(&ledger.Block{Height: r.model.height + 1, Previous: r.model.tip, Hash: hashOf("block %d", r.model.height+1)})
	for index, amount := range []ledger.Amount{ledger.Treasury: 1_000_000, 16: 100_000, 17: 50_000} {
		if amount == 0 {
			continue
		}
		r.tx++
		r.judgeEvent(&ledger.Deposit{OutPoint: ledger.OutPoint{TxID: hashOf("deposit %d", r.tx)}, Amount: amount, Index: uint32(index), Height: r.model.height, TxIndex: r.tx})
	}
}

// step draws and judges one entry, or ends a batch.
func (r *run) step() {
	if !r.model.sealed && !r.oneIn("linger after the cut", 3) {
		r.seal()
		return
	}
	switch sample(r, "kind", []string{"transfer", "transfer", "transfer", "transfer", "transfer", "withdraw", "withdraw", "withdraw",
		"open", "close", "block", "deposit", "deposit", "cut", "cut", "settled", "rekey", "seal",
		"cancel", "standing", "draw", "draw", "reorganised", "correct"}) {
	case "open":
		r.judgeOrder(r.drawOpen())
	case "transfer":
		r.judgeOrder(r.drawTransfer())
	case "withdraw":
		r.judgeOrder(r.drawWithdraw())
	case "close":
		r.judgeOrder(r.drawOrder(&ledger.Close{}))
	case "block":
		r.judgeEvent(r.drawBlock())
	case "deposit":
		r.judgeEvent(r.drawDeposit())
	case "cut":
		r.judgeEvent(r.drawCut())
	case "settled":
		r.judgeEvent(r.drawSettled())
	case "rekey":
		r.judgeEvent(r.drawRekey())
	case "seal":
		r.seal()
	case "cancel":
		r.judgeOrder(r.drawCancel())
	case "standing":
		r.judgeOrder(r.drawStanding())
	case "draw":
		r.judgeEvent(r.drawDraw())
	case "reorganised":
		r.judgeEvent(r.drawReorganised())
	case "correct":
		r.judgeEvent(r.drawCorrect())
	}
}

func (r *run) judgeOrder(o *ledger.Order) {
	inFlight, standing := r.model.flight != nil, len(r.model.standing)
	before := r.state.Fingerprint()
	_, err := r.state.ApplyOrder(o)
	want := r.model.order(o, func(k ledger.Key) bool { return k != badKey })
	if got := string(ledger.CodeOf(err)); got != want || (err == nil) != (want == "") {
		r.Fatalf("%s %+v %+v: the books say %q (%v), the model %q", o.Kind(), o, o.Body, got, err, want)
	}
	if o.Digest() != handDigest(o) {
		r.Fatal("the digest is not the hand's")
	}
	if body, ok := o.Body.(*ledger.Transfer); ok && err == nil {
		r.count("transfer to many", len(body.Payments) > 1)
		r.count("transfer while a settlement is in flight", inFlight)
	}
	r.count("end of a standing payout", len(r.model.standing) < standing)
	r.agree(o.Kind(), err, before)
}

func (r *run) judgeEvent(e ledger.Event) {
	before, flight, lost := r.state.Fingerprint(), slices.Clone(r.model.flight), maps.Clone(r.model.lost)
	effects, err := r.state.ApplyEvent(e)
	want := r.model.event(e)
	if (err == nil) != want || err != nil && ledger.CodeOf(err) != ledger.CodeEvent {
		r.Fatalf("%s %+v: the books say %v, the model %v", e.Kind(), e, err, want)
	}
	if err == nil {
		r.countEvent(e, effects, flight, lost)
	} else {
		r.count("cut refused for want of a common coin", strings.Contains(err.Error(), "two could be mined"))
	}
	r.agree(e.Kind(), err, before)
}

func (r *run) countEvent(event ledger.Event, effects ledger.Effects, flight []*modelFlight, lost map[modelCoin]bool) {
	switch e := event.(type) {
	case *ledger.Deposit:
		r.count("deposit to "+effects.Postings[0].Credit.String(), !effects.Postings[0].Credit.IsMember())
		r.count("coinbase deposit", e.TxIndex == 0)
		r.count("deposit to an old key", e.Generation < r.model.keys)
		r.count("lost coin back", lost[modelCoin{e.OutPoint.TxID, e.OutPoint.Vout}])
	case *ledger.Rekey:
		r.count("rekey with a settlement in flight", len(flight) > 0)
	case *ledger.Reorganised:
		r.count("coin lost", len(e.Removed) > 0)
		r.count("coin lost with a settlement in flight", len(e.Removed) > 0 && len(flight) > 0)
		r.count("withdrawal found paid", len(e.Paid) > 0)
		for _, p := range effects.Postings {
			r.count("loss borne by the treasury", p.Debit == ledger.Treasury)
		}
	case *ledger.Cut:
		r.count("cut with payouts", len(e.Payouts) > 0)
		r.count("replacement", e.Version > 1)
		for _, p := range effects.Postings {
			r.count("fee paid by the treasury", p.Debit == ledger.Treasury)
			r.count("replacement with another payout", e.Version > 1 && p.Credit == ledger.WithdrawalsPending)
		}
		for _, p := range e.Payouts {
			s := r.model.standing[uint64(p.Payer)]
			r.count("draw in flight", s != nil && s.sequence == p.Sequence)
		}
	case *ledger.Settled:
		mined := flight[e.Version-1]
		r.count("settled with payouts", len(mined.payouts) > 0)
		r.count("settled without change", mined.change == 0)
		r.count("change to a new key", mined.change > 0 && mined.key > 0)
		r.count("old version settled", int(e.Version) < len(flight))
		for _, p := range effects.Postings {
			r.count("refund of a fee", p.Credit.IsMember())
			r.count("reserve given back", p.Debit == ledger.MinerFees && p.Credit == ledger.Treasury)
		}
		for _, p := range r.state.Held() {
			for _, other := range flight {
				r.count("payout that waits again", slices.Contains(other.payouts, [2]uint64{uint64(p.Payer), p.Sequence}))
			}
		}
	}
}

func (r *run) count(what string, happened bool) {
	if happened {
		r.seen[what]++
	}
}

// agree asserts that a refusal changed nothing, that books and model hold the
// same, and that the bank's sums are right in both.
func (r *run) agree(kind ledger.Kind, err error, before string) {
	if err != nil {
		r.seen[answer(kind.String(), ledger.CodeOf(err))]++
		if after := r.state.Fingerprint(); after != before {
			r.Fatalf("a refused %s changed the books\nbefore %s\nafter  %s", kind, before, after)
		}
		return
	}
	r.seen[kind.String()]++
	if err := r.state.CheckInvariants(); err != nil {
		r.Fatalf("after a %s: %v", kind, err)
	}
	if got := uint64(r.state.Accounts()); got != r.model.next {
		r.Fatalf("the books have %d accounts, the model %d", got, r.model.next)
	}
	sum := new(big.Int)
	for id := uint64(1); id < r.model.next; id++ {
		a, ok := r.state.Account(ledger.AccountID(id))
		want := r.model.balance(id)
		if !ok || big.NewInt(int64(a.Balance)).Cmp(want) != 0 || big.NewInt(int64(a.Available())).Cmp(r.model.available(id)) != 0 {
			r.Fatalf("after a %s: account %d has %d, available %d; the model says %v, available %v",
				kind, id, a.Balance, a.Available(), want, r.model.available(id))
		}
		if b := r.model.accounts[id]; b != nil && (a.Closed != b.closed || a.Sequence != b.sequence || a.Last != b.previous) {
			r.Fatalf("after a %s: account %+v, the model says %+v", kind, a, b)
		}
		if id != 1 && want.Sign() < 0 {
			r.Fatalf("account %d is below zero in the model: %v", id, want)
		}
		sum.Add(sum, big.NewInt(int64(a.Balance)))
	}
	if sum.Sign() != 0 {
		r.Fatalf("after a %s: the accounts add up to %v", kind, sum)
	}
	r.agreeOnCoins(kind)
}

func (r *run) agreeOnCoins(kind ledger.Kind) {
	coins, total := r.state.Coins(), new(big.Int)
	for _, c := range coins {
		total.Add(total, big.NewInt(int64(c.Amount)))
		at := modelCoin{c.TxID, c.Vout}
		if want, ok := r.model.coins[at]; !ok || want != int64(c.Amount) || c.Generation != r.model.keyOf[at] {
			r.Fatalf("after a %s: the coin %+v is %d (%v) in the model", kind, c, want, ok)
		}
	}
	if len(coins) != len(r.model.coins) || total.Cmp(r.model.owed()) != 0 || total.Int64() != int64(r.state.Liabilities()) {
		r.Fatalf("after a %s: %d coins of %v sat, the model has %d and owes %v", kind, len(coins), total, len(r.model.coins), r.model.owed())
	}
	held := 0
	for _, p := range r.model.payouts {
		if p.state == "held" {
			held++
		}
	}
	last := uint64(0)
	for _, p := range r.state.Held() {
		want := r.model.payouts[[2]uint64{uint64(p.Payer), p.Sequence}]
		if want == nil || want.state != "held" || want.amount != int64(p.Amount) || want.feeMax != int64(p.FeeMax) || p.Ordinal <= last {
			r.Fatalf("after a %s: %+v is held behind %d, in the model it is %+v", kind, p, last, want)
		}
		last = p.Ordinal
		held--
	}
	if held != 0 {
		r.Fatalf("after a %s: the model holds %d withdrawals more", kind, held)
	}
	for id := range r.model.next {
		want := r.model.standing[id]
		if got, ok := r.state.Instruction(ledger.AccountID(id)); ok != (want != nil) || ok && (got.Sequence != want.sequence || int64(got.Next) != want.next) {
			r.Fatalf("after a %s: the standing payout of %d is %+v (%v), in the model %+v", kind, id, got, ok, want)
		}
	}
	if r.state.Cleared() != r.model.cleared {
		r.Fatalf("after a %s: transfers have moved %d sat, in the model %d", kind, r.state.Cleared(), r.model.cleared)
	}
	if len(r.state.Versions()) != len(r.model.flight) || r.state.Settlements() != r.model.cuts {
		r.Fatalf("after a %s: settlement %+v, the model's %+v", kind, r.state.Open(), r.model.flight)
	}
}

// seal ends the batch; after a cut the books' hash must be the model's.
func (r *run) seal() {
	h := r.state.Next(hashOf("root"), 1, 1, 0)
	if err := r.state.Seal(&h); err != nil {
		r.Fatal(err)
	}
	r.model.sealed, r.model.batch = true, h.Number
	r.headers = append(r.headers, handTag("daobank/header", handHeader(&h)))
	if len(r.model.flight) == 0 || r.model.flight[len(r.model.flight)-1].sealed {
		return
	}
	flight := r.model.flight[len(r.model.flight)-1]
	flight.sealed = true
	open := r.state.Open()
	if got, want := open.Books.Hash(), r.model.books(r.headers); got != want || open.Batch != h.Number {
		r.Fatalf("the books' hash at settlement %d is %s, in the model %x", open.Settlement, got, want)
	}
	if int64(open.Change) != flight.change || open.Generation != flight.key {
		r.Fatalf("the change is %+v, in the model %+v", open, flight)
	}
}
