//! What a JSON file of a run still says where it is damaged: everything before the place at which it stops making sense.
//! Files are cut off by full disks and by copies that were interrupted, and what comes first in them cannot always be made
//! again of anything else.

/// So deep lies what is kept whole or left out: the document's fields are at 1, and a list's elements or a part's fields
/// at 2.
const DEEPEST: usize = 2;

/// The document as it was before byte `until`: without the element or the field that lies there or is not whole, and with
/// every bracket closed.
pub(crate) fn whole_part(text: &[u8], until: usize) -> Vec<u8> {
    let (mut open, mut in_string, mut is_escaped) = (Vec::new(), false, false);
    let (mut end, mut open_at_end) = (0, Vec::new());
    for (at, &byte) in text.iter().enumerate().take(until) {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => drop(open.pop()),
            _ => {}
        }
        // What lies before a comma is whole, and so is what has only begun.
        let before_end = if matches!(byte, b'{' | b'[') { Some(at + 1) } else { (byte == b',').then_some(at) };
        if let Some(here) = before_end.filter(|_| open.len() <= DEEPEST) {
            (end, open_at_end) = (here, open.clone());
        }
    }
    text[..end].iter().copied().chain(open_at_end.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn until(text: &str, end: usize) -> Value {
        serde_json::from_slice(&whole_part(text.as_bytes(), end)).unwrap_or(Value::Null)
    }

    #[test]
    fn a_list_keeps_the_elements_that_are_whole() {
        let text = r#"{"a": 1, "all": [{"x": [1, 2]}, {"x": [3"#;
        assert_eq!(until(text, text.len()), json!({"a": 1, "all": [{"x": [1, 2]}]}));
    }

    #[test]
    fn what_strings_hold_is_no_bracket() {
        let text = r#"{"a": "}],\"{", "b": "cut"#;
        assert_eq!(until(text, text.len()), json!({"a": "}],\"{"}));
    }

    #[test]
    fn wherever_a_document_is_cut_off_what_is_left_is_one() {
        let text = r#"{"a": {"b": [1, {"c": "\\\""}], "d": null}, "e": [[], [{}]], "f": 1.5e3}"#;
        for end in 1..=text.len() {
            assert!(
                until(text, end).is_object(),
                "{end}: {}",
                String::from_utf8_lossy(&whole_part(text.as_bytes(), end))
            );
        }
        assert_eq!(until(text, 0), Value::Null);
        assert_eq!(until("}]}", 3), Value::Null);
    }
}
