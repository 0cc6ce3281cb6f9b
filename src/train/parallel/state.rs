//! Parameters and optimizer state of a whole model on the host, between two steps.

use std::ops::Range;

use crate::exec::Parameters;
use crate::kernel::Arena;
use crate::{Error, Result};

/// Everything that training needs to go on, on any lanes, in this process or in another.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("wgrad-state-{}", std::process::id()));
/// use wgrad::train::TrainingState;
///
/// // What `Parallel::state` gives, also after a lane was lost.
/// let state = TrainingState { step: 7, values: vec![vec![0.5; 3]], states: vec![vec![vec![0.1; 3]]] };
/// std::fs::write(&path, state.to_bytes())?;
/// // Later, for `Parallel::set_state`:
/// assert_eq!(TrainingState::from_bytes(&std::fs::read(&path)?)?, state);
/// # std::fs::remove_file(&path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingState {
    /// Steps completed.
    pub step: u64,
    /// Values of each parameter.
    pub values: Vec<Vec<f32>>,
    /// For each parameter its values of optimizer state: none, velocity, or mean and mean square.
    pub states: Vec<Vec<Vec<f32>>>,
}

impl TrainingState {
    pub(super) fn write_to(&self, parameters: &Parameters, numbers: Range<usize>) -> Result<()> {
        let values = self.values.get(numbers.clone()).unwrap_or_default();
        for (number, values) in values.iter().enumerate() {
            parameters.write(number, values)?;
        }
        for (number, states) in self.states.get(numbers).unwrap_or_default().iter().enumerate() {
            let entry = parameters.entry(number)?;
            for (arena, state) in [Arena::State1, Arena::State2].into_iter().zip(states) {
                let buffer = parameters.buffer(arena, entry.chunk)?;
                parameters.gpu().write(buffer, entry.offset, bytemuck::cast_slice(state))?;
            }
        }
        Ok(())
    }

    /// Takes the parameters `numbers` from a lane's arenas: the chunks of the values, then those of
    /// each state.
    pub(super) fn read_from(
        &mut self,
        parameters: &Parameters,
        numbers: Range<usize>,
        mut bytes: &[u8],
    ) -> Result<()> {
        let layout = parameters.layout();
        let mut arenas = Vec::new();
        for _ in 0..=parameters.states().unwrap_or(0) {
            let mut chunks = Vec::new();
            for &size in &layout.chunks {
                let (chunk, rest) = bytes.split_at(bytes.len().min(size as usize));
                bytes = rest;
                chunks.push(chunk);
            }
            arenas.push(chunks);
        }
        for (entry, number) in layout.entries.iter().zip(numbers) {
            let mut copies = arenas.iter().map(|chunks| -> Vec<f32> {
                let begin = entry.offset as usize;
                let range = begin..begin + entry.shape.bytes();
                let bytes = chunks.get(entry.chunk).and_then(|chunk| chunk.get(range));
                bytemuck::pod_collect_to_vec(bytes.unwrap_or_default())
            });
            let (Some(values), Some(states)) =
                (self.values.get_mut(number), self.states.get_mut(number))
            else {
                return Err(Error::argument("parameter number", number, "one of the model's"));
            };
            *values = copies.next().unwrap_or_default();
            *states = copies.collect();
        }
        Ok(())
    }
}
