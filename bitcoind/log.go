package bitcoind

import (
	"io"
	"os"
	"strings"
)

// LogTail returns the last n lines of the node's log, as far as they lie in its
// last 64 KiB.
func (n *Node) LogTail(lines int) string {
	const most = 64 << 10
	if n.home.log == "" {
		return "(the log of an external node is not to be had)"
	}
	file, err := os.Open(n.home.log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > most {
		file.Seek(-most, io.SeekEnd)
	}
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
