package roast_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// patient options let everything end within an hour of virtual time.
var patient = roast.Options{Timeout: time.Minute, Stall: 250 * time.Millisecond, Retries: 1, Pause: time.Second}

// Each kind of bad signer, n−t of them: t good ones always sign, in at most n−t+1
// sessions, and only who lied is blamed.
func TestSignWithThresholdHonest(t *testing.T) {
	for _, size := range []struct{ t, n, inputs int }{{1, 1, 1}, {1, 3, 2}, {2, 3, 3}, {3, 5, 2}, {4, 7, 1}} {
		for _, kind := range bad {
			for _, options := range []roast.Options{{}, patient} {
				name := fmt.Sprintf("%d of %d/%s/stall %v", size.t, size.n, kind, options.Stall)
				t.Run(name, func(t *testing.T) {
					// The bad ones come first, so they are in the first sessions.
					as := slices.Concat(slices.Repeat([]behaviour{kind}, size.n-size.t), slices.Repeat([]behaviour{honest}, size.t))
					synctest.Test(t, func(t *testing.T) {
						c := newCast(t, size.t, size.inputs, as)
						for _, a := range c.actors[size.n-size.t:] {
							a.latency = 10 * time.Millisecond
						}
						result, err := c.sign(options, time.Hour)
						for _, complaint := range c.judge(result, err) {
							t.Error(complaint)
						}
					})
				})
			}
		}
	}
}

// With one good signer too few there is no signature, and each bad one is named
// with what it did.
func TestNoQuorumNamesEach(t *testing.T) {
	for _, size := range []struct{ t, n int }{{1, 1}, {2, 2}, {2, 3}, {3, 5}} {
		for _, kind := range slices.Concat(absent, liars) {
			t.Run(fmt.Sprintf("%d of %d/%s", size.t, size.n, kind), func(t *testing.T) {
				as := slices.Concat(slices.Repeat([]behaviour{honest}, size.t-1), slices.Repeat([]behaviour{kind}, size.n-size.t+1))
				synctest.Test(t, func(t *testing.T) {
					c := newCast(t, size.t, 2, as)
					result, err := c.sign(patient, time.Hour)
					if result != nil {
						t.Fatal("a result although too few are honest")
					}
					for _, complaint := range c.judgeFailure(err) {
						t.Error(complaint)
					}
				})
			})
		}
	}
}

// mustSign is sign with patient options, and its result judged.
func (c *cast) mustSign() *roast.Result {
	c.t.Helper()
	result, err := c.sign(patient, time.Hour)
	for _, complaint := range c.judge(result, err) {
		c.t.Error(complaint)
	}
	if err != nil {
		c.t.FailNow()
	}
	return result
}

// judge lists what is wrong with the result of a cast of which t are good.
func (c *cast) judge(result *roast.Result, err error) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	if err != nil {
		complain("no signatures: %v", err)
		return complaints
	}
	if len(result.Signatures) != len(c.messages) {
		complain("%d signatures for %d messages", len(result.Signatures), len(c.messages))
		return complaints
	}
	for i, m := range c.messages {
		key, err := frost.TweakedKey(c.group.Key(), m.Tweaks)
		if err == nil {
			err = frost.VerifySignature(key, m.Digest[:], result.Signatures[i])
		}
		if err != nil {
			complain("signature %d: %v", i, err)
		}
	}
	if most := len(c.actors) - c.group.Threshold() + 1; result.Sessions > most {
		complain("%d sessions, at most %d are needed", result.Sessions, most)
	}
	if len(result.Signers) != c.group.Threshold() || !slices.IsSorted(result.Signers) {
		complain("signers %v", result.Signers)
	}
	for _, b := range result.Blamed {
		complaints = append(complaints, c.judgeBlame(b)...)
		if !errors.Is(result.Failed[b.ID], b) {
			complain("signer %d is blamed and not among those that failed", b.ID)
		}
	}
	for id, err := range result.Failed {
		// One that crashed is honest again, and had failed.
		if a := c.actors[id]; slices.Contains(good, a.as) && !errors.Is(err, errBroken) {
			complain("signer %d is %s and failed: %v", id, a.as, err)
		}
	}
	return complaints
}

