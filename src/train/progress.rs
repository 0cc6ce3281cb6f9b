//! Where a training stands among its epochs.
#![deny(clippy::arithmetic_side_effects)]

use crate::Result;
use crate::data::Data;

/// What an epoch is over: rows of a data set, in batches.
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// Checksum of the data set.
    pub data: u64,
    /// Rows that are trained on.
    pub rows: usize,
    /// Rows of a batch, at most as many as there are.
    pub batch: usize,
}

impl Course {
    /// Over the first `rows` rows of `data`, in batches of `batch`.
    ///
    /// # Errors
    /// If rows of a source cannot be read.
    pub(crate) fn new(data: Data<'_>, rows: usize, batch: usize) -> Result<Self> {
        Ok(Self { data: data.checksum()?, rows, batch: batch.min(rows) })
    }

    /// Batches of an epoch.
    fn batches(self) -> u64 {
        self.rows.div_ceil(self.batch.max(1)).max(1) as u64
    }
}

/// Epochs that are over, and the one that was begun. An epoch that is broken off, by an error, a
/// callback or a dropped future, goes on in the next training over the same course; over another one,
/// what is left of it is left out.
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Epochs that are over.
    pub epochs: u64,
    /// Batches done of the epoch at hand.
    pub batches: u64,
    /// What the epoch at hand is over; nothing before the first.
    pub course: Option<Course>,
}

impl Progress {
    /// That of `steps` steps over one course, from the first epoch on.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn after(steps: u64, course: Course) -> Self {
        Self { course: Some(course), ..Self::default() }.plus(steps)
    }

    /// Where a training over `course` goes on.
    pub(crate) fn entering(self, course: Course) -> Self {
        let same = self.course == Some(course);
        let begun = u64::from(!same && self.batches > 0);
        let batches = if same { self.batches } else { 0 };
        Self { epochs: self.epochs.saturating_add(begun), batches, course: Some(course) }
    }

    /// Whether both are over the same rows in the same batches.
    pub(crate) fn is_over_course_of(&self, other: &Self) -> bool {
        self.course == other.course
    }

    /// `steps` steps later.
    pub(crate) fn plus(self, steps: u64) -> Self {
        self.moved(|place| place.saturating_add(u128::from(steps)))
    }

    /// `steps` steps, all over the course at hand, earlier.
    pub(crate) fn minus(self, steps: u64) -> Self {
        self.moved(|place| place.saturating_sub(u128::from(steps)))
    }

    /// Moved among the batches of all epochs.
    fn moved(self, by: impl Fn(u128) -> u128) -> Self {
        let Some(course) = self.course else { return self };
        let of_epoch = u128::from(course.batches());
        let place = u128::from(self.epochs).saturating_mul(of_epoch);
        let place = by(place.saturating_add(u128::from(self.batches)));
        let part = |number: Option<u128>| number.and_then(|n| u64::try_from(n).ok());
        let epochs = part(place.checked_div(of_epoch)).unwrap_or(u64::MAX);
        Self { epochs, batches: part(place.checked_rem(of_epoch)).unwrap_or(0), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{AsData, Dataset};

    fn course(rows: usize, batch: usize) -> Course {
        let data = Dataset::regression(vec![0.0; rows], 1, vec![0.0; rows], 1);
        Course::new(data.unwrap().as_data(), rows, batch).unwrap()
    }

    fn of(progress: Progress) -> (u64, u64) {
        (progress.epochs, progress.batches)
    }

    #[test]
    fn an_epoch_goes_on_over_its_own_course_alone() {
        let (mine, other) = (course(10, 4), course(10, 5));
        let begun = Progress::default().entering(mine).plus(5);
        assert_eq!(of(begun), (1, 2));
        assert_eq!(of(begun.entering(mine)), (1, 2));
        assert_eq!(of(begun.entering(other)), (2, 0));
        assert_eq!(of(begun.minus(3)), (0, 2));
        assert_eq!(of(begun.plus(1).entering(other)), (2, 0));
        assert_eq!(Progress::after(5, mine), begun);
    }

    #[test]
    fn places_end_with_their_type() {
        let one = course(3, usize::MAX);
        assert_eq!(of(Progress::after(u64::MAX, one).plus(9)), (u64::MAX, 0));
        assert_eq!(of(Progress::after(2, one).minus(9)), (0, 0));
        assert_eq!(of(Progress::default().plus(7)), (0, 0));
    }
}
