//! A hash of the layout, by which builds with different layouts refuse each other.

use bench_model::{Fault, WaitMode};
use strum::VariantArray;

use crate::control::{BlockKind, BlockParams};
use crate::counters::GuestCounters;
use crate::frame::FrameHeader;
use crate::guest_stamps::GuestStamps;
use crate::memory_map::{
    Acknowledgement, Command, GuestPage, Header, HelloWords, HostPage, LINE_WORDS, MemoryMap, MessageLine,
    PAYLOAD_WORDS, SLOTS, STAMP_COUNT, STAMP_WORDS, Text,
};

/// Covers every structure's field names, types and order, the enumerations, and the sizes.
#[must_use]
pub fn fingerprint() -> u64 {
    let definitions = [
        MemoryMap::DEFINITION,
        Header::DEFINITION,
        HostPage::DEFINITION,
        MessageLine::DEFINITION,
        Command::DEFINITION,
        BlockParams::DEFINITION,
        GuestPage::DEFINITION,
        Acknowledgement::DEFINITION,
        HelloWords::DEFINITION,
        GuestCounters::DEFINITION,
        Text::DEFINITION,
        GuestStamps::DEFINITION,
        FrameHeader::DEFINITION,
    ];
    let enumerations = format!("{:?}{:?}{:?}", BlockKind::VARIANTS, WaitMode::ALL, Fault::ALL);
    let sizes = format!("{:?}", [size_of::<MemoryMap>(), LINE_WORDS, PAYLOAD_WORDS, STAMP_COUNT, STAMP_WORDS, SLOTS]);
    hash(definitions.into_iter().chain([&*enumerations, &*sizes]))
}

/// FNV-1a.
fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    texts
        .into_iter()
        .flat_map(str::bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn definition_has_names_types_and_order() {
        assert_eq!(MessageLine::DEFINITION, "MessageLine word:u64 payload:[u64; PAYLOAD_WORDS]");
        assert!(BlockParams::DEFINITION.starts_with("BlockParams kind:BlockKind guest_wait:WaitMode"));
    }

    #[test]
    fn hash_differs_by_name_type_and_order() {
        let texts = ["A a:u64 b:u64", "A b:u64 a:u64", "A a:u32 b:u64", "A a:u64 c:u64"];
        let hashes: BTreeSet<u64> = texts.iter().map(|text| hash([*text])).collect();
        assert_eq!(hashes.len(), texts.len());
    }
}
