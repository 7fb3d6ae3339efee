//! Options with a fixed set of values. Values have no comments of their own: with them clap would put every help text in its long form.

use clap::ValueEnum;
use saddlescope::analysis::EigenMethod;
use saddlescope::data::Split;
use saddlescope::nn::Dtype;

/// A split of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitChoice {
    Train,
    Test,
}

impl SplitChoice {
    /// The split, and the other one.
    pub fn both(self) -> [Split; 2] {
        match self {
            Self::Train => [Split::Train, Split::Test],
            Self::Test => [Split::Test, Split::Train],
        }
    }
}

/// How batch norm normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BatchNorm {
    Eval,
    Train,
}

impl BatchNorm {
    /// The word of the command line, which is also kept in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eval => "eval",
            Self::Train => "train",
        }
    }
}

/// The numbers that the engine computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    F32,
    F64,
}

impl From<DtypeChoice> for Dtype {
    fn from(choice: DtypeChoice) -> Self {
        match choice {
            DtypeChoice::F32 => Self::F32,
            DtypeChoice::F64 => Self::F64,
        }
    }
}

/// How extreme eigenvalues are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    Lanczos,
    Algorithm1,
}

impl From<Method> for EigenMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Lanczos => Self::Lanczos,
            Method::Algorithm1 => Self::Algorithm1,
        }
    }
}
