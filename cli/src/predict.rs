//! `wgrad predict`: rows in, predictions out, a block at a time.

use std::io::{self, BufWriter, Write};

use wgrad::data::{EncodingReport, TargetEncoding};

use crate::args::PredictArgs;
use crate::failure::{Failure, Outcome};
use crate::line;
use crate::model;
use crate::progress::Voice;
use crate::score::largest;
use crate::table;

/// Rows that are held at once: a table of any length goes through in bounded memory.
const BLOCK: usize = 8192;

pub fn run(args: &PredictArgs) -> Outcome {
    let voice = Voice::new(args.run.quiet);
    let (file, encoder) = model::read(&args.model)?;
    if args.proba && encoder.class_names().is_empty() {
        let targets = encoder.targets().columns().join(", ");
        return Err(Failure::usage(format!(
            "--proba gives probabilities of classes, and {targets} is a number; leave it out"
        )));
    }
    let gpu = model::gpu(args.run.adapter.as_deref())?;
    let predictor = file.predictor_blocking(&gpu)?;
    let mut reader = table::open(&args.table, &args.run.reading)?;
    reader.note_rounded(voice)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut header: Vec<String> = encoder.targets().columns().to_vec();
    if args.proba {
        header.extend(encoder.class_names().iter().map(|class| format!("p({class})")));
    }
    writeln!(out, "{}", line::header(&header))?;
    let mut met = EncodingReport::default();
    let empty = line::empty(header.len());
    while let Some(block) = reader.next_block(BLOCK)? {
        let encoded = encoder.encode(&block)?;
        let said = model::predictions(&predictor, &encoder, &encoded.features)?;
        let outputs = encoder.targets().outputs().max(1);
        let mut rows = encoded.rows.iter().zip(said.chunks(outputs)).peekable();
        for row in 0..block.rows() {
            // A line for each row, also for one that lacks a value and is to be left out.
            let Some((_, said)) = rows.next_if(|(at, _)| **at == row) else {
                writeln!(out, "{empty}")?;
                continue;
            };
            match encoder.targets() {
                TargetEncoding::Classes { classes, .. } => {
                    let class = classes.get(largest(said)).map_or("", String::as_str);
                    write!(out, "{}", line::quoted(class))?;
                    for p in said.iter().filter(|_| args.proba) {
                        write!(out, ",{p}")?;
                    }
                    writeln!(out)?;
                }
                _ => {
                    let numbers: Vec<String> = said.iter().map(f32::to_string).collect();
                    writeln!(out, "{}", numbers.join(","))?;
                }
            }
        }
        met.add(encoded.report);
    }
    out.flush()?;
    if met.rows == 0 && met.dropped == 0 {
        return Err(Failure::new(format!("{}: holds no rows", args.table.display())));
    }
    voice.note(&met);
    Ok(())
}
