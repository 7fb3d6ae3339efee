//! Numbers in text for people: one minus sign (U+2212) throughout. Files for programs have numbers of their own.

use saddlescope_figure::minus;
use saddlescope_krylov::Estimate;

/// A number with this many digits after the point.
pub fn fixed(x: f64, digits: usize) -> String {
    minus(&format!("{x:.digits$}"))
}

/// A number as 1.23e−4, with this many digits after the point.
pub fn scientific(x: f64, digits: usize) -> String {
    minus(&format!("{x:.digits$e}"))
}

/// A number with five significant digits.
pub fn number(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return minus(&format!("{x}"));
    }
    let digits = 4 - x.abs().log10().floor() as i32;
    if (0..=9).contains(&digits) { fixed(x, digits as usize) } else { scientific(x, 4) }
}

/// A small number with two significant digits.
pub fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return minus(&format!("{x}"));
    }
    let digits = 1 - x.abs().log10().floor() as i32;
    if (0..=4).contains(&digits) { fixed(x, digits as usize) } else { scientific(x, 1) }
}

/// An estimate with its standard error, or with the word that none is known.
pub fn with_error(e: &Estimate) -> String {
    match e.known_error() {
        Some(error) => format!("{} ± {}", number(e.value), short(error)),
        None => format!("{} (error unknown: {})", number(e.value), plural(e.samples, "sample")),
    }
}

/// A number that may not be known.
pub fn or_unknown(x: Option<f64>) -> String {
    x.map_or("unknown".into(), short)
}

/// A number of things: `1 sample`, `2 samples`.
pub fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_numbers_have_the_minus_sign_and_never_a_hyphen() {
        for (text, expected) in [
            (number(-16.4), "−16.400"),
            (number(-1.5e-12), "−1.5000e−12"),
            (number(f64::NEG_INFINITY), "−inf"),
            (number(-0.0), "−0"),
            (number(2.5e7), "2.5000e7"),
            (short(-0.25), "−0.25"),
            (short(3e-7), "3.0e−7"),
            (fixed(-2.0, 3), "−2.000"),
            (scientific(-2.5e-3, 2), "−2.50e−3"),
            (with_error(&Estimate { value: -2.0, std_error: 1e-6, samples: 2 }), "−2.0000 ± 1.0e−6"),
        ] {
            assert_eq!(text, expected);
        }
    }
}
