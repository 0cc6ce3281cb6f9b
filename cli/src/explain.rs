//! `wgrad explain`: which columns matter, and what each contributes to a row's prediction.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use wgrad::data::{Dataset, Encoder, Table, TargetEncoding, permutation};
use wgrad::train::Predictor;

use crate::args::ExplainArgs;
use crate::failure::{Failure, Outcome};
use crate::folders::needs_folder;
use crate::importance::importance;
use crate::model;
use crate::progress::Voice;
use crate::score::{Figure, Metric, largest};
use crate::table;
use crate::train::write;

pub fn run(args: &ExplainArgs) -> Outcome {
    let voice = Voice::new(args.run.quiet);
    args.json.iter().try_for_each(|path| needs_folder(path))?;
    let (file, encoder) = model::read(&args.model)?;
    let metric = Metric::of(args.metric, encoder.targets())?;
    let table = table::read(&args.table, &args.run.reading, voice)?;
    let gpu = model::gpu(args.run.adapter.as_deref())?;
    let predictor = file.predictor_blocking(&gpu)?;
    let figures = match args.row {
        Some(row) => of_row(args, &predictor, &encoder, &table, row)?,
        None => {
            let (data, report) = encoder.dataset(&table)?;
            voice.note(&report);
            of_all(args, &predictor, &encoder, &data, metric)?
        }
    };
    match &args.json {
        Some(path) => write(path, &format!("{figures:#}\n")),
        None => Ok(()),
    }
}

fn of_all(
    args: &ExplainArgs,
    predictor: &Predictor,
    encoder: &Encoder,
    data: &Dataset,
    metric: Metric,
) -> Outcome<Value> {
    let columns = importance(predictor, encoder, data, metric, args.seed)?;
    let mut out = io::stdout().lock();
    let title = metric.title();
    writeln!(
        out,
        "how much worse {title} becomes when a column is shuffled (mean of 5 ± deviation)"
    )?;
    let widest = columns.iter().map(|c| c.column.chars().count()).max().unwrap_or(0);
    for column in &columns {
        let (mean, deviation) = (Figure(column.mean), Figure(column.deviation));
        writeln!(out, "{:<widest$}  {mean} ± {deviation}", column.column)?;
    }
    let shown = columns
        .iter()
        .map(|c| json!({ "column": c.column, "importance": c.mean, "deviation": c.deviation }));
    Ok(json!({ "metric": metric.name(), "columns": shown.collect::<Vec<_>>() }))
}

/// What each column contributes to the prediction of a row, of each output.
#[derive(Debug, PartialEq)]
struct Contributions {
    /// The mean prediction for rows of the table.
    base: f64,
    /// The row's prediction.
    said: f64,
    /// A number per column; with the base they sum to the prediction.
    columns: Vec<f64>,
}

