//! Follows the ONNX graph node by node and decides for each whether it is computed at import, by the interpreter from
//! the data, or by the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::builder::Builder;
use super::draft::Candidate;
use super::places::{Places, followed};
use super::symbol::{Known, PROBES, Symbol, identity};
use super::{TRANSLATIONS, Translate};
use crate::element::ElementType;
use crate::error::{OnnxError, OpError};
use crate::eval::{self, Budget, Call};
use crate::graph::{Attribute, Graph, Node};
use crate::interpret::{failed, taken_branch};
use crate::roles::{Role, Roles};
use crate::value::{Data, Value};

/// Most nodes that loops may unroll to.
const MAX_UNROLLED: usize = 1 << 17;

/// The importer at work.
pub(crate) struct Walker {
    pub(crate) builder: Builder,
    pub(crate) symbols: BTreeMap<String, Symbol>,
    /// What the interpreter evaluated, in order: the data program is made of these.
    pub(crate) steps: Vec<Step>,
    /// The batch size that the file declares, if it is fixed.
    pub(crate) declared_batch: Option<usize>,
    /// The output is one loss per sample although the file declares their mean.
    pub(crate) loss_per_sample: bool,
    /// Input of the engine that is 1 for every label that the model's own mean counts.
    pub(crate) counted_labels: Option<String>,
    /// The value that the network ends in.
    output: String,
    /// Values that the wanted output depends on; others are not computed.
    pub(super) needed: BTreeSet<String>,
    /// Lists of tensors by name.
    pub(super) sequences: BTreeMap<String, Vec<Symbol>>,
    /// Nodes that loops may still unroll.
    pub(super) unrollable: usize,
    /// Places of maxima that are counted within a sample.
    pub(super) places: Places,
    /// Which tensors are parameters.
    roles: Roles,
}

/// Something the interpreter evaluated.
pub(crate) enum Step {
    /// A node of the file, or one that a translation made.
    Node(Node),
    /// A shape: its entries are affine functions of the batch size, known at the two probes.
    Shape(Known),
}

/// What a translation works with.
pub(crate) struct Site<'a> {
    pub(crate) node: &'a Node,
    pub(crate) inputs: &'a [Option<Symbol>],
    pub(crate) walker: &'a mut Walker,
}

impl Walker {
    /// For a graph whose initialisers hold so many numbers.
    pub(crate) fn new(graph: &Graph, numbers: usize, wanted: &[String], roles: Roles) -> Self {
        Self {
            builder: Builder::new(Budget::for_import(numbers)),
            symbols: BTreeMap::new(),
            steps: Vec::new(),
            declared_batch: None,
            loss_per_sample: false,
            counted_labels: None,
            output: wanted.first().cloned().unwrap_or_default(),
            needed: needed(graph, wanted),
            sequences: BTreeMap::new(),
            unrollable: MAX_UNROLLED,
            places: Places::new(),
            roles,
        }
    }

    /// A walker for one node by itself.
    pub(crate) fn single() -> Self {
        Self {
            builder: Builder::single(),
            symbols: BTreeMap::new(),
            steps: Vec::new(),
            declared_batch: None,
            loss_per_sample: false,
            counted_labels: None,
            output: String::new(),
            needed: BTreeSet::new(),
            sequences: BTreeMap::new(),
            unrollable: MAX_UNROLLED,
            places: Places::new(),
            roles: Roles::none(),
        }
    }

    pub(crate) fn known(name: &str, value: Value) -> Symbol {
        let value = Rc::new(value);
        Symbol::Known(Known { name: name.to_string(), values: [value.clone(), value] })
    }

    /// Follows all needed nodes of a graph.
    pub(crate) fn graph(&mut self, graph: &Graph) -> Result<(), OnnxError> {
        for node in &graph.nodes {
            if node.outputs.iter().any(|o| self.needed.contains(o)) {
                self.visit(node)?;
            }
        }
        Ok(())
    }

