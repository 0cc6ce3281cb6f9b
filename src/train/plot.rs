//! A history as a picture: the loss and each metric by epoch, those of the validation beside them.

use std::ops::Range;

use plotters::prelude::*;

use super::figure::Figure;
use super::history::History;
use crate::picture::{Area, Drawn, FONT, Picture, to_png, to_svg};
use crate::{Error, Result};

/// Pixels of a panel.
const WIDTH: u32 = 800;
const HEIGHT: u32 = 320;
const TEXT: i32 = 14;

/// Of training and of validation; colour-blind readers tell them apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 2] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0)];

impl History {
    /// The history as an SVG document: a panel for the loss and one for each metric, by epoch. Numbers that are
    /// not finite are left out.
    ///
    /// # Errors
    /// [`Error::Argument`] if no epoch was completed; [`Error::Drawing`], of which none is known to happen.
    pub fn to_svg(&self) -> Result<String> {
        to_svg(&Panels::of(self)?)
    }

    /// The same as a PNG file's bytes.
    ///
    /// # Errors
    /// As for [`History::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>> {
        to_png(&Panels::of(self)?)
    }
}

/// A figure by epoch.
struct Line {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The lines of each panel.
struct Panels {
    epochs: Range<f64>,
    panels: Vec<Vec<Line>>,
}

impl Panels {
    fn of(history: &History) -> Result<Self> {
        let (Some(first), Some(last)) = (history.epochs.first(), history.epochs.last()) else {
            return Err(Error::argument("number of epochs of the history", 0, "at least 1"));
        };
        let mut panels: Vec<(Figure, Vec<Line>)> = Vec::new();
        for figure in history.epochs.iter().flat_map(|epoch| epoch.figures()) {
            let name = figure.to_string();
            let known = panels.iter().flat_map(|(_, lines)| lines).any(|line| line.name == name);
            if known {
                continue;
            }
            let value = |epoch: &super::history::EpochLog| {
                let value = epoch.figure(figure).filter(|value| value.is_finite())?;
                Some((epoch.epoch as f64, value))
            };
            let points = history.epochs.iter().filter_map(value).collect();
            let colour = if figure.validation { COLOURS[1] } else { COLOURS[0] };
            let line = Line { name, colour, points };
            match panels.iter_mut().find(|(of, _)| of.metric == figure.metric) {
                Some((_, lines)) => lines.push(line),
                None => panels.push((figure, vec![line])),
            }
        }
        let epochs = padded([first.epoch as f64, last.epoch as f64].into_iter());
        Ok(Self { epochs, panels: panels.into_iter().map(|(_, lines)| lines).collect() })
    }
}

/// A range that holds the numbers, with some room on both sides.
fn padded(numbers: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = numbers
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low > high {
        return 0.0..1.0;
    }
    let room = match (high - low) * 0.05 {
        room if room > 0.0 && room.is_finite() => room,
        _ => (high.abs() * 0.05).max(0.05),
    };
    (low - room)..(high + room)
}

impl Picture for Panels {
    fn size(&self) -> (u32, u32) {
        let panels = u32::try_from(self.panels.len()).unwrap_or(u32::MAX);
        (WIDTH, panels.saturating_mul(HEIGHT))
    }

    fn draw<B: DrawingBackend>(&self, area: &Area<B>) -> Drawn<B> {
        area.fill(&WHITE)?;
        for (panel, area) in self.panels.iter().zip(area.split_evenly((self.panels.len(), 1))) {
            self.panel(panel, &area)?;
        }
        area.present()
    }
}

impl Panels {
    fn panel<B: DrawingBackend>(&self, lines: &[Line], area: &Area<B>) -> Drawn<B> {
        let values = padded(lines.iter().flat_map(|line| &line.points).map(|point| point.1));
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(72)
            .build_cartesian_2d(self.epochs.clone(), values)?;
        let style = (FONT, TEXT).into_font();
        chart
            .configure_mesh()
            .x_desc("epoch")
            .label_style(style.clone())
            .axis_desc_style(style.clone())
            .max_light_lines(0)
            .draw()?;
        for Line { name, colour, points } in lines {
            let (colour, path) =
                (*colour, PathElement::new(points.clone(), colour.stroke_width(2)));
            chart.draw_series([path])?.label(name.as_str()).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
            });
            chart.draw_series(points.iter().map(|&at| Circle::new(at, 2, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .label_font(style)
            .background_style(WHITE)
            .border_style(RGBColor(208, 208, 208))
            .draw()
    }
}
