//! The frames' sizes by their names: 24 bits per pixel, no padding.

/// Bytes of a 1920 × 1080 frame.
pub const FRAME_1080P: u64 = 1920 * 1080 * 3;
/// Bytes of a 2560 × 1440 frame.
pub const FRAME_1440P: u64 = 2560 * 1440 * 3;
/// Bytes of a 3840 × 2160 frame.
pub const FRAME_4K: u64 = 3840 * 2160 * 3;

/// The frame's name, or for any other size its bytes in the largest unit that divides them.
#[must_use]
pub fn size_name(bytes: u64) -> String {
    match bytes {
        FRAME_1080P => "1080p".to_owned(),
        FRAME_1440P => "1440p".to_owned(),
        FRAME_4K => "4k".to_owned(),
        bytes => [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|&(unit, _)| bytes >= unit && bytes.is_multiple_of(unit))
            .map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_names_and_other_sizes_units() {
        let named = [FRAME_1080P, FRAME_1440P, FRAME_4K, 64, 4096, 1 << 20, 1025, 0].map(size_name);
        assert_eq!(named, ["1080p", "1440p", "4k", "64 B", "4 KiB", "1 MiB", "1025 B", "0 B"]);
    }
}
