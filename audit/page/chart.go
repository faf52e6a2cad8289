package page

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/daobank/daobank/audit"
)

// A chart is a drawing in a box of width by height units, whose plot is inside the
// margins. The template draws it; text has no size of its own there.
type chart struct {
	Title   string // for who cannot see it
	Lines   []path
	Areas   []path
	Bars    []bar
	X, Y    []tick
	Width   int
	Height  int
	Left    int
	Right   int
	Top     int
	Bottom  int
	XLabel  string
	YLabel  string
	Largest string // a sentence with the last or largest value
}

type path struct{ Class, D string }

type bar struct {
	X, Y, W, H float64
	Label      string
}

type tick struct {
	At   float64
	Text string
}

func newChart(title, x, y string) *chart {
	return &chart{Title: title, XLabel: x, YLabel: y, Width: 720, Height: 260, Left: 78, Right: 704, Top: 14, Bottom: 214}
}

// scale maps values onto the chart.
type scale struct {
	c                      *chart
	xMin, xMax, yMin, yMax float64
}

func (s *scale) x(v float64) float64 {
	return float64(s.c.Left) + (v-s.xMin)/(s.xMax-s.xMin)*float64(s.c.Right-s.c.Left)
}

func (s *scale) y(v float64) float64 {
	return float64(s.c.Bottom) - (v-s.yMin)/(s.yMax-s.yMin)*float64(s.c.Bottom-s.c.Top)
}

// scale fits values into the chart and labels its axes.
func (c *chart) scale(xMin, xMax, yMax float64, xText, yText func(float64) string) *scale {
	if xMax <= xMin {
		xMax = xMin + 1
	}
	step := niceStep(max(yMax, 1e-9), 4)
	columns := max(2, c.Width/110)
	s := &scale{c: c, xMin: xMin, xMax: xMax, yMax: step * math.Ceil(max(yMax, 1e-9)/step)}
	for v := 0.0; v <= s.yMax*1.0001; v += step {
		c.Y = append(c.Y, tick{s.y(v), yText(v)})
	}
	step = max(niceStep(xMax-xMin, columns), 1)
	for v := math.Ceil(xMin/step) * step; v <= xMax; v += step {
		c.X = append(c.X, tick{s.x(v), xText(v)})
	}
	return s
}

// niceStep is 1, 2 or 5 times a power of ten that divides a range into about n parts.
func niceStep(size float64, n int) float64 {
	rough := size / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough {
			return m * power
		}
	}
	return 10 * power
}

// pointsMost is how many points of a line are drawn; of more, some are left out, the
// last never.
const pointsMost = 600

// steps draws a line of values that stay until the next.
func (s *scale) steps(n int, at func(i int) (x, y float64)) string {
	var d strings.Builder
	stride := (n + pointsMost - 1) / pointsMost
	for i := 0; i < n; i += stride {
		if i+stride >= n {
			i = n - 1
		}
		x, y := at(i)
		if i == 0 {
			fmt.Fprintf(&d, "M%.1f %.1f", s.x(x), s.y(y))
			continue
		}
		fmt.Fprintf(&d, "H%.1fV%.1f", s.x(x), s.y(y))
	}
	return d.String()
}

// under closes a line along the axis, back to its first x.
func (s *scale) under(d string, first float64) string {
	return fmt.Sprintf("%sV%dH%.1fZ", d, s.c.Bottom, s.x(first))
}

func whole(v float64) string { return count(int64(math.Round(v))) }

func bitcoins(v float64) string { return trim(fmt.Sprintf("%.8f", v)) }

