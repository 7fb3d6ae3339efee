//! A checked graph: its nodes, their attributes, and what it declares.

use std::collections::BTreeMap;

use super::element::ElementType;
use super::error::OpError;
use super::value::Value;

/// Length of a declared dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Known length.
    Fixed(usize),
    /// Known by name only.
    Named(String),
    /// Not declared.
    Open,
}

/// Declared name, element type and shape of an input or output.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Name of the value.
    pub name: String,
    /// Element type, if it is declared and supported.
    pub element: Option<ElementType>,
    /// Dimensions, if declared.
    pub shape: Option<Vec<Dim>>,
}

/// A checked graph: the model's own or the branch of an `If`.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Declared inputs that are not initialisers.
    pub inputs: Vec<Declaration>,
    /// Declared outputs.
    pub outputs: Vec<Declaration>,
    /// Initialisers in the order of the file.
    pub initializers: Vec<(String, Value)>,
    /// Nodes; every input is an input of the graph, an initialiser, or an output of an earlier node.
    pub nodes: Vec<Node>,
}

/// Value of an attribute.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The names say it.
pub enum Attribute {
    Int(i64),
    Float(f32),
    Text(String),
    Tensor(Value),
    Graph(Graph),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
}

/// One node of the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name in the file, or the name of the first output if the file gives none.
    pub name: String,
    /// Operator type, for example `Conv`.
    pub op_type: String,
    /// Domain of the operator; the standard's own is the empty string.
    pub domain: String,
    /// Version of the operator set of that domain.
    pub opset: i64,
    /// Names of the inputs; an empty name is an input left out.
    pub inputs: Vec<String>,
    /// Names of the outputs; an empty name is an output that nobody wants.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

impl Node {
    fn wrong(&self, name: &str, expected: &str) -> OpError {
        OpError::new(format!("attribute `{name}` is not {expected}"))
    }

    /// Integer attribute.
    pub fn int(&self, name: &str) -> Result<Option<i64>, OpError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Int(x)) => Ok(Some(*x)),
            Some(_) => Err(self.wrong(name, "an integer")),
        }
    }

    /// Integer attribute with a default.
    pub fn int_or(&self, name: &str, default: i64) -> Result<i64, OpError> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// Integer attribute that says yes (not 0) or no (0).
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, OpError> {
        Ok(self.int(name)?.map_or(default, |x| x != 0))
    }

    /// Float attribute.
    pub fn float(&self, name: &str) -> Result<Option<f64>, OpError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Float(x)) => Ok(Some(f64::from(*x))),
            Some(_) => Err(self.wrong(name, "a float")),
        }
    }

    /// Float attribute with a default.
    pub fn float_or(&self, name: &str, default: f64) -> Result<f64, OpError> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// Text attribute with a default.
    pub fn text_or<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str, OpError> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Text(x)) => Ok(x),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    /// Attribute that is a list of integers.
    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, OpError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(x)) => Ok(Some(x)),
            Some(_) => Err(self.wrong(name, "a list of integers")),
        }
    }

    /// Attribute that is a tensor.
    pub fn tensor(&self, name: &str) -> Result<Option<&Value>, OpError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(x)) => Ok(Some(x)),
            Some(_) => Err(self.wrong(name, "a tensor")),
        }
    }

    /// Attribute that is a graph.
    pub fn graph(&self, name: &str) -> Result<&Graph, OpError> {
        match self.attributes.get(name) {
            Some(Attribute::Graph(x)) => Ok(x),
            _ => Err(self.wrong(name, "a graph")),
        }
    }

    /// Operator type with its domain, as messages show it.
    pub fn operator(&self) -> String {
        if self.domain.is_empty() {
            format!("{}-{}", self.op_type, self.opset)
        } else {
            format!("{}:{}-{}", self.domain, self.op_type, self.opset)
        }
    }
}

/// An axis counted from the end if negative, checked against the number of dimensions.
pub(crate) fn checked_axis(axis: i64, rank: usize) -> Result<usize, OpError> {
    let rank_i = i64::try_from(rank)?;
    let positive = if axis < 0 { axis.checked_add(rank_i).unwrap_or(-1) } else { axis };
    if (0..rank_i).contains(&positive) {
        Ok(usize::try_from(positive)?)
    } else {
        Err(OpError::new(format!("axis {axis} of a tensor with {rank} dimensions")))
    }
}

/// Axes counted from the end if negative; each in range and named once.
pub(crate) fn checked_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    let mut checked = Vec::with_capacity(axes.len().min(rank));
    for &axis in axes {
        let axis = checked_axis(axis, rank)?;
        if checked.contains(&axis) {
            return Err(OpError::new(format!("axis {axis} is named twice")));
        }
        checked.push(axis);
    }
    Ok(checked)
}
