//! Draws charts as SVG: colours and text, elements, scales, axes and legends.

pub(super) mod axes;
pub(super) mod bins;
pub(super) mod chart;
pub(super) mod css_vars;
mod font;
pub(super) mod line;
pub(super) mod palette;
pub(super) mod png;
pub(super) mod scale;
pub(super) mod svg;
