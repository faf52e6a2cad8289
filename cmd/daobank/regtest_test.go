package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daobank/daobank/bitcoind"
)

func init() { keeperPatience = 3 * time.Second } // also in the program that scripts run

// Each script drives a real node by "daobank regtest". Besides testscript's
// commands there are
//
//	rpc METHOD         what the node answers to one who has the URL and the cookie
//	keeper SIGNAL      the process behind the node gets KILL, and is gone, or STOP
//	field NAME VAR     sets VAR to a member of the JSON object that was printed last
//	mode PERM FILE     the file has exactly these permissions
//
// and $ADDRESS, to which nobody has the key.
func TestRegtest(t *testing.T) {
	tools, err := filepath.Abs("../../.tools")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/regtest",
		Setup: func(env *testscript.Env) error {
			r := &regtest{dir: filepath.Join(env.WorkDir, "regtest")}
			env.Defer(func() { // also when the script failed in between
				if _, err := r.down(context.Background()); err != nil && !os.IsNotExist(err) {
					env.T().Log(err)
				}
			})
			env.Vars = append(env.Vars,
				"DAOBANK_REGTEST_DIR="+r.dir, "ADDRESS=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
				"BITCOIND="+os.Getenv("BITCOIND"), "DAOBANK_TOOLS="+envOr("DAOBANK_TOOLS", tools))
			if cache, err := os.UserCacheDir(); err == nil {
				env.Vars = append(env.Vars, "XDG_CACHE_HOME="+cache) // where chains that were mined are kept
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"rpc": scriptRPC, "keeper": scriptKeeper, "field": scriptField, "mode": scriptMode,
		},
	})
}

func scriptRPC(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: rpc METHOD")
	}
	ts.Check(ts.Exec("daobank", "regtest", "status", "--json"))
	var status statusAnswer
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &status))
	user, password, _ := strings.Cut(ts.ReadFile(status.CookieFile), ":")
	client, err := bitcoind.Dial(context.Background(), bitcoind.Config{URL: status.URL, User: user, Password: password})
	ts.Check(err)
	var answer json.RawMessage
	ts.Check(client.Call(context.Background(), args[0], &answer))
	fmt.Fprintln(ts.Stdout(), string(answer))
}

func scriptKeeper(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP}
	if neg || len(args) != 1 || signals[args[0]] == 0 {
		ts.Fatalf("usage: keeper KILL|STOP")
	}
	r := &regtest{dir: ts.Getenv("DAOBANK_REGTEST_DIR")}
	ended, err := r.signalKeeper(signals[args[0]])
	ts.Check(err)
	if ended {
		ts.Fatalf("no keeper runs")
	}
	if args[0] == "KILL" {
		ts.Check(r.awaitEnd(context.Background(), time.Minute))
	}
}

func scriptField(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME VAR")
	}
	object := map[string]any{}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	text, ok := object[args[0]].(string)
	if !ok {
		ts.Fatalf("%q is no text in %v", args[0], object)
	}
	ts.Setenv(args[1], text)
}
