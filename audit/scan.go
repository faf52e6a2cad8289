package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Scanner finds the coins of output descriptors in a node's set of unspent
// outputs, for the indexes 0 to rangeEnd. A node that cannot answers with
// bitcoind.ErrUnsupported.
type Scanner interface {
	ScanDescriptor(ctx context.Context, descriptors []string, rangeEnd int) (bitcoind.Scan, error)
}

// maxScanRange is the most addresses that Bitcoin Core derives for one
// descriptor of a scan.
const maxScanRange = 1_000_000

// compareScan asks the node itself for the vault's coins, a way that shares no
// code with the walk along the blocks, and compares the two at the books' block.
func (a *Audit) compareScan(ctx context.Context) error {
	books := a.replay.Books()
	rangeEnd := int(max(books.Accounts(), books.Settlements())) + netting.Gap
	switch {
	case a.Scanner == nil:
		a.report.skip(CheckScan, "no scanner was given; the coins were found in the blocks")
		return nil
	case rangeEnd >= maxScanRange:
		a.report.skip(CheckScan, "a node scans at most %d addresses; the coins were found in the blocks", maxScanRange)
		return nil
	}
	a.progress("scanning the node's unspent outputs")
	var descriptors []string
	for _, vault := range a.replay.Vaults().All() {
		own := vault.Descriptors()
		descriptors = append(descriptors, own[:]...)
	}
	scan, err := a.Scanner.ScanDescriptor(ctx, descriptors, rangeEnd)
	switch {
	case errors.Is(err, bitcoind.ErrUnsupported):
		a.report.skip(CheckScan, "this node cannot scan descriptors; the coins were found in the blocks")
		return nil
	case err != nil:
		return unchecked(err, "scan the node's unspent outputs")
	}
	atBooks, err := a.bringBack(ctx, scan)
	if errors.Is(err, ErrReorganised) && !a.report.Check(CheckChain).OK {
		height, _ := books.Block()
		a.report.skip(CheckScan, "block %d of the books is not in the node's chain", height)
		return nil
	}
	if err != nil {
		return err
	}
	return a.compareUnspent(ctx, atBooks)
}

// bringBack takes a scan of the tip back to the books' last block: coins from
// above it go, coins of the vault that were spent above it return.
func (a *Audit) bringBack(ctx context.Context, scan bitcoind.Scan) (map[ledger.OutPoint]bitcoind.ScanCoin, error) {
	height, block := a.replay.Books().Block()
	if int64(scan.Height) < int64(height) {
		return nil, a.nodeError(ctx, ErrNodeBehind, height)
	}
	coins := make(map[ledger.OutPoint]bitcoind.ScanCoin, len(scan.Coins))
	for _, c := range scan.Coins {
		if _, twice := coins[outPoint(c)]; twice {
			a.report.differ(Difference{Check: CheckScan, Height: height, OutPoint: outPoint(c).String(),
				Text: fmt.Sprintf("coin %s of %d sat is counted twice among the node's unspent outputs", outPoint(c), int64(c.Amount))})
		}
		if int64(c.Height) <= int64(height) {
			coins[outPoint(c)] = c
		}
	}
	hash := scan.Hash
	for h := int64(scan.Height); h > int64(height); h-- {
		b, err := a.Chain.Block(ctx, hash)
		if err != nil {
			return nil, a.nodeError(ctx, err, height)
		}
		for _, tx := range b.Transactions {
			for _, in := range tx.TxIn {
				at := ledger.OutPoint{TxID: ledger.Hash(in.PreviousOutPoint.Hash), Vout: in.PreviousOutPoint.Index}
				if amount, ok := a.coins.unspent[at]; ok {
					coins[at] = bitcoind.ScanCoin{OutPoint: in.PreviousOutPoint, Amount: btcutil.Amount(amount), Height: int32(height)}
				}
			}
		}
		hash = b.Header.PrevBlock
	}
	if hash != chainhash.Hash(block) {
		return nil, unchecked(ErrReorganised, "find block %d of the books, %s, below the scanned tip", height, chainhash.Hash(block))
	}
	return coins, nil
}

func (a *Audit) compareUnspent(ctx context.Context, scanned map[ledger.OutPoint]bitcoind.ScanCoin) error {
	a.report.count(CheckScan, len(scanned))
	amounts := make(map[ledger.OutPoint]ledger.Amount, len(scanned))
	for at, c := range scanned {
		amounts[at] = ledger.Amount(c.Amount)
	}
	for _, at := range outPoints(amounts, a.coins.unspent) {
		got, unspent := amounts[at]
		want, expected := a.coins.unspent[at]
		text := ""
		switch {
		case !unspent:
			text = fmt.Sprintf("coin %s of %d sat stands in the blocks and not in the node's unspent outputs", at, want)
		case !expected:
			outside, err := a.outside(ctx, scanned[at])
			if err != nil {
				return err
			}
			if outside {
				a.report.OutsideSat += got
				delete(amounts, at)
				continue
			}
			text = fmt.Sprintf("coin %s of %d sat is among the node's unspent outputs and was not found in the blocks", at, got)
		case got != want:
			text = fmt.Sprintf("coin %s has %d sat in the blocks and %d sat among the node's unspent outputs", at, want, got)
		default:
			continue
		}
		a.report.differ(Difference{Check: CheckScan, Height: a.report.Height, OutPoint: at.String(), Text: text})
	}
	a.report.ChainSat = sum(amounts)
	return nil
}

// outside reports whether the books rightly do not claim a coin at one of the
// vault's addresses: it is older than the bank, an immature coinbase, or was
// paid to an address further ahead than the bank watches.
func (a *Audit) outside(ctx context.Context, c bitcoind.ScanCoin) (bool, error) {
	charter, height := &a.Charter, int64(c.Height)
	if height <= int64(charter.BirthHeight) || c.Amount == 0 {
		return true, nil
	}
	hash, err := a.Chain.BlockHash(ctx, c.Height)
	if err != nil {
		return false, a.nodeError(ctx, err, uint32(c.Height))
	}
	block, err := a.Chain.Block(ctx, hash)
	if err != nil {
		return false, a.nodeError(ctx, err, uint32(c.Height))
	}
	if len(block.Transactions) > 0 && block.Transactions[0].TxHash() == c.OutPoint.Hash {
		if height += int64(ledger.CoinbaseDepth - charter.Depth); height > int64(a.report.Height) {
			return true, nil
		}
	}
	i, found := slices.BinarySearchFunc(a.coins.reaches, uint32(height), func(r reach, h uint32) int { return int(int64(r.height) - int64(h)) })
	if !found {
		return false, nil
	}
	reached := a.coins.reaches[i]
	for _, vault := range a.replay.Vaults().All()[:reached.vaults] {
		for branch, count := range reached.count {
			watched, err := vault.Scripts(taproot.Branch(branch), 0, count)
			if err != nil {
				return false, unchecked(err, "derive the vault's addresses")
			}
			if slices.ContainsFunc(watched, func(s []byte) bool { return string(s) == string(c.Script) }) {
				return false, nil
			}
		}
	}
	return true, nil
}

func outPoint(c bitcoind.ScanCoin) ledger.OutPoint {
	return ledger.OutPoint{TxID: ledger.Hash(c.OutPoint.Hash), Vout: c.OutPoint.Index}
}