    pub(super) fn visit(&mut self, node: &Node) -> Result<(), OnnxError> {
        self.builder.node = node.name.clone();
        if self.sequence(node)? {
            return Ok(());
        }
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            inputs.push(match self.symbols.get(name) {
                Some(symbol) => Some(symbol.clone()),
                None if name.is_empty() => None,
                None => return Err(OnnxError::Invalid(format!("no value for `{name}`"))),
            });
        }
        match node.op_type.as_str() {
            "If" if node.domain.is_empty() => return self.branch(node, &inputs),
            "Loop" if node.domain.is_empty() => return self.unrolled_loop(node, &inputs),
            "Scan" if node.domain.is_empty() => return self.unrolled_scan(node, &inputs),
            _ => {}
        }
        let places = followed(node, &inputs, &self.places).map_err(|e| failed(node, e))?;
        if let Some(symbol) = self.stored_weight(node, &inputs).map_err(|e| failed(node, e))? {
            self.symbols.insert(node.outputs[0].clone(), symbol);
            return Ok(());
        }
        let outputs = match self.interpret(node, &inputs).map_err(|e| failed(node, e))? {
            Some(outputs) => {
                let step = match &outputs[..] {
                    _ if node.op_type == "CastLike" => None,
                    [Symbol::Known(k)] if matches!(node.op_type.as_str(), "Shape" | "Size") => {
                        Some(Step::Shape(k.clone()))
                    }
                    // What does not depend on the data is known already.
                    known if known.iter().all(|s| matches!(s, Symbol::Known(k) if k.fixed().is_some())) => {
                        None
                    }
                    _ => Some(Step::Node(node.clone())),
                };
                self.steps.extend(step);
                outputs
            }
            None => self.translate(node, &inputs)?,
        };
        if node.outputs.iter().skip(outputs.len()).any(|o| self.needed.contains(o)) {
            let text = format!("output {} is not supported", outputs.len());
            return Err(failed(node, OpError::new(text)));
        }
        if let (Some(n), [Symbol::Engine(t), ..]) = (places, &outputs[..]) {
            self.places.insert(t.id, n);
        }
        for (name, symbol) in node.outputs.iter().zip(outputs) {
            if !name.is_empty() {
                self.symbols.insert(name.clone(), symbol);
            }
        }
        Ok(())
    }

    /// A weight that the file keeps in a `Constant` node, or as integers with a scale.
    fn stored_weight(&mut self, node: &Node, inputs: &[Option<Symbol>]) -> Result<Option<Symbol>, OpError> {
        if !node.domain.is_empty() || node.outputs.first().is_none_or(|o| o.is_empty()) {
            return Ok(None);
        }
        match node.op_type.as_str() {
            "Constant" => {
                let value = match (node.tensor("value").ok().flatten(), node.attributes.get("value_floats")) {
                    (Some(value), _) => Some(value.clone()),
                    (None, Some(Attribute::Floats(list))) => {
                        let numbers = list.iter().map(|&x| f64::from(x)).collect();
                        Some(Value::floats(ElementType::F32, vec![list.len()], numbers)?)
                    }
                    _ => None,
                };
                let weight = value.filter(|v| self.roles.of_constant(&node.outputs[0], v) == Role::Parameter);
                Ok(weight.map(|v| self.candidate(&node.outputs[0], Rc::new(v))))
            }
            "DequantizeLinear" => {
                let Some(Some(Symbol::Known(x))) = inputs.first() else { return Ok(None) };
                let (name, Some(stored)) = (x.name.clone(), x.fixed().cloned()) else { return Ok(None) };
                let mut values = vec![stored];
                for input in &inputs[1..] {
                    match input {
                        Some(symbol) => {
                            values.push(self.builder.fixed_constant(symbol, "a scale or zero point")?)
                        }
                        None => break,
                    }
                }
                let inputs: Vec<Option<&Value>> = values.iter().map(|v| Some(v.as_ref())).collect();
                let call = Call { node, inputs: &inputs, budget: &self.builder.budget };
                let value = eval::dequantized(&call)?;
                if self.roles.of(&name, &value) != Role::Parameter {
                    return Ok(None);
                }
                self.note(
                    "weights stored as integers with a scale are analysed as the numbers they stand for, without their rounding",
                );
                Ok(Some(self.candidate(&name, Rc::new(value))))
            }
            _ => Ok(None),
        }
    }

    /// Gives a symbol another name; what the interpreter computes is then found under both.
    pub(super) fn alias(&mut self, name: &str, symbol: Symbol) {
        if let Symbol::Known(known) | Symbol::Data(known) = &symbol
            && known.name != name
            && (matches!(symbol, Symbol::Data(_)) || known.fixed().is_none())
        {
            self.steps.push(Step::Node(Node {
                name: name.into(),
                op_type: "Identity".into(),
                domain: String::new(),
                opset: 13,
                inputs: vec![known.name.clone()],
                outputs: vec![name.into()],
                attributes: BTreeMap::new(),
            }));
        }
        self.symbols.insert(name.into(), symbol);
    }

    /// Fails if one of these holds places that are counted within a sample.
    pub(crate) fn refuse_places(&self, symbols: &[Symbol]) -> Result<(), OpError> {
        super::places::refuse(symbols, &self.places)
    }

    /// Adds a note for the user, once.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.builder.notes.iter().any(|n| n == text) {
            self.builder.notes.push(text.into());
        }
    }

    /// Notes that shapes written for a fixed batch size were freed.
    pub(crate) fn note_fixed_batch(&mut self, n: usize) {
        self.note(&format!(
            "the exporter fixed the batch size to {n} in the shapes of the graph; they were made free again"
        ));
    }

    /// Puts a node into the engine.
    pub(crate) fn translate(
        &mut self,
        node: &Node,
        inputs: &[Option<Symbol>],
    ) -> Result<Vec<Symbol>, OnnxError> {
        let translate = find(node).ok_or_else(|| unsupported(node))?;
        translate(&mut Site { node, inputs, walker: self }).map_err(|e| failed(node, e))
    }

    /// Registers a float tensor that becomes a parameter if the engine uses it.
    pub(crate) fn candidate(&mut self, name: &str, value: Rc<Value>) -> Symbol {
        let candidates = &mut self.builder.draft.candidates;
        let (shape, rank) = (value.shape().to_vec(), value.rank());
        candidates.push(Candidate {
            name: name.into(),
            shape,
            value: value.clone(),
            kind: None,
            realized: None,
        });
        Symbol::Weight { candidate: candidates.len() - 1, view: identity(rank), value }
    }

    fn branch(&mut self, node: &Node, inputs: &[Option<Symbol>]) -> Result<(), OnnxError> {
        let condition = inputs.first().and_then(Option::as_ref);
        let chosen = condition
            .ok_or_else(|| OpError::new("no condition"))
            .and_then(|c| match c {
                Symbol::Data(_) => Err(OpError::new(
                    "the condition depends on the data; it must be constant. Where it follows from an input that is the same for all \
                     samples (a sampling rate, a flag), fix that input with --fix-input NAME=VALUE",
                )),
                c => self.builder.fixed_constant(c, "the condition"),
            })
            .and_then(|c| taken_branch(node, &c))
            .map_err(|e| failed(node, e))?;
        let wanted: Vec<String> = chosen.outputs.iter().map(|o| o.name.clone()).collect();
        self.needed.extend(needed(chosen, &wanted));
        for (name, value) in &chosen.initializers {
            self.symbols.insert(name.clone(), Self::known(name, value.clone()));
        }
        self.graph(chosen)?;
        for (outer, inner) in node.outputs.iter().zip(&chosen.outputs) {
            let symbol = self.symbols.get(&inner.name).cloned();
            let symbol =
                symbol.ok_or_else(|| OnnxError::Invalid(format!("no value for `{}`", inner.name)))?;
            self.alias(outer, symbol);
        }
        Ok(())
    }

    /// Evaluates a node that depends on nothing that is differentiated; `None` if it does, or if the interpreter does not
    /// know the operator.
    fn interpret(&mut self, node: &Node, inputs: &[Option<Symbol>]) -> Result<Option<Vec<Symbol>>, OpError> {
        if !node.domain.is_empty() {
            return Ok(None);
        }
        let Some(evaluate) = eval::find(&node.op_type) else { return Ok(None) };
        if let ("CastLike", [Some(x @ (Symbol::Known(_) | Symbol::Data(_))), Some(like)]) =
            (node.op_type.as_str(), inputs)
        {
            // Only the type of the second input counts, not what it depends on.
            let to = Attribute::Int(i64::from(like.element().code()));
            let mut cast = node.clone();
            cast.op_type = "Cast".into();
            cast.inputs.truncate(1);
            cast.attributes = BTreeMap::from([("to".into(), to)]);
            let found = self.interpret(&cast, &[Some(x.clone())])?;
            self.steps.push(Step::Node(cast));
            return Ok(found);
        }
        if let ("Shape" | "Size", Some(Some(x))) = (node.op_type.as_str(), inputs.first()) {
            return self.shape_of(node, x).map(Some);
        }
        let mut depends_on_data = false;
        let mut known: Vec<Option<Known>> = Vec::with_capacity(inputs.len());
        for (i, input) in inputs.iter().enumerate() {
            known.push(match input {
                None => None,
                Some(Symbol::Known(k)) => Some(k.clone()),
                Some(Symbol::Data(k)) => {
                    if decides_shape(&node.op_type, i) {
                        return Err(OpError::new(format!(
                            "the shape of the result depends on the contents of `{}`, that is, on the data",
                            k.name
                        )));
                    }
                    depends_on_data = true;
                    Some(k.clone())
                }
                Some(symbol @ Symbol::Weight { .. }) if self.is_normalisation(node, inputs) => {
                    let values = self.builder.constant(symbol, "it normalises the data")?;
                    Some(Known { name: node.inputs[i].clone(), values })
                }
                Some(Symbol::Weight { .. } | Symbol::Engine(_)) => return Ok(None),
            });
        }
        let fixed = known.iter().flatten().all(|k| Rc::ptr_eq(&k.values[0], &k.values[1]));
        let run = |probe: usize| {
            let values: Vec<Option<&Value>> =
                known.iter().map(|k| k.as_ref().map(|k| k.values[probe].as_ref())).collect();
            let budget = &self.builder.budget;
            budget.look_at(&values)?;
            evaluate(&Call { node, inputs: &values, budget })
        };
        let first: Vec<Rc<Value>> = run(0)?.into_iter().map(Rc::new).collect();
        let second = if fixed { first.clone() } else { run(1)?.into_iter().map(Rc::new).collect() };
        let named = node.outputs.iter().zip(first.into_iter().zip(second));
        let symbols = named.map(|(name, (a, b))| {
            let b = if a == b { a.clone() } else { b };
            let known = Known { name: name.clone(), values: [a, b] };
            if depends_on_data { Symbol::Data(known) } else { Symbol::Known(known) }
        });
        Ok(Some(symbols.collect()))
    }

    /// `(x − mean) / std` on the data itself: mean and std are constants, not parameters.
    fn is_normalisation(&self, node: &Node, inputs: &[Option<Symbol>]) -> bool {
        matches!(node.op_type.as_str(), "Sub" | "Div")
            && matches!(inputs, [Some(Symbol::Data(_)), Some(Symbol::Weight { .. })])
            && !self.builder.single
    }

    fn shape_of(&mut self, node: &Node, x: &Symbol) -> Result<Vec<Symbol>, OpError> {
        let [a, b] = x.shapes(&self.builder);
        let value = |shape: &[usize]| -> Result<Value, OpError> {
            if node.op_type == "Size" {
                let n = crate::value::numel(shape).ok_or_else(|| OpError::new("overflow"))?;
                return Value::int64_vector([i64::try_from(n)?]).with_shape(vec![]);
            }
            let range = eval::shape_range(shape.len(), node.int_or("start", 0)?, node.int("end")?)?;
            let dims = shape[range].iter().map(|&d| i64::try_from(d)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::int64_vector(dims))
        };
        let first = Rc::new(value(&a)?);
        let second = if a == b { first.clone() } else { Rc::new(value(&b)?) };
        let name = node.outputs.first().cloned().unwrap_or_default();
        Ok(vec![Symbol::Known(Known { name, values: [first, second] })])
    }
}

