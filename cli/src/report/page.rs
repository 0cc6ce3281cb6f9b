//! The page itself.

use std::fmt::Write;

use wgrad::data::{LeftOutReason, TargetEncoding};

use super::html::escaped;
use super::{Report, svg};
use crate::args::{ClassWeights, MissingName};
use crate::score::{Figure, Truth, confusion, deviation};

/// Classes that a confusion matrix shows, at most: more fill no screen.
const MOST_CLASSES: usize = 30;

impl Report<'_> {
    /// The page: HTML that needs nothing else.
    pub fn html(&self) -> String {
        let target = escaped(&self.encoder.targets().columns().join(", "));
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{target}: a model by wgrad</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n\
             <h1>Predicting {target}</h1>\n",
            include_str!("style.css")
        );
        self.score(&mut page);
        self.learning(&mut page);
        self.predictions(&mut page, &target);
        self.importance(&mut page);
        self.columns(&mut page);
        self.repeat(&mut page);
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }

    fn score(&self, page: &mut String) {
        let (trained, held_out) = self.rows;
        let title = escaped(self.metric.title());
        let spread = self.folds.map(|f| format!(" ± {}", Figure(deviation(f)))).unwrap_or_default();
        let over = match self.folds {
            Some(folds) => format!(
                "Mean over {} parts of the table, each held out from a model of its own; the model in the \
                 file has learned from all {trained} rows.",
                folds.len()
            ),
            None => format!(
                "On {held_out} rows that were held out; the model has learned from {trained} others."
            ),
        };
        let better = if self.metric.larger_is_better() { "larger" } else { "smaller" };
        let _ = write!(
            page,
            "<p class=\"score\">{title} {}{spread}</p>\n<p>{over}</p>\n\
             <table>\n<caption>What it must beat ({better} is better)</caption>\n\
             <thead><tr><th scope=\"col\">model</th><th scope=\"col\" class=\"number\">{title}</th></tr></thead>\n<tbody>\n",
            Figure(self.score)
        );
        for (name, score) in [
            ("this model", self.score),
            ("a linear model", self.baselines.linear),
            ("the same answer for every row", self.baselines.constant),
        ] {
            let score = Figure(score);
            let _ = writeln!(
                page,
                "<tr><th scope=\"row\">{name}</th><td class=\"number\">{score}</td></tr>"
            );
        }
        page.push_str("</tbody>\n</table>\n");
    }

    fn learning(&self, page: &mut String) {
        let has_held_out = self.curves.iter().any(|(_, held_out)| held_out.is_some());
        let held_out = match has_held_out {
            true => {
                "<span class=\"key\" style=\"color: var(--two); border-top-style: dashed\"></span>\
                 <span>rows left out</span>"
            }
            false => "",
        };
        let _ = write!(
            page,
            "<h2>How it learned</h2>\n<figure>\n{}\n<figcaption>\
             <span class=\"key\" style=\"color: var(--one)\"></span><span>rows trained on</span>{held_out}\
             </figcaption>\n</figure>\n<p>{} epochs in {:.1} s: {}.</p>\n",
            svg::curves(self.curves),
            self.epochs,
            self.seconds,
            escaped(self.why)
        );
    }

    fn predictions(&self, page: &mut String, target: &str) {
        page.push_str("<h2>What it predicts</h2>\n");
        match self.truth {
            Truth::Values { values, width } => {
                for (at, name) in self.encoder.targets().columns().iter().enumerate() {
                    let column = |all: &[f32]| -> Vec<f32> {
                        all.iter().skip(at).step_by((*width).max(1)).copied().collect()
                    };
                    let chart = svg::scatter(&column(values), &column(self.said), name);
                    let name = escaped(name);
                    let _ = write!(
                        page,
                        "<figure>\n{chart}\n<figcaption>Predicted against true {name}, of rows held out. \
                         On the line the prediction is right.</figcaption>\n</figure>\n"
                    );
                }
            }
            Truth::Classes { classes, .. } if *classes > MOST_CLASSES => {
                let _ = writeln!(
                    page,
                    "<p>There are {classes} classes, too many for a table of which is taken for which.</p>"
                );
            }
            Truth::Classes { labels, classes } => {
                // Of rows that were scored there is one.
                let Ok(matrix) = confusion(labels, self.said, *classes) else { return };
                let names: Vec<String> =
                    self.encoder.class_names().iter().map(|name| escaped(name)).collect();
                let _ = write!(
                    page,
                    "<div class=\"wide\" tabindex=\"0\">\n<table>\n<caption><span>Rows held out, by their true {target} and \
                     by the predicted one</span></caption>\n<thead><tr><th scope=\"col\">true</th>"
                );
                for name in &names {
                    let _ = write!(page, "<th scope=\"col\" class=\"number\">as {name}</th>");
                }
                page.push_str(
                    "<th scope=\"col\" class=\"number\">recall</th>\
                     <th scope=\"col\" class=\"number\">precision</th></tr></thead>\n<tbody>\n",
                );
                for (class, name) in names.iter().enumerate() {
                    let counts = || (0..*classes).map(|other| matrix.count(class, other));
                    let all = counts().sum::<u64>().max(1);
                    let _ = write!(page, "<tr><th scope=\"row\">{name}</th>");
                    for count in counts() {
                        let share = 60 * count / all;
                        let _ = write!(
                            page,
                            "<td class=\"cell\" style=\"--share: {share}%\">{count}</td>"
                        );
                    }
                    let shown = |share: Option<f64>| Figure(share.unwrap_or(0.0));
                    let (recall, precision) =
                        (shown(matrix.recall(class)), shown(matrix.precision(class)));
                    let _ = writeln!(
                        page,
                        "<td class=\"number\">{recall}</td><td class=\"number\">{precision}</td></tr>"
                    );
                }
                page.push_str("</tbody>\n</table>\n</div>\n");
            }
        }
    }

    fn importance(&self, page: &mut String) {
        let title = escaped(self.metric.title());
        let _ = write!(
            page,
            "<h2>Which columns matter</h2>\n<div class=\"wide\" tabindex=\"0\">\n<table>\n<caption><span>How much worse {title} \
             becomes when a column's values are dealt to other rows (mean of 5 ± deviation)</span></caption>\n\
             <thead><tr><th scope=\"col\">column</th><th scope=\"col\" class=\"number\">importance</th>\
             <th scope=\"col\" class=\"bar\"><span class=\"soft\">of the largest</span></th></tr></thead>\n<tbody>\n"
        );
        let largest = self.importance.first().map_or(0.0, |column| column.mean);
        for column in self.importance {
            let share = if largest > 0.0 { (column.mean / largest).max(0.0) * 100.0 } else { 0.0 };
            let _ = writeln!(
                page,
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{} ± {}</td>\
                 <td class=\"bar\"><div style=\"width: {share:.0}%\"></div></td></tr>",
                escaped(&column.column),
                Figure(column.mean),
                Figure(column.deviation)
            );
        }
        page.push_str("</tbody>\n</table>\n</div>\n");
    }

    fn columns(&self, page: &mut String) {
        page.push_str(
            "<h2>Columns</h2>\n<div class=\"wide\" tabindex=\"0\">\n<table>\n<thead><tr><th scope=\"col\">column</th>\
             <th scope=\"col\">taken for</th><th scope=\"col\" class=\"number\">features</th></tr></thead>\n<tbody>\n",
        );
        let mut row = |name: &str, what: &str, features: usize| {
            let (name, what) = (escaped(name), escaped(what));
            let _ = writeln!(
                page,
                "<tr><th scope=\"row\">{name}</th><td>{what}</td><td class=\"number\">{features}</td></tr>"
            );
        };
        for (column, range) in self.encoder.column_features() {
            row(&column.name, column.encoding.column_type().name(), range.len());
        }
        for column in self.encoder.left_out() {
            let what = match &column.reason {
                LeftOutReason::Constant(_) => "left out: one value in every row",
                _ => "ignored",
            };
            row(&column.name, what, 0);
        }
        let what = match self.encoder.targets() {
            TargetEncoding::Classes { classes, .. } => format!("target: {} classes", classes.len()),
            _ => "target: numbers".to_owned(),
        };
        for name in self.encoder.targets().columns() {
            row(name, &what, 0);
        }
        page.push_str("</tbody>\n</table>\n</div>\n");
    }

    fn repeat(&self, page: &mut String) {
        let _ = write!(
            page,
            "<h2>To repeat it</h2>\n<p>wgrad {}, on {}. The same table, settings, adapter and driver give the \
             same bits.</p>\n<pre>{}</pre>\n",
            env!("CARGO_PKG_VERSION"),
            escaped(&self.adapter),
            escaped(&self.command())
        );
    }

    /// The command with everything that was chosen.
    fn command(&self) -> String {
        let (args, choice) = (self.args, self.choice);
        let mut words = vec!["wgrad".to_owned(), "train".into(), args.table.display().to_string()];
        let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        if let Some(path) = &args.target_table {
            option("target-table", path.display().to_string());
        }
        let hidden: Vec<String> = choice.hidden.iter().map(usize::to_string).collect();
        // A model that is trained on brings its columns, layers and optimizer along.
        match args.model() {
            Some(path) => option("resume", path.display().to_string()),
            None => {
                option("target", self.encoder.targets().columns().join(","));
                option("task", self.task().to_owned());
                option("hidden", if hidden.is_empty() { "0".into() } else { hidden.join(",") });
                option("optimizer", choice.optimizer_name.into());
            }
        }
        for (name, list) in [
            ("ignore", &args.columns.ignore),
            ("categories", &args.columns.categories),
            ("missing-words", &args.columns.missing_words),
        ] {
            if !list.is_empty() {
                option(name, list.join(","));
            }
        }
        match args.columns.missing {
            None | Some(MissingName::Impute) => {}
            Some(MissingName::Drop) => option("missing", "drop".into()),
            Some(MissingName::Refuse) => option("missing", "refuse".into()),
        }
        if let Some(epochs) = args.epochs {
            option("epochs", epochs.to_string());
        }
        option("batch", choice.batch.to_string());
        option("rate", choice.rate.to_string());
        match args.folds {
            Some(folds) => option("folds", folds.to_string()),
            None => option("validation", args.validation.to_string()),
        }
        option("seed", args.seed.to_string());
        if args.class_weights == Some(ClassWeights::Balanced) {
            option("class-weights", "balanced".into());
        }
        words.iter().map(|word| shell_quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word for a shell.
fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,=+:@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        assert_eq!(shell_quoted("a b'c"), "'a b'\\''c'");
        assert_eq!(shell_quoted("x.csv"), "x.csv");
    }
}
