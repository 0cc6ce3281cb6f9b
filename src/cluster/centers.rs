//! Centres of clusters, in the frame of the rows.

use crate::blocks::{Frame, Table};
use crate::{Error, Result};

/// Points with as many numbers as rows have columns; all of them are ones that f32 holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Centers {
    pub(super) columns: usize,
    pub(super) values: Vec<f64>,
}

/// Who is told of the number of an iteration, its centres and the clusters of the rows.
pub(super) type Told<'a> = dyn FnMut(usize, &Centers, &[u32]) + Send + 'a;

impl Centers {
    pub(super) fn none(columns: usize) -> Self {
        Self { columns, values: Vec::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    pub(super) fn of(&self, center: usize) -> &[f64] {
        let start = center * self.columns;
        self.values.get(start..start + self.columns).unwrap_or_default()
    }

    /// As many more as there are rows, that lie where these do.
    pub(super) fn push_rows(&mut self, table: &Table<'_>, rows: &[usize]) -> Result<()> {
        let given = table.rows_at(rows)?;
        let seen = given.chunks(self.columns).flat_map(|row| table.frame.seen_f32(row));
        self.values.extend(seen.map(f64::from));
        Ok(())
    }

    /// One more, rounded to what f32 holds.
    pub(super) fn push(&mut self, point: impl Iterator<Item = f64>) {
        self.values.extend(point.map(|value| f64::from(value as f32)));
    }

    /// Puts a centre elsewhere, rounded to what f32 holds.
    pub(super) fn replace(&mut self, center: usize, point: impl Iterator<Item = f64>) {
        let values = self.values.iter_mut().skip(center * self.columns).take(self.columns);
        values.zip(point).for_each(|(value, new)| *value = f64::from(new as f32));
    }

    /// As rows are given, not as they are seen.
    pub(super) fn back(&self, frame: &Frame) -> Vec<f32> {
        let rows = self.values.chunks(self.columns.max(1));
        rows.flat_map(|row| frame.back(row).map(|value| value as f32)).collect()
    }

    pub(super) fn squared_norms(&self) -> Vec<f64> {
        self.values.chunks(self.columns.max(1)).map(squared_norm).collect()
    }

    /// Columns × `room`, and minus half the squared norm of each: what scores are made of. Where there are fewer
    /// than there is room for, the first again, which wins all ties with itself.
    pub(super) fn for_device(&self, room: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let count = self.count();
        if count == 0 || count > room {
            return Err(Error::bug(format!("{count} centres, and room for {room}")));
        }
        let all = || (0..room).map(|place| if place < count { place } else { 0 });
        let mut transposed = Vec::with_capacity(room * self.columns);
        for column in 0..self.columns {
            let of = |center: usize| self.of(center).get(column).copied().unwrap_or(0.0) as f32;
            transposed.extend(all().map(of));
        }
        let offsets = all().map(|center| (-0.5 * squared_norm(self.of(center))) as f32).collect();
        Ok((transposed, offsets))
    }
}

pub(super) fn squared_norm(point: &[f64]) -> f64 {
    point.iter().map(|value| value * value).sum()
}

/// ‖x - c‖², from differences.
pub(super) fn squared_distance(row: impl Iterator<Item = f64>, center: &[f64]) -> f64 {
    row.zip(center).map(|(x, c)| (x - c) * (x - c)).sum()
}

/// ‖x - c‖² from a device's score, or from differences where the row lies so near that the score's digits would
/// say little: less than a thirtieth of the way to the origin.
pub(super) fn distance_by_score(
    (frame, row): (&Frame, &[f32]),
    row_norm: f64,
    score: f32,
    center: &[f64],
    center_norm: f64,
) -> f64 {
    let squared = row_norm - 2.0 * f64::from(score);
    if squared < 1e-3 * (row_norm + center_norm) {
        return squared_distance(frame.seen(row), center);
    }
    squared
}
