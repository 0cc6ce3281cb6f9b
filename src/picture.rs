//! Pictures as SVG documents and as PNG files.

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::{Error, Result};

/// The registered name of the font that comes along, with what viewers of an SVG take in its place. A
/// name of its own, so that fonts which the app registers stay the app's.
pub(crate) const FONT: &str = "DejaVu Sans, sans-serif";

pub(crate) type Area<B> = DrawingArea<B, Shift>;
pub(crate) type Drawn<B, T = ()> =
    std::result::Result<T, DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// What can be drawn.
pub(crate) trait Picture {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);

    /// Draws it on an area of this size.
    fn draw<B: DrawingBackend>(&self, area: &Area<B>) -> Drawn<B>;
}

/// The picture as an SVG document.
pub(crate) fn to_svg(picture: &impl Picture) -> Result<String> {
    register_font()?;
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, picture.size()).into_drawing_area();
    picture.draw(&area).map_err(failed)?;
    drop(area);
    Ok(svg)
}

/// The picture as a PNG file's bytes.
pub(crate) fn to_png(picture: &impl Picture) -> Result<Vec<u8>> {
    register_font()?;
    let (width, height) = picture.size();
    let mut rgb = vec![0; 3 * width as usize * height as usize];
    let area = BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area();
    picture.draw(&area).map_err(failed)?;
    drop(area);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&rgb).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}

fn failed(reason: impl std::fmt::Display) -> Error {
    Error::Drawing { reason: reason.to_string() }
}

fn register_font() -> Result<()> {
    static IS_READABLE: OnceLock<bool> = OnceLock::new();
    let register = || {
        let font = dejavu::sans::regular();
        plotters::style::register_font(FONT, FontStyle::Normal, font).is_ok()
    };
    match IS_READABLE.get_or_init(register) {
        true => Ok(()),
        false => Err(failed("the font cannot be read")),
    }
}
