//! Cast and CastLike between floating-point types: the engine computes in one type throughout.

use std::rc::Rc;

use super::symbol::{Symbol, Tensor};
use super::walk::Site;
use crate::element::ElementType;
use crate::error::OpError;
use crate::eval;

type Outputs = Result<Vec<Symbol>, OpError>;

pub(super) fn cast(site: &mut Site<'_, '_>) -> Outputs {
    let code = site.node.int("to")?.ok_or_else(|| OpError::new("attribute `to` is missing"))?;
    let to = ElementType::from_code(code)
        .ok_or_else(|| OpError::new(format!("casting to element type {code} is not supported")))?;
    let x = site.input(0)?;
    Ok(vec![convert(site, x, to)?])
}

pub(super) fn cast_like(site: &mut Site<'_, '_>) -> Outputs {
    let to = site.input(1)?.element();
    let x = site.input(0)?;
    Ok(vec![convert(site, x, to)?])
}

/// In a conformance case the value is rounded; in an import the engine's own precision is kept, and truth values that
/// the engine holds (as 1 and 0) become numbers. Numbers that are cut to integers have no derivative to follow.
pub(super) fn convert(site: &mut Site<'_, '_>, x: Symbol, to: ElementType) -> Result<Symbol, OpError> {
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
        Symbol::Engine(t) => Err(OpError::new(format!(
            "a value that depends on parameters is cast from {} to {to}",
            t.element
        ))),
        other => Err(OpError::new(format!("a cast of {} to {to} is not supported here", other.element()))),
    }
}
