package main

import (
	"context"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/quorum"
)

// schemeFigures are one scheme at one size. Times are for one party.
type schemeFigures struct {
	Scheme    string `json:"scheme"`
	Threshold int    `json:"threshold"`
	Guardians int    `json:"guardians"`
	// Not says why the scheme cannot be had at this size; all else is zero then.
	Not string `json:"not,omitempty"`

	KeyGeneration      benchFigure `json:"key_generation"`       // a guardian, all steps
	KeyGenerationBytes int         `json:"key_generation_bytes"` // all that crosses the wire
	Round1             benchFigure `json:"round1"`               // a guardian: its nonces
	Prepare            benchFigure `json:"prepare"`              // the coordinator between the rounds
	SessionValues      benchFigure `json:"session_values"`       // a guardian, once for a session
	Round2             benchFigure `json:"round2"`               // a guardian, session values cached
	Aggregate          benchFigure `json:"aggregate"`            // the coordinator, final verification included
	Verify             benchFigure `json:"verify"`               // a node: the input's script
	SigningBytes       int         `json:"signing_bytes"`        // all that crosses the wire
	VBytes             int64       `json:"spend_vbytes"`         // one input, one P2TR output
	InputWeight        int64       `json:"input_weight"`         // weight units of one input more
}

func (f *schemeFigures) name() string {
	if f.Scheme == taproot.MuSig2.String() {
		return fmt.Sprintf("%s %d-of-%d", f.Scheme, f.Guardians, f.Guardians)
	}
	return fmt.Sprintf("%s %d-of-%d", f.Scheme, f.Threshold, f.Guardians)
}

const (
	benchRounds  = 15              // signatures that are measured, at most
	benchSigners = 5               // guardians of whom each is timed
	benchBudget  = 3 * time.Second // for the signatures of one row, once one is done
)

func (b *custodyBench) measureScheme(ctx context.Context, scheme taproot.Scheme, threshold, n int) (schemeFigures, error) {
	row := schemeFigures{Scheme: scheme.String(), Threshold: threshold, Guardians: n}
	if scheme == taproot.MuSig2Leaves && taproot.Subsets(n, threshold) > taproot.MaxLeaves {
		row.Not = fmt.Sprintf("more than %d sets of %d", taproot.MaxLeaves, threshold)
		return row, nil
	}
	var q *quorum.Quorum
	var err error
	if scheme == taproot.FROST {
		q, err = b.generateFrost(ctx, &row)
	} else {
		q, err = b.generateKeys(scheme, &row)
	}
	if err != nil {
		return row, err
	}
	signers := make([]int, threshold)
	if scheme == taproot.MuSig2 {
		signers = make([]int, n)
	}
	for i := range signers {
		signers[i] = i * n / len(signers)
	}
	path, err := q.Vault().Path(signers)
	if err != nil {
		return row, err
	}
	payout := [][]byte{append([]byte{txscript.OP_1, 32}, make([]byte, 32)...)}
	row.VBytes = (path.Weight(1, payout) + 3) / 4
	row.InputWeight = path.Weight(2, payout) - path.Weight(1, payout)
	return row, b.measureSignatures(ctx, q, path, &row)
}

// signingSamples are those of one row.
type signingSamples struct {
	round1, prepare, values, round2, aggregate, verify benchSamples
}

func (b *custodyBench) measureSignatures(ctx context.Context, q *quorum.Quorum, path taproot.Path, row *schemeFigures) error {
	var s signingSamples
	began := time.Now()
	for round := range benchRounds {
		if round > 0 && time.Since(began) > benchBudget {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		traffic, err := b.measureSignature(q, path, uint32(round), &s)
		if err != nil {
			return err
		}
		row.SigningBytes = traffic
	}
	row.Round1, row.Prepare, row.SessionValues = s.round1.figure(), s.prepare.figure(), s.values.figure()
	row.Round2, row.Aggregate, row.Verify = s.round2.figure(), s.aggregate.figure(), s.verify.figure()
	return nil
}

// measureSignature signs one coin of the vault, and times some of the guardians.
func (b *custodyBench) measureSignature(q *quorum.Quorum, path taproot.Path, index uint32, s *signingSamples) (traffic int, err error) {
	out, err := q.Vault().Output(taproot.Deposit, index)
	if err != nil {
		return 0, err
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Index: index}, nil, nil))
	tx.AddTxOut(wire.NewTxOut(90_000, out.Script))
	prevouts := []*wire.TxOut{wire.NewTxOut(100_000, out.Script)}
	messages, err := path.Sighashes(tx, prevouts)
	if err != nil {
		return 0, err
	}
	session := q.NewSession(path, out, messages[0])
	if err := b.signBySteps(session, path.Signers(), s); err != nil {
		return 0, err
	}
	var signatures map[int][]byte
	err = b.clock.time(&s.aggregate, func() (err error) { signatures, err = session.Finish(); return err })
	if err != nil {
		return 0, err
	}
	if tx.TxIn[0].Witness, err = path.Witness(out, signatures); err != nil {
		return 0, err
	}
	return session.Traffic(), b.clock.time(&s.verify, func() error { return taproot.VerifySpend(tx, prevouts) })
}

// signBySteps takes the guardians through both rounds.
func (b *custodyBench) signBySteps(session quorum.Session, signers []int, s *signingSamples) error {
	// The first few guardians are timed, the others only take part.
	step := func(samples *benchSamples, f func(signer int) error) error {
		for i, signer := range signers {
			var err error
			if i < benchSigners {
				err = b.clock.time(samples, func() error { return f(signer) })
			} else {
				err = f(signer)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := step(&s.round1, session.Commit); err != nil {
		return err
	}
	if err := b.clock.time(&s.prepare, session.Prepare); err != nil {
		return err
	}
	if err := step(&s.values, session.Enter); err != nil {
		return err
	}
	return step(&s.round2, session.Sign)
}
