package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
)

// Policy is what a shop decides for itself.
type Policy struct {
	Depth    int32 // blocks, the first included, after which coins count as paid
	Patience int32 // blocks that may leave a payout out before it is replaced
	FeeRate  int64 // of a payout's first version, in satoshis per 1,000 virtual bytes
}

// Processor takes payments and makes payouts. Its methods may be called from
// several goroutines.
type Processor struct {
	client *bitcoind.Client
	seed   []byte
	policy Policy

	mu   sync.Mutex
	book *book
}

// Open reads the book at path, or begins one. The chain before start is not looked
// at by a new one. Seed makes all keys; who has it has the money.
func Open(client *bitcoind.Client, path string, seed []byte, start bitcoind.Block, policy Policy) (*Processor, error) {
	if policy.Depth < 1 || policy.Patience < 1 || policy.FeeRate < 1 {
		return nil, fmt.Errorf("processor: policy %+v: each must be above zero", policy)
	}
	book, err := openBook(path, start)
	if err != nil {
		return nil, fmt.Errorf("processor: %w", err)
	}
	p := &Processor{client: client, seed: seed, policy: policy, book: book}
	book.change, err = keyScript(p.key(change))
	return p, err
}

// Run follows the chain until the context ends, and returns its error, or one that
// only people can mend.
func (p *Processor) Run(ctx context.Context) error {
	if err := p.push(ctx); err != nil { // what a crash kept from being sent
		return err
	}
	for event, err := range p.client.Follow(ctx, p.Tip()) {
		if err == nil {
			err = p.step(ctx, event)
		}
		if err != nil {
			return fmt.Errorf("processor: %w", err)
		}
	}
	return nil
}

// Tip returns the last block that the book knows.
func (p *Processor) Tip() bitcoind.Block {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.book.Tip
}

// step writes one block into the book, or out of it.
func (p *Processor) step(ctx context.Context, event bitcoind.Event) error {
	if !event.Connected {
		return p.disconnect(ctx, event.Block)
	}
	block, err := p.client.Block(ctx, event.Block.Hash)
	if err != nil {
		return err
	}
	if err := p.connect(event.Block, block); err != nil {
		return err
	}
	// While it catches up, later blocks may hold what seems to be missing.
	if tip, err := p.client.Tip(ctx); err != nil || tip != event.Block {
		return passing(err)
	}
	return p.push(ctx)
}

func (p *Processor) connect(at bitcoind.Block, block *wire.MsgBlock) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tx := range block.Transactions {
		txid := tx.TxHash()
		for i, out := range tx.TxOut {
			if key, ours := p.book.keyOf(out.PkScript); ours {
				p.book.Coins = append(p.book.Coins, Coin{
					OutPoint: wire.OutPoint{Hash: txid, Index: uint32(i)}, AmountSat: out.Value, Key: key, Height: at.Height,
				})
			}
		}
		if payout := p.book.payoutOf(txid); payout != nil {
			payout.Height = at.Height
		}
	}
	p.book.Tip = at
	return p.book.save()
}

// disconnect forgets what the block at the top brought.
func (p *Processor) disconnect(ctx context.Context, top bitcoind.Block) error {
	header, _, err := p.client.Header(ctx, top.Hash)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.book.Coins = slices.DeleteFunc(p.book.Coins, func(c Coin) bool { return c.Height == top.Height })
	for _, payout := range p.book.Payouts {
		if payout.Height == top.Height {
			payout.Height, payout.Since = 0, top.Height-1
		}
	}
	p.book.Tip = bitcoind.Block{Height: top.Height - 1, Hash: header.PrevBlock}
	return p.book.save()
}

// push sends every payout that is in no block, and first replaces those that have
// waited too long.
func (p *Processor) push(ctx context.Context) error {
	p.mu.Lock()
	names := slices.Sorted(maps.Keys(p.book.Payouts))
	p.mu.Unlock()
	for _, name := range names {
		if err := p.bump(name); err != nil {
			return err
		}
		if err := p.send(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// passing drops an error that says only that the node cannot be asked just now.
func passing(err error) error {
	if lost := (*bitcoind.TransportError)(nil); errors.As(err, &lost) {
		return nil
	}
	return err
}

// key makes the private key of a number.
func (p *Processor) key(number uint32) *btcec.PrivateKey {
	return deriveKey(p.seed, number)
}
