//! What the device says of the first step that went wrong: the words that `shaders/update/report.wgsl` and
//! the whole-step kernels write.

use super::serial::Serial;
use crate::{Error, Result};

/// Words of the status.
const WORDS: usize = 5;
/// Bytes of the status.
pub(crate) const STATUS_BYTES: u64 = 4 * WORDS as u64;
/// Says that a gradient or a new value was not finite, rather than the loss.
const BY_PARAMETER: u32 = 2;
/// Says that the largest or smallest element was asked for of a row with NaN.
const BY_EXTREME: u32 = 3;

/// The first step that went wrong. No later one moves the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Halt {
    /// Its number, as the caller counts.
    pub(crate) number: u64,
    /// Whether its loss was finite, and only a gradient or a new value was not.
    pub(crate) by_parameter: bool,
    /// Whether a row with NaN was asked for its largest or smallest element.
    pub(crate) by_extreme: bool,
    pub(super) serial: Serial,
}

impl Halt {
    /// What `status` says, if a step went wrong.
    ///
    /// # Errors
    /// [`Error::Bug`] if it says nothing that a kernel writes.
    pub(crate) fn read(status: &[u8]) -> Result<Option<Self>> {
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(status);
        let &[what, serial_low, serial_high, low, high] = words.as_slice() else {
            return Err(Error::bug(format!("a status of {} bytes", status.len())));
        };
        if what == 0 {
            return Ok(None);
        }
        let serial = Serial::of_words([serial_low, serial_high])
            .ok_or_else(|| Error::bug(format!("a status without a serial number: {words:?}")))?;
        let number = u64::from(high) << 32 | u64::from(low);
        let (by_parameter, by_extreme) = (what == BY_PARAMETER, what == BY_EXTREME);
        Ok(Some(Self { number, by_parameter, by_extreme, serial }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_was_written() {
        let read = |words: &[u32]| Halt::read(bytemuck::cast_slice(words));
        assert_eq!(read(&[0; WORDS]).unwrap(), None);
        let mark = 1 << 31;
        let halt = read(&[2, mark | 5, mark, u32::MAX, 1]).unwrap().expect("a step went wrong");
        assert_eq!((halt.number, halt.by_parameter), ((2 << 32) - 1, true));
        assert_eq!(halt.serial.words(), [mark | 5, mark]);
        assert!(!read(&[1, mark, mark, 0, 0]).unwrap().expect("a loss").by_parameter);
        assert!(read(&[3, mark, mark, 0, 0]).unwrap().expect("a row").by_extreme);
        for words in [&[1, 0, mark, 0, 0][..], &[1, mark, mark, 0]] {
            assert!(matches!(read(words), Err(Error::Bug { .. })), "{words:?}");
        }
    }
}
