package frost

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// vectorFile is the union of what the BIP-445 vector files hold.
type vectorFile struct {
	Groups     []vectorGroup `json:"test_groups"`
	PubNonces  []hexBytes    `json:"pubnonces"`
	Valid      []vectorCase  `json:"valid_tests"`
	ErrorTests []vectorCase  `json:"error_tests"`
}

type vectorGroup struct {
	Name       string       `json:"tg_id"`
	T          int          `json:"t"`
	N          int          `json:"n"`
	ThreshPK   hexBytes     `json:"thresh_pk"`
	PubShares  []hexBytes   `json:"pubshares"`
	PubNonces  []hexBytes   `json:"pubnonces"`
	SecShares  []hexBytes   `json:"secshares"`
	SecNonces  []hexBytes   `json:"secnonces"`
	Tweaks     []hexBytes   `json:"tweaks"`
	Valid      []vectorCase `json:"valid_tests"`
	ErrorTests []vectorCase `json:"error_tests"`
	SignErrors []vectorCase `json:"sign_error_tests"`
	VerifyFail []vectorCase `json:"verify_fail_tests"`
	VerifyErr  []vectorCase `json:"verify_error_tests"`
}

type vectorCase struct {
	ID      int    `json:"tc_id"`
	Comment string `json:"comment"`

	T        *int     `json:"t"`
	ThreshPK hexBytes `json:"thresh_pk"`

	SignerID        *ID    `json:"signer_id"`
	MyID            *ID    `json:"my_id"` // signer_id before revision 0.9
	SignerIndex     *int   `json:"signer_index"`
	IDs             []ID   `json:"ids"`
	PubShareIndices []*int `json:"pubshare_indices"`
	PubNonceIndices []int  `json:"pubnonce_indices"`
	SecShareIndex   *int   `json:"secshare_index"`
	SecNonceIndex   *int   `json:"secnonce_index"`
	TweakIndices    []int  `json:"tweak_indices"`
	IsXOnly         []bool `json:"is_xonly"`

	Rand          hexBytes   `json:"rand"`
	SecShare      *hexBytes  `json:"secshare"`
	PubShare      *hexBytes  `json:"pubshare"`
	ThreshPKXOnly *hexBytes  `json:"thresh_pk_xonly"`
	ExtraIn       *hexBytes  `json:"extra_in"`
	AggNonce      *hexBytes  `json:"aggnonce"`
	AggOtherNonce *hexBytes  `json:"aggothernonce"`
	AuxRand       *hexBytes  `json:"aux_rand"`
	Tweaks        []hexBytes `json:"tweaks"`
	Msg           *hexBytes  `json:"msg"`
	PSig          hexBytes   `json:"psig"`
	PSigs         []hexBytes `json:"psigs"`
	FinalSig      *hexBytes  `json:"final_sig"`
	TweakedKey    *hexBytes  `json:"tweaked_xonly_pk"`

	Expected hexList      `json:"expected"`
	Error    *vectorError `json:"error"`
}

