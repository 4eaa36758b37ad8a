//! Values of flags that are chosen by name.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// A value, or the program's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AutoOr<T> {
    /// The program chooses.
    Auto,
    /// This value.
    Only(T),
}

/// A parser of values by their names. Each choice is a name, a line for `--help` and a value.
pub(crate) fn choice<T: Clone + Send + Sync + 'static>(
    choices: impl IntoIterator<Item = (&'static str, &'static str, T)>,
) -> impl TypedValueParser<Value = T> {
    let choices: Vec<(&str, &str, T)> = choices.into_iter().collect();
    let names: Vec<PossibleValue> = choices.iter().map(|(name, help, _)| PossibleValue::new(name).help(help)).collect();
    PossibleValuesParser::new(names).try_map(move |name| {
        let found = choices.iter().find(|(known, ..)| *known == name);
        found.map(|(.., value)| value.clone()).ok_or_else(|| format!("unknown value {name}"))
    })
}
