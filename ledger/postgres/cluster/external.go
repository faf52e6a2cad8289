package cluster

import (
	"context"
	"fmt"
	"net/url"
)

// external is a server that somebody else runs.
type external struct {
	address url.URL
	version string
}

var _ server = (*external)(nil)

func openExternal(ctx context.Context, address string) (*external, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("it is no URL (postgres://user:password@host:port/)")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("it is no postgres:// URL")
	}
	version, major, err := serverVersion(ctx, address)
	if err != nil {
		return nil, err
	}
	if major < oldestMajor {
		return nil, fmt.Errorf("it is version %s; %d or newer is needed", version, oldestMajor)
	}
	return &external{address: *u, version: version}, nil
}

func (s *external) url(database string) string {
	u := s.address
	u.Path, u.RawPath = "/"+database, ""
	return u.String()
}

func (s *external) describe() string {
	return fmt.Sprintf("PostgreSQL %s, the server at %s (from DAOBANK_POSTGRES)", s.version, s.address.Redacted())
}

func (s *external) ended() <-chan struct{} { return nil }

func (s *external) kill() error { return fmt.Errorf("cluster: kill: %w", ErrNotOurs) }
func (s *external) restart(context.Context) error {
	return fmt.Errorf("cluster: restart: %w", ErrNotOurs)
}
func (s *external) close() error { return nil }
