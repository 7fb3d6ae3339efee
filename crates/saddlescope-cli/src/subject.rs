//! From the common options (model, weights, data, samples, loss, …) to what is analysed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use etcetera::BaseStrategy;
use saddlescope::analysis::AutoSamples;
use saddlescope::data::weights::TensorMap;
use saddlescope::data::{
    DATA_MEMORY, DataError, DataSource, Dataset, Normalization, data_share, parse_samples,
};
use saddlescope::model::{self, Model, ModelError};
use saddlescope::nn::Dtype;
use saddlescope::nn::network::LossKind;
use saddlescope::nn::risk::RiskOptions;
use saddlescope::onnx::{ImportOptions, LossSuggestion};
use saddlescope::{NetworkRisk, NetworkSubject, Risk};

use crate::allocator;
use crate::choices::{BatchNorm, DtypeChoice, SplitChoice};
use crate::failure::Failure;
use crate::subject_values::{BatchAxis, FixedInput, SliceSamples, fits, fixed_inputs};

/// Options that every verb on a network has.
#[derive(Debug, Clone, Args)]
pub struct SubjectArguments {
    /// Network: a name (`digits-mlp`, `resnet56-b`, `densenet121`, …), a description (`mlp:784-128-10`) or an .onnx file.
    #[arg(long, value_name = "MODEL")]
    pub model: String,

    /// Trained weights (safetensors with PyTorch's state-dict names); embedded ones where the model has them.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,

    /// Take the tensors named in this safetensors file as the parameters of an ONNX file; every other tensor is a constant.
    #[arg(long, value_name = "FILE")]
    pub parameters_from: Option<PathBuf>,

    /// Data: digits, cifar10:DIR, cifar100:DIR, mnist:DIR, npz:FILE, npy:X,Y, safetensors:FILE or folder:DIR.
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,

    /// Split whose loss is analysed. Of the other one as many samples are used beside it as surfaces and cuts are made of;
    /// by compare, path, trajectory, settle and sharpness as many as are analysed.
    #[arg(long, value_name = "SPLIT", value_enum, default_value_t = SplitChoice::Train)]
    pub split: SplitChoice,

    /// Samples of that split: A..B or a number. auto[:SHARE] (analyze and eigs): add samples until the error of
    /// λ_min over the data is at most that share of it (default 0.1).
    #[arg(long, value_name = "A..B")]
    pub samples: Option<String>,

    /// Treat all of the data as one sample: the first axes of the arrays do not count samples and may differ,
    /// as for a graph with its nodes and edges (ONNX files; data of named arrays).
    #[arg(long, conflicts_with_all = ["samples", "slice_samples", "batch_axis"])]
    pub one_sample: bool,

    /// Axis that counts the samples in an ONNX file's input, if it is not the first: AXIS for all inputs, or
    /// INPUT=AXIS (repeatable). In the data, samples always come first.
    #[arg(long, value_name = "[INPUT=]AXIS")]
    pub batch_axis: Vec<BatchAxis>,

    /// An input of an ONNX file that is the same for all samples and not in the data, such as a sampling rate: it becomes a constant,
    /// which control flow may depend on. A number, true, false, or numbers with commas (repeatable).
    #[arg(long, value_name = "INPUT=VALUE")]
    pub fix_input: Vec<FixedInput>,

    /// Number of samples for surfaces and cuts, from the start of those analysed; default: at most 256.
    /// auto[:SHARE]: enough that differences near the centre are known to that share of their range (default
    /// 0.05).
    #[arg(long, value_name = "N")]
    pub slice_samples: Option<SliceSamples>,

    /// Normalisation of the inputs: imagenet, cifar10, mnist, none, or means/deviations such as 0.5,0.5,0.5/0.2,0.2,0.2.
    #[arg(long, value_name = "NAME")]
    pub normalize: Option<String>,

    /// Loss: cross-entropy, soft-cross-entropy, mse (½ Σ over outputs, mean over samples), mse-mean (mean over elements, as
    /// PyTorch's MSELoss), bce, nll, probabilities or own; default: what suits model and targets, or a question.
    #[arg(long, value_name = "LOSS")]
    pub loss: Option<String>,

