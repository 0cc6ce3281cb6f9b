//! Whole epochs over lanes, and the way back to a model on one device.

use std::ops::Range;
use std::time::Instant;

use super::timeline::{Activity, Span};
use super::{Parallel, World};
use crate::data::{AsData, Data, EpochOrder};
use crate::gpu::Gpu;
#[cfg(feature = "files")]
use crate::train::ModelFile;
use crate::train::fit::{
    BatchSize, Call, Completed, FileWritten, Moment, Run, Start, Survive, Trainee, Validation,
    Validator, Wishes, end_all, is_device_lost, to_go_on,
};
use crate::train::model::Model;
use crate::train::progress::Progress;
use crate::train::sums::Sums;
use crate::train::task::Task;
use crate::train::{Evaluation, Figure, FitOptions, History, TrainingState};
use crate::{Error, Result};

impl Parallel {
    /// Trains for as many epochs as `fit` says, and returns their history, as [`Model::fit`] does:
    /// calling it again trains for so many more, from wherever the state is.
    ///
    /// An epoch that was broken off (by a lane that failed, a loss that was not finite, a callback's
    /// [`Stop`](crate::train::Signal::Stop) after a batch, a dropped future, or since the
    /// [state](Parallel::set_state) was saved within it) is completed first, as the first epoch of this
    /// call: the place in it is that of [`TrainingState::step`]. So a training that goes on after a lane
    /// was lost and [relayed](Parallel::relay) comes to the bits of an undisturbed one. What the history
    /// says of that epoch is over the batches that were left, without R².
    ///
    /// Lanes are laid out for one data set, in batches of one size: `fit` takes neither another
    /// [batch size](FitOptions::batch_size) or [residency](FitOptions::residency) than theirs nor a
    /// [split](FitOptions::validation_split) of the data. The rows of a [validation](FitOptions::validation) are looked
    /// at on the device of the first lane, which needs room for the whole model then. Weights that callbacks
    /// remember are on the host. With [`FitOptions::survive`] a device that is lost is replaced by a new one, under the
    /// same schedule.
    ///
    /// Callbacks hear of a batch when all lanes have completed it, while they train on: what a callback
    /// wants holds from the next step on that no lane has begun, on all of them.
    ///
    /// Over the processes of a [`World`] all call it with the same arguments. The first one's callbacks
    /// are called, and what they want is done everywhere; those of the others are not. It validates, and
    /// writes checkpoints; the others read them where they [resume](FitOptions::resume), so that the folder is one
    /// that all see. All get the same history, up to seconds.
    ///
    /// # Errors
    /// [`Error::Argument`] for what `fit` names and lanes cannot do, with what they can; otherwise as for
    /// [`Parallel::run`]; [`Error::NotFinite`] names the epoch.
    ///
    /// If its future is dropped, or a callback panics, the lanes complete the steps that they have begun,
    /// which is waited for, and the state is that after them. Callbacks then do not hear of the end, and
    /// weights that they remembered are not put back.
    pub async fn fit(&mut self, fit: FitOptions<'_>) -> Result<History> {
        let fitted = self.fit_all(fit).await;
        self.leave_if(fitted)
    }

    async fn fit_all(&mut self, mut fit: FitOptions<'_>) -> Result<History> {
        self.call_back();
        let rows = self.rows;
        self.check_batch(fit.batch)?;
        if let Some(residency) = fit.residency.filter(|&other| other != self.options.residency) {
            let rule = format!(
                "{:?}, that of `ParallelOptions::residency`, for which the lanes were laid out; leave \
                 `FitOptions::residency` out, or make a `Parallel` with the other",
                self.options.residency
            );
            return Err(Error::argument("residency", format!("{residency:?}"), &rule));
        }
        let figures = fit.figures(&self.task.compile.metrics)?;
        if fit.survive.is_some() && self.peers.is_some() {
            let rule = "left out over several processes, which go on from the last checkpoint in a new job";
            return Err(Error::argument("survive", "given in a world", rule));
        }
        let validation = match fit.validation.take() {
            None => None,
            Some(Validation::Data(data)) => Some(data),
            Some(Validation::Split(fraction)) => {
                let rule = format!(
                    "left out: the lanes were laid out for all of their {rows} rows; make the `Parallel` \
                     with the first part of `Dataset::split_at` or `Source::split_last`, and give the other to \
                     `FitOptions::validation`"
                );
                return Err(Error::argument("validation split", fraction, &rule));
            }
        };
        self.fit_validated(fit, figures, validation).await
    }

