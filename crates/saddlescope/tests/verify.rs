//! `verify` passes on this machine, and fails where a kernel is wrong.

use saddlescope::nn::Isa;
use saddlescope::verify::{verify, verify_kernels};

#[test]
fn this_machine_passes() {
    let mut lines = Vec::new();
    let found = verify(&mut |check| lines.push(check.line()));
    assert!(found.passed(), "{:#?}", found.failures());
    assert_eq!(lines.len(), found.checks.len());
    // Four checks for every path, and every path is there.
    let kernels = found.checks.iter().filter(|c| c.group == "kernels").count();
    assert_eq!(kernels, 4 * Isa::available().len());
    assert!(found.checks.iter().all(|c| !c.name.is_empty() && c.error.is_finite()));
}

#[test]
fn a_broken_kernel_fails() {
    for &broken in Isa::available() {
        for kernel in ["forward", "input adjoint", "filter adjoint", "matrix product"] {
            // One number of one kernel on one path, off by a thousandth: what a wrong lane or a dropped remainder does.
            let fault = |isa: Isa, name: &str, out: &mut [f64]| {
                if isa == broken && name == kernel {
                    let last = out.len() - 1;
                    out[last] = out[last] * 1.001 + 1e-3;
                }
            };
            let found = verify_kernels(&fault, &mut |_| {});
            assert!(!found.passed(), "{broken:?} {kernel}");
            let failures = found.failures();
            // In f32 and in f64, that path only.
            assert_eq!(failures.len(), 2, "{failures:#?}");
            assert!(
                failures.iter().all(|c| c.group == "kernels" && c.name.starts_with(&format!("{broken:?},")))
            );
        }
    }
    // NaN is no small error.
    let found = verify_kernels(&|_, _, out| out[0] = f64::NAN, &mut |_| {});
    assert_eq!(found.failures().len(), 4 * Isa::available().len());
    assert!(found.failures().iter().all(|c| c.error.is_nan()));
}
