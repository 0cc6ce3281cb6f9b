//! Explanations of single rows.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::{Explainer, Points, Quadrature, as_f32, copy_row};
use crate::blocks::at_least_one;
use crate::{Error, Result};

/// What the numbers of rows add to an output on the way from a baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Integrated {
    /// As many numbers as the rows.
    pub attributions: Vec<f32>,
    /// For each row, the sum of its attributions less what the output differs by between the row and the baseline: 0,
    /// but for what the quadrature misses and rounding ("completeness"; Sundararajan et al., 2017).
    pub gaps: Vec<f64>,
}

/// What is covered at a time: so many neighbours along each axis of a row, moved on by so many.
#[derive(Clone, Debug, PartialEq)]
pub struct Window<'a> {
    /// The extents of a row: `[8, 8]` of small images, `[width]` of plain features.
    pub row: &'a [usize],
    /// The extents of the window.
    pub size: &'a [usize],
    /// How far it moves along each axis.
    pub step: &'a [usize],
}

impl Explainer {
    /// How the target changes with each number of each row: the gradients, and with [`saliency`](Self::saliency) their
    /// sizes.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `rows` are whole rows of finite numbers and `targets` one output of each, or one for
    /// all; the errors of the device.
    pub async fn gradients(&mut self, rows: &[f32], targets: &[usize]) -> Result<Vec<f32>> {
        let count = self.check(rows)?;
        let (targets, width) = (self.targets(targets, count)?, self.width);
        let mut all = Vec::with_capacity(rows.len());
        let points = Points {
            count,
            write: &|i, to| copy_row(rows, width, i, to),
            target: &|i| targets.get(i).copied().unwrap_or(0),
        };
        self.run(points, &mut |_, _, gradient| all.extend_from_slice(gradient)).await?;
        Ok(all)
    }

    /// The sizes of the gradients (Simonyan et al., 2014).
    ///
    /// # Errors
    /// As for [`Explainer::gradients`].
    pub async fn saliency(&mut self, rows: &[f32], targets: &[usize]) -> Result<Vec<f32>> {
        let gradients = self.gradients(rows, targets).await?;
        Ok(gradients.into_iter().map(f32::abs).collect())
    }

    /// Each number times the gradient by it; of a linear model, what it adds to the output.
    ///
    /// # Errors
    /// As for [`Explainer::gradients`].
    pub async fn gradient_times_input(
        &mut self,
        rows: &[f32],
        targets: &[usize],
    ) -> Result<Vec<f32>> {
        let gradients = self.gradients(rows, targets).await?;
        Ok(gradients.into_iter().zip(rows).map(|(gradient, value)| gradient * value).collect())
    }

