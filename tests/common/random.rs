//! Seeded random values; the same on every machine.

/// Steele, Lea and Flood's SplitMix64 (2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly in `0..1`, with the 24 bits of an f32.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Evenly in `low..high`.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// `0.3..1.5`, of either sign: no value is near 0, where some functions have a corner.
    pub fn off_zero(&mut self) -> f32 {
        let size = self.uniform(0.3, 1.5);
        if self.next() & 1 == 0 { size } else { -size }
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// `0..n` in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }

    pub fn many(&mut self, n: usize, mut draw: impl FnMut(&mut Self) -> f32) -> Vec<f32> {
        (0..n).map(|_| draw(self)).collect()
    }
}
