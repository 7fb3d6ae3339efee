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
    for part in ["8 samples", "Linear", "adjoint's tangent", "GFLOP/s", "ms"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let wrong = refused(&["info", "digits-mlp", "--samples", "8"]);
    assert!(wrong.contains("--profile"), "{wrong}");
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
