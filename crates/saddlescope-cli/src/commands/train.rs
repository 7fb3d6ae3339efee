//! `saddlescope train`: trains a network, so that there is one to analyse.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use saddlescope::data::{DataSource, Dataset, Split, parse_samples};
use saddlescope::model::load_weights;
use saddlescope::nn::network::{LossKind, Network};
use saddlescope::nn::train::{EpochOutcome, Schedule, StepReport, TrainError, TrainOptions, Trainer};
use saddlescope::nn::zoo;
use saddlescope::onnx::{Ending, suggest_loss};

use crate::failure::Failure;
use crate::{interrupt, terminal};

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Network: a name such as digits-mlp or resnet20-b, or a description such as mlp:784-128-10.
    #[arg(long)]
    model: String,

    /// Trained weights to start from (safetensors with PyTorch's names); without it, random parameters.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Data: digits, cifar10:DIR, mnist:DIR, npz:FILE, folder:DIR, ...
    #[arg(long)]
    data: String,

    /// Samples of the training split to train on: A..B or N (default: all).
    #[arg(long, value_name = "A..B")]
    samples: Option<String>,

    /// Loss: cross-entropy, soft-cross-entropy, mse, mse-mean, bce, nll, probabilities, own (default: what suits the data).
    #[arg(long)]
    loss: Option<String>,

    /// File for the trained weights (safetensors).
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Passes over the data.
    #[arg(long, default_value_t = 30)]
    epochs: usize,

    /// Samples of a mini-batch.
    #[arg(long, default_value_t = 64)]
    batch: usize,

    /// Learning rate.
    #[arg(long, default_value_t = 0.05)]
    lr: f64,

    /// Momentum, at least 0 and below 1.
    #[arg(long, default_value_t = 0.9)]
    momentum: f64,

    /// Look ahead along the momentum (Nesterov).
    #[arg(long)]
    nesterov: bool,

    /// Coefficient of the L2 penalty's gradient.
    #[arg(long, default_value_t = 0.0)]
    weight_decay: f64,

    /// Leave biases and normalisation parameters out of the weight decay.
    #[arg(long)]
    no_bias_decay: bool,

    /// Learning-rate schedule: constant, cosine, or step:EPOCH,EPOCH,...[:FACTOR].
    #[arg(long, default_value = "cosine")]
    schedule: String,

    /// Epochs of linear warm-up.
    #[arg(long, default_value_t = 0, value_name = "EPOCHS")]
    warm_up: usize,

    /// Augmentation: crop-flip or crop-flip:PADDING (default padding 4).
    #[arg(long)]
    augment: Option<String>,

    /// Seed of initial parameters, order of samples and augmentation.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Equal parts of a mini-batch; batch normalisation uses the statistics of each part.
    #[arg(long, default_value_t = 4)]
    parts: usize,

    /// File of the checkpoint (default: OUT with .checkpoint appended).
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    /// Continue from the checkpoint.
    #[arg(long)]
    resume: bool,

    /// Keep the weights before training, after every K epochs and at the end, in a folder named like OUT without its ending
    /// (for `saddlescope trajectory`).
    #[arg(long, value_name = "K")]
    keep_every: Option<usize>,
}

/// Arguments checked, data loaded.
struct Plan {
    trainer: Trainer,
    train: Dataset,
    /// The held-out split, where the source has one.
    test: Option<Dataset>,
    out: PathBuf,
    checkpoint: PathBuf,
    /// Every how many epochs weights are kept, and in which folder.
    keep: Option<(usize, PathBuf)>,
    model: String,
    data: String,
}

/// Checks the arguments and trains.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut plan = check(arguments)?;
    train(&mut plan)?;
    finish(&plan)
}

fn bad(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::BadInput(error.into())
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Failed(error.into())
}

