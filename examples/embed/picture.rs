//! The picture that the net is to learn: a colour for every place.

/// Pixels along each side.
pub const SIDE: usize = 64;
/// Pixels.
pub const PIXELS: usize = SIDE * SIDE;
/// Numbers that tell the net where a pixel is.
pub const FEATURES: usize = 2 + 4 * OCTAVES;

/// Waves by which the net tells places apart: from two pictures long to a quarter of one.
const OCTAVES: usize = 4;

/// The middle of each pixel, row by row; x goes right and y down, both from -1 to 1.
fn places() -> impl Iterator<Item = (f32, f32)> {
    let middle = |index: usize| (2 * index + 1) as f32 / SIDE as f32 - 1.0;
    (0..PIXELS).map(move |pixel| (middle(pixel % SIDE), middle(pixel / SIDE)))
}

/// The net's input: for each pixel its place, and sines and cosines of it.
pub fn features() -> Vec<f32> {
    let mut features = Vec::with_capacity(PIXELS * FEATURES);
    for (x, y) in places() {
        features.extend([x, y]);
        for octave in 0..OCTAVES {
            let frequency = std::f32::consts::PI * (1 << octave) as f32 / 2.0;
            for along in [frequency * x, frequency * y] {
                features.extend([along.sin(), along.cos()]);
            }
        }
    }
    features
}

/// What the net should say: for each pixel red, green and blue from 0 to 1.
pub fn colours() -> Vec<f32> {
    places().flat_map(|(x, y)| colour(x, y)).collect()
}

/// A sun over hills.
fn colour(x: f32, y: f32) -> [f32; 3] {
    let near = y > 0.55 + 0.15 * (3.0 * x + 1.0).sin();
    let far = y > 0.25 + 0.2 * (4.0 * x).cos();
    let from_sun = ((x - 0.35).powi(2) + (y + 0.3).powi(2)).sqrt();
    match (near, far, from_sun < 0.3) {
        (true, _, _) => [0.10, 0.25, 0.18],
        (_, true, _) => [0.20, 0.45, 0.35],
        (_, _, true) => [1.00, 0.85, 0.35],
        _ => {
            let glow = (-2.0 * (from_sun - 0.3)).exp();
            [0.25 + 0.7 * glow, 0.3 + 0.35 * glow, 0.55 - 0.1 * glow]
        }
    }
}
