//! The minus sign of text for people.

/// A formatted number with the minus sign (U+2212) in place of every hyphen.
pub fn minus(number: &str) -> String {
    number.replace('-', "−")
}
