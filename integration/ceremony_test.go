package integration

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

var (
	ceremonySeed   = flag.Uint64("ceremony.seed", 0, "seed of the ceremony story; 0 takes a new one")
	ceremonyRounds = flag.Int("ceremony.rounds", 10, "how many banks the ceremony story founds")
)

const (
	ceremonyGuardians = 3
	ceremonyThreshold = 2
	ceremonyKills     = 2
	// ceremonyMoment is the longest that a bank lives before it is killed: about
	// as long as it takes to start and to make the key.
	ceremonyMoment = 300 * time.Millisecond
)

// TestCeremony founds banks whose process is killed with SIGKILL at random
// moments of the key generation, now and then a guardian's too. Each ends with
// one key, of which every guardian holds its share.
func TestCeremony(t *testing.T) {
	seed := *ceremonySeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./integration -run TestCeremony -args -ceremony.seed=%d -ceremony.rounds=%d", seed, *ceremonyRounds)
	random := rand.New(rand.NewPCG(seed, 2))
	node := bitcoind.Start(t)
	for n := range *ceremonyRounds {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			h := newHouse(t, node, cluster.Test(t), ceremonyThreshold, ceremonyGuardians)
			h.gather(ctx)
			for range ceremonyKills {
				pause(ctx, time.Duration(random.Int64N(int64(ceremonyMoment))))
				h.bank.kill()
				h.spawn()
				if random.IntN(2) == 0 {
					pause(ctx, time.Duration(random.Int64N(int64(ceremonyMoment))))
					lost := h.guardians[random.IntN(ceremonyGuardians)]
					lost.kill()
					lost.start()
				}
			}
			h.bank.await(ctx, "listening")
			h.bank.stop()
			for _, g := range h.guardians {
				g.kill() // what the bank counts on must be on disk already
			}
			h.expectOneKey()
		})
	}
}

// gather starts the bank and its guardians, and waits for nothing that they do
// together.
func (h *house) gather(ctx context.Context) {
	h.t.Helper()
	h.spawn()
	said := h.bank.await(ctx, "guardians")
	h.url, h.address = said["api"], said["guardians"]
	for i := range h.identities() {
		h.guardians = append(h.guardians, h.guardian(i, h.folder(i)))
		h.guardians[i].start()
	}
}

// expectOneKey checks what the bank and its guardians, all stopped, have on
// disk: one run of the key generation, and every guardian's share of it.
func (h *house) expectOneKey() {
	h.t.Helper()
	group := h.group()
	var first []byte
	for i := range h.identities() {
		result, err := recoverShare(h.folder(i), h.identity(i))
		if err != nil {
			h.t.Fatalf("guardian %d: %v", i, err)
		}
		defer result.Share.Wipe()
		if first == nil {
			first = result.RecoveryData
		}
		if !bytes.Equal(result.RecoveryData, first) {
			h.t.Errorf("guardian %d has kept another run than guardian 0", i)
		}
		if public, _ := group.PublicShare(frost.ID(i)); result.Group.Key() != group.Key() || result.Share.Public() != public {
			h.t.Errorf("guardian %d holds a share of the key %s, the bank has %s", i, result.Group.Key(), group.Key())
		}
	}
}

// recoverShare computes a guardian's share from its folder, as it does itself.
func recoverShare(folder, identity string) (*chilldkg.Result, error) {
	k, err := keep.Open(folder)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	host, err := k.HostKey(keyfile.IdentityFile(identity))
	if err != nil {
		return nil, err
	}
	defer host.Wipe()
	shares, err := k.Shares(host)
	if err != nil || len(shares) != 1 {
		return nil, fmt.Errorf("%d shares: %w", len(shares), err)
	}
	return shares[0], nil
}
