//! Threefry-2x32 with 20 rounds (Salmon et al., 2011), written from the paper, and the elements that dropout
//! keeps by it.

/// How far each round turns its second word; after eight rounds from the first again.
const TURNS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];

pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], 0x1bd1_1bda ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for round in 0..20 {
        x[0] = x[0].wrapping_add(x[1]);
        x[1] = x[1].rotate_left(TURNS[round % 8]) ^ x[0];
        if round % 4 == 3 {
            let s = round / 4 + 1;
            x[0] = x[0].wrapping_add(keys[s % 3]);
            x[1] = x[1].wrapping_add(keys[(s + 1) % 3]).wrapping_add(s as u32);
        }
    }
    x
}

/// What dropout draws for the element in `row` of the batch and `column`, in step `number`.
pub fn word(seed: u64, number: u64, row: u32, column: usize) -> u32 {
    let halves = |number: u64| [number as u32, (number >> 32) as u32];
    let key = threefry(halves(seed), halves(number));
    threefry(key, [row, (column / 2) as u32])[column % 2]
}

/// Whether dropout keeps an element with that word.
pub fn is_kept(word: u32, rate: f32) -> bool {
    f64::from(word) >= (f64::from(rate) * 4_294_967_296.0).round()
}

/// What dropout multiplies by what it keeps.
pub fn factor(rate: f32) -> f32 {
    (1.0 / (1.0 - f64::from(rate))) as f32
}
