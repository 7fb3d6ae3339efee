//! Batches for training: samples gathered in any order, with random crops and flips.

use super::random::{Purpose, below, stream};
use super::{DataError, Dataset, InputTensor, Targets};

/// Random crop of a padded image, then a random horizontal flip, as CIFAR networks are trained with
/// (He et al., "Deep residual learning for image recognition", 2016, section 4.2).
///
/// What happens to a sample is a function of seed, epoch and the sample's number alone: neither the order of the samples
/// nor the number of threads matters.
#[derive(Clone, Debug, PartialEq)]
pub struct CropFlip {
    channels: usize,
    height: usize,
    width: usize,
    padding: usize,
    flip: bool,
    fill: Vec<f32>,
}

impl CropFlip {
    /// Pads the images of a data set's first input by `padding` pixels on each side, crops at random to the original size, and
    /// flips half of them if `flip` is set. CIFAR's usual padding is 4.
    ///
    /// Padding has the value of a black pixel after the data set's normalisation.
    ///
    /// # Errors
    /// The first input is not made of images (shape `[channels, height, width]`) or holds integers.
    pub fn new(dataset: &Dataset, padding: usize, flip: bool) -> Result<Self, DataError> {
        let place = || "augmentation".to_owned();
        let Some(InputTensor { shape_per_sample, integer: false, name, .. }) = dataset.inputs().first()
        else {
            return Err(DataError::inconsistent(place(), "an input of integers", "images"));
        };
        let &[channels, height, width] = shape_per_sample.as_slice() else {
            return Err(DataError::inconsistent(
                place(),
                format!("input {name:?} with samples of shape {shape_per_sample:?}"),
                "images of shape [channels, height, width]",
            ));
        };
        if padding > height.min(width) {
            return Err(DataError::inconsistent(
                place(),
                format!("padding by {padding}"),
                format!("at most the image's side, {}", height.min(width)),
            ));
        }
        let fill = dataset.normalization().zero_value(channels);
        Ok(Self { channels, height, width, padding, flip, fill })
    }

    /// Writes the image of sample number `sample` as epoch `epoch` sees it.
    ///
    /// # Panics
    /// If `image` or `out` does not have channels × height × width values.
    pub fn apply(&self, image: &[f32], out: &mut [f32], seed: u64, epoch: u64, sample: usize) {
        let Self { channels, height, width, padding, .. } = *self;
        assert_eq!(image.len(), channels * height * width, "image size");
        assert_eq!(out.len(), image.len(), "output size");
        let mut rng = stream(seed, Purpose::Augmentation, epoch, sample as u64);
        // All three are always drawn, so that switching one off leaves the others as they were.
        let (down, right) = (below(&mut rng, 2 * padding + 1), below(&mut rng, 2 * padding + 1));
        let flipped = below(&mut rng, 2) == 1 && self.flip;
        let source =
            |at: usize, shift: usize, size: usize| (at + shift).checked_sub(padding).filter(|&p| p < size);
        for c in 0..channels {
            for y in 0..height {
                let row = source(y, down, height);
                let target = &mut out[(c * height + y) * width..][..width];
                for (x, value) in target.iter_mut().enumerate() {
                    let x = if flipped { width - 1 - x } else { x };
                    *value = match row.zip(source(x, right, width)) {
                        Some((y, x)) => image[(c * height + y) * width + x],
                        None => self.fill[c],
                    };
                }
            }
        }
    }
}

/// Some samples of a data set, put together for one step of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of samples.
    pub samples: usize,
    /// The values of each input of the data set, in its order, sample by sample.
    pub inputs: Vec<Vec<f32>>,
    /// The targets of the samples.
    pub targets: Targets,
}

impl Batch {
    /// Gathers the samples of a list; `augment` changes those of the first input.
    ///
    /// # Errors
    /// A list that is empty or names a sample that does not exist; an augmentation made for images of another size.
    pub fn gather(
        dataset: &Dataset,
        indices: &[usize],
        augment: Option<Augment<'_>>,
    ) -> Result<Self, DataError> {
        let end = indices.iter().max().map_or(0, |&m| m.saturating_add(1));
        super::dataset::check_range(&(0..end), dataset.samples(), dataset.provenance())?;
        let mut inputs = Vec::with_capacity(dataset.inputs().len());
        for (n, input) in dataset.inputs().iter().enumerate() {
            let size = input.values_per_sample();
            let mut values = vec![0.0; size * indices.len()];
            let augment = augment.filter(|_| n == 0);
            if let Some(Augment { how, .. }) = augment
                && how.channels * how.height * how.width != size
            {
                return Err(DataError::inconsistent(
                    "augmentation",
                    format!("input {:?} with {size} values per sample", input.name),
                    format!("images of {}x{}x{}", how.channels, how.height, how.width),
                ));
            }
            for (out, &i) in values.chunks_exact_mut(size).zip(indices) {
                match augment {
                    Some(Augment { how, seed, epoch }) => {
                        let sample = input.values.slice(i * size..(i + 1) * size)?;
                        how.apply(&sample, out, seed, epoch, i);
                    }
                    None => input.values.read(i * size, out)?,
                }
            }
            inputs.push(values);
        }
        Ok(Self { samples: indices.len(), inputs, targets: dataset.targets().gather(indices) })
    }
}

/// How a batch is augmented.
#[derive(Clone, Copy, Debug)]
pub struct Augment<'a> {
    /// The changes to the images.
    pub how: &'a CropFlip,
    /// The seed of the training run.
    pub seed: u64,
    /// The number of the epoch.
    pub epoch: u64,
}

#[cfg(test)]
#[path = "training_tests.rs"]
mod tests;
