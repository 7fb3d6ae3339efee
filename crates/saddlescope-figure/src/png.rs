//! A figure as PNG: exactly its SVG, rasterised with the embedded fonts only, so that every machine makes the same pixels.

use std::sync::{Arc, LazyLock};

use resvg::{tiny_skia, usvg};

use super::data::Figure;
use super::error::FigureError;
use super::render::render_svg;
use super::text;

static FONTS: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = usvg::fontdb::Database::new();
    for bytes in [text::REGULAR, text::ITALIC, text::BOLD, text::SYMBOLS] {
        fonts.load_font_data(bytes.to_vec());
    }
    fonts.set_sans_serif_family("Liberation Sans");
    fonts.set_serif_family("Liberation Sans");
    Arc::new(fonts)
});

/// Most pixels in one picture (some 400 MB of memory).
const MOST_PIXELS: f64 = 1e8;

/// The figure as a PNG file at `dpi` dots per inch of its printed size (300 is print quality), on white, with the
/// resolution recorded in the file.
///
/// # Errors
/// When the figure does not pass [`super::check`], or `dpi` is not positive or asks for more than 10⁸ pixels.
pub fn render_png(figure: &Figure, dpi: f64) -> Result<Vec<u8>, FigureError> {
    let fail = |problem: String| FigureError::Raster { figure: figure.id.clone(), dpi, problem };
    let svg = render_svg(figure)?;
    let options = usvg::Options { fontdb: FONTS.clone(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(&svg, &options).map_err(|e| fail(e.to_string()))?;
    // The tree's unit is the CSS pixel, 1/96 inch.
    let scale = dpi / 96.0;
    let (w, h) = (f64::from(tree.size().width()) * scale, f64::from(tree.size().height()) * scale);
    if !(w >= 1.0 && h >= 1.0 && w * h <= MOST_PIXELS) {
        return Err(fail(format!("the picture would have {w:.0} × {h:.0} pixels")));
    }
    let (width, height) = (w.round() as u32, h.round() as u32);
    let mut pixels = tiny_skia::Pixmap::new(width, height)
        .ok_or_else(|| fail(format!("no picture of {width} × {height} pixels")))?;
    pixels.fill(tiny_skia::Color::WHITE);
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale as f32, scale as f32), &mut pixels.as_mut());
    encode(&pixels, dpi).map_err(|e| fail(e.to_string()))
}

fn encode(pixels: &tiny_skia::Pixmap, dpi: f64) -> Result<Vec<u8>, png::EncodingError> {
    // The ground is opaque white, so alpha is 255 everywhere and can go.
    let rgb: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let per_metre = (dpi / 0.0254).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: per_metre,
        yppu: per_metre,
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(bytes)
}