    /// The mean of the gradients at `samples` rows around each, whose numbers are normally distributed with this
    /// deviation (SmoothGrad; Smilkov et al., 2017).
    ///
    /// # Errors
    /// As for [`Explainer::gradients`]; and if there are no samples or the deviation is negative or not finite.
    pub async fn smooth_grad(
        &mut self,
        rows: &[f32],
        targets: &[usize],
        samples: usize,
        deviation: f32,
        seed: u64,
    ) -> Result<Vec<f32>> {
        let count = self.check(rows)?;
        at_least_one("number of samples", samples)?;
        if !(deviation >= 0.0 && deviation.is_finite()) {
            let rule = "0 or a positive, finite number";
            return Err(Error::argument("deviation of the samples", deviation, rule));
        }
        let (targets, width) = (self.targets(targets, count)?, self.width);
        let mut sums = vec![0.0; rows.len()];
        let points = Points {
            count: points_of(count, samples)?,
            write: &|i, to| {
                copy_row(rows, width, i / samples, to);
                // A generator for each sample, so that none depends on how many are in a batch.
                let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ ((i as u64) << 20));
                for value in to {
                    *value += deviation * normal(&mut random);
                }
            },
            target: &|i| targets.get(i / samples).copied().unwrap_or(0),
        };
        self.run(points, &mut |i, _, gradient| {
            let sums = sums.iter_mut().skip(i / samples * width);
            sums.zip(gradient).for_each(|(sum, value)| *sum += f64::from(*value));
        })
        .await?;
        Ok(as_f32(sums.into_iter().map(|sum| sum / samples as f64).collect()))
    }

    /// What each number adds to the target on the straight way from `baseline`, a row: the integral of the gradient
    /// along it, times the way (integrated gradients; Sundararajan et al., 2017).
    ///
    /// Of a model that trains meanwhile, calls of more than one batch (256 points, rows × points of the quadrature) see
    /// other weights in each: then the gaps say no longer how far the quadrature is off.
    ///
    /// # Errors
    /// As for [`Explainer::gradients`]; and if the baseline is no row of finite numbers, or the quadrature has no points or more
    /// than [`Quadrature::MOST`].
    pub async fn integrated_gradients(
        &mut self,
        rows: &[f32],
        targets: &[usize],
        baseline: &[f32],
        quadrature: Quadrature,
    ) -> Result<Integrated> {
        let count = self.check(rows)?;
        if self.check(baseline)? != 1 {
            let rule = format!("{}, one row", self.width);
            return Err(Error::argument("numbers of the baseline", baseline.len(), &rule));
        }
        quadrature.check()?;
        let path = quadrature.points();
        let from = |_: usize, _: usize| baseline;
        self.along_paths(rows, targets, count, &path, &from).await
    }

    /// As integrated gradients, averaged over ways from rows of `background`, each at one random place of it (expected
    /// gradients; Erion et al., 2021; also known as GradientSHAP).
    ///
    /// The gaps are against the mean output of the rows that were drawn.
    ///
    /// # Errors
    /// As for [`Explainer::gradients`]; and if the background is no whole rows of finite numbers, or there are no samples.
    pub async fn expected_gradients(
        &mut self,
        rows: &[f32],
        targets: &[usize],
        background: &[f32],
        samples: usize,
        seed: u64,
    ) -> Result<Integrated> {
        let count = self.check(rows)?;
        let others = self.check(background)?;
        at_least_one("number of samples", samples)?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        // One place in each of as many equal parts of the way: less chance in the mean.
        let path: Vec<(f64, f64)> = (0..samples)
            .map(|i| ((i as f64 + random.random::<f64>()) / samples as f64, 1.0 / samples as f64))
            .collect();
        let drawn: Vec<usize> = (0..points_of(count, samples)?)
            .map(|_| (random.random::<f64>() * others as f64) as usize)
            .collect();
        let width = self.width;
        let from = |row: usize, step: usize| {
            let other = drawn.get(row * samples + step).copied().unwrap_or(0);
            background.get(other * width..(other + 1) * width).unwrap_or_default()
        };
        self.along_paths(rows, targets, count, &path, &from).await
    }

    /// `from` is the row at which the way to a row begins, for each point of its path.
    async fn along_paths<'a>(
        &mut self,
        rows: &[f32],
        targets: &[usize],
        count: usize,
        path: &[(f64, f64)],
        from: &(dyn Fn(usize, usize) -> &'a [f32] + Sync),
    ) -> Result<Integrated> {
        let (targets, width, steps) = (self.targets(targets, count)?, self.width, path.len());
        let target = |row: usize| targets.get(row).copied().unwrap_or(0);
        let row_of = |row: usize| rows.get(row * width..(row + 1) * width).unwrap_or_default();
        let mut attributions = vec![0.0; rows.len()];
        let points = Points {
            count: points_of(count, steps)?,
            write: &|i, to| {
                let place = path.get(i % steps).map_or(0.0, |(place, _)| *place);
                let ends = from(i / steps, i % steps).iter().zip(row_of(i / steps));
                for (to, (&start, &end)) in to.iter_mut().zip(ends) {
                    let (start, end) = (f64::from(start), f64::from(end));
                    *to = (start + place * (end - start)) as f32;
                }
            },
            target: &|i| target(i / steps),
        };
        self.run(points, &mut |i, _, gradient| {
            let weight = path.get(i % steps).map_or(0.0, |(_, weight)| *weight);
            let ends = from(i / steps, i % steps).iter().zip(row_of(i / steps));
            let sums = attributions.iter_mut().skip(i / steps * width);
            for ((sum, (&start, &end)), &slope) in sums.zip(ends).zip(gradient) {
                *sum += weight * f64::from(slope) * (f64::from(end) - f64::from(start));
            }
        })
        .await?;
        // The ends of all ways.
        let mut gaps: Vec<f64> =
            attributions.chunks(width).map(|row| row.iter().sum::<f64>()).collect();
        let ends = Points {
            count: points_of(count, steps + 1)?,
            write: &|i, to| {
                let (row, step) = (i / (steps + 1), i % (steps + 1));
                let of = if step == steps { row_of(row) } else { from(row, step) };
                to.iter_mut().zip(of).for_each(|(to, value)| *to = *value);
            },
            target: &|i| target(i / (steps + 1)),
        };
        self.run(ends, &mut |i, outputs, _| {
            let (row, step) = (i / (steps + 1), i % (steps + 1));
            let value = outputs.get(target(row)).copied().map_or(0.0, f64::from);
            let weight = path.get(step).map_or(-1.0, |(_, weight)| *weight);
            if let Some(gap) = gaps.get_mut(row) {
                *gap += weight * value;
            }
        })
        .await?;
        Ok(Integrated { attributions: as_f32(attributions), gaps })
    }

    /// What the target loses where a window of the row is covered with `cover`; where several windows cover a number,
    /// their mean, and 0 where none does (Zeiler and Fergus, 2014).
    ///
    /// # Errors
    /// As for [`Explainer::gradients`]; and if the window does not fit the rows or `cover` is not finite.
    pub async fn occlusion(
        &mut self,
        rows: &[f32],
        targets: &[usize],
        window: Window<'_>,
        cover: f32,
    ) -> Result<Vec<f32>> {
        let count = self.check(rows)?;
        if !cover.is_finite() {
            return Err(Error::argument("what covers", cover, "finite"));
        }
        let covered = window.places(self.width)?;
        let (targets, width) = (self.targets(targets, count)?, self.width);
        let steps = covered.len() + 1;
        let target = |i: usize| targets.get(i / steps).copied().unwrap_or(0);
        let mut lost = vec![0.0; rows.len()];
        let mut whole = 0.0;
        let points = Points {
            count: points_of(count, steps)?,
            // The first of each row is the row itself.
            write: &|i, to| {
                copy_row(rows, width, i / steps, to);
                for &place in
                    (i % steps).checked_sub(1).and_then(|i| covered.get(i)).into_iter().flatten()
                {
                    if let Some(value) = to.get_mut(place) {
                        *value = cover;
                    }
                }
            },
            target: &target,
        };
        self.run(points, &mut |i, outputs, _| {
            let value = outputs.get(target(i)).copied().map_or(0.0, f64::from);
            let Some(places) = (i % steps).checked_sub(1).and_then(|i| covered.get(i)) else {
                whole = value;
                return;
            };
            for place in places {
                if let Some(lost) = lost.get_mut(i / steps * width + place) {
                    *lost += whole - value;
                }
            }
        })
        .await?;
        let times = |place: usize| covered.iter().filter(|places| places.contains(&place)).count();
        let times: Vec<f64> = (0..width).map(|place| times(place).max(1) as f64).collect();
        let means = lost.iter().zip(times.iter().cycle()).map(|(lost, times)| lost / times);
        Ok(as_f32(means.collect()))
    }
}

