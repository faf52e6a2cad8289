package integration

import (
	"os"
	"os/exec"
	"testing"

	"github.com/daobank/daobank/bitcoind"
)

// TestSettlementInDocker tells the settlement story on a node that dockertest
// starts, wherever a Docker engine answers.
func TestSettlementInDocker(t *testing.T) {
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").Output(); err != nil {
		t.Skipf("no Docker engine answers here (%v %s): the story ran on the local binary only", err, out)
	}
	settlementStory(t, bitcoind.Start(t, bitcoind.WithDocker(os.Getenv("BITCOIND_IMAGE"))))
}
