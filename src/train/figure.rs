//! The figures of an epoch, and their names.

use std::fmt;
use std::str::FromStr;

use crate::nn::{Direction, Metric};
use crate::{Error, Result};

/// A figure of an epoch: the loss or a metric, over the rows of training or those of validation.
///
/// Its name is `loss` or that of the metric, and after `val_` the same of the validation:
///
/// ```
/// use wgrad::nn::{Direction, Metric};
/// use wgrad::train::Figure;
/// let figure: Figure = "val_accuracy".parse()?;
/// assert_eq!(figure, Figure { validation: true, metric: Some(Metric::Accuracy) });
/// assert_eq!(figure.direction(), Direction::Larger);
/// assert!("val_acuracy".parse::<Figure>().is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Figure {
    /// Whether it is over the rows of the validation.
    pub validation: bool,
    /// The metric; `None` for the loss.
    pub metric: Option<Metric>,
}

/// What stands before the name of a figure of the validation.
const VALIDATION: &str = "val_";

impl Figure {
    /// Whether it is better if larger or if smaller.
    pub fn direction(self) -> Direction {
        self.metric.map_or(Direction::Smaller, Metric::direction)
    }

    /// The figures of an epoch with these metrics, with or without a validation.
    pub(super) fn all(metrics: &[Metric], validates: bool) -> Vec<Figure> {
        let of = |validation: bool| {
            let metrics = metrics.iter().copied().map(Some);
            std::iter::once(None).chain(metrics).map(move |metric| Figure { validation, metric })
        };
        of(false).chain(validates.then_some(true).into_iter().flat_map(of)).collect()
    }

    /// The figure called `name`, which must be among `figures`; `what` is it to the caller.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists them and says how to have the one that is not there.
    pub(super) fn among(figures: &[Figure], what: &str, name: &str) -> Result<Figure> {
        if let Some(figure) = figures.iter().find(|figure| figure.to_string() == name) {
            return Ok(*figure);
        }
        let known = name.parse::<Figure>();
        let names: Vec<String> = figures.iter().map(Figure::to_string).collect();
        let mut rule = format!("one of this training's: {}", names.join(", "));
        if let Ok(figure) = known {
            if figure.validation && !figures.iter().any(|figure| figure.validation) {
                rule +=
                    "; give `FitOptions` validation data for it (`validation`, `validation_split`)";
            }
            if let Some(metric) = figure.metric
                && !figures.iter().any(|figure| figure.metric == Some(metric))
            {
                rule +=
                    &format!("; give `TrainingConfig` the metric for it (`Metric::{metric:?}`)");
            }
        }
        Err(Error::argument(what, format!("'{name}'"), &rule))
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.validation { VALIDATION } else { "" };
        write!(f, "{prefix}{}", self.metric.map_or("loss", Metric::name))
    }
}

impl FromStr for Figure {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let every = Figure::all(&Metric::ALL, true);
        every.iter().find(|figure| figure.to_string() == name).copied().ok_or_else(|| {
            let names: Vec<String> = every.iter().map(Figure::to_string).collect();
            Error::argument("figure", format!("'{name}'"), &format!("one of {}", names.join(", ")))
        })
    }
}
