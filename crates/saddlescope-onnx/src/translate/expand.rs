//! Expand and Tile.

use super::concat::join;
use super::symbol::{PROBES, Symbol};
use super::walk::Site;
use crate::error::OpError;
use crate::eval;

type Outputs = Result<Vec<Symbol>, OpError>;

pub(super) fn expand(site: &mut Site<'_>) -> Outputs {
    let (x, target) = (site.input(0)?, site.input(1)?);
    let [a, b] = site.b().constant(&target, "the target shape")?;
    let own = x.shapes(site.b());
    let common = |probe: usize, target: &crate::Value| {
        let target = eval::sizes(target)?;
        eval::common_shape([own[probe].as_slice(), target.as_slice()])
    };
    let shapes = [common(0, &a)?, common(1, &b)?];
    let t = site.b().plain(&x)?;
    Ok(vec![Symbol::Engine(site.b().expanded(&t, &shapes)?)])
}

/// Repeating a dimension of length 1 is an expansion; anything else is joined copies.
pub(super) fn tile(site: &mut Site<'_>) -> Outputs {
    let (x, repeats) = (site.input(0)?, site.input(1)?);
    let [a, b] = site.b().constant(&repeats, "the repeats")?;
    let repeats = [eval::sizes(&a)?, eval::sizes(&b)?];
    let rank = x.rank(site.b());
    if repeats[0].len() != rank || repeats[1].len() != rank {
        return Err(OpError::new(format!("{} repeats for {rank} dimensions", repeats[0].len())));
    }
    let mut out = x;
    for axis in 0..rank {
        let (m, n) = (repeats[0][axis], repeats[1][axis]);
        if m == 1 && n == 1 {
            continue;
        }
        let shapes = out.shapes(site.b());
        if shapes[0][axis] == 1 && shapes[1][axis] == 1 {
            let mut target = shapes;
            target[0][axis] = m;
            target[1][axis] = n;
            let t = site.b().plain(&out)?;
            out = Symbol::Engine(site.b().expanded(&t, &target)?);
        } else if axis == 0 && [m, n] == PROBES && shapes[0] == shapes[1] {
            // Once for each sample.
            let t = site.with_axis(&out, 0)?;
            let t = site.b().plain(&t)?;
            let target = PROBES.map(|batch| [&[batch][..], &shapes[0]].concat());
            let t = site.b().expanded(&t, &target)?;
            let merged = PROBES.map(|batch| [&[batch * shapes[0][0]][..], &shapes[0][1..]].concat());
            out = Symbol::Engine(site.b().reshaped(&t, &merged)?);
        } else if m == n && m > 0 && m <= 1 << 12 {
            out = join(site, &vec![out; m], i64::try_from(axis)?)?;
        } else {
            return Err(OpError::new(format!("{m} repeats along axis {axis}")));
        }
    }
    Ok(vec![out])
}
