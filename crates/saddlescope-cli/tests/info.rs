//! What `saddlescope info` says of a model.

mod common;

use common::{refused, succeed};

fn fixture(name: &str) -> String {
    format!("{}/../saddlescope-onnx/tests/fixtures/onnx/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a table, without its title.
fn section<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let lines = text.lines().skip_while(|l| !l.starts_with(title)).skip(1);
    lines.take_while(|l| !l.is_empty()).collect()
}

#[test]
fn parameters_have_kinds_in_aligned_columns() {
    let text = succeed(&["info", &fixture("resnet")]);
    assert!(text.contains("input ") && text.contains("output: logits or values"), "{text}");
    let parameters = section(&text, "parameters");
    for kind in ["convolution filter", "normalisation", "linear weight", "bias"] {
        assert!(parameters.iter().any(|l| l.ends_with(kind)), "no {kind} in\n{text}");
    }
    // Every shape begins in the same column, and so does every kind.
    let column = |line: &str| line.find(" [").expect("a shape");
    assert!(parameters.iter().all(|l| column(l) == column(parameters[0])), "{text}");
    let buffers = section(&text, "buffers");
    assert!(buffers.iter().any(|l| l.contains("running_mean")), "{text}");
}

/// The fixture `resnet` with the height and width of its images left open (as messages of the file: a dimension without a
/// length has an empty name).
fn without_image_size(folder: &std::path::Path) -> String {
    let mut bytes = std::fs::read(fixture("resnet")).unwrap();
    let declared = [0x0a, 2, 8, 3, 0x0a, 2, 8, 16, 0x0a, 2, 8, 16];
    let open = [0x0a, 2, 8, 3, 0x0a, 2, 0x12, 0, 0x0a, 2, 0x12, 0];
    let at = bytes.windows(declared.len()).position(|w| w == declared).expect("an input [_, 3, 16, 16]");
    bytes[at..at + open.len()].copy_from_slice(&open);
    let path = folder.join("open.onnx");
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn open_dimensions_are_taken_from_the_options() {
    let folder = tempfile::tempdir().unwrap();
    let model = without_image_size(folder.path());
    let complaint = refused(&["info", &model]);
    assert!(complaint.contains("`x`") && complaint.contains("dimension 2"), "{complaint}");
    assert_eq!(complaint.matches("is open").count(), 1, "said once: {complaint}");
    let named = succeed(&["info", &model, "--shape", "x=1,3,16,16"]);
    assert!(named.contains("input x: float [3, 16, 16] a sample"), "{named}");
    assert_eq!(named, succeed(&["info", &model, "--shape", "2,3,16,16"]));
    // The same layers as with the size in the file.
    let layers = section(&named, "layers").join("\n");
    assert_eq!(layers, section(&succeed(&["info", &fixture("resnet")]), "layers").join("\n"));
    assert!(refused(&["info", &model, "--shape", "x=1,3,a,16"]).contains("--shape x=1,3,a,16"));
}

#[test]
fn open_dimensions_are_taken_from_data() {
    let folder = tempfile::tempdir().unwrap();
    let model = without_image_size(folder.path());
    let file = folder.path().join("x.npy");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 16, 16)}";
    let text = format!("{text:<117}\n");
    header.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    header.extend(text.as_bytes());
    header.extend(vec![0; 2 * 3 * 16 * 16 * 4]);
    std::fs::write(&file, header).unwrap();
    let text = succeed(&["info", &model, "--data", &format!("npy:{}", file.display())]);
    assert!(text.contains("[3, 16, 16] a sample"), "{text}");
}

