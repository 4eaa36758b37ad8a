//! What a browser may do with the page: apply its style and run its one script, and nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A Content-Security-Policy (CSP level 3) that lets nothing be loaded, sent or framed, and no script run but `script`,
/// which it names by its hash. Should a string of the run ever become markup, it stays without effect.
pub(super) fn policy(script: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(script));
    // Plots have style attributes, which no hash can allow.
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_named_by_its_hash_and_nothing_remote_is_allowed() {
        let policy = policy("");
        // SHA-256 of nothing.
        assert!(policy.contains("'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"), "{policy}");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("http"), "{policy}");
    }
}
