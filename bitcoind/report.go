package bitcoind

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// ChainTip is the end of one of the chains that a node knows.
type ChainTip struct {
	Block  Block
	Branch int    // blocks since it left the active chain; zero for the active chain
	Status string // active, valid-fork, valid-headers, headers-only or invalid
}

// ChainTips returns the ends of all chains that the node knows. btcd cannot:
// ErrUnsupported.
func (c *Client) ChainTips(ctx context.Context) ([]ChainTip, error) {
	var r []struct {
		Height int32    `json:"height"`
		Hash   hashJSON `json:"hash"`
		Branch int      `json:"branchlen"`
		Status string   `json:"status"`
	}
	err := c.Call(ctx, "getchaintips", &r)
	if c.btcd && err != nil {
		return nil, fmt.Errorf("bitcoind: chain tips: %w", ErrUnsupported)
	}
	tips := make([]ChainTip, len(r))
	for i, tip := range r {
		tips[i] = ChainTip{Block: Block{Height: tip.Height, Hash: tip.Hash.Hash}, Branch: tip.Branch, Status: tip.Status}
	}
	return tips, err
}

// Report describes the node for people: what it is, its chain tips, its mempool
// and the end of its log. What cannot be had is told as such.
func (n *Node) Report(ctx context.Context) string {
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\n", n.info)
	if tips, err := n.ChainTips(ctx); err == nil {
		for _, tip := range tips {
			fmt.Fprintf(&b, "chain tip: %s, %s, %d off the active chain\n", tip.Block, tip.Status, tip.Branch)
		}
	} else if tip, err := n.Tip(ctx); err == nil {
		fmt.Fprintf(&b, "tip: %s\n", tip)
	} else {
		fmt.Fprintf(&b, "tip: %v\n", err)
	}
	if txids, err := n.Mempool(ctx); err == nil {
		fmt.Fprintf(&b, "mempool: %d transactions%s\n", len(txids), listed(txids))
	} else {
		fmt.Fprintf(&b, "mempool: %v\n", err)
	}
	fmt.Fprintf(&b, "end of its log:\n%s", n.LogTail(60))
	return b.String()
}

// listed names some transactions.
func listed(txids []chainhash.Hash) string {
	const most = 20
	var b strings.Builder
	for i, txid := range txids {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(txids)-most)
			break
		}
		fmt.Fprintf(&b, "\n  %s", txid)
	}
	return b.String()
}

// reportOf is Report within a few seconds, for a node that may hang.
func (n *Node) reportOf(t testing.TB) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Second)
	defer cancel()
	return n.Report(ctx)
}

// ExpectLog runs do and waits until a line that the node has logged since then
// matches the regular expression. do may be nil. Text of a log is no interface:
// it differs between versions. The log of an external node is not to be had:
// ErrUnsupported.
func (n *Node) ExpectLog(ctx context.Context, expression string, do func() error) error {
	wanted, err := regexp.Compile(expression)
	if err != nil {
		return fmt.Errorf("bitcoind: expect log: %w", err)
	}
	if n.home.log == "" {
		return fmt.Errorf("bitcoind: expect log of an external node: %w", ErrUnsupported)
	}
	file, err := os.Open(n.home.log)
	if err != nil {
		return fmt.Errorf("bitcoind: expect log: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("bitcoind: expect log: %w", err)
	}
	if do != nil {
		if err := do(); err != nil {
			return err
		}
	}
	var text strings.Builder
	return n.wait(ctx, fmt.Sprintf("a line of the log like %q", expression), func() (bool, string, error) {
		if _, err := io.Copy(&text, file); err != nil {
			return false, "", err
		}
		lines := strings.Split(text.String(), "\n")
		for _, line := range lines[:len(lines)-1] { // the last is not whole yet
			if wanted.MatchString(line) {
				return true, "", nil
			}
		}
		return false, strings.Join(lines[max(0, len(lines)-10):], "\n"), nil
	})
}
