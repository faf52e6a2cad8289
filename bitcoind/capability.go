package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

// Capability is something that not every kind of node can do.
type Capability string

// What Require knows.
const (
	CanFreezeTime   Capability = "a clock that can be set"           // Freeze, Advance
	CanKeepChain    Capability = "a chain that survives a restart"   // Restart
	CanControl      Capability = "a process to kill, stop and pause" // Kill, Stop, Restart, Pause
	CanHoldWallets  Capability = "wallets"                           // Client.Wallet
	CanScan         Capability = "a scan for descriptors"            // ScanDescriptor
	CanTakePackages Capability = "packages"                          // SubmitPackage
	CanLimitMempool Capability = "a mempool with a limit"            // FillMempool, Evict
	CanEstimateFees Capability = "smart fee estimates"               // TeachFeeRate
	CanConnect      Capability = "links to other nodes"              // StartNet
	CanAnnounce     Capability = "announcements by ZMQ"              // WithZMQ
	CanReorganise   Capability = "reorganisations"                   // Reorg
)

// Require skips the test unless the node can do all of these, and says why. With
// BITCOIND_REQUIRE=1 in the environment it fails the test instead, for machines
// that ought to have a full node.
func (n *Node) Require(t testing.TB, capabilities ...Capability) {
	t.Helper()
	for _, capability := range capabilities {
		if err := n.Can(t.Context(), capability); err != nil {
			skip(t, err)
		}
	}
}

// skip ends a test for what a node cannot do; for anything else it fails it.
func skip(t testing.TB, err error) {
	t.Helper()
	if (errors.Is(err, ErrUnsupported) || errors.Is(err, ErrShared)) && os.Getenv("BITCOIND_REQUIRE") != "1" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// Can returns nil when the node can do it, else ErrUnsupported, ErrShared, or
// why it cannot be known.
func (n *Node) Can(ctx context.Context, capability Capability) error {
	no := fmt.Errorf("bitcoind: %s has not got %s: %w", n.info, capability, ErrUnsupported)
	local := n.info.Kind == "bitcoind"
	switch capability {
	case CanControl:
		if n.info.Kind == "external" {
			return no
		}
		return nil
	case CanReorganise:
		return n.disturb()
	case CanConnect, CanAnnounce:
		if !local {
			return no
		}
		return nil
	case CanKeepChain:
		if n.btcd || n.info.Kind == "external" {
			return no
		}
		return nil
	case CanFreezeTime, CanLimitMempool:
		if n.btcd {
			return no
		}
		return n.disturb()
	case CanScan, CanTakePackages, CanEstimateFees:
		if n.btcd {
			return no
		}
		return nil
	case CanHoldWallets:
		err := n.Call(ctx, "listwallets", nil)
		var refused *RPCError
		if errors.As(err, &refused) {
			return no
		}
		return err
	}
	return fmt.Errorf("bitcoind: capability %q is not known", string(capability))
}
