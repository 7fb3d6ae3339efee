//! The solvers on operators whose spectra are known, and the analytic losses on their closed forms.

use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{
    DensityOptions, ExtremeEigen, LinearOperator, Probes, ResidualSpace, TraceOptions, algorithm1,
    extreme_eigenpairs, hutchinson, spectral_density,
};
use saddlescope_landscape::analytic::{Himmelblau, MonkeySaddle, Quadratic, Rosenbrock, SignedSquares};
use saddlescope_landscape::{CheckOptions, Risk, SettleOptions, check_risk, settle};

use super::{Problem, Run, numbers};

const N: usize = 300;

/// A loss of the paper, or why it could not be made.
type MadeRisk = Result<Box<dyn Risk>, Problem>;

/// Both signs, a bulk around zero, some far away.
fn spectrum() -> Vec<f64> {
    let mut values: Vec<f64> = (0..N - 6).map(|i| 0.01 * i as f64 - 1.0).collect();
    values.extend([40.0, 25.0, 24.5, -9.0, -6.0, -5.75]);
    values
}

pub(super) fn check(run: &mut Run<'_>) {
    let relative = "of ‖A‖";
    let a = PrescribedSpectrum::new(spectrum(), 7);
    // Residuals of 1e-10 |λ|: eigenvalues are good to their squares, down to rounding.
    run.check("solvers", "Lanczos, three pairs at each end", "the spectrum", (1e-12, relative), || {
        let options = ExtremeEigen { tolerance: 1e-10, ..ExtremeEigen::ends(3, 3) };
        let found = extreme_eigenpairs(&a, &options, &mut ())?;
        let exact = [40.0, 25.0, 24.5, -5.75, -6.0, -9.0];
        let errors = found.pairs.iter().zip(exact).map(|(p, e)| (p.value - e).abs() / 40.0);
        let complete = found.pairs.len() == 6 && found.is_converged();
        Ok(if complete { errors.fold(0.0, f64::max) } else { f64::NAN })
    });
    run.check("solvers", "residuals of the same pairs", "products", (1e-10, "of |λ|"), || {
        let options = ExtremeEigen { tolerance: 1e-10, ..ExtremeEigen::ends(3, 3) };
        let found = extreme_eigenpairs(&a, &options, &mut ())?;
        let mut worst: f64 = 0.0;
        for pair in &found.pairs {
            let mut image = vec![0.0; N];
            a.apply(&pair.vector, &mut image)?;
            image.iter_mut().zip(&pair.vector).for_each(|(y, v)| *y -= pair.value * v);
            let residual = saddlescope_landscape::norm(&image);
            // The residual that is reported must be the true one, up to rounding.
            let claimed = (residual - pair.residual).abs() / (1e-13 * 40.0);
            worst =
                worst.max(residual / pair.value.abs()).max(if claimed > 1.0 { f64::INFINITY } else { 0.0 });
        }
        Ok(worst)
    });
    run.check("solvers", "Algorithm 1 of the paper", "the spectrum", (1e-12, relative), || {
        let options = ExtremeEigen { tolerance: 1e-10, ..ExtremeEigen::ends(1, 1) };
        let found = algorithm1(&a, &options, &mut ())?;
        let value = |p: Option<&saddlescope_krylov::Eigenpair>| p.map_or(f64::NAN, |p| p.value);
        Ok(((value(found.maximum()) - 40.0).abs() + (value(found.minimum()) + 9.0).abs()) / 40.0)
    });
    // Five standard errors: a sound estimator is further off once in two million draws, and this draw is always the same.
    run.check("solvers", "trace by Hutchinson's estimator", "the spectrum", (5.0, "standard errors"), || {
        let found = hutchinson(
            &a,
            Probes::Gaussian,
            &TraceOptions { max_products: 64, ..TraceOptions::default() },
            &mut (),
        )?;
        let exact: f64 = spectrum().iter().sum();
        Ok((found.trace.value - exact).abs() / found.trace.std_error)
    });
    run.check(
        "solvers",
        "share below zero by the density",
        "the spectrum",
        (0.05, "of all eigenvalues"),
        || {
            let options = DensityOptions { probes: 16, steps: 60, ..DensityOptions::default() };
            let found = spectral_density(&a, &options, &mut ())?;
            let exact = spectrum().iter().filter(|x| **x < -0.05).count() as f64 / N as f64;
            Ok((found.fraction_below(-0.05).value - exact).abs())
        },
    );
    run.check("solvers", "indefinite systems", "the residual by a product", (1e-10, "of ‖b‖"), || {
        let b = numbers(N, [37, 11, 101], 64.0);
        let mut space = ResidualSpace::new(&a, b.clone())?;
        while space.extend(&a)? {}
        let x = space.vector(&space.solve(f64::INFINITY).coordinates)?;
        let mut r = vec![0.0; N];
        a.apply(&x, &mut r)?;
        r.iter_mut().zip(&b).for_each(|(r, b)| *r -= b);
        // The eigenvalue 0 of the spectrum makes the system singular: what of b lies along it stays.
        let kernel = spectrum().iter().position(|x| *x == 0.0).ok_or("no zero eigenvalue")?;
        let along: f64 = a.eigenvector(kernel).iter().zip(&b).map(|(v, b)| v * b).sum();
        Ok((saddlescope_landscape::norm(&r) - along.abs()).abs() / saddlescope_landscape::norm(&b))
    });
    closed_forms(run);
}

fn closed_forms(run: &mut Run<'_>) {
    let options = CheckOptions::default();
    let allowed = (options.derivative_tolerance, "relative");
    let losses: [(&str, MadeRisk); 5] = [
        ("(2.28)", SignedSquares::new(20, 29).map(|r| Box::new(r) as Box<dyn Risk>).map_err(Into::into)),
        ("monkey saddle", Ok(Box::new(MonkeySaddle::new()))),
        ("Himmelblau", Ok(Box::new(Himmelblau::new()))),
        ("Rosenbrock", Rosenbrock::new(6).map(|r| Box::new(r) as Box<dyn Risk>).map_err(Into::into)),
        (
            "quadratic",
            Quadratic::rotated(spectrum(), 3).map(|r| Box::new(r) as Box<dyn Risk>).map_err(Into::into),
        ),
    ];
    for (name, risk) in losses {
        run.check("closed forms", name, "central differences", allowed, || {
            let risk = risk?;
            let theta = numbers(risk.dim(), [37, 11, 101], 100.0);
            let found = check_risk(&*risk, &theta, &options)?;
            Ok(found.gradient.max(found.hessian))
        });
    }
    // The curvature there is 1: the distance is the gradient.
    run.check(
        "closed forms",
        "the saddle of (2.28), settled",
        "its place",
        (2e-10, "of its distance from 0"),
        || {
            let risk = SignedSquares::new(20, 29)?;
            let mut theta: Vec<f64> = numbers(41, [37, 11, 101], 1000.0);
            theta[40] = 1.05;
            let found = settle(&risk, &theta, &SettleOptions::default(), &mut |_| Ok(()))?;
            Ok(found.theta[..40].iter().map(|t| t.abs()).fold(0.0, f64::max))
        },
    );
}
