package cluster

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

// container is a server in a Docker container, from an image of the "postgres" family. The engine removes the
// container when this process ends, however it ends: see containerScript.
type container struct {
	pool     *dockertest.Pool
	id       string
	image    string
	address  string // host and port at which the engine publishes the server
	password string
	version  string
	words    *io.PipeWriter // to the script
	answers  chan string    // from it; closed at its end
}

var _ server = (*container)(nil)

// containerScript obeys words on its standard input and answers each with itself. The engine closes that input
// when the connection of this process ends; then the script, which is the container's first process, ends too, and
// with it the container.
const containerScript = `
while read -r word; do
	case $word in
	start) docker-entrypoint.sh "$@" </dev/null >&2 & server=$! ;;
	stop) { kill -INT $server; wait $server; } 2>/dev/null ;;
	kill) { kill -KILL -1; wait; } 2>/dev/null ;;
	esac
	echo "$word"
done
`

func openDocker(ctx context.Context, o options) (_ *container, err error) {
	pool, err := dockertest.NewPool("")
	if err != nil {
		return nil, fmt.Errorf("no engine: %w", err)
	}
	if err := pingEngine(ctx, pool); err != nil {
		return nil, fmt.Errorf("no engine answers: %w", err)
	}
	image, err := heldImage(pool)
	if err != nil {
		return nil, err
	}
	s := &container{pool: pool, image: image, password: rand.Text(), answers: make(chan string, 1)}
	if err = s.create(ctx, o); err != nil {
		return nil, fmt.Errorf("image %s: %w", image, err)
	}
	if err = s.run(ctx); err != nil {
		_ = s.close() // the first error tells more
		return nil, fmt.Errorf("image %s: %w", image, err)
	}
	return s, nil
}

func pingEngine(ctx context.Context, pool *dockertest.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pool.Client.PingWithContext(ctx)
}

// heldImage returns the first image that the engine holds. Nothing is pulled: that is a choice for a person.
func heldImage(pool *dockertest.Pool) (string, error) {
	wanted := os.Getenv("DAOBANK_POSTGRES_IMAGE")
	if wanted == "" {
		wanted = "postgres:17"
	}
	images := []string{wanted, "daobank/postgres:latest"}
	for _, image := range images {
		_, err := pool.Client.InspectImage(image)
		if err == nil {
			return image, nil
		}
		if !errors.Is(err, docker.ErrNoSuchImage) {
			return "", fmt.Errorf("image %s: %w", image, err)
		}
	}
	return "", fmt.Errorf("the engine holds none of the images %s", strings.Join(images, ", "))
}

// create makes the container, which the engine removes when it ends.
func (s *container) create(ctx context.Context, o options) error {
	const port = docker.Port("5432/tcp")
	created, err := s.pool.Client.CreateContainer(docker.CreateContainerOptions{
		Context: ctx,
		Config: &docker.Config{
			Image:      s.image,
			Entrypoint: []string{"/bin/sh", "-c", containerScript, "sh"},
			Cmd:        containerCommand(o),
			Env: []string{
				"POSTGRES_USER=" + superuser,
				"POSTGRES_PASSWORD=" + s.password,
				"POSTGRES_INITDB_ARGS=--encoding=UTF8 --locale=C", // as a private cluster's
			},
			ExposedPorts: map[docker.Port]struct{}{port: {}},
			OpenStdin:    true,
			StdinOnce:    true,
			AttachStdin:  true,
			AttachStdout: true,
		},
		HostConfig: &docker.HostConfig{
			AutoRemove:   true,
			PortBindings: map[docker.Port][]docker.PortBinding{port: {{HostIP: "127.0.0.1"}}},
		},
	})
	if err != nil {
		return err
	}
	s.id = created.ID
	return nil
}

func containerCommand(o options) []string {
	settings := append([]string{"max_connections=200"}, o.settings...)
	if o.noFsync {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	command := []string{"postgres"}
	for _, setting := range settings {
		command = append(command, "-c", setting)
	}
	return command
}

// run attaches to the container's script, starts it, and then the server. The script never runs unattached.
func (s *container) run(ctx context.Context) error {
	words, toScript := io.Pipe()
	fromScript, output := io.Pipe()
	s.words = toScript
	attached := make(chan struct{})
	waiter, err := s.pool.Client.AttachToContainerNonBlocking(docker.AttachToContainerOptions{
		Container:    s.id,
		InputStream:  words,
		OutputStream: output,
		ErrorStream:  io.Discard,
		Success:      attached,
		Stdin:        true,
		Stdout:       true,
		Stream:       true,
	})
	if err != nil {
		return err
	}
	select {
	case <-attached:
		attached <- struct{}{} // the library waits for this before it moves any byte
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	go func() {
		_ = output.CloseWithError(waiter.Wait()) // the end of the answers tells
	}()
	go func() {
		defer close(s.answers)
		for lines := bufio.NewScanner(fromScript); lines.Scan(); {
			s.answers <- lines.Text()
		}
	}()

	if err := s.pool.Client.StartContainerWithContext(s.id, nil, ctx); err != nil {
		return err
	}
	running, err := s.pool.Client.InspectContainerWithContext(s.id, ctx)
	if err != nil {
		return err
	}
	bindings := running.NetworkSettings.Ports["5432/tcp"]
	if len(bindings) == 0 {
		return errors.New("the engine has not published the server's port")
	}
	s.address = net.JoinHostPort(bindings[0].HostIP, bindings[0].HostPort)
	return s.start(ctx)
}

func (s *container) start(ctx context.Context) (err error) {
	if err := s.tell(ctx, "start"); err != nil {
		return err
	}
	if s.version, err = awaitServer(ctx, s.url("postgres"), nil); err != nil {
		return fmt.Errorf("%w; its log ends: %s", err, s.logTail())
	}
	return nil
}

// logTail is what the server wrote last, or nothing if the engine does not tell.
func (s *container) logTail() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var log strings.Builder
	_ = s.pool.Client.Logs(docker.LogsOptions{ // an error being reported already tells more
		Context: ctx, Container: s.id, ErrorStream: &log, Stderr: true, Tail: "5",
	})
	return strings.TrimSpace(log.String())
}

// tell gives the script a word and waits until it has obeyed.
func (s *container) tell(ctx context.Context, word string) error {
	if _, err := fmt.Fprintln(s.words, word); err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	select {
	case answer, ok := <-s.answers:
		if !ok || answer != word {
			return fmt.Errorf("%s: the container answers %q", word, answer)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer from the container: %w", word, context.Cause(ctx))
	}
}

func (s *container) url(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     s.address,
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (s *container) describe() string {
	return fmt.Sprintf("PostgreSQL %s, Docker container %s of image %s", s.version, s.id[:12], s.image)
}

func (s *container) ended() <-chan struct{} { return nil }

func (s *container) kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.tell(ctx, "kill"); err != nil {
		return fmt.Errorf("cluster: kill: %w", err)
	}
	return nil
}

func (s *container) restart(ctx context.Context) error {
	if err := s.tell(ctx, "stop"); err != nil {
		return fmt.Errorf("cluster: restart: %w", err)
	}
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("cluster: restart: %w", err)
	}
	return nil
}

func (s *container) close() error {
	if s.id == "" {
		return nil
	}
	err := s.pool.Client.RemoveContainer(docker.RemoveContainerOptions{ID: s.id, Force: true, RemoveVolumes: true})
	var gone *docker.NoSuchContainer
	if err != nil && !errors.As(err, &gone) {
		return fmt.Errorf("cluster: remove the container: %w", err)
	}
	s.id = ""
	return nil
}