fn check(a: Arguments) -> Result<Plan, Failure> {
    let mut network: Network = zoo::by_name(&a.model)
        .ok_or_else(|| Failure::bad_input(format!("--model {}: known are {}", a.model, zoo::NAMES)))?;
    let start = match &a.weights {
        Some(file) => Some(load_weights(&mut network, file).map_err(bad)?),
        None => None,
    };
    let options = TrainOptions {
        epochs: a.epochs,
        batch: a.batch,
        learning_rate: a.lr,
        momentum: a.momentum,
        nesterov: a.nesterov,
        weight_decay: a.weight_decay,
        decay_biases: !a.no_bias_decay,
        schedule: Schedule::parse(&a.schedule).map_err(bad)?,
        warm_up: a.warm_up,
        crop_flip: a.augment.as_deref().map(padding).transpose()?,
        seed: a.seed,
        parts: a.parts,
    };
    options.check().map_err(bad)?;
    check_folder(&a.out)?;
    let source = DataSource::parse(&a.data).map_err(bad)?;
    let samples = a.samples.as_deref().map(parse_samples).transpose().map_err(bad)?;
    let train = source.load(Split::Train, samples, None).map_err(bad)?;
    let loss = match &a.loss {
        Some(name) => LossKind::parse(name).ok_or_else(|| {
            Failure::bad_input(format!("--loss {name}: expected one of {}", LossKind::NAMES.join(", ")))
        })?,
        None => {
            let found = suggest_loss(&network, Ending::Plain, &train).map_err(bad)?;
            terminal::note(format!("loss: {} ({})", found.loss.name(), found.reason))?;
            found.loss
        }
    };
    // Some sources have no test split (for example a folder of CIFAR's training batches alone).
    let test = match source.load(Split::Test, None, None) {
        Ok(test) => {
            let same = test.fingerprint().map_err(bad)? == train.fingerprint().map_err(bad)?;
            (!same).then_some(test)
        }
        Err(error) => {
            terminal::note(format!("no held-out samples to evaluate on: {error}"))?;
            None
        }
    };
    let mut trainer =
        Trainer::new(network, loss, &train, options, rayon::current_num_threads()).map_err(bad)?;
    if let Some(theta) = start {
        trainer.start_at(&theta).map_err(bad)?;
    }
    let checkpoint = a.checkpoint.unwrap_or_else(|| {
        let mut name = a.out.clone().into_os_string();
        name.push(".checkpoint");
        name.into()
    });
    check_folder(&checkpoint)?;
    if a.resume {
        trainer.resume(&checkpoint).map_err(bad)?;
        let (epoch, step) = trainer.position();
        terminal::note(format!("continuing after {epoch} epochs and {step} steps"))?;
    }
    let keep = match a.keep_every {
        Some(0) => return Err(Failure::bad_input("--keep-every 0: expected a positive number of epochs")),
        Some(every) => {
            let folder = a.out.with_extension("");
            if folder == a.out || folder.is_file() {
                return Err(Failure::bad_input(format!(
                    "--keep-every: the kept weights need the folder {}, which is a file; give --out an ending",
                    folder.display()
                )));
            }
            std::fs::create_dir_all(&folder).map_err(bad)?;
            Some((every, folder))
        }
        None => None,
    };
    Ok(Plan { trainer, train, test, out: a.out, checkpoint, keep, model: a.model, data: a.data })
}

fn padding(text: &str) -> Result<usize, Failure> {
    let wrong = || Failure::bad_input(format!("--augment {text}: expected crop-flip or crop-flip:PADDING"));
    match text.strip_prefix("crop-flip").ok_or_else(wrong)? {
        "" => Ok(4),
        rest => rest.strip_prefix(':').and_then(|p| p.parse().ok()).ok_or_else(wrong),
    }
}

/// Refuses a file in a folder that does not exist before any work is done.
fn check_folder(file: &Path) -> Result<(), Failure> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(Failure::bad_input(
            format!("{}: the folder {} does not exist", file.display(), folder.display()),
        )),
        _ if file.is_dir() => {
            Err(Failure::bad_input(format!("{}: is a folder, expected a file name", file.display())))
        }
        _ => Ok(()),
    }
}

