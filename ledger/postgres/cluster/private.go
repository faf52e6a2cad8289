package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	superuser = "daobank"
	// socketPathMax is the longest path of a Unix socket, in bytes: sockaddr_un holds 108 on Linux and 104 on BSD,
	// one of them the final zero.
	socketPathMax = 103
	stopTimeout   = 20 * time.Second
)

// private is a server that this process has started from programs on this machine.
type private struct {
	programs programs
	options  options
	account  *account // who runs the server; nil for ourselves

	dir       string // holds data, log and, if its path is short enough, the socket
	socketDir string
	temporary bool
	lock      *os.File
	watchdog  *watchdog

	port     int
	password string // for TCP; the socket's folder is guard enough

	version string
	process *exec.Cmd
	exited  chan struct{} // closed when process has been waited for
}

var _ server = (*private)(nil)

func openPrivate(ctx context.Context, p programs, o options) (_ *private, err error) {
	s := &private{programs: p, options: o, temporary: o.dir == "", port: 5432, password: rand.Text()}
	defer func() {
		if err != nil {
			_ = s.close() // the first error tells more
		}
	}()
	if s.account, err = serverAccount(); err != nil {
		return nil, err
	}
	if err = s.makeDirs(); err != nil {
		return nil, err
	}
	if s.lock, err = lockDir(ctx, s.dir); err != nil {
		return nil, err
	}
	if s.watchdog, err = startWatchdog(s); err != nil {
		return nil, err
	}
	if err = s.bringPrograms(ctx); err != nil {
		return nil, err
	}
	if err = s.initialize(ctx); err != nil {
		return nil, err
	}
	if err = s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// makeDirs makes the cluster's folder and the socket's, which is another one only if the path would be too long.
func (s *private) makeDirs() (err error) {
	if s.temporary {
		s.dir, err = s.makeTemporaryDir(os.TempDir())
	} else {
		err = s.makeKeptDir()
	}
	if err != nil {
		return err
	}
	s.socketDir = s.dir
	if len(filepath.Join(s.dir, ".s.PGSQL.65535")) > socketPathMax {
		s.socketDir, err = s.makeTemporaryDir("/tmp")
	}
	return err
}

// makeTemporaryDir makes a folder for the server's user, in /tmp if that user cannot reach parent.
func (s *private) makeTemporaryDir(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "daobank-pg-")
	if err != nil {
		return "", err
	}
	if err := s.account.own(dir); err != nil {
		return dir, err
	}
	if s.account.can("-w", dir) == nil {
		return dir, nil
	}
	if parent == "/tmp" {
		return dir, fmt.Errorf("user %s, who has to run the server, cannot reach /tmp", s.account.name)
	}
	if err := os.Remove(dir); err != nil {
		return "", err
	}
	return s.makeTemporaryDir("/tmp")
}

// makeKeptDir makes the folder that WithDir names. One that is there already and not empty keeps its owner.
func (s *private) makeKeptDir() (err error) {
	if s.dir, err = filepath.Abs(s.options.dir); err != nil {
		return err
	}
	// The server's user has to pass through the folders above; only the cluster's own is closed.
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return nil
	}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		return err
	}
	if err := s.account.own(s.dir); err != nil {
		return err
	}
	if s.account.can("-w", s.dir) != nil {
		return fmt.Errorf("user %s, who has to run the server, cannot reach %s", s.account.name, s.dir)
	}
	return nil
}

// lockDir takes the folder for this process. The lock is shared with the watchdog, so that a folder whose last
// process was killed is free only when its server has ended.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
		case <-tick.C:
		}
	}
}

