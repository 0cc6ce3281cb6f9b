//! How good a classifier's answers are: figures of its predictions that the device does not sum up.

use std::fmt;

use crate::{Error, Result};

/// Which classes were taken for which: a count for each pair of a true class and a predicted one.
///
/// ```
/// use wgrad::train::ConfusionMatrix;
/// let matrix = ConfusionMatrix::new(&[0, 0, 1, 1, 1], &[0, 1, 1, 1, 0], 2)?;
/// assert_eq!(matrix.count(1, 0), 1);
/// assert_eq!(matrix.accuracy(), 0.6);
/// assert_eq!(matrix.precision(1), Some(2.0 / 3.0));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// True class by predicted class.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// Of labels and what was predicted for them, one each per row.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are no rows, not as many of both, or a class is not below `classes`.
    pub fn new(labels: &[u32], predicted: &[u32], classes: usize) -> Result<Self> {
        check_rows("predicted classes", labels.len(), predicted.len(), 1)?;
        let mut counts = vec![0_u64; classes.saturating_mul(classes)];
        for (row, (&label, &answer)) in labels.iter().zip(predicted).enumerate() {
            for (what, class) in [("label", label), ("predicted class", answer)] {
                if class as usize >= classes {
                    let name = format!("{what} of row {row}");
                    return Err(Error::argument(
                        &name,
                        class,
                        &format!("below {classes}, the classes"),
                    ));
                }
            }
            let place = (label as usize).saturating_mul(classes).saturating_add(answer as usize);
            if let Some(count) = counts.get_mut(place) {
                *count = count.saturating_add(1);
            }
        }
        Ok(Self { classes, counts })
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Rows of class `label` that `predicted` was answered for; 0 if there is no such class.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        let within = label < self.classes && predicted < self.classes;
        let place = label.saturating_mul(self.classes).saturating_add(predicted);
        self.counts.get(place).copied().filter(|_| within).unwrap_or(0)
    }

    fn rows_of(&self, label: usize) -> u64 {
        (0..self.classes).map(|predicted| self.count(label, predicted)).sum()
    }

    fn answers_of(&self, predicted: usize) -> u64 {
        (0..self.classes).map(|label| self.count(label, predicted)).sum()
    }

    /// Share of the rows that were classified right.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }

    /// Of the rows for which `class` was answered, the share that is of it; `None` if it never was.
    pub fn precision(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.answers_of(class))
    }

    /// Of the rows of `class`, the share for which it was answered; `None` if there is none.
    pub fn recall(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.rows_of(class))
    }

    /// The harmonic mean of precision and recall: `2·right / (rows + answers)`; `None` if the class has neither.
    pub fn f1(&self, class: usize) -> Option<f64> {
        let all = self.rows_of(class).saturating_add(self.answers_of(class));
        share(self.count(class, class).saturating_mul(2), all)
    }

    /// The mean of F1 over the classes that have it.
    pub fn macro_f1(&self) -> f64 {
        let (sum, count) = (0..self.classes)
            .filter_map(|class| self.f1(class))
            .fold((0.0, 0_u32), |(sum, count), f1| (sum + f1, count.saturating_add(1)));
        sum / f64::from(count)
    }
}

fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// Rows are true classes, columns predicted ones.
impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.counts.iter().map(|count| count.to_string().len()).max().unwrap_or(1);
        for (number, row) in self.counts.chunks(self.classes.max(1)).enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            for (place, count) in row.iter().enumerate() {
                let space = if place > 0 { " " } else { "" };
                write!(f, "{space}{count:>widest$}")?;
            }
        }
        Ok(())
    }
}

/// The area under the receiver operating characteristic: how likely a row of the second class has a higher
/// score than one of the first, equal scores counted as half (Hanley and McNeil, 1982). `labels` are 0 or 1.
///
/// # Errors
/// [`Error::Argument`] if there are not as many scores as labels, a label is another, a score is NaN, or one
/// of the classes has no row.
pub fn roc_auc(labels: &[u32], scores: &[f32]) -> Result<f64> {
    check_rows("scores", labels.len(), scores.len(), 1)?;
    if let Some((row, label)) = labels.iter().enumerate().find(|&(_, &label)| label > 1) {
        return Err(Error::argument(
            &format!("label of row {row}"),
            label,
            "0 or 1: AUC is of two classes",
        ));
    }
    if let Some(row) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::argument(&format!("score of row {row}"), "NaN", "a number"));
    }
    let mut order: Vec<(f32, u32)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    order.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let positives = labels.iter().filter(|&&label| label == 1).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        let found = if positives == 0.0 { "only 0" } else { "only 1" };
        return Err(Error::argument("labels", found, "of both classes"));
    }
    // Pairs in which the row of the second class is the higher one.
    let (mut below, mut pairs) = (0.0, 0.0);
    for equal in order.chunk_by(|(one, _), (other, _)| one == other) {
        let of_second = equal.iter().filter(|&&(_, label)| label == 1).count() as f64;
        let of_first = equal.len() as f64 - of_second;
        pairs += of_second * (below + of_first / 2.0);
        below += of_first;
    }
    Ok(pairs / (positives * negatives))
}

