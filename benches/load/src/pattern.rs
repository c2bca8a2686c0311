//! The bytes that connections send and expect back.

/// Bytes after which a connection's stream repeats: the largest prime below 64 KiB. No message or buffer
/// size of the benchmarks is a multiple of it, so a lost, doubled or swapped message shifts the pattern and
/// is detected.
const PERIOD: usize = 65_521;

/// Bytes between the starts of two successive connections' patterns. It does not divide the period, so the
/// first 65,521 connections start at different places.
const STRIDE: u64 = 7;

/// The most bytes that one call reads or writes. It is large enough for a 64 KiB message, and small enough
/// that pattern and buffer stay in the L2 cache.
pub const MAX_IO: usize = 64 * 1024;

/// A table of random bytes. Each connection's stream is a moving window into it, so making a message costs
/// nothing and checking one is a `memcmp`.
pub struct Pattern {
    noise: Box<[u8]>,
}

impl Pattern {
    /// Fills the table. It is the same in every run.
    pub fn new() -> Self {
        let period: Vec<u8> = SplitMix(0)
            .flat_map(u64::to_le_bytes)
            .take(PERIOD)
            .collect();
        // Longer than the period, so that every window is contiguous.
        Self {
            noise: period
                .iter()
                .copied()
                .cycle()
                .take(PERIOD + MAX_IO)
                .collect(),
        }
    }

    /// Returns the `length` bytes of stream `key` that start at `position`.
    ///
    /// # Panics
    /// If `length` is more than [`MAX_IO`].
    pub fn window(&self, key: u64, position: u64, length: usize) -> &[u8] {
        assert!(length <= MAX_IO, "a window of {length} bytes");
        let start = (key * STRIDE + position) % PERIOD as u64;
        &self.noise[start as usize..][..length]
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new()
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): enough noise for a pattern.
struct SplitMix(u64);

impl Iterator for SplitMix {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_after_the_period_only() {
        let pattern = Pattern::new();
        assert_eq!(
            pattern.window(3, 0, MAX_IO),
            pattern.window(3, PERIOD as u64, MAX_IO)
        );
        for shift in [1, 8, 64, 1024, 16 * 1024, 64 * 1024] {
            assert_ne!(
                pattern.window(3, 0, 64),
                pattern.window(3, shift, 64),
                "{shift}"
            );
        }
    }

    #[test]
    fn connections_have_different_streams() {
        let pattern = Pattern::new();
        let first = pattern.window(0, 0, 64);
        assert!((1..20_000).all(|key| pattern.window(key, 0, 64) != first));
    }

    #[test]
    fn adjacent_windows_are_contiguous() {
        let pattern = Pattern::new();
        let whole = pattern.window(9, 60_000, MAX_IO).to_vec();
        let parts = [
            pattern.window(9, 60_000, 10_000),
            pattern.window(9, 70_000, MAX_IO - 10_000),
        ];
        assert_eq!(whole, parts.concat());
    }
}
