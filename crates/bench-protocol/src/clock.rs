//! A guest's time stamp counter on the host's time line.

/// The offset between both counters, from handshakes: the guest stamps between two stamps of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// Guest minus host, in ticks.
    pub ticks: i64,
    /// Half of the handshake's round trip, in ticks: the error bound of the offset.
    pub bound: u64,
}

impl ClockOffset {
    /// One handshake: the host stamped `sent`, then the guest `seen`, then the host `back`.
    #[must_use]
    pub fn from_handshake(sent: u64, seen: u64, back: u64) -> Self {
        let bound = back.wrapping_sub(sent).div_ceil(2);
        let middle = sent.wrapping_add(back.wrapping_sub(sent) / 2);
        Self { ticks: seen.wrapping_sub(middle).cast_signed(), bound }
    }

    /// The handshake with the shortest round trip, which has the smallest error bound.
    #[must_use]
    pub fn best(handshakes: impl IntoIterator<Item = Self>) -> Option<Self> {
        handshakes.into_iter().min_by_key(|h| h.bound)
    }

    /// A guest's stamp on the host's time line.
    #[must_use]
    pub fn guest_to_host(&self, guest_ticks: u64) -> u64 {
        guest_ticks.wrapping_sub(self.ticks.cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_guest_stamps_to_host_time() {
        let guest_ahead = ClockOffset::from_handshake(1_000, 50_050, 1_100);
        assert_eq!(guest_ahead, ClockOffset { ticks: 49_000, bound: 50 });
        assert_eq!(guest_ahead.guest_to_host(50_050), 1_050);
        let guest_behind = ClockOffset::from_handshake(1_000_000, 5, 1_000_010);
        assert_eq!(guest_behind.guest_to_host(5), 1_000_005);
    }

    #[test]
    fn selects_handshake_with_smallest_bound() {
        let loose = ClockOffset { ticks: 1, bound: 90 };
        let tight = ClockOffset { ticks: 2, bound: 20 };
        assert_eq!(ClockOffset::best([loose, tight, loose]), Some(tight));
        assert_eq!(ClockOffset::best([]), None);
    }
}
