//! Parameters and optimizer state of a whole model on the host, between two steps.
#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;

use crate::exec::Parameters;
use crate::graph::{Shape, UpdateRule};
use crate::kernel::Arena;
#[cfg(not(target_arch = "wasm32"))]
use crate::nn::Sequential;
#[cfg(not(target_arch = "wasm32"))]
use crate::train::missed::missed;
use crate::train::task::Task;
use crate::{Error, Result};

/// Everything that training needs to go on, on any lanes, in this process or in another, beside the model with
/// its seed: that is what dropout draws by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingState {
    /// Steps completed.
    pub step: u64,
    /// In how many of them each parameter was not trained, since its layer was frozen; none if all were trained in
    /// all steps. Files of models with frozen layers that were written before this was counted have none.
    pub missed: Vec<u64>,
    /// Values of each parameter.
    pub values: Vec<Vec<f32>>,
    /// For each parameter its values of optimizer state: those that
    /// [`UpdateRule::state_names`](crate::graph::UpdateRule::state_names) lists.
    pub states: Vec<Vec<Vec<f32>>>,
}

impl TrainingState {
    /// That of a training that begins: first weights, and optimizer states of zero.
    ///
    /// # Errors
    /// Those of [`Sequential::parameters`](crate::nn::Sequential::parameters).
    pub(crate) fn initial(task: &Task) -> Result<Self> {
        let specs = task.architecture.parameters()?.into_iter();
        let values: Vec<Vec<f32>> = specs.map(|spec| spec.initial).collect();
        let states = task.compile.optimizer.rule().state_names().len();
        let states = values.iter().map(|v| vec![vec![0.0; v.len()]; states]).collect();
        Ok(Self { step: 0, missed: Vec::new(), values, states })
    }

    /// That of a whole model after `step` steps, of which parameters `missed` some, from the bytes of its arenas.
    pub(crate) fn read(
        parameters: &Parameters,
        step: u64,
        missed: Vec<u64>,
        bytes: &[u8],
    ) -> Result<Self> {
        let count = parameters.layout().entries.len();
        let (values, states) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        let mut state = Self { step, missed, values, states };
        state.read_from(parameters, 0..count, bytes)?;
        Ok(state)
    }

