//! Training on the embedded digits: it learns, threads and interruptions change no bit, changed options are refused.

use std::sync::atomic::AtomicBool;

use saddlescope_data::{Dataset, Split, digits};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Risk, RiskOptions};
use saddlescope_nn::train::{EpochOutcome, Schedule, TrainError, TrainOptions, Trainer};
use saddlescope_nn::zoo;

static GO_ON: AtomicBool = AtomicBool::new(false);

fn trainer(model: &str, data: &Dataset, options: &TrainOptions, threads: usize) -> Trainer {
    let network = zoo::by_name(model).unwrap();
    Trainer::new(network, LossKind::CrossEntropy, data, options.clone(), threads).unwrap()
}

fn finish(trainer: &mut Trainer) -> Vec<f64> {
    let mut losses = Vec::new();
    while !trainer.is_finished() {
        match trainer.run_epoch(&GO_ON, |_| {}).unwrap() {
            EpochOutcome::Finished(report) => losses.push(report.loss),
            EpochOutcome::Interrupted => panic!("nobody stopped it"),
        }
    }
    losses
}

/// Parameters and buffers as bits.
fn bits(trainer: &Trainer) -> Vec<u64> {
    let buffers = trainer.network().graph.buffers().iter().flat_map(|b| b.values.clone());
    trainer.theta().into_iter().chain(buffers).map(f64::to_bits).collect()
}

#[test]
fn networks_learn_the_digits() {
    let train = digits::load(Split::Train, None, None).unwrap();
    let test = digits::load(Split::Test, None, None).unwrap();
    // The convolutional network ends in a global average of 16 channels and learns more slowly.
    for (model, epochs, learning_rate) in [("digits-mlp", 15, 0.05), ("digits-cnn", 25, 0.2)] {
        let options = TrainOptions { epochs, learning_rate, ..TrainOptions::default() };
        let mut trainer = trainer(model, &train, &options, 2);
        let losses = finish(&mut trainer);
        assert!(losses[0] > 2.0 * losses[epochs - 1], "{model}: {losses:?}");
        let (on_train, on_test) = (trainer.evaluate(&train).unwrap(), trainer.evaluate(&test).unwrap());
        assert!(on_train.accuracy().unwrap() > 0.95, "{model}: {on_train:?}");
        // Other writers: a little less is enough to show that evaluation uses good running statistics.
        assert!(on_test.accuracy().unwrap() > 0.85, "{model}: {on_test:?}");
    }
}