// judgeFailure lists what is wrong with the error of a cast of which t−1 are good.
func (c *cast) judgeFailure(err error) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	var none *roast.NoQuorumError
	if !errors.As(err, &none) {
		complain("error %v", err)
		return complaints
	}
	if none.Need != c.group.Threshold() || none.Cause != nil || none.Error() == "" {
		complain("error %v", none)
	}
	for _, a := range c.actors {
		reason, failed := none.Failed[a.ID()]
		var blame *roast.Blame
		var refusal *roast.RefusalError
		var as bool
		switch a.as {
		case honest, slow:
			as = !failed && (slices.Contains(none.Willing, a.ID()) || slices.Contains(none.Awaited, a.ID()))
		case silent, silentLater:
			// Nobody waits for the silent when others have made a quorum impossible.
			as = errors.Is(reason, roast.ErrSilent) || slices.Contains(none.Awaited, a.ID())
		case dead, deadLater:
			as = errors.Is(reason, errBroken)
		case refuse, refuseLater:
			as = errors.As(reason, &refusal)
		default:
			if as = errors.As(reason, &blame); as {
				complaints = append(complaints, c.judgeBlame(blame)...)
			}
		}
		if !as {
			complain("signer %d is %s, the error says %v, willing are %v", a.ID(), a.as, reason, none.Willing)
		}
	}
	if most := len(c.actors) - c.group.Threshold() + 1 + len(c.actors)*patient.Retries; none.Sessions > most {
		complain("%d sessions, at most %d are possible", none.Sessions, most)
	}
	return complaints
}

func (c *cast) judgeBlame(b *roast.Blame) (complaints []string) {
	if !c.actors[b.ID].as.mayLie() {
		complaints = append(complaints, fmt.Sprintf("signer %d is %s and is blamed: %v", b.ID, c.actors[b.ID].as, b))
	}
	if err := b.Check(c.group, c.messages); err != nil && b.Lie != roast.LieMalformed {
		complaints = append(complaints, fmt.Sprintf("%v: %v", b, err))
	}
	if most := len(c.messages) + 1; len(b.Nonces) > most || len(b.Signatures) > most {
		complaints = append(complaints, fmt.Sprintf("the evidence against %d holds %d nonces and %d parts", b.ID, len(b.Nonces), len(b.Signatures)))
	}
	return complaints
}

// All liars of one session are named at once, whatever messages they lied about.
func TestAllLiarsOfASessionAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCast(t, 4, 3, []behaviour{wrongOne, outOfRange, otherSession, honest, slow, slow, slow})
		result := c.mustSign()
		if len(result.Blamed) != 3 || result.Sessions != 2 {
			t.Fatalf("%d blamed after %d sessions, want 3 after 2: %v", len(result.Blamed), result.Sessions, result.Failed)
		}
		for i, want := range []int{2, 2, 0} { // the message it lied about
			if b := result.Blamed[i]; b.Message != want || b.Session != 1 || b.Lie != roast.LieSignature {
				t.Errorf("blame %v, want a wrong signature for message %d in session 1", b, want)
			}
		}
	})
}

// A liar in a session that somebody else holds up is found out before it is let
// into the next, and cannot hold that one up as well.
func TestLiarBehindASilentSignerSpoilsNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCast(t, 3, 2, []behaviour{liesThenSilent, silentLater, honest, slow, slow})
		result := c.mustSign()
		if len(result.Blamed) != 1 || result.Sessions != 2 {
			t.Errorf("blamed %v after %d sessions, want signer 0 after 2", result.Blamed, result.Sessions)
		}
	})
}

// A session that ends badly leaves alone whoever is in a newer one by then: signer
// 0 answers in the first, is awaited in the second, and the first is found wrong.
func TestEndOfASessionLeavesNewerOnesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCast(t, 2, 2, []behaviour{honest, wrongOne, honest})
		for i, latency := range []time.Duration{60, 100, 110} {
			c.actors[i].latency = latency * time.Millisecond
		}
		result, err := c.sign(roast.Options{}, time.Hour)
		for _, complaint := range c.judge(result, err) {
			t.Error(complaint)
		}
	})
}

