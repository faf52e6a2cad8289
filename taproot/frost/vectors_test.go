package frost

import (
	"bytes"
	"errors"
	"testing"

	"github.com/daobank/daobank/taproot/internal/curve"
)

func TestThresholdInfoVectors(t *testing.T) {
	eachVectorFile(t, "threshold_info", func(t *testing.T, file vectorFile) {
		for _, g := range file.Groups {
			validate := func(c vectorCase) error {
				key, err := ParsePublicKey(c.ThreshPK)
				info := ThresholdInfo{Threshold: *c.T, GroupKey: key}
				if err != nil {
					copy(info.GroupKey[:], c.ThreshPK)
				}
				for _, index := range c.PubShareIndices {
					var share *PublicShare
					if index != nil {
						s := g.PubShares[*index].publicShare()
						share = &s
					}
					info.PublicShares = append(info.PublicShares, share)
				}
				return info.Validate()
			}
			g.run(t, "valid", g.Valid, func(t *testing.T, c vectorCase) {
				if err := validate(c); err != nil {
					t.Fatal(err)
				}
			})
			g.run(t, "error", g.ErrorTests, func(t *testing.T, c vectorCase) {
				requireRefusal(t, c, validate(c))
			})
		}
	})
}

func TestNonceGenVectors(t *testing.T) {
	eachVectorFile(t, "nonce_gen", func(t *testing.T, file vectorFile) {
		g := vectorGroup{}
		g.run(t, "valid", file.Valid, func(t *testing.T, c vectorCase) {
			in := nonceInputs{random: [32]byte(c.Rand)}
			for _, argument := range []struct {
				from *hexBytes
				to   *[]byte
			}{
				{c.SecShare, &in.secret}, {c.PubShare, &in.public}, {c.ThreshPKXOnly, &in.key},
				{c.Msg, &in.message}, {c.ExtraIn, &in.extra},
			} {
				if argument.from != nil {
					*argument.to = append([]byte{}, *argument.from...)
				}
			}
			if c.SignerID != nil {
				in.id = curve.Uint32Bytes(uint32(*c.SignerID))
			}
			secret, public, err := in.generate()
			if err != nil {
				t.Fatal(err)
			}
			k1, k2, _, err := secret.take()
			if err != nil {
				t.Fatal(err)
			}
			b1, b2 := k1.Bytes(), k2.Bytes()
			if got := append(b1[:], b2[:]...); !bytes.Equal(got, c.Expected[0][:64]) {
				t.Errorf("secret nonce %x, want %x", got, c.Expected[0])
			}
			if !bytes.Equal(public[:], c.Expected[1]) {
				t.Errorf("public nonce %v, want %x", public, c.Expected[1])
			}
		})
	})
}

func TestNonceAggVectors(t *testing.T) {
	eachVectorFile(t, "nonce_agg", func(t *testing.T, file vectorFile) {
		nonces := func(c vectorCase) map[ID]PublicNonce {
			m := make(map[ID]PublicNonce)
			for i, index := range c.PubNonceIndices {
				m[ID(i)] = file.PubNonces[index].publicNonce()
			}
			return m
		}
		g := vectorGroup{}
		g.run(t, "valid", file.Valid, func(t *testing.T, c vectorCase) {
			got, err := NonceAgg(nonces(c))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[:], c.Expected[0]) {
				t.Errorf("got %v, want %x", got, c.Expected[0])
			}
		})
		g.run(t, "error", file.ErrorTests, func(t *testing.T, c vectorCase) {
			_, err := NonceAgg(nonces(c))
			requireRefusal(t, c, err)
		})
	})
}

// sign runs Sign as the case says, from the encoded inputs on.
func (g *vectorGroup) sign(c vectorCase) (*Session, PublicNonce, PartialSignature, error) {
	session, err := g.session(c, *c.AggNonce)
	if err != nil {
		return nil, PublicNonce{}, PartialSignature{}, err
	}
	share, err := g.share(c)
	if err != nil {
		return nil, PublicNonce{}, PartialSignature{}, err
	}
	nonce, public, err := secretNonce(g.SecNonces[*c.SecNonceIndex])
	if err != nil {
		return nil, PublicNonce{}, PartialSignature{}, err
	}
	signature, err := session.Sign(nonce, share)
	return session, public, signature, err
}

