//! From decoded messages to a checked graph: sizes bounded, names unique, every input defined before it is used,
//! functions of the model replaced by their bodies.

use std::collections::{BTreeMap, BTreeSet};

use super::element::ElementType;
use super::error::{OnnxError, OpError};
use super::graph::{Attribute, Declaration, Dim, Graph, Node};
use super::limits::Tally;
use super::proto::{self, DimensionValue, NodeProto, attribute_type};
use super::tensor::{ExternalFolder, checked_shape};
use super::value::Value;

/// Longest name of a value or node, in bytes.
const MAX_NAME_BYTES: usize = 4096;
/// Deepest nesting of functions and subgraphs.
const MAX_DEPTH: usize = 16;

pub(super) fn opsets(imports: &[proto::OperatorSetIdProto]) -> Result<BTreeMap<String, i64>, OnnxError> {
    imports
        .iter()
        .map(|o| {
            if o.version < 1 {
                return Err(OnnxError::Invalid(format!(
                    "operator set `{}` of version {}",
                    o.domain, o.version
                )));
            }
            Ok((domain(&o.domain).to_string(), o.version))
        })
        .collect()
}

/// `ai.onnx` is another spelling of the standard's own domain.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// What a name or attribute means where a node stands: in the graph itself or in the body of a function.
struct Scope<'a> {
    opsets: &'a BTreeMap<String, i64>,
    /// Prefix for local names of a function's body, and what its formal names stand for.
    rename: Option<(&'a str, &'a BTreeMap<String, String>)>,
    /// Attributes of the calling node, then the function's defaults.
    attributes: Option<&'a BTreeMap<String, Attribute>>,
}

impl Scope<'_> {
    fn name(&self, name: &str) -> String {
        match self.rename {
            _ if name.is_empty() => String::new(),
            None => name.to_string(),
            Some((prefix, formal)) => formal.get(name).cloned().unwrap_or_else(|| format!("{prefix}/{name}")),
        }
    }
}

/// Names that have a value where a node stands: those of its own graph and of the graphs around it.
#[derive(Default)]
struct Defined<'a> {
    own: BTreeSet<String>,
    outer: Option<&'a Defined<'a>>,
}

impl Defined<'_> {
    fn contains(&self, name: &str) -> bool {
        self.own.contains(name) || self.outer.is_some_and(|o| o.contains(name))
    }

    /// Adds a name; `false` if it is there already.
    fn insert(&mut self, name: &str) -> bool {
        !self.contains(name) && self.own.insert(name.to_string())
    }
}

/// Reads a model within limits that do not grow when functions are called again and again.
pub(super) struct Reader<'a> {
    functions: BTreeMap<(&'a str, &'a str, &'a str), &'a proto::FunctionProto>,
    folder: &'a ExternalFolder,
    tally: Tally,
}

impl<'a> Reader<'a> {
    /// A reader of a model with these functions.
    pub(super) fn new(functions: &'a [proto::FunctionProto], folder: &'a ExternalFolder) -> Self {
        let mut by_name = BTreeMap::new();
        for f in functions {
            by_name.entry((domain(&f.domain), f.name.as_str(), f.overload.as_str())).or_insert(f);
        }
        Self { functions: by_name, folder, tally: Tally::default() }
    }

    /// The model's own graph.
    pub(super) fn whole(
        &mut self,
        graph: &proto::GraphProto,
        opsets: &BTreeMap<String, i64>,
    ) -> Result<Graph, OnnxError> {
        let scope = Scope { opsets, rename: None, attributes: None };
        self.graph(graph, &scope, &Defined::default(), 0)
    }

    /// A tensor of the file, within the limit for all of them.
    fn tensor(&mut self, tensor: &proto::TensorProto) -> Result<Value, OpError> {
        let (_, len) = checked_shape(&tensor.dims)?;
        self.tally.elements(len)?;
        Value::from_proto(tensor, self.folder)
    }

