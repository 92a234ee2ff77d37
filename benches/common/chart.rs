//! Lines on logarithmic axes, in panels, as an SVG that is readable on a light and on a dark page.

use std::{error::Error, path::Path};

use plotters::{
    chart::{ChartBuilder, LabelAreaPosition},
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, Text},
    prelude::{IntoLogRange, SVGBackend},
    series::LineSeries,
    style::{Color, IntoFont, RGBColor, TextStyle},
};

/// Of one panel.
const SIZE: (u32, u32) = (460, 320);
/// Panels that stand side by side.
const COLUMNS: usize = 2;
/// A row above the panels, with names of lines.
const ROW: i32 = 22;
/// Between white and black: what is written, and the lines of the grid.
const GREY: RGBColor = RGBColor(128, 128, 128);
/// Of lines; each can be told from white and from black.
const COLOURS: [RGBColor; 5] = [
    RGBColor(232, 89, 12),
    RGBColor(59, 142, 234),
    RGBColor(47, 158, 68),
    RGBColor(174, 62, 201),
    RGBColor(200, 150, 0),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = Box<dyn Error + Send + Sync>;

/// Lines that share their axes.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// An axis, with its unit in its label, and a tick at each power of its base.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) base: f64,
}

/// What one contender did. Two of the same place have the same colour in all panels.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws into the checkout, with the names of the first panel's lines above all.
pub(crate) fn draw(path: &str, panels: &[Panel]) -> Result<(), Failure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(COLUMNS);
    let width = SIZE.0 * u32::try_from(columns)?;
    let lines = panels.first().map_or(&[][..], |first| &first.lines);
    let places = places(lines, i32::try_from(width)?)?;
    let legend = places.last().map_or(0, |place| place.1 + ROW);
    let legend = u32::try_from(legend)?;
    let size = (width, legend + SIZE.1 * u32::try_from(rows)?);
    let root = SVGBackend::new(&path, size).into_drawing_area();
    let (top, below) = root.split_vertically(legend);
    for ((line, colour), (x, y)) in lines.iter().zip(COLOURS).zip(places) {
        top.draw(&Circle::new((x, y + 7), 5, colour.filled()))?;
        top.draw(&Text::new(line.name, (x + 12, y), text()))?;
    }
    for (panel, area) in panels.iter().zip(below.split_evenly((rows, columns))) {
        panel.draw(&area)?;
    }
    root.present()?;
    println!("drawn: {}", path.display());
    Ok(())
}

impl Panel {
    fn draw(&self, area: &Area<'_>) -> Result<(), Failure> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = self.x.range(points().map(|point| point.0));
        let y = self.y.range(points().map(|point| point.1));
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            // half of the last tick's number
            .margin_right(32)
            .set_label_area_size(LabelAreaPosition::Left, 60)
            .set_label_area_size(LabelAreaPosition::Bottom, 40)
            .build_cartesian_2d(
                (x.0..x.1).log_scale().base(self.x.base),
                (y.0..y.1).log_scale().base(self.y.base),
            )?;
        chart
            .configure_mesh()
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|x| tick(*x))
            .y_label_formatter(&|y| tick(*y))
            .label_style(text())
            .axis_desc_style(text())
            .axis_style(GREY)
            .bold_line_style(GREY.mix(0.3))
            .light_line_style(GREY.mix(0.0))
            .draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let points = line.points.iter().copied();
            chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
            let dots = points.map(|point| Circle::new(point, 3, colour.filled()));
            if line.points.len() < 20 {
                chart.draw_series(dots)?;
            }
        }
        Ok(())
    }
}

impl Axis {
    /// By tens.
    pub(crate) const fn tens(label: &'static str) -> Self {
        Self { label, base: 10.0 }
    }

    /// By powers of two.
    pub(crate) const fn twos(label: &'static str) -> Self {
        Self { label, base: 2.0 }
    }

    /// From a power of the base to another, with all values between.
    fn range(self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), it| {
            (least.min(it), most.max(it))
        });
        // what is a hair above a power is on it
        let power = |it: f64| it.log(self.base);
        let least = (power(least) + 0.02).floor();
        let most = (power(most) - 0.02).ceil().max(least + 1.0);
        // powers are computed by logarithms: a hair more on both sides, so that the first and the last tick are there
        let hair = 1e-9;
        (
            self.base.powf(least) * (1.0 - hair),
            self.base.powf(most) * (1.0 + hair),
        )
    }
}

/// Where the names of the lines stand: in rows of that width.
fn places(lines: &[Line], width: i32) -> Result<Vec<(i32, i32)>, Failure> {
    let (mut x, mut y) = (20, 12);
    let mut places = Vec::new();
    for line in lines {
        let takes = 40 + i32::try_from(line.name.len() * 7)?;
        if x + takes > width && !places.is_empty() {
            (x, y) = (20, y + ROW);
        }
        places.push((x, y));
        x += takes;
    }
    Ok(places)
}

fn text() -> TextStyle<'static> {
    ("sans-serif", 14).into_font().color(&GREY)
}

/// A number as people write it.
fn tick(value: f64) -> String {
    if value < 0.99 {
        return format!("{value:.3}").trim_end_matches('0').to_owned();
    }
    let digits = format!("{value:.0}");
    let grouped = digits.as_bytes().rchunks(3).rev();
    let grouped: Vec<_> = grouped.map(String::from_utf8_lossy).collect();
    grouped.join(",")
}
