package main

import (
	"context"
	"fmt"
	"io"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// sizeBatches are the measured numbers of payouts in one settlement.
var sizeBatches = []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}

// What the settlement of n payouts cannot be below, reckoned by hand from BIP-141 in
// weight units: version, lock time, counts, marker and flag; an input with a signature
// of 64 bytes; a P2TR output; an OP_RETURN of 42 bytes.
const (
	weightShared = 4*(4+4+1+1) + 2
	weightInput  = 4*41 + 66
	weightP2TR   = 4 * 43
	weightAnchor = 4 * (8 + 1 + 42)
	sizeRate     = 2_000 // satoshis per 1,000 vbytes at which prices are shown
)

// sizeFigures is what a payout costs in a batch.
type sizeFigures struct {
	Payouts   int     `json:"payouts"`
	VBytes    int64   `json:"vbytes"`            // of the settlement
	PerPayout float64 `json:"vbytes_per_payout"` // the same divided
	Floor     float64 `json:"floor_vbytes"`      // a P2TR output, and its part of one input, anchor and change
	// MemberSat and TreasurySat are what each pays for a payout at 2 sat/vB.
	MemberSat   float64 `json:"member_sat_per_payout"`
	TreasurySat float64 `json:"treasury_sat_per_payout"`
}

// aloneVBytes is a payout in a transaction of its own, without an anchor: one input,
// the payout, and change.
const aloneVBytes = float64(weightShared+weightInput+2*weightP2TR) / 4

// measureSize builds and signs settlements of growing batches, each P2TR to a place of
// its own, by the code that the bank runs.
func measureSize(ctx context.Context, b *settlementBench) error {
	for _, n := range sizeBatches {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := settleBatch(n)
		if err != nil {
			return fmt.Errorf("%d payouts: %w", n, err)
		}
		b.Size = append(b.Size, f)
		if n == 100 {
			b.target(atMost("vbytes_per_payout_at_100_over_floor", f.PerPayout/f.Floor, "×", 1.05))
		}
	}
	b.say("built batches of 1 to %d payouts", sizeBatches[len(sizeBatches)-1])
	return nil
}

// settleBatch settles n withdrawals of a bank with one coin.
func settleBatch(n int) (f sizeFigures, err error) {
	group, _, err := frost.TrustedDealer(2, 3, nil)
	if err != nil {
		return f, err
	}
	s, vaults, err := newSizeBank(group.Key(), n)
	if err != nil {
		return f, err
	}
	cut, err := netting.Plan(s, vaults, sizeRate, netting.StandardLimits)
	if err != nil {
		return f, err
	}
	if _, err := s.ApplyEvent(cut); err != nil {
		return f, err
	}
	header := s.Next(ledger.Hash{}, 1, 1, 1)
	if err := s.Seal(&header); err != nil {
		return f, err
	}
	t, err := netting.Build(s.Open(), vaults)
	if err != nil {
		return f, err
	}
	signatures := make([][]byte, len(t.Tx.TxIn)) // 64 bytes each, as every signature has
	for i := range signatures {
		signatures[i] = make([]byte, frost.SignatureSize)
	}
	tx, err := taproot.AttachSignatures(t.Tx, signatures)
	if err != nil {
		return f, err
	}
	var members ledger.Amount
	for _, p := range cut.Payouts {
		members += p.FeeShare
	}
	f = sizeFigures{Payouts: len(cut.Payouts), VBytes: (blockchain.GetTransactionWeight(btcutil.NewTx(tx)) + 3) / 4}
	f.PerPayout = float64(f.VBytes) / float64(n)
	f.Floor = float64(weightP2TR)/4 + float64(weightShared+weightInput+weightAnchor+weightP2TR)/4/float64(n)
	f.MemberSat, f.TreasurySat = float64(members)/float64(n), float64(cut.Fee-members)/float64(n)
	return f, nil
}

