//! One step of stochastic gradient descent with momentum.

/// Coefficients of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// η.
    pub learning_rate: f32,
    /// μ.
    pub momentum: f32,
    /// Whether the step looks ahead along the momentum.
    pub nesterov: bool,
}

impl SgdStep {
    /// g ← g + λθ, v ← μv + g, θ ← θ − η d with d = v, or d = g + μv (Nesterov), element by element: PyTorch's SGD
    /// without dampening (Sutskever et al., "On the importance of initialization and momentum", 2013, with η outside v).
    ///
    /// All slices belong to the same parameters and have the same length; `decay` is λ.
    pub fn apply(&self, theta: &mut [f32], velocity: &mut [f32], gradient: &[f64], decay: f32) {
        for ((theta, v), &g) in theta.iter_mut().zip(velocity).zip(gradient) {
            let g = g as f32 + decay * *theta;
            *v = self.momentum * *v + g;
            let d = if self.nesterov { g + self.momentum * *v } else { *v };
            *theta -= self.learning_rate * d;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps by hand with η = ½, μ = ½, λ = ¼: all numbers are exact in binary.
    #[test]
    fn two_steps_by_hand() {
        let step = SgdStep { learning_rate: 0.5, momentum: 0.5, nesterov: false };
        let (mut theta, mut v) = ([4.0_f32], [0.0_f32]);
        step.apply(&mut theta, &mut v, &[1.0], 0.25);
        // g = 1 + 4/4 = 2, v = 2, θ = 4 − 1 = 3.
        assert_eq!((theta, v), ([3.0], [2.0]));
        step.apply(&mut theta, &mut v, &[-1.0], 0.25);
        // g = −1 + 3/4 = −1/4, v = 1 − 1/4 = 3/4, θ = 3 − 3/8.
        assert_eq!((theta, v), ([2.625], [0.75]));

        let step = SgdStep { nesterov: true, ..step };
        let (mut theta, mut v) = ([4.0_f32], [0.0_f32]);
        step.apply(&mut theta, &mut v, &[1.0], 0.25);
        // d = 2 + 1 = 3, θ = 4 − 3/2.
        assert_eq!((theta, v), ([2.5], [2.0]));
        step.apply(&mut theta, &mut v, &[-1.0], 0.0);
        // g = −1, v = 1 − 1 = 0, d = −1 + 0, θ = 2.5 + ½.
        assert_eq!((theta, v), ([3.0], [0.0]));
    }
}