    /// Weight decay λ: add the penalty λ/2 ‖θ‖² to the loss that is analysed, as in training with weight decay;
    /// the loss of the other split stays as it is.
    #[arg(long, value_name = "LAMBDA", allow_hyphen_values = true)]
    pub weight_decay: Option<f64>,

    /// Batch norm: running statistics (eval) or those of the whole batch (train).
    #[arg(long, value_name = "MODE", value_enum, default_value_t = BatchNorm::Eval)]
    pub batch_norm: BatchNorm,

    /// Parameters to analyse: a pattern of names with * (repeatable); the others are frozen.
    #[arg(long, value_name = "GLOB")]
    pub params: Vec<String>,

    /// Parameters to freeze: a pattern of names with * (repeatable).
    #[arg(long, value_name = "GLOB")]
    pub freeze: Vec<String>,

    /// Number type of the computation [default: f32; f64 where a verb needs it].
    #[arg(long, value_name = "DTYPE", value_enum)]
    pub dtype: Option<DtypeChoice>,

    /// Memory limit in MiB; what is left over holds activations between products. A limit that is too small is refused.
    #[arg(long, value_name = "MIB")]
    pub memory: Option<usize>,
}

/// The fingerprint of data; that of data which stay in their files is kept in the user's folder for caches.
fn fingerprint(data: &Dataset) -> Result<String, Failure> {
    let kept = match etcetera::choose_base_strategy() {
        Ok(folders) => data.fingerprint_kept_in(&folders.cache_dir().join("saddlescope/fingerprints")),
        // No home, no cache.
        Err(_) => data.fingerprint(),
    };
    kept.map_err(bad("--data"))
}

fn bad<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure::BadInput(anyhow::Error::new(error).context(what))
}

impl SubjectArguments {
    /// The share of λ_min to which it is to be known, where the number of samples is to be chosen.
    pub fn auto_share(&self) -> Result<Option<f64>, Failure> {
        let Some(rest) = self.samples.as_deref().and_then(|s| s.strip_prefix("auto")) else {
            return Ok(None);
        };
        let share =
            if rest.is_empty() { Some(0.1) } else { rest.strip_prefix(':').and_then(|s| s.parse().ok()) };
        match share.filter(|s: &f64| *s > 0.0 && *s < 1.0) {
            Some(share) => Ok(Some(share)),
            None => Err(Failure::bad_input(format!(
                "--samples auto{rest}: expected auto, or auto:SHARE with a share between 0 and 1"
            ))),
        }
    }

    /// These arguments with the first `count` samples, or all where there are fewer, and how many that are.
    pub fn first_samples(&self, count: usize) -> Result<(Self, usize), Failure> {
        let [split, _] = self.split.both();
        let count = match self.source()?.load(split, Some(0..count), self.normalization()?) {
            Ok(data) => data.samples(),
            Err(DataError::Range { available, .. }) if available > 0 => available,
            Err(error) => return Err(bad("--data")(error)),
        };
        Ok((Self { samples: Some(format!("0..{count}")), ..self.clone() }, count))
    }

    /// How the number of samples of cuts and surfaces is to be chosen, if it is.
    pub fn auto_samples(&self) -> Option<AutoSamples> {
        match self.slice_samples {
            Some(SliceSamples::Auto(share)) => Some(AutoSamples { share }),
            _ => None,
        }
    }

    /// A model with its data and nothing else given.
    pub fn plain(
        model: String,
        weights: Option<PathBuf>,
        data: Option<String>,
        samples: Option<String>,
    ) -> Self {
        Self {
            model,
            weights,
            parameters_from: None,
            data,
            split: SplitChoice::Train,
            samples,
            slice_samples: None,
            one_sample: false,
            batch_axis: Vec::new(),
            fix_input: Vec::new(),
            normalize: None,
            loss: None,
            weight_decay: None,
            batch_norm: BatchNorm::Eval,
            params: Vec::new(),
            freeze: Vec::new(),
            dtype: None,
            memory: None,
        }
    }

