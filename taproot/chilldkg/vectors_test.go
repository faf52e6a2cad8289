package chilldkg

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// expect says how two byte strings differ.
func expect(what string, got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s %x, want %x", what, got, want)
	}
	return nil
}

// notRefused is for files that have no cases that are refused, or no valid ones.
func notRefused(vectorGroup, vectorCase) error { return errors.New("this file has no such cases") }

func TestHostPublicKeyVectors(t *testing.T) {
	eachVectorFile(t, "hostpubkey_gen", func(_ vectorGroup, c vectorCase) error {
		key, err := NewHostKey(*c.HostKey)
		if err != nil {
			return err
		}
		public := key.Public()
		return expect("host public key", public[:], c.HostPublicKey)
	}, func(_ vectorGroup, c vectorCase) error {
		_, err := NewHostKey(*c.HostKey)
		return err
	})
}

func TestParamsHashVectors(t *testing.T) {
	eachVectorFile(t, "params_hash", func(_ vectorGroup, c vectorCase) error {
		hash, err := c.Params.params().Hash()
		if err != nil {
			return err
		}
		return expect("hash", hash[:], c.ParamsHash)
	}, func(_ vectorGroup, c vectorCase) error {
		_, err := c.Params.params().Hash()
		return err
	})
}

func begin(host []byte, params *vectorParams, random []byte) (*HostKey, *Participant, []byte, error) {
	key, err := NewHostKey(host)
	if err != nil {
		return nil, nil, nil, err
	}
	p, message, err := NewParticipant(key, params.params(), bytes.NewReader(random))
	return key, p, message, err
}

// begin takes step 1 as the group says.
func (g vectorGroup) begin() (*HostKey, *Participant, error) {
	key, p, message, err := begin(g.HostKey, g.Params, g.Random)
	if err == nil {
		err = expect("message 1", message, g.PMsg1)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("step 1: %w", err)
	}
	return key, p, nil
}

func TestParticipantStep1Vectors(t *testing.T) {
	eachVectorFile(t, "participant_step1", func(_ vectorGroup, c vectorCase) error {
		_, _, message, err := begin(*c.HostKey, c.Params, c.Random)
		if err != nil {
			return err
		}
		if len(message) != c.Params.params().Message1Size() {
			return errors.New("Message1Size is wrong")
		}
		return expect("message 1", message, c.WantPMsg1)
	}, func(_ vectorGroup, c vectorCase) error {
		_, _, _, err := begin(*c.HostKey, c.Params, c.Random)
		return err
	})
}

func TestParticipantStep2Vectors(t *testing.T) {
	step2 := func(g vectorGroup, c vectorCase) ([]byte, error) {
		key, p, err := g.begin()
		if err != nil {
			return nil, err
		}
		if c.HostKey != nil {
			if key, err = NewHostKey(*c.HostKey); err != nil {
				return nil, err
			}
		}
		aux := g.Aux
		if c.Aux != nil {
			aux = *c.Aux
		}
		return p.Step2(key, c.CMsg1, bytes.NewReader(aux))
	}
	eachVectorFile(t, "participant_step2", func(g vectorGroup, c vectorCase) error {
		message, err := step2(g, c)
		if err != nil {
			return err
		}
		return expect("message 2", message, c.WantPMsg2)
	}, func(g vectorGroup, c vectorCase) error {
		_, err := step2(g, c)
		return err
	})
}

func TestParticipantFinalizeVectors(t *testing.T) {
	finalize := func(g vectorGroup, c vectorCase) (*Result, error) {
		key, p, err := g.begin()
		if err != nil {
			return nil, err
		}
		message, err := p.Step2(key, g.CMsg1, bytes.NewReader(g.Aux))
		if err != nil {
			return nil, err
		}
		if err := expect("message 2", message, g.PMsg2); err != nil {
			return nil, err
		}
		return p.Finalize(c.CMsg2)
	}
	eachVectorFile(t, "participant_finalize", func(g vectorGroup, c vectorCase) error {
		result, err := finalize(g, c)
		if err != nil {
			return err
		}
		return c.Output.compare(result)
	}, func(g vectorGroup, c vectorCase) error {
		_, err := finalize(g, c)
		if !errors.Is(err, ErrOutcomeUnknown) {
			return fmt.Errorf("error %v does not say to keep the host key", err)
		}
		return err
	})
}

