//! A plot for inlining in a page: its colours follow the page's custom properties, and title and caption are left to
//! the page.

use super::palette::PALETTE;

/// The plot with CSS custom properties in place of its colours, each with the static colour as its fallback, scaled to
/// the page's width and without the title and the caption, which the page sets itself from [`Plot`](super::Plot). It
/// has no ids, so that any number of plots can stand in one page.
///
/// A page that hides a way to wait makes its property transparent, and does not display elements of the class of the same
/// name (`mode-irq`, …): points that are a rim around the ground.
#[must_use]
pub fn themed(svg: &str) -> String {
    let mut out = without_group(&without_group(svg, "head"), "caption");
    if let Some(body) = cropped(&out) {
        out = body;
    }
    for swatch in PALETTE {
        // Text has no number signs, so that this finds styles and nothing else.
        out = out.replace(swatch.light, &format!("var({},{})", swatch.property, swatch.light));
    }
    out
}

/// Without a group of text, in which there is no other group.
fn without_group(svg: &str, class: &str) -> String {
    let open = format!("<g class=\"{class}\">");
    let found = svg.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once("</g>\n")?.1)));
    found.map_or_else(|| svg.to_owned(), |(before, after)| format!("{before}{after}"))
}

/// The view narrowed to what `data-body` says is neither title nor caption.
fn cropped(svg: &str) -> Option<String> {
    let (tag, rest) = svg.split_once('>')?;
    let value = |name: &str| Some(tag.split_once(name)?.1.split_once('"')?.0);
    let (from, height) = value("data-body=\"")?.split_once(' ')?;
    let family = value("font-family=\"")?;
    Some(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {from} 1000 {height}" role="img" font-family="{family}">{rest}"#
    ))
}
