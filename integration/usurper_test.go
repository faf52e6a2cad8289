package integration

import (
	"context"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/link"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/taproot/frost"
)

// A usurper is the story itself in the place of the bank's coordinator: it has
// its key, and asks what it likes.
type usurper struct {
	h       *house
	hub     *link.Hub
	remotes []*wire.Remote
}

// secret reads one of the bank's keys.
func (h *house) secret(name string) *btcec.PrivateKey {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "bank", name))
	if err != nil {
		h.t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		h.t.Fatal(err)
	}
	key, _ := btcec.PrivKeyFromBytes(raw)
	return key
}

// foundingDocument is what the house's guardians agreed to.
func (h *house) foundingDocument() *guardian.Founding {
	h.t.Helper()
	raw, err := os.ReadFile(h.founding())
	if err != nil {
		h.t.Fatal(err)
	}
	f, err := guardian.ParseFounding(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// usurp waits for guardians at an address.
func (h *house) usurp(address string) *usurper {
	h.t.Helper()
	var keys []*btcec.PublicKey
	for _, g := range h.foundingDocument().Guardians {
		key, err := btcec.ParsePubKey(g[:])
		if err != nil {
			h.t.Fatal(err)
		}
		keys = append(keys, key)
	}
	hub, err := link.Listen(address, h.secret("coordinator.key"), keys, slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatal(err)
	}
	u := &usurper{h: h, hub: hub}
	for i := range keys {
		u.remotes = append(u.remotes, wire.NewRemote(frost.ID(i), hub.RoundTripper(i)))
	}
	h.t.Cleanup(func() { hub.Close() })
	return u
}

// await waits until n guardians are connected.
func (u *usurper) await(ctx context.Context, n int) {
	u.h.t.Helper()
	if err := u.hub.Wait(ctx, n); err != nil {
		u.h.t.Fatal(err)
	}
}

// reserve makes the addresses at which the bank answers known, without a bank.
func (h *house) reserve(ctx context.Context) {
	h.t.Helper()
	h.spawn()
	said := h.bank.await(ctx, "guardians")
	h.url, h.address = said["api"], said["guardians"]
	h.bank.kill()
}
