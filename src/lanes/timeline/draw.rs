//! A timeline as a picture: a row per lane, what computes above what is transferred, time from left to
//! right.

use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Activity, Span, Timeline};
use crate::picture::{Area, Drawn, FONT, Picture, to_png, to_svg};
use crate::{Error, Result};

/// Pixels.
const WIDTH: u32 = 1600;
const MARGIN: i32 = 20;
/// Title and legend.
const HEAD: i32 = 76;
const ROW: i32 = 76;
const COMPUTE: Range<i32> = 8..46;
const TRANSFERS: Range<i32> = 50..68;
const READS: Range<i32> = 69..73;
/// Ticks and their labels.
const FOOT: i32 = 56;
const WIDEST_LABEL: i32 = 320;
const TEXT: i32 = 16;
/// Seconds that the axis shows at least: timestamps tell little less apart.
const SHORTEST: f64 = 1e-6;

const ROW_COLOUR: RGBColor = RGBColor(245, 245, 245);
const GRID: RGBColor = RGBColor(208, 208, 208);

impl Timeline {
    /// The picture as an SVG document. To look closer, draw a [`Timeline::window`] of it or some of its
    /// [`Timeline::steps`].
    ///
    /// # Errors
    /// [`Error::Drawing`]; none is known to happen.
    pub fn to_svg(&self) -> Result<String> {
        to_svg(self)
    }

    /// The picture as a PNG file's bytes.
    ///
    /// # Errors
    /// [`Error::Drawing`]; none is known to happen.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        to_png(self)
    }

    /// Writes FILE.json, a trace for Perfetto, and the pictures FILE.svg and FILE.png; the three paths.
    ///
    /// # Errors
    /// As for [`Timeline::to_svg`]; [`Error::File`] if one cannot be written.
    pub fn write_files(&self, file: &Path) -> Result<Vec<PathBuf>> {
        let files = [
            ("json", self.to_chrome_trace().into_bytes()),
            ("svg", self.to_svg()?.into_bytes()),
            ("png", self.to_png()?),
        ];
        let written = files.into_iter().map(|(extension, content)| {
            // Not `with_extension`, which would take a dot in the name for one.
            let path = PathBuf::from(format!("{}.{extension}", file.display()));
            std::fs::write(&path, content).map_err(|source| {
                let path = path.display().to_string();
                Error::File { path, source }
            })?;
            Ok(path)
        });
        written.collect()
    }
}

impl Picture for Timeline {
    fn size(&self) -> (u32, u32) {
        let rows = (self.lanes.len() as u32).saturating_mul(ROW as u32);
        (WIDTH, rows.saturating_add((HEAD + FOOT) as u32))
    }

    fn draw<B: DrawingBackend>(&self, area: &Area<B>) -> Drawn<B> {
        draw(self, area)
    }
}

/// Colours that colour-blind readers tell apart (Okabe and Ito, 2008), and whether white letters are
/// the ones to read on them.
fn colour(activity: Activity) -> (RGBColor, bool) {
    match activity {
        Activity::Read => (RGBColor(150, 150, 150), false),
        Activity::Upload => (RGBColor(86, 180, 233), false),
        Activity::Forward => (RGBColor(0, 114, 178), true),
        Activity::Backward => (RGBColor(213, 94, 0), true),
        Activity::Update => (RGBColor(0, 158, 115), true),
        Activity::Exchange => (RGBColor(204, 121, 167), false),
        Activity::Readback => (RGBColor(230, 159, 0), false),
        Activity::Checkpoint => (RGBColor(240, 228, 66), false),
    }
}

/// Where times lie on the picture.
struct Axis {
    /// Seconds since the timeline's start.
    time: Range<f64>,
    pixels: Range<i32>,
}

impl Axis {
    fn x(&self, time: f64) -> i32 {
        let share = (time - self.time.start) / (self.time.end - self.time.start);
        self.pixels.start + (share * f64::from(self.pixels.end - self.pixels.start)).round() as i32
    }

    /// 4 to 10 ticks at round milliseconds, with their labels.
    fn ticks(&self) -> Vec<(f64, String)> {
        let (start, end) = (1e3 * self.time.start, 1e3 * self.time.end);
        let rough = (end - start) / 10.0;
        let power = rough.log10().floor() as i32;
        let fits = |factor: f64| (factor * 10_f64.powi(power), power);
        let candidates = [fits(1.0), fits(2.0), fits(5.0), (10_f64.powi(power + 1), power + 1)];
        let Some((step, power)) = candidates.into_iter().find(|(step, _)| *step >= rough) else {
            return Vec::new();
        };
        let decimals = usize::try_from(-power).unwrap_or(0);
        let ticks = (0..=10).map(|number| ((start / step).ceil() + f64::from(number)) * step);
        let inside = ticks.filter(|tick| (start..=end).contains(tick));
        inside.map(|tick| (1e-3 * tick, format!("{tick:.decimals$}"))).collect()
    }
}

fn text(size: i32, colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    let pos = Pos::new(horizontal, vertical);
    TextStyle { font: (FONT, size).into(), color: colour.to_backend_color(), pos }
}

