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

/// An interval, rounded outwards, with the digits that its length needs.
pub fn interval([low, high]: [f64; 2]) -> String {
    let length = high - low;
    if !(length.is_finite() && length > 0.0) {
        return format!("[{}, {}]", number(low), number(high));
    }
    let digits = 1 - length.log10().floor() as i32;
    let unit = 10_f64.powi(digits);
    let (below, above) = ((low * unit).floor() / unit, (high * unit).ceil() / unit);
    if (0..=12).contains(&digits) {
        return format!("[{}, {}]", fixed(below, digits as usize), fixed(above, digits as usize));
    }
    let places = (low.abs().max(high.abs()).log10().floor() as i32 + digits).clamp(1, 16) as usize;
    format!("[{}, {}]", scientific(below, places), scientific(above, places))
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
    fn intervals_are_rounded_outwards() {
        assert_eq!(interval([1.50771, 1.50772]), "[1.5077100, 1.5077200]");
        assert_eq!(interval([1.507_704, 1.507_706]), "[1.5077040, 1.5077060]");
        assert_eq!(interval([-0.419_971_2, -0.419_970_1]), "[−0.4199712, −0.4199701]");
        assert_eq!(interval([0.11, 0.99]), "[0.11, 0.99]");
        assert_eq!(interval([2.0, 2.0]), "[2.0000, 2.0000]");
        assert_eq!(interval([-12345.0, 54321.0]), "[−1.3e4, 5.5e4]");
        let [low, high] = [1.234_567_891_23e-20, 1.234_567_891_99e-20];
        let text = interval([low, high]);
        let ends: Vec<f64> =
            text.trim_matches(['[', ']']).split(", ").map(|t| t.replace('−', "-").parse().unwrap()).collect();
        assert!(ends[0] <= low && ends[1] >= high && ends[1] - ends[0] < 2.0 * (high - low), "{text}");
    }

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
