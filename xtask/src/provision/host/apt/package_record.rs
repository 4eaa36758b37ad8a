//! Parses `apt-cache show`.

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackageRecord {
    pub(super) version: String,
    /// In bytes.
    pub(super) size: u64,
    /// Names of packages, without versions and alternatives.
    pub(super) depends: Vec<String>,
}

impl PackageRecord {
    /// Parses the first stanza.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let stanza = text.split("\n\n").next()?;
        let field =
            |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        Some(Self {
            version: field("Version")?.to_owned(),
            size: field("Size").and_then(|size| size.parse().ok()).unwrap_or(0),
            depends: ["Pre-Depends", "Depends"]
                .into_iter()
                .filter_map(field)
                .flat_map(|list| list.split(','))
                .filter_map(first_alternative)
                .collect(),
        })
    }
}

/// The name `a` in `a (>= 1) | b`.
fn first_alternative(dependency: &str) -> Option<String> {
    dependency.split(['|', '(', ':']).next()?.split_whitespace().next().map(str::to_owned)
}
