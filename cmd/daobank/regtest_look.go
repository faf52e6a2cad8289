package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
)

// statusAnswer is what "up" and "status" print. The password stays in the file.
type statusAnswer struct {
	bitcoind.Info
	URL        string       `json:"url"`
	CookieFile string       `json:"cookie_file"` // holds user:password
	ZMQ        string       `json:"zmq,omitempty"`
	Log        string       `json:"log"`
	PID        int          `json:"pid"` // of the process that keeps the node
	Tip        regtestBlock `json:"tip"`
	MedianTime time.Time    `json:"median_time"`
	Mempool    poolAnswer   `json:"mempool"`
}

type poolAnswer struct {
	Count          int   `json:"count"`
	VBytes         int64 `json:"vbytes"`
	FloorSatPerKvB int64 `json:"floor_sat_per_kvb"`
	LimitBytes     int64 `json:"limit_bytes"`
}

func (s statusAnswer) String() string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%-9s %v\n", name, value) }
	line("node", s.Info)
	line("url", s.URL)
	line("cookie", s.CookieFile)
	if s.ZMQ != "" {
		line("zmq", s.ZMQ)
	}
	line("log", s.Log)
	line("tip", s.Tip)
	line("median", s.MedianTime.UTC().Format(time.DateTime+" MST"))
	line("mempool", fmt.Sprintf("%d transactions, %d vB, from %s sat/vB", s.Mempool.Count, s.Mempool.VBytes, perVByte(s.Mempool.FloorSatPerKvB)))
	return b.String()
}

func (r *regtest) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the running node: how to reach it, its chain, its mempool",
		Args:  cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.status(cmd) },
	}
}

func (r *regtest) status(cmd *cobra.Command) error {
	answer, err := r.look(cmd.Context())
	if err != nil {
		return err
	}
	return r.print(cmd.OutOrStdout(), answer)
}

func (r *regtest) look(ctx context.Context) (*statusAnswer, error) {
	state, err := r.state(ctx)
	if err != nil {
		return nil, err
	}
	s := &statusAnswer{Info: state.Info, URL: state.Config.URL, ZMQ: state.Config.ZMQ, Log: state.Log}
	if s.PID, err = r.holder(); err != nil {
		return nil, err
	}
	if s.CookieFile, err = filepath.Abs(filepath.Join(r.dir, regtestCookie)); err != nil {
		return nil, err
	}
	client, err := bitcoind.Dial(ctx, state.Config)
	if err != nil {
		return nil, fmt.Errorf("the node does not answer: %w\n(its log is %s; daobank regtest down ends it)", err, state.Log)
	}
	chain, err := client.ChainInfo(ctx)
	if err != nil {
		return nil, err
	}
	s.Tip, s.MedianTime = regtestBlock(chain.Tip), chain.MedianTime.UTC()
	pool, err := client.MempoolInfo(ctx)
	if err != nil {
		return nil, err
	}
	s.Mempool = poolAnswer{Count: pool.Count, VBytes: pool.VBytes, FloorSatPerKvB: pool.Floor, LimitBytes: pool.Limit}
	return s, nil
}

func (r *regtest) logsCommand() *cobra.Command {
	var lines int
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show the node's log",
		Example: `  daobank regtest logs -n 100
  daobank regtest logs --follow
  daobank regtest logs --json | jq -r .lines[]`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if follow && r.asJSON {
				return errors.New("--follow has no end, and --json is one object: give one of them")
			}
			if lines < 0 {
				return fmt.Errorf("--lines %d: give a number, 0 or more", lines)
			}
			state, err := r.state(cmd.Context())
			if err != nil {
				return err
			}
			file, err := os.Open(state.Log)
			if err != nil {
				return err
			}
			defer file.Close()
			answer, err := lastLines(file, lines)
			if err != nil {
				return err
			}
			if len(answer.Lines) > 0 || r.asJSON {
				if err := r.print(cmd.OutOrStdout(), answer); err != nil {
					return err
				}
			}
			if !follow {
				return nil
			}
			return r.follow(cmd.Context(), file, cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVarP(&lines, "lines", "n", 50, "how many of the last lines")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written, until the node ends")
	return cmd
}

type logsAnswer struct {
	Lines []string `json:"lines"`
}

func (a logsAnswer) String() string { return strings.Join(a.Lines, "\n") }

// lastLines reads a log to its last whole line.
func lastLines(file io.ReadSeeker, n int) (logsAnswer, error) {
	text, err := io.ReadAll(file)
	if err != nil {
		return logsAnswer{}, err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if _, err := file.Seek(int64(whole), io.SeekStart); err != nil {
		return logsAnswer{}, err
	}
	lines := []string{}
	if whole > 0 {
		lines = strings.Split(string(text[:whole-1]), "\n")
	}
	return logsAnswer{Lines: lines[max(0, len(lines)-n):]}, nil
}

// follow copies what is written until the node or the context ends, which is no
// error.
func (r *regtest) follow(ctx context.Context, file io.Reader, out io.Writer) error {
	for {
		pid, err := r.holder()
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, file); err != nil || pid == 0 {
			return err
		}
		if rest(ctx, 100*time.Millisecond) != nil {
			return nil
		}
	}
}
