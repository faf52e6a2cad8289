package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

const codeNotConnected = -29 // to the peer that is to be cut off

// Net is several nodes that know each other. It starts in one piece; each node
// is connected to the four before it. Only local bitcoinds make a net.
type Net struct {
	Nodes []*Node

	cut map[[2]int]bool // links that Partition took away, higher node first
}

// StartNet is OpenNet for a test, which fails if it does not start, and is
// skipped, as by Node.Require, where the node at hand makes no nets. The nodes
// are closed when the test ends, and a failed test tells about each.
func StartNet(t testing.TB, n int, options ...Option) *Net {
	t.Helper()
	net, err := OpenNet(t.Context(), n, append([]Option{WithLogf(t.Logf)}, options...)...)
	if err != nil {
		skip(t, err)
	}
	for _, node := range net.Nodes {
		node.cleanup(t)
	}
	return net
}

// OpenNet starts n nodes and connects them. Each has a miner of its own.
func OpenNet(ctx context.Context, n int, options ...Option) (*Net, error) {
	if n < 1 {
		return nil, fmt.Errorf("bitcoind: a net of %d nodes: want at least one", n)
	}
	net := &Net{Nodes: make([]*Node, n), cut: make(map[[2]int]bool)}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range net.Nodes {
		group.Go(func() (err error) {
			net.Nodes[i], err = Open(groupCtx, append(slices.Clone(options), member(i))...)
			return err
		})
	}
	err := group.Wait()
	if err == nil {
		err = net.connect(ctx)
	}
	if err == nil {
		err = net.WaitSync(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, net.Close())
	}
	return net, nil
}

// member is a node of a net: it listens, and its miner's key is its own. What
// WithBlocks mines belongs to the first.
func member(i int) Option { return func(s *settings) { s.peers, s.member = true, i } }

// Close closes every node.
func (n *Net) Close() error {
	var group errgroup.Group
	errs := make([]error, len(n.Nodes))
	for i, node := range n.Nodes {
		if node != nil {
			group.Go(func() error { errs[i] = node.Close(); return nil })
		}
	}
	group.Wait()
	return errors.Join(errs...)
}

// Partition cuts every link between nodes of different groups, which are named
// by their indexes. A node that is not named is in a group of its own. It
// replaces an earlier partition.
func (n *Net) Partition(ctx context.Context, groups ...[]int) error {
	of := make(map[int]int)
	for g, members := range groups {
		for _, i := range members {
			if _, twice := of[i]; twice || i < 0 || i >= len(n.Nodes) {
				return fmt.Errorf("bitcoind: partition: node %d of %d is named wrongly or twice", i, len(n.Nodes))
			}
			of[i] = g
		}
	}
	group := func(i int) int {
		if g, named := of[i]; named {
			return g
		}
		return -1 - i
	}
	n.cut = make(map[[2]int]bool)
	for _, link := range n.links() {
		n.cut[link] = group(link[0]) != group(link[1])
	}
	return n.connect(ctx)
}

// Heal restores every link. The nodes then change over to the chain of the most
// work; of two with equal work each keeps its own until the next block.
func (n *Net) Heal(ctx context.Context) error {
	n.cut = make(map[[2]int]bool)
	return n.connect(ctx)
}

// links are all pairs that are connected in a whole net, the node that connects
// first.
func (n *Net) links() [][2]int {
	var links [][2]int
	for i := range n.Nodes {
		for j := max(0, i-4); j < i; j++ {
			links = append(links, [2]int{i, j})
		}
	}
	return links
}

// connect makes and cuts links until both ends see them as they should be. A link
// can break off in between, as one of a node that was just restarted, and is then
// made again.
func (n *Net) connect(ctx context.Context) error {
	for last := ""; ; {
		strays, err := n.mendAll(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && len(strays) == 0:
			return nil
		case err == nil:
			last = strings.Join(strays, ", ")
			err = pause(ctx, n.Nodes[0].config.Poll)
		}
		if err != nil {
			return &WaitError{For: "the links of the net", Last: last, Err: err}
		}
	}
}

