//! Serial numbers of steps: what the device tells one step from another by, whatever numbers the caller
//! gives them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Serial numbers per value of their upper word.
const PER_WORD: u64 = 1 << 31;
/// Set in both words, so that neither is 0.
const MARK: u32 = 1 << 31;

/// A step's serial number: no other step of these parameters has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Serial(u64);

impl Serial {
    /// As the device has it: two words of 31 bits, the lower first. Neither is ever 0, which in the status
    /// means that no step went wrong, so that a step that finds only one of them written yet, by another
    /// invocation of its own, still knows it for its own.
    pub(super) fn words(self) -> [u32; 2] {
        [self.0, self.0 / PER_WORD].map(|part| (part % PER_WORD) as u32 | MARK)
    }

    /// The serial number of these words; `None` if one is missing.
    pub(super) fn of_words(words: [u32; 2]) -> Option<Self> {
        let [low, high] = words.map(|word| word.checked_sub(MARK).map(u64::from));
        Some(Self(high? * PER_WORD + low?))
    }

    /// The `ahead`th after this one.
    pub(super) fn after(self, ahead: usize) -> Self {
        Self(self.0.wrapping_add(ahead as u64))
    }

    /// Its place among the `count` that begin with `first`, if it is one of them.
    pub(super) fn place_among(self, first: Self, count: usize) -> Option<usize> {
        let place = usize::try_from(self.0.checked_sub(first.0)?).ok()?;
        (place < count).then_some(place)
    }
}

/// Where all steps of some parameters draw their serial numbers.
#[derive(Debug, Default)]
pub(super) struct Serials(AtomicU64);

impl Serials {
    /// The first of `count` in a row, at most 2³¹, all with the same upper word.
    pub(super) fn draw(&self, count: usize) -> Serial {
        let count = count as u64;
        let first = |next: u64| match PER_WORD - next % PER_WORD {
            left if left < count => next.wrapping_add(left),
            _ => next,
        };
        let take = |next| Some(first(next).wrapping_add(count));
        let next = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        Serial(first(next.unwrap_or_else(|next| next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Numbers drawn are new, share their upper word, and come back from their words.
        #[test]
        fn what_is_drawn_is_new(
            begin in prop_oneof![0..4 * PER_WORD, PER_WORD - 3..PER_WORD + 3, Just((1 << 61) - 1)],
            counts in prop::collection::vec(1..2000usize, 1..20),
        ) {
            let serials = Serials(AtomicU64::new(begin));
            let mut end = begin;
            for count in counts {
                let first = serials.draw(count);
                prop_assert!(first.0 >= end);
                end = first.0 + count as u64;
                let last = first.after(count - 1);
                let ([low, high], [last_low, last_high]) = (first.words(), last.words());
                prop_assert_eq!((last_low - low) as usize, count - 1);
                prop_assert_eq!(high, last_high);
                prop_assert!(low >= MARK && high >= MARK);
                prop_assert_eq!(Serial::of_words(last.words()), Some(last));
                prop_assert_eq!(last.place_among(first, count), Some(count - 1));
                prop_assert_eq!(last.after(1).place_among(first, count), None);
                prop_assert_eq!(first.place_among(first.after(1), count), None);
            }
        }
    }

    #[test]
    fn words_that_are_missing_are_no_serial_number() {
        for words in [[0, 0], [MARK, 0], [0, MARK]] {
            assert_eq!(Serial::of_words(words), None);
        }
        assert_eq!(Serial::of_words([MARK, MARK]), Some(Serial(0)));
    }
}
