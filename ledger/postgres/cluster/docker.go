package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

// container is a server in a Docker container. It runs as an image of the "postgres" family does: the first start
// takes the superuser's name and password from the environment.
type container struct {
	pool     *dockertest.Pool
	resource *dockertest.Resource
	image    string
	password string
	version  string
}

var _ server = (*container)(nil)

func openDocker(ctx context.Context, o options) (_ *container, err error) {
	pool, err := dockertest.NewPool("")
	if err != nil {
		return nil, fmt.Errorf("no engine: %w", err)
	}
	if err := pool.Client.PingWithContext(ctx); err != nil {
		return nil, fmt.Errorf("no engine answers: %w", err)
	}
	image, err := heldImage(pool)
	if err != nil {
		return nil, err
	}
	s := &container{pool: pool, image: image, password: rand.Text()}
	repository, tag := docker.ParseRepositoryTag(image)
	s.resource, err = pool.RunWithOptions(&dockertest.RunOptions{
		Repository: repository,
		Tag:        tag,
		Env:        []string{"POSTGRES_USER=" + superuser, "POSTGRES_PASSWORD=" + s.password},
		Cmd:        containerCommand(o),
		PortBindings: map[docker.Port][]docker.PortBinding{
			"5432/tcp": {{HostIP: "127.0.0.1"}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start image %s: %w", image, err)
	}
	if s.version, err = awaitServer(ctx, s.url("postgres"), nil); err != nil {
		_ = s.close() // the first error tells more
		return nil, fmt.Errorf("image %s: %w", image, err)
	}
	return s, nil
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

func (s *container) url(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     net.JoinHostPort("127.0.0.1", s.resource.GetPort("5432/tcp")),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (s *container) describe() string {
	return fmt.Sprintf("PostgreSQL %s, Docker container %s of image %s", s.version, s.resource.Container.ID[:12], s.image)
}

func (s *container) kill() error {
	err := s.pool.Client.KillContainer(docker.KillContainerOptions{ID: s.resource.Container.ID, Signal: docker.SIGKILL})
	if err != nil {
		return fmt.Errorf("cluster: kill: %w", err)
	}
	return nil
}

func (s *container) restart(ctx context.Context) error {
	client, id := s.pool.Client, s.resource.Container.ID
	var notRunning *docker.ContainerNotRunning
	if err := client.StopContainerWithContext(id, uint(stopTimeout.Seconds()), ctx); err != nil && !errors.As(err, &notRunning) {
		return fmt.Errorf("cluster: restart: %w", err)
	}
	if err := client.StartContainerWithContext(id, nil, ctx); err != nil {
		return fmt.Errorf("cluster: restart: %w", err)
	}
	fresh, err := client.InspectContainerWithContext(id, ctx)
	if err != nil {
		return fmt.Errorf("cluster: restart: %w", err)
	}
	s.resource.Container = fresh
	if s.version, err = awaitServer(ctx, s.url("postgres"), nil); err != nil {
		return fmt.Errorf("cluster: restart: %w", err)
	}
	return nil
}

func (s *container) close() error {
	if s.resource == nil {
		return nil
	}
	if err := s.pool.Purge(s.resource); err != nil {
		return fmt.Errorf("cluster: remove the container: %w", err)
	}
	s.resource = nil
	return nil
}
