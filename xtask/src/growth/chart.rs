//! One chart: lines over an axis that doubles.

use plotters::prelude::*;
use std::path::Path;

/// Some lines with points.
pub(super) struct Chart {
    pub(super) title: String,
    /// Label of the horizontal axis, whose values double from mark to mark.
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    /// Whether the vertical axis doubles too; it begins at zero otherwise.
    pub(super) doubling: bool,
    pub(super) lines: Vec<Line>,
}

/// A line with its name.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether it is a prediction, which is drawn without points.
    pub(super) predicted: bool,
}

const SIZE: (u32, u32) = (760, 440);
const FONT: &str = "sans-serif";
/// Colours that people who see red and green alike can tell apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 4] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

impl Chart {
    /// Draws it as an SVG file.
    ///
    /// # Errors
    /// A sentence where there is nothing to draw or the file cannot be written.
    pub(super) fn draw(&self, file: &Path) -> Result<(), String> {
        self.try_draw(file).map_err(|error| format!("{} cannot be drawn: {error}", file.display()))
    }

    fn try_draw(&self, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let (x, y) = (range(points().map(|(x, _)| x.log2())), range(points().map(|(_, y)| self.height(y))));
        let (x, y) = x.zip(y).ok_or("there are no figures")?;
        let y = if self.doubling { y.0.floor()..y.1.ceil() } else { 0.0..y.1 * 1.1 };
        let canvas = SVGBackend::new(file, SIZE).into_drawing_area();
        canvas.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&canvas)
            .caption(&self.title, (FONT, 20))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d(x.0.floor()..x.1.ceil(), y.clone())?;
        let doubled = |exponent: &f64| number(exponent.exp2());
        let height = |value: &f64| if self.doubling { number(value.exp2()) } else { number(*value) };
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.x)
            .y_desc(self.y)
            .axis_desc_style((FONT, 15))
            .label_style((FONT, 14))
            .x_labels((x.1.ceil() - x.0.floor()) as usize + 1)
            .y_labels(if self.doubling { (y.end - y.start) as usize + 1 } else { 8 })
            .x_label_formatter(&doubled)
            .y_label_formatter(&height)
            .draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let points = || line.points.iter().map(|&(x, y)| (x.log2(), self.height(y)));
            let style = colour.stroke_width(if line.predicted { 1 } else { 2 });
            chart
                .draw_series(LineSeries::new(points(), style))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
            if !line.predicted {
                chart.draw_series(points().map(|point| Circle::new(point, 4, colour.filled())))?;
            }
        }
        if self.lines.len() > 1 {
            // Where lines do not go.
            let rises = self.lines[0].points.first().zip(self.lines[0].points.last()).is_some_and(|(a, b)| b.1 > a.1);
            let corner = if rises { SeriesLabelPosition::UpperLeft } else { SeriesLabelPosition::UpperRight };
            chart
                .configure_series_labels()
                .position(corner)
                .margin(12)
                .label_font((FONT, 14))
                .background_style(WHITE.mix(0.85))
                .border_style(BLACK.mix(0.3))
                .draw()?;
        }
        canvas.present()?;
        Ok(())
    }

    fn height(&self, y: f64) -> f64 {
        if self.doubling { y.log2() } else { y }
    }
}

/// The least and the largest, which differ; `None` of nothing.
fn range(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let (least, most) = (values.clone().reduce(f64::min)?, values.reduce(f64::max)?);
    Some(if least == most { (least - 1.0, most + 1.0) } else { (least, most) })
}

/// A number on an axis.
fn number(value: f64) -> String {
    if value >= 10.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{}", (value * 1000.0).round() / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_axes() {
        for (value, text) in [(0.125, "0.125"), (8.0, "8"), (1024.0, "1024"), (2.5, "2.5"), (12.5, "12"), (0.0, "0")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(range([3.0, 1.0, 2.0].into_iter()), Some((1.0, 3.0)));
        assert_eq!(range([3.0].into_iter()), Some((2.0, 4.0)));
        assert_eq!(range(std::iter::empty()), None);
    }
}