    /// Goes to another step of the same training, of `model`.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn go_to(&mut self, step: u64, model: &Sequential) {
        self.missed = missed(&self.missed, self.step, step, model);
        self.step = step;
    }

    /// # Errors
    /// [`Error::Argument`] naming the first thing in which it is not of `task`, or the first number
    /// that training never comes to.
    pub(crate) fn check(&self, task: &Task) -> Result<()> {
        let exactly = |what: &str, value: usize, wanted: usize, whose: &str| match value == wanted {
            true => Ok(()),
            false => {
                let name = format!("{what} of the training state");
                let rule =
                    format!("{wanted}, as {whose} has; give a state of this model and optimizer");
                Err(Error::argument(&name, value, &rule))
            }
        };
        let rule = task.compile.optimizer.rule();
        let names = rule.state_names();
        let shapes: Vec<&(String, Shape)> = task.architecture.parameter_shapes().collect();
        exactly("number of parameters", self.values.len(), shapes.len(), "the model")?;
        let lists = self.states.len();
        exactly("number of parameters with optimizer states", lists, shapes.len(), "the model")?;
        if !self.missed.is_empty() {
            let missed = self.missed.len();
            exactly("number of parameters with missed steps", missed, shapes.len(), "the model")?;
        }
        if let Some(&missed) = self.missed.iter().find(|&&missed| missed > self.step) {
            let rule = format!("at most {}, the steps completed", self.step);
            return Err(Error::argument("missed steps of a parameter", missed, &rule));
        }
        for (((name, shape), values), states) in shapes.iter().zip(&self.values).zip(&self.states) {
            let elements = shape.elements();
            let what = format!("number of optimizer states of '{name}'");
            exactly(&what, states.len(), names.len(), rule.name())?;
            let states = names.iter().zip(states).map(|(&state, numbers)| (state, numbers));
            for (what, numbers) in std::iter::once(("values", values)).chain(states) {
                let length = format!("length of the {what} of '{name}' ({shape})");
                exactly(&length, numbers.len(), elements, "the parameter")?;
                let is_square = UpdateRule::is_of_squares(what);
                let fits = |x: f32| x.is_finite() && (!is_square || x >= 0.0);
                if let Some(at) = numbers.iter().position(|&x| !fits(x)) {
                    let found = numbers.get(at).copied().unwrap_or_default();
                    let rule = if is_square { "finite and not negative" } else { "finite" };
                    let rule = format!("{rule}; give a state that was saved before it was");
                    let element = format!("element {at} of the {what} of '{name}'");
                    return Err(Error::argument(&element, found, &rule));
                }
            }
        }
        Ok(())
    }

    /// Writes the parameters `numbers` of the model to those of a lane.
    pub(crate) fn write_to(&self, parameters: &Parameters, numbers: Range<usize>) -> Result<()> {
        let (Some(values), Some(states)) =
            (self.values.get(numbers.clone()), self.states.get(numbers.clone()))
        else {
            return Err(Error::bug(format!("a state without the parameters {numbers:?}")));
        };
        for (number, values) in values.iter().enumerate() {
            parameters.write(number, values)?;
        }
        for (number, states) in states.iter().enumerate() {
            let entry = parameters.entry(number)?;
            for (arena, state) in (0..).map(Arena::State).zip(states) {
                let buffer = parameters.buffer(arena, entry.chunk)?;
                parameters.gpu().write(buffer, entry.offset, bytemuck::cast_slice(state))?;
            }
        }
        Ok(())
    }

    /// Values and states of the parameters `numbers`, one after another.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn part_to_bytes(&self, numbers: Range<usize>) -> Vec<u8> {
        let values = self.values.get(numbers.clone()).unwrap_or_default();
        let states = self.states.get(numbers).unwrap_or_default();
        let mut bytes = Vec::new();
        for numbers in values.iter().chain(states.iter().flatten()) {
            bytes.extend_from_slice(bytemuck::cast_slice(numbers));
        }
        bytes
    }

    /// Takes what [`TrainingState::part_to_bytes`] gave of another with as many numbers.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn part_from_bytes(&mut self, numbers: Range<usize>, bytes: &[u8]) -> Result<()> {
        let other = || Error::bug("the state of a stage is not as long as it must be");
        let mut rest = bytes;
        let values = self.values.get_mut(numbers.clone()).unwrap_or_default();
        let states = self.states.get_mut(numbers).unwrap_or_default();
        for numbers in values.iter_mut().chain(states.iter_mut().flatten()) {
            let own: &mut [u8] = bytemuck::cast_slice_mut(numbers);
            let (first, others) = rest.split_at_checked(own.len()).ok_or_else(other)?;
            own.copy_from_slice(first);
            rest = others;
        }
        if rest.is_empty() { Ok(()) } else { Err(other()) }
    }

    /// Takes the parameters `numbers` from a lane's arenas: the chunks of the values, then those of
    /// each state.
    pub(crate) fn read_from(
        &mut self,
        parameters: &Parameters,
        numbers: Range<usize>,
        mut bytes: &[u8],
    ) -> Result<()> {
        let missing = || Error::bug("a lane's report without all of its parameters");
        let layout = parameters.layout();
        let mut arenas = Vec::new();
        for _ in 0..=parameters.states().unwrap_or(0) {
            let mut chunks = Vec::new();
            for &size in &layout.chunks {
                let (chunk, rest) = bytes.split_at_checked(size as usize).ok_or_else(missing)?;
                bytes = rest;
                chunks.push(chunk);
            }
            arenas.push(chunks);
        }
        for (entry, number) in layout.entries.iter().zip(numbers) {
            let copies = arenas.iter().map(|chunks| -> Result<Vec<f32>> {
                let begin = entry.offset as usize;
                let end = begin.checked_add(entry.shape.bytes()).ok_or_else(missing)?;
                let chunk = chunks.get(entry.chunk).and_then(|chunk| chunk.get(begin..end));
                Ok(bytemuck::pod_collect_to_vec(chunk.ok_or_else(missing)?))
            });
            let mut copies = copies.collect::<Result<Vec<_>>>()?.into_iter();
            let (Some(values), Some(states), Some(first)) =
                (self.values.get_mut(number), self.states.get_mut(number), copies.next())
            else {
                return Err(missing());
            };
            *values = first;
            *states = copies.collect();
        }
        Ok(())
    }
}
