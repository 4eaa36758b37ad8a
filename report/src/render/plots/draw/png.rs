//! Renders a plot as PNG, for documents that do not accept SVG.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::font;

/// Pixels per SVG unit: sharp on high-density screens and on paper.
const DENSITY: f32 = 2.0;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for file in font::files() {
        fonts.load_font_data(file.to_vec());
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// A failure to render a plot. Each is a bug of this program, not of the run.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// Invalid SVG.
    #[error("the plot is not valid SVG")]
    Svg(#[from] resvg::usvg::Error),
    /// Invalid or too large size.
    #[error("the plot has an invalid size")]
    Size,
    /// PNG encoding failed.
    #[error("cannot encode the plot as PNG")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Renders an SVG with the embedded font only: the output is the same on every machine.
pub fn png(svg: &str) -> Result<Vec<u8>, PngError> {
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size().scale_by(DENSITY).ok_or(PngError::Size)?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or(PngError::Size)?;
    resvg::render(&tree, Transform::from_scale(DENSITY, DENSITY), &mut pixels.as_mut());
    pixels.encode_png().map_err(|source| PngError::Encode(source.into()))
}