func TestParticipantInvestigateVectors(t *testing.T) {
	eachVectorFile(t, "participant_investigate", notRefused, func(g vectorGroup, c vectorCase) error {
		key, p, err := g.begin()
		if err != nil {
			return err
		}
		_, err = p.Step2(key, g.CMsg1Pool[c.CMsg1Index], bytes.NewReader(g.Aux))
		var unknown *UnknownFaultyError
		if !errors.As(err, &unknown) {
			return fmt.Errorf("step 2 does not ask for an investigation: %v", err)
		}
		return unknown.Investigate(c.CInv)
	})
}

func TestCoordinatorStep1Vectors(t *testing.T) {
	eachVectorFile(t, "coordinator_step1", func(g vectorGroup, c vectorCase) error {
		_, message, err := NewCoordinator(c.Params.params(), pick(g.PMsg1Pool, c.PMsg1Indices))
		if err != nil {
			return err
		}
		if len(message) != c.Params.params().CoordinatorMessage1Size() {
			return errors.New("CoordinatorMessage1Size is wrong")
		}
		return expect("message", message, c.WantCMsg1)
	}, func(g vectorGroup, c vectorCase) error {
		_, _, err := NewCoordinator(c.Params.params(), pick(g.PMsg1Pool, c.PMsg1Indices))
		return err
	})
}

func TestCoordinatorFinalizeVectors(t *testing.T) {
	finalize := func(g vectorGroup, c vectorCase) (*Result, []byte, error) {
		coordinator, message, err := NewCoordinator(g.Params.params(), messages(g.PMsgs1))
		if err != nil {
			return nil, nil, err
		}
		if err := expect("message 1", message, g.CMsg1); err != nil {
			return nil, nil, err
		}
		return coordinator.Finalize(pick(g.PMsg2Pool, c.PMsg2Indices))
	}
	eachVectorFile(t, "coordinator_finalize", func(g vectorGroup, c vectorCase) error {
		result, certificate, err := finalize(g, c)
		if err != nil {
			return err
		}
		if len(result.RecoveryData) != result.Params.RecoveryDataSize() {
			return errors.New("RecoveryDataSize is wrong")
		}
		if err := expect("certificate", certificate, c.Output.CMsg2); err != nil {
			return err
		}
		return c.Output.compare(result)
	}, func(g vectorGroup, c vectorCase) error {
		_, _, err := finalize(g, c)
		return err
	})
}

func TestCoordinatorInvestigateVectors(t *testing.T) {
	eachVectorFile(t, "coordinator_investigate", func(g vectorGroup, c vectorCase) error {
		answers, err := Investigations(g.Params.params(), messages(g.PMsgs1))
		if err != nil {
			return err
		}
		if len(answers) != len(c.WantCInv) {
			return fmt.Errorf("%d messages, want %d", len(answers), len(c.WantCInv))
		}
		for i, answer := range answers {
			if err := expect("investigation message", answer, c.WantCInv[i]); err != nil {
				return err
			}
		}
		return nil
	}, func(g vectorGroup, _ vectorCase) error {
		_, err := Investigations(g.Params.params(), messages(g.PMsgs1))
		return err
	})
}

func TestRecoverVectors(t *testing.T) {
	recovered := func(c vectorCase) (*Result, error) {
		if c.HostKey == nil {
			return RecoverCoordinator(c.Recovery)
		}
		key, err := NewHostKey(*c.HostKey)
		if err != nil {
			return nil, err
		}
		return Recover(key, c.Recovery)
	}
	eachVectorFile(t, "recover", func(_ vectorGroup, c vectorCase) error {
		result, err := recovered(c)
		if err != nil {
			return err
		}
		return c.Output.compare(result)
	}, func(_ vectorGroup, c vectorCase) error {
		_, err := recovered(c)
		return err
	})
}
