//! Differences from the loss at θ in words: with their errors, and no more than these allow.

use super::results::MinimumResult;
use crate::number_text::{number, plural, plus_minus, short};
use crate::sampling_error::LossDifference;

/// How a loss compares with that at the centre: what stands behind "is".
pub fn from_center(d: &LossDifference) -> String {
    if d.value == 0.0 {
        return "that at the centre".into();
    }
    let (way, size) = if d.value < 0.0 { ("lower", -d.value) } else { ("higher", d.value) };
    match (d.std_error, d.significant()) {
        (Some(error), Some(true)) => {
            format!("{way} than at the centre by {}", plus_minus(size, error))
        }
        (Some(error), _) => {
            format!("not distinguishable from that at the centre ({way} by {})", plus_minus(size, error))
        }
        (None, _) => {
            format!("{way} than at the centre by {} (error over the samples not known)", short(size))
        }
    }
}

/// How far the smallest loss of a grid lies below the centre, beside its place in a figure: empty at the centre.
pub fn below_center(d: &LossDifference) -> String {
    if d.value == 0.0 {
        return String::new();
    }
    let (size, way) = (d.value.abs(), if d.value < 0.0 { "below" } else { "above" });
    match (d.std_error, d.significant()) {
        (Some(error), Some(true)) => format!("{} {way} the centre", plus_minus(size, error)),
        (Some(_), _) => "not distinguishable from the centre".into(),
        (None, _) => format!("{} {way} the centre", short(size)),
    }
}

/// The smallest loss of a grid in a sentence; `place` says where: "in the plane of the Hessian directions".
pub fn smallest_sentence(place: &str, minimum: &MinimumResult, samples: usize, split: &str) -> String {
    let difference = minimum.difference();
    let of = plural(samples, &format!("{split} sample"));
    if difference.value == 0.0 {
        return format!("{place} the smallest loss on the grid is that at the centre ({of}).");
    }
    format!(
        "{place} the smallest loss on the grid, {}, is {} ({of}).",
        number(minimum.loss),
        from_center(&difference)
    )
}

/// A number of samples, as "the first 256 of 1024 train samples" where it is not all of them.
pub fn samples_of(used: usize, all: usize, split: &str) -> String {
    if used < all {
        format!("the first {used} of the {all} {split} samples")
    } else {
        plural(used, &format!("{split} sample"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_claim_no_more_than_the_errors_allow() {
        let say = |value, std_error| from_center(&LossDifference { value, std_error });
        assert_eq!(say(-0.05, Some(0.004)), "lower than at the centre by 0.0500 ± 0.0040");
        assert_eq!(
            say(-0.05, Some(0.04)),
            "not distinguishable from that at the centre (lower by 0.050 ± 0.040)"
        );
        assert_eq!(say(-0.05, None), "lower than at the centre by 0.050 (error over the samples not known)");
        assert_eq!(say(0.5, Some(0.1)), "higher than at the centre by 0.50 ± 0.10");
        assert_eq!(say(0.0, Some(0.0)), "that at the centre");
    }
}