    /// How an ONNX file is read, with the shapes of `data` where they are known.
    ///
    /// # Errors
    /// Options for ONNX files with another model, or names of parameters that cannot be read.
    pub fn import_options(&self, data: Option<&Dataset>) -> Result<ImportOptions, Failure> {
        let mut options = data.map_or_else(ImportOptions::default, ImportOptions::for_dataset);
        let about_axes = self.one_sample || !self.batch_axis.is_empty() || !self.fix_input.is_empty();
        if about_axes && !model::is_onnx(&self.model) {
            return Err(Failure::bad_input("--one-sample, --batch-axis and --fix-input are for ONNX files"));
        }
        options.one_sample = self.one_sample;
        options.batch_axes = self.batch_axis.iter().map(|b| (b.input.clone(), b.axis)).collect();
        options.fixed_inputs = fixed_inputs(&self.fix_input)?;
        if let Some(path) = &self.parameters_from {
            let tensors = TensorMap::read(path).map_err(bad("--parameters-from"))?;
            options.parameters = Some(tensors.iter().map(|(name, _)| name.to_string()).collect());
        }
        Ok(options)
    }

    /// The model as given, nothing frozen.
    pub fn whole_model(&self, data: Option<&Dataset>) -> Result<Model, Failure> {
        let options = self.import_options(data)?;
        let loaded = model::load_with(&self.model, self.weights.as_deref(), &options).map_err(|e| {
            let context = match &e {
                ModelError::NeedsWeights { .. } => {
                    Some("--weights FILE is missing (`saddlescope train` makes one)")
                }
                // These name the file of the weights, which is no fault of the model's.
                ModelError::Weights(_) | ModelError::Misfit { .. } | ModelError::NotFinite { .. } => None,
                _ => Some("--model"),
            };
            let error = anyhow::Error::new(e);
            Failure::BadInput(match context {
                Some(context) => error.context(context),
                None => error,
            })
        })?;
        allocator::return_large_buffers(loaded.theta.len(), self.memory.is_some());
        Ok(loaded)
    }

    /// Ends the network for the loss, sets the batch-norm mode and takes out frozen parameters.
    fn finish(&self, model: &mut Model, loss: LossKind) -> Result<(), Failure> {
        model.end_for(loss);
        model.network.use_batch_statistics(self.batch_norm == BatchNorm::Train);
        if !self.params.is_empty() || !self.freeze.is_empty() {
            self.check_patterns(model)?;
            model.freeze_all_but(|name| {
                (self.params.is_empty() || self.params.iter().any(|p| fits(p, name)))
                    && !self.freeze.iter().any(|p| fits(p, name))
            });
            if model.theta.is_empty() {
                return Err(Failure::bad_input(
                    "--params/--freeze leave no parameter; `saddlescope info` lists their names",
                ));
            }
        }
        Ok(())
    }

    /// Every pattern must name something: a misspelt one would analyse other parameters than were meant.
    fn check_patterns(&self, model: &Model) -> Result<(), Failure> {
        let names: Vec<&str> = model.network.graph.parameters().iter().map(|p| p.name.as_str()).collect();
        let given =
            self.params.iter().map(|p| ("--params", p)).chain(self.freeze.iter().map(|p| ("--freeze", p)));
        for (option, pattern) in given {
            if !names.iter().any(|name| fits(pattern, name)) {
                let some: Vec<&str> = names.iter().take(3).copied().collect();
                return Err(Failure::bad_input(format!(
                    "{option} {pattern}: no parameter has such a name; the names are {}{} (`saddlescope info` lists them)",
                    some.join(", "),
                    if names.len() > 3 { ", …" } else { "" }
                )));
            }
        }
        Ok(())
    }

    fn source(&self) -> Result<DataSource, Failure> {
        let text = match &self.data {
            Some(text) => text.as_str(),
            None if self.model.starts_with("digits-") => "digits",
            None => {
                // A model that cannot be loaded is the first thing to say.
                self.whole_model(None)?;
                return Err(Failure::bad_input("--data is needed, for example --data cifar10:DIR"));
            }
        };
        DataSource::parse(text).map_err(bad("--data"))
    }

    /// Bytes of inputs that are held in memory; larger ones are read sample by sample.
    fn data_memory(&self) -> usize {
        self.memory.map_or(DATA_MEMORY, |mib| data_share(mib << 20))
    }

    fn normalization(&self) -> Result<Option<Normalization>, Failure> {
        self.normalize.as_deref().map(Normalization::parse).transpose().map_err(bad("--normalize"))
    }

