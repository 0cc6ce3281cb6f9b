//! A training state as bytes, to be saved.
//!
//! All numbers are little-endian; counts are `u64`, values `f32`:
//! ```text
//! "wgradst", version            8 bytes; the version is an ASCII digit
//! steps completed
//! number of parameters          for each: number of values, values
//! number of lists of states     for each: number of states; for each: number of values, values
//! checksum                      of all bytes before it
//! ```
#![deny(clippy::arithmetic_side_effects)]

use super::TrainingState;
use crate::{Error, Result};

const MARK: &[u8] = b"wgradst";
const VERSION: u8 = b'2';

/// Bytes of a count, and so the least that anything counted takes.
const COUNT: usize = size_of::<u64>();

impl TrainingState {
    /// As bytes, to be saved; they end in a checksum.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MARK.to_vec();
        bytes.push(VERSION);
        let count = |bytes: &mut Vec<u8>, count: u64| bytes.extend(count.to_le_bytes());
        let numbers = |bytes: &mut Vec<u8>, numbers: &[f32]| {
            count(bytes, numbers.len() as u64);
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        };
        count(&mut bytes, self.step);
        count(&mut bytes, self.values.len() as u64);
        self.values.iter().for_each(|values| numbers(&mut bytes, values));
        count(&mut bytes, self.states.len() as u64);
        for states in &self.states {
            count(&mut bytes, states.len() as u64);
            states.iter().for_each(|state| numbers(&mut bytes, state));
        }
        bytes.extend(checksum(&bytes).to_le_bytes());
        bytes
    }

    /// A state from the bytes of [`TrainingState::to_bytes`]. Whether it is of the model at hand,
    /// [`Parallel::set_state`](super::Parallel::set_state) checks.
    ///
    /// Bytes from anywhere may be tried: whatever they say, no more memory is taken than a few times
    /// their length, and a byte that was changed is always found.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are not such bytes, of another version, cut off or changed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (mark, rest) = bytes.split_at(bytes.len().min(MARK.len()));
        if mark != MARK {
            let found = format!("{:?}", String::from_utf8_lossy(mark));
            let rule = "\"wgradst\", as `TrainingState::to_bytes` writes it; give its bytes";
            return Err(Error::argument("mark at the start of a saved state", found, rule));
        }
        if let Some(&version) = rest.first()
            && version != VERSION
        {
            let rule = format!(
                "{}; go on in the release of wgrad that wrote it, or train anew",
                char::from(VERSION)
            );
            let found = char::from(version).escape_default();
            return Err(Error::argument("version of a saved state", found, &rule));
        }
        let mut reader = Reader { bytes, whole: bytes.len() };
        let end = reader.take_last()?;
        let (found, written) = (checksum(reader.bytes), u64::from_le_bytes(end));
        if found != written {
            let name = format!("checksum of a saved state of {} bytes", bytes.len());
            let rule =
                format!("{written:016x}, in which it ends; it was cut off or changed: {REMEDY}");
            return Err(Error::argument(&name, format!("{found:016x}"), &rule));
        }
        reader.take(MARK.len())?;
        reader.take(size_of_val(&VERSION))?;
        let step = reader.count()?;
        let values = reader.list(Reader::numbers)?;
        let states = reader.list(|reader| reader.list(Reader::numbers))?;
        match reader.bytes {
            [] => Ok(Self { step, values, states }),
            _ => Err(reader.wrong()),
        }
    }
}

const REMEDY: &str = "take another copy";

/// FNV-1a with 64 bits (Fowler, Noll and Vo, 1991). For a byte that is given, each step maps checksums
/// one to one, and two different bytes never map one checksum to the same: so a single byte that was
/// changed always shows, and anything else except for one in 2⁶⁴.
fn checksum(bytes: &[u8]) -> u64 {
    let step = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Bytes of a saved state that are still to be read.
struct Reader<'a> {
    bytes: &'a [u8],
    whole: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self) -> Error {
        let rule = format!("that of a whole one; it was cut off or changed: {REMEDY}");
        Error::argument("length of a saved state in bytes", self.whole, &rule)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| self.wrong())?;
        self.bytes = rest;
        Ok(taken)
    }

    /// The last count, off the end.
    fn take_last(&mut self) -> Result<[u8; COUNT]> {
        let (rest, &end) = self.bytes.split_last_chunk().ok_or_else(|| self.wrong())?;
        self.bytes = rest;
        Ok(end)
    }

    fn count(&mut self) -> Result<u64> {
        let bytes = self.take(COUNT)?.try_into().map_err(|_| self.wrong())?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A count of things that take at least `least` bytes each: never more than the bytes left have
    /// room for, so that nothing is allocated for what cannot follow.
    fn count_of(&mut self, least: usize) -> Result<usize> {
        let count = usize::try_from(self.count()?).map_err(|_| self.wrong())?;
        let bytes = count.checked_mul(least).filter(|&bytes| bytes <= self.bytes.len());
        bytes.map(|_| count).ok_or_else(|| self.wrong())
    }

    fn numbers(&mut self) -> Result<Vec<f32>> {
        let count = self.count_of(size_of::<f32>())?;
        Ok(bytemuck::pod_collect_to_vec(self.take(count.saturating_mul(size_of::<f32>()))?))
    }

    /// A count, and as many of what `read` reads, each of which begins with a count of its own.
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.count_of(COUNT)?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }
}
