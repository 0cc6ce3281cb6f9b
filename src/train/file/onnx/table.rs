//! An encoder as nodes of an ONNX file: from a table's columns to features, and from outputs back to what the table
//! has.

use rten_onnx::onnx::{AttributeProto, DataType, ValueInfoProto};

use super::proto::{LEARNING, int, ints, rows, strings};
use super::writer::Writer;
use crate::data::{ColumnEncoding, Encoder, Encoding, MissingValues, Scaling, cycles_of_dates};

/// What was made of a table's columns.
pub(super) struct Features {
    /// The columns.
    pub(super) inputs: Vec<ValueInfoProto>,
    /// The name of the features.
    pub(super) features: String,
    /// That of whether the encoder refuses a row or leaves it out, if it may.
    pub(super) refused: Option<String>,
}

impl Writer {
    /// Adds what makes features of a table's columns, rows of shape `row`.
    pub(super) fn features(&mut self, encoder: &Encoder, row: &[usize]) -> Features {
        let words = spellings(encoder.missing_words());
        let (mut inputs, mut parts, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for column in encoder.columns() {
            let (name, impute) = (&column.name, column.missing == MissingValues::Impute);
            let of = match &column.encoding {
                Encoding::Category { .. } => DataType::STRING,
                Encoding::Number(_) | Encoding::Date { .. } => DataType::DOUBLE,
            };
            inputs.push(rows(name, &[1], of));
            match &column.encoding {
                Encoding::Number(scaling) => {
                    let number = self.number(name, scaling, impute, &mut parts);
                    // One beyond the range is taken as its end, but not ∞.
                    let ranged = scaling.range.is_some();
                    refused.extend(ranged.then(|| self.op("IsInf", &[name], vec![])));
                    refused.push(self.is_not_finite(&number));
                }
                Encoding::Date { scaling, timed } => {
                    let days = self.date(name, scaling, *timed, impute, &mut parts);
                    refused.push(self.is_not_finite(&days));
                }
                Encoding::Category { .. } => {
                    let unknown = encoder.refuses_unknown_categories();
                    self.category(column, (&words, unknown), &mut parts, &mut refused);
                }
            }
        }
        let any = |either: String, or: String| self.op("Or", &[&either, &or], vec![]);
        let refused = refused.into_iter().reduce(any);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut features = self.op("Concat", &parts, vec![int("axis", 1)]);
        if row.len() > 1 {
            let shape: Vec<i64> =
                std::iter::once(-1).chain(row.iter().map(|&n| n as i64)).collect();
            let shape = self.constant(&[shape.len()], &shape);
            features = self.op("Reshape", &[&features, &shape], vec![]);
        }
        Features { inputs, features, refused }
    }

    /// Whether an `f32` is NaN or infinite.
    fn is_not_finite(&mut self, x: &str) -> String {
        let none = self.op("Sub", &[x, x], vec![]);
        self.op("IsNaN", &[&none], vec![])
    }

    /// NaN where a row is `refused`, else `x`, whose rows have so many axes.
    pub(super) fn unless_refused(&mut self, refused: &str, x: &str, axes: usize) -> String {
        let shape: Vec<i64> = std::iter::once(-1).chain((0..axes).map(|_| 1)).collect();
        let shape = self.constant(&[shape.len()], &shape);
        let refused = self.op("Reshape", &[refused, &shape], vec![]);
        let nan = self.scalar(f32::NAN);
        self.op("Where", &[&refused, &nan, x], vec![])
    }

    fn f32_of(&mut self, x: &str) -> String {
        self.cast(x, DataType::FLOAT)
    }

    fn cast(&mut self, x: &str, to: DataType) -> String {
        self.op("Cast", &[x], vec![int("to", to.0.into())])
    }

    fn double(&mut self, value: f64) -> String {
        self.constant(&[], &[value])
    }

    /// Where `condition` holds, `value`, else `x`.
    fn unless(&mut self, condition: &str, value: f64, x: &str) -> String {
        let value = self.double(value);
        self.op("Where", &[condition, &value, x], vec![])
    }

    /// A number or a day without gaps, and where it was missing if the encoder fills such places.
    fn filled(&mut self, x: &str, scaling: &Scaling, impute: bool) -> (String, Option<String>) {
        let mut x = x.to_owned();
        if let Some([low, high]) = scaling.range {
            // Comparisons with NaN are false: it stays.
            for (op, limit) in [("Less", low), ("Greater", high)] {
                let bound = self.double(limit);
                let beyond = self.op(op, &[&x, &bound], vec![]);
                x = self.unless(&beyond, limit, &x);
            }
        }
        if !impute {
            return (x, None);
        }
        let missing = self.op("IsNaN", &[&x], vec![]);
        let filled = self.unless(&missing, scaling.median, &x);
        (filled, Some(missing))
    }

    fn scaled_down(&mut self, x: &str, scaling: &Scaling) -> String {
        let (mean, deviation) = (self.double(scaling.mean), self.double(scaling.deviation));
        let x = self.op("Sub", &[x, &mean], vec![]);
        let x = self.op("Div", &[&x, &deviation], vec![]);
        self.f32_of(&x)
    }

    fn indicator(&mut self, missing: Option<&str>, scaling: &Scaling, parts: &mut Vec<String>) {
        if let Some(missing) = missing.filter(|_| scaling.indicator) {
            parts.push(self.f32_of(missing));
        }
    }

    /// The first of its features comes back.
    fn number(
        &mut self,
        x: &str,
        scaling: &Scaling,
        impute: bool,
        parts: &mut Vec<String>,
    ) -> String {
        let (x, missing) = self.filled(x, scaling, impute);
        let scaled = self.scaled_down(&x, scaling);
        parts.push(scaled.clone());
        self.indicator(missing.as_deref(), scaling, parts);
        scaled
    }

    fn date(
        &mut self,
        days: &str,
        scaling: &Scaling,
        timed: bool,
        impute: bool,
        parts: &mut Vec<String>,
    ) -> String {
        let (days, missing) = self.filled(days, scaling, impute);
        let scaled = self.scaled_down(&days, scaling);
        parts.push(scaled.clone());
        for (_, length) in cycles_of_dates(timed) {
            // Of the angle only the fraction of a turn counts, which f32 has digits enough for.
            let length = self.double(*length);
            let turns = self.op("Div", &[&days, &length], vec![]);
            let whole = self.op("Floor", &[&turns], vec![]);
            let turns = self.op("Sub", &[&turns, &whole], vec![]);
            let turns = self.f32_of(&turns);
            let angle = self.scaled(&turns, std::f32::consts::TAU);
            parts.push(self.op("Sin", &[&angle], vec![]));
            parts.push(self.op("Cos", &[&angle], vec![]));
        }
        self.indicator(missing.as_deref(), scaling, parts);
        scaled
    }

    /// 1 for the string that `x` is, `[rows, strings]`; none for another.
    fn one_hot(&mut self, x: &str, words: &[String]) -> String {
        let attributes = vec![strings("cats_strings", words), int("zeros", 1)];
        let each = self.learning("OneHotEncoder", x, None, attributes);
        self.op("Flatten", &[&each], vec![int("axis", 1)])
    }

    /// Whether one of the columns of `x` is 1, `[rows, 1]`.
    fn any(&mut self, x: &str) -> String {
        let axes = self.constant(&[1], &[1_i64]);
        self.op("ReduceSum", &[x, &axes], vec![])
    }

    /// `words` are those for missing values, with whether categories that are none of those known are refused.
    fn category(
        &mut self,
        column: &ColumnEncoding,
        (words, refuses): (&[String], bool),
        parts: &mut Vec<String>,
        refused: &mut Vec<String>,
    ) {
        let Encoding::Category { categories, other, missing } = &column.encoding else { return };
        let (impute, refuses) = (column.missing == MissingValues::Impute, refuses && !*other);
        let known = self.one_hot(&column.name, categories);
        parts.push(known.clone());
        if impute && !*other && !*missing && !refuses {
            return;
        }
        let lacks = self.one_hot(&column.name, words);
        let lacks = self.any(&lacks);
        if *other || refuses {
            let known = self.any(&known);
            let none = self.op("Add", &[&known, &lacks], vec![]);
            let one = self.scalar(1.0);
            let new = self.op("Sub", &[&one, &none], vec![]);
            match refuses {
                true => refused.push(self.cast(&new, DataType::BOOL)),
                false => parts.push(new),
            }
        }
        if !impute {
            refused.push(self.cast(&lacks, DataType::BOOL));
        }
        if *missing {
            parts.push(lacks);
        }
    }

    /// Adds a node of `ai.onnx.ml`; its output.
    fn learning(
        &mut self,
        op: &str,
        x: &str,
        output: Option<&str>,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = match output {
            Some(output) => {
                self.named(op, &[x], output, attributes);
                output.to_owned()
            }
            None => self.op(op, &[x], attributes),
        };
        if let Some(node) = self.nodes.last_mut() {
            node.domain = Some(LEARNING.into());
        }
        output
    }

    /// Adds the names of the classes with the largest of so many logits; with a single one, of the second class where
    /// that is positive. Rows that are `refused` have an empty one.
    pub(super) fn label(
        &mut self,
        (x, logits): (&str, usize),
        refused: Option<&str>,
        classes: &[String],
        output: &str,
    ) {
        let mut label = if logits == 1 {
            let none = self.scalar(0.0);
            let positive = self.op("Greater", &[x, &none], vec![]);
            let place = self.cast(&positive, DataType::INT64);
            let one_each = self.constant(&[1], &[-1_i64]);
            self.op("Reshape", &[&place, &one_each], vec![])
        } else {
            let attributes = vec![int("axis", -1), int("keepdims", 0)];
            self.op("ArgMax", &[x], attributes)
        };
        let mut keys: Vec<i64> = (0..classes.len() as i64).collect();
        let mut names = classes.to_vec();
        if let Some(refused) = refused {
            let one_each = self.constant(&[1], &[-1_i64]);
            let refused = self.op("Reshape", &[refused, &one_each], vec![]);
            let none = self.constant(&[], &[-1_i64]);
            label = self.op("Where", &[&refused, &none, &label], vec![]);
            keys.push(-1);
            names.push(String::new());
        }
        let attributes = vec![ints("keys_int64s", &keys), strings("values_strings", &names)];
        self.learning("LabelEncoder", &label, Some(output), attributes);
    }

    /// Adds numbers in the unit of the table.
    pub(super) fn values(&mut self, x: &str, scalings: &[Scaling], output: &str) {
        let of = |figure: fn(&Scaling) -> f64| scalings.iter().map(figure).collect::<Vec<f64>>();
        let deviations = self.constant(&[scalings.len()], &of(|scaling| scaling.deviation));
        let means = self.constant(&[scalings.len()], &of(|scaling| scaling.mean));
        let x = self.cast(x, DataType::DOUBLE);
        let x = self.op("Mul", &[&x, &deviations], vec![]);
        let x = self.op("Add", &[&x, &means], vec![]);
        self.named("Cast", &[&x], output, vec![int("to", DataType::FLOAT.0.into())]);
    }
}

/// Letters of a word up to which a file lists every spelling of it, as `NaN` and `nAn`.
const SHORT: usize = 5;

/// Words that stand for missing values: an encoder takes them in any case, and a file has a list. Of longer words it
/// has those in small letters, in capitals, and with a capital first, beside the word as it is.
fn spellings(words: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in words.iter().map(|word| word.trim()) {
        let (lower, upper) = (word.to_ascii_lowercase(), word.to_ascii_uppercase());
        let first = word.chars().next().map_or(0, char::len_utf8);
        let capital = upper.get(..first).zip(lower.get(first..));
        let capital = capital.map(|(first, rest)| format!("{first}{rest}")).unwrap_or_default();
        let letters = word.chars().filter(char::is_ascii_alphabetic).count();
        let every = if letters <= SHORT { 1_u32 << letters } else { 0 };
        let spelt = (0..every).map(|capitals| {
            let mut number = 0;
            let of = |letter: char| {
                if !letter.is_ascii_alphabetic() {
                    return letter;
                }
                number += 1;
                match capitals >> (number - 1) & 1 {
                    0 => letter.to_ascii_lowercase(),
                    _ => letter.to_ascii_uppercase(),
                }
            };
            word.chars().map(of).collect()
        });
        for spelling in [word.to_owned(), lower, upper, capital].into_iter().chain(spelt) {
            if !all.contains(&spelling) {
                all.push(spelling);
            }
        }
    }
    all
}
