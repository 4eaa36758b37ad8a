//! The plots' colours as CSS custom properties.

use crate::render::plots::{Color, PALETTE};

/// Every colour of the plots as a custom property, for the light and the dark scheme.
pub(super) fn properties() -> String {
    let set = |of: fn(&Color) -> &'static str| {
        PALETTE.iter().fold(String::new(), |text, color| text + color.property + ":" + of(color) + ";")
    };
    let (light, dark) = (set(|color| color.light), set(|color| color.dark));
    // Printed pages are always light.
    format!(":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_has_a_light_and_a_dark_value() {
        let text = properties();
        assert_eq!(text.matches("--mode-poll:").count(), 2);
        assert_eq!(text.matches(':').count(), 2 * PALETTE.len() + 3, "{text}");
    }
}