func (g *vectorGroup) checkSign(t *testing.T, c vectorCase) {
	nonces := make(map[ID]PublicNonce)
	for i, index := range c.PubNonceIndices {
		nonces[c.IDs[i]] = g.PubNonces[index].publicNonce()
	}
	aggregate, err := NonceAgg(nonces)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(aggregate[:], *c.AggNonce) {
		t.Errorf("aggregate nonce %v, want %x", aggregate, *c.AggNonce)
	}
	session, public, signature, err := g.sign(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(signature[:], c.Expected[0]) {
		t.Errorf("partial signature %v, want %x", signature, c.Expected[0])
	}
	if public != nonces[c.signer()] {
		t.Errorf("public nonce %v, want %v", public, nonces[c.signer()])
	}
	if c.PubShareIndices == nil {
		return
	}
	if err := session.PartialSigVerify(c.signer(), public, signature); err != nil {
		t.Error(err)
	}
}

// verify runs PartialSigVerify as the case says, aggregating the nonces first.
func (g *vectorGroup) verify(c vectorCase) error {
	nonces := make(map[ID]PublicNonce)
	for i, index := range c.PubNonceIndices {
		nonces[c.IDs[i]] = g.PubNonces[index].publicNonce()
	}
	aggregate, err := NonceAgg(nonces)
	if err != nil {
		return err
	}
	session, err := g.session(c, aggregate[:])
	if err != nil {
		return err
	}
	id := c.IDs[*c.SignerIndex]
	return session.PartialSigVerify(id, nonces[id], c.PSig.partialSignature())
}

func TestSignVerifyVectors(t *testing.T) {
	eachVectorFile(t, "sign_verify", func(t *testing.T, file vectorFile) {
		for _, g := range file.Groups {
			g.run(t, "sign", g.Valid, g.checkSign)
			g.run(t, "sign error", g.SignErrors, func(t *testing.T, c vectorCase) {
				_, _, _, err := g.sign(c)
				requireRefusal(t, c, err)
			})
			g.run(t, "verify fail", g.VerifyFail, func(t *testing.T, c vectorCase) {
				requireRefusal(t, c, g.verify(c))
			})
			g.run(t, "verify error", g.VerifyErr, func(t *testing.T, c vectorCase) {
				requireRefusal(t, c, g.verify(c))
			})
		}
	})
}

func TestTweakVectors(t *testing.T) {
	eachVectorFile(t, "tweak", func(t *testing.T, file vectorFile) {
		for _, g := range file.Groups {
			g.run(t, "valid", g.Valid, g.checkSign)
			g.run(t, "error", g.ErrorTests, func(t *testing.T, c vectorCase) {
				_, _, _, err := g.sign(c)
				requireRefusal(t, c, err)
			})
		}
	})
}

func TestSigAggVectors(t *testing.T) {
	eachVectorFile(t, "sig_agg", func(t *testing.T, file vectorFile) {
		for _, g := range file.Groups {
			aggregate := func(c vectorCase) (*Session, Signature, error) {
				session, err := g.session(c, *c.AggNonce)
				if err != nil {
					return nil, Signature{}, err
				}
				parts := make(map[ID]PartialSignature)
				for i, part := range c.PSigs {
					parts[c.IDs[i]] = part.partialSignature()
				}
				signature, err := session.Aggregate(parts, nil)
				return session, signature, err
			}
			g.run(t, "valid", g.Valid, func(t *testing.T, c vectorCase) {
				_, signature, err := aggregate(c)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(signature[:], c.Expected[0]) {
					t.Errorf("signature %v, want %x", signature, c.Expected[0])
				}
			})
			g.run(t, "error", g.ErrorTests, func(t *testing.T, c vectorCase) {
				_, _, err := aggregate(c)
				requireRefusal(t, c, err)
			})
		}
	})
}

func (g *vectorGroup) deterministicSign(c vectorCase) (PublicNonce, PartialSignature, error) {
	fail := func(err error) (PublicNonce, PartialSignature, error) {
		return PublicNonce{}, PartialSignature{}, err
	}
	group, err := g.group(c)
	if err != nil {
		return fail(err)
	}
	p := DeterministicParams{Signers: c.IDs, Message: *c.Msg}
	if p.Tweaks, err = g.tweaks(c); err != nil {
		return fail(err)
	}
	if c.AggOtherNonce != nil {
		others, err := ParseAggregateNonce(*c.AggOtherNonce)
		if err != nil {
			return fail(err)
		}
		p.OtherNonces = &others
	}
	if c.AuxRand != nil {
		if len(*c.AuxRand) != 32 {
			return fail(errors.New("auxiliary randomness of a wrong length"))
		}
		p.Aux = (*[32]byte)(*c.AuxRand)
	}
	share, err := g.share(c)
	if err != nil {
		return fail(err)
	}
	return group.DeterministicSign(share, p)
}

func TestDeterministicSignVectors(t *testing.T) {
	eachVectorFile(t, "det_sign", func(t *testing.T, file vectorFile) {
		for _, g := range file.Groups {
			g.run(t, "valid", g.Valid, func(t *testing.T, c vectorCase) {
				public, signature, err := g.deterministicSign(c)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(public[:], c.Expected[0]) || !bytes.Equal(signature[:], c.Expected[1]) {
					t.Errorf("got %v %v, want %x", public, signature, c.Expected)
				}
				g.checkFinal(t, c)
			})
			g.run(t, "error", g.ErrorTests, func(t *testing.T, c vectorCase) {
				_, _, err := g.deterministicSign(c)
				requireRefusal(t, c, err)
			})
		}
	})
}

// checkFinal checks the outcome of the whole session where the vector has it.
func (g *vectorGroup) checkFinal(t *testing.T, c vectorCase) {
	if c.TweakedKey == nil || c.FinalSig == nil {
		return
	}
	tweaks, err := g.tweaks(c)
	if err != nil {
		t.Fatal(err)
	}
	key, err := TweakedKey(PublicKey(g.ThreshPK), tweaks)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key[:], *c.TweakedKey) {
		t.Errorf("tweaked key %x, want %x", key, *c.TweakedKey)
	}
	if err := VerifySignature(key, *c.Msg, Signature(*c.FinalSig)); err != nil {
		t.Error(err)
	}
}
