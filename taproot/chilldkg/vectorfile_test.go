package chilldkg

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// vectorFile is the union of what the ChillDKG vector files hold. A file without
// groups is one group.
type vectorFile struct {
	Total  int           `json:"totalTests"`
	Groups []vectorGroup `json:"testGroups"`
	vectorGroup
}

type vectorGroup struct {
	Params    *vectorParams `json:"params"`
	HostKey   hexBytes      `json:"hostseckey"`
	Random    hexBytes      `json:"random"`
	Aux       hexBytes      `json:"auxRand"`
	PMsg1     hexBytes      `json:"pmsg1"`
	PMsgs1    []hexBytes    `json:"pmsgs1"`
	PMsg1Pool []hexBytes    `json:"pmsg1Pool"`
	PMsg2     hexBytes      `json:"pmsg2"`
	PMsg2Pool []hexBytes    `json:"pmsg2Pool"`
	CMsg1     hexBytes      `json:"cmsg1"`
	CMsg1Pool []hexBytes    `json:"cmsg1Pool"`
	Valid     []vectorCase  `json:"validTestCases"`
	Errors    []vectorCase  `json:"errorTestCases"`
}

type vectorCase struct {
	ID      int    `json:"tcId"`
	Comment string `json:"comment"`

	Params       *vectorParams `json:"params"`
	HostKey      *hexBytes     `json:"hostseckey"`
	Random       hexBytes      `json:"random"`
	Aux          *hexBytes     `json:"auxRand"`
	PMsg1Indices []int         `json:"pmsg1Indices"`
	PMsg2Indices []int         `json:"pmsg2Indices"`
	CMsg1        hexBytes      `json:"cmsg1"`
	CMsg1Index   int           `json:"cmsg1Index"`
	CMsg2        hexBytes      `json:"cmsg2"`
	CInv         hexBytes      `json:"cinvMsg"`
	Recovery     hexBytes      `json:"recoveryData"`

	HostPublicKey hexBytes     `json:"expectedHostpubkey"`
	ParamsHash    hexBytes     `json:"expectedParamsHash"`
	WantPMsg1     hexBytes     `json:"expectedPmsg1"`
	WantPMsg2     hexBytes     `json:"expectedPmsg2"`
	WantCMsg1     hexBytes     `json:"expectedCmsg1"`
	WantCInv      []hexBytes   `json:"expectedCinvMsgs"`
	Output        vectorOutput `json:"expectedOutput"`
	Error         *vectorError `json:"expectedError"`
}

type vectorParams struct {
	HostKeys  []hexBytes `json:"hostpubkeys"`
	Threshold int        `json:"t"`
}

type vectorOutput struct {
	CMsg2    hexBytes      `json:"cmsg2"`
	Recovery hexBytes      `json:"recoveryData"`
	Params   *vectorParams `json:"params"`
	DKG      struct {
		Share        *hexBytes  `json:"secshare"`
		Key          hexBytes   `json:"threshPk"`
		PublicShares []hexBytes `json:"pubshares"`
	} `json:"dkgOutput"`
}