    fn graph(
        &mut self,
        graph: &proto::GraphProto,
        scope: &Scope<'_>,
        outer: &Defined<'_>,
        depth: usize,
    ) -> Result<Graph, OnnxError> {
        if depth > MAX_DEPTH {
            return Err(OnnxError::Invalid(format!("graphs nested more than {MAX_DEPTH} deep")));
        }
        let mut defined = Defined { own: BTreeSet::new(), outer: Some(outer) };
        let mut define = |name: &str| {
            if name.is_empty() || !defined.insert(name) {
                return Err(OnnxError::Invalid(format!(
                    "the value `{name}` is defined twice, or has no name"
                )));
            }
            Ok(())
        };
        let mut initializers = Vec::with_capacity(graph.initializer.len());
        for tensor in &graph.initializer {
            let name = scope.name(&tensor.name);
            define(&name)?;
            let value =
                self.tensor(tensor).map_err(|reason| OnnxError::Tensor { name: name.clone(), reason })?;
            initializers.push((name, value));
        }
        let names: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let mut inputs = Vec::new();
        for input in graph.input.iter().filter(|i| !names.contains(i.name.as_str())) {
            let input = declaration(input, scope)?;
            define(&input.name)?;
            inputs.push(input);
        }
        let mut nodes = Vec::new();
        for node in &graph.node {
            self.node(node, scope, &mut defined, &mut nodes, depth)?;
        }
        let outputs = graph.output.iter().map(|o| declaration(o, scope)).collect::<Result<Vec<_>, _>>()?;
        for output in &outputs {
            if !defined.contains(&output.name) {
                return Err(OnnxError::Invalid(format!("no node produces the output `{}`", output.name)));
            }
        }
        Ok(Graph { inputs, outputs, initializers, nodes })
    }

    fn node(
        &mut self,
        node: &NodeProto,
        scope: &Scope<'_>,
        defined: &mut Defined<'_>,
        out: &mut Vec<Node>,
        depth: usize,
    ) -> Result<(), OnnxError> {
        self.tally.parts(1 + node.input.len() + node.output.len() + node.attribute.len())?;
        let mut read = self.read_node(node, scope, defined, depth)?;
        if read.inputs.iter().chain(&read.outputs).chain([&read.name]).any(|n| n.len() > MAX_NAME_BYTES) {
            return Err(OnnxError::Invalid(format!("a name of more than {MAX_NAME_BYTES} bytes")));
        }
        let names = read.inputs.iter().chain(&read.outputs).chain([&read.name, &read.op_type, &read.domain]);
        self.tally.text(names.map(String::len).sum()).map_err(|e| OnnxError::Invalid(e.to_string()))?;
        for input in read.inputs.iter().filter(|i| !i.is_empty()) {
            if !defined.contains(input) {
                return Err(OnnxError::Invalid(format!(
                    "node `{}` uses `{input}`, which no input, initialiser or earlier node provides \
                     (nodes must stand in topological order, without cycles)",
                    read.name
                )));
            }
        }
        let called = (read.domain.as_str(), node.op_type.as_str(), node.overload.as_str());
        if let Some(&function) = self.functions.get(&called) {
            return self.inline(function, read, defined, out, depth + 1);
        }
        for output in read.outputs.iter().filter(|o| !o.is_empty()) {
            if !defined.insert(output) {
                return Err(OnnxError::Invalid(format!("the value `{output}` is defined twice")));
            }
        }
        // Trailing names left out say nothing.
        while read.inputs.last().is_some_and(String::is_empty) {
            read.inputs.pop();
        }
        out.push(read);
        Ok(())
    }

