package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

const (
	codeWalletNotFound = -18
	codeWalletLoaded   = -35
)

// Wallet is a wallet inside the node, which keeps its own keys. All methods of
// Client work on it too; Call reaches the wallet's own RPC path.
type Wallet struct {
	*Client
	name string
}

// WalletOption changes how Wallet creates a wallet that the node does not have.
type WalletOption func(*walletSettings)

type walletSettings struct{ watchOnly, blank bool }

// WalletWatchOnly makes a wallet without private keys. Import its descriptors.
func WalletWatchOnly() WalletOption { return func(s *walletSettings) { s.watchOnly = true } }

// WalletBlank makes a wallet without any keys yet. Import its descriptors.
func WalletBlank() WalletOption { return func(s *walletSettings) { s.blank = true } }

// Wallet returns the node's wallet of a name: loaded, or loaded now, or created
// as a descriptor wallet. A node without wallets gives ErrUnsupported.
func (c *Client) Wallet(ctx context.Context, name string, options ...WalletOption) (*Wallet, error) {
	if name == "" || strings.ContainsAny(name, "/\\") {
		return nil, fmt.Errorf("bitcoind: wallet name %q: want a name without slashes", name)
	}
	var s walletSettings
	for _, option := range options {
		option(&s)
	}
	c.wallets.Lock() // bitcoind fails, and not by one code, when a wallet is made twice at once
	defer c.wallets.Unlock()
	err := c.Call(ctx, "loadwallet", nil, name)
	if errors.Is(err, &RPCError{Code: codeWalletNotFound}) {
		err = c.Call(ctx, "createwallet", nil, name, s.watchOnly, s.blank)
	}
	switch {
	case errors.Is(err, &RPCError{Code: CodeMethodNotFound}), c.btcd && err != nil:
		return nil, fmt.Errorf("bitcoind: wallet %q: %w", name, ErrUnsupported)
	case err != nil && !errors.Is(err, &RPCError{Code: codeWalletLoaded}):
		return nil, err
	}
	return &Wallet{Client: c.at("/wallet/" + url.PathEscape(name)), name: name}, nil
}

// at returns a client of the same node under another RPC path. It shares the
// connections and the clock.
func (c *Client) at(path string) *Client {
	config := c.config
	config.URL = strings.TrimSuffix(config.URL, "/") + path
	return &Client{
		config: config, http: c.http, maxResponse: c.maxResponse, scan: c.scan, wallets: c.wallets, frozen: c.frozen,
		shared: c.shared, btcd: c.btcd, version: c.version, versionNumber: c.versionNumber, params: c.params,
	}
}

// Name returns the wallet's name.
func (w *Wallet) Name() string { return w.name }

// NewAddress returns a fresh address of a type: legacy, p2sh-segwit, bech32 or
// bech32m. An empty type is the wallet's default.
func (w *Wallet) NewAddress(ctx context.Context, addressType string) (string, error) {
	params := []any{""} // the label
	if addressType != "" {
		params = append(params, addressType)
	}
	var address string
	err := w.Call(ctx, "getnewaddress", &address, params...)
	return address, err
}

// WalletBalance is what a wallet has.
type WalletBalance struct {
	Trusted  btcutil.Amount // confirmed, or unconfirmed change of its own
	Pending  btcutil.Amount // unconfirmed from others
	Immature btcutil.Amount // of coinbases
}

// Balance returns what the wallet has.
func (w *Wallet) Balance(ctx context.Context) (WalletBalance, error) {
	var r struct {
		Mine struct {
			Trusted  amountJSON `json:"trusted"`
			Pending  amountJSON `json:"untrusted_pending"`
			Immature amountJSON `json:"immature"`
		} `json:"mine"`
	}
	err := w.Call(ctx, "getbalances", &r)
	return WalletBalance{Trusted: r.Mine.Trusted.Amount, Pending: r.Mine.Pending.Amount, Immature: r.Mine.Immature.Amount}, err
}

// Pay sends an amount to an address at a fee rate, in satoshis per 1,000
// virtual bytes; zero leaves the rate to the node. After a *TransportError the
// payment may have been made.
func (w *Wallet) Pay(ctx context.Context, address string, amount btcutil.Amount, satPerKvB int64) (chainhash.Hash, error) {
	options := map[string]any{}
	if satPerKvB != 0 {
		options["fee_rate"] = fmt.Sprintf("%d.%03d", satPerKvB/1000, satPerKvB%1000) // in satoshis per byte
	}
	output := map[string]string{address: amountText(amount)}
	var r struct {
		TxID     hashJSON `json:"txid"`
		Complete bool     `json:"complete"`
	}
	err := w.Call(ctx, "send", &r, []any{output}, nil, nil, nil, options)
	if err == nil && !r.Complete {
		err = fmt.Errorf("bitcoind: wallet %q has not got the keys to pay: %w", w.name, ErrUnsupported)
	}
	return r.TxID.Hash, err
}

// WalletDescriptor is an output descriptor to import, with or without checksum.
type WalletDescriptor struct {
	Descriptor string
	Range      int       // for one with a wildcard: indexes 0 to this, both included
	Active     bool      // new addresses come from it
	Internal   bool      // for change
	Since      time.Time // look through blocks from here; zero: from genesis
}

// Import adds descriptors and looks through the chain for their coins. The first
// that the wallet refuses is returned as an *RPCError; those before it are in.
func (w *Wallet) Import(ctx context.Context, descriptors ...WalletDescriptor) error {
	requests := make([]map[string]any, 0, len(descriptors))
	for _, d := range descriptors {
		text, err := w.withChecksum(ctx, d.Descriptor)
		if err != nil {
			return err
		}
		request := map[string]any{"desc": text, "active": d.Active, "internal": d.Internal, "timestamp": max(0, d.Since.Unix())}
		if strings.Contains(text, "*") {
			request["range"] = []int{0, d.Range}
		}
		requests = append(requests, request)
	}
	var results []struct {
		Success bool `json:"success"`
		Error   struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := w.Call(ctx, "importdescriptors", &results, requests); err != nil {
		return err
	}
	for _, r := range results {
		if !r.Success {
			return &RPCError{Method: "importdescriptors", Code: r.Error.Code, Message: r.Error.Message}
		}
	}
	return nil
}

// withChecksum adds the checksum that importdescriptors demands. The node's own
// canonical form would drop private keys, so only its checksum is used.
func (w *Wallet) withChecksum(ctx context.Context, descriptor string) (string, error) {
	if strings.Contains(descriptor, "#") {
		return descriptor, nil
	}
	var r struct {
		Checksum string `json:"checksum"`
	}
	err := w.Call(ctx, "getdescriptorinfo", &r, descriptor)
	return descriptor + "#" + r.Checksum, err
}

// Descriptors returns the wallet's public descriptors, with checksums.
func (w *Wallet) Descriptors(ctx context.Context) ([]string, error) {
	var r struct {
		Descriptors []struct {
			Text string `json:"desc"`
		} `json:"descriptors"`
	}
	if err := w.Call(ctx, "listdescriptors", &r); err != nil {
		return nil, err
	}
	texts := make([]string, len(r.Descriptors))
	for i, d := range r.Descriptors {
		texts[i] = d.Text
	}
	return texts, nil
}

// Unload closes the wallet. Client.Wallet opens it again.
func (w *Wallet) Unload(ctx context.Context) error {
	return w.Call(ctx, "unloadwallet", nil, w.name)
}
