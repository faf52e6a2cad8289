package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/keyfile"
)

// socketName is the socket in a guardian's folder by which its owner talks to the
// running process. Only the folder's owner can reach it.
const socketName = "status.sock"

// serveSocket answers the guardian's owner.
func serveSocket(path string, end *wire.Guardian, g *guardian.Guardian, k *keep.Keep) (*http.Server, error) {
	_ = os.Remove(path) // of a process that was killed; the folder's lock is ours
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the status socket: %w", err)
	}
	var telling sync.Mutex // what is kept last is what the guardian acts on
	told := func(take func(*http.Request) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			telling.Lock()
			defer telling.Unlock()
			if err := take(r); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
			}
		}
	}
	handler := http.NewServeMux()
	handler.Handle("GET /status", end.Handler())
	handler.HandleFunc("POST /succession", told(func(r *http.Request) error { return takeSuccession(r, end, k) }))
	handler.HandleFunc("POST /consent", told(func(r *http.Request) error { return takeConsent(r, g, k) }))
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	return server, nil
}

// takeSuccession keeps a document and lets the running guardian act on it.
func takeSuccession(r *http.Request, end *wire.Guardian, k *keep.Keep) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return err
	}
	f, err := guardian.ParseFounding(raw)
	if err != nil {
		return err
	}
	if err := k.Succeed(f, r.URL.Query().Has("replace")); err != nil {
		return err
	}
	return end.Agree(f)
}

// socketTransport reaches the process that runs on a guardian's folder.
func socketTransport(dir string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, socketName))
	}}
}

// guardianStatus is what the running guardian says, and what is in its folder.
type guardianStatus struct {
	*wire.Status
	Consent  *guardian.Consent `json:"consent,omitempty"`
	Evidence []string          `json:"evidence,omitempty"`
}

func (o *guardianOptions) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the running guardian where it stands",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			transport := socketTransport(o.Dir)
			defer transport.CloseIdleConnections()
			s, err := wire.NewRemote(0, transport).Status(cmd.Context())
			if err != nil {
				return fmt.Errorf("no guardian runs on this folder, or it has no share yet: %w", err)
			}
			evidence, err := keep.EvidenceFiles(o.Dir)
			if err != nil {
				return err
			}
			consent, err := keep.Consented(o.Dir)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(guardianStatus{s, consent, evidence})
			}
			out := cmd.OutOrStdout()
			for _, d := range s.Documents {
				share := "no share"
				if d.Finished {
					share = "share safe"
				}
				fmt.Fprintf(out, "agreed to  %s, generation %d: %s\n", d.Hash, d.Generation, share)
			}
			if a := s.Attestation; a != nil {
				fmt.Fprintf(out, "guardian   %s\nattested   batch %d, %s\n", a.Guardian, a.Batch, a.Head)
			}
			if consent != nil {
				fmt.Fprintf(out, "consent    to proofs of reserves until %s with the message: %s\n", consent.Until.UTC().Format(time.RFC3339), consent.Text)
			}
			for _, file := range evidence {
				fmt.Fprintf(out, "evidence   %s (for everybody: daobank verify)\n", file)
			}
			if s.Halted != "" {
				fmt.Fprintf(out, "HALTED     %s\n", s.Halted)
				return &exitError{status: 1}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (o *guardianOptions) rotateCommand() *cobra.Command {
	var path string
	var replace, yes bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Agree to the next guardians of the vault",
		Long: `rotate agrees to the document by which the vault's guardians change: some go, some
come, or as many as must sign are others. The operator wrote it with "daobank rotate".
Read its hash out over the telephone before you say yes.

Who is named in it takes part in a key generation with the other new guardians, as at
the founding. Who guards the vault now signs it over to their key once all of them have
their shares safe; settlements then move the coins. Old shares guard what is still paid
to old addresses, so keep a guardian that leaves running until the members have new ones.

The running guardian takes the document over at once. Without one it is kept in the
folder for the next "guardian run". Repeating the command does no harm. A guardian that
is new begins with "guardian run --founding", which takes the same document.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			f, err := readSuccession(path)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.ErrOrStderr(), describe(f))
			if !yes && !agreed(cmd) {
				return errors.New("not agreed, nothing was changed: answer \"yes\", or use --yes")
			}
			taken, err := o.rotate(cmd.Context(), f, replace)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), taken)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&path, "succession", "", "the document of the next guardians")
	fl.BoolVar(&replace, "replace", false, "take back the agreement to another document for the same change; what was signed for it stands")
	fl.BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func readSuccession(path string) (*guardian.Founding, error) {
	if path == "" {
		return nil, errors.New("say which document you agree to: --succession FILE")
	}
	f, err := parseFounding(path)
	if err == nil && f.Generation == 0 {
		err = fmt.Errorf("%s is a founding document: it is agreed to with \"guardian keygen\" or \"guardian run\"", path)
	}
	return f, err
}

// rotate gives the document to the process that runs on the folder, or keeps it
// there for the next one.
func (o *guardianOptions) rotate(ctx context.Context, f *guardian.Founding, replace bool) (string, error) {
	k, err := keep.Open(o.Dir)
	if err == nil {
		defer k.Close()
		return "Agreed. Start the guardian with: daobank guardian run", k.Succeed(f, replace)
	}
	if !errors.Is(err, keep.ErrInUse) {
		return "", err
	}
	path := "/succession"
	if replace {
		path += "?replace"
	}
	return "Agreed. The running guardian goes on from here.", o.tell(ctx, path, f)
}

// tell gives the process that runs on the folder its owner's word.
func (o *guardianOptions) tell(ctx context.Context, path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guardian"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	transport := socketTransport(o.Dir)
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("a process uses this folder and cannot be reached. If it waits for its first key generation, stop it, repeat this, and start it again: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("the running guardian does not agree: %s", bytes.TrimSpace(why))
	}
	return nil
}

func (o *guardianOptions) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Print a founding document, or the document of the next guardians, and its hash",
		Long: `show reads a document and prints what you would agree to, and its hash, which you
compare with the other guardians. It agrees to nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := parseFounding(args[0])
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), describe(f))
			return nil
		},
	}
}

// describe says in words what a document is.
func describe(f *guardian.Founding) string {
	var b bytes.Buffer
	what := "founding"
	if f.Generation > 0 {
		what = fmt.Sprintf("change of guardians, generation %d", f.Generation)
	}
	fmt.Fprintf(&b, "bank       %q (%s)\ndocument   %s\nhash       %s\n", f.Name, f.Network, what, f.Hash())
	fmt.Fprintf(&b, "signing    %d of %d guardians\n", f.Threshold, len(f.Guardians))
	for i, g := range f.Guardians {
		fmt.Fprintf(&b, "  %-8d %s\n", i, g)
	}
	fmt.Fprintf(&b, "recovery   %d of %d keys, for coins that have not moved for %d blocks\n", f.Recovery.Threshold, len(f.Recovery.Keys), f.Recovery.Delay)
	return b.String()
}

// agreed asks the owner.
func agreed(cmd *cobra.Command) bool {
	fmt.Fprint(cmd.ErrOrStderr(), "Have you compared the hash with the others, and do you agree? [yes/no] ")
	return saysYes(cmd)
}

// copyDocument writes a document where others can take it.
func copyDocument(f *guardian.Founding, to string) error {
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.Replace(to, append(raw, '\n'), 0o644)
}