/// Whether the contents of this input decide the shape of the result.
fn decides_shape(op_type: &str, input: usize) -> bool {
    match op_type {
        "NonZero" | "Compress" | "Range" | "ConstantOfShape" => true,
        "Reshape" | "Expand" | "Tile" | "TopK" | "Pad" | "OneHot" | "Split" | "Squeeze" | "Unsqueeze" => {
            input == 1
        }
        "Slice" => input > 0,
        name => name.starts_with("Reduce") && input == 1,
    }
}

pub(crate) fn find(node: &Node) -> Option<Translate> {
    let known = match node.op_type.as_str() {
        "FlexAttention" => node.domain == "ai.onnx.preview",
        // onnxruntime's own has the same name, and its inputs in another order.
        "RotaryEmbedding" => node.domain.is_empty(),
        _ => node.domain.is_empty() || node.domain == "com.microsoft",
    };
    if !known {
        return None;
    }
    let found = TRANSLATIONS.binary_search_by(|(name, _)| (*name).cmp(node.op_type.as_str())).ok()?;
    Some(TRANSLATIONS[found].1)
}

/// Operators that draw random numbers.
const RANDOM: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

fn unsupported(node: &Node) -> OnnxError {
    if RANDOM.contains(&node.op_type.as_str()) && node.domain.is_empty() {
        let text = "it draws random numbers, so that the loss is no function of the parameters; export the model with the noise as \
                    an input (one draw for each sample), or without it";
        return failed(node, OpError::new(text));
    }
    if matches!(node.op_type.as_str(), "NonZero" | "Compress" | "Unique") && node.domain.is_empty() {
        let text = "it depends on parameters, and how much it returns depends on their values (as where a mixture of experts takes the \
                    rows of each expert): compute every expert for all rows and multiply by its gate, which is 0 where it was not \
                    chosen; the loss is the same";
        return failed(node, OpError::new(text));
    }
    let mut names: BTreeSet<&str> = TRANSLATIONS.iter().map(|t| t.0).collect();
    names.extend(eval::OPERATORS.iter().map(|o| o.0));
    if eval::find(&node.op_type).is_some() && node.domain.is_empty() {
        let text = "it depends on parameters, and this operator is supported only for what does not";
        return failed(node, OpError::new(text));
    }
    OnnxError::Unsupported {
        node: node.name.clone(),
        operator: node.operator(),
        supported: names.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// Names of all values that the wanted ones depend on; both branches of an `If` count.
pub(super) fn needed(graph: &Graph, wanted: &[String]) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> = wanted.iter().cloned().collect();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|o| needed.contains(o)) {
            needed.extend(node.inputs.iter().filter(|i| !i.is_empty()).cloned());
            for attribute in node.attributes.values() {
                if let Attribute::Graph(inner) = attribute {
                    let outputs: Vec<String> = inner.outputs.iter().map(|o| o.name.clone()).collect();
                    needed.extend(self::needed(inner, &outputs));
                }
            }
        }
    }
    needed
}

