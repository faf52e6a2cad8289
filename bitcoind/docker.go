package bitcoind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

const (
	defaultImage  = "daobank/bitcoind:regtest"
	containerPort = "18443"
	dockerTimeout = 5 * time.Second // for an engine that listens and does not answer
)

// findDocker succeeds when an engine answers and the image is there. It never
// pulls: a test that downloads by surprise is a test that fails by surprise.
func findDocker(ctx context.Context, s *settings) (recipe, error) {
	image := s.image
	if image == "" {
		image = os.Getenv("BITCOIND_IMAGE")
	}
	if image == "" {
		image = defaultImage
	}
	pool, err := dockertest.NewPool("")
	if err != nil {
		return recipe{}, fmt.Errorf("no Docker engine: %w", err)
	}
	soon, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	if err := pool.Client.PingWithContext(soon); err != nil {
		return recipe{}, fmt.Errorf("no Docker engine: %w", err)
	}
	if _, err := pool.Client.InspectImage(image); err != nil {
		return recipe{}, fmt.Errorf("image %s: %w", image, err)
	}
	return recipe{kind: "docker", source: "image " + image, host: engineHost(pool), prepare: func(h home) (program, error) {
		if h.peerPort != 0 {
			return nil, fmt.Errorf("a net of containers: %w", ErrUnsupported)
		}
		return newContainer(ctx, pool, image, h)
	}}, nil
}

// engineHost is where the engine publishes ports: this machine, unless the
// engine is reached over the network.
func engineHost(pool *dockertest.Pool) string {
	if u, err := url.Parse(pool.Client.Endpoint()); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return ""
}

// container runs bitcoind under a small shell, which obeys words on its
// standard input. When the input ends, because the caller closed it or died,
// the shell ends, and the engine kills and removes the container. So the node
// can be killed and restarted on its data, and nothing is left behind.
type container struct {
	pool  *dockertest.Pool
	id    string
	input *io.PipeWriter
	log   *os.File

	mu       sync.Mutex // guards what follows
	line     []byte     // the output's last line, as far as it came
	done     chan struct{}
	running  bool
	finished string
}

var _ program = (*container)(nil)

// endMark begins the line by which the shell reports the end of a run.
const endMark = "@node ended "

const containerScript = `
dir=/tmp/node
mkdir -p $dir && printf '%s' "$NODE_CONF" >$dir/bitcoin.conf || exit 1
unset NODE_CONF
while read -r word extra; do
	case $word in
	start)
		rm -f $dir/pid
		(
			"$@" $extra </dev/null &
			echo $! >$dir/pid.new && mv $dir/pid.new $dir/pid
			wait $!
			echo "` + endMark + `$?"
		) &
		until [ -s $dir/pid ]; do sleep 0.01; done
		;;
	KILL | TERM | STOP | CONT) kill -s $word "$(cat $dir/pid)" ;;
	esac
done
`

// ours is the label of the package's containers.
const ours = "com.github.daobank.bitcoind"

// sweep removes containers with a label that were made and not started for so
// long: the shell that removes a container is not in one yet, so a caller which is
// killed between the two leaves it.
func sweep(ctx context.Context, pool *dockertest.Pool, label string, age time.Duration) error {
	all, err := pool.Client.ListContainers(docker.ListContainersOptions{
		All: true, Filters: map[string][]string{"label": {label}, "status": {"created"}}, Context: ctx,
	})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, c := range all {
		if time.Since(time.Unix(c.Created, 0)) >= age {
			err = errors.Join(err, removeContainer(pool, c.ID))
		}
	}
	return err
}

