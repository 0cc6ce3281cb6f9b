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

/// The first bytes of a saved state.
const MAGIC: &[u8; 8] = b"wgradst1";

impl TrainingState {
    /// As bytes, to be saved: a mark, then counts as `u64` and numbers as `f32`, all little-endian.
    /// Steps completed, and the number of parameters; for each parameter the number of its values and
    /// of its states, then the values, then each state.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let count = |bytes: &mut Vec<u8>, count: u64| bytes.extend(count.to_le_bytes());
        count(&mut bytes, self.step);
        count(&mut bytes, self.values.len() as u64);
        for (number, values) in self.values.iter().enumerate() {
            let states = self.states.get(number).map_or(&[][..], Vec::as_slice);
            count(&mut bytes, values.len() as u64);
            count(&mut bytes, states.len() as u64);
            let numbers = values.iter().chain(states.iter().flatten());
            bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
        }
        bytes
    }

    /// A state from the bytes of [`TrainingState::to_bytes`]. Whether it is of the model at hand,
    /// [`Parallel::set_state`](super::Parallel::set_state) checks.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are not such bytes, or not all of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, whole: bytes.len() };
        if reader.take(MAGIC.len())? != MAGIC {
            let rule = format!("marked '{}'", String::from_utf8_lossy(MAGIC));
            return Err(Error::argument("kind of saved state", "another", &rule));
        }
        let mut state = Self { step: reader.count()?, ..Self::default() };
        for _ in 0..reader.count()? {
            let (length, states) = (reader.count()?, reader.count()?);
            state.values.push(reader.numbers(length)?);
            let states = (0..states).map(|_| reader.numbers(length));
            state.states.push(states.collect::<Result<_>>()?);
        }
        match reader.bytes {
            [] => Ok(state),
            _ => Err(reader.wrong()),
        }
    }

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

/// Bytes of a saved state that are still to be read.
struct Reader<'a> {
    bytes: &'a [u8],
    whole: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self) -> Error {
        let rule = "that of a whole one; the file was cut off or changed";
        Error::argument("length of a saved state in bytes", self.whole, rule)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| self.wrong())?;
        self.bytes = rest;
        Ok(taken)
    }

    fn count(&mut self) -> Result<u64> {
        let bytes = self.take(size_of::<u64>())?.try_into().map_err(|_| self.wrong())?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn numbers(&mut self, count: u64) -> Result<Vec<f32>> {
        let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(4));
        let bytes = self.take(bytes.ok_or_else(|| self.wrong())?)?;
        Ok(bytemuck::pod_collect_to_vec(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> TrainingState {
        let values = vec![vec![1.5, -2.0], vec![], vec![f32::MIN_POSITIVE]];
        let states = vec![vec![vec![0.25, 0.5]; 2], vec![vec![]; 2], vec![vec![-0.0]; 2]];
        TrainingState { step: 42, values, states }
    }

    #[test]
    fn states_survive_being_saved() {
        for state in [state(), TrainingState::default()] {
            assert_eq!(TrainingState::from_bytes(&state.to_bytes()).ok(), Some(state));
        }
    }

    #[test]
    fn what_is_no_whole_state_says_so() {
        let bytes = state().to_bytes();
        for length in 0..bytes.len() {
            let error = TrainingState::from_bytes(&bytes[..length]).unwrap_err().to_string();
            assert!(error.contains(&length.to_string()), "{error}");
        }
        assert!(TrainingState::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        let mut other = bytes.clone();
        other[0] ^= 1;
        let error = TrainingState::from_bytes(&other).unwrap_err().to_string();
        assert!(error.contains("wgradst1"), "{error}");
        // A count that no memory holds is not asked for.
        for at in [16, 24, 32] {
            let mut huge = bytes.clone();
            huge[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
            assert!(TrainingState::from_bytes(&huge).is_err());
        }
    }
}