#[test]
fn profile_names_the_operations_of_a_product() {
    let text = succeed(&["info", "digits-mlp", "--profile", "--samples", "8"]);
    for part in ["8 samples", "Linear", "adjoint's tangent", "GFLOP/s", "ms", "nominal"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    // Every operation once, with all of its passes; then the passes.
    let sums: Vec<&str> = section(&text, "operation, all passes");
    let passes: Vec<&str> =
        text.lines().skip_while(|l| !l.starts_with("operation  ") || !l.contains("pass  ")).collect();
    let of = |lines: &[&str], name: &str| lines.iter().filter(|l| l.starts_with(name)).count();
    for (name, rows) in [("Linear", 2), ("Tanh", 2)] {
        assert_eq!((of(&sums, name), of(&passes, name)), (1, rows), "{name} in\n{text}");
    }
    // Calls and shares of the passes add up to those of the operation.
    let numbers = |line: &str, skip: usize| {
        let cells: Vec<&str> = line[skip..].split_whitespace().collect();
        (cells[0].parse::<u64>().unwrap(), cells[2].trim_end_matches('%').parse::<f64>().unwrap())
    };
    let (calls, share) = numbers(sums.iter().find(|l| l.starts_with("Linear")).unwrap(), 26);
    let all: Vec<_> = passes.iter().filter(|l| l.starts_with("Linear")).map(|l| numbers(l, 45)).collect();
    assert_eq!(calls, all.iter().map(|p| p.0).sum::<u64>(), "{text}");
    assert!((share - all.iter().map(|p| p.1).sum::<f64>()).abs() <= 0.3, "{text}");
    // One operation is named, the first of the table that is one.
    let first = sums.iter().find(|l| !l.starts_with('(')).unwrap().split_whitespace().next().unwrap();
    assert!(text.contains(&format!("\nThe operation that costs most is {first}: ")), "{text}");
    let wrong = refused(&["info", "digits-mlp", "--samples", "8"]);
    assert!(wrong.contains("--profile"), "{wrong}");
}

fn small(name: &str) -> String {
    format!("{}/../saddlescope-onnx/tests/fixtures/small/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn profile_of<'a>(model: &'a str, data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["info", model, "--profile", "--data", data, "--loss", "mse"][..], more].concat()
}

#[test]
fn a_profile_takes_the_samples_that_there_are() {
    let (model, data) = (small("constant_weights.onnx"), format!("npz:{}", small("constant_weights.npz")));
    let profile = |more: &[&'static str]| profile_of(&model, &data, more);
    let text = succeed(&profile(&[]));
    assert!(
        text.contains("5 samples of the train split") && text.contains("fewer than the usual 16"),
        "{text}"
    );
    let given = succeed(&profile(&["--samples", "5"]));
    assert!(given.contains("5 samples of the") && !given.contains("the usual"), "{given}");
    let too_many = refused(&profile(&["--samples", "16"]));
    assert!(too_many.contains("0..16") && too_many.contains("there are 5"), "{too_many}");
}

#[test]
fn a_profile_takes_the_options_of_the_other_verbs() {
    let (model, data) = (small("constant_weights.onnx"), format!("npz:{}", small("constant_weights.npz")));
    let profile = |more: &[&'static str]| profile_of(&model, &data, more);
    let text = succeed(&profile(&["--one-sample", "--dtype", "f64", "--weight-decay", "0.1"]));
    for part in ["\n1 sample of", "product in f64", "Weight decay: 0.1", "(weight decay)", "costs most"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    // The axis is taken, and the data are looked at with it.
    assert!(succeed(&profile(&["--batch-axis", "x=0"])).contains("costs most"));
    assert!(refused(&profile(&["--batch-axis", "x=7"])).contains("axis 7 is to count the samples"));
    assert!(refused(&profile(&["--params", "nothing*"])).contains("no parameter has such a name"));
    assert!(refused(&profile(&["--slice-samples", "3"])).contains("no cuts"));

    let (model, data) = (small("fixed_inputs.onnx"), format!("npz:{}", small("fixed_inputs.npz")));
    let fixed = ["--fix-input", "sr=16000", "--fix-input", "gain=2,0.5", "--fix-input", "on=true"];
    let text = succeed(&profile_of(&model, &data, &fixed));
    assert!(text.contains("costs most") && text.contains("`sr` is fixed to 16000"), "{text}");
    // Without a profile there is nothing to take a loss of.
    assert!(refused(&["info", &model, "--loss", "mse"]).contains("--profile"));
}

#[test]
fn instructions_that_do_not_exist_are_refused() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_saddlescope"));
    let output = command.args(["info", "digits-mlp"]).env("SADDLESCOPE_ISA", "sse9").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("SADDLESCOPE_ISA is \"sse9\"") && error.contains("portable"), "{error}");
}

#[test]
fn what_is_no_network_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_string()
    };
    let broken = put("broken.onnx", &std::fs::read(fixture("resnet")).unwrap()[..300]);
    let said = refused(&["info", &broken]);
    assert!(said.contains("broken.onnx: not an ONNX model"), "{said}");
    let weights = put("weights.pt", b"PK\x03\x04");
    let said = refused(&["info", &weights]);
    assert!(said.contains("weights.pt` is no .onnx file") && said.contains("from-pytorch.md"), "{said}");
    let absent = folder.path().join("absent.onnx");
    let said = refused(&["info", absent.to_str().unwrap()]);
    assert_eq!(said.matches("absent.onnx").count(), 1, "{said}");
}