    /// Everything that a verb analyses. `other`: also bind the other split, if the source has it: as many samples as slices are
    /// made of.
    pub fn subject(&self, other: bool) -> Result<NetworkSubject, Failure> {
        Ok(self.subject_with(|_, slices| if other { slices } else { 0 })?.0)
    }

    /// The same with as many samples of the other split as of the one that is analysed; and the loss.
    pub fn subject_both_splits(&self) -> Result<(NetworkSubject, LossKind), Failure> {
        self.subject_with(|samples, _| samples)
    }

    /// The model as the verb analyses it: with the ending of the loss, the mode of batch norm and frozen parameters.
    pub fn finished_model(&self, loss: LossKind) -> Result<Model, Failure> {
        let mut model = self.whole_model(None)?;
        self.finish(&mut model, loss)?;
        Ok(model)
    }

    /// `other_samples`: how many samples of the other split, from those of the analysis and those of slices.
    fn subject_with(
        &self,
        other_samples: impl Fn(usize, usize) -> usize,
    ) -> Result<(NetworkSubject, LossKind), Failure> {
        let source = self.source()?;
        let [split, other_split] = self.split.both();
        if self.auto_share()?.is_some() {
            return Err(Failure::bad_input(
                "--samples auto: only analyze and eigs choose the number of samples",
            ));
        }
        let range: Option<Range<usize>> =
            self.samples.as_deref().map(parse_samples).transpose().map_err(bad("--samples"))?;
        let data = match self.one_sample {
            true => source.load_one_sample(split, self.normalization()?),
            false => source.open(split, range, self.normalization()?, self.data_memory()),
        };
        let data = data.map_err(bad("--data"))?;
        let mut model = self.whole_model(Some(&data))?;
        let loss = match &self.loss {
            Some(text) => {
                let loss = LossKind::parse(text).ok_or_else(|| {
                    Failure::bad_input(format!(
                        "--loss {text}: expected one of {}",
                        LossKind::NAMES.join(", ")
                    ))
                })?;
                LossSuggestion { loss, guess: false, reason: "as given".into() }
            }
            None => model.suggest_loss(&data).map_err(bad("--loss"))?,
        };
        let chosen = loss;
        let loss = chosen.loss;
        self.finish(&mut model, loss)?;
        // The first samples of the data, in order, are those that were exported.
        let from_start = self.samples.as_deref().is_none_or(|s| parse_samples(s).is_ok_and(|r| r.start == 0));
        if from_start && self.batch_norm == BatchNorm::Eval && self.weights.is_none() {
            let differences = model
                .compare_with_export(loss, &data, self.memory.map(|mib| mib << 20))
                .map_err(|e| Failure::BadInput(anyhow::Error::new(e)))?;
            match differences {
                Some(differences) if !differences.is_empty() => {
                    return Err(Failure::bad_input(format!(
                        "{}: the file computes another loss than the model that was exported: {}. See docs/from-pytorch.md, Traps",
                        self.model,
                        differences.join("; ")
                    )));
                }
                _ => {}
            }
        }
        model.notes.extend(model.data_notes(&data));
        let slice_count = match self.slice_samples {
            Some(SliceSamples::Count(wanted)) if wanted > data.samples() => {
                let all = data.samples();
                model.notes.push(format!(
                    "--slice-samples {wanted}: reduced to {all}, all samples that are analysed"
                ));
                all
            }
            Some(SliceSamples::Count(wanted)) => wanted,
            Some(SliceSamples::Auto(_)) | None => data.samples().min(256),
        };
        let chosen_later = matches!(self.slice_samples, Some(SliceSamples::Auto(_)));
        let mut identity = BTreeMap::new();
        identity.insert("data".into(), source.to_string().into());
        identity.insert("data.sha256".into(), fingerprint(&data)?.into());
        identity.insert("normalization".into(), data.normalization().to_string().into());
        identity.insert("loss".into(), loss.name().into());
        identity.insert("batch_norm".into(), self.batch_norm.name().into());
        if self.one_sample {
            identity.insert("one_sample".into(), true.into());
        }
        for BatchAxis { input, axis } in &self.batch_axis {
            identity.insert(format!("batch_axis.{input}"), (*axis).into());
        }
        for FixedInput { input, numbers } in &self.fix_input {
            identity.insert(format!("fixed_input.{input}"), format!("{numbers:?}").into());
        }
        let weight_decay = match self.weight_decay {
            Some(lambda) if !(lambda.is_finite() && lambda >= 0.0) => {
                return Err(Failure::bad_input(format!(
                    "--weight-decay {lambda}: expected a number from 0 on"
                )));
            }
            given => given.unwrap_or(0.0),
        };
        let risk = self.risk(&model, loss, &data, true)?.with_weight_decay(weight_decay);
        let coupled = self.batch_norm == BatchNorm::Train;
        let slices = if slice_count < data.samples() && !coupled && !chosen_later {
            let few = data.select(0..slice_count).map_err(bad("--slice-samples"))?;
            let of = [("data.sha256".to_string(), fingerprint(&few)?.into())].into();
            let few = self.risk(&model, loss, &few, false)?;
            Some(few.with_identity(of).with_weight_decay(weight_decay))
        } else {
            None
        };
        // A source with one split only is no mistake: the report then has no second column.
        let other = match other_samples(data.samples(), slice_count) {
            0 => None,
            // Another graph has other nodes and edges.
            _ if self.one_sample => None,
            count => source
                .load_first(other_split, count, self.normalization()?, self.data_memory())
                .map_err(bad("--data"))?,
        };
        let other = match other {
            Some(data) => {
                let of = [("data.sha256".to_string(), fingerprint(&data)?.into())].into();
                Some((other_split.to_string(), self.risk(&model, loss, &data, false)?.with_identity(of)))
            }
            None => None,
        };
        let mut about = self.about(&model, &chosen, data.samples());
        if weight_decay != 0.0 {
            about.insert(1, format!("Weight decay: {weight_decay}/2 ‖θ‖² is added to the loss."));
        }
        if slices.is_some() {
            about.push(format!("Cuts and surfaces use the first {slice_count} of these samples."));
        }
        if let Some((name, risk)) = &other {
            let without = if weight_decay == 0.0 { "" } else { ", without weight decay" };
            about.push(format!("The {name} split beside it: its first {} samples{without}.", risk.samples()));
        }
        let risk = risk.with_identity(identity);
        Ok((NetworkSubject { about, model, risk, split: split.to_string(), slices, other }, loss))
    }