fn of_row(
    args: &ExplainArgs,
    predictor: &Predictor,
    encoder: &Encoder,
    table: &Table,
    row: usize,
) -> Outcome<Value> {
    if row >= table.rows() {
        let rows = table.rows();
        return Err(Failure::usage(format!(
            "--row is {row}; the table has {rows} rows, counted from 0"
        )));
    }
    let encoded = encoder.encode(table)?;
    let width = encoder.width();
    let Some(at) = encoded.rows.iter().position(|&kept| kept == row) else {
        return Err(Failure::new(format!("row {row} lacks a value, and such rows are left out")));
    };
    let x = encoded.features.get(at * width..(at + 1) * width).unwrap_or_default();
    let said = model::predictions(predictor, encoder, x)?;
    let mut out = io::stdout().lock();
    let mut figures = Map::new();
    figures.insert("row".into(), row.into());
    let outputs = match encoder.targets() {
        TargetEncoding::Classes { column, classes } => {
            let class = largest(&said);
            let name = classes.get(class).map_or("", String::as_str);
            writeln!(
                out,
                "row {row}: {column} is {name} with probability {}",
                Figure(said.get(class).copied().unwrap_or(0.0).into())
            )?;
            figures.insert("class".into(), name.into());
            vec![(format!("probability of {name}"), class)]
        }
        targets => {
            let named = targets.columns().iter().enumerate();
            named.map(|(output, name)| (name.clone(), output)).collect()
        }
    };
    for (name, output) in outputs {
        let Contributions { base, said, columns } =
            contributions(predictor, encoder, x, &encoded.features, output, args.seed)?;
        writeln!(out, "{name}: {} = {} in the mean, and by column", Figure(said), Figure(base))?;
        let mut named: Vec<(&str, &str, f64)> = encoder
            .columns()
            .iter()
            .zip(&columns)
            .map(|(column, &share)| {
                let at = table.column(&column.name).unwrap_or(usize::MAX);
                (column.name.as_str(), table.field(row, at).unwrap_or_default(), share)
            })
            .collect();
        named.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
        for (column, field, share) in &named {
            let sign = if *share < 0.0 { "" } else { "+" };
            writeln!(out, "  {sign}{}  {column} = {field}", Figure(*share))?;
        }
        let shares =
            named.iter().map(|(c, v, s)| json!({ "column": c, "value": v, "contribution": s }));
        let shown =
            json!({ "mean": base, "prediction": said, "columns": shares.collect::<Vec<_>>() });
        figures.insert(name, shown);
    }
    Ok(Value::Object(figures))
}

/// Shapley values of the columns, by sampled orders (Štrumbelj and Kononenko, 2014): from a row drawn from the
/// table the columns become those of `x` one after another, in an order that is drawn too; what a column changes
/// is its contribution, in the mean over the orders.
fn contributions(
    predictor: &Predictor,
    encoder: &Encoder,
    x: &[f32],
    features: &[f32],
    output: usize,
    seed: u64,
) -> Outcome<Contributions> {
    /// Orders that are drawn; each is walked forth and back, which evens out much of the chance.
    const ORDERS: usize = 100;
    let width = encoder.width();
    let ranges: Vec<_> = encoder.column_features().map(|(_, range)| range).collect();
    let count = ranges.len();
    let rows = features.len() / width.max(1);
    let drawn = permutation(rows, seed);
    let mut walks = Vec::new();
    for (number, from) in drawn.iter().cycle().take(ORDERS).enumerate() {
        let order = permutation(count, seed.wrapping_add(number as u64 + 1));
        let from = *from as usize;
        walks.push((from, order.clone()));
        walks.push((from, order.into_iter().rev().collect()));
    }
    let mut columns = vec![0.0; count];
    let (mut base, mut end) = (0.0, 0.0);
    let total = walks.len() as f64;
    // Some walks at a time: a wide table has long ones.
    for walks in walks.chunks(16) {
        let mut steps = Vec::with_capacity(walks.len() * (count + 1) * width);
        for (from, order) in walks {
            let mut row =
                features.get(from * width..(from + 1) * width).unwrap_or_default().to_vec();
            steps.extend_from_slice(&row);
            for &column in order {
                let range = ranges.get(column as usize).cloned().unwrap_or(0..0);
                if let (Some(own), Some(its)) = (row.get_mut(range.clone()), x.get(range)) {
                    own.copy_from_slice(its);
                }
                steps.extend_from_slice(&row);
            }
        }
        let said = model::predictions(predictor, encoder, &steps)?;
        let outputs = encoder.targets().outputs().max(1);
        let said: Vec<f64> =
            said.iter().skip(output).step_by(outputs).map(|&y| f64::from(y)).collect();
        for ((_, order), said) in walks.iter().zip(said.chunks(count + 1)) {
            base += said.first().copied().unwrap_or(0.0) / total;
            end += said.last().copied().unwrap_or(0.0) / total;
            for (&column, pair) in order.iter().zip(said.windows(2)) {
                if let (Some(sum), [before, after]) = (columns.get_mut(column as usize), pair) {
                    *sum += (after - before) / total;
                }
            }
        }
    }
    Ok(Contributions { base, said: end, columns })
}
