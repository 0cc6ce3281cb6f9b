//! The model beside what was measured, and up to 1,024 processes.

use std::path::{Path, PathBuf};

use plotters::prelude::*;
use serde_json::Value;
use wgrad::lanes::{Forecast, ParallelOptions, Schedule, StepCosts, Wire, forecast};
use wgrad::plan::Target;

use clap::ValueEnum;

use crate::Outcome;
use crate::net::Net;

/// A network: its name, seconds of latency, seconds from message to message, and bytes per second of a process.
type Network = (&'static str, f64, f64, f64);

/// Round figures of each class: Ethernet through the system's TCP; 100 Gb/s with a card that sends by itself; links
/// between the GPUs of a machine.
const NETWORKS: [Network; 3] = [
    ("10 Gb/s, TCP", 3e-5, 5e-6, 1.25e9),
    ("100 Gb/s", 3e-6, 5e-7, 12.5e9),
    ("NVLink-class", 2e-6, 2e-7, 300e9),
];

const MOST: usize = 1024;

/// A file of the example `scaling` of `mpi/`.
struct Measured {
    net: Net,
    ranks: usize,
    figures: Value,
}

impl Measured {
    fn read(path: &Path) -> Outcome<Self> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        let figures: Value = serde_json::from_str(&text).map_err(|error| named(&error))?;
        let net = Net::from_str(figures["net"].as_str().ok_or("no net")?, true)?;
        let ranks = figures["ranks"].as_u64().ok_or("no ranks")? as usize;
        Ok(Self { net, ranks, figures })
    }

    fn number(&self, name: &str) -> Outcome<f64> {
        let missing = || format!("{} ranks: no {name}", self.ranks);
        Ok(self.figures[name].as_f64().ok_or_else(missing)?)
    }

    /// Of the fastest round: what else the machine did is in none of them less.
    fn seconds(&self, name: &str) -> Outcome<f64> {
        let missing = || format!("{} ranks: no {name}", self.ranks);
        let all = self.figures[name].as_array().ok_or_else(missing)?;
        Ok(all.first().and_then(Value::as_f64).ok_or_else(missing)?)
    }
}

fn of(net: Net, batch: usize, ranks: usize, costs: &StepCosts) -> Outcome<Forecast> {
    of_options(net, &ParallelOptions::new(batch, ranks, Schedule::data_parallel()), ranks, costs)
}

fn of_options(
    net: Net,
    options: &ParallelOptions,
    ranks: usize,
    costs: &StepCosts,
) -> Outcome<Forecast> {
    Ok(forecast(&net.model(), &net.config(), options, ranks, &Target::default(), costs)?)
}

/// A lane's own work: the line through the seconds of all rows and of a quarter of them, which may not fall.
fn own_work(one: &Measured) -> Outcome<(f64, f64)> {
    let pairs = one.figures["rows_s"].as_array().ok_or("no rows_s")?;
    let pair = |at: usize| -> Outcome<(f64, f64)> {
        let pair = pairs.get(at).ok_or("too few rows_s")?;
        Ok((pair[0].as_f64().ok_or("rows")?, pair[1].as_f64().ok_or("seconds")?))
    };
    let ((all, whole), (few, part)) = (pair(0)?, pair(3)?);
    let per_row = ((whole - part) / (all - few)).max(0.0);
    Ok(((part - per_row * few).max(0.0), per_row))
}

/// The same costs where the processes of `file` share a machine: a lane's own work is what they measured, all at the
/// same time, whatever cores they share.
fn shared(costs: &StepCosts, file: &Measured) -> Outcome<StepCosts> {
    let (batch, _) = file.net.batches();
    let alone = costs.fixed + costs.per_row * batch.div_ceil(file.ranks) as f64;
    let slower = file.seconds("own_s")? / alone.max(1e-9);
    Ok(StepCosts { fixed: slower * costs.fixed, per_row: slower * costs.per_row, ..*costs })
}

