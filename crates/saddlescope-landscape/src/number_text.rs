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

/// A number with two significant digits: 0.25, 130, 3.0e−7.
pub fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return minus(&format!("{x}"));
    }
    match exponent(x, 1) {
        e @ -3..=1 => fixed(x, (1 - e) as usize),
        e @ 2..=4 => fixed(rounded(x, e - 1), 0),
        _ => scientific(x, 1),
    }
}

/// The power of ten of the first digit of a number that is rounded to `digits` digits after it: 0.0996 is 0.10.
fn exponent(x: f64, digits: usize) -> i32 {
    let text = format!("{x:.digits$e}");
    text.rsplit_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0)
}

/// A number rounded to a multiple of 10^place, 0 ≤ place ≤ 4.
fn rounded(x: f64, place: i32) -> f64 {
    let unit = 10_f64.powi(place);
    (x / unit).round() * unit
}

/// A number with its error: the error has two significant digits, and the number ends where these do. Where the error is too small
/// for that, the number has five significant digits, as everywhere.
pub fn plus_minus(x: f64, error: f64) -> String {
    if x == 0.0 || error == 0.0 || !x.is_finite() || !error.is_finite() {
        return format!("{} ± {}", number(x), short(error));
    }
    let (place, first) = (exponent(error, 1) - 1, exponent(x, 4));
    if place < first - 4 {
        return format!("{} ± {}", number(x), short(error));
    }
    match (first.max(place + 1), place) {
        (-4..=4, ..=0) => {
            let digits = (-place) as usize;
            // More than five zeros are hard to count.
            let error = if digits > 5 { short(error) } else { fixed(error, digits) };
            format!("{} ± {error}", fixed(x, digits))
        }
        (-4..=4, _) => {
            format!("{} ± {}", fixed(rounded(x, place), 0), fixed(rounded(error, place), 0))
        }
        _ if first < place => format!("0 ± {}", short(error)),
        _ => format!("{} ± {}", scientific(x, (first - place) as usize), short(error)),
    }
}

/// An estimate with its standard error, or with the word that none is known.
pub fn with_error(e: &Estimate) -> String {
    match e.known_error() {
        Some(error) => plus_minus(e.value, error),
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

/// A share in per cent with its standard error.
pub fn percent_with_error(share: f64, error: Option<f64>) -> String {
    match error {
        Some(error) => format!("{} %", plus_minus(100.0 * share, 100.0 * error)),
        None => format!("{} %", fixed(100.0 * share, 2)),
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
            (short(130.4), "130"),
            (short(8750.0), "8800"),
            (short(0.0996), "0.10"),
            (short(1.3e5), "1.3e5"),
            (fixed(-2.0, 3), "−2.000"),
            (scientific(-2.5e-3, 2), "−2.50e−3"),
            (with_error(&Estimate { value: -2.0, std_error: 1e-6, samples: 2 }), "−2.0000 ± 1.0e−6"),
        ] {
            assert_eq!(text, expected);
        }
    }
    #[test]
    fn a_number_ends_where_its_error_does() {
        for (x, error, expected) in [
            (1.1418, 0.17, "1.14 ± 0.17"),
            (11.569, 0.6, "11.57 ± 0.60"),
            (0.017_23, 0.001_29, "0.0172 ± 0.0013"),
            (-3.1, 0.0996, "−3.10 ± 0.10"),
            (3340.4, 787.0, "3340 ± 790"),
            (8.7592e7, 1.53e7, "8.8e7 ± 1.5e7"),
            (-4.21e-7, 3.2e-9, "−4.210e−7 ± 3.2e−9"),
            (1.9191, 1.1e-15, "1.9191 ± 1.1e−15"),
            (0.002_778_5, 1.8e-6, "0.0027785 ± 1.8e−6"),
            (0.01, 2.5, "0.0 ± 2.5"),
            (1e-12, 3e-7, "0 ± 3.0e−7"),
            (0.0, 0.25, "0 ± 0.25"),
            (2.5, 0.0, "2.5000 ± 0"),
            (2.0, f64::INFINITY, "2.0000 ± inf"),
        ] {
            assert_eq!(plus_minus(x, error), expected);
        }
        assert_eq!(percent_with_error(0.9648, Some(0.0115)), "96.5 ± 1.1 %");
        assert_eq!(percent_with_error(1.0, None), "100.00 %");
    }
}