/// Keeps the weights reached, where it is time to.
fn keep(trainer: &Trainer, keep: Option<&(usize, PathBuf)>) -> Result<(), Failure> {
    let Some((every, folder)) = keep else { return Ok(()) };
    let (epoch, step) = trainer.position();
    if step != 0 || !(epoch.is_multiple_of(*every) || trainer.is_finished()) {
        return Ok(());
    }
    let digits = trainer.options().epochs.to_string().len();
    let path = folder.join(format!("epoch-{epoch:0digits$}.safetensors"));
    trainer.weights().map_err(failed)?.write(&path).map_err(failed)
}

fn train(plan: &mut Plan) -> Result<(), Failure> {
    keep(&plan.trainer, plan.keep.as_ref())?;
    let trainer = &mut plan.trainer;
    let (steps, epochs) = (trainer.steps_per_epoch(), trainer.options().epochs);
    let bar = ProgressBar::new(steps as u64 * epochs as u64);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {eta} left").map_err(failed)?;
    bar.set_style(style);
    let (epoch, step) = trainer.position();
    bar.set_position(epoch as u64 * steps as u64 + step as u64);
    bar.reset_eta();
    while !trainer.is_finished() {
        let outcome = trainer.run_epoch(interrupt::flag(), |report| {
            bar.set_position((report.epoch * steps + report.step + 1) as u64);
            bar.set_message(line(report, epochs));
        });
        // A diverged run keeps the checkpoint of its last good epoch.
        let outcome = outcome.map_err(|error: TrainError| {
            bar.abandon();
            failed(error)
        })?;
        trainer.save_checkpoint(&plan.checkpoint).map_err(failed)?;
        keep(trainer, plan.keep.as_ref())?;
        match outcome {
            EpochOutcome::Interrupted => {
                bar.abandon();
                terminal::note(format!(
                    "stopped; the checkpoint is {}; the same command with --resume continues",
                    plan.checkpoint.display()
                ))?;
                return Err(Failure::Interrupted("what was finished has been kept"));
            }
            EpochOutcome::Finished(report) if bar.is_hidden() => {
                let accuracy = percent(report.accuracy);
                terminal::note(format!(
                    "epoch {}/{epochs}  loss {:.4}{accuracy}",
                    report.epoch + 1,
                    report.loss
                ))?;
            }
            EpochOutcome::Finished(_) => {}
        }
    }
    bar.finish_and_clear();
    // Ctrl-C during the last step: the training is complete, so it is written.
    interrupt::flag().store(false, Ordering::Relaxed);
    Ok(())
}

fn line(report: &StepReport, epochs: usize) -> String {
    let accuracy = percent(report.accuracy);
    format!("epoch {}/{epochs}  loss {:.4}{accuracy}", report.epoch + 1, report.loss)
}

fn percent(accuracy: Option<f64>) -> String {
    accuracy.map_or(String::new(), |a| format!("  accuracy {:.2} %", 100.0 * a))
}

fn finish(plan: &Plan) -> Result<(), Failure> {
    plan.trainer.weights().map_err(failed)?.write(&plan.out).map_err(failed)?;
    let sets = [("training", Some(&plan.train)), ("held-out", plan.test.as_ref())];
    for (name, set) in sets {
        if let Some(set) = set {
            let e = plan.trainer.evaluate(set).map_err(failed)?;
            let n = set.samples();
            terminal::print(format!("{name} loss {:.5}{} ({n} samples)", e.loss, percent(e.accuracy())))?;
        }
    }
    terminal::print(format!("weights: {}", plan.out.display()))?;
    if let Some((_, folder)) = &plan.keep {
        let pattern = folder.join("*.safetensors");
        terminal::print(format!(
            "kept on the way: {} (`saddlescope trajectory --model {} --checkpoints '{}'`)",
            folder.display(),
            plan.model,
            pattern.display()
        ))?;
    }
    terminal::print(format!(
        "next: saddlescope analyze --model {} --weights {} --data {}",
        plan.model,
        plan.out.display(),
        plan.data
    ))?;
    Ok(())
}
