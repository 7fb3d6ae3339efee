//! Cast and CastLike: the engine computes in one floating-point type throughout; integers and truth values are numbers in it.

use std::rc::Rc;

use super::symbol::{Symbol, Tensor};
use super::walk::Site;
use crate::element::ElementType;
use crate::error::OpError;
use crate::eval;

type Outputs = Result<Vec<Symbol>, OpError>;

pub(super) fn cast(site: &mut Site<'_>) -> Outputs {
    let code = site.node.int("to")?.ok_or_else(|| OpError::new("attribute `to` is missing"))?;
    let to = ElementType::from_code(code)
        .ok_or_else(|| OpError::new(format!("casting to element type {code} is not supported")))?;
    let x = site.input(0)?;
    Ok(vec![convert(site, x, to)?])
}

pub(super) fn cast_like(site: &mut Site<'_>) -> Outputs {
    let to = site.input(1)?.element();
    let x = site.input(0)?;
    Ok(vec![convert(site, x, to)?])
}

/// The same engine value, counted as another type.
fn retyped(x: Symbol, to: ElementType) -> Symbol {
    match x {
        Symbol::Engine(t) => Symbol::Engine(Tensor { element: to, ..t }),
        other => other,
    }
}

/// In a conformance case the value is rounded; in an import the engine's own precision is kept, and truth values that
/// the engine holds (as 1 and 0) become numbers.
pub(super) fn convert(site: &mut Site<'_>, x: Symbol, to: ElementType) -> Result<Symbol, OpError> {
    match x {
        Symbol::Weight { candidate, view, value } => {
            if site.b().single {
                let moved = eval::permuted(&value, &view)?;
                let name = site.node.outputs.first().cloned().unwrap_or_default();
                return Ok(super::Walker::known(&name, eval::convert(&moved, to)?));
            }
            if !to.is_float() {
                return Err(OpError::new(format!("a parameter cast to {to}")));
            }
            let value = Rc::new(eval::convert(&value, to)?);
            Ok(Symbol::Weight { candidate, view, value })
        }
        Symbol::Engine(t) if to.is_float() => Ok(Symbol::Engine(Tensor { element: to, ..t })),
        Symbol::Engine(t) if t.element == to => Ok(Symbol::Engine(t)),
        Symbol::Engine(_) if to == ElementType::Bool => Ok(retyped(site.truth(&x)?, to)),
        // Cut towards zero; piecewise constant, so that no derivative passes.
        Symbol::Engine(ref t) if to.is_integer() => {
            let whole = t.element.is_integer() || t.element == ElementType::Bool;
            Ok(retyped(
                if whole { x } else { super::unary::apply(site, &x, saddlescope_nn::ops::Trunc)? },
                to,
            ))
        }
        // A node by itself, cast to the type of a value that the engine has.
        Symbol::Known(known) if site.b().single => {
            let name = site.node.outputs.first().cloned().unwrap_or_default();
            Ok(super::Walker::known(&name, eval::convert(&known.values[0], to)?))
        }
        other => Err(OpError::new(format!("a cast of {} to {to} is not supported here", other.element()))),
    }
}
