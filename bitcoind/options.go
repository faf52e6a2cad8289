package bitcoind

import "time"

// Option changes how a node is found and started.
type Option func(*settings)

type settings struct {
	binary      string
	docker      bool
	image       string
	btcd        bool
	args        []string
	external    *Config
	destruction bool
	minerSeed   []byte
	blocks      int  // the chain begins with
	member      int  // of a net: the first is zero
	peers       bool // listen to other nodes
	zmq         bool
	poll        time.Duration
	logf        func(format string, args ...any)
}

// WithBinary starts this bitcoind, or btcd if its name begins so, and looks for no
// other.
func WithBinary(path string) Option { return func(s *settings) { s.binary = path } }

// WithDocker starts a container of this image, which must be present, and
// looks for no other node. An empty name means BITCOIND_IMAGE or
// daobank/bitcoind:regtest.
func WithDocker(image string) Option {
	return func(s *settings) { s.docker, s.image = true, image }
}

// WithBtcd starts btcd and looks for no other node.
func WithBtcd() Option { return func(s *settings) { s.btcd = true } }

// WithArgs adds arguments to the node's command line. They override the
// package's own settings.
func WithArgs(args ...string) Option {
	return func(s *settings) { s.args = append(s.args, args...) }
}

// WithBlocks starts the node with a chain of n blocks, so that its miner can pay
// at once: from 101 blocks on the first coinbase is mature, from 120 on twenty
// are. For a local bitcoind all but the last are mined only once on a machine
// and copied from then on; other nodes get them at every start, hundreds in a tenth
// of a second. With 432 btcd has segwit and taproot too, for which its first Fund
// would otherwise mine as many.
func WithBlocks(n int) Option { return func(s *settings) { s.blocks = n } }

// WithZMQ lets a local bitcoind announce its changes, so that followers need not
// wait for their next look. Other kinds of node are followed by looking alone.
func WithZMQ() Option { return func(s *settings) { s.zmq = true } }

// WithMinerSeed makes the miner's key the same on every start. By default it
// is random.
func WithMinerSeed(seed []byte) Option { return func(s *settings) { s.minerSeed = seed } }

// WithPoll sets the pause between two looks of waits and followers; the
// default is 20 ms.
func WithPoll(d time.Duration) Option { return func(s *settings) { s.poll = d } }

// WithLogf receives one line for each thing worth telling: the node in use,
// and each rung of the ladder that failed before it.
func WithLogf(logf func(format string, args ...any)) Option {
	return func(s *settings) { s.logf = logf }
}