/// Share of the rows whose class is among the `k` largest of `outputs` (rows × classes); of equal outputs those of
/// the lower classes come first.
///
/// # Errors
/// [`Error::Argument`] if `k` or `classes` is 0, there are not as many outputs as rows times classes, a label is not
/// below `classes`, or an output is NaN.
pub fn top_k_accuracy(labels: &[u32], outputs: &[f32], classes: usize, k: usize) -> Result<f64> {
    if k == 0 || classes == 0 {
        let (name, value) = if k == 0 { ("k", k) } else { ("classes", classes) };
        return Err(Error::argument(name, value, "at least 1"));
    }
    check_rows("outputs", labels.len(), outputs.len(), classes)?;
    let mut right = 0_usize;
    for (row, (&label, outputs)) in labels.iter().zip(outputs.chunks(classes)).enumerate() {
        let Some(own) = outputs.get(label as usize) else {
            let rule = format!("below {classes}, the classes");
            return Err(Error::argument(&format!("label of row {row}"), label, &rule));
        };
        if outputs.iter().any(|output| output.is_nan()) {
            return Err(Error::argument(&format!("output of row {row}"), "NaN", "a number"));
        }
        let before = outputs.iter().take(label as usize).filter(|&other| other >= own).count();
        let after = outputs.iter().skip(label as usize).filter(|&other| other > own).count();
        right = right.saturating_add(usize::from(before.saturating_add(after) < k));
    }
    Ok(right as f64 / labels.len() as f64)
}

fn check_rows(what: &str, rows: usize, count: usize, width: usize) -> Result<()> {
    if rows == 0 {
        return Err(Error::argument("number of rows", rows, "at least 1"));
    }
    let wanted = rows.saturating_mul(width);
    if count != wanted {
        let rule = format!("{wanted}, for {rows} rows");
        return Err(Error::argument(&format!("number of {what}"), count, &rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    /// Figures that scikit-learn 1.5 gives for the same labels and answers.
    #[test]
    fn figures_are_those_of_scikit_learn() {
        let labels = [0, 1, 2, 2, 1, 0, 2, 1, 0, 0];
        let answers = [0, 2, 2, 2, 1, 0, 1, 1, 1, 0];
        let matrix = ConfusionMatrix::new(&labels, &answers, 3).unwrap();
        let counts: Vec<u64> = (0..9).map(|place| matrix.count(place / 3, place % 3)).collect();
        assert_eq!(counts, [3, 1, 0, 0, 2, 1, 0, 1, 2]);
        assert_eq!(matrix.to_string(), "3 1 0\n0 2 1\n0 1 2");
        assert_abs_diff_eq!(matrix.accuracy(), 0.7);
        let of = |figure: fn(&ConfusionMatrix, usize) -> Option<f64>| {
            (0..3).map(|class| figure(&matrix, class).unwrap()).collect::<Vec<_>>()
        };
        let expected = [
            (of(ConfusionMatrix::precision), [1.0, 0.5, 2.0 / 3.0]),
            (of(ConfusionMatrix::recall), [0.75, 2.0 / 3.0, 2.0 / 3.0]),
            (of(ConfusionMatrix::f1), [6.0 / 7.0, 4.0 / 7.0, 2.0 / 3.0]),
        ];
        for (found, expected) in expected {
            for (found, expected) in found.iter().zip(expected) {
                assert_abs_diff_eq!(*found, expected, epsilon = 1e-12);
            }
        }
        assert_abs_diff_eq!(matrix.macro_f1(), (6.0 / 7.0 + 4.0 / 7.0 + 2.0 / 3.0) / 3.0);
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4];
        assert_abs_diff_eq!(roc_auc(&[0, 0, 1, 1, 1], &scores).unwrap(), 0.75);
        let outputs = [0.5, 0.2, 0.2, 0.3, 0.4, 0.2, 0.2, 0.4, 0.3, 0.7, 0.2, 0.1];
        assert_abs_diff_eq!(top_k_accuracy(&[0, 1, 2, 2], &outputs, 3, 2).unwrap(), 0.75);
        assert_abs_diff_eq!(top_k_accuracy(&[0, 1, 2, 2], &outputs, 3, 3).unwrap(), 1.0);
    }

    #[test]
    fn a_class_without_rows_or_answers_has_no_share() {
        let matrix = ConfusionMatrix::new(&[0, 0], &[1, 1], 3).unwrap();
        assert_eq!((matrix.precision(0), matrix.recall(0)), (None, Some(0.0)));
        assert_eq!((matrix.precision(1), matrix.recall(1)), (Some(0.0), None));
        assert_eq!((matrix.f1(0), matrix.f1(2)), (Some(0.0), None));
        assert_eq!((matrix.macro_f1(), matrix.count(7, 0), matrix.count(0, 7)), (0.0, 0, 0));
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let said = |error: Error, said: &str| {
            let error = error.to_string();
            assert!(error.contains(said), "{error}");
        };
        said(ConfusionMatrix::new(&[], &[], 2).unwrap_err(), "number of rows is 0");
        said(
            ConfusionMatrix::new(&[0, 1], &[0], 2).unwrap_err(),
            "number of predicted classes is 1",
        );
        said(ConfusionMatrix::new(&[0, 2], &[0, 1], 2).unwrap_err(), "label of row 1 is 2");
        said(ConfusionMatrix::new(&[0], &[5], 2).unwrap_err(), "predicted class of row 0 is 5");
        said(roc_auc(&[0, 2], &[0.5, 0.5]).unwrap_err(), "label of row 1 is 2");
        said(roc_auc(&[0, 1], &[0.5, f32::NAN]).unwrap_err(), "score of row 1 is NaN");
        said(roc_auc(&[1, 1], &[0.5, 0.5]).unwrap_err(), "labels is only 1");
        said(top_k_accuracy(&[0], &[0.5], 1, 0).unwrap_err(), "k is 0");
        said(top_k_accuracy(&[0], &[0.5], 2, 1).unwrap_err(), "number of outputs is 1");
        said(top_k_accuracy(&[3], &[0.5, 0.5], 2, 1).unwrap_err(), "label of row 0 is 3");
        said(top_k_accuracy(&[0], &[f32::NAN], 1, 1).unwrap_err(), "output of row 0 is NaN");
    }
}
