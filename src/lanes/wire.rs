//! Sums of gradients as they cross processes: as they are, or as numbers of 16 bits. What rounding takes away from one
//! message its sender adds to the next of that name (error feedback: Seide et al., 2014; Karimireddy et al., 2019), so
//! that nothing is lost for good, however small.

use std::collections::HashMap;

use half::f16;

use super::exchange::Content;

/// The largest number of a message becomes one of this size at most, so that rounding stays far below the largest of 16
/// bits.
const LARGEST: f32 = 16_384.0;

/// As what sums of gradients cross processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// As they are, in 32 bits: results are the bits of one process.
    #[default]
    F32,
    /// In 16 bits, half of the bytes: each block of each message is scaled by a power of two, and what rounding takes
    /// away is added to the next step's. Losses and metrics cross as they are. The same processes come to the same bits
    /// in each run; another number of processes, or one, does not, nor does a training that goes on from a checkpoint:
    /// what is still to be added is no part of a state. It is dropped where a state is set, and after an error.
    F16,
}

/// How long the parts of a message are: some blocks alike, each of numbers that may be rounded and, behind them, some that
/// are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) blocks: usize,
    /// Bytes of a block, and of its end that stays as it is.
    pub(super) bytes: u64,
    pub(super) exact: u64,
}

impl Coding {
    fn rounded(&self) -> usize {
        (self.bytes.saturating_sub(self.exact) / 4) as usize
    }

    /// Bytes of the message: of each block the scale, numbers of two bytes in whole words, and the rest.
    pub(super) fn coded_bytes(&self) -> u64 {
        let of_block = 4 + (2 * self.rounded() as u64).next_multiple_of(4) + self.exact;
        of_block * self.blocks as u64
    }

    /// The numbers that were coded, up to rounding.
    pub(super) fn decode(&self, coded: &[u8]) -> Vec<u8> {
        let of_block = (self.coded_bytes() as usize / self.blocks.max(1)).max(1);
        let mut all = Vec::with_capacity(self.bytes as usize * self.blocks);
        for block in coded.chunks_exact(of_block) {
            let (scale, rest) = block.split_at(4);
            let scale: f32 = bytemuck::pod_read_unaligned(scale);
            let (rounded, exact) = rest.split_at(rest.len() - self.exact as usize);
            for number in rounded.chunks_exact(2).take(self.rounded()) {
                let coded = f16::from_bits(bytemuck::pod_read_unaligned(number)).to_f32();
                let number = coded / scale;
                // The largest numbers of all may have been rounded up to the next power of two.
                let is_rounded_away = coded.is_finite() && number.is_infinite();
                let number = if is_rounded_away { f32::MAX.copysign(number) } else { number };
                all.extend(number.to_le_bytes());
            }
            all.extend_from_slice(exact);
        }
        all
    }
}

/// What rounding took away from the last message of each name, block by block.
#[derive(Debug, Default)]
pub(super) struct Residuals(HashMap<Content, Vec<Vec<f32>>>);

impl Residuals {
    /// The message, with what the last one of its name lacked.
    pub(super) fn encode(&mut self, content: Content, payload: &[u8], coding: Coding) -> Vec<u8> {
        let kept = self.0.entry(content).or_default();
        kept.resize_with(kept.len().max(coding.blocks), Vec::new);
        let mut coded = Vec::with_capacity(coding.coded_bytes() as usize);
        let blocks = payload.chunks_exact((coding.bytes as usize).max(1));
        for (block, kept) in blocks.zip(kept) {
            let (numbers, exact) = block.split_at(4 * coding.rounded());
            kept.resize(coding.rounded(), 0.0);
            for (kept, number) in kept.iter_mut().zip(numbers.chunks_exact(4)) {
                *kept += bytemuck::pod_read_unaligned::<f32>(number);
            }
            let scale = scale(kept);
            coded.extend(scale.to_le_bytes());
            for kept in kept.iter_mut() {
                let rounded = f16::from_f32(*kept * scale);
                coded.extend(rounded.to_le_bytes());
                *kept -= rounded.to_f32() / scale;
                // A gradient that overflowed ends the step; it is nothing to be added later.
                if !kept.is_finite() {
                    *kept = 0.0;
                }
            }
            coded.resize(coded.len().next_multiple_of(4), 0);
            coded.extend_from_slice(exact);
        }
        coded
    }
}

/// The power of two by which all numbers are as large as they may be; 1 where there are none but zeros.
fn scale(numbers: &[f32]) -> f32 {
    let largest = numbers.iter().filter(|number| number.is_finite());
    let largest = largest.fold(0.0_f32, |largest, number| largest.max(number.abs()));
    if largest == 0.0 {
        return 1.0;
    }
    // Its own power is finite, and so is one over it.
    let power = (LARGEST / largest).log2().floor().clamp(-126.0, 126.0);
    power.exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODING: Coding = Coding { blocks: 2, bytes: 4 * 6, exact: 4 };

    fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn numbers(bytes: &[u8]) -> Vec<f32> {
        bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect()
    }

    /// Numbers of any size are there with eleven bits, and what stays exact is exact.
    #[test]
    fn a_message_arrives_but_for_its_last_bits() {
        let block = |size: f32| [0.3 * size, -size, 0.0, size / 700.0, size / 3.0, 16_777_217.0];
        for size in [1e-30_f32, 1e-6, 1.0, 3e4, 1e30, f32::MAX] {
            let sent: Vec<f32> = [block(size), block(0.5 * size)].concat();
            let coded = Residuals::default().encode(Content::Sums(1), &bytes(&sent), CODING);
            assert_eq!(coded.len() as u64, CODING.coded_bytes());
            assert_eq!(CODING.coded_bytes(), 2 * (4 + 12 + 4));
            for (found, sent) in numbers(&CODING.decode(&coded)).iter().zip(&sent) {
                assert!((found - sent).abs() <= sent.abs() / 2048.0, "{found} for {sent}");
            }
        }
    }

    /// What is far too small beside the largest number of its message is there in the sum of many steps.
    #[test]
    fn nothing_is_lost_for_good() {
        let coding = Coding { blocks: 1, bytes: 8, exact: 0 };
        let (mut kept, mut sum) = (Residuals::default(), [0.0_f64; 2]);
        let sent = [1.0_f32, 1e-9];
        for _ in 0..1000 {
            let coded = kept.encode(Content::Totals(0), &bytes(&sent), coding);
            let found = numbers(&coding.decode(&coded));
            sum.iter_mut().zip(found).for_each(|(sum, found)| *sum += f64::from(found));
        }
        assert!((sum[0] - 1000.0).abs() < 1e-3 && (sum[1] - 1e-6).abs() < 1e-8, "{sum:?}");
    }

    #[test]
    fn what_is_not_finite_arrives_and_is_forgotten() {
        let coding = Coding { blocks: 1, bytes: 12, exact: 0 };
        let mut kept = Residuals::default();
        let sent = [f32::NAN, f32::INFINITY, 1.0];
        let coded = kept.encode(Content::Sums(0), &bytes(&sent), coding);
        let found = numbers(&coding.decode(&coded));
        assert!(found[0].is_nan() && found[1] == f32::INFINITY && found[2] == 1.0, "{found:?}");
        let coded = kept.encode(Content::Sums(0), &bytes(&[0.0, 0.0, 0.0]), coding);
        assert_eq!(numbers(&coding.decode(&coded)), [0.0; 3]);
    }
}
