//! Which float tensors of a file are parameters: read where the file or the user says it, assumed where nobody does.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::error::OnnxError;
use super::model::Model;
use super::value::Value;

/// Key of the list that `scripts/torch_to_onnx.py` writes.
const OWN_KEY: &str = "saddlescope.parameters";
/// Key of PyTorch's newer exporter.
const SIGNATURE_KEY: &str = "pkg.torch.export.ExportedProgram.graph_signature";

/// How it is known which tensors are parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterSource {
    /// The names were given ([`ImportOptions::parameters`](super::ImportOptions::parameters)).
    Given,
    /// The file has the list of `scripts/torch_to_onnx.py`.
    List,
    /// The file has the signature of PyTorch's exported program.
    Signature,
    /// Nothing says it: float tensors that could be parameters were taken for them.
    Assumed,
}

/// A parameter of the network that was exported.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DeclaredParameter {
    /// Its name in the network.
    pub name: String,
    /// Other names of the same tensor.
    #[serde(default)]
    pub ties: Vec<String>,
    /// Whether the loss depends on it.
    #[serde(default = "yes")]
    pub used: bool,
}

fn yes() -> bool {
    true
}

/// What a float tensor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Parameter,
    /// A constant that might be mistaken for a parameter, with the reason.
    Constant(String),
    /// What nobody would take for a parameter.
    Plain,
}

/// Decides what is a parameter.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    pub(crate) source: ParameterSource,
    declared: Vec<DeclaredParameter>,
    /// Every name of a declared parameter, with its place in `declared`.
    names: BTreeMap<String, usize>,
    buffers: BTreeSet<String>,
    /// PyTorch's exporters keep weights in initialisers only.
    from_pytorch: bool,
}

impl Roles {
    /// Nothing is a parameter.
    pub(crate) fn none() -> Self {
        Self {
            source: ParameterSource::Given,
            declared: vec![],
            names: BTreeMap::new(),
            buffers: BTreeSet::new(),
            from_pytorch: false,
        }
    }

    /// What the user or the file says.
    pub(crate) fn new(model: &Model, given: Option<&BTreeSet<String>>) -> Result<Self, OnnxError> {
        let mut roles = Self { from_pytorch: model.producer.starts_with("pytorch"), ..Self::none() };
        let named = |name: &String| DeclaredParameter { name: name.clone(), ties: vec![], used: true };
        if let Some(given) = given {
            roles.declared = given.iter().map(named).collect();
        } else if let Some(text) = model.metadata.get(OWN_KEY) {
            roles.source = ParameterSource::List;
            roles.declared = serde_json::from_str(text).map_err(|e| {
                OnnxError::Invalid(format!("the file's metadata `{OWN_KEY}` is no list of parameters: {e}"))
            })?;
        } else if let Some(text) = model.metadata.get(SIGNATURE_KEY) {
            roles.source = ParameterSource::Signature;
            roles.declared = targets(text, "PARAMETER").iter().map(named).collect();
            roles.buffers = targets(text, "BUFFER").into_iter().collect();
        } else {
            roles.source = ParameterSource::Assumed;
        }
        for (i, parameter) in roles.declared.iter().enumerate() {
            for name in std::iter::once(&parameter.name).chain(&parameter.ties) {
                roles.names.insert(name.clone(), i);
            }
        }
        Ok(roles)
    }

    /// Declared parameters, with their names.
    pub(crate) fn declared(&self) -> &[DeclaredParameter] {
        &self.declared
    }

    /// Their names, ties included.
    pub(crate) fn declared_names(&self) -> BTreeSet<String> {
        self.names.keys().cloned().collect()
    }

    /// What the initialiser of this name is.
    pub(crate) fn of(&self, name: &str, value: &Value) -> Role {
        let Ok(numbers) = value.as_floats() else { return Role::Plain };
        if numbers.is_empty() {
            return Role::Plain;
        }
        if self.names.contains_key(name) {
            return Role::Parameter;
        }
        let single = numbers.len() == 1;
        match self.source {
            _ if self.buffers.contains(name) => Role::Constant("a buffer of the network".into()),
            // Parameters of one number keep their names.
            ParameterSource::Given | ParameterSource::List | ParameterSource::Signature if single => {
                Role::Plain
            }
            ParameterSource::Given => {
                Role::Constant("not among the names of parameters that were given".into())
            }
            ParameterSource::List => Role::Constant("not in the file's list of parameters".into()),
            ParameterSource::Assumed if single && generated(name) => Role::Plain,
            ParameterSource::Assumed if single && !self.from_pytorch && !names_a_weight(name) => {
                Role::Constant("a single number without a parameter's name".into())
            }
            ParameterSource::Assumed if value.rank() == 0 && !names_a_weight(name) => {
                Role::Constant("a single number, as constants of formulas are".into())
            }
            // Masks hold −∞ or the lowest number there is; weights do not.
            _ if numbers.iter().any(|x| !x.is_finite() || x.abs() >= 1e30) => {
                Role::Constant("it holds infinities or numbers beyond 1e30, as masks do".into())
            }
            // What the exporter computed from parameters (transposed, folded) has names that its signature does not list.
            ParameterSource::Signature | ParameterSource::Assumed => Role::Parameter,
        }
    }