    fn read_node(
        &mut self,
        node: &NodeProto,
        scope: &Scope<'_>,
        defined: &Defined<'_>,
        depth: usize,
    ) -> Result<Node, OnnxError> {
        let names = |list: &[String]| list.iter().map(|n| scope.name(n)).collect::<Vec<_>>();
        let outputs = names(&node.output);
        let name = if node.name.is_empty() {
            outputs.iter().find(|o| !o.is_empty()).cloned().unwrap_or_default()
        } else {
            scope.name(&node.name)
        };
        let domain = domain(&node.domain).to_string();
        let opset = match scope.opsets.get(&domain) {
            Some(&version) => version,
            None if domain.is_empty() => {
                let text = format!(
                    "node `{name}` uses the standard operator set, whose version the model does not name"
                );
                return Err(OnnxError::Invalid(text));
            }
            None => 1,
        };
        let mut attributes = BTreeMap::new();
        for a in &node.attribute {
            if let Some(value) = self.attribute(a, scope, defined, depth).map_err(|e| match e {
                AttributeError::Op(reason) => {
                    OnnxError::Node { node: name.clone(), operator: node.op_type.clone(), reason }
                }
                AttributeError::Graph(e) => *e,
            })? {
                attributes.insert(a.name.clone(), value);
            }
        }
        Ok(Node {
            name,
            op_type: node.op_type.clone(),
            domain,
            opset,
            inputs: names(&node.input),
            outputs,
            attributes,
        })
    }

    /// `None` if the attribute refers to one that the caller of a function left out.
    fn attribute(
        &mut self,
        a: &proto::AttributeProto,
        scope: &Scope<'_>,
        defined: &Defined<'_>,
        depth: usize,
    ) -> Result<Option<Attribute>, AttributeError> {
        if !a.ref_attr_name.is_empty() {
            let referred = scope.attributes.and_then(|m| m.get(&a.ref_attr_name));
            if let Some(attribute) = referred {
                self.tally.copy(attribute)?;
            }
            return Ok(referred.cloned());
        }
        let text = |s: &Vec<u8>| {
            String::from_utf8(s.clone())
                .map_err(|_| OpError::new(format!("attribute `{}` is not UTF-8", a.name)))
        };
        // Old files leave the kind out: it is then the field that is filled.
        let kind = match a.kind {
            attribute_type::UNDEFINED if a.f.is_some() => attribute_type::FLOAT,
            attribute_type::UNDEFINED if a.i.is_some() => attribute_type::INT,
            attribute_type::UNDEFINED if a.s.is_some() => attribute_type::STRING,
            attribute_type::UNDEFINED if a.t.is_some() => attribute_type::TENSOR,
            attribute_type::UNDEFINED if a.g.is_some() => attribute_type::GRAPH,
            attribute_type::UNDEFINED if !a.floats.is_empty() => attribute_type::FLOATS,
            attribute_type::UNDEFINED if !a.strings.is_empty() => attribute_type::STRINGS,
            attribute_type::UNDEFINED => attribute_type::INTS,
            kind => kind,
        };
        Ok(Some(match kind {
            attribute_type::FLOAT => Attribute::Float(a.f.unwrap_or(0.0)),
            attribute_type::INT => Attribute::Int(a.i.unwrap_or(0)),
            attribute_type::STRING => {
                Attribute::Text(a.s.as_ref().map(text).transpose()?.unwrap_or_default())
            }
            attribute_type::TENSOR => match &a.t {
                Some(t) => Attribute::Tensor(self.tensor(t)?),
                None => return Err(OpError::new(format!("attribute `{}` has no tensor", a.name)).into()),
            },
            attribute_type::GRAPH => match &a.g {
                Some(g) => Attribute::Graph(self.graph(g, scope, defined, depth + 1).map_err(Box::new)?),
                None => return Err(OpError::new(format!("attribute `{}` has no graph", a.name)).into()),
            },
            attribute_type::FLOATS => Attribute::Floats(a.floats.clone()),
            attribute_type::INTS => Attribute::Ints(a.ints.clone()),
            attribute_type::STRINGS => {
                Attribute::Texts(a.strings.iter().map(text).collect::<Result<_, _>>()?)
            }
            other => {
                return Err(
                    OpError::new(format!("attribute `{}` of kind {other} is not supported", a.name)).into()
                );
            }
        }))
    }

