package taproot

import (
	"fmt"
	"runtime"

	"github.com/btcsuite/btcd/btcec/v2"
	"golang.org/x/sync/errgroup"
)

// scanChunk is how many scripts share a field inversion. One inversion costs as
// much as the rest of an addition, and past some dozens the gain is had.
const scanChunk = 256

// Scripts derives the scripts of indices from … to−1 at once, on all cores and
// past the cache, for scans; the caller bounds the range. The error wraps
// ErrDerivation.
func (v *Vault) Scripts(b Branch, from, to uint32) ([][]byte, error) {
	key, err := v.branch(b)
	if err != nil {
		return nil, err
	}
	if from > to || to > hardened {
		return nil, fmt.Errorf("%w: range %d to %d", ErrDerivation, from, to)
	}
	scripts := make([][]byte, to-from)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for start := 0; start < len(scripts); start += scanChunk {
		chunk := scripts[start:min(start+scanChunk, len(scripts))]
		group.Go(func() error { return v.deriveScripts(key, from+uint32(start), chunk) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return scripts, nil
}

// deriveScripts fills scripts with those of consecutive indices.
func (v *Vault) deriveScripts(key *extendedKey, from uint32, scripts [][]byte) error {
	children := make([]extendedKey, len(scripts))
	points := make([]*btcec.JacobianPoint, len(scripts))
	for i := range children {
		child, err := key.unfinishedChild(from + uint32(i))
		if err != nil {
			return err
		}
		children[i] = child
		points[i] = &children[i].point
	}
	batchAffine(points)
	outputs := make([]btcec.JacobianPoint, len(scripts))
	for i := range children {
		children[i].compress()
		output, _, err := children[i].unfinishedTaproot(v.tree.root[:])
		if err != nil {
			return err
		}
		outputs[i] = output
		points[i] = &outputs[i]
	}
	batchAffine(points)
	for i := range outputs {
		var outputKey [32]byte
		outputs[i].X.PutBytesUnchecked(outputKey[:])
		scripts[i] = payToTaproot(outputKey)
	}
	return nil
}

// batchAffine normalises points, none of them infinity, with one inversion
// (Montgomery's trick: invert the product of all Z and peel it off).
func batchAffine(points []*btcec.JacobianPoint) {
	if len(points) == 0 {
		return
	}
	products := make([]btcec.FieldVal, len(points)) // of Z before each point
	var product btcec.FieldVal
	product.SetInt(1)
	for i, p := range points {
		products[i].Set(&product)
		product.Mul(&p.Z)
	}
	inverse := product.Inverse()
	for i := len(points) - 1; i >= 0; i-- {
		p := points[i]
		var zInverse, zInverse2 btcec.FieldVal
		zInverse.Mul2(inverse, &products[i])
		inverse.Mul(&p.Z)
		zInverse2.SquareVal(&zInverse)
		p.X.Mul(&zInverse2).Normalize()
		p.Y.Mul(&zInverse2).Mul(&zInverse).Normalize()
		p.Z.SetInt(1)
	}
}
