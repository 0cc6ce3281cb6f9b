//! Stretches of time, `(start, end)` in seconds, and what they cover.

/// Sorted stretches that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cover(Vec<(f64, f64)>);

impl Cover {
    /// What `stretches` cover together, in any order, nested or overlapping. Stretches that are
    /// empty, reversed or not finite cover nothing.
    pub(super) fn of(stretches: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let lasts =
            |&(start, end): &(f64, f64)| start.is_finite() && end.is_finite() && start < end;
        let mut sorted: Vec<_> = stretches.into_iter().filter(lasts).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut covered: Vec<(f64, f64)> = Vec::new();
        for (start, end) in sorted {
            match covered.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => covered.push((start, end)),
            }
        }
        Self(covered)
    }

    /// Seconds covered.
    pub(super) fn seconds(&self) -> f64 {
        self.0.iter().fold(0.0, |sum, (start, end)| sum + (end - start))
    }

    /// What both cover.
    pub(super) fn and(&self, other: &Self) -> Self {
        let (mut i, mut j, mut both) = (0, 0, Vec::new());
        while let (Some(a), Some(b)) = (self.0.get(i), other.0.get(j)) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start < end {
                both.push((start, end));
            }
            // The one that ends first meets nothing more.
            if a.1 < b.1 { i += 1 } else { j += 1 }
        }
        Self(both)
    }

    /// What at least `count` of `covers` cover.
    pub(super) fn at_least(count: usize, covers: &[Self]) -> Self {
        let edges = |cover: &Self| {
            let edge = |&(start, end): &(f64, f64)| [(start, 1), (end, -1)];
            cover.0.iter().flat_map(edge).collect::<Vec<_>>()
        };
        let mut edges: Vec<(f64, i64)> = covers.iter().flat_map(edges).collect();
        // Starts before ends, so that two stretches that touch are one.
        edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let (mut depth, mut since, mut found) = (0, 0.0, Vec::new());
        for (time, change) in edges {
            let enough = |depth: i64| depth >= count as i64;
            match (enough(depth), enough(depth + change)) {
                (false, true) => since = time,
                (true, false) if since < time => found.push((since, time)),
                _ => {}
            }
            depth += change;
        }
        Self(found)
    }
}
