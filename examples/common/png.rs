//! Writing a picture.

use std::path::Path;

use super::Outcome;

/// Writes `rgb`, three bytes per pixel, as a PNG file.
pub fn write(path: &Path, width: u32, height: u32, rgb: &[u8]) -> Outcome {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::File::create(path).map_err(|error| at(&error))?;
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|error| at(&error))?;
    writer.write_image_data(rgb).map_err(|error| at(&error))?;
    writer.finish().map_err(|error| at(&error))?;
    println!("wrote {}", path.display());
    Ok(())
}
