//! Rows of numbers out of a table of which nothing is to be predicted, and lines of CSV for them.

use std::io::{self, BufWriter, StdoutLock, Write};

use wgrad::data::{Encoder, EncoderOptions, EncodingReport, Source, Standardizer, TargetType};

use crate::args::RowsArgs;
use crate::array;
use crate::failure::{Failure, Outcome};
use crate::line;
use crate::on_disk::{self, Blocks, Spool};
use crate::progress::Voice;
use crate::score::{Figure, deviation};
use crate::table;

/// How many times the deviation of one column must be that of another for a word about it.
const UNLIKE: f64 = 30.0;

/// A table as numbers.
pub struct Rows {
    pub values: Values,
    /// What each number of a row is.
    pub names: Vec<String>,
    /// The rows of the table that lack a value.
    left_out: Vec<usize>,
    total: usize,
}

/// Where the numbers lie.
pub enum Values {
    /// `[kept rows, width]`.
    Memory(Vec<f32>),
    /// In an array's file.
    Array(Source),
    /// In a file that goes with this.
    Disk(Source, #[expect(dead_code, reason = "it is there until this is dropped")] Spool),
}

impl Rows {
    /// Reads the table, and says what each column is taken for.
    pub fn read(args: &RowsArgs, voice: Voice) -> Outcome<Self> {
        if !table::is_stdin(&args.table)
            && let Some(source) = array::source(&args.table, &args.run.reading)?
        {
            return Self::of_array(args, source, voice);
        }
        let options = EncoderOptions {
            target_type: Some(TargetType::None),
            standardize: args.standardize,
            ..args.columns.options()
        };
        if let Some(folder) = &args.on_disk {
            let open = || Blocks::open(&args.table, None, &args.run.reading);
            let sample = open()?.sample(args.seed, |_| true)?;
            let encoder = Encoder::fit(&sample.table, &options)?;
            table::describe(&encoder, voice);
            let mut met = EncodingReport::default();
            let (mut spool, left_out) =
                on_disk::features(open()?, &encoder, folder, |report| met.add(report))?;
            voice.note(&met);
            let bytes = spool.bytes();
            voice.say(format!(
                "rows: {} as {} MB in {}; what columns hold was judged by {} of them",
                spool.rows,
                Figure(bytes as f64 / 1e6),
                folder.display(),
                sample.table.rows()
            ));
            if !args.standardize {
                let encoded = encoder.encode(&sample.table)?;
                warn_of_units(&encoder, &encoded.features, voice);
            }
            let (names, total) = (encoder.feature_names(), sample.total);
            return Ok(Self { values: Values::Disk(spool.read()?, spool), names, left_out, total });
        }
        let table = table::read(&args.table, &args.run.reading)?;
        let encoder = Encoder::fit(&table, &options)?;
        table::describe(&encoder, voice);
        let encoded = encoder.encode(&table)?;
        voice.note(&encoded.report);
        if !args.standardize {
            warn_of_units(&encoder, &encoded.features, voice);
        }
        let mut kept = encoded.rows.iter().peekable();
        let left_out = |&row: &usize| kept.next_if(|&&kept| kept == row).is_none();
        Ok(Self {
            left_out: (0..table.rows()).filter(left_out).collect(),
            values: Values::Memory(encoded.features),
            names: encoder.feature_names(),
            total: table.rows(),
        })
    }

    /// Of an array all columns are numbers, and none of them is missing: it stays where it is.
    fn of_array(args: &RowsArgs, source: Source, voice: Voice) -> Outcome<Self> {
        let columns = &args.columns;
        let given = [
            ("ignore", !columns.ignore.is_empty()),
            ("categories", !columns.categories.is_empty()),
            ("missing", columns.missing.is_some()),
            ("missing-words", !columns.missing_words.is_empty()),
            ("on-disk", args.on_disk.is_some()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!(
                "--{option} cannot be used with {}: an array is read where it lies, in blocks, and all of its columns \
                 are taken as numbers; leave it out",
                args.table.display()
            )));
        }
        let (names, total) = (array::names(&source), source.count()?);
        voice.say(format!("array: {total} rows of {} numbers", names.len()));
        let source = match args.standardize {
            true => source.clone().standardized(&Standardizer::fit_source(&source)?)?,
            false => source,
        };
        Ok(Self { values: Values::Array(source), names, left_out: Vec::new(), total })
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// Lines for the rows of the table on standard output, under this header.
    pub fn lines(&self, header: &[String]) -> Outcome<Lines<'_>> {
        let mut out = BufWriter::new(io::stdout().lock());
        writeln!(out, "{}", line::header(header))?;
        let (empty, left_out) = (line::empty(header.len()), self.left_out.as_slice());
        Ok(Lines { out, empty, left_out, at: 0, total: self.total })
    }
}

/// Writes a line for each row of a table; an empty one for a row that was left out.
pub struct Lines<'a> {
    out: BufWriter<StdoutLock<'static>>,
    empty: String,
    left_out: &'a [usize],
    at: usize,
    total: usize,
}

impl Lines<'_> {
    /// The line of the next row that was kept.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        self.pass_over()?;
        self.at += 1;
        writeln!(self.out, "{line}")
    }

    /// Lines of the rows left out that come next.
    fn pass_over(&mut self) -> io::Result<()> {
        while let Some((_, later)) = self.left_out.split_first().filter(|(row, _)| **row == self.at)
        {
            (self.left_out, self.at) = (later, self.at + 1);
            writeln!(self.out, "{}", self.empty)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Outcome {
        self.pass_over()?;
        self.out.flush()?;
        match self.at == self.total {
            true => Ok(()),
            false => Err(Failure::new(format!("{} lines for {} rows", self.at, self.total))),
        }
    }
}

/// Columns in units of which one drowns the other.
fn warn_of_units(encoder: &Encoder, features: &[f32], voice: Voice) {
    let width = encoder.width();
    let column = |feature: usize| -> Vec<f64> {
        features.iter().skip(feature).step_by(width).map(|&x| f64::from(x)).collect()
    };
    let mut deviations: Vec<(&str, f64)> = encoder
        .column_features()
        .map(|(of, range)| {
            let most = range.map(|feature| deviation(&column(feature))).fold(0.0, f64::max);
            (of.name.as_str(), most)
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
