package main

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// schemeStyle is how a scheme is drawn.
type schemeStyle struct {
	scheme string
	color  color.Color
	shape  draw.GlyphDrawer
	radius vg.Length // points
}

// schemeStyles are told apart by colour (Okabe and Ito's, which colour-blind
// readers can) and by shape. Later ones are drawn over earlier ones: the key
// path weighs the same in FROST and in MuSig2.
var schemeStyles = []schemeStyle{
	{"checksigadd", color.RGBA{R: 204, G: 121, B: 167, A: 255}, draw.CrossGlyph{}, 3},
	{"musig2_leaves", color.RGBA{R: 0, G: 158, B: 115, A: 255}, draw.PyramidGlyph{}, 3},
	{"musig2", color.RGBA{R: 213, G: 94, B: 0, A: 255}, draw.BoxGlyph{}, 3.5},
	{"frost", color.RGBA{R: 0, G: 114, B: 178, A: 255}, draw.CircleGlyph{}, 2.2},
}

// schemePanels are the parts of the drawing with guardians along the x axis.
var schemePanels = []struct {
	title, y string
	value    func(schemeFigures) float64
}{
	{"Key generation, one guardian", "time (ms)", func(f schemeFigures) float64 { return f.KeyGeneration.Microseconds / 1000 }},
	{"Round 2, one guardian, session values cached", "btcec verifications", func(f schemeFigures) float64 { return f.Round2.Verifications }},
	{"Aggregation and final verification", "btcec verifications", func(f schemeFigures) float64 { return f.Aggregate.Verifications }},
	{"Spend of one coin to one P2TR output", "size (vB)", func(f schemeFigures) float64 { return float64(f.VBytes) }},
	{"Exchanged for one signature, all parties", "traffic (kB)", func(f schemeFigures) float64 { return float64(f.SigningBytes) / 1000 }},
}

// legendPanel is the one with room for the legend.
const legendPanel = 2

const (
	panelWidth  = 12 * vg.Centimeter
	panelHeight = 8 * vg.Centimeter
	panelGap    = 6 * vg.Millimeter
)

// draw writes the figures as SVG.
func (b *custodyBench) draw(out io.Writer) error {
	const columns = 2
	rows := (len(schemePanels) + 1 + columns - 1) / columns
	canvas := vgsvg.New(columns*panelWidth, vg.Length(rows)*panelHeight)
	if err := b.drawPanels(canvas, rows, columns); err != nil {
		return err
	}
	_, err := canvas.WriteTo(out)
	return err
}

// drawPanels fills a canvas with the panels of all schemes and that of joining.
func (b *custodyBench) drawPanels(canvas vg.CanvasSizer, rows, columns int) error {
	var panels []*plot.Plot
	for i, panel := range schemePanels {
		p := newPanel(panel.title, "guardians n", panel.y, guardianTicks(b.options.Sizes))
		if err := b.addSchemes(p, panel.value, i == legendPanel); err != nil {
			return fmt.Errorf("%s: %w", panel.title, err)
		}
		panels = append(panels, p)
	}
	joining, err := b.joiningPanel()
	if err != nil {
		return err
	}
	panels = append(panels, joining)

	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: panelGap, PadY: panelGap,
		PadTop: panelGap, PadBottom: panelGap, PadLeft: panelGap, PadRight: panelGap}
	for i, p := range panels {
		p.Draw(tiles.At(draw.New(canvas), i%columns, i/columns))
	}
	return nil
}

// newPanel has logarithmic axes: groups and costs span powers of ten.
func newPanel(title, x, y string, xTicks plot.Ticker) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = xTicks, decadeTicks{}
	p.Title.Padding, p.Legend.Top, p.Legend.Left = vg.Millimeter, true, true
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{Y: 230}, color.Gray{Y: 230}
	p.Add(grid)
	return p
}

func (b *custodyBench) addSchemes(p *plot.Plot, value func(schemeFigures) float64, legend bool) error {
	for _, style := range schemeStyles {
		var points plotter.XYs
		for _, row := range b.Schemes {
			if row.Scheme == style.scheme && row.Not == "" {
				points = append(points, plotter.XY{X: float64(row.Guardians), Y: value(row)})
			}
		}
		if len(points) == 0 {
			continue
		}
		if err := addLine(p, points, style, legend); err != nil {
			return err
		}
	}
	widen(p)
	return nil
}

// joiningPanel shows a member's joining by the size of the DAO.
func (b *custodyBench) joiningPanel() (*plot.Plot, error) {
	p := newPanel("A member joins: account and deposit address", "members of the DAO", "time (µs)", decadeTicks{})
	points := make(plotter.XYs, len(b.Joining))
	for i, row := range b.Joining {
		points[i] = plotter.XY{X: float64(row.Members), Y: row.Join.Microseconds}
	}
	if err := addLine(p, points, schemeStyles[len(schemeStyles)-1], false); err != nil {
		return nil, err
	}
	widen(p)
	// A flat line says little without a scale to be flat on.
	p.Y.Min, p.Y.Max = math.Min(p.Y.Min, 10), math.Max(p.Y.Max, 1000)
	return p, nil
}

func addLine(p *plot.Plot, points plotter.XYs, style schemeStyle, legend bool) error {
	line, glyphs, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Width = style.color, vg.Points(1)
	glyphs.Color, glyphs.Shape, glyphs.Radius = style.color, style.shape, style.radius
	p.Add(line, glyphs)
	if legend {
		p.Legend.Add(style.scheme, line, glyphs)
	}
	return nil
}

// widen leaves room around the data, on a logarithmic scale.
func widen(p *plot.Plot) {
	p.X.Min, p.X.Max = p.X.Min/1.3, p.X.Max*1.3
	p.Y.Min, p.Y.Max = p.Y.Min/1.5, p.Y.Max*1.5
}

// guardianTicks mark the measured sizes, with a number where the next does not
// touch it.
func guardianTicks(sizes [][2]int) plot.Ticker {
	var ticks plot.ConstantTicks
	for i, size := range sizes {
		tick := plot.Tick{Value: float64(size[1])}
		if i == len(sizes)-1 || 3*sizes[i+1][1] > 4*size[1] {
			tick.Label = strconv.Itoa(size[1])
		}
		ticks = append(ticks, tick)
	}
	return ticks
}

// decadeTicks mark 1, 2 and 5 of each power of ten while that is not too many,
// and only the powers otherwise.
type decadeTicks struct{}

// Ticks returns the marks from low to high.
func (decadeTicks) Ticks(low, high float64) []plot.Tick {
	steps := []float64{1, 2, 5}
	if high/low > 1000 {
		steps = steps[:1]
	}
	var ticks []plot.Tick
	for power := math.Floor(math.Log10(low)); power <= math.Log10(high); power++ {
		for _, step := range steps {
			value := step * math.Pow(10, power)
			if value >= low && value <= high {
				ticks = append(ticks, plot.Tick{Value: value, Label: tickLabel(value)})
			}
		}
	}
	return ticks
}

// tickLabel writes thousands as k and millions as M.
func tickLabel(v float64) string {
	unit := ""
	switch {
	case v >= 1e6:
		v, unit = v/1e6, " M"
	case v >= 1e3:
		v, unit = v/1e3, " k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64) + unit
}

var _ plot.Ticker = decadeTicks{}