    /// What the tensor of a `Constant` node is, whose output has this name.
    pub(crate) fn of_constant(&self, name: &str, value: &Value) -> Role {
        let named = self.names.contains_key(name);
        // A bias of one number has the name of an attribute.
        let may_be_weight = value.len() > 1 || value.rank() > 0 && !generated(name) && names_a_weight(name);
        let may_hold_weights = self.source == ParameterSource::Assumed && !self.from_pytorch && may_be_weight;
        if named || may_hold_weights { self.of(name, value) } else { Role::Plain }
    }

    /// Whether a tensor of this name was declared a parameter.
    pub(crate) fn is_declared(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The other names of a parameter.
    pub(crate) fn ties(&self, name: &str) -> Vec<String> {
        let Some(&i) = self.names.get(name) else { return vec![] };
        let parameter = &self.declared[i];
        let all = std::iter::once(&parameter.name).chain(&parameter.ties);
        all.filter(|n| *n != name).cloned().collect()
    }
}

/// Whether a single number with this name is a constant of a formula: exporters name those (`val_12`, `onnx::Mul_7`,
/// `/layer/Constant_output_0`).
fn generated(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    name.starts_with('/')
        || name.contains("::")
        || name.starts_with("val_")
        || name.chars().all(|c| c.is_ascii_digit())
        || lower.contains("const")
        || lower.contains("scalar")
}

/// Whether a single number with this name is a parameter: it has that of a module's attribute (`block.0.alpha`), or says so
/// (`dense_1/bias`, `intercepts1`). Other programs name constants as they like.
fn names_a_weight(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let words = ["bias", "weight", "kernel", "intercept", "coef", "readvariableop"];
    name.contains('.') || words.iter().any(|word| lower.contains(word))
}

/// The targets of one kind in PyTorch's text of a signature: lines such as `p_weight: PARAMETER target='l.weight'`.
fn targets(signature: &str, kind: &str) -> Vec<String> {
    let target = |line: &str| {
        let (_, rest) = line.split_once(": ")?;
        let rest = rest.strip_prefix(kind)?.trim_start().strip_prefix("target='")?;
        rest.split_once('\'').map(|(name, _)| name.to_string())
    };
    signature.lines().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exporters_signature_is_read() {
        let text = "\n# inputs\np_bias: PARAMETER target='bias'\np_l_weight: PARAMETER target='l.weight'\n\
                    b_basis: BUFFER target='basis' persistent=True\nx: USER_INPUT\n\n# outputs\nadd: USER_OUTPUT\n";
        assert_eq!(targets(text, "PARAMETER"), ["bias", "l.weight"]);
        assert_eq!(targets(text, "BUFFER"), ["basis"]);
    }

    #[test]
    fn single_numbers_with_an_attributes_name_are_parameters() {
        for name in ["val_12", "/a/Constant_output_0", "onnx::Mul_7", "17", "_inlined_const"] {
            assert!(generated(name), "{name}");
        }
        for name in ["bias", "block.0.alpha", "scale"] {
            assert!(!generated(name), "{name}");
        }
        // What else programs call numbers: only what says so is a parameter.
        assert!(!names_a_weight("scale"));
        for name in ["block.0.alpha", "dense_1/bias", "dense/BiasAdd/ReadVariableOp:0", "intercepts1"] {
            assert!(names_a_weight(name) && !generated(name), "{name}");
        }
    }

    #[test]
    fn constant_nodes_of_one_number_are_parameters_by_their_names() {
        let other = Roles { source: ParameterSource::Assumed, ..Roles::none() };
        let pytorch = Roles { from_pytorch: true, ..other.clone() };
        let one = |shape: Vec<usize>| Value::floats(crate::ElementType::F32, shape, vec![1.5]).unwrap();
        for name in ["block_0.w_1", "decoder.2.bias"] {
            assert_eq!(other.of_constant(name, &one(vec![1])), Role::Parameter, "{name}");
            assert_eq!(other.of_constant(name, &one(vec![])), Role::Plain, "{name}");
            assert_eq!(pytorch.of_constant(name, &one(vec![1])), Role::Plain, "{name}");
        }
        for name in ["p2o.helper.constant.7", "scale", "/layer/Constant_output_0"] {
            assert_eq!(other.of_constant(name, &one(vec![1])), Role::Plain, "{name}");
        }
    }
}
