package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user who runs the server when we are root. A nil account stands for ourselves.
type account struct {
	name     string
	uid, gid int
}

// serverAccount returns nil for an ordinary user and, for root, the user postgres or else nobody: PostgreSQL
// refuses to run as root.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &account{name, uid, gid}, nil
	}
	// A bare container may have no list of users; the number that means nobody serves as well.
	return &account{"65534", 65534, 65534}, nil
}

// credential is what a process of this account is started with.
func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// own makes a file or folder the account's.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// can applies a test(1) such as "-x" to a path with the account's rights.
func (a *account) can(test, path string) error {
	cmd := exec.Command("test", test, path)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	return cmd.Run()
}
