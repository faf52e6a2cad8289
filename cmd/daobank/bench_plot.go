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

// schemeStyles are told apart by colour (Okabe and Ito's, which colour-blind
// readers can) and by shape.
var schemeStyles = []struct {
	scheme string
	color  color.Color
	shape  draw.GlyphDrawer
}{
	{"frost", color.RGBA{R: 0, G: 114, B: 178, A: 255}, draw.CircleGlyph{}},
	{"musig2", color.RGBA{R: 213, G: 94, B: 0, A: 255}, draw.BoxGlyph{}},
	{"musig2_leaves", color.RGBA{R: 0, G: 158, B: 115, A: 255}, draw.PyramidGlyph{}},
	{"checksigadd", color.RGBA{R: 204, G: 121, B: 167, A: 255}, draw.CrossGlyph{}},
}

// schemePanels are the parts of the drawing with guardians along the x axis.
var schemePanels = []struct {
	title, y string
	value    func(schemeFigures) float64
}{
	{"Key generation, one guardian", "time (ms)", func(f schemeFigures) float64 { return f.KeyGeneration.Microseconds / 1000 }},
	{"Round 2, one guardian, session values cached", "time (btcec verifications)", func(f schemeFigures) float64 { return f.Round2.Verifications }},
	{"Aggregation and final verification", "time (btcec verifications)", func(f schemeFigures) float64 { return f.Aggregate.Verifications }},
	{"Spend of one coin to one P2TR output", "size (vB)", func(f schemeFigures) float64 { return float64(f.VBytes) }},
	{"Exchanged for one signature, all parties", "traffic (kB)", func(f schemeFigures) float64 { return float64(f.SigningBytes) / 1000 }},
}

const (
	panelWidth  = 12 * vg.Centimeter
	panelHeight = 8 * vg.Centimeter
	panelGap    = 6 * vg.Millimeter
)

// draw writes the figures as SVG: two columns of panels.
func (b *custodyBench) draw(out io.Writer) error {
	var panels []*plot.Plot
	for i, panel := range schemePanels {
		p := newPanel(panel.title, "guardians n", panel.y, guardianTicks())
		if err := b.addSchemes(p, panel.value, i == 0); err != nil {
			return fmt.Errorf("%s: %w", panel.title, err)
		}
		panels = append(panels, p)
	}
	joining, err := b.joiningPanel()
	if err != nil {
		return err
	}
	panels = append(panels, joining)

	const columns = 2
	grid := make([][]*plot.Plot, (len(panels)+columns-1)/columns)
	for i, p := range panels {
		grid[i/columns] = append(grid[i/columns], p)
	}
	canvas := vgsvg.New(columns*panelWidth, vg.Length(len(grid))*panelHeight)
	tiles := draw.Tiles{Rows: len(grid), Cols: columns, PadX: panelGap, PadY: panelGap,
		PadTop: panelGap, PadBottom: panelGap, PadLeft: panelGap, PadRight: panelGap}
	for row, canvases := range plot.Align(grid, tiles, draw.New(canvas)) {
		for column, c := range canvases {
			grid[row][column].Draw(c)
		}
	}
	_, err = canvas.WriteTo(out)
	return err
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
		if err := addLine(p, points, style.color, style.shape, style.scheme, legend); err != nil {
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
	if err := addLine(p, points, schemeStyles[0].color, schemeStyles[0].shape, "", false); err != nil {
		return nil, err
	}
	widen(p)
	// A flat line says little without a scale to be flat on.
	p.Y.Min, p.Y.Max = math.Min(p.Y.Min, 10), math.Max(p.Y.Max, 1000)
	return p, nil
}

func addLine(p *plot.Plot, points plotter.XYs, c color.Color, shape draw.GlyphDrawer, name string, legend bool) error {
	line, glyphs, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Width = c, vg.Points(1)
	glyphs.Color, glyphs.Shape, glyphs.Radius = c, shape, vg.Points(2.5)
	p.Add(line, glyphs)
	if legend {
		p.Legend.Add(name, line, glyphs)
	}
	return nil
}

// widen leaves room around the data, on a logarithmic scale.
func widen(p *plot.Plot) {
	p.X.Min, p.X.Max = p.X.Min/1.3, p.X.Max*1.3
	p.Y.Min, p.Y.Max = p.Y.Min/1.5, p.Y.Max*1.5
}

// guardianTicks mark the measured sizes that have room for a number.
func guardianTicks() plot.Ticker {
	var ticks plot.ConstantTicks
	for _, size := range custodySizes {
		ticks = append(ticks, plot.Tick{Value: float64(size[1]), Label: strconv.Itoa(size[1])})
	}
	ticks[len(ticks)-2].Label = "" // 100 and 128 would touch
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

// tickLabel groups the digits of large numbers.
func tickLabel(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if v < 1000 {
		return text
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

var _ plot.Ticker = decadeTicks{}
