//! The fuzzed properties with inputs of proptest: the same functions, from the same file.

use proptest::prelude::*;

#[expect(unreachable_pub, reason = "the fuzz targets use them from another crate")]
#[path = "../../../fuzz/src/shared_memory.rs"]
mod shared_memory;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_content_stays_inside_the_region(data in prop::collection::vec(any::<u8>(), 0..800)) {
        shared_memory::layout(&data);
    }

    #[test]
    fn plausible_sizes_stay_inside_the_region(
        slots in 0..4_u64, stride in 0..3_u64, work in 0..8_u64, operations in 0..40_000_u64, bytes in 0..5_000_000_u64,
    ) {
        // The header from its nonce on, and the command with its parameters.
        let header = [7, 1, slots, stride * 4096 + 4096 * 512 * (slots % 2), 0];
        let command = [0, work, 1, 1, operations];
        let parameters = [0, 0, slots, bytes, 0];
        let words = [header, command, parameters];
        let bytes: Vec<u8> = words.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect();
        shared_memory::layout(&[&[1], &bytes[..]].concat());
    }
}
