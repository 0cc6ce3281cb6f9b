//! Which rows are trained on, and which are held out.

use wgrad::data::{Dataset, Targets, permutation};

use crate::failure::{Failure, Outcome};

/// The rows of a table in parts of about equal size. `classes` has the class of each row, if there are
/// such: then every part has its share of every class, and a class of a single row is in the first part.
pub fn parts(rows: usize, classes: Option<&[u32]>, parts: usize, seed: u64) -> Vec<Vec<usize>> {
    let order = permutation(rows, seed).into_iter().map(|row| row as usize);
    let mut order: Vec<usize> = order.collect();
    if let Some(classes) = classes {
        // Stable: within a class the order stays the drawn one.
        order.sort_by_key(|&row| classes.get(row).copied().unwrap_or(0));
    }
    let mut dealt = vec![Vec::new(); parts.max(1)];
    for (place, row) in order.into_iter().enumerate() {
        let count = dealt.len();
        if let Some(part) = dealt.get_mut(place % count) {
            part.push(row);
        }
    }
    dealt
}

/// Rows to train on and rows held out, about `share` of them, of every class its share; one of each class
/// is always trained on.
pub fn held_out(
    rows: usize,
    classes: Option<&[u32]>,
    share: f64,
    seed: u64,
) -> Outcome<(Vec<usize>, Vec<usize>)> {
    if !(share > 0.0 && share < 1.0) {
        let message = format!("--validation is {share}; it must be between 0 and 1, such as 0.2");
        return Err(Failure::usage(message));
    }
    let mut order: Vec<usize> =
        permutation(rows, seed).into_iter().map(|row| row as usize).collect();
    let of = |row: usize| classes.and_then(|classes| classes.get(row)).copied().unwrap_or(0);
    order.sort_by_key(|&row| of(row));
    let (mut training, mut held) = (Vec::new(), Vec::new());
    for class in order.chunk_by(|&a, &b| of(a) == of(b)) {
        let count = (class.len() as f64 * share).round() as usize;
        let count = count.min(class.len().saturating_sub(1));
        let (out, rest) = class.split_at(count);
        held.extend(out);
        training.extend(rest);
    }
    if held.is_empty() {
        let few = if classes.is_some() { ", a few of each class" } else { "" };
        return Err(Failure::new(format!(
            "the table has {rows} rows{few}, of which {share} leave none to hold out; bring more rows, or raise \
             --validation"
        )));
    }
    // Neighbours of one class would make batches of one class where rows are not shuffled.
    training.sort_unstable();
    held.sort_unstable();
    Ok((training, held))
}

/// The classes of a data set's rows.
pub fn classes(data: &Dataset) -> Option<&[u32]> {
    match data.targets() {
        Targets::Classes { labels, .. } => Some(labels),
        Targets::Values { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_on_both_sides() {
        let classes: Vec<u32> = (0..100).map(|row| u32::from(row % 10 == 0)).chain([2]).collect();
        let (training, held) = held_out(101, Some(&classes), 0.2, 7).unwrap();
        let count = |rows: &[usize], class| rows.iter().filter(|&&r| classes[r] == class).count();
        assert_eq!([0, 1, 2].map(|class| count(&held, class)), [18, 2, 0]);
        assert_eq!([0, 1, 2].map(|class| count(&training, class)), [72, 8, 1]);
        let mut all: Vec<usize> = training.into_iter().chain(held).collect();
        all.sort_unstable();
        assert_eq!(all, (0..101).collect::<Vec<_>>());
        assert_eq!(held_out(101, Some(&classes), 0.2, 7).unwrap().1.len(), 20);
        assert!(held_out(10, None, 1.0, 0).is_err() && held_out(10, None, f64::NAN, 0).is_err());
        assert!(held_out(2, None, 0.1, 0).is_err());
    }

    #[test]
    fn parts_are_equal_and_have_all_classes() {
        let classes: Vec<u32> = (0..90).map(|row| u32::from(row % 3 == 0)).collect();
        let parts = parts(90, Some(&classes), 4, 0);
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 90);
        for part in &parts {
            let ones = part.iter().filter(|&&row| classes[row] == 1).count();
            assert!((22..=23).contains(&part.len()) && (7..=8).contains(&ones), "{part:?}");
        }
    }
}