// mendAll looks at each link once, and says what is still not as it should be.
func (n *Net) mendAll(ctx context.Context) (strays []string, err error) {
	for _, link := range n.links() {
		if err := n.mend(ctx, link); err != nil {
			return nil, fmt.Errorf("bitcoind: link of node %d to node %d: %w", link[0], link[1], err)
		}
	}
	return n.strays(ctx)
}

// mend makes or cuts one link, if it is not as it should be. It can be there twice: a
// node that lost a connection before it knew the other's version tries once more on its
// own, with the older transport, and does so beside a link that is made meanwhile.
func (n *Net) mend(ctx context.Context, link [2]int) error {
	from, to := n.Nodes[link[0]], fmt.Sprintf("127.0.0.1:%d", n.Nodes[link[1]].home.peerPort)
	peers, err := from.peers(ctx)
	if err != nil {
		return err
	}
	links := peers[to].connections
	switch cut := n.cut[link]; {
	case cut && links > 0, links > 1:
		err = from.Call(ctx, "disconnectnode", nil, to)
		if errors.Is(err, &RPCError{Code: codeNotConnected}) { // by now
			return nil
		}
		return err
	case !cut && links == 0:
		return from.Call(ctx, "addnode", nil, to, "onetry")
	}
	return nil
}

// strays says of each node that has not the peers it should have what it has.
func (n *Net) strays(ctx context.Context) ([]string, error) {
	want := make([]int, len(n.Nodes))
	for _, link := range n.links() {
		if !n.cut[link] {
			want[link[0]]++
			want[link[1]]++
		}
	}
	var strays []string
	for i, node := range n.Nodes {
		peers, err := node.peers(ctx)
		if err != nil {
			return nil, fmt.Errorf("bitcoind: peers of node %d: %w", i, err)
		}
		connections, ready := 0, 0
		for _, p := range peers {
			connections, ready = connections+p.connections, ready+p.ready
		}
		if ready != want[i] || connections != want[i] {
			strays = append(strays, fmt.Sprintf("node %d has %d connections, %d of them ready, and wants %d", i, connections, ready, want[i]))
		}
	}
	return strays, nil
}

// Reconnect restores the links that a node lost when it was stopped, killed or
// restarted. What Partition cut stays cut.
func (n *Net) Reconnect(ctx context.Context) error { return n.connect(ctx) }

// peer is how often a node is connected to an address, and how many of these
// connections have shaken hands.
type peer struct{ connections, ready int }

// peers returns a node's peers by address.
func (c *Client) peers(ctx context.Context) (map[string]peer, error) {
	var r []struct {
		Address string `json:"addr"`
		Version int    `json:"version"`
	}
	if err := c.Call(ctx, "getpeerinfo", &r); err != nil {
		return nil, err
	}
	peers := make(map[string]peer, len(r))
	for _, one := range r {
		p := peers[one.Address]
		p.connections++
		if one.Version > 0 {
			p.ready++
		}
		peers[one.Address] = p
	}
	return peers, nil
}

// WaitSync waits until the named nodes, by default all, have one tip.
func (n *Net) WaitSync(ctx context.Context, nodes ...int) error {
	if len(nodes) == 0 {
		for i := range n.Nodes {
			nodes = append(nodes, i)
		}
	}
	first := n.Nodes[nodes[0]]
	return first.wait(ctx, fmt.Sprintf("one tip of nodes %v", nodes), func() (bool, string, error) {
		var seen []string
		same := true
		var tip Block
		for k, i := range nodes {
			at, err := n.Nodes[i].Tip(ctx)
			if err != nil {
				return false, "", fmt.Errorf("node %d: %w", i, err)
			}
			if k == 0 {
				tip = at
			}
			same = same && at == tip
			seen = append(seen, fmt.Sprintf("node %d at %s", i, at))
		}
		return same, strings.Join(seen, ", "), nil
	})
}
