//! The table "printed / exact / ours ± error".

use saddlescope_krylov::Estimate;
use saddlescope_landscape::projection::Fraction;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Numbers of the paper beside what arithmetic and our computation give.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberTable {
    /// One row a number.
    pub rows: Vec<Comparison>,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Where the paper gives it.
    pub place: String,
    /// What it is.
    pub quantity: String,
    /// As the paper prints it; empty when it does not.
    pub printed: String,
    /// The exact value, when it is known.
    pub exact: Option<f64>,
    /// Where the exact value comes from.
    pub exact_source: String,
    /// What we computed.
    pub ours: Measured,
    /// Whether print and arithmetic agree.
    pub finding: Finding,
    /// In words.
    pub remark: String,
}

/// A computed number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// Its standard error; 0 for a number that has none.
    pub std_error: f64,
    /// Number of independent samples behind it; 0 when it was not sampled.
    pub samples: usize,
}

/// Whether print and arithmetic agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// They agree within the printed digits or the errors.
    Agrees,
    /// They differ: the arithmetic decides.
    Differs,
    /// The paper prints no such number.
    NotPrinted,
    /// The paper prints the number of other weights: only signs and story can be compared.
    OtherWeights,
}

impl Measured {
    /// A number without a sampling error.
    pub fn exact(value: f64) -> Self {
        Self { value, std_error: 0.0, samples: 0 }
    }

    /// The distance from `reference` in standard errors; 0 when they are equal.
    pub fn deviation(&self, reference: f64) -> f64 {
        if self.value == reference { 0.0 } else { (self.value - reference) / self.std_error }
    }
}

impl From<Estimate> for Measured {
    fn from(estimate: Estimate) -> Self {
        Self { value: estimate.value, std_error: estimate.std_error, samples: estimate.samples }
    }
}

impl From<Fraction> for Measured {
    fn from(fraction: Fraction) -> Self {
        Self { value: fraction.value(), std_error: fraction.std_error(), samples: fraction.samples }
    }
}

impl NumberTable {
    /// The table in Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| where | quantity | printed | exact | ours ± standard error | samples | print and arithmetic | in words |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for row in &self.rows {
            let cells = row.cells().map(|cell| cell.replace('|', "\\|"));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

impl Comparison {
    /// The headings of [`Comparison::cells`].
    pub const HEADINGS: [&str; 8] = [
        "where",
        "quantity",
        "printed",
        "exact",
        "ours ± standard error",
        "samples",
        "print and arithmetic",
        "in words",
    ];

    /// The row as text.
    pub fn cells(&self) -> [String; 8] {
        let exact = match (self.exact, self.exact_source.as_str()) {
            (Some(value), "") => significant(value, 4),
            (Some(value), source) => format!("{} ({source})", significant(value, 4)),
            (None, _) => "—".to_owned(),
        };
        [
            self.place.clone(),
            self.quantity.clone(),
            if self.printed.is_empty() { "—".to_owned() } else { self.printed.clone() },
            exact,
            self.ours.to_string(),
            if self.ours.samples == 0 { "—".to_owned() } else { self.ours.samples.to_string() },
            match self.finding {
                Finding::Agrees => "agree",
                Finding::Differs => "differ",
                Finding::NotPrinted => "not printed",
                Finding::OtherWeights => "other weights",
            }
            .to_owned(),
            self.remark.clone(),
        ]
    }
}

impl std::fmt::Display for Measured {
    /// The value to the digits its error allows, then the error to two digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.std_error == 0.0 {
            return match self.samples {
                0 => f.write_str(&significant(self.value, 4)),
                samples => write!(f, "{} of {samples}", significant(self.value * samples as f64, 4)),
            };
        }
        if !self.std_error.is_finite() || !self.value.is_finite() {
            return write!(f, "{} ± {}", significant(self.value, 4), significant(self.std_error, 2));
        }
        let exponent = self.std_error.log10().floor() as i32;
        let size = self.value.abs().max(self.std_error);
        if !(1e-3..1e6).contains(&size) {
            let power = size.log10().floor() as i32;
            let scale = 10_f64.powi(power);
            let digits = usize::try_from(power - exponent + 1).unwrap_or(0);
            return write!(
                f,
                "({:.digits$} ± {:.digits$})·10{}",
                self.value / scale,
                self.std_error / scale,
                superscript(power)
            );
        }
        let digits = usize::try_from(1 - exponent).unwrap_or(0);
        write!(f, "{:.digits$} ± {:.digits$}", self.value, self.std_error)
    }
}

/// A number to so many significant digits, with a power of ten when it is very small or large.
pub(super) fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let power = value.abs().log10().floor() as i32;
    if (-3..7).contains(&power) {
        let decimals = usize::try_from(digits - 1 - power).unwrap_or(0);
        // Beyond the significant digits there are zeros, also in front of the point.
        let unit = 10_f64.powi((power - digits + 1).max(0));
        let rounded = if unit > 1.0 { (value / unit).round() * unit } else { value };
        let text = format!("{rounded:.decimals$}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
    }
    let decimals = usize::try_from(digits - 1).unwrap_or(0);
    // Scaled in logarithms' reach only; ten to the −300 is still a normal number.
    format!("{:.decimals$}·10{}", value / 10_f64.powi(power), superscript(power))
}

fn superscript(power: i32) -> String {
    power
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            '9' => '⁹',
            _ => '⁰',
        })
        .collect()
}
