//! What rank 0 tells the others to do.

use bytemuck::{cast_slice, cast_slice_mut};
use saddlescope_landscape::Curvature;

use crate::basis_step::{self, BasisStep};
use crate::communicator::{CommunicationError, Communicator, spread};

/// One step that all ranks do together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// L(θ) of a risk; θ follows.
    Evaluate { risk: usize },
    /// ∇L(θ) of a risk; θ follows.
    Gradient { risk: usize },
    /// A risk near θ, called `point` from now on; θ follows.
    At { risk: usize, point: u64, keep_bytes: usize },
    /// Products at a point; the vectors follow.
    Product { point: u64, curvature: Curvature },
    /// A point is not needed any more.
    Forget { point: u64 },
    /// A step with a Krylov basis; what belongs to it follows.
    Basis { basis: u64, step: BasisStep },
    /// There is nothing more to do.
    Finish,
}

const CURVATURES: [Curvature; 5] = [
    Curvature::Hessian,
    Curvature::GaussNewton,
    Curvature::Residual,
    Curvature::PerSampleGradientFisher,
    Curvature::OutputJacobianGram,
];

/// Words of a command.
const WORDS: usize = 2 + basis_step::WORDS;

impl Command {
    fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        let first: &[u64] = match self {
            Self::Evaluate { risk } => &[0, *risk as u64],
            Self::Gradient { risk } => &[1, *risk as u64],
            Self::At { risk, point, keep_bytes } => &[2, *risk as u64, *point, *keep_bytes as u64],
            Self::Product { point, curvature } => {
                let place = CURVATURES.iter().position(|c| c == curvature).unwrap_or(0);
                &[3, *point, place as u64]
            }
            Self::Forget { point } => &[4, *point],
            Self::Finish => &[5],
            Self::Basis { basis, step } => {
                words[2..].copy_from_slice(&step.words());
                &[6, *basis]
            }
        };
        words[..first.len()].copy_from_slice(first);
        words
    }

    fn of(words: [u64; WORDS]) -> Option<Self> {
        let [kind, a, b, c, ..] = words;
        Some(match kind {
            0 => Self::Evaluate { risk: a as usize },
            1 => Self::Gradient { risk: a as usize },
            2 => Self::At { risk: a as usize, point: b, keep_bytes: c as usize },
            3 => Self::Product { point: a, curvature: *CURVATURES.get(b as usize)? },
            4 => Self::Forget { point: a },
            5 => Self::Finish,
            6 => Self::Basis { basis: a, step: BasisStep::of(*words.last_chunk()?)? },
            _ => return None,
        })
    }

    /// Tells all ranks, with the vectors that belong to it; on rank 0.
    pub fn tell(&self, ranks: &dyn Communicator, values: &[f64]) -> Result<(), CommunicationError> {
        let mut words = [0; WORDS + 1];
        words[..WORDS].copy_from_slice(&self.words());
        words[WORDS] = values.len() as u64;
        spread(ranks, cast_slice_mut(&mut words))?;
        if !values.is_empty() && ranks.size() > 1 {
            ranks.broadcast(&mut cast_slice(values).to_vec())?;
        }
        Ok(())
    }

    /// Waits for the next command and its vectors; on the other ranks.
    pub fn hear(ranks: &dyn Communicator) -> Result<(Self, Vec<f64>), CommunicationError> {
        let mut words = [0_u64; WORDS + 1];
        spread(ranks, cast_slice_mut(&mut words))?;
        let mut values = vec![0.0; words[WORDS] as usize];
        if !values.is_empty() {
            ranks.broadcast(cast_slice_mut(&mut values))?;
        }
        let command =
            words.first_chunk().and_then(|words| Self::of(*words)).ok_or_else(|| CommunicationError {
                rank: ranks.rank(),
                host: ranks.host().into(),
                problem: format!("a command that is none: {words:?}"),
            })?;
        Ok((command, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_back() {
        let mut all = vec![
            Command::Evaluate { risk: 2 },
            Command::Gradient { risk: 1 },
            Command::At { risk: 1, point: 7, keep_bytes: usize::MAX },
            Command::Forget { point: 3 },
            Command::Basis {
                basis: 4,
                step: BasisStep::Sweep { first: 1, vectors: 2, minus: 3..4, dots: 5..6, squares: true },
            },
            Command::Finish,
        ];
        all.extend(CURVATURES.map(|curvature| Command::Product { point: 9, curvature }));
        for command in all {
            assert_eq!(Command::of(command.words()), Some(command));
        }
        assert_eq!(Command::of([99; WORDS]), None);
    }
}
