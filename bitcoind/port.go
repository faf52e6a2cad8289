package bitcoind

import (
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// ports leases TCP ports of the loopback to the nodes of all processes of this
// user: a port is held by a lock on the byte of that number in one file, which
// the kernel drops when the process dies, however it dies. A node that is down
// for a moment thus finds its port again. Only a stranger can still take one
// between its choice and its use; open then tries another.
//
// They lie below the range from which systems give ports to outgoing
// connections, which would take them without asking.
var ports struct {
	sync.Mutex
	file   *os.File
	leased map[int]bool // in this process: its locks do not exclude itself
}

const firstPort, lastPort = 10_000, 30_000

// leasePort finds a port that nobody has leased and nobody listens on.
func leasePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.file == nil {
		file, err := openLeases()
		if err != nil {
			return 0, fmt.Errorf("bitcoind: lease a port: %w", err)
		}
		// The file stays open: closing any descriptor of it would drop every lock.
		ports.file, ports.leased = file, make(map[int]bool)
	}
	for range 1000 {
		port := firstPort + mathrand.IntN(lastPort-firstPort)
		if ports.leased[port] || lockByte(port, syscall.F_WRLCK) != nil {
			continue
		}
		if portFree(port) {
			ports.leased[port] = true
			return port, nil
		}
		lockByte(port, syscall.F_UNLCK)
	}
	return 0, errors.New("bitcoind: no free port on 127.0.0.1")
}

// leaseFiles are where processes may meet, best first. TMPDIR does not decide, if
// that can be helped: many give each process one of its own.
func leaseFiles() []string {
	name := fmt.Sprintf("bitcoind-ports-%d", os.Getuid())
	return []string{filepath.Join("/tmp", name), filepath.Join(os.TempDir(), name)}
}

func openLeases() (file *os.File, err error) {
	for _, path := range leaseFiles() {
		if file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
			return file, nil
		}
	}
	return nil, err
}

// releasePorts ends leases. A port of zero is none.
func releasePorts(numbers ...int) {
	ports.Lock()
	defer ports.Unlock()
	for _, port := range numbers {
		if ports.leased[port] {
			delete(ports.leased, port)
			lockByte(port, syscall.F_UNLCK)
		}
	}
}

// lockByte needs the mutex.
func lockByte(at int, kind int16) error {
	return syscall.FcntlFlock(ports.file.Fd(), syscall.F_SETLK, &syscall.Flock_t{
		Type: kind, Whence: io.SeekStart, Start: int64(at), Len: 1,
	})
}

func portFree(port int) bool {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	listener.Close()
	return true
}
