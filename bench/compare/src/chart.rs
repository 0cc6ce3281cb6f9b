//! The figures as pictures.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::report::{Place, Row, SUBJECT, advantage};
use crate::sweep::{BATCH, HIDDEN, Sweep};

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const COLORS: [(&str, RGBColor); 3] = [
    (SUBJECT, RGBColor(0, 114, 178)),
    ("burn", RGBColor(213, 94, 0)),
    ("meganeura", RGBColor(0, 158, 115)),
];

fn color(peer: &str) -> RGBColor {
    COLORS.iter().find(|(name, _)| *name == peer).map_or(BLACK, |&(_, color)| color)
}

/// How many times better wgrad does, a bar for each peer and workload on a logarithmic axis.
pub fn bars(path: &Path, rows: &[Row], place: &Place) -> Result<(), String> {
    let rated = |row: &Row| advantage(rows, row).map(|ratio| (row.clone(), ratio));
    let others = rows.iter().filter(|row| row.peer != SUBJECT);
    let bars: Vec<(Row, f64)> = others.filter_map(rated).collect();
    if bars.is_empty() {
        println!("no chart: wgrad alone is nothing to compare");
        return Ok(());
    }
    let height = 110 + 20 * bars.len() as u32;
    draw(path, (1000, height), |area| draw_bars(area, &bars, place))
}

/// Steps per second over batch sizes, a panel for each hidden width.
pub fn map(path: &Path, sweep: &Sweep, place: &Place) -> Result<(), String> {
    draw(path, (1400, 800), |area| draw_panels(area, sweep, place))
}

fn draw(path: &Path, size: (u32, u32), content: impl Fn(&Area) -> Drawn) -> Result<(), String> {
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| "the font cannot be read")?;
    let area = BitMapBackend::new(path, size).into_drawing_area();
    let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| content(&area));
    drawn
        .and_then(|()| area.present().map_err(Into::into))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn draw_bars(area: &Area, bars: &[(Row, f64)], place: &Place) -> Drawn {
    let least = bars.iter().map(|bar| bar.1).fold(0.8, f64::min) * 0.8;
    let most = bars.iter().map(|bar| bar.1).fold(2.0, f64::max) * 1.6;
    let title = format!("wgrad: times better than its peers, {}", place.adapter);
    let count = bars.len() as i32;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(190)
        .build_cartesian_2d((least..most).log_scale(), (0..count).into_segmented())?;
    let edge = SegmentValue::Exact;
    let label = |y: &SegmentValue<i32>| {
        let SegmentValue::CenterOf(y) = y else { return String::new() };
        let bar = usize::try_from(count - 1 - y).ok().and_then(|index| bars.get(index));
        bar.map_or_else(String::new, |(row, _)| row.workload.clone())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc("times faster, or less time (right of 1: wgrad is better)")
        .y_labels(bars.len())
        .y_label_formatter(&label)
        .label_style(("sans-serif", 12))
        .draw()?;
    for (index, (row, ratio)) in bars.iter().enumerate() {
        let y = count - 1 - index as i32;
        let mut bar =
            Rectangle::new([(1.0, edge(y)), (*ratio, edge(y + 1))], color(&row.peer).filled());
        bar.set_margin(3, 3, 0, 0);
        chart.draw_series([bar])?;
        let text = format!(" {ratio:.1}");
        let at = (ratio.max(1.0), edge(y + 1));
        chart.draw_series([Text::new(text, at, ("sans-serif", 12))])?;
    }
    chart.draw_series(LineSeries::new([(1.0, edge(0)), (1.0, edge(count))], BLACK))?;
    for (place, &(peer, color)) in COLORS[1..].iter().enumerate() {
        let y = 14 + 18 * place as i32;
        area.draw(&Rectangle::new([(850, y), (864, y + 12)], color.filled()))?;
        area.draw(&Text::new(peer, (870, y), ("sans-serif", 14)))?;
    }
    Ok(())
}

fn draw_panels(area: &Area, sweep: &Sweep, place: &Place) -> Drawn {
    let title = format!("32-h-h-1, steps per second over the batch size, {}", place.adapter);
    let area = area.titled(&title, ("sans-serif", 22))?;
    let panels = area.split_evenly((2, 4));
    let all = sweep.rates.iter().flatten().flatten().copied();
    let most = all.clone().fold(1.0, f64::max) * 1.5;
    let least = all.fold(most, f64::min) / 1.5;
    for (h, (panel, hidden)) in panels.iter().zip(HIDDEN).enumerate() {
        let mut chart = ChartBuilder::on(panel)
            .caption(format!("h = {hidden}"), ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(52)
            .build_cartesian_2d((BATCH[0]..20_000).log_scale(), (least..most).log_scale())?;
        chart.configure_mesh().label_style(("sans-serif", 12)).draw()?;
        for (peer, rates) in sweep.peers.iter().zip(&sweep.rates) {
            let points = || BATCH.into_iter().zip(rates[h].iter().copied());
            let color = color(peer);
            chart.draw_series(LineSeries::new(points(), color.stroke_width(2)))?;
            chart.draw_series(points().map(|point| Circle::new(point, 3, color.filled())))?;
        }
    }
    let Some(legend) = panels.get(HIDDEN.len()) else { return Ok(()) };
    for (place, peer) in sweep.peers.iter().enumerate() {
        let y = 60 + 26 * place as i32;
        legend.draw(&Rectangle::new([(40, y), (60, y + 14)], color(peer).filled()))?;
        legend.draw(&Text::new(peer.as_str(), (70, y), ("sans-serif", 18)))?;
    }
    Ok(())
}
