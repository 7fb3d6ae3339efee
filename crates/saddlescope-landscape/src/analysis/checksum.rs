//! 64-bit FNV-1a: enough to notice a torn write, or that records are of something else.

/// Over bytes.
pub fn bytes(bytes: &[u8]) -> u64 {
    words(bytes.iter().map(|b| u64::from(*b)))
}

/// Over the bits of numbers.
pub fn numbers(values: &[f64]) -> u64 {
    words(values.iter().map(|v| v.to_bits()))
}

/// Over words.
pub fn words(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0xcbf2_9ce4_8422_2325, |h, word| (h ^ word).wrapping_mul(0x0100_0000_01b3))
}
