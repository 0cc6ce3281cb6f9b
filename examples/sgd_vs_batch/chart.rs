//! The chart of the losses.

use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Race;
use crate::common::{self, Outcome};

/// Two panels, loss against epochs and against time; all axes go by powers of ten.
pub fn draw(path: &Path, races: &[Race], epochs: usize) -> Outcome {
    const SIZE: (u32, u32) = (1200, 520);
    plotters::style::register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| "the font of the chart cannot be read")?;
    let mut rgb = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut rgb, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (left, right) = area.split_horizontally(SIZE.0 / 2);
        let by_epoch = |race: &Race| {
            let numbered = race.epochs.iter().take(epochs).enumerate();
            numbered.map(|(index, &(_, loss))| ((index + 1) as f64, loss)).collect()
        };
        panel(&left, "by epochs", "epochs", races, by_epoch)?;
        panel(&right, "by time", "seconds", races, |race| race.epochs.clone())?;
        area.present()?;
    }
    common::png::write(path, SIZE.0, SIZE.1, &rgb)
}

fn panel(
    area: &DrawingArea<BitMapBackend<'_>, Shift>,
    title: &str,
    axis: &str,
    races: &[Race],
    points: impl Fn(&Race) -> Vec<(f64, f64)>,
) -> Outcome {
    let lines: Vec<Vec<(f64, f64)>> = races.iter().map(points).collect();
    let range = |values: Vec<f64>| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(low, f64::max);
        low * 0.9..high * 1.1
    };
    let xs = range(lines.iter().flatten().map(|point| point.0).collect());
    let ys = range(lines.iter().flatten().map(|point| point.1).collect());
    let (x_ticks, y_ticks) = (ticks(&xs), ticks(&ys));
    let xs = xs.log_scale().with_key_points(x_ticks);
    let ys = ys.log_scale().with_key_points(y_ticks);
    let mut chart = ChartBuilder::on(area)
        .caption(format!("Training loss {title}"), ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(xs, ys)?;
    let mesh = &mut chart.configure_mesh();
    mesh.x_label_formatter(&f64::to_string).y_label_formatter(&f64::to_string);
    mesh.x_desc(axis).y_desc("mean squared error").label_style(("sans-serif", 14)).draw()?;
    let colours = [RGBColor(213, 94, 0), RGBColor(0, 114, 178), RGBColor(0, 158, 115)];
    for ((race, line), colour) in races.iter().zip(lines).zip(colours) {
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(format!("batch {}", race.name))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    let mut legend = chart.configure_series_labels();
    legend.position(SeriesLabelPosition::LowerLeft).background_style(WHITE).border_style(BLACK);
    legend.label_font(("sans-serif", 14)).draw()?;
    Ok(())
}

/// 1, 2 and 5 times the powers of ten.
fn ticks(range: &Range<f64>) -> Vec<f64> {
    // Divided, not multiplied by 0.1: 3.0 / 10.0 prints as 0.3.
    let tick = |power: i32, by: f64| {
        if power < 0 { by / 10_f64.powi(-power) } else { by * 10_f64.powi(power) }
    };
    let all = (-6..7).flat_map(|power| [1.0, 2.0, 5.0].map(|by| tick(power, by)));
    all.filter(|tick| range.contains(tick)).collect()
}
