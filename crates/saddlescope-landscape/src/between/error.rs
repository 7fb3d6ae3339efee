//! Why weights cannot be compared or joined.

/// Why weights cannot be compared or joined.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BetweenError {
    /// Fewer weights than the verb needs.
    #[error("weights given: {found}; expected at least {expected}")]
    TooFew {
        /// How many were given.
        found: usize,
        /// How many are needed.
        expected: usize,
    },
    /// The same weights twice.
    #[error("{first} and {second} hold the same weights; expected different ones")]
    Identical {
        /// One file.
        first: String,
        /// The other file.
        second: String,
    },
    /// Two weights with the same short name.
    #[error("two weights are called `{name}`: {first} and {second}; expected different names")]
    SameName {
        /// The name.
        name: String,
        /// One file.
        first: String,
        /// The other file.
        second: String,
    },
    /// θ is not finite.
    #[error("{origin}: coordinate {index} of θ is {value}; expected finite numbers")]
    NotFinite {
        /// The file.
        origin: String,
        /// Position of the first such coordinate.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// θ has another length than the model has parameters.
    #[error("{origin}: {found} parameters; expected {expected}, those of {model}")]
    Parameters {
        /// The file.
        origin: String,
        /// Parameters found.
        found: usize,
        /// Parameters expected.
        expected: usize,
        /// The model.
        model: String,
    },
    /// A line needs two weights of one model.
    #[error(
        "{first} is of {model} and {second} of {other}: nothing lies between weights of different models; `compare` puts them in a table"
    )]
    Models {
        /// One file.
        first: String,
        /// Its model.
        model: String,
        /// The other file.
        second: String,
        /// Its model.
        other: String,
    },
    /// All weights lie on one point or one line, so that they span no plane.
    #[error("the weights lie on a line to working precision; a plane needs three that do not")]
    NoPlane,
}
