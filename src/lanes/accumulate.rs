//! Gradient accumulation: a model on one device that takes a step for several batches.

use std::time::Duration;

use super::{Parallel, ParallelOptions, Schedule};
use crate::data::{AsData, OwnedData};
use crate::train::fit::{BatchSize, Validation, split_last};
use crate::train::progress::Course;
use crate::train::task::Task;
use crate::train::{FitOptions, History, Kernels, Model};
use crate::{Error, Result};

impl Model {
    /// Trains as [`Model::fit`] does, with one update for every `batches` batches of the
    /// [batch size](FitOptions::batch_size): their gradients are computed one after another and added up, so that a
    /// step over many rows takes the memory of one batch, beside the sums (log₂ `batches` of them). Batches of the
    /// callbacks and of the history are those of an update, and so are checkpoints' steps.
    ///
    /// The bits are those of a [`Parallel`] with batches of so many rows in all in `batches` micro-batches, under
    /// whatever schedule: gradients are added in a fixed tree, and the loss is the mean over all rows of the update.
    /// They are not those of one batch of as many rows, which has one sum. The last update of an epoch has the
    /// rows that are left, in as many parts.
    ///
    /// The general kernels train: those of whole steps compute gradients and update in one.
    ///
    /// # Errors
    /// [`Error::Argument`] if `batches` is 0, an update has fewer rows than parts, or whole-step kernels were asked
    /// for; otherwise as for [`Model::fit`]. After an error the model is where training stopped; if the
    /// future is dropped, where it was before.
    pub async fn fit_accumulating(
        &mut self,
        data: impl Into<OwnedData>,
        batches: usize,
        mut fit: FitOptions<'_>,
    ) -> Result<History> {
        if let asked @ (Kernels::WholeStep | Kernels::WholeStepInMemory) = self.task.compile.kernels
        {
            let rule = "auto or general: whole steps do not add gradients up";
            return Err(Error::argument("kernels", asked.name(), rule));
        }
        if batches == 0 {
            return Err(Error::argument("batches of an update", batches, "at least 1"));
        }
        let data = data.into();
        let figures = fit.figures(self.metrics())?;
        let held_out;
        let (data, validation) = match fit.validation.take() {
            None => (data, None),
            Some(Validation::Data(validation)) => (data, Some(validation)),
            Some(Validation::Split(fraction)) => {
                let (first, last) = split_last(data.as_data(), fraction)?;
                held_out = last;
                (first, Some(held_out.as_data()))
            }
        };
        let rows = data.as_data().rows()?;
        let rows = match fit.batch.take() {
            Some(BatchSize::Full) => rows,
            Some(BatchSize::Rows(batch)) => batch.saturating_mul(batches),
            None => batches.saturating_mul(32),
        };
        let residency = fit.residency.take().unwrap_or_default();
        let options = ParallelOptions {
            residency,
            keep_state: false,
            // There is no other lane to wait for.
            patience: Duration::MAX,
            ..ParallelOptions::new(rows, batches, Schedule::Serial)
        };
        let mut parallel = self.lane(data, options).await?;
        let history = parallel.fit_validated(fit, figures, validation).await;
        parallel.call_back();
        self.take_over(&parallel).await?;
        history
    }

    /// A lane that goes on where the model stands.
    async fn lane(&mut self, data: OwnedData, options: ParallelOptions) -> Result<Parallel> {
        self.make_sure_of_steps().await?;
        let Task { architecture, compile, encoder } = self.task.clone();
        let (rows, batch) = (data.as_data().rows()?, options.batch);
        let gpu = self.gpu().clone();
        let course = Course::new(data.as_data(), rows, batch)?;
        let progress = self.progress.entering(course);
        let mut parallel = Parallel::new(architecture, compile, data, options, &[gpu]).await?;
        parallel.task.encoder = encoder;
        parallel.begun = (self.steps(), progress);
        parallel.learning_rate = self.learning_rate;
        parallel.set_state(self.state().await?.0).await?;
        Ok(parallel)
    }

    /// Goes where the lane stands, to another device too.
    async fn take_over(&mut self, parallel: &Parallel) -> Result<()> {
        if self.gpu().is_lost()
            && let Some(gpu) = parallel.lanes().first().filter(|gpu| !gpu.is_lost())
        {
            self.move_to(gpu).await?;
        }
        self.go_to(parallel.state(), parallel.progress())?;
        self.learning_rate = parallel.learning_rate;
        Ok(())
    }
}
