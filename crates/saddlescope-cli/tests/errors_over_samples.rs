//! Errors over the samples, and the samples and points that they choose, from the command to the files.

mod common;

use std::path::Path;

use common::{assert_same, kept, refused, results, saddlescope, start, succeed, wait_for};

fn analyze<'a>(out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut all =
        vec!["analyze", "--model", "digits-mlp", "--threads", "2", "--probes", "2", "--density-probes", "0"];
    all.extend(["--no-split", "--no-escape", "--tol", "1e-2", "--largest", "1", "--smallest", "1"]);
    all.extend(more);
    all.extend(["--out", out.to_str().unwrap()]);
    all
}

#[test]
fn a_surface_says_what_its_samples_allow() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let printed = succeed(&analyze(&out, &["--samples", "0..256", "--slice-samples", "64", "--grid", "9"]));
    assert!(printed.contains("than at the centre") || printed.contains("that at the centre"), "{printed}");
    assert!(printed.contains("64 train samples"), "{printed}");
    let found = results(&out);
    assert_eq!((&found["slice_samples"], &found["samples"]), (&64.into(), &256.into()));
    for surface in found["surfaces"].as_array().unwrap() {
        assert_eq!(surface["samples"], 64);
        let (own, paired) = (&surface["center_std_error"], &surface["minimum"]["difference_std_error"]);
        assert!(own.as_f64().unwrap() > 0.0 && paired.as_f64().is_some(), "{surface}");
    }
    for cut in found["cuts"].as_array().unwrap() {
        // The curvature of all samples is another than that of the samples of the cut, which the prediction is made of.
        assert_ne!(cut["prediction"]["curvature"], cut["curvature"]);
    }
    let cuts = std::fs::read_to_string(out.join("figures/cuts.json")).unwrap();
    assert!(cuts.contains("the first 64 of the 256 train samples") && cuts.contains("\"std_error\""));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("first 64 of the 256 samples"));
    // More samples than there are: said, not done silently.
    let more = analyze(&out, &["--samples", "0..64", "--slice-samples", "100", "--grid", "0", "--force"]);
    let output = saddlescope(&more);
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("--slice-samples 100: reduced to 64"), "{said}");
}

#[test]
fn samples_and_points_are_chosen_and_a_stopped_run_goes_on_to_the_same_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let (whole, stopped) = (temp.path().join("whole"), temp.path().join("stopped"));
    let more = ["--samples", "0..512", "--slice-samples", "auto:0.2", "--grid", "auto:17"];
    succeed(&analyze(&whole, &more));
    let found = results(&whole);
    let choice = &found["slice_choice"];
    assert_eq!((&choice["share"], &choice["samples"]), (&0.2.into(), &found["slice_samples"]));
    let known = choice["known_to"].as_f64().unwrap();
    assert_eq!(choice["reached"].as_bool().unwrap(), known <= 0.2, "{choice}");
    assert!(choice["reached"].as_bool().unwrap() || choice["samples"] == 512, "{choice}");
    for surface in found["surfaces"].as_array().unwrap() {
        assert_eq!(surface["shape"], serde_json::json!([17, 17]));
        let evaluated = surface["evaluated"].as_u64().unwrap();
        assert!((81..=289).contains(&evaluated), "{surface}");
    }
    let all = analyze(&stopped, &more);
    let mut child = start(&all);
    let running = wait_for(&mut child, || {
        let rows = kept(&stopped, "surface-random-train-", ".rows");
        rows.iter().any(|f| std::fs::metadata(f).is_ok_and(|m| m.len() > 400))
    });
    if running {
        child.kill().unwrap();
    }
    child.wait().unwrap();
    succeed(&all);
    assert_same(&whole, &stopped);
}

#[test]
fn samples_are_added_until_the_smallest_eigenvalue_is_known() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let at = out.to_str().unwrap();
    let eigs =
        ["eigs", "--model", "digits-mlp", "--largest", "1", "--smallest", "1", "--out", at, "--samples"];
    let with = |samples| [&eigs[..], &[samples]].concat();
    succeed(&with("auto:0.5"));
    let found = results(&out);
    let pairs = found["eigenpairs"].as_array().unwrap();
    let smallest = pairs.iter().find(|p| p["end"] == "smallest").unwrap();
    let (value, error) = (smallest["value"].as_f64().unwrap(), smallest["std_error"].as_f64().unwrap());
    assert!(error <= 0.5 * value.abs(), "{smallest}");
    let samples = found["samples"].as_u64().unwrap();
    assert!(samples >= 64 && out.join("samples").join(samples.to_string()).is_dir());
    // The same eigenvalue as of a solve from a random vector, to the tolerance of 1e-3.
    let plain = temp.path().join("plain");
    let range = format!("0..{samples}");
    let mut all = with(&range);
    all[8] = plain.to_str().unwrap();
    succeed(&all);
    let other = results(&plain);
    let same = other["eigenpairs"].as_array().unwrap().iter().find(|p| p["end"] == "smallest").unwrap();
    assert!((same["value"].as_f64().unwrap() - value).abs() <= 2e-3 * value.abs());
    for wrong in ["auto:0", "auto:2", "automatic"] {
        assert!(refused(&with(wrong)).contains("--samples"), "{wrong}");
    }
    let text = refused(&["trace", "--model", "digits-mlp", "--samples", "auto", "--out", at]);
    assert!(text.contains("only analyze and eigs"), "{text}");
}