/// The value of a cost with which the model of two processes is what was measured, by halving.
fn fitted(two: &Measured, most: f64, with: impl Fn(f64) -> StepCosts) -> Outcome<f64> {
    let ((batch, _), measured) = (two.net.batches(), two.seconds("step_s")?);
    let (mut low, mut high) = (0.0, most);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        let costs = shared(&with(middle), two)?;
        match of(two.net, batch, 2, &costs)?.seconds < measured {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(low)
}

/// What one process and two say of a net's steps: its own work, and the network between them; messages and bytes cost
/// nothing beside yet.
fn base(one: &Measured, two: &Measured) -> Outcome<StepCosts> {
    let (fixed, per_row) = own_work(one)?;
    let ping = two.number("ping_s")?;
    let bandwidth = f64::from(1 << 20) / (two.number("mebibyte_s")? - ping).max(1e-9);
    let (gap, latency) = (0.5 * ping, 0.5 * ping);
    Ok(StepCosts { fixed, per_row, per_message: 0.0, per_byte: 0.0, gap, latency, bandwidth })
}

pub fn forecast_all(files: &[PathBuf], svg: Option<&Path>) -> Outcome {
    let files = files.iter().map(|path| Measured::read(path)).collect::<Outcome<Vec<_>>>()?;
    let find =
        |net, ranks| files.iter().find(|file: &&Measured| file.net == net && file.ranks == ranks);
    // Of a small net nearly all of the exchange is messages: it says what one costs, and the others what a byte does.
    let per_message = match (find(Net::Small, 1), find(Net::Small, 2)) {
        (Some(one), Some(two)) => {
            let base = base(one, two)?;
            fitted(two, 0.1, |per_message| StepCosts { per_message, ..base })?
        }
        _ => {
            return Err("the files of --net small with one process and with two are missing".into());
        }
    };
    let (mut curves, mut all_costs) = (Vec::new(), Vec::new());
    for net in [Net::W2, Net::W3, Net::Small] {
        let (Some(one), Some(two)) = (find(net, 1), find(net, 2)) else { continue };
        let base = StepCosts { per_message, ..base(one, two)? };
        let per_byte = fitted(two, 1e-6, |per_byte| StepCosts { per_byte, ..base })?;
        let costs = StepCosts { per_byte, ..base };
        all_costs.push((net, costs));
        println!("{net:?}: {costs:?}");
        let (batch, _) = net.batches();
        for file in files.iter().filter(|file| file.net == net && file.ranks > 1) {
            let ranks = file.ranks;
            let model = of(net, batch, ranks, &shared(&costs, file)?)?;
            let measured = file.seconds("step_s")?;
            println!(
                "{ranks} processes: measured {:.3} ms/step, model {:.3} ms ({:+.0} %); exchange hidden {:.0} % by the \
                 timeline, {:.0} % by the model; {} bytes in {} messages a lane; fit in one process {:.2} times as \
                 many seconds",
                1e3 * measured,
                1e3 * model.seconds,
                100.0 * (model.seconds / measured - 1.0),
                100.0 * file.figures["hidden"].as_f64().unwrap_or(0.0),
                100.0 * model.hidden,
                model.bytes,
                model.messages,
                one.seconds("fit_s")? / measured,
            );
        }
        for (name, latency, gap, bandwidth) in NETWORKS {
            let costs = StepCosts { latency, gap, bandwidth, ..costs };
            let alone = of(net, batch, 1, &costs)?.seconds;
            let (mut weak, mut strong) = (Vec::new(), Vec::new());
            let mut ranks = 1;
            while ranks <= MOST {
                // Each process has as many rows as one alone; all of them together have as many.
                let seconds = of(net, batch * ranks, ranks, &costs)?.seconds;
                weak.push((ranks, alone / seconds));
                if ranks <= batch {
                    let seconds = of(net, batch, ranks, &costs)?.seconds;
                    strong.push((ranks, alone / seconds / ranks as f64));
                }
                ranks *= 2;
            }
            print(net, name, "weak", &weak);
            print(net, name, "strong", &strong);
            curves.push((net, name, weak, strong));
        }
    }
    for (net, costs) in all_costs {
        changes(net, &costs)?;
    }
    svg.map_or(Ok(()), |path| draw(&curves, path))
}

/// What helps where scaling breaks: a batch for each of 64 processes, with one thing changed at a time.
fn changes(net: Net, costs: &StepCosts) -> Outcome {
    const RANKS: usize = 64;
    let [_, (_, latency, gap, bandwidth), _] = NETWORKS;
    let costs = StepCosts { latency, gap, bandwidth, ..*costs };
    let batch = net.batches().0;
    let alone = of(net, batch, 1, &costs)?.seconds;
    let share = |change: &dyn Fn(&mut ParallelOptions, &mut StepCosts)| -> Outcome<f64> {
        let mut costs = costs;
        let mut options = ParallelOptions::new(batch * RANKS, RANKS, Schedule::data_parallel());
        change(&mut options, &mut costs);
        Ok(100.0 * alone / of_options(net, &options, RANKS, &costs)?.seconds)
    };
    let usual = share(&|_, _| {})?;
    let (one_bucket, rounded, cheap) = (
        share(&|options, _| options.buckets = 1)?,
        share(&|options, _| options.wire = Wire::F16)?,
        share(&|_, costs| costs.per_message /= 10.0)?,
    );
    // Seven of eight steps exchange nothing.
    let local = 100.0 / (7.0 / 8.0 + 1.0 / 8.0 * 100.0 / usual);
    println!(
        "model, {net:?}, {RANKS} processes with a batch each, 100 Gb/s: {usual:.0} %; in one bucket {one_bucket:.0} %, in \
         16 bits {rounded:.0} %, with a tenth of the time for a message {cheap:.0} %, exchanging every eighth step \
         {local:.0} %"
    );
    Ok(())
}

type Points = Vec<(usize, f64)>;
type Curve = (Net, &'static str, Points, Points);

fn print(net: Net, network: &str, kind: &str, points: &Points) {
    let shares = points.iter().map(|(ranks, share)| format!("{ranks}: {:.0} %", 100.0 * share));
    let text = shares.collect::<Vec<_>>().join(", ");
    println!("model, {net:?}, {network}, {kind} scaling: {text}");
}

/// A row of two charts for each net: weak and strong scaling.
fn draw(curves: &[Curve], path: &Path) -> Outcome {
    // Text is measured before it is written; viewers take what they have by that name.
    let font = dejavu::sans::regular();
    if plotters::style::register_font("sans-serif", FontStyle::Normal, font).is_err() {
        return Err("the font cannot be read".into());
    }
    let nets: Vec<Net> =
        [Net::W2, Net::W3].into_iter().filter(|net| curves.iter().any(|c| c.0 == *net)).collect();
    let (width, height) = (900, 320 * nets.len().max(1) as u32);
    let root = SVGBackend::new(path, (width, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let colours =
        [RGBColor(0xb4, 0x53, 0x09), RGBColor(0x1d, 0x4e, 0xd8), RGBColor(0x15, 0x80, 0x3d)];
    for (net, row) in nets.iter().zip(root.split_evenly((nets.len(), 1))) {
        let halves = row.split_evenly((1, 2));
        for (weak, area) in [true, false].into_iter().zip(&halves) {
            let kind =
                if weak { "weak: a batch for each process" } else { "strong: one batch shared" };
            let mut chart = ChartBuilder::on(area)
                .caption(format!("{net:?}, {kind} (a model)"), ("sans-serif", 15))
                .margin(12)
                .x_label_area_size(32)
                .y_label_area_size(44)
                .build_cartesian_2d((1_f64..MOST as f64).log_scale().base(2.0), 0_f64..1.05)?;
            chart
                .configure_mesh()
                .light_line_style(WHITE)
                .x_desc("processes")
                .y_desc("share of full speed-up")
                .x_label_formatter(&|ranks| format!("{ranks:.0}"))
                .y_label_formatter(&|share| format!("{:.0} %", 100.0 * share))
                .draw()?;
            let own = curves.iter().filter(|curve| curve.0 == *net);
            for ((_, name, of_weak, of_strong), colour) in own.zip(colours) {
                let points = if weak { of_weak } else { of_strong };
                let line = points.iter().map(|&(ranks, share)| (ranks as f64, share));
                chart
                    .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
                    .label(*name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
            }
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .position(SeriesLabelPosition::UpperRight)
                .draw()?;
        }
    }
    root.present()?;
    Ok(())
}
