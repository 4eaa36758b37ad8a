//! A plot as the page takes it.

/// A plot of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    /// Its name in links, unique in the page.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// What to see.
    pub caption: String,
    /// The figures in words, for who does not see it.
    pub alt: String,
    /// The plot.
    pub svg: String,
}

/// The plot with the page's colours.
pub(super) fn themed(svg: &str) -> String {
    svg.to_owned()
}

/// The page's colours as custom properties, light and dark.
pub(super) fn colours() -> String {
    const P: [(&str, &str, &str); 15] = [
        ("--ink", "#1f2328", "#e6edf3"),
        ("--muted", "#57606a", "#9aa4b0"),
        ("--grid", "#dfe3e8", "#30363d"),
        ("--shade", "#f4f6f8", "#1b2129"),
        ("--paper", "#ffffff", "#0f141a"),
        ("--limit", "#6e7781", "#8b949e"),
        ("--mode-poll", "#0072b2", "#58a6e8"),
        ("--mode-irq", "#d55e00", "#f08a3c"),
        ("--mode-hybrid", "#008f68", "#2fc297"),
        ("--mode-mixed-1", "#332288", "#9d8df1"),
        ("--mode-mixed-2", "#2b8ca3", "#67c9dd"),
        ("--mode-mixed-3", "#a8701a", "#e2b355"),
        ("--mode-mixed-4", "#882255", "#e0709f"),
        ("--mode-mixed-5", "#5f7d1f", "#a9c95a"),
        ("--mode-mixed-6", "#7a5c4f", "#c9a797"),
    ];
    let set = |of: fn(&(&str, &str, &str)) -> String| P.iter().map(of).collect::<String>();
    let light = set(|(name, light, _)| format!("{name}:{light};"));
    let dark = set(|(name, _, dark)| format!("{name}:{dark};"));
    format!(":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}")
}