#[test]
fn threads_and_interruptions_change_no_bit() {
    let data = digits::load(Split::Train, Some(0..200), None).unwrap();
    let options = TrainOptions {
        epochs: 3,
        batch: 48,
        weight_decay: 1e-3,
        nesterov: true,
        warm_up: 1,
        crop_flip: Some(1),
        ..TrainOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    for model in ["digits-mlp", "digits-cnn"] {
        let mut whole = trainer(model, &data, &options, 1);
        finish(&mut whole);
        let mut threads = trainer(model, &data, &options, 2);
        finish(&mut threads);
        assert_eq!(bits(&whole), bits(&threads), "{model}");

        // Stop in the middle of the second epoch; continue in another trainer.
        let mut first = trainer(model, &data, &options, 2);
        first.run_epoch(&GO_ON, |_| {}).unwrap();
        let stop = AtomicBool::new(false);
        let outcome = first.run_epoch(&stop, |report| {
            stop.store(report.step == 1, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(outcome.unwrap(), EpochOutcome::Interrupted);
        assert_eq!(first.position(), (1, 2));
        first.save_checkpoint(&path).unwrap();
        let mut second = trainer(model, &data, &options, 1);
        second.resume(&path).unwrap();
        let losses = finish(&mut second);
        assert_eq!(bits(&whole), bits(&second), "{model}");
        let mut again = trainer(model, &data, &options, 1);
        assert_eq!(finish(&mut again)[1..], losses, "the epoch's mean loss is continued too");

        let changed = TrainOptions { learning_rate: 0.07, ..options.clone() };
        let error = trainer(model, &data, &changed, 1).resume(&path).unwrap_err();
        assert!(matches!(error, TrainError::Changed { .. }));
        assert!(error.to_string().contains("learning rate was 0.05, now it is 0.07"), "{error}");
        let other = digits::load(Split::Train, Some(1..201), None).unwrap();
        let error = trainer(model, &other, &options, 1).resume(&path).unwrap_err().to_string();
        assert!(error.contains("data fingerprint was"), "{error}");
    }
    let mut run = trainer("digits-mlp", &data, &options, 1);
    run.weights().unwrap().write(&path).unwrap();
    assert!(matches!(run.resume(&path).unwrap_err(), TrainError::Checkpoint { .. }));
}

#[test]
fn divergence_stops_with_advice() {
    let data = digits::load(Split::Train, Some(0..64), None).unwrap();
    let options = TrainOptions {
        learning_rate: 1e30,
        schedule: Schedule::Constant,
        epochs: 20,
        ..TrainOptions::default()
    };
    let mut run = trainer("mlp:64-32-10", &flat(&data), &options, 1);
    let error = loop {
        match run.run_epoch(&GO_ON, |_| {}) {
            Ok(_) if run.is_finished() => panic!("did not diverge"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("smaller learning rate"), "{error}");
}

/// One mini-batch in one part is the whole data set: the first step is −η times the gradient that `Risk` computes with
/// batch statistics, and the running statistics of the first layer follow.
#[test]
fn first_step_is_the_gradient_of_the_risk() {
    let data = digits::load(Split::Train, Some(0..40), None).unwrap();
    let options = TrainOptions {
        epochs: 1,
        batch: 40,
        parts: 1,
        learning_rate: 0.5,
        schedule: Schedule::Constant,
        ..TrainOptions::default()
    };
    for model in ["digits-mlp", "digits-cnn"] {
        let mut run = trainer(model, &data, &options, 1);
        check_step(&mut run, model, &data);
        // A second run from where the first one ended: its parameters and running statistics.
        let mut network = zoo::by_name(model).unwrap();
        let theta = network.load(&run.weights().unwrap()).unwrap();
        let mut next = Trainer::new(network, LossKind::CrossEntropy, &data, options.clone(), 1).unwrap();
        next.start_at(&theta).unwrap();
        assert_eq!(bits(&next), bits(&run), "{model}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        next.save_checkpoint(&path).unwrap();
        let error = trainer(model, &data, &options, 1).resume(&path).unwrap_err().to_string();
        assert!(error.contains("start was") && error.contains("now it is random"), "{error}");
        check_step(&mut next, model, &data);

        let begun = next.start_at(&theta).unwrap_err().to_string();
        assert!(begun.contains("has begun"), "{begun}");
        let mut fresh = trainer(model, &data, &options, 1);
        assert!(fresh.start_at(&theta[1..]).is_err());
        let not_finite = fresh.start_at(&vec![f64::NAN; theta.len()]).unwrap_err().to_string();
        assert!(not_finite.contains("NaN at position 0"), "{not_finite}");
    }
}

/// Makes the only step of a run over all samples with η = 1/2.
fn check_step(run: &mut Trainer, model: &str, data: &Dataset) {
    let before = run.theta();
    let mut network = run.network().clone();
    network.use_batch_statistics(true);
    let objective = network.objective(LossKind::CrossEntropy, data).unwrap();
    let risk = Risk::<f64>::new(objective, RiskOptions::default()).unwrap();
    let mut gradient = vec![0.0; before.len()];
    let evaluation = risk.gradient(&before, &mut gradient);
    let losses = finish(run);
    // f32 against f64: a few roundings of 6e-8 along some ten operations.
    assert!((losses[0] - evaluation.loss).abs() < 1e-5 * evaluation.loss, "{model}");
    let largest = gradient.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
    for ((after, before), g) in run.theta().iter().zip(&before).zip(&gradient) {
        // θ itself is rounded to f32: 6e-8 of values below 2, divided by η = 1/2.
        assert!(((before - after) / 0.5 - g).abs() < 1e-4 * largest + 3e-7, "{model}: {g}");
    }
}

/// The same images as rows of 64 numbers.
fn flat(data: &Dataset) -> Dataset {
    let mut input = data.inputs()[0].clone();
    input.shape_per_sample = vec![64];
    Dataset::new(vec![input], data.targets().clone(), data.normalization().clone(), "rows").unwrap()
}
