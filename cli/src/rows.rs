//! Rows of numbers out of a table of which nothing is to be predicted, and lines of CSV for them.

use std::io::{self, BufWriter, Write};

use wgrad::data::{Encoder, EncoderOptions, TargetType};

use crate::args::RowsArgs;
use crate::failure::Outcome;
use crate::line;
use crate::progress::Voice;
use crate::score::{Figure, deviation};
use crate::table;

/// How many times the deviation of one column must be that of another for a word about it.
const UNLIKE: f64 = 30.0;

/// A table as numbers.
pub struct Rows {
    /// `[kept rows, width]`.
    pub features: Vec<f32>,
    /// What each number of a row is.
    pub names: Vec<String>,
    /// The row of the table that each is of; some may lack a value.
    kept: Vec<usize>,
    total: usize,
}

impl Rows {
    /// Reads the table, and says what each column is taken for.
    pub fn read(args: &RowsArgs, voice: Voice) -> Outcome<Self> {
        let table = table::read(&args.table, &args.run.reading)?;
        let options = EncoderOptions {
            target_type: Some(TargetType::None),
            standardize: args.standardize,
            ..args.columns.options()
        };
        let encoder = Encoder::fit(&table, &options)?;
        table::describe(&encoder, voice);
        let encoded = encoder.encode(&table)?;
        voice.note(&encoded.report);
        let rows = Self {
            features: encoded.features,
            names: encoder.feature_names(),
            kept: encoded.rows,
            total: table.rows(),
        };
        if !args.standardize {
            rows.warn_of_units(&encoder, voice);
        }
        Ok(rows)
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// Columns in units of which one drowns the other.
    fn warn_of_units(&self, encoder: &Encoder, voice: Voice) {
        let mut deviations: Vec<(&str, f64)> = encoder
            .column_features()
            .map(|(column, range)| {
                let most =
                    range.map(|feature| deviation(&self.column(feature))).fold(0.0, f64::max);
                (column.name.as_str(), most)
            })
            .filter(|(_, deviation)| *deviation > 0.0)
            .collect();
        deviations.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (Some((least, small)), Some((most, large))) = (deviations.first(), deviations.last())
        else {
            return;
        };
        if large / small > UNLIKE {
            voice.say(format!(
                "note: the deviation of {most} is {}, that of {least} {}: by their units, {most} counts for more. \
                 --standardize gives all columns the same weight",
                Figure(*large),
                Figure(*small)
            ));
        }
    }

    fn column(&self, feature: usize) -> Vec<f64> {
        let values = self.features.iter().skip(feature).step_by(self.width());
        values.map(|&x| f64::from(x)).collect()
    }

    /// A line for each row of the table to standard output; an empty one for a row that was left out.
    pub fn print(&self, header: &[String], line: impl Fn(usize) -> String) -> Outcome {
        let mut out = BufWriter::new(io::stdout().lock());
        writeln!(out, "{}", line::header(header))?;
        let empty = line::empty(header.len());
        let mut kept = self.kept.iter().enumerate().peekable();
        for row in 0..self.total {
            match kept.next_if(|(_, at)| **at == row) {
                Some((at, _)) => writeln!(out, "{}", line(at))?,
                None => writeln!(out, "{empty}")?,
            }
        }
        out.flush()?;
        Ok(())
    }
}
