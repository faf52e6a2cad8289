package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// watchdog is a shell that reads a pipe of which only this process holds the other end. When the pipe ends without
// the word "done", this process has died, and the watchdog puts its server away.
type watchdog struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// watchdogScript takes the data folder and the folders to remove. Each line it reads is the server's process id,
// "0" for none, or "done". It signals the server to shut down at once (SIGQUIT). A server that was started in the
// very moment of our death is known only by its own file, for which it looks once more.
const watchdogScript = `
data=$1; shift
pid=0
while read -r word; do
	[ "$word" = done ] && exit 0
	pid=$word
done
if [ "$pid" = 0 ] && [ -e "$data" ]; then
	sleep 1
	read -r pid <"$data/postmaster.pid" || pid=0
fi 2>/dev/null
if [ "$pid" != 0 ] && kill -QUIT "$pid"; then
	tries=0
	while kill -0 "$pid" && [ $tries -lt 100 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	kill -KILL "$pid"
fi 2>/dev/null
[ $# -eq 0 ] || rm -rf -- "$@"
`

func startWatchdog(s *private) (*watchdog, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	args := []string{"-c", watchdogScript, "daobank-pg-watchdog", s.dataDir()}
	if s.temporary {
		args = append(args, s.dir)
	}
	if s.socketDir != s.dir {
		args = append(args, s.socketDir)
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Stdin = reader
	cmd.ExtraFiles = []*os.File{s.lock}                  // the folder stays locked until the watchdog is done
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	return &watchdog{cmd, writer}, nil
}

// guard tells the watchdog which process it has to stop; 0 for none. A watchdog that has died cannot be told, and
// the server works on without it.
func (w *watchdog) guard(pid int) { _, _ = fmt.Fprintln(w.pipe, pid) }

// dismiss ends the watchdog: there is nothing left to guard.
func (w *watchdog) dismiss() {
	_, _ = fmt.Fprintln(w.pipe, "done")
	_ = w.pipe.Close()
	_ = w.cmd.Wait()
}
