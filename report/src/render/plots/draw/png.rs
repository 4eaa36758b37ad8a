//! Renders a plot as PNG, for documents that do not accept SVG.

use std::io;
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

/// Renders an SVG with the embedded font only: the output is the same on every machine. A failure is a bug of this
/// program, not of the run.
pub fn png(svg: &str) -> io::Result<Vec<u8>> {
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let invalid = |error| io::Error::other(format!("the plot is not valid SVG: {error}"));
    let tree = Tree::from_str(svg, &options).map_err(invalid)?;
    let invalid_size = || io::Error::other("the plot has an invalid size");
    let size = tree.size().to_int_size().scale_by(DENSITY).ok_or_else(invalid_size)?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(invalid_size)?;
    resvg::render(&tree, Transform::from_scale(DENSITY, DENSITY), &mut pixels.as_mut());
    pixels.encode_png().map_err(io::Error::other)
}
