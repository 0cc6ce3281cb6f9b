//! Charts as SVG, in the colours of the page.

use std::fmt::Write;

use super::html::escaped;
use crate::score::Figure;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// A range of an axis, and where its numbers lie in the picture.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let room = if low == high { low.abs().max(1.0) * 0.1 } else { 0.0 };
        Self { low: low - room, high: high + room, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers, about five.
    fn ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step).ceil();
        (0..12)
            .map(|n| (first + f64::from(n)) * step)
            .take_while(|tick| *tick <= self.high + step * 1e-9)
            .collect()
    }
}

/// A number beside an axis.
fn short(value: f64) -> String {
    let text = Figure(value).to_string();
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

struct Chart {
    text: String,
    x: Axis,
    y: Axis,
}

impl Chart {
    /// An empty chart with its axes. `title` and `description` are what a screen reader says.
    fn new(x: Axis, y: Axis, title: &str, description: &str, labels: [&str; 2]) -> Self {
        let mut text = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}: {}\">",
            escaped(title),
            escaped(description)
        );
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in y.ticks() {
            let at = y.at(tick);
            let _ = write!(
                text,
                "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"var(--rule)\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                short(tick)
            );
        }
        for tick in x.ticks() {
            let at = x.at(tick);
            let _ = write!(
                text,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                short(tick)
            );
        }
        let [below, beside] = labels.map(escaped);
        let _ = write!(
            text,
            "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{below}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\">{beside}</text>",
            HEIGHT - 6.0,
            LEFT + 6.0,
            TOP + 10.0
        );
        Self { text, x, y }
    }

    fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, colour: &str, dashes: &str) {
        let mut path = String::new();
        for (x, y) in points.filter(|(_, y)| y.is_finite()) {
            let start = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{start}{:.1} {:.1}", self.x.at(x), self.y.at(y));
        }
        let _ = write!(
            self.text,
            "<path d=\"{path}\" fill=\"none\" stroke=\"var({colour})\" stroke-width=\"2\" \
             stroke-dasharray=\"{dashes}\"/>"
        );
    }

    fn end(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }
}

/// Losses, epoch by epoch.
pub fn curves(losses: &[(f64, Option<f64>)]) -> String {
    // A line has no more points than the picture has room for.
    let every = losses.len().div_ceil(600).max(1);
    let points: Vec<(f64, f64, Option<f64>)> = losses
        .iter()
        .enumerate()
        .filter(|(epoch, _)| epoch % every == 0 || epoch + 1 == losses.len())
        .map(|(epoch, &(loss, held_out))| (epoch as f64 + 1.0, loss, held_out))
        .collect();
    let x = Axis::over(points.iter().map(|p| p.0), LEFT, WIDTH - RIGHT);
    let values = points.iter().flat_map(|&(_, loss, held_out)| [Some(loss), held_out]).flatten();
    let y = Axis::over(values, HEIGHT - BOTTOM, TOP);
    let first = losses.first().map_or(0.0, |l| l.0);
    let last = losses.last().map_or(0.0, |l| l.0);
    let description = format!(
        "over {} epochs the loss of the rows trained on goes from {} to {}",
        losses.len(),
        Figure(first),
        Figure(last)
    );
    let mut chart = Chart::new(x, y, "Loss", &description, ["epoch", "loss"]);
    chart.line(points.iter().map(|p| (p.0, p.1)), "--one", "none");
    chart.line(points.iter().filter_map(|p| Some((p.0, p.2?))), "--two", "5 4");
    chart.end()
}

/// What is predicted, against what is true.
pub fn scatter(truth: &[f32], said: &[f32], name: &str) -> String {
    const MOST: usize = 1000;
    let every = truth.len().div_ceil(MOST).max(1);
    let pairs: Vec<(f64, f64)> = truth
        .iter()
        .zip(said)
        .step_by(every)
        .map(|(&t, &p)| (f64::from(t), f64::from(p)))
        .collect();
    let all = || pairs.iter().flat_map(|&(t, p)| [t, p]);
    let x = Axis::over(all(), LEFT, WIDTH - RIGHT);
    let y = Axis::over(all(), HEIGHT - BOTTOM, TOP);
    let description = format!("{} rows held out; on the line the prediction is right", pairs.len());
    let title = format!("Predicted against true {name}");
    let mut chart = Chart::new(x, y, &title, &description, ["true", "predicted"]);
    chart.line([(x.low, x.low), (x.high, x.high)].into_iter(), "--rule", "none");
    for (t, p) in pairs.iter().filter(|(t, p)| t.is_finite() && p.is_finite()) {
        let (x, y) = (chart.x.at(*t), chart.y.at(*p));
        let _ = write!(
            chart.text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"var(--one)\" fill-opacity=\".55\"/>"
        );
    }
    chart.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        let axis = |low, high| Axis { low, high, from: 0.0, to: 1.0 };
        assert_eq!(axis(0.0, 1.0).ticks().len(), 6);
        assert_eq!(axis(3.0, 97.0).ticks(), [20.0, 40.0, 60.0, 80.0]);
        assert_eq!([0.5, 20.0, 1e-6, 1234.0].map(short), ["0.5", "20", "1.000e-6", "1234"]);
        let same = Axis::over([2.0, 2.0].into_iter(), 0.0, 1.0);
        assert!(same.low < 2.0 && same.high > 2.0);
        let none = Axis::over([f64::NAN].into_iter(), 0.0, 1.0);
        assert_eq!((none.low, none.high), (0.0, 1.0));
    }
}