// A session whose answers keep coming is left alone; a silent signer costs one
// Stall and a dead one no time at all.
func TestTimeThatFailuresCost(t *testing.T) {
	const stall = 250 * time.Millisecond
	tests := []struct {
		name     string
		as       []behaviour
		sessions int
		most     time.Duration
	}{
		{"all honest", slices.Repeat([]behaviour{honest}, 10), 1, 0},
		{"three dead", slices.Concat(slices.Repeat([]behaviour{dead}, 3), slices.Repeat([]behaviour{honest}, 7)), 1, 0},
		{"three dead in their session", slices.Concat(slices.Repeat([]behaviour{deadLater}, 3), slices.Repeat([]behaviour{honest}, 7)), 4, 0},
		{"three lying", slices.Concat(slices.Repeat([]behaviour{wrongOne}, 3), slices.Repeat([]behaviour{honest}, 7)), 4, 0},
		{"three silent", slices.Concat(slices.Repeat([]behaviour{silentLater}, 3), slices.Repeat([]behaviour{honest}, 7)), 4, 3 * stall},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCast(t, 7, 1, test.as)
				start := time.Now()
				result := c.mustSign()
				if took := time.Since(start); took > test.most || result.Sessions > test.sessions {
					t.Errorf("took %v and %d sessions, want at most %v and %d", took, result.Sessions, test.most, test.sessions)
				}
			})
		})
	}
}

// A signer that crashed and came back makes the quorum full where fewer than t
// others are left, and is left alone where they are not.
func TestSignerReturnsFromACrash(t *testing.T) {
	tests := []struct {
		name string
		as   []behaviour
		used bool
	}{
		{"needed", []behaviour{crash, honest, dead}, true},
		{"not needed", []behaviour{crash, honest, honest}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCast(t, 2, 2, test.as)
				for _, a := range c.actors[1:] {
					a.latency = time.Millisecond
				}
				result, err := c.sign(patient, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				if used := slices.Contains(result.Signers, 0); used != test.used {
					t.Errorf("signers %v", result.Signers)
				}
				if len(result.Blamed) != 0 {
					t.Errorf("blamed %v", result.Blamed)
				}
			})
		})
	}
}

// The context ends the waiting; the error has its cause and who was waited for.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCast(t, 3, 2, []behaviour{honest, wrongOne, silent, silentLater})
		_, err := c.sign(roast.Options{}, time.Minute)
		var none *roast.NoQuorumError
		if !errors.As(err, &none) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v", err)
		}
		var blame *roast.Blame
		if !errors.As(none.Failed[1], &blame) || blame.ID != 1 {
			t.Errorf("the liar whose session was held up: %v", none.Failed[1])
		}
		if !errors.Is(none.Failed[2], roast.ErrSilent) || !errors.Is(none.Failed[3], roast.ErrSilent) {
			t.Errorf("the silent: %v, %v", none.Failed[2], none.Failed[3])
		}
		if !slices.Equal(none.Willing, []frost.ID{0}) {
			t.Errorf("willing %v", none.Willing)
		}
	})
}

func TestSignRefusesWrongArguments(t *testing.T) {
	c := newCast(t, 2, 1, []behaviour{honest, honest, honest})
	keyOnly, err := frost.NewKeyOnlyGroup(2, 3, c.group.Key())
	if err != nil {
		t.Fatal(err)
	}
	signers := c.signers()
	var order [32]byte
	for i := range order {
		order[i] = 0xff
	}
	tests := []struct {
		name     string
		group    *frost.Group
		messages []roast.Message
		signers  []roast.Signer
		want     error
	}{
		{"no message", c.group, nil, signers, roast.ErrMessages},
		{"too many messages", c.group, make([]roast.Message, roast.MaxMessages+1), signers, roast.ErrMessages},
		{"too many tweaks", c.group, []roast.Message{{Tweaks: make([]frost.Tweak, roast.MaxTweaks+1)}}, signers, roast.ErrMessages},
		{"a tweak out of range", c.group, []roast.Message{{Tweaks: []frost.Tweak{{Value: order}}}}, signers, frost.ErrTweakRange},
		{"a signer twice", c.group, c.messages, []roast.Signer{signers[0], signers[1], signers[0]}, roast.ErrSigners},
		{"no public shares", keyOnly, c.messages, signers, frost.ErrNoPublicShare},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := roast.NewCoordinator(test.group, patient).Sign(t.Context(), test.messages, test.signers); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
	var none *roast.NoQuorumError
	if _, err := roast.NewCoordinator(c.group, patient).Sign(t.Context(), c.messages, signers[:1]); !errors.As(err, &none) {
		t.Errorf("one signer of two: error %v", err)
	}
}
