package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
)

// program builds the daobank binary once for all stories.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaries, "daobank")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/daobank").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build daobank: %w\n%s", err, out)
	}
	return path, nil
})

// process is a daobank command in a process of its own. However the test ends,
// it is gone after it, and its log is shown on failure.
type process struct {
	t      *testing.T
	name   string
	binary string // "" is the program
	args   []string
	env    []string
	log    string // path
	cmd    *exec.Cmd
	said   chan map[string]string // lines of JSON on its standard output
	exited chan error
}

func newProcess(t *testing.T, name, log string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, args: args, env: append(os.Environ(), env...), log: log}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			raw, _ := os.ReadFile(p.log)
			t.Logf("log of %s:\n%s", name, tail(raw, 8000))
		}
	})
	return p
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// nodeEnv tells a process where its Bitcoin node answers.
func nodeEnv(node *bitcoind.Node) []string {
	c := node.Config()
	return []string{"DAOBANK_BITCOIND=" + c.URL, "DAOBANK_BITCOIND_USER=" + c.User, "DAOBANK_BITCOIND_PASSWORD=" + c.Password}
}

// run runs a command to its end and returns what it prints.
func run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("daobank %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// tryRun runs a command to its end; an exit status that is not 0 is an error.
func tryRun(ctx context.Context, args ...string) (string, error) {
	binary, err := program()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	return string(out), err
}

// start starts the process.
func (p *process) start() {
	p.t.Helper()
	binary := p.binary
	if binary == "" {
		var err error
		if binary, err = program(); err != nil {
			p.t.Fatal(err)
		}
	}
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(binary, p.args...)
	p.cmd.Env, p.cmd.Stderr = p.env, log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.said, p.exited = make(chan map[string]string, 16), make(chan error, 1)
	go listen(p.cmd, stdout, p.said, p.exited)
}

func listen(cmd *exec.Cmd, stdout io.Reader, said chan<- map[string]string, exited chan<- error) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var line map[string]string
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			said <- line
		}
	}
	exited <- cmd.Wait()
}

// await returns the next line in which the process says something under a name.
func (p *process) await(ctx context.Context, what string) map[string]string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		select {
		case line := <-p.said:
			if _, ok := line[what]; ok {
				return line
			}
		case err := <-p.exited:
			p.cmd = nil
			p.t.Fatalf("%s stopped before it said %q: %v", p.name, what, err)
		case <-ctx.Done():
			p.t.Fatalf("%s does not say %q: %v", p.name, what, ctx.Err())
		}
	}
}

// kill ends the process with SIGKILL, at whatever it is doing.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	p.cmd = nil
}

// stop asks the process to end, as an operator does.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-p.exited:
		if err != nil {
			p.t.Errorf("%s did not stop cleanly: %v", p.name, err)
		}
	case <-time.After(20 * time.Second):
		p.t.Errorf("%s did not stop within 20 s", p.name)
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}
