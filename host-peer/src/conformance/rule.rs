//! The rules for a server, and the report.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Serialize, Serializer};

/// A rule of the client-server protocol or an assumption of its clients, with its requirement. In the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Rule {
    /// the first message is version 0, without a descriptor
    Version,
    /// the second message is the client's id, 0 to 65535, without a descriptor
    OwnId,
    /// the third message is -1 with the descriptor of a file that can be mapped
    Memory,
    /// the memory's size is a power of two, at least a page, and does not change
    MemorySize,
    /// the memory is sealed against shrinking and growing
    MemorySeals,
    /// all clients receive the same memory
    SameMemory,
    /// no two clients have the same id
    UniqueIds,
    /// a new client receives the vectors of the connected peers, then its own, peer by peer
    #[value(name = "hand-over-order")]
    HandshakeOrder,
    /// no message carries more than one descriptor
    OneDescriptor,
    /// every doorbell is an eventfd
    Eventfds,
    /// every doorbell is non-blocking
    NonBlocking,
    /// every peer has the same number of vectors
    EqualVectors,
    /// each doorbell rings exactly its vector, and counts
    Doorbells,
    /// connected peers are notified of a new peer once per vector
    JoinNotices,
    /// connected peers are notified once that a peer left, by its id without a descriptor
    LeaveNotices,
    /// an id is not reused while clients that knew its former peer are connected
    NoReuse,
    /// a client that reads byte by byte receives each descriptor with the first byte of a message
    SplitReading,
    /// a client that does not read delays no other client and misses no part of a peer
    SlowReader,
    /// a client that disconnects early does not affect the server
    #[value(name = "hasty-client")]
    EarlyDisconnect,
}

impl Rule {
    /// Its name in reports.
    #[must_use]
    pub fn id(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The requirement.
    #[must_use]
    pub fn title(self) -> String {
        self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.id())
    }
}

/// The result of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The server conforms.
    Pass,
    /// The server violates the rule.
    Fail,
    /// The server meets only the minimum of the protocol.
    Note,
    /// Not checked: an earlier step failed.
    Skip,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Note => "note",
            Self::Skip => "skip",
        })
    }
}

/// The verdict of a rule, with details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleResult {
    /// The rule.
    pub rule: Rule,
    /// The requirement.
    pub title: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Observed behaviour; empty for a pass.
    pub detail: String,
}

/// All verdicts, in the order of [`Rule`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConformanceReport {
    /// The server's socket.
    pub socket: PathBuf,
    /// Vectors per peer; `None` if not reached.
    pub vectors: Option<usize>,
    /// Whether the server refused a client and the check is incomplete. A full server conforms.
    pub refused: bool,
    /// The verdict of each rule.
    pub rules: Vec<RuleResult>,
}

impl ConformanceReport {
    /// Whether a rule failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.with(Verdict::Fail).next().is_some()
    }

    /// Whether every rule was checked. An incomplete check does not prove conformance.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.with(Verdict::Skip).next().is_none()
    }

    /// The rules with this verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = Rule> {
        self.rules.iter().filter(move |result| result.verdict == verdict).map(|result| result.rule)
    }
}

/// One line per rule, and a summary.
impl fmt::Display for ConformanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for RuleResult { rule, title, verdict, detail } in &self.rules {
            write!(f, "{verdict}  {:<16} {title}", rule.id())?;
            if !detail.is_empty() {
                write!(f, ": {detail}")?;
            }
            writeln!(f)?;
        }
        let verdicts = [Verdict::Pass, Verdict::Fail, Verdict::Note, Verdict::Skip];
        let [passed, failed, noted, skipped] = verdicts.map(|verdict| self.with(verdict).count());
        write!(f, "{} rules: {passed} passed, {failed} failed, {noted} noted", self.rules.len())?;
        if skipped > 0 {
            write!(f, ", {skipped} not checked")?;
        }
        if self.refused {
            write!(f, " (the server refused a client)")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rule_names_are_unique() {
        let names: BTreeSet<_> = Rule::value_variants().iter().map(|rule| rule.id()).collect();
        assert_eq!(names.len(), Rule::value_variants().len());
    }

    #[test]
    fn report_has_a_line_per_rule_and_fails_with_one() {
        let result = |rule: Rule, verdict, detail: &str| RuleResult {
            rule,
            title: rule.title(),
            verdict,
            detail: detail.into(),
        };
        let mut report = ConformanceReport {
            socket: "/x".into(),
            vectors: Some(1),
            refused: false,
            rules: vec![result(Rule::Version, Verdict::Pass, ""), result(Rule::OwnId, Verdict::Note, "why")],
        };
        assert!(!report.failed());
        let text = report.to_string();
        assert!(text.starts_with("pass  version          the first message is version 0, without a descriptor\n"));
        assert!(text.ends_with(": why\n2 rules: 1 passed, 0 failed, 1 noted\n"), "{text}");
        report.rules[1].verdict = Verdict::Skip;
        assert!(!report.is_complete() && !report.failed());
        assert!(report.to_string().ends_with("1 passed, 0 failed, 0 noted, 1 not checked\n"), "{report}");
        report.rules[1].verdict = Verdict::Fail;
        assert!(report.failed() && report.is_complete());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["rules"][1]["rule"], "own-id");
        assert_eq!(json["rules"][1]["verdict"], "fail");
    }
}