    /// What is analysed, in sentences.
    fn about(&self, model: &Model, loss: &LossSuggestion, samples: usize) -> Vec<String> {
        let how = if loss.guess { "a guess: " } else { "" };
        let graph = &model.network.graph;
        let buffers: usize = graph.buffers().iter().map(|b| b.values.len()).sum();
        let fixed = match buffers {
            0 => String::new(),
            n => format!("; {n} numbers in {} buffers are held fixed", graph.buffers().len()),
        };
        let mut about = vec![
            format!("Loss: {} ({how}{}), {}.", loss.loss.name(), loss.reason, loss.loss.reduction()),
            format!("{} parameters in {} tensors{fixed}.", model.theta.len(), graph.parameters().len()),
            format!(
                "{samples} sample{} of the {} split.",
                if samples == 1 { "" } else { "s" },
                self.split.both()[0]
            ),
        ];
        if graph.nodes().iter().any(|n| n.op.name() == "BatchNormalization") {
            about.push(match self.batch_norm {
                BatchNorm::Train => "Batch norm uses the statistics of the whole batch (train).".to_string(),
                BatchNorm::Eval => "Batch norm uses its running statistics (eval).".to_string(),
            });
        }
        about
    }

    fn risk(
        &self,
        model: &Model,
        loss: LossKind,
        data: &Dataset,
        keep: bool,
    ) -> Result<NetworkRisk, Failure> {
        let data = model.prepare(data.clone()).map_err(|e| Failure::BadInput(anyhow::Error::new(e)))?;
        let objective = model
            .network
            .objective(loss, &data)
            .map_err(|e| Failure::BadInput(anyhow::Error::new(e).context("model and data")))?;
        let dtype = self.dtype.map_or(Dtype::F32, Dtype::from);
        let keep_bytes = match self.memory {
            // A run shares its memory out itself.
            None if keep => 1 << 30,
            _ => 0,
        };
        let options = RiskOptions { threads: rayon::current_num_threads(), micro_batch: None, keep_bytes };
        NetworkRisk::new(objective, dtype, options).context("model and data").map_err(Failure::BadInput)
    }
}
