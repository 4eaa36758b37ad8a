//! The same picture as pixels, for reports and slides that take no SVG.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::font;

/// Pixels per unit of the SVG: sharp on screens of twice the usual density, and on paper.
const DENSITY: f32 = 2.0;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for file in font::files() {
        fonts.load_font_data(file.to_vec());
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// Why a plot could not become pixels. Each is a fault of this program, not of the run.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The SVG is none.
    #[error("the plot is no SVG that can be drawn")]
    Svg(#[from] resvg::usvg::Error),
    /// It is too large to be held.
    #[error("the plot has no size that can be drawn")]
    Size,
    /// The pixels could not be packed.
    #[error("the plot could not be packed as PNG")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Draws an SVG, with no font but the one that is carried along, so that it comes out alike everywhere.
pub fn png(svg: &str) -> Result<Vec<u8>, PngError> {
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size().scale_by(DENSITY).ok_or(PngError::Size)?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or(PngError::Size)?;
    resvg::render(&tree, Transform::from_scale(DENSITY, DENSITY), &mut pixels.as_mut());
    pixels.encode_png().map_err(|source| PngError::Encode(source.into()))
}