// bringPrograms copies unpacked programs into the cluster's folder if the server's user cannot reach them where
// they are, for instance under /root.
func (s *private) bringPrograms(ctx context.Context) error {
	if s.account.can("-x", filepath.Join(s.programs.dir, "postgres")) == nil {
		return nil
	}
	if s.programs.unpacked == "" {
		return fmt.Errorf("user %s, who has to run the server, cannot reach %s", s.account.name, s.programs.dir)
	}
	copied := filepath.Join(s.dir, "programs")
	if err := os.RemoveAll(copied); err != nil {
		return err
	}
	if err := os.CopyFS(copied, os.DirFS(s.programs.unpacked)); err != nil {
		return fmt.Errorf("copy the programs: %w", err)
	}
	moved, err := inspect(ctx, filepath.Join(copied, "bin"))
	s.programs = moved
	return err
}

func (s *private) dataDir() string { return filepath.Join(s.dir, "data") }
func (s *private) logFile() string { return filepath.Join(s.dir, "log") }

// initialize runs initdb unless the folder holds a cluster. It works under another name, so that an interrupted
// one is not taken for a cluster.
func (s *private) initialize(ctx context.Context) error {
	passwordFile := filepath.Join(s.dir, "password")
	if _, err := os.Stat(s.dataDir()); err == nil {
		kept, err := os.ReadFile(passwordFile)
		s.password = string(kept)
		return err
	}
	fresh := filepath.Join(s.dir, "data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.WriteFile(passwordFile, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := s.account.own(passwordFile); err != nil {
		return err
	}
	args := []string{"-D", fresh, "-U", superuser, "--pwfile", passwordFile, "--encoding=UTF8", "--locale=C",
		"--auth-local=trust", "--auth-host=scram-sha-256"}
	if s.temporary || s.options.noFsync {
		args = append(args, "--no-sync")
	}
	out, err := s.command(ctx, "initdb", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(string(out), 5))
	}
	return os.Rename(fresh, s.dataDir())
}

// start starts the server and waits until it answers.
func (s *private) start(ctx context.Context) error {
	if s.options.tcp {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		s.port = port
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()

	cmd := s.command(context.WithoutCancel(ctx), "postgres", s.arguments()...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.watchdog.guard(cmd.Process.Pid)
	exited := make(chan struct{})
	s.process, s.exited = cmd, exited
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()

	if s.version, err = awaitServer(ctx, s.url("postgres"), exited); err != nil {
		text, _ := os.ReadFile(s.logFile()) // without its log the error still tells what happened
		_ = s.stop(syscall.SIGQUIT)
		return fmt.Errorf("%w; its log ends: %s", err, lastLines(string(text), 5))
	}
	return nil
}

// arguments are the server's settings: durable, small, and reachable only by its owner.
func (s *private) arguments() []string {
	settings := []string{
		"listen_addresses=",
		"unix_socket_directories=" + s.socketDir,
		"unix_socket_permissions=0700",
		"max_connections=200",
		"shared_buffers=64MB",
		"fsync=on",
		"full_page_writes=on",
		"synchronous_commit=on",
		"jit=off", // no query here runs long enough to gain from it
		"timezone=UTC",
		"log_timezone=UTC",
	}
	if s.options.tcp {
		settings = append(settings, "listen_addresses=127.0.0.1")
	}
	if s.options.noFsync {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	args := []string{"-D", s.dataDir(), "-p", strconv.Itoa(s.port)}
	for _, setting := range append(settings, s.options.settings...) {
		args = append(args, "-c", setting)
	}
	return args
}

// command prepares one of PostgreSQL's programs: as the server's user, in a session of its own (a Ctrl-C is for
// the bank, which then stops its server in order), with none of our PG variables.
func (s *private) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.programs.dir, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.account.credential()}
	return cmd
}

func (s *private) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database}
	query := url.Values{"sslmode": {"disable"}}
	if s.options.tcp {
		u.User = url.UserPassword(superuser, s.password)
		u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	} else {
		query.Set("host", s.socketDir)
		query.Set("port", strconv.Itoa(s.port))
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func (s *private) describe() string {
	kind := "private cluster"
	if s.temporary {
		kind = "temporary private cluster"
	}
	return fmt.Sprintf("PostgreSQL %s, %s in %s, programs from %s", s.version, kind, s.dir, s.programs.dir)
}

// freePort asks the system for a port that nobody uses now.
func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
