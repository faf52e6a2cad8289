package secp256k1

// A Multiplier computes sums of products of points and scalars by Pippenger's
// method of buckets: the scalars are cut into windows; in each window the points
// with the same digit are added into one bucket, then every bucket is weighed
// with its digit (Bernstein, Doumen, Lange, Oosterwijk, "Faster batch forgery
// identification", INDOCRYPT 2012, tell its history). Digits are signed, which
// halves the buckets, and all additions are affine and share inversions.
//
// The zero value is ready. It keeps its memory for the next sum, and must not be
// used by two goroutines at once.
type Multiplier struct {
	adder
	digits  []int16  // of window w and scalar i at w·len(scalars)+i
	starts  []int32  // where the points of each bucket begin in points
	points  []Affine // by bucket
	buckets []Affine // of all windows
}

// Sum returns the sum of scalars[i]·points[i]. The slices are equally long; the
// magnitude of each scalar is below 2^128.
func (m *Multiplier) Sum(points []Affine, scalars []Half) Jacobian {
	return m.sum(points, scalars, windowWidth(len(points)))
}

func (m *Multiplier) sum(points []Affine, scalars []Half, width int) Jacobian {
	windows := 128/width + 1 // one bit more than 128 for the carry
	m.recode(scalars, width, windows)
	m.buckets = grow(m.buckets, windows<<(width-1))
	n := len(points)
	group := max(1, gathered/max(1, n))
	for w := 0; w < windows; w += group {
		m.fill(points, w, min(w+group, windows), width)
	}
	m.weigh(width, windows)
	return m.horner(width, windows)
}

// gathered is about how many points are put into buckets at once: many, to share
// an inversion, but no more than a core's cache holds.
const gathered = 4096

// recode cuts each scalar into digits of width bits from -2^(width-1) to
// 2^(width-1), both included, the lowest window first.
func (m *Multiplier) recode(scalars []Half, width, windows int) {
	n := len(scalars)
	m.digits = grow(m.digits, n*windows)
	mask, top := uint64(1)<<width-1, uint64(1)<<(width-1)
	for i, s := range scalars {
		var carry uint64
		for w := range windows {
			digit := s.Lo&mask + carry
			s.Lo, s.Hi = s.Lo>>width|s.Hi<<(64-width), s.Hi>>width
			carry = 0
			if digit > top {
				carry = 1
			}
			signed := int16(digit) - int16(carry<<width)
			if s.Negative {
				signed = -signed
			}
			m.digits[w*n+i] = signed
		}
	}
}

// fill sums the buckets of windows from up to, but without, to.
func (m *Multiplier) fill(points []Affine, from, to, width int) {
	n, size := len(points), 1<<(width-1)
	first := from * size
	m.starts = grow(m.starts, (to-from)*size+1)
	m.points = grow(m.points, (to-from)*n)
	m.sortByBucket(points, from, to, size)

	for step, more := int32(1), true; more; step *= 2 {
		more = false
		for b := range m.starts[:len(m.starts)-1] {
			begin, end := m.starts[b], m.starts[b+1]
			for i := begin; i+step < end; i += 2 * step {
				m.add(int(i), int(i+step))
			}
			more = more || end-begin > 2*step
		}
		m.round(m.points)
	}
	for b := range m.starts[:len(m.starts)-1] {
		m.buckets[first+b] = Affine{}
		if begin := m.starts[b]; begin < m.starts[b+1] {
			m.buckets[first+b] = m.points[begin]
		}
	}
}

// sortByBucket copies the points, with the sign of their digit, into the order
// of their buckets (a counting sort), and sets starts.
func (m *Multiplier) sortByBucket(points []Affine, from, to, size int) {
	n := len(points)
	clear(m.starts)
	for w := from; w < to; w++ {
		counts := m.starts[(w-from)*size+1:]
		for _, d := range m.digits[w*n : (w+1)*n] {
			if d != 0 {
				counts[abs(d)-1]++
			}
		}
	}
	for b := range m.starts[1:] {
		m.starts[b+1] += m.starts[b]
	}
	// While the points are laid down, the start of each bucket moves to its end,
	// which is the start of the next.
	for w := from; w < to; w++ {
		starts := m.starts[(w-from)*size:]
		for i, d := range m.digits[w*n : (w+1)*n] {
			if d == 0 {
				continue
			}
			at := &starts[abs(d)-1]
			if m.points[*at] = points[i]; d < 0 {
				m.points[*at].Neg(&points[i])
			}
			*at++
		}
	}
	copy(m.starts[1:], m.starts[:len(m.starts)-1])
	m.starts[0] = 0
}

func abs(d int16) int16 {
	if d < 0 {
		return -d
	}
	return d
}

// weigh turns the buckets B[0], B[1], … of each window into sums of which horner
// needs only: the sum of all at 0, and at each power of two 2^j the sum of those
// whose index has bit j. Level j adds each odd bucket of those left to the even
// one before it; the odd ones are then summed as a tree, in the same rounds as
// the later levels. It takes about two additions for each bucket.
func (m *Multiplier) weigh(width, windows int) {
	size := 1 << (width - 1)
	for round := range width - 1 {
		for first := 0; first < windows*size; first += size {
			step := 1 << round
			for i := 0; i < size; i += 2 * step {
				m.add(first+i, first+i+step)
			}
			for level := range round {
				odd, apart := 1<<level, 1<<round
				for i := odd; i+apart < size; i += 2 * apart {
					m.add(first+i, first+i+apart)
				}
			}
		}
		m.round(m.buckets)
	}
}

// horner adds up the windows. The bucket of index i holds the digit i+1, so a
// window is the sum of all, and 2^j times the sum of those with bit j.
func (m *Multiplier) horner(width, windows int) (total Jacobian) {
	size := 1 << (width - 1)
	for w := windows - 1; w >= 0; w-- {
		for j := width - 1; j >= 0; j-- {
			total.Double(&total)
			if j < width-1 {
				total.AddAffine(&total, &m.buckets[w*size+(1<<j)])
			}
		}
		total.AddAffine(&total, &m.buckets[w*size])
	}
	return total
}

// widths has the width of a window that measured best for up to so many points
// (BenchmarkSum).
var widths = [...]struct{ pointsMax, width int }{
	{15, 3}, {30, 4}, {90, 5}, {150, 6}, {500, 7}, {1_100, 8}, {2_000, 9}, {4_500, 10}, {9_000, 11},
}

func windowWidth(points int) int {
	for _, w := range widths {
		if points <= w.pointsMax {
			return w.width
		}
	}
	return 12
}