type vectorError struct {
	Type        string `json:"type"`
	Message     string `json:"message"`
	SignerIndex *int   `json:"signer_index"`
	Contrib     string `json:"contrib"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// Vectors may hold values of a wrong length, which the types here cannot. They
// become a value that is as wrong.

func (h hexBytes) publicNonce() (n PublicNonce) {
	if len(h) == PublicNonceSize {
		n = PublicNonce(h)
	}
	return n
}

func (h hexBytes) publicShare() (s PublicShare) {
	if len(h) == PublicKeySize {
		s = PublicShare(h)
	}
	return s
}

func (h hexBytes) partialSignature() PartialSignature {
	if len(h) == PartialSignatureSize {
		return PartialSignature(h)
	}
	return PartialSignature(fill(0xff))
}

// hexList reads one hex string as a list of one.
type hexList []hexBytes

func (l *hexList) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]hexBytes)(l))
	}
	*l = make(hexList, 1)
	return json.Unmarshal(b, &(*l)[0])
}

// eachVectorFile runs f over every BIP-445 file whose name starts with kind, in
// testdata and, besides, in the folders that DAOBANK_VECTORS lists.
func eachVectorFile(t *testing.T, kind string, f func(t *testing.T, file vectorFile)) {
	t.Helper()
	found := 0
	for _, root := range vectorRoots() {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := entry.Name()
			if entry.IsDir() || !strings.HasPrefix(name, kind) || filepath.Ext(name) != ".json" {
				return nil
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if !isFROST(raw) {
				return nil // MuSig2's files have the same names
			}
			var file vectorFile
			if err := json.Unmarshal(raw, &file); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			found++
			t.Run(path, func(t *testing.T) { f(t, file) })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatalf("no %s files", kind)
	}
}

// vectorRoots are the folders that vector tests read.
func vectorRoots() []string {
	return append([]string{"testdata"}, filepath.SplitList(os.Getenv("DAOBANK_VECTORS"))...)
}

func isFROST(raw []byte) bool {
	text := string(raw)
	return strings.Contains(text, `"test_groups"`) || strings.Contains(text, `"thresh_pk_xonly"`) ||
		strings.Contains(text, `"pubnonce_indices"`)
}

func (g *vectorGroup) run(t *testing.T, kind string, cases []vectorCase, f func(t *testing.T, c vectorCase)) {
	t.Helper()
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s %s %d %s", g.Name, kind, c.ID, c.Comment), func(t *testing.T) { f(t, c) })
	}
}

// group builds what the case's signers would know. With identifiers that no
// group can hold it knows the key only, so that the session has to refuse them.
func (g *vectorGroup) group(c vectorCase) (*Group, error) {
	if len(g.ThreshPK) != PublicKeySize {
		return nil, ErrGroupKey
	}
	key := PublicKey(g.ThreshPK)
	distinct := len(slices.Compact(slices.Sorted(slices.Values(c.IDs)))) == len(c.IDs)
	outside := slices.ContainsFunc(c.IDs, func(id ID) bool { return int(id) >= g.N })
	if c.PubShareIndices == nil || !distinct || outside || len(c.IDs) < g.T {
		return NewKeyOnlyGroup(g.T, g.N, key)
	}
	info := ThresholdInfo{Threshold: g.T, GroupKey: key, PublicShares: make([]*PublicShare, g.N)}
	if len(c.PubShareIndices) != len(c.IDs) {
		return nil, fmt.Errorf("%w: %d shares of %d signers", ErrSignerSet, len(c.PubShareIndices), len(c.IDs))
	}
	for i, index := range c.PubShareIndices {
		if index == nil {
			continue
		}
		share := g.PubShares[*index].publicShare()
		info.PublicShares[c.IDs[i]] = &share
	}
	return NewGroup(info)
}

// tweaks reads the case's tweaks as a decoder would, one value to each mode.
func (g *vectorGroup) tweaks(c vectorCase) ([]Tweak, error) {
	values := slices.Clone(c.Tweaks)
	for _, index := range c.TweakIndices {
		values = append(values, g.Tweaks[index])
	}
	if len(values) != len(c.IsXOnly) {
		return nil, errTweakModes
	}
	tweaks := make([]Tweak, len(values))
	for i, value := range values {
		var err error
		if tweaks[i], err = NewTweak(value, c.IsXOnly[i]); err != nil {
			return nil, err
		}
	}
	return tweaks, nil
}

// errTweakModes stands for a mistake that type Tweak cannot express.
var errTweakModes = errors.New("as many modes as tweaks")

func (g *vectorGroup) session(c vectorCase, nonce []byte) (*Session, error) {
	group, err := g.group(c)
	if err != nil {
		return nil, err
	}
	aggregate, err := ParseAggregateNonce(nonce)
	if err != nil {
		return nil, err
	}
	tweaks, err := g.tweaks(c)
	if err != nil {
		return nil, err
	}
	return NewSession(group, SessionParams{
		Signers: c.IDs, AggregateNonce: aggregate, Tweaks: tweaks, Message: *c.Msg,
	})
}

func (c *vectorCase) signer() ID {
	if c.SignerID != nil {
		return *c.SignerID
	}
	return *c.MyID
}

func (g *vectorGroup) share(c vectorCase) (*Share, error) {
	return NewShare(c.signer(), g.SecShares[*c.SecShareIndex])
}

func secretNonce(b []byte) (*SecretNonce, PublicNonce, error) {
	if len(b) < 64 {
		return nil, PublicNonce{}, errors.New("short secret nonce")
	}
	k1, ok1 := curve.ParseScalar(b[:32])
	k2, ok2 := curve.ParseScalar(b[32:64])
	if !ok1 || !ok2 {
		return nil, PublicNonce{}, errors.New("secret nonce out of range")
	}
	return newSecretNonce(&[2]curve.Scalar{k1, k2})
}

// publishedErrors gives the errors by which this package refuses what the
// published text refuses. The texts changed between revisions (before 0.12 all
// shares were interpolated at once, without a polynomial check), so a text that
// is not listed only has to be refused.
var publishedErrors = map[string][]error{
	"The threshold must be 1 <= t <= n.":                                                               {ErrThreshold},
	"The number of participants must be n <= 128.":                                                     {ErrParticipants},
	"The thresh_pk is not a valid point.":                                                              {ErrGroupKey},
	"At least t pubshares must be present.":                                                            {ErrTooFewShares},
	"The threshold public key must not be the point at infinity.":                                      {ErrInfinity},
	"The threshold pubkey must not be the point at infinity.":                                          {ErrInfinity, ErrPolynomial},
	"The provided key material is incorrect.":                                                          {ErrKeyMismatch, ErrPolynomial},
	"The signer's id must be present in the participant identifier list.":                              {ErrNotSigner},
	"The participant identifier list contains duplicate elements.":                                     {ErrSignerSet},
	"The signer's pubshare must be included in the list of pubshares.":                                 {ErrShareMismatch},
	"The number of signers must be between t and n.":                                                   {ErrSignerSet},
	"The signer's secret share value is out of range.":                                                 {ErrSecretShare},
	"The tweak value is out of range.":                                                                 {ErrTweakRange},
	"The tweak must be a 32-byte array.":                                                               {ErrTweakRange},
	"The result of tweaking cannot be infinity.":                                                       {ErrTweakInfinity},
	"The tweaks and is_xonly arrays must have the same length.":                                        {errTweakModes},
	"The psigs and ids arrays must have the same length.":                                              {ErrSignerSet},
	"The provided key material is incorrect: the public shares do not lie on a single polynomial.":     {ErrPolynomial},
	"The provided key material is incorrect: the public shares do not match the threshold public key.": {ErrKeyMismatch},
}

// requireRefusal checks that err refuses as the vector says: the named culprit
// exactly, the kind of error where it is known.
func requireRefusal(t *testing.T, c vectorCase, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, must be refused: %+v", c.Error)
	}
	if c.Error == nil {
		return
	}
	if c.Error.Type == "InvalidContributionError" {
		requireBlame(t, c, err)
		return
	}
	kinds, known := publishedErrors[c.Error.Message]
	if known && !slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
		t.Errorf("error %q, published %q", err, c.Error.Message)
	}
}

func requireBlame(t *testing.T, c vectorCase, err error) {
	t.Helper()
	if c.Error.SignerIndex == nil {
		if !errors.Is(err, ErrAggregateNonce) {
			t.Errorf("error %q, want %q", err, ErrAggregateNonce)
		}
		return
	}
	contributions := map[string]Contribution{
		"pubnonce": ContributionPublicNonce, "psig": ContributionPartialSignature,
	}
	id := ID(*c.Error.SignerIndex) // nonce lists are keyed by position
	if c.IDs != nil {
		id = c.IDs[*c.Error.SignerIndex]
	}
	var culprit *CulpritError
	if !errors.As(err, &culprit) {
		t.Fatalf("error %q names nobody, must blame %d", err, id)
	}
	if !slices.Equal(culprit.IDs, []ID{id}) || culprit.Contribution != contributions[c.Error.Contrib] {
		t.Errorf("blames %s of %v, must blame %s of %d", culprit.Contribution, culprit.IDs, c.Error.Contrib, id)
	}
}