    /// Puts the body of a function of the model in place of a call.
    fn inline(
        &mut self,
        function: &proto::FunctionProto,
        call: Node,
        defined: &mut Defined<'_>,
        out: &mut Vec<Node>,
        depth: usize,
    ) -> Result<(), OnnxError> {
        let invalid = |what: &str| {
            OnnxError::Invalid(format!("node `{}` calls the function `{}`: {what}", call.name, function.name))
        };
        if depth > MAX_DEPTH {
            return Err(invalid(&format!("functions nested more than {MAX_DEPTH} deep")));
        }
        if call.inputs.len() > function.input.len() || call.outputs.len() > function.output.len() {
            return Err(invalid("more inputs or outputs than it has"));
        }
        let parts = function.input.len() + function.output.len();
        self.tally.parts(parts + function.opset_import.len() + function.attribute_proto.len())?;
        let mut formal = BTreeMap::new();
        let actual = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_default();
        for (i, name) in function.input.iter().enumerate() {
            formal.insert(name.clone(), actual(&call.inputs, i));
        }
        for (i, name) in function.output.iter().enumerate() {
            if let Some(input) = formal.get(name) {
                return Err(invalid(&format!("`{name}` is both input and output (`{input}`)")));
            }
            if !actual(&call.outputs, i).is_empty() {
                formal.insert(name.clone(), actual(&call.outputs, i));
            }
        }
        let own = opsets(&function.opset_import)?;
        let plain = Scope { opsets: &own, rename: None, attributes: None };
        let mut attributes = call.attributes.clone();
        for a in &function.attribute_proto {
            if !attributes.contains_key(&a.name)
                && let Some(value) =
                    self.attribute(a, &plain, &Defined::default(), depth).map_err(|e| match e {
                        AttributeError::Op(e) => invalid(&e.to_string()),
                        AttributeError::Graph(e) => *e,
                    })?
            {
                attributes.insert(a.name.clone(), value);
            }
        }
        let scope =
            Scope { opsets: &own, rename: Some((&call.name, &formal)), attributes: Some(&attributes) };
        for node in &function.node {
            self.node(node, &scope, defined, out, depth)?;
        }
        for output in call.outputs.iter().filter(|o| !o.is_empty()) {
            if !defined.contains(output) {
                return Err(invalid(&format!("its body does not produce `{output}`")));
            }
        }
        Ok(())
    }
}

enum AttributeError {
    Op(OpError),
    Graph(Box<OnnxError>),
}

impl From<OpError> for AttributeError {
    fn from(e: OpError) -> Self {
        Self::Op(e)
    }
}

impl From<Box<OnnxError>> for AttributeError {
    fn from(e: Box<OnnxError>) -> Self {
        Self::Graph(e)
    }
}

fn declaration(info: &proto::ValueInfoProto, scope: &Scope<'_>) -> Result<Declaration, OnnxError> {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let dim = |d: &proto::DimensionProto| match &d.value {
        // Some exporters write −1 for a dimension that is open.
        Some(DimensionValue::Length(-1)) => Ok(Dim::Open),
        Some(DimensionValue::Length(n)) => usize::try_from(*n).map(Dim::Fixed).map_err(|_| {
            OnnxError::Invalid(format!("`{}` is declared with the negative dimension {n}", info.name))
        }),
        Some(DimensionValue::Name(n)) => Ok(Dim::Named(n.clone())),
        None => Ok(Dim::Open),
    };
    Ok(Declaration {
        name: scope.name(&info.name),
        element: tensor.and_then(|t| ElementType::from_code(i64::from(t.elem_type))),
        shape: tensor
            .and_then(|t| t.shape.as_ref())
            .map(|s| s.dim.iter().map(dim).collect::<Result<_, _>>())
            .transpose()?,
    })
}
