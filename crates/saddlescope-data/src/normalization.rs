//! Normalisation of inputs: subtract a mean and divide by a deviation, channel by channel.

use std::fmt;

use super::DataError;

/// Per-channel normalisation x ↦ (x − mean) / deviation of inputs that were scaled to [0, 1].
///
/// Both constants and the arithmetic are `f32`, in the order subtract, then divide: this is what
/// `torchvision.transforms.Normalize` does, so the same image gives the same bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalization {
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// The usual constants of ImageNet, which many CIFAR networks were trained with as well.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
/// Mean and deviation of the pixels of CIFAR-10's training images (deviation over all pixels of a channel).
const CIFAR10: ([f32; 3], [f32; 3]) = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);
/// Mean and deviation of the pixels of MNIST's training images.
const MNIST: ([f32; 1], [f32; 1]) = ([0.1307], [0.3081]);

const SYNTAX: &str = "expected `imagenet`, `cifar10`, `mnist`, `none`, or MEANS/DEVIATIONS with one number or one per channel, \
     such as `0.5,0.5,0.5/0.25,0.25,0.25`";

impl Normalization {
    /// Leaves the values as they are.
    pub fn none() -> Self {
        Self::default()
    }

    /// Mean (0.485, 0.456, 0.406), deviation (0.229, 0.224, 0.225).
    pub fn imagenet() -> Self {
        Self { mean: IMAGENET.0.to_vec(), std: IMAGENET.1.to_vec() }
    }

    /// Mean (0.4914, 0.4822, 0.4465), deviation (0.2470, 0.2435, 0.2616).
    pub fn cifar10() -> Self {
        Self { mean: CIFAR10.0.to_vec(), std: CIFAR10.1.to_vec() }
    }

    /// Mean 0.1307, deviation 0.3081.
    pub fn mnist() -> Self {
        Self { mean: MNIST.0.to_vec(), std: MNIST.1.to_vec() }
    }

    /// One mean and one deviation per channel, or a single pair for all channels.
    ///
    /// # Errors
    /// Lists of different or no length, a value that is not finite, a deviation that is not positive.
    pub fn new(mean: Vec<f32>, std: Vec<f32>) -> Result<Self, DataError> {
        if mean.is_empty() || mean.len() != std.len() {
            return Err(DataError::inconsistent(
                "normalisation",
                format!("{} means and {} deviations", mean.len(), std.len()),
                "one of each per channel",
            ));
        }
        if let Some(bad) = mean.iter().find(|m| !m.is_finite()) {
            return Err(DataError::inconsistent("normalisation mean", bad.to_string(), "a finite number"));
        }
        if let Some(bad) = std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(DataError::inconsistent(
                "normalisation deviation",
                bad.to_string(),
                "a positive finite number",
            ));
        }
        Ok(Self { mean, std })
    }

    /// Reads `imagenet`, `cifar10`, `mnist`, `none`, or `MEANS/DEVIATIONS` (comma-separated numbers).
    ///
    /// # Errors
    /// [`DataError::Syntax`] if it is none of these; the errors of [`Normalization::new`].
    pub fn parse(text: &str) -> Result<Self, DataError> {
        match text {
            "none" => return Ok(Self::none()),
            "imagenet" => return Ok(Self::imagenet()),
            "cifar10" => return Ok(Self::cifar10()),
            "mnist" => return Ok(Self::mnist()),
            _ => {}
        }
        let syntax =
            || DataError::Syntax { what: "normalisation", given: text.into(), expected: SYNTAX.into() };
        let numbers = |list: &str| -> Result<Vec<f32>, DataError> {
            list.split(',').map(|n| n.trim().parse::<f32>().map_err(|_| syntax())).collect()
        };
        let (mean, std) = text.split_once('/').ok_or_else(syntax)?;
        Self::new(numbers(mean)?, numbers(std)?)
    }

    /// Whether values are left as they are.
    pub fn is_none(&self) -> bool {
        self.mean.is_empty()
    }

    /// The means, one per channel (or one for all); empty for [`Normalization::none`].
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The deviations, as many as means.
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// What a value of 0 before normalisation becomes, for each of `channels` channels: the colour of padding.
    pub fn zero_value(&self, channels: usize) -> Vec<f32> {
        (0..channels).map(|c| self.constants(c).map_or(0.0, |(m, s)| (0.0 - m) / s)).collect()
    }

    /// Normalises samples of `shape` (channels first) stored one after the other.
    ///
    /// # Errors
    /// The number of channels, `shape[0]`, is not the number of constants (unless that is one).
    pub(crate) fn apply(&self, values: &mut [f32], shape: &[usize]) -> Result<(), DataError> {
        if self.is_none() || values.is_empty() {
            return Ok(());
        }
        let channels = if self.mean.len() == 1 { 1 } else { shape.first().copied().unwrap_or(1) };
        if channels != self.mean.len() {
            return Err(DataError::inconsistent(
                "normalisation",
                format!("{} means for samples of shape {shape:?}", self.mean.len()),
                "one mean per channel (first axis of a sample), or a single one",
            ));
        }
        let per_sample: usize = shape.iter().product();
        let plane = (per_sample / channels).max(1);
        for (i, chunk) in values.chunks_mut(plane).enumerate() {
            let c = i % channels;
            let (mean, std) = (self.mean[c], self.std[c]);
            chunk.iter_mut().for_each(|v| *v = (*v - mean) / std);
        }
        Ok(())
    }

    fn constants(&self, channel: usize) -> Option<(f32, f32)> {
        let i = if self.mean.len() == 1 { 0 } else { channel };
        Some((*self.mean.get(i)?, *self.std.get(i)?))
    }
}

impl fmt::Display for Normalization {
    /// In the form that [`Normalization::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        let list = |v: &[f32]| v.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        write!(f, "{}/{}", list(&self.mean), list(&self.std))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_read_back() {
        for n in [
            Normalization::none(),
            Normalization::imagenet(),
            Normalization::cifar10(),
            Normalization::mnist(),
            Normalization::new(vec![0.1, -3.0], vec![1e-3, 7.0]).unwrap(),
        ] {
            assert_eq!(Normalization::parse(&n.to_string()).unwrap(), n);
        }
        for name in ["imagenet", "cifar10", "mnist", "none"] {
            Normalization::parse(name).unwrap();
        }
    }

    #[test]
    fn bad_constants_are_refused() {
        for text in ["", "imagnet", "1,2,3", "1,2/1", "1/0", "1/-1", "nan/1", "1/inf", "/", "1,/1,1"] {
            assert!(Normalization::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn channels_are_normalised_one_by_one() {
        let n = Normalization::new(vec![1.0, 2.0], vec![2.0, 4.0]).unwrap();
        // Two samples of shape [2, 1, 2].
        let mut v = vec![1.0, 3.0, 2.0, 6.0, 5.0, 1.0, -2.0, 2.0];
        n.apply(&mut v, &[2, 1, 2]).unwrap();
        assert_eq!(v, [0.0, 1.0, 0.0, 1.0, 2.0, 0.0, -1.0, 0.0]);
        assert_eq!(n.zero_value(2), [-0.5, -0.5]);
        assert!(n.apply(&mut v, &[4, 1, 1]).is_err());
    }
}