impl Window<'_> {
    /// For each place of the window, which numbers of a row of `width` it covers.
    fn places(&self, width: usize) -> Result<Vec<Vec<usize>>> {
        let Self { row, size, step } = *self;
        let axes = row.len();
        if row.iter().product::<usize>() != width || axes == 0 {
            let rule = format!("extents whose product is {width}, the numbers of a row");
            return Err(Error::argument("extents of a row", format!("{row:?}"), &rule));
        }
        let fits = |(extent, size): (&usize, &usize)| *size > 0 && size <= extent;
        if size.len() != axes || !row.iter().zip(size).all(fits) {
            let rule =
                format!("as many as those of a row, {row:?}, each at least 1 and not beyond");
            return Err(Error::argument("extents of the window", format!("{size:?}"), &rule));
        }
        if step.len() != axes || step.contains(&0) {
            let rule = format!("{axes} numbers, each at least 1");
            return Err(Error::argument("steps of the window", format!("{step:?}"), &rule));
        }
        // Axis by axis: the places of the window so far, and what each covers.
        let mut places = vec![vec![0]];
        for ((&extent, &size), &step) in row.iter().zip(size).zip(step) {
            let starts: Vec<usize> = (0..=extent - size).step_by(step).collect();
            let along = |covered: &Vec<usize>, start: usize| -> Vec<usize> {
                let on = covered.iter().flat_map(|&at| (start..start + size).map(move |i| (at, i)));
                on.map(|(at, i)| at * extent + i).collect()
            };
            places = places
                .iter()
                .flat_map(|covered| starts.iter().map(move |&start| along(covered, start)))
                .collect();
        }
        Ok(places)
    }
}

/// # Errors
/// [`Error::Argument`] if there are more points than a computer counts.
fn points_of(rows: usize, each: usize) -> Result<usize> {
    rows.checked_mul(each).ok_or_else(|| {
        Error::argument("points", format!("{rows} × {each}"), "fewer; explain fewer rows at a time")
    })
}

/// A normally distributed number (Box and Muller).
fn normal(random: &mut Xoshiro256PlusPlus) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * random.random::<f64>()).cos()) as f32
}
