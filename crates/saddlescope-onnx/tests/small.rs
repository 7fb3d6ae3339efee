//! Small models of kinds that importers get wrong: loss and dense Hessian against values from a loss written out by hand in NumPy
//! (`scripts/small_models.py`).
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use saddlescope_data::{DataSource, Split};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};
use saddlescope_onnx::{ImportOptions, OnnxModel};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/small")
}

fn check(name: &str) {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap())
            .unwrap();
    let data = DataSource::parse(&format!("npz:{}", folder().join(format!("{name}.npz")).display())).unwrap();
    let data = data.load(Split::Train, None, None).unwrap();
    let mut options = ImportOptions::for_dataset(&data);
    for (input, numbers) in expected["fixed_inputs"].as_object().into_iter().flatten() {
        let numbers = numbers.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        options.fixed_inputs.insert(input.clone(), numbers);
    }
    let model = OnnxModel::load(&folder().join(format!("{name}.onnx")), &options)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    let loss = LossKind::parse(expected["loss_kind"].as_str().unwrap()).unwrap();
    // A guess is called one.
    let suggestion = model.suggest_loss(&data);
    assert!(
        suggestion.as_ref().map_or(true, |s| s.loss == loss || s.guess),
        "{name}: {suggestion:?} is suggested"
    );
    let prepared = model.prepare(&data).unwrap_or_else(|e| panic!("{name}: {e}"));
    let objective =
        model.network_for(loss).objective(loss, &prepared).unwrap_or_else(|e| panic!("{name}: {e}"));
    let options = RiskOptions { threads: 1, micro_batch: Some(2), keep_bytes: 0 };
    let risk = Risk::<f64>::new(objective, options).unwrap();
    let rows = expected["hessian"].as_array().unwrap();
    let n = model.theta.len();
    assert_eq!(n, rows.len(), "{name}: parameters");
    // Both sides compute in f64 from the same 32-bit numbers.
    let (found, wanted) = (risk.evaluate(&model.theta).loss, expected["loss"].as_f64().unwrap());
    assert!(
        (found - wanted).abs() <= 1e-9 * wanted.abs().max(1.0),
        "{name}: loss {found}, expected {wanted}"
    );
    let point = risk.at(&model.theta);
    let largest = rows.iter().flat_map(|r| r.as_array().unwrap()).map(|x| x.as_f64().unwrap().abs());
    let largest = largest.fold(1.0, f64::max);
    for (i, row) in rows.iter().enumerate() {
        let (mut v, mut hv) = (vec![0.0; n], vec![0.0; n]);
        v[i] = 1.0;
        point.product(Curvature::Hessian, &v, &mut hv).unwrap();
        for (j, x) in row.as_array().unwrap().iter().enumerate() {
            let wanted = x.as_f64().unwrap();
            // The expected Hessian comes from central differences, exact to about 1e-7 of its largest entry.
            assert!(
                (hv[j] - wanted).abs() <= 2e-6 * largest,
                "{name}: H[{i}, {j}] = {}, expected {wanted}",
                hv[j]
            );
        }
    }
}

#[test]
fn loss_and_hessian_are_right() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|f| f.unwrap().file_name().to_str()?.strip_suffix(".onnx").map(String::from))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "{names:?}");
    for name in &names {
        check(name);
    }
}

#[test]
fn inputs_are_fixed_as_they_are_declared_or_refused() {
    let import = |fixed: &[(&str, &[f64])]| {
        let fixed_inputs = fixed.iter().map(|(name, x)| (name.to_string(), x.to_vec())).collect();
        let options = ImportOptions { fixed_inputs, ..ImportOptions::default() };
        OnnxModel::load(&folder().join("fixed_inputs.onnx"), &options)
    };
    let good: [(&str, &[f64]); 3] = [("sr", &[16000.0]), ("gain", &[2.0, 0.5]), ("on", &[1.0])];
    let inputs = import(&good).unwrap().inputs;
    assert!(matches!(&inputs[..], [x] if x.name == "x"), "{inputs:?}");
    let refused = |name: &str, numbers: &[f64]| {
        let others = good.into_iter().filter(|(other, _)| *other != name);
        let given: Vec<_> = others.chain([(name, numbers)]).collect();
        import(&given).err().map(|e| e.to_string()).unwrap_or_default()
    };
    for (name, numbers, reason) in [
        ("rate", &[1.0][..], "no input `rate` to be fixed; the inputs are `x`, `sr`, `gain`, `on`"),
        ("sr", &[1.0, 2.0][..], "`sr`: it is fixed by 2 numbers, but has shape []"),
        ("sr", &[0.5][..], "it holds int64, which [0.5] is not"),
        ("sr", &[1e30][..], "it holds int64"),
        ("on", &[2.0][..], "it holds bool, which [2.0] is not"),
        ("gain", &[][..], "it is fixed by no numbers"),
    ] {
        let found = refused(name, numbers);
        assert!(found.contains(reason), "{name} {numbers:?}: {found}");
    }
    // Without it the way out is named.
    let found = import(&good[1..]).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(found.contains("fix it with --fix-input NAME=VALUE"), "{found}");
}