// newSizeBank has one coin, and n withdrawals that wait.
func newSizeBank(key frost.PublicKey, n int) (*ledger.State, *netting.Vaults, error) {
	charter := ledger.Charter{Name: "bench", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(benchKey(operatorKey)), Depth: 1, WithdrawalMin: withdrawalMin}
	s, err := ledger.NewState(charter)
	if err != nil {
		return nil, nil, err
	}
	policy, err := benchPolicy(taproot.FROST, 2, 3)
	if err != nil {
		return nil, nil, err
	}
	policy.GroupKey = key
	vault, err := taproot.NewVault(policy)
	if err != nil {
		return nil, nil, err
	}
	deposit := func(id ledger.AccountID, height uint32, amount ledger.Amount) error {
		_, previous := s.Block()
		if _, err := s.ApplyEvent(&ledger.Block{Height: height, Hash: ledger.Hash{byte(height)}, Previous: previous}); err != nil {
			return err
		}
		_, err := s.ApplyEvent(&ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash{byte(height)}}, Amount: amount,
			Index: id.Index(), Height: height, TxIndex: 1})
		return err
	}
	member := &tip{}
	open := &ledger.Order{Bank: s.Bank(), Body: &ledger.Open{Key: ledger.KeyOf(benchKey(firstKey))}}
	if _, err := s.ApplyOrder(open); err != nil {
		return nil, nil, err
	}
	member.last = open.Digest()
	transfer := &ledger.Order{Bank: s.Bank(), Body: &ledger.Transfer{Payments: []ledger.Payment{{Payee: ledger.Treasury, Amount: 1_000_000}}}}
	if err := deposit(benchMember(0), 1, ledger.Amount(n+1)*1_000_000); err != nil {
		return nil, nil, err
	}
	orders := []*ledger.Order{transfer}
	for i := range n {
		orders = append(orders, &ledger.Order{Bank: s.Bank(), Body: &ledger.Withdraw{Amount: 100_000, FeeMax: 10_000, Script: payoutScript(i)}})
	}
	for _, o := range orders {
		if err := member.sign(o); err != nil {
			return nil, nil, err
		}
		if _, err := s.ApplyOrder(o); err != nil {
			return nil, nil, err
		}
	}
	return s, netting.NewVaults(charter.ID(), vault), nil
}

// draw writes what a payout costs by the size of its batch, as SVG.
func (b *settlementBench) draw(out io.Writer) error {
	var bank, alone, floor, member, treasury plotter.XYs
	for _, f := range b.Size {
		x := float64(f.Payouts)
		bank = append(bank, plotter.XY{X: x, Y: f.PerPayout})
		floor = append(floor, plotter.XY{X: x, Y: f.Floor})
		alone = append(alone, plotter.XY{X: x, Y: aloneVBytes})
		member = append(member, plotter.XY{X: x, Y: f.MemberSat})
		treasury = append(treasury, plotter.XY{X: x, Y: max(f.TreasurySat, 0.1)})
	}
	size := newPanel("Size of a payout", "payouts in one settlement", "vbytes per payout", decadeTicks{})
	price := newPanel("Its price at 2 sat/vB", "payouts in one settlement", "sat per payout", decadeTicks{})
	last := len(schemeStyles) - 1
	for _, line := range []struct {
		panel  *plot.Plot
		points plotter.XYs
		style  int
		name   string
	}{
		{size, alone, last - 2, "one transaction each"}, {size, bank, last, "the bank"}, {size, floor, last - 1, "floor"},
		{price, member, last, "its owner pays"}, {price, treasury, last - 1, "the treasury pays"},
	} {
		style := schemeStyles[line.style]
		style.scheme = line.name
		if err := addLine(line.panel, line.points, style, true); err != nil {
			return err
		}
	}
	for _, p := range []*plot.Plot{size, price} {
		widen(p)
		p.Legend.Left = false
	}
	canvas := vgsvg.New(2*panelWidth, panelHeight)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: panelGap, PadY: panelGap,
		PadTop: panelGap, PadBottom: panelGap, PadLeft: panelGap, PadRight: panelGap}
	size.Draw(tiles.At(draw.New(canvas), 0, 0))
	price.Draw(tiles.At(draw.New(canvas), 1, 0))
	_, err := canvas.WriteTo(out)
	return err
}
