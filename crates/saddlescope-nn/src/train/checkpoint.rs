//! Checkpoints: the whole state of a run in one safetensors file.
//!
//! Tensors `parameters.NAME`, `momentum.NAME` and `buffers.NAME` in f32 (what training computes in); `progress.epoch`,
//! `progress.step`, `progress.counts` (integers) and `progress.sums` (f64). The order of samples and the augmentation are functions of seed, epoch and
//! sample, so epoch and step are the position of all random streams. Metadata: what the run depends on.

use std::path::Path;

use super::minibatch::Tally;
use super::{TrainError, Trainer};
use saddlescope_data::weights::{TensorData, TensorMap};

const FORMAT: &str = "saddlescope checkpoint";
const VERSION: &str = "1";

impl Trainer {
    /// Writes a checkpoint: the old file stays whole until the new one is.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_checkpoint(&self, path: &Path) -> Result<(), TrainError> {
        let mut map = TensorMap::new();
        let graph = &self.network.graph;
        for (group, values) in [("parameters", &self.theta), ("momentum", &self.velocity)] {
            for (p, range) in graph.parameters().iter().zip(graph.parameter_ranges()) {
                let data = TensorData::F32(values[range].to_vec());
                map.insert(format!("{group}.{}", p.name), p.shape.clone(), data)?;
            }
        }
        for b in graph.buffers() {
            map.insert(format!("buffers.{}", b.name), b.shape.clone(), TensorData::F64(b.values.clone()))?;
        }
        let t = &self.tally;
        map.insert("progress.epoch", [1], TensorData::I64(vec![self.epoch as i64]))?;
        map.insert("progress.step", [1], TensorData::I64(vec![self.step as i64]))?;
        map.insert("progress.counts", [2], TensorData::I64(vec![t.correct as i64, t.counted as i64]))?;
        map.insert("progress.sums", [2], TensorData::F64(vec![t.loss, t.weight]))?;
        map.metadata.extend(self.description());
        map.metadata.insert(FORMAT.into(), VERSION.into());
        Ok(map.write(path)?)
    }

    /// Resumes from a checkpoint; the result is bitwise identical to that of an uninterrupted run.
    ///
    /// # Errors
    /// A file that cannot be read or is no checkpoint; [`TrainError::Changed`] if its run had other options, another
    /// network, loss or data. The trainer is then as it was.
    pub fn resume(&mut self, path: &Path) -> Result<(), TrainError> {
        let map = TensorMap::read(path)?;
        let file = path.display().to_string();
        let wrong = |what: &str, found: String, expected: String| TrainError::Checkpoint {
            file: file.clone(),
            what: what.into(),
            found,
            expected,
        };
        match map.metadata.get(FORMAT).map(String::as_str) {
            Some(VERSION) => {}
            other => {
                let found = other.map_or("none".into(), |v| format!("version {v}"));
                return Err(wrong(FORMAT, found, format!("version {VERSION}")));
            }
        }
        let differences: Vec<String> = (self.description().iter())
            .filter(|(key, now)| map.metadata.get(key) != Some(now))
            .map(|(key, now)| match map.metadata.get(key) {
                Some(then) => format!("{key} was {then}, now it is {now}"),
                None => format!("{key} is not recorded, now it is {now}"),
            })
            .collect();
        if !differences.is_empty() {
            return Err(TrainError::Changed { file, differences });
        }
        let get = |name: &str, size: usize| match map.get(name) {
            Some(t) if t.data.len() == size => Ok(&t.data),
            Some(t) => Err(wrong(name, format!("{} numbers", t.data.len()), format!("{size}"))),
            None => Err(wrong(name, "nothing".into(), format!("{size} numbers"))),
        };
        let graph = &self.network.graph;
        let vector = |group: &str| -> Result<Vec<f32>, TrainError> {
            let mut all = Vec::with_capacity(self.theta.len());
            for (p, range) in graph.parameters().iter().zip(graph.parameter_ranges()) {
                all.extend(get(&format!("{group}.{}", p.name), range.len())?.to_f32());
            }
            Ok(all)
        };
        let (theta, velocity) = (vector("parameters")?, vector("momentum")?);
        let buffers = (graph.buffers().iter().zip(self.buffer_sizes()))
            .map(|(b, size)| Ok(get(&format!("buffers.{}", b.name), size)?.to_f64()))
            .collect::<Result<Vec<_>, TrainError>>()?;
        let integers = |name: &str, size: usize, below: usize| -> Result<Vec<u64>, TrainError> {
            let data = get(name, size)?;
            let TensorData::I64(values) = data else {
                return Err(wrong(name, "another type".into(), "integers".into()));
            };
            let good = |&v: &i64| u64::try_from(v).ok().filter(|&v| v < below as u64);
            let range = || wrong(name, format!("{values:?}"), format!("0 to {}", below - 1));
            values.iter().map(good).collect::<Option<_>>().ok_or_else(range)
        };
        let epoch = integers("progress.epoch", 1, self.options.epochs + 1)?;
        let step = integers("progress.step", 1, self.steps_per_epoch())?;
        let counts = integers("progress.counts", 2, 1 << 60)?;
        let sums = get("progress.sums", 2)?.to_f64();

        (self.theta, self.velocity) = (theta, velocity);
        for (b, values) in self.network.graph.buffers_mut().iter_mut().zip(buffers) {
            b.values = values;
        }
        (self.epoch, self.step) = (epoch[0] as usize, step[0] as usize);
        self.tally = Tally { loss: sums[0], weight: sums[1], correct: counts[0], counted: counts[1] };
        Ok(())
    }
}
