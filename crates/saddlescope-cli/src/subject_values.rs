//! Values of options about model and data, read from text.

use std::collections::BTreeMap;
use std::str::FromStr;

use wildmatch::WildMatchPattern;

use crate::failure::Failure;

/// How many samples surfaces and cuts are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SliceSamples {
    /// This many.
    Count(usize),
    /// Enough that differences near the centre are known to this share of their range.
    Auto(f64),
}

impl FromStr for SliceSamples {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let auto = match text.split_once(':') {
            Some(("auto", share)) => share.parse().ok(),
            None if text == "auto" => Some(0.05),
            _ => None,
        };
        if let Some(share) = auto.filter(|s: &f64| *s > 0.0 && *s < 1.0) {
            return Ok(Self::Auto(share));
        }
        match text.parse() {
            Ok(count) if count > 0 => Ok(Self::Count(count)),
            _ => Err(
                "expected a number of samples from 1 on, auto, or auto:SHARE with a share between 0 and 1"
                    .into(),
            ),
        }
    }
}

/// An axis that counts the samples of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchAxis {
    /// Name of the input; empty for all.
    pub input: String,
    /// The axis, from 0.
    pub axis: usize,
}

impl FromStr for BatchAxis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Names may hold `=`; axes do not.
        let (input, axis) = text.rsplit_once('=').unwrap_or(("", text));
        let axis =
            axis.parse().map_err(|_| "expected AXIS or INPUT=AXIS with an axis from 0, such as x=1")?;
        Ok(Self { input: input.into(), axis })
    }
}

/// An input of the model that is the same for all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedInput {
    /// Name of the input.
    pub input: String,
    /// Its numbers; one fills its shape.
    pub numbers: Vec<f64>,
}

impl FromStr for FixedInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |x: &str| match x.trim() {
            "true" => Some(1.0),
            "false" => Some(0.0),
            x => x.parse().ok(),
        };
        // Names may hold `=`; numbers do not.
        let (input, numbers) = text.rsplit_once('=').unwrap_or(("", ""));
        let numbers: Option<Vec<f64>> = numbers.split(',').map(number).collect();
        match numbers {
            Some(numbers) if !input.is_empty() => Ok(Self { input: input.into(), numbers }),
            _ => Err(
                "expected INPUT=VALUE with a number, true or false, or several with commas, such as sr=16000"
                    .into(),
            ),
        }
    }
}

/// The fixed inputs by name.
pub fn fixed_inputs(list: &[FixedInput]) -> Result<BTreeMap<String, Vec<f64>>, Failure> {
    let mut by_name = BTreeMap::new();
    for FixedInput { input, numbers } in list {
        if by_name.insert(input.clone(), numbers.clone()).is_some() {
            return Err(Failure::bad_input(format!("--fix-input: `{input}` is given twice")));
        }
    }
    Ok(by_name)
}

/// Whether `name` fits a pattern in which `*` stands for any text.
pub fn fits(pattern: &str, name: &str) -> bool {
    WildMatchPattern::<'*', '\0'>::new(pattern).matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(fits("layer1.*", "layer1.0.conv1.weight"));
        assert!(fits("*.weight", "conv1.weight"));
        assert!(fits("*bn*weight", "layer1.bn2.weight"));
        assert!(!fits("*bn*weight", "layer1.bn2.bias"));
        assert!(fits("linear.bias", "linear.bias"));
        assert!(!fits("linear", "linear.bias"));
        assert!(!fits("a*a", "a"));
    }

    #[test]
    fn batch_axes() {
        let parse = |text: &str| text.parse::<BatchAxis>().map(|b| (b.input, b.axis));
        assert_eq!(parse("1"), Ok((String::new(), 1)));
        assert_eq!(parse("a=b=2"), Ok(("a=b".into(), 2)));
        assert!(parse("x").is_err() && parse("x=-1").is_err() && parse("").is_err());
    }

    #[test]
    fn numbers_of_samples() {
        use SliceSamples::{Auto, Count};
        let parse = |text: &str| text.parse::<SliceSamples>();
        assert_eq!(
            (parse("17"), parse("auto"), parse("auto:0.01")),
            (Ok(Count(17)), Ok(Auto(0.05)), Ok(Auto(0.01)))
        );
        for wrong in ["0", "-1", "auto:0", "auto:1", "auto:x", "all", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fixed_inputs() {
        use super::FixedInput;
        let parse = |text: &str| text.parse::<FixedInput>().map(|f| (f.input, f.numbers));
        assert_eq!(parse("sr=16000"), Ok(("sr".into(), vec![16000.0])));
        assert_eq!(parse("a=b=1,-2.5"), Ok(("a=b".into(), vec![1.0, -2.5])));
        assert_eq!(parse("train=false"), Ok(("train".into(), vec![0.0])));
        for wrong in ["sr", "sr=", "=1", "sr=1,", "sr=x", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(super::fixed_inputs(&["a=1".parse().unwrap(), "a=2".parse().unwrap()]).is_err());
    }
}