impl Site<'_> {
    /// The builder.
    pub(crate) fn b(&mut self) -> &mut Builder {
        &mut self.walker.builder
    }

    /// Whether the node makes the output of the network.
    pub(crate) fn is_final(&self) -> bool {
        self.node.outputs.first().is_some_and(|o| *o == self.walker.output)
    }

    /// A constant of our own, under a name.
    pub(crate) fn constant_symbol(&mut self, name: &str, value: crate::Value) -> Symbol {
        let symbol = Walker::known(name, value);
        self.walker.symbols.insert(name.to_string(), symbol.clone());
        symbol
    }

    /// Fails if this axis of a symbol counts the samples.
    pub(crate) fn refuse_batch_axis(&mut self, x: &Symbol, axis: usize, what: &str) -> Result<(), OpError> {
        let [a, b] = x.shapes(self.b());
        if a.get(axis) == b.get(axis) {
            return Ok(());
        }
        Err(OpError::new(format!(
            "{what} (axis {axis}): samples would not be independent. If the inputs are one sample (a graph whose nodes are the first \
             axis), say so with --one-sample; if another axis counts the samples, with --batch-axis"
        )))
    }

    /// An input that must be there.
    pub(crate) fn input(&self, i: usize) -> Result<Symbol, OpError> {
        self.optional(i).ok_or_else(|| OpError::new(format!("input {i} is missing")))
    }

    /// An input that may be left out.
    pub(crate) fn optional(&self, i: usize) -> Option<Symbol> {
        self.inputs.get(i).cloned().flatten()
    }

    /// A list of integers that older operator sets have as an attribute and newer ones as an input.
    pub(crate) fn ints(&mut self, attribute: &str, input: usize) -> Result<Option<Vec<i64>>, OpError> {
        if let Some(list) = self.node.ints(attribute)? {
            return Ok(Some(list.to_vec()));
        }
        match self.optional(input) {
            Some(symbol) => self.b().fixed_constant(&symbol, attribute)?.to_i64s().map(Some),
            None => Ok(None),
        }
    }

    /// Evaluates an operator of the interpreter on values that do not depend on parameters.
    pub(crate) fn derive(&mut self, op_type: &str, node: Node, inputs: &[Symbol]) -> Result<Symbol, OpError> {
        let inputs: Vec<Option<Symbol>> = inputs.iter().cloned().map(Some).collect();
        let found = self.walker.interpret(&node, &inputs)?;
        let symbol = found.and_then(|mut list| if list.is_empty() { None } else { Some(list.remove(0)) });
        let symbol = symbol
            .ok_or_else(|| OpError::new(format!("{op_type} of something that depends on parameters")))?;
        self.walker.symbols.insert(node.outputs[0].clone(), symbol.clone());
        self.walker.steps.push(Step::Node(node));
        Ok(symbol)
    }

    /// A node for [`Site::derive`]; `inputs` are names.
    pub(crate) fn derived_node(
        &self,
        op_type: &str,
        suffix: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Node {
        let output = format!("{} ({suffix})", self.node.outputs.first().map_or("", String::as_str));
        Node {
            name: output.clone(),
            op_type: op_type.into(),
            domain: String::new(),
            opset: self.node.opset.max(13),
            inputs: inputs.iter().map(|s| s.to_string()).collect(),
            outputs: vec![output],
            attributes: attributes.iter().map(|(k, v)| (k.to_string(), v.clone())).collect(),
        }
    }
}

/// Zeros standing for data at one of the probe batch sizes.
fn dummy(element: ElementType, shape: &[usize], budget: &Budget) -> Result<Value, OpError> {
    let len = budget.take(shape)?;
    Value::new(element, shape.to_vec(), Data::zeros(element, len))
}

/// A data input whose axis `batch_axis` (at most the number of dimensions of a sample) counts the samples, or that is itself the only
/// sample.
pub(crate) fn data_symbol(
    name: &str,
    element: ElementType,
    sample: &[usize],
    batch_axis: Option<usize>,
    budget: &Budget,
) -> Result<Symbol, OpError> {
    let Some(batch_axis) = batch_axis else {
        let value = Rc::new(dummy(element, sample, budget)?);
        return Ok(Symbol::Data(Known { name: name.into(), values: [value.clone(), value] }));
    };
    let (before, after) = sample.split_at(batch_axis.min(sample.len()));
    let at = |batch: usize| dummy(element, &[before, &[batch][..], after].concat(), budget).map(Rc::new);
    Ok(Symbol::Data(Known { name: name.into(), values: [at(PROBES[0])?, at(PROBES[1])?] }))
}
