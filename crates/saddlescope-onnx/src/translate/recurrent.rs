//! RNN, GRU and LSTM, unrolled over time: the products with the inputs for all steps at once, those with the states step by step.
//!
//! Gates, weights and their order are those of the standard's text. Steps past the end of a sequence (`sequence_lens`) leave the
//! state as it is and put out zeros; with them the backward direction begins at every sequence's own end.

use super::activation::choose;
use super::symbol::Symbol;
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use crate::graph::Attribute;
use crate::value::Value;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Rnn,
    Gru,
    Lstm,
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    fn defaults(self) -> &'static [&'static str] {
        match self {
            Cell::Rnn => &["Tanh"],
            Cell::Gru => &["Sigmoid", "Tanh"],
            Cell::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// An activation with its two numbers.
#[derive(Clone)]
struct Activation {
    name: String,
    alpha: Option<f64>,
    beta: Option<f64>,
}

impl Activation {
    fn of(&self, site: &mut Site<'_>, x: &Symbol) -> Result<Symbol, OpError> {
        let (a, b) = (self.alpha, self.beta);
        // The standard has no defaults for these two.
        let needed = |value: Option<f64>, what: &str| {
            value.ok_or_else(|| OpError::new(format!("activation `{}` without {what}", self.name)))
        };
        match self.name.to_ascii_lowercase().as_str() {
            "relu" => apply(site, x, ops::Relu),
            "tanh" => apply(site, x, ops::Tanh),
            "sigmoid" => apply(site, x, ops::Sigmoid),
            "softsign" => apply(site, x, ops::Softsign),
            "softplus" => apply(site, x, ops::Softplus),
            "leakyrelu" => apply(site, x, ops::LeakyRelu::new(a.unwrap_or(0.01))),
            "thresholdedrelu" => apply(site, x, ops::ThresholdedRelu::new(a.unwrap_or(1.0))),
            "elu" => apply(site, x, ops::Elu::new(a.unwrap_or(1.0))),
            "hardsigmoid" => apply(site, x, ops::HardSigmoid::new(a.unwrap_or(0.2), b.unwrap_or(0.5))),
            "affine" => {
                let (a, b) = (needed(a, "alpha")?, needed(b, "beta")?);
                let scaled = site.scaled(x, a)?;
                site.shifted(&scaled, b)
            }
            "scaledtanh" => {
                let (a, b) = (needed(a, "alpha")?, needed(b, "beta")?);
                let inner = site.scaled(x, b)?;
                let tanh = apply(site, &inner, ops::Tanh)?;
                site.scaled(&tanh, a)
            }
            other => Err(OpError::new(format!("activation `{other}` is not supported"))),
        }
    }
}

/// What one direction needs.
struct Direction {
    backward: bool,
    /// Products of the inputs with W plus the biases, step by step: `[batch, gates · hidden]`.
    inputs: Vec<Symbol>,
    /// R `[gates · hidden, hidden]`.
    recurrent: Symbol,
    /// Where GRU's reset gate acts on the state before the product with R: the part of R for both gates and that for the hidden
    /// gate, cut out once for all steps.
    reset_weights: Option<(Symbol, Symbol)>,
    /// The bias of GRU's hidden gate that its reset gate multiplies.
    inner_bias: Option<Symbol>,
    /// Peepholes `[3 · hidden]`.
    peepholes: Option<Symbol>,
    activations: Vec<Activation>,
    state: Option<Symbol>,
    cell: Option<Symbol>,
}

struct Shape {
    cell: Cell,
    hidden: usize,
    steps: usize,
    clip: Option<f64>,
    reset_after: bool,
    input_forget: bool,
    /// Which samples still run at every step, as truth `[batch, 1]`.
    running: Vec<Option<Symbol>>,
}

pub(super) fn rnn(site: &mut Site<'_>) -> Outputs {
    recurrent(site, Cell::Rnn)
}

pub(super) fn gru(site: &mut Site<'_>) -> Outputs {
    recurrent(site, Cell::Gru)
}

pub(super) fn lstm(site: &mut Site<'_>) -> Outputs {
    recurrent(site, Cell::Lstm)
}

fn activations(site: &Site<'_>, cell: Cell, directions: usize) -> Result<Vec<Activation>, OpError> {
    let names: Vec<String> = match site.node.attributes.get("activations") {
        Some(Attribute::Texts(list)) => list.clone(),
        _ => (0..directions).flat_map(|_| cell.defaults().iter().map(|s| s.to_string())).collect(),
    };
    let numbers = |name: &str| match site.node.attributes.get(name) {
        Some(Attribute::Floats(list)) => list.iter().map(|&x| f64::from(x)).collect(),
        _ => vec![],
    };
    let (alphas, betas) = (numbers("activation_alpha"), numbers("activation_beta"));
    let expected = directions * cell.defaults().len();
    if names.len() != expected {
        return Err(OpError::new(format!("{} activations, expected {expected}", names.len())));
    }
    // The lists have numbers for those activations that take any, in order.
    let takes = |name: &str| match name.to_ascii_lowercase().as_str() {
        "leakyrelu" | "thresholdedrelu" | "elu" => (true, false),
        "hardsigmoid" | "affine" | "scaledtanh" => (true, true),
        _ => (false, false),
    };
    let (mut alphas, mut betas) = (alphas.into_iter(), betas.into_iter());
    let all = names.into_iter().map(|name| {
        let (a, b) = takes(&name);
        let alpha = if a { alphas.next() } else { None };
        let beta = if b { betas.next() } else { None };
        Activation { name, alpha, beta }
    });
    Ok(all.collect())
}

fn recurrent(site: &mut Site<'_>, cell: Cell) -> Outputs {
    let (x, w, r) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let layout = site.node.flag("layout", false)?;
    let (time, batch) = if layout { (1, 0) } else { (0, 1) };
    let ([xs, _], [ws, _]) = (x.shapes(site.b()), w.shapes(site.b()));
    let ([rs, _], gates) = (r.shapes(site.b()), cell.gates());
    if xs.len() != 3
        || ws.len() != 3
        || rs.len() != 3
        || ws[2] != xs[2]
        || rs[1] != ws[1]
        || ws[1] != gates * rs[2]
        || rs[0] != ws[0]
    {
        return Err(OpError::new(format!(
            "inputs of shapes {xs:?}, {ws:?} and {rs:?} do not fit each other"
        )));
    }
    site.refuse_batch_axis(&x, time, "runs over the samples")?;
    let (directions, hidden, steps) = (ws[0], rs[2], xs[time]);
    let names = match site.node.text_or("direction", "forward")? {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => return Err(OpError::new(format!("direction `{other}` is unknown"))),
    };
    if names.len() != directions {
        return Err(OpError::new(format!("weights for {directions} directions, {} are named", names.len())));
    }
    if steps > 1 << 12 {
        return Err(OpError::new(format!("{steps} steps; at most 4,096 are unrolled")));
    }
    let all = activations(site, cell, directions)?;
    site.b().name_kind(&w, ParameterKind::LinearWeight);
    site.b().name_kind(&r, ParameterKind::LinearWeight);
    let bias = site.optional(3);
    if let Some(bias) = &bias {
        site.b().name_kind(bias, ParameterKind::Bias);
    }
    let shape = Shape {
        cell,
        hidden,
        steps,
        clip: site.node.float("clip")?,
        reset_after: site.node.flag("linear_before_reset", false)?,
        input_forget: site.node.flag("input_forget", false)?,
        running: running(site, steps)?,
    };
    // The samples first, so that every step is a matrix.
    let input = Symbol::Engine(site.b().tensor(&x, &[batch, time, 2])?);
    let mut out = Vec::with_capacity(directions);
    for (d, &backward) in names.iter().enumerate() {
        let w = site.entry(&w, 0, d)?;
        let recurrent = site.entry(&r, 0, d)?;
        let (bias, inner_bias) = match &bias {
            None => (None, None),
            Some(b) => {
                let b = site.entry(b, 0, d)?;
                let (of_w, of_r) = (
                    site.piece(&b, 0, 0, gates * hidden)?,
                    site.piece(&b, 0, gates * hidden, gates * hidden)?,
                );
                if cell == Cell::Gru && shape.reset_after {
                    let two = 2 * hidden;
                    let outer = site.piece(&of_r, 0, 0, two)?;
                    let (first, last) = (site.piece(&of_w, 0, 0, two)?, site.piece(&of_w, 0, two, hidden)?);
                    let first = site.sum(&first, &outer)?;
                    let joined = super::concat::join(site, &[first, last], 0)?;
                    (Some(joined), Some(site.piece(&of_r, 0, two, hidden)?))
                } else {
                    (Some(site.sum(&of_w, &of_r)?), None)
                }
            }
        };
        let projected = linear(site, &input, &w, bias.as_ref())?;
        let inputs = (0..steps).map(|t| site.entry(&projected, time, t)).collect::<Result<Vec<_>, _>>()?;
        let initial = |site: &mut Site<'_>, i: usize| -> Result<Option<Symbol>, OpError> {
            match site.optional(i) {
                Some(s) => site.entry(&s, usize::from(layout), d).map(Some),
                None => Ok(None),
            }
        };
        let direction = Direction {
            backward,
            inputs,
            reset_weights: match cell {
                Cell::Gru if !shape.reset_after => Some((
                    site.piece(&recurrent, 0, 0, 2 * hidden)?,
                    site.piece(&recurrent, 0, 2 * hidden, hidden)?,
                )),
                _ => None,
            },
            recurrent,
            inner_bias,
            peepholes: match site.optional(7).filter(|_| cell == Cell::Lstm) {
                Some(p) => Some(site.entry(&p, 0, d)?),
                None => None,
            },
            activations: all[d * cell.defaults().len()..(d + 1) * cell.defaults().len()].to_vec(),
            state: initial(site, 5)?,
            cell: if cell == Cell::Lstm { initial(site, 6)? } else { None },
        };
        out.push(run(site, &shape, direction)?);
    }
    // All steps along the time axis, then the directions.
    let axis = |wide: usize, narrow: usize| if layout { wide } else { narrow };
    let mut results = Vec::new();
    let sequences = out.iter().map(|o| site.stacked(&o.0, time)).collect::<Result<Vec<_>, _>>()?;
    results.push(site.stacked(&sequences, axis(2, 1))?);
    let states: Vec<Symbol> = out.iter().map(|o| o.1.clone()).collect();
    results.push(site.stacked(&states, axis(1, 0))?);
    if cell == Cell::Lstm {
        let cells = out.iter().map(|o| o.2.clone()).collect::<Option<Vec<_>>>();
        let cells = cells.ok_or_else(|| OpError::new("no cell state"))?;
        results.push(site.stacked(&cells, axis(1, 0))?);
    }
    Ok(results)
}

/// x Wᵀ + b on the last axis, the order of axes kept.
fn linear(site: &mut Site<'_>, x: &Symbol, w: &Symbol, b: Option<&Symbol>) -> Result<Symbol, OpError> {
    let t = site.b().any(x)?;
    let w = site.b().tensor(w, &[0, 1])?;
    let bias = b.map(|b| site.b().plain(b)).transpose()?;
    let inputs: Vec<_> = [&t, &w].into_iter().chain(&bias).collect();
    Ok(Symbol::Engine(site.b().op(ops::Linear, &inputs, t.order.clone())?))
}

/// For every step which samples still run, where lengths are given.
fn running(site: &mut Site<'_>, steps: usize) -> Result<Vec<Option<Symbol>>, OpError> {
    let Some(lengths) = site.optional(4) else { return Ok(vec![None; steps]) };
    let (Symbol::Known(known) | Symbol::Data(known)) = &lengths else {
        return Err(OpError::new("sequence lengths that depend on parameters"));
    };
    let name = known.name.clone();
    let full = known.fixed().is_some_and(|v| {
        v.to_i64s().is_ok_and(|l| l.iter().all(|&n| usize::try_from(n).is_ok_and(|n| n >= steps)))
    });
    if full && matches!(lengths, Symbol::Known(_)) {
        return Ok(vec![None; steps]);
    }
    let mut all = Vec::with_capacity(steps);
    for t in 0..steps {
        let step = format!("{} (step {t})", site.node.outputs.first().map_or("", String::as_str));
        let number = Value::integers(lengths.element(), vec![], vec![i128::try_from(t)?])?;
        let number = site.constant_symbol(&step, number);
        let node = site.derived_node("Greater", &format!("runs at step {t}"), &[&name, &step], &[]);
        let output = node.outputs[0].clone();
        let truth = site.derive("Greater", node, &[lengths.clone(), number])?;
        let column = site.derived_node(
            "Unsqueeze",
            &format!("runs at step {t}, as a column"),
            &[&output],
            &[("axes", Attribute::Ints(vec![1]))],
        );
        all.push(Some(site.derive("Unsqueeze", column, &[truth])?));
    }
    Ok(all)
}

/// Outputs of all steps, the last state and the last cell state.
type Run = (Vec<Symbol>, Symbol, Option<Symbol>);

fn run(site: &mut Site<'_>, shape: &Shape, direction: Direction) -> Result<Run, OpError> {
    let mut outputs: Vec<Option<Symbol>> = vec![None; shape.steps];
    let (mut h, mut c) = (direction.state.clone(), direction.cell.clone());
    let order: Vec<usize> =
        if direction.backward { (0..shape.steps).rev().collect() } else { (0..shape.steps).collect() };
    for t in order {
        let (mut new_h, mut new_c) = step(site, shape, &direction, t, h.as_ref(), c.as_ref())?;
        let mut put_out = new_h.clone();
        if let Some(runs) = &shape.running[t] {
            let zero = site.number(0.0, &new_h);
            put_out = choose(site, runs, &new_h, &zero)?;
            new_h = match &h {
                Some(old) => choose(site, runs, &new_h, old)?,
                None => put_out.clone(),
            };
            if let Some(new) = new_c {
                let old = c.clone().unwrap_or_else(|| zero.clone());
                new_c = Some(choose(site, runs, &new, &old)?);
            }
        }
        outputs[t] = Some(put_out);
        h = Some(new_h);
        c = new_c;
    }
    let outputs = outputs.into_iter().collect::<Option<Vec<_>>>();
    match (outputs, h) {
        (Some(outputs), Some(h)) if !outputs.is_empty() => Ok((outputs, h, c)),
        _ => Err(OpError::new("no steps")),
    }
}

/// The pre-activations cut to the range that `clip` allows.
fn clipped(site: &mut Site<'_>, shape: &Shape, x: Symbol) -> Result<Symbol, OpError> {
    match shape.clip {
        Some(limit) => apply(site, &x, ops::Clip::new(-limit, limit)),
        None => Ok(x),
    }
}

fn step(
    site: &mut Site<'_>,
    shape: &Shape,
    d: &Direction,
    t: usize,
    h: Option<&Symbol>,
    c: Option<&Symbol>,
) -> Result<(Symbol, Option<Symbol>), OpError> {
    let n = shape.hidden;
    let input = &d.inputs[t];
    match shape.cell {
        Cell::Rnn => {
            let z = with_state(site, input, h, &d.recurrent)?;
            let z = clipped(site, shape, z)?;
            Ok((d.activations[0].of(site, &z)?, None))
        }
        Cell::Gru => {
            let two = 2 * n;
            let (mut gates, hidden_input) = (site.piece(input, 1, 0, two)?, site.piece(input, 1, two, n)?);
            let split = |site: &mut Site<'_>, gates: Symbol| {
                let gates = clipped(site, shape, gates)?;
                let gates = d.activations[0].of(site, &gates)?;
                Ok::<_, OpError>((site.piece(&gates, 1, 0, n)?, site.piece(&gates, 1, n, n)?))
            };
            let (update, inner) = match &d.reset_weights {
                None => {
                    // One product with all of R; the reset gate takes its part of what comes out.
                    let mut product = d.inner_bias.clone();
                    if let Some(h) = h {
                        let all = linear(site, h, &d.recurrent, None)?;
                        let of_gates = site.piece(&all, 1, 0, two)?;
                        gates = site.sum(&gates, &of_gates)?;
                        let inner = site.piece(&all, 1, two, n)?;
                        product = Some(match &d.inner_bias {
                            Some(bias) => site.sum(&inner, bias)?,
                            None => inner,
                        });
                    }
                    let (update, reset) = split(site, gates)?;
                    (update, product.map(|p| site.times(&reset, &p)).transpose()?)
                }
                Some((of_gates, of_hidden)) => {
                    let gates = with_state(site, &gates, h, of_gates)?;
                    let (update, reset) = split(site, gates)?;
                    let inner = match h {
                        Some(h) => {
                            let kept = site.times(&reset, h)?;
                            Some(linear(site, &kept, of_hidden, None)?)
                        }
                        None => None,
                    };
                    (update, inner)
                }
            };
            let candidate = match inner {
                Some(inner) => site.sum(&hidden_input, &inner)?,
                None => hidden_input,
            };
            let candidate = clipped(site, shape, candidate)?;
            let candidate = d.activations[1].of(site, &candidate)?;
            // (1 − z) h̃ + z h = h̃ + z (h − h̃).
            let rest = match h {
                Some(h) => site.difference(h, &candidate)?,
                None => apply(site, &candidate, ops::Neg)?,
            };
            let moved = site.times(&update, &rest)?;
            Ok((site.sum(&candidate, &moved)?, None))
        }
        Cell::Lstm => {
            // Gates in the order input, output, forget, cell.
            let z = with_state(site, input, h, &d.recurrent)?;
            let gate = |site: &mut Site<'_>, k: usize| site.piece(&z, 1, k * n, n);
            let peep = |site: &mut Site<'_>, z: Symbol, k: usize, c: Option<&Symbol>| match (&d.peepholes, c)
            {
                (Some(p), Some(c)) => {
                    let p = site.piece(p, 0, k * n, n)?;
                    let seen = site.times(c, &p)?;
                    site.sum(&z, &seen)
                }
                _ => Ok(z),
            };
            let (zi, zo, zf, zc) = (gate(site, 0)?, gate(site, 1)?, gate(site, 2)?, gate(site, 3)?);
            let zi = peep(site, zi, 0, c)?;
            let zi = clipped(site, shape, zi)?;
            let i = d.activations[0].of(site, &zi)?;
            let zc = clipped(site, shape, zc)?;
            let candidate = d.activations[1].of(site, &zc)?;
            let mut new_c = site.times(&i, &candidate)?;
            if let Some(c) = c {
                let f = if shape.input_forget {
                    let negative = apply(site, &i, ops::Neg)?;
                    site.shifted(&negative, 1.0)?
                } else {
                    let zf = peep(site, zf, 2, Some(c))?;
                    let zf = clipped(site, shape, zf)?;
                    d.activations[0].of(site, &zf)?
                };
                let kept = site.times(&f, c)?;
                new_c = site.sum(&kept, &new_c)?;
            }
            let zo = peep(site, zo, 1, Some(&new_c))?;
            let zo = clipped(site, shape, zo)?;
            let o = d.activations[0].of(site, &zo)?;
            let seen = d.activations[2].of(site, &new_c)?;
            Ok((site.times(&o, &seen)?, Some(new_c)))
        }
    }
}

/// input + h Rᵀ.
fn with_state(
    site: &mut Site<'_>,
    input: &Symbol,
    h: Option<&Symbol>,
    r: &Symbol,
) -> Result<Symbol, OpError> {
    match h {
        Some(h) => {
            let product = linear(site, h, r, None)?;
            site.sum(input, &product)
        }
        None => Ok(input.clone()),
    }
}
