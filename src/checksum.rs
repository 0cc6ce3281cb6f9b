//! A checksum against accidents: files that were cut off or changed, data that is not the same.

/// FNV-1a with 64 bits (Fowler, Noll and Vo, 1991), over whatever it is given in turn. For something that is
/// given, each step maps checksums one to one, and two different things never map one checksum to the same:
/// so a single byte or word that was changed always shows, and anything else except for one in 2⁶⁴.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checksum(u64);

impl Checksum {
    /// Of nothing yet.
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn step(self, word: u64) -> Self {
        Self((self.0 ^ word).wrapping_mul(0x0100_0000_01b3))
    }

    /// With these bytes, and how many they are.
    #[cfg(feature = "files")]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self.step(bytes.len() as u64), |sum, &byte| sum.step(u64::from(byte)))
    }

    /// With these numbers bit by bit, and how many they are. Four bytes take as long as one.
    pub(crate) fn numbers(self, numbers: &[f32]) -> Self {
        let length = self.step(numbers.len() as u64);
        numbers.iter().fold(length, |sum, number| sum.step(u64::from(number.to_bits())))
    }

    /// With these words, and how many they are.
    pub(crate) fn words(self, words: &[u32]) -> Self {
        let length = self.step(words.len() as u64);
        words.iter().fold(length, |sum, &word| sum.step(u64::from(word)))
    }

    /// With a count.
    pub(crate) fn count(self, count: usize) -> Self {
        self.step(count as u64)
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}
