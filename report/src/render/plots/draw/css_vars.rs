//! Adapts a plot to an HTML page: colours become CSS custom properties; title and caption are left to the page.

use super::palette::PALETTE;

/// Returns the plot with CSS custom properties as colours (the static colour is the fallback), scaled to the page's
/// width, without title and caption: the page takes them from [`Plot`](super::super::Plot).
///
/// A page hides a wait mode by making its property transparent and hiding the elements of its class (`mode-irq`, …):
/// hollow markers.
#[must_use]
pub fn themed(svg: &str) -> String {
    let mut out = without_group(&without_group(svg, "head"), "caption");
    if let Some(body) = cropped(&out) {
        out = body;
    }
    for color in PALETTE {
        // Text contains no `#`, so only styles match.
        out = out.replace(color.light, &format!("var({},{})", color.property, color.light));
    }
    out
}

/// Removes a group that contains no other group.
fn without_group(svg: &str, class: &str) -> String {
    let open = format!("<g class=\"{class}\">");
    let found = svg.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once("</g>\n")?.1)));
    found.map_or_else(|| svg.to_owned(), |(before, after)| format!("{before}{after}"))
}

/// Crops the view to `data-body`: without title and caption.
fn cropped(svg: &str) -> Option<String> {
    let (tag, rest) = svg.split_once('>')?;
    let value = |name: &str| Some(tag.split_once(name)?.1.split_once('"')?.0);
    let (from, height) = value("data-body=\"")?.split_once(' ')?;
    let family = value("font-family=\"")?;
    Some(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {from} 1000 {height}" role="img" font-family="{family}">{rest}"#
    ))
}