type vectorError struct {
	Type    string    `json:"type"`
	Message string    `json:"message"`
	ID      *frost.ID `json:"participantId"`
	ID1     *frost.ID `json:"participantId1"`
	ID2     *frost.ID `json:"participantId2"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// params reads the parameters; a key of a wrong length, which the type cannot
// hold, becomes one that is as wrong.
func (p *vectorParams) params() Params {
	params := Params{Threshold: p.Threshold}
	for _, key := range p.HostKeys {
		if len(key) != curve.PointSize {
			key = make([]byte, curve.PointSize)
		}
		params.HostKeys = append(params.HostKeys, HostPublicKey(key))
	}
	return params
}

func messages(list []hexBytes) [][]byte {
	var all [][]byte
	for _, m := range list {
		all = append(all, m)
	}
	return all
}

func pick(pool []hexBytes, indices []int) [][]byte {
	var all [][]byte
	for _, i := range indices {
		all = append(all, pool[i])
	}
	return all
}

// eachVectorFile runs every case of every file of that name, in testdata and,
// besides, in the folders that DAOBANK_VECTORS lists: valid returns an error when
// it is wrong, refused has to return the error that the case expects.
func eachVectorFile(t *testing.T, name string, valid func(vectorGroup, vectorCase) error, refused func(vectorGroup, vectorCase) error) {
	t.Helper()
	found := 0
	for _, root := range append([]string{"testdata"}, filepath.SplitList(os.Getenv("DAOBANK_VECTORS"))...) {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != name+"_vectors.json" {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var file vectorFile
			if err := json.Unmarshal(raw, &file); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			found++
			t.Run(path, func(t *testing.T) { file.run(t, valid, refused) })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatalf("no %s files", name)
	}
}

func (file *vectorFile) run(t *testing.T, valid, refused func(vectorGroup, vectorCase) error) {
	count := 0
	for _, g := range append(file.Groups, file.vectorGroup) {
		for _, c := range g.Valid {
			count++
			t.Run(fmt.Sprintf("valid %d %s", c.ID, c.Comment), func(t *testing.T) {
				if err := valid(g, c); err != nil {
					t.Fatal(err)
				}
			})
		}
		for _, c := range g.Errors {
			count++
			t.Run(fmt.Sprintf("error %d %s", c.ID, c.Comment), func(t *testing.T) {
				requireError(t, *c.Error, refused(g, c))
			})
		}
	}
	if count != file.Total {
		t.Errorf("ran %d cases, the file says %d", count, file.Total)
	}
}

// publishedReasons gives for each published message what an error here wraps.
var publishedReasons = map[string]error{
	"Host secret key does not match any host public key":                       ErrHostKeyUnknown,
	"Host secret key does not match any host public key in the recovery data":  ErrHostKeyUnknown,
	"Host secret key does not match the one used in participant_step1":         ErrHostKeyUnknown,
	"Coordinator replied with wrong pubnonce":                                  ErrEcho,
	"Coordinator sent unexpected first group element for local participant id": ErrEcho,
	"invalid public nonce":                        ErrNonce,
	"Participant sent invalid commitment":         ErrCommitment,
	"Participant sent invalid proof-of-knowledge": ErrProof,
	"Received invalid secshare; consider using participant_investigate() to determine a faulty party": ErrShare,
	"Participant sent invalid partial secshare":                                                       ErrShare,
	"Coordinator fiddled with the share from me to myself":                                            ErrOwnShare,
	"Sum of encrypted partial secshares not equal to encrypted secshare":                              ErrShareSum,
	"Sum of partial pubshares not equal to pubshare":                                                  ErrPublicSum,
	"Participant has provided an invalid signature for the certificate":                               ErrCertificate,
	"Coordinator has provided a certificate with an invalid signature":                                ErrCertificate,
	"Failed to deserialize recovery data":                                                             ErrMalformed,
	"Invalid session parameters in recovery data":                                                     ErrParams,
	"Invalid certificate in recovery data":                                                            ErrCertificate,
	"":                                                                                                nil,
}

// requireError checks type, blamed participants and reason.
func requireError(t *testing.T, want vectorError, err error) {
	t.Helper()
	if got := describe(err); got.Type != want.Type || !same(got.ID, want.ID) || !same(got.ID1, want.ID1) || !same(got.ID2, want.ID2) {
		t.Fatalf("error %v is %s, want %s", err, got, want)
	}
	reason, known := publishedReasons[want.Message]
	switch {
	case !known:
		t.Logf("the message %q is new; got %v", want.Message, err)
	case reason != nil && !errors.Is(err, reason):
		t.Errorf("error %v, want %v", err, reason)
	}
}

// describe translates an error into the terms of the vectors.
func describe(err error) vectorError {
	var (
		threshold *ThresholdOrCountError
		invalid   *InvalidHostKeyError
		duplicate *DuplicateHostKeyError
		length    *LengthError
		one       *FaultyParticipantError
		either    *FaultyParticipantOrCoordinatorError
		hub       *FaultyCoordinatorError
		unknown   *UnknownFaultyError
		recovery  *RecoveryDataError
	)
	switch {
	case err == nil:
		return vectorError{Type: "none"}
	case errors.As(err, &recovery): // wraps others
		return vectorError{Type: "RecoveryDataError"}
	case errors.As(err, &threshold):
		return vectorError{Type: "ThresholdOrCountError"}
	case errors.As(err, &invalid):
		return vectorError{Type: "InvalidHostPubkeyError", ID: &invalid.ID}
	case errors.As(err, &duplicate):
		return vectorError{Type: "DuplicateHostPubkeyError", ID1: &duplicate.First, ID2: &duplicate.Second}
	case errors.As(err, &one):
		return vectorError{Type: "FaultyParticipantError", ID: &one.ID}
	case errors.As(err, &either):
		return vectorError{Type: "FaultyParticipantOrCoordinatorError", ID: &either.ID}
	case errors.As(err, &hub):
		return vectorError{Type: "FaultyCoordinatorError"}
	case errors.As(err, &unknown):
		return vectorError{Type: "UnknownFaultyParticipantOrCoordinatorError"}
	case errors.Is(err, ErrHostKey):
		return vectorError{Type: "HostSeckeyError"}
	case errors.Is(err, ErrRandomness):
		return vectorError{Type: "RandomnessError"}
	case errors.As(err, &length), errors.Is(err, io.ErrUnexpectedEOF): // too little randomness
		return vectorError{Type: "ValueError"}
	}
	return vectorError{Type: "another"}
}

func (e vectorError) String() string {
	text := e.Type
	for _, id := range []*frost.ID{e.ID, e.ID1, e.ID2} {
		if id != nil {
			text += fmt.Sprintf(" %d", *id)
		}
	}
	return text
}

func same(a, b *frost.ID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// requireOutput compares a result with the published one.
func (want vectorOutput) compare(r *Result) error {
	if key := r.Group.Key(); !bytes.Equal(key[:], want.DKG.Key) {
		return fmt.Errorf("group key %v, want %x", key, want.DKG.Key)
	}
	if r.Group.Participants() != len(want.DKG.PublicShares) {
		return fmt.Errorf("%d public shares, want %d", r.Group.Participants(), len(want.DKG.PublicShares))
	}
	for i, share := range want.DKG.PublicShares {
		if got, _ := r.Group.PublicShare(frost.ID(i)); !bytes.Equal(got[:], share) {
			return fmt.Errorf("public share %d is %v, want %x", i, got, share)
		}
	}
	if (r.Share == nil) != (want.DKG.Share == nil) {
		return fmt.Errorf("share %v, want %x", r.Share, want.DKG.Share)
	}
	if r.Share != nil {
		secret, err := r.Share.Reveal()
		if err != nil || !bytes.Equal(secret, *want.DKG.Share) {
			return fmt.Errorf("share %x, want %x (%w)", secret, *want.DKG.Share, err)
		}
	}
	if want.Recovery != nil && !bytes.Equal(r.RecoveryData, want.Recovery) {
		return fmt.Errorf("recovery data %x, want %x", r.RecoveryData, want.Recovery)
	}
	if want.Params != nil && fmt.Sprint(r.Params) != fmt.Sprint(want.Params.params()) {
		return fmt.Errorf("params %v, want %v", r.Params, want.Params)
	}
	return nil
}
