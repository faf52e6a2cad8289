package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// ErrShared: the call would disturb others who use this external node. Open it
// with WithDestruction if it is the caller's own.
var ErrShared = errors.New("node may be shared with others")

// WithExternal uses a regtest node that something else runs, such as a service
// of docker compose, and looks for no other. It can be mined on and paid from;
// Kill, Stop, Restart and Pause are ErrUnsupported, and Close leaves it running.
// Open waits until it answers, and fails with ErrNotRegtest on any other chain.
func WithExternal(config Config) Option { return func(s *settings) { s.external = &config } }

// WithDestruction allows, on an external node, what others on it would notice:
// reorganisations, a frozen clock, evictions. Without it they are ErrShared.
func WithDestruction() Option { return func(s *settings) { s.destruction = true } }

// openExternal waits for the node, but not for one that refuses.
func openExternal(ctx context.Context, s *settings) (*Node, error) {
	if s.peers {
		return nil, fmt.Errorf("bitcoind: a net of external nodes: %w", ErrUnsupported)
	}
	config := *s.external
	if config.Poll <= 0 {
		config.Poll = s.poll
	}
	client := newClient(config)
	var chain ChainInfo
	err := client.wait(ctx, "the node at "+config.URL, func() (bool, string, error) {
		var err error
		chain, err = client.ChainInfo(ctx)
		return err == nil, "an answer", err
	})
	if err == nil && chain.Chain != "regtest" {
		err = fmt.Errorf("bitcoind: node at %s on chain %s: %w", config.URL, chain.Chain, ErrNotRegtest)
	}
	if err == nil {
		err = client.connect(ctx)
	}
	if err != nil {
		client.http.CloseIdleConnections()
		return nil, err
	}
	client.shared = !s.destruction
	miner, err := NewMiner(client, s.minerSeed)
	if err != nil {
		return nil, err
	}
	return &Node{
		Client: client, Miner: miner, program: external{}, home: home{config: config},
		info: Info{Kind: "external", Version: client.Version(), Source: config.URL},
	}, nil
}

// disturb returns ErrShared when others may use the node.
func (c *Client) disturb() error {
	if c.shared {
		return fmt.Errorf("bitcoind: %w; open it with WithDestruction", ErrShared)
	}
	return nil
}

// external is a program that somebody else runs.
type external struct{}

var _ program = external{}

func (external) start(...string) error       { return ErrUnsupported }
func (external) ended() <-chan struct{}      { return closed }
func (external) outcome() string             { return "external node" }
func (external) signal(syscall.Signal) error { return ErrUnsupported }
func (external) close() error                { return nil }