func newContainer(ctx context.Context, pool *dockertest.Pool, image string, h home) (*container, error) {
	if err := sweep(ctx, pool, ours, 2*startTimeout); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(h.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	port := docker.Port(containerPort + "/tcp")
	address := "127.0.0.1"
	if engineHost(pool) != "" {
		address = "0.0.0.0"
	}
	conf := coreConfig(h.config, "listen=0", "rpcport="+containerPort, "rpcbind=0.0.0.0", "rpcallowip=0.0.0.0/0")
	command := append([]string{"bitcoind", "-datadir=/tmp/node", "-conf=/tmp/node/bitcoin.conf", "-nodebuglogfile"}, h.args...)
	created, err := pool.Client.CreateContainer(docker.CreateContainerOptions{
		Config: &docker.Config{
			Image:        image,
			Labels:       map[string]string{ours: ""},
			Entrypoint:   []string{"/bin/sh", "-c", containerScript, "sh"},
			Cmd:          command,
			Env:          []string{"NODE_CONF=" + conf},
			ExposedPorts: map[docker.Port]struct{}{port: {}},
			OpenStdin:    true,
			StdinOnce:    true,
			AttachStdin:  true, AttachStdout: true, AttachStderr: true,
		},
		Context: ctx,
		HostConfig: &docker.HostConfig{
			AutoRemove: true,
			PortBindings: map[docker.Port][]docker.PortBinding{
				port: {{HostIP: address, HostPort: fmt.Sprint(h.port)}},
			},
		},
	})
	if err != nil {
		log.Close()
		return nil, fmt.Errorf("create container: %w", err)
	}
	c := &container{pool: pool, id: created.ID, log: log}
	if err := c.attach(ctx); err != nil {
		c.remove()
		log.Close()
		return nil, err
	}
	return c, nil
}

// attach connects the streams and then starts the shell, so that it never runs
// without a caller.
func (c *container) attach(ctx context.Context) error {
	reader, writer := io.Pipe()
	attached := make(chan struct{})
	stream, err := c.pool.Client.AttachToContainerNonBlocking(docker.AttachToContainerOptions{
		Container: c.id, InputStream: reader, OutputStream: c, ErrorStream: c,
		Success: attached, Stream: true, Stdin: true, Stdout: true, Stderr: true,
	})
	if err != nil {
		return fmt.Errorf("attach to container: %w", err)
	}
	<-attached
	attached <- struct{}{}
	c.input = writer
	if err := c.pool.Client.StartContainerWithContext(c.id, nil, ctx); err != nil {
		stream.Close()
		return fmt.Errorf("start container: %w", err)
	}
	go func() {
		stream.Wait()
		c.end("container ended")
	}()
	return nil
}

// Write takes the container's output: the node's log, and the shell's marks.
func (c *container) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = append(c.line, p...)
	for {
		line, rest, found := bytes.Cut(c.line, []byte("\n"))
		if !found {
			return len(p), nil
		}
		if status, ok := strings.CutPrefix(string(line), endMark); ok {
			c.endLocked("bitcoind in container: exit status " + status)
		} else {
			c.log.Write(append(line[:len(line):len(line)], '\n'))
		}
		c.line = rest
	}
}

func (c *container) end(how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(how)
}

func (c *container) endLocked(how string) {
	if c.running {
		c.running, c.finished = false, how
		close(c.done)
	}
}

func (c *container) start(args ...string) error {
	c.mu.Lock()
	c.done, c.running = make(chan struct{}), true
	c.mu.Unlock()
	return c.say(strings.Join(append([]string{"start"}, args...), " "))
}

func (c *container) ended() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		return closed
	}
	return c.done
}

func (c *container) outcome() string {
	<-c.ended()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finished
}

func (c *container) signal(s syscall.Signal) error {
	select {
	case <-c.ended():
		return nil
	default:
	}
	return c.say(map[syscall.Signal]string{
		syscall.SIGKILL: "KILL", syscall.SIGTERM: "TERM", syscall.SIGSTOP: "STOP", syscall.SIGCONT: "CONT",
	}[s])
}

// say gives the shell a word. It cannot block for long: the shell reads at
// once, and a dead stream closes the pipe.
func (c *container) say(word string) error {
	if _, err := io.WriteString(c.input, word+"\n"); err != nil {
		c.end("container ended")
		return fmt.Errorf("container: %w", err)
	}
	return nil
}

// close ends the shell, and with it the container.
func (c *container) close() error {
	c.input.Close()
	defer c.log.Close()
	return c.remove()
}

func (c *container) remove() error { return removeContainer(c.pool, c.id) }

// removeContainer does not wait for the engine to notice: it may be doing the same.
func removeContainer(pool *dockertest.Pool, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	err := pool.Client.RemoveContainer(docker.RemoveContainerOptions{ID: id, Force: true, RemoveVolumes: true, Context: ctx})
	var gone *docker.NoSuchContainer
	var failed *docker.Error
	if errors.As(err, &gone) || (errors.As(err, &failed) && failed.Status == 409) {
		return nil // already removed, or being removed
	}
	return err
}