    /// The same with a validation on these rows, and the figures that every epoch has.
    pub(super) async fn fit_validated(
        &mut self,
        mut fit: FitOptions<'_>,
        figures: Vec<Figure>,
        validation: Option<Data<'_>>,
    ) -> Result<History> {
        let is_first = self.options.world.as_ref().is_none_or(World::is_first);
        let (mut keeper, resumed) = fit.kept(&self.task, is_first)?;
        let written = keeper.written().filter(|_| self.records);
        if let Some(written) = &written {
            written.keep_all();
        }
        let mut survive = fit.survive.take();
        let mut call = Call::new(self.state.step, self.progress(), fit.shuffle, validation)?;
        let mut resumed = match resumed {
            Some(moment) => {
                // Those of other processes are not asked.
                let callbacks =
                    if is_first { fit.callbacks.len() } else { moment.fit.callbacks.len() };
                moment.fit.check(&call, callbacks)?;
                call = moment.fit.call;
                Some(moment)
            }
            None => None,
        };
        self.agree_on_fit(fit.epochs, &call, resumed.as_ref())?;
        if !is_first {
            fit.callbacks.clear();
        }
        self.begun = (call.steps, call.progress);
        loop {
            let validator = match validation {
                Some(data) if is_first => Some(self.validator(data).await?),
                Some(_) => None,
                None => None,
            };
            let broken_off = match resumed.take() {
                Some(Moment { state, learning_rate, fit, .. }) => {
                    self.set_state(state).await?;
                    self.learning_rate = learning_rate;
                    Some(fit)
                }
                None => None,
            };
            let (loss, metrics) = (self.task.compile.loss, &self.task.compile.metrics);
            let start = Start {
                epochs: fit.epochs,
                call,
                steps: self.state.step,
                learning_rate: self.learning_rate_at(self.state.step),
                figures: figures.clone(),
                validates: validation.is_some(),
                sums: Sums::over(loss, metrics, self.data.as_data())?,
            };
            let validates = validation.is_some();
            let trained = Trained { parallel: self, validator, validates, ended: false };
            let callbacks = fit.callbacks.iter_mut().map(|callback| &mut **callback as _).collect();
            let mut run = Run::new(trained, start, callbacks, keeper);
            let more = survive.as_ref().is_some_and(Survive::survives_more);
            let outcome = run.run(broken_off, |error| more && is_device_lost(error)).await;
            keeper = std::mem::take(&mut run.keeper);
            drop(run);
            if let (Some(written), Some(origin)) = (&written, self.origin) {
                let files = written.take().into_iter();
                if let Some(timeline) = &mut self.timeline {
                    timeline.spans.extend(files.filter_map(|file| file_span(file, origin)));
                }
            }
            let moment = match to_go_on(more, outcome, &keeper, &mut fit.callbacks) {
                Ok(moment) => moment,
                Err(outcome) => return outcome,
            };
            let moved = match &mut survive {
                Some(survive) => self.move_from_lost(survive).await,
                None => Ok(()),
            };
            if let Err(error) = moved {
                end_all(&mut fit.callbacks);
                return Err(error);
            }
            resumed = Some(moment);
        }
    }

    /// Goes to new devices in place of those that are lost.
    async fn move_from_lost(&mut self, survive: &mut Survive<'_>) -> Result<()> {
        let mut gpus = self.lanes();
        let lost: Vec<&mut Gpu> = gpus.iter_mut().filter(|gpu| gpu.is_lost()).collect();
        let new = survive.devices(lost.len()).await?;
        lost.into_iter().zip(new).for_each(|(gpu, new)| *gpu = new);
        self.relay(self.options.schedule.clone(), &gpus).await
    }

    /// Whether batches of `batch`, if it is given, are those of the lanes.
    fn check_batch(&self, batch: Option<BatchSize>) -> Result<()> {
        let (rows, own) = (self.rows, self.options.batch);
        let (value, wanted) = match batch {
            None => return Ok(()),
            Some(BatchSize::Rows(wanted)) => (wanted.to_string(), wanted),
            Some(BatchSize::Full) => (format!("{rows}, all rows"), rows),
        };
        if wanted > 0 && wanted.min(rows) == own.min(rows) {
            return Ok(());
        }
        let rule = format!(
            "{own}, that of `ParallelOptions::batch`, for which the lanes were laid out; leave \
             `FitOptions::batch_size` out, or make a `Parallel` for the other"
        );
        Err(Error::argument("batch size", value, &rule))
    }

    /// Where the state stands among its epochs.
    pub(super) fn progress(&self) -> Progress {
        let (steps, progress) = self.begun;
        match self.state.step.checked_sub(steps) {
            Some(since) => progress.plus(since),
            None => progress.minus(steps.saturating_sub(self.state.step)),
        }
    }

    /// A model that looks at `data`, beside the first lane.
    async fn validator<'d>(&self, data: Data<'d>) -> Result<(Model, Validator<'d>)> {
        let gpu = self.gpus.first().map(Gpu::as_whole);
        let gpu = gpu.ok_or_else(|| Error::bug("lanes without a device"))?;
        let Task { architecture, compile, .. } = self.task.clone();
        let model = architecture.compile(&gpu, compile).await?;
        let residency = self.options.residency;
        let validator = Validator::new(&model, data, self.options.batch, residency).await?;
        Ok((model, validator))
    }

    /// The model with the parameters and the optimizer's state of [`Parallel::state`], as a file holds it.
    #[cfg(feature = "files")]
    pub fn file(&self) -> ModelFile {
        ModelFile::of(&self.task, self.state.clone(), self.progress(), self.learning_rate)
    }

    /// The model on one device, with the parameters and optimizer state of [`Parallel::state`]: to
    /// evaluate, to predict, or to go on with [`Model::fit`], where the lanes stand in their epoch.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn model(&self, gpu: &Gpu) -> Result<Model> {
        let Task { architecture, compile, .. } = self.task.clone();
        let mut model = architecture.compile(gpu, compile).await?;
        model.go_to(&self.state, self.progress())?;
        model.learning_rate = self.learning_rate;
        Ok(model)
    }
}

