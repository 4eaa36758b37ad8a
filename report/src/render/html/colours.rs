//! The plots' colours as the page's own, light and dark.

use crate::render::plots::{PALETTE, Swatch};

/// Every colour of the plots as a custom property, for both schemes.
pub(super) fn properties() -> String {
    let set = |of: fn(&Swatch) -> &'static str| {
        PALETTE.iter().fold(String::new(), |text, swatch| text + swatch.property + ":" + of(swatch) + ";")
    };
    let (light, dark) = (set(|swatch| swatch.light), set(|swatch| swatch.dark));
    // Paper is white whatever the screen is.
    format!(":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_has_both_schemes() {
        let text = properties();
        assert_eq!(text.matches("--mode-poll:").count(), 2);
        assert_eq!(text.matches(':').count(), 2 * PALETTE.len() + 3, "{text}");
    }
}
