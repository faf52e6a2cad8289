package main

import (
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// draw writes rate and latency over offered load as SVG.
func (b *clearingBench) draw(out io.Writer) error {
	var answered, p50, p99 plotter.XYs
	for _, o := range b.Offered {
		answered = append(answered, plotter.XY{X: o.Offered, Y: o.Answered})
		p50 = append(p50, plotter.XY{X: o.Offered, Y: max(o.P50, 0.01)}) // the scale has no zero
		p99 = append(p99, plotter.XY{X: o.Offered, Y: max(o.P99, 0.01)})
	}
	const load = "offered load (transfers/s)"
	rate := newPanel("Throughput", load, "acknowledged (transfers/s)", decadeTicks{})
	latency := newPanel("From handing in to acknowledgement", load, "latency (ms)", decadeTicks{})
	last := len(schemeStyles) - 1
	for _, line := range []struct {
		panel  *plot.Plot
		points plotter.XYs
		style  int
		name   string
	}{{rate, answered, last, ""}, {latency, p99, last - 1, "p99"}, {latency, p50, last, "p50"}} {
		style := schemeStyles[line.style]
		style.scheme = line.name
		if err := addLine(line.panel, line.points, style, line.name != ""); err != nil {
			return err
		}
	}
	widen(rate)
	widen(latency)
	canvas := vgsvg.New(2*panelWidth, panelHeight)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: panelGap, PadY: panelGap,
		PadTop: panelGap, PadBottom: panelGap, PadLeft: panelGap, PadRight: panelGap}
	rate.Draw(tiles.At(draw.New(canvas), 0, 0))
	latency.Draw(tiles.At(draw.New(canvas), 1, 0))
	_, err := canvas.WriteTo(out)
	return err
}