fn draw<B: DrawingBackend>(timeline: &Timeline, area: &Area<B>) -> Drawn<B> {
    area.fill(&WHITE)?;
    let speed = timeline
        .times_serial
        .map_or(String::new(), |times| format!(", {times:.2} times as fast as serial"));
    let title = format!("Timeline{speed} ({})", timeline.clock);
    let style = text(20, BLACK, HPos::Left, VPos::Center);
    area.draw(&Text::new(title, (MARGIN, 24), style))?;
    legend(area)?;
    let labels = labels(timeline, area)?;
    let left = MARGIN + labels.iter().map(|(_, width)| *width).max().unwrap_or(0) + 12;
    let extent = timeline.extent().unwrap_or_default();
    let end = extent.end.max(extent.start + SHORTEST);
    let axis = Axis { time: extent.start..end, pixels: left..WIDTH as i32 - MARGIN };
    let bottom = HEAD + ROW * timeline.lanes.len() as i32;
    for (lane, (label, _)) in labels.into_iter().enumerate() {
        row(area, &axis, HEAD + ROW * lane as i32, label, timeline.busy(lane))?;
    }
    ticks(area, &axis, bottom)?;
    for span in timeline.valid() {
        bar(area, &axis, HEAD + ROW * span.lane as i32, span)?;
    }
    area.present()
}

/// A box and its meaning, for each activity.
fn legend<B: DrawingBackend>(area: &Area<B>) -> Drawn<B> {
    let mut x = MARGIN;
    for activity in Activity::ALL {
        let corners = [(x, 46), (x + 16, 62)];
        area.draw(&Rectangle::new(corners, colour(activity).0.filled()))?;
        let style = text(TEXT, BLACK, HPos::Left, VPos::Center);
        let width = area.estimate_text_size(activity.name(), &style)?.0;
        area.draw(&Text::new(activity.name(), (x + 22, 54), style))?;
        x += 22 + width as i32 + 28;
    }
    let style = text(TEXT, BLACK, HPos::Left, VPos::Center);
    area.draw(&Text::new("numbers: micro-batches", (x, 54), style))
}

/// The lanes' names with their widths in pixels, cut off where they would leave too little room.
fn labels<B: DrawingBackend>(timeline: &Timeline, area: &Area<B>) -> Drawn<B, Vec<(String, i32)>> {
    let style = text(TEXT, BLACK, HPos::Left, VPos::Center);
    let width = |label: &str| area.estimate_text_size(label, &style).map(|size| size.0 as i32);
    let fitted = |name: &String| {
        let (mut kept, mut label) = (name.clone(), name.clone());
        while width(&label)? > WIDEST_LABEL && kept.pop().is_some() {
            label = format!("{}…", kept.trim_end());
        }
        // Room for the line below it, too.
        let widest = width(&label)?.max(width("busy 100.0 %")?);
        Ok((label, widest))
    };
    timeline.lanes.iter().map(fitted).collect()
}

fn row<B: DrawingBackend>(
    area: &Area<B>,
    axis: &Axis,
    top: i32,
    name: String,
    busy: f64,
) -> Drawn<B> {
    let corners = [(axis.pixels.start, top + 3), (axis.pixels.end, top + ROW - 3)];
    area.draw(&Rectangle::new(corners, ROW_COLOUR.filled()))?;
    let style = text(TEXT, BLACK, HPos::Left, VPos::Center);
    area.draw(&Text::new(name, (MARGIN, top + 27), style))?;
    let style = text(TEXT - 2, RGBColor(96, 96, 96), HPos::Left, VPos::Center);
    area.draw(&Text::new(format!("busy {:.1} %", 100.0 * busy), (MARGIN, top + 50), style))
}

fn ticks<B: DrawingBackend>(area: &Area<B>, axis: &Axis, bottom: i32) -> Drawn<B> {
    for (time, label) in axis.ticks() {
        let x = axis.x(time);
        area.draw(&PathElement::new([(x, HEAD), (x, bottom + 6)], GRID))?;
        let style = text(TEXT, BLACK, HPos::Center, VPos::Top);
        area.draw(&Text::new(label, (x, bottom + 10), style))?;
    }
    let style = text(TEXT, BLACK, HPos::Right, VPos::Top);
    area.draw(&Text::new("ms", (axis.pixels.start - 20, bottom + 10), style))
}

fn bar<B: DrawingBackend>(area: &Area<B>, axis: &Axis, top: i32, span: &Span) -> Drawn<B> {
    let height = match span.activity {
        // It goes on beside all else.
        Activity::Read | Activity::Checkpoint => READS,
        activity if activity.is_compute() => COMPUTE,
        _ => TRANSFERS,
    };
    let (from, to) = (axis.x(span.start), axis.x(span.end));
    // A pixel between neighbours keeps them apart, and the shortest span keeps a pixel.
    let right = (to - 1).max(from + 1);
    let (fill, white) = colour(span.activity);
    let corners = [(from, top + height.start), (right, top + height.end)];
    area.draw(&Rectangle::new(corners, fill.filled()))?;
    let Some(number) = span.micro_batch else { return Ok(()) };
    let number = number.to_string();
    let size = TEXT.min(height.end - height.start - 4);
    let style = text(size, if white { WHITE } else { BLACK }, HPos::Center, VPos::Center);
    if area.estimate_text_size(&number, &style)?.0 as i32 + 4 > right - from {
        return Ok(());
    }
    let middle = ((from + right) / 2, top + (height.start + height.end) / 2);
    area.draw(&Text::new(number, middle, style))
}
