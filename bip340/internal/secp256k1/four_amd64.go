//go:build !purego

package secp256k1

import "golang.org/x/sys/cpu"

// vectors says that the processor has what four_amd64.s needs.
var vectors = cpu.X86.HasAVX2

// lanes are four elements side by side, each in ten limbs of 26 bits, the lowest
// first: a product of limbs, and the sum of ten of them, fit into 64 bits. A limb
// may have a little more than 26 bits, less than 2^26 + 2^19.
type lanes [10][4]uint64

//go:noescape
func squareFour(z, x *lanes, n int)

//go:noescape
func mulFour(z, x, y *lanes)

// rootFour replaces each element by its root.
func rootFour(x *[4]Element) {
	if !vectors {
		for i := range x {
			x[i].root(&x[i])
		}
		return
	}
	var powers [len(inverseSteps) + 1]lanes
	for i := range x {
		powers[0].set(i, &x[i])
	}
	for i, s := range rootSteps {
		next := &powers[i+1]
		squareFour(next, &powers[s.from], s.squarings)
		mulFour(next, next, &powers[s.times])
	}
	last := &powers[len(rootSteps)]
	squareFour(last, last, 2)
	for i := range x {
		last.get(i, &x[i])
	}
}

const mask26 = 1<<26 - 1

func (l *lanes) set(i int, x *Element) {
	l[0][i] = x[0] & mask26
	l[1][i] = x[0] >> 26 & mask26
	l[2][i] = (x[0]>>52 | x[1]<<12) & mask26
	l[3][i] = x[1] >> 14 & mask26
	l[4][i] = (x[1]>>40 | x[2]<<24) & mask26
	l[5][i] = x[2] >> 2 & mask26
	l[6][i] = x[2] >> 28 & mask26
	l[7][i] = (x[2]>>54 | x[3]<<10) & mask26
	l[8][i] = x[3] >> 16 & mask26
	l[9][i] = x[3] >> 42
}

func (l *lanes) get(i int, x *Element) {
	var limbs [10]uint64
	var carry uint64
	for j := range limbs {
		sum := l[j][i] + carry
		limbs[j], carry = sum&mask26, sum>>26
	}
	// What is above 2^256 is four bits of the last limb and the carry, in all
	// less than 2^26: it is folded once, and can then carry once more.
	high := limbs[9]>>22 | carry<<4
	*x = Element{
		limbs[0] | limbs[1]<<26 | limbs[2]<<52,
		limbs[2]>>12 | limbs[3]<<14 | limbs[4]<<40,
		limbs[4]>>24 | limbs[5]<<2 | limbs[6]<<28 | limbs[7]<<54,
		limbs[7]>>10 | limbs[8]<<16 | limbs[9]<<42,
	}
	x.Add(x, &Element{high * fold})
}