// trim cuts zeros at the end of a decimal fraction.
func trim(text string) string {
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// coinsChart draws what the bank owed and what its vault held at every block.
func coinsChart(h *audit.History) *chart {
	blocks := h.Blocks
	if len(blocks) == 0 {
		return nil
	}
	first, last := &blocks[0], &blocks[len(blocks)-1]
	c := newChart("What the bank owed all its wallets, and the coins of its vault, at every block", "block", "BTC")
	highest := 0.0
	for i := range blocks {
		highest = max(highest, btc(blocks[i].OwedSat), btc(blocks[i].CoinsSat))
	}
	s := c.scale(float64(first.Height), float64(last.Height), highest, whole, bitcoins)
	owed := s.steps(len(blocks), func(i int) (float64, float64) { return float64(blocks[i].Height), btc(blocks[i].OwedSat) })
	coins := s.steps(len(blocks), func(i int) (float64, float64) { return float64(blocks[i].Height), btc(blocks[i].CoinsSat) })
	c.Areas = []path{{"owed", s.under(owed, float64(first.Height))}}
	c.Lines = []path{{"coins", coins}}
	c.Largest = fmt.Sprintf("Blocks %s to %s, mined from %s to %s.", count(int64(first.Height)), count(int64(last.Height)), day(first.Time), day(last.Time))
	return c
}

func btc[N ~int64](sat N) float64 { return float64(sat) / 1e8 }

func day(unix int64) string { return time.Unix(unix, 0).UTC().Format("2 January 2006") }

// lagChart draws how many batches were not yet anchored at every block, and how many came
// until that of a block was attested.
func lagChart(d *Data) *chart {
	blocks := d.History.Blocks
	if len(blocks) == 0 {
		return nil
	}
	lag := func(i int) float64 { return float64(blocks[i].Batch - blocks[i].Anchored) }
	highest := 0.0
	for i := range blocks {
		highest = max(highest, lag(i))
	}
	for i := range d.Attesting {
		highest = max(highest, d.Attesting[i].lag(d.Report.Batches))
	}
	title := "Batches that no confirmed Bitcoin transaction committed to yet, at every block"
	if len(d.Attesting) > 0 {
		title += "; and batches that came until the guardians had attested that of the block"
	}
	c := newChart(title, "block", "batches")
	first, last := float64(blocks[0].Height), float64(blocks[len(blocks)-1].Height)
	s := c.scale(first, last, max(highest, 4), whole, whole)
	line := s.steps(len(blocks), func(i int) (float64, float64) { return float64(blocks[i].Height), lag(i) })
	c.Areas = []path{{"lag", s.under(line, first)}}
	c.Lines = []path{{"lag", line}}
	if n := len(d.Attesting); n > 0 {
		c.Lines = append(c.Lines, path{"attested", s.steps(n, func(i int) (float64, float64) {
			return float64(d.Attesting[i].Height), d.Attesting[i].lag(d.Report.Batches)
		})})
	}
	return c
}

// lag is how many batches came until the guardians had attested this one, or have come
// since when they have not.
func (p *AttestedPoint) lag(last uint64) float64 {
	by := p.Covered
	if by == 0 {
		by = last
	}
	return float64(max(by, p.Batch) - p.Batch)
}

// barsMost is how many settlements are drawn, the newest.
const barsMost = 60

// nettingChart draws how many payments stand for one output on chain.
func nettingChart(h *audit.History) *chart {
	list := h.Settlements
	if len(list) == 0 {
		return nil
	}
	list = list[max(0, len(list)-barsMost):]
	c := newChart("Payments for each output on chain, by settlement", "settlement", "payments per output")
	highest := 0.0
	for i := range list {
		highest = max(highest, list[i].NettingRatio())
	}
	first := float64(list[0].Number)
	s := c.scale(first-0.6, first+float64(len(list))-0.4, highest, whole, func(v float64) string { return trim(fmt.Sprintf("%.1f", v)) })
	width := min((s.x(1)-s.x(0))*0.7, 48)
	for i := range list {
		top := s.y(list[i].NettingRatio())
		c.Bars = append(c.Bars, bar{s.x(first+float64(i)) - width/2, top, width, float64(c.Bottom) - top,
			fmt.Sprintf("settlement %d: %.1f", list[i].Number, list[i].NettingRatio())})
	}
	return c
}

// spreadChart draws the Lorenz curve.
func spreadChart(h *audit.Holdings) *chart {
	if h.Lorenz == nil {
		return nil
	}
	c := newChart("Share of all money that the poorest part of the accounts holds", "poorest part of the accounts", "share of the money")
	c.Width, c.Height, c.Left, c.Right, c.Bottom = 420, 330, 58, 404, 284
	percents := func(v float64) string { return fmt.Sprintf("%.0f %%", v) }
	s := c.scale(0, 100, 100, percents, percents)
	var d strings.Builder
	for i, share := range h.Lorenz {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", command, s.x(float64(i)), s.y(100*share))
	}
	c.Areas = []path{{"spread", s.under(d.String(), 0)}}
	c.Lines = []path{{"equal", fmt.Sprintf("M%.1f %.1fL%.1f %.1f", s.x(0), s.y(0), s.x(100), s.y(100))}, {"spread", d.String()}}
	return c
}
