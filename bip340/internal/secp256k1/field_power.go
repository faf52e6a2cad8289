package secp256k1

// A step of an addition chain makes the next of a list of powers of x: an earlier
// one, squared so many times, times another one.
type step struct{ from, squarings, times int }

// The chains of both powers begin with exponents that are runs of ones: a run of
// a + b ones is a run of a, squared b times, times a run of b. In binary
// p - 2 is 223 ones, a zero, 22 ones and 0000101101; (p+1)/4 is 223 ones, a zero,
// 22 ones, 000011 and 00.
var (
	inverseSteps = [15]step{
		{0, 1, 0},   // 1: 2 ones
		{1, 1, 0},   // 2: 3 ones
		{2, 3, 2},   // 3: 6 ones
		{3, 3, 2},   // 4: 9 ones
		{4, 2, 1},   // 5: 11 ones
		{5, 11, 5},  // 6: 22 ones
		{6, 22, 6},  // 7: 44 ones
		{7, 44, 7},  // 8: 88 ones
		{8, 88, 8},  // 9: 176 ones
		{9, 44, 7},  // 10: 220 ones
		{10, 3, 2},  // 11: 223 ones
		{11, 23, 6}, // 12: and a zero and 22 ones
		{12, 5, 0},  // 00001
		{13, 3, 1},  // 011
		{14, 2, 0},  // 01
	}
	rootSteps = append(inverseSteps[:12:12], step{12, 6, 1}) // 000011, and 00 is left
)

// Inverse sets z to 1/x, or to zero if x is zero: x^(p-2) (Fermat).
func (z *Element) Inverse(x *Element) {
	powers := [len(inverseSteps) + 1]Element{*x}
	for i, s := range inverseSteps {
		next := &powers[i+1]
		next.squareTimes(&powers[s.from], s.squarings)
		next.Mul(next, &powers[s.times])
	}
	*z = powers[len(inverseSteps)]
}

// root sets z to x^((p+1)/4), which is a square root of x, if there is one, since
// p = 3 (mod 4).
func (z *Element) root(x *Element) {
	powers := [len(inverseSteps) + 1]Element{*x}
	for i, s := range rootSteps {
		next := &powers[i+1]
		next.squareTimes(&powers[s.from], s.squarings)
		next.Mul(next, &powers[s.times])
	}
	z.squareTimes(&powers[len(rootSteps)], 2)
}

// isRootOf tells whether z² = x.
func (z *Element) isRootOf(x *Element) bool {
	var square Element
	square.Square(z)
	return square.Equal(x)
}