/// A checkpoint's file on the timeline that begins at `origin`, if it is part of it.
fn file_span(file: FileWritten, origin: Instant) -> Option<Span> {
    let FileWritten { step, begun, ended, bytes } = file;
    Some(Span {
        lane: 0,
        activity: Activity::Checkpoint,
        name: "file".into(),
        step,
        micro_batch: None,
        start: begun.saturating_duration_since(origin).as_secs_f64(),
        end: ended.checked_duration_since(origin)?.as_secs_f64(),
        bytes,
    })
}

/// Lanes in a call of `fit`.
struct Trained<'p, 'd> {
    parallel: &'p mut Parallel,
    /// Looks at the weights, which it is given first; the first process's, if there are several.
    validator: Option<(Model, Validator<'d>)>,
    validates: bool,
    /// Whether the end of the call has come.
    ended: bool,
}

/// Also where the future is dropped or a callback panics, the lanes come back and the state is theirs.
impl Drop for Trained<'_, '_> {
    fn drop(&mut self) {
        self.parallel.call_back();
        if !self.ended {
            self.parallel.leave("its `fit` was given up");
        }
    }
}

impl Trained<'_, '_> {
    /// The state, when no lane is out; one may still be where a callback's error ended the training.
    fn state(&mut self) -> &TrainingState {
        self.parallel.call_back();
        &self.parallel.state
    }
}

impl Trainee for Trained<'_, '_> {
    type Snapshot = Vec<Vec<f32>>;

    fn batches(&self) -> usize {
        self.parallel.batches()
    }

    fn batches_at_once(&self) -> usize {
        self.parallel.batches()
    }

    fn runs_ahead(&self) -> bool {
        false
    }

    fn set_learning_rate(&mut self, rate: f32) -> Result<()> {
        self.parallel.set_learning_rate(rate)
    }

    async fn set_order(&mut self, order: EpochOrder) -> Result<()> {
        self.parallel.set_epoch_order(order)
    }

    async fn submit(&mut self, batches: Range<usize>) -> Result<()> {
        self.parallel.set_out(batches).await
    }

    fn stop(&mut self) {
        self.parallel.close();
    }

    async fn completed(&mut self) -> Result<Vec<Completed>> {
        Ok(self.parallel.news())
    }

    async fn wait(&mut self) -> Result<Vec<Completed>> {
        self.parallel.wait_for_news().await
    }

    async fn weights(&mut self) -> Result<Vec<(String, Vec<f32>)>> {
        let values = self.state().values.clone();
        let shapes = self.parallel.task.architecture.parameter_shapes();
        Ok(shapes.map(|(name, _)| name.clone()).zip(values).collect())
    }

    async fn remember(&mut self, memory: &mut Option<Vec<Vec<f32>>>) -> Result<()> {
        *memory = Some(self.state().values.clone());
        Ok(())
    }

    async fn put_back(&mut self, memory: &Vec<Vec<f32>>) -> Result<()> {
        let state = TrainingState { values: memory.clone(), ..self.state().clone() };
        self.parallel.set_state(state).await
    }

    async fn remembered(&mut self, memory: &Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>> {
        Ok(memory.clone())
    }

    async fn remember_values(&mut self, values: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        Ok(values.to_vec())
    }

    fn own_learning_rate(&self) -> Option<f32> {
        self.parallel.learning_rate
    }

    /// Nothing is under way, so that the state is here.
    async fn capture(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_captured(&self) -> bool {
        true
    }

    async fn captured(&mut self, step: u64) -> Result<TrainingState> {
        let state = self.state().clone();
        match state.step == step {
            true => Ok(state),
            false => Err(Error::bug(format!("lanes are at step {}, not {step}", state.step))),
        }
    }

    async fn validate(&mut self) -> Result<Option<Evaluation>> {
        let own = match &mut self.validator {
            Some((model, validator)) => {
                for (number, values) in self.parallel.state.values.iter().enumerate() {
                    model.parameters().write(number, values)?;
                }
                Some(validator.evaluate().await?)
            }
            None => None,
        };
        match self.validates {
            true => self.parallel.share_evaluation(own),
            false => Ok(None),
        }
    }

    async fn share(&mut self, own: Wishes) -> Result<Option<Wishes>> {
        self.parallel.share_wishes(&own)
    }

    fn ended(&mut self, error: Option<&Error>) {
        self.ended = true;
        if let Some(error) = error {
            self.parallel.call_back();
            self.parallel.leave(&error.to_string());
        }
    }
}
