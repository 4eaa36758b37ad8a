//! The Content-Security-Policy of the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A policy (CSP level 3) that forbids loading, sending and framing, and allows no script except `script`, by its hash. If
/// a string of the run were ever interpreted as markup, it would have no effect.
pub(super) fn policy(script: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(script));
    // The plots have style attributes, which a hash cannot allow.
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_only_the_script_with_its_hash() {
        let policy = policy("");
        // SHA-256 of the empty string.
        assert!(policy.contains("'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"), "{policy}");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("http"), "{policy}");
    }
}
