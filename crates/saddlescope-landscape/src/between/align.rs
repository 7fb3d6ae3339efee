//! Weight matching: the hidden units of one network in the order of another's (Ainsworth, Hayase & Srinivasa, *Git Re-Basin: merging
//! models modulo permutation symmetries*, 2023).
//!
//! The order of the units of a group is the assignment that makes the sum of products of both networks' weights largest; the groups
//! take turns until none changes. In a first round each group looks at tensors only whose other units are in place already, so that a
//! permuted copy is recovered exactly.

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

use super::weights::{Weights, clean};
use crate::analysis::WeightsHash;
use crate::risk::{Risk, UnitAxis, UnitGroup};

/// What an alignment has done.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// The weights with their units in the other's order.
    pub weights: Weights,
    /// For every group of units: unit i is the one that was number `order[i]`.
    pub orders: Vec<Vec<usize>>,
    /// Units that have another place than before, of how many.
    pub moved: [usize; 2],
}

/// Rounds after which the search ends in any case.
const MOST_ROUNDS: usize = 100;

/// Adds Σ aᵢ·bⱼ over one axis to the similarities of all pairs of units.
fn similarities(axis: &UnitAxis, units: usize, a: &[f64], b: &[f64], to: &mut [f64]) {
    let length = axis.outer * axis.inner;
    let gather = |values: &[f64]| -> Vec<f64> {
        (0..units).flat_map(|u| axis.indices(units, u)).map(|i| values[i]).collect()
    };
    let (a, b) = (gather(a), gather(b));
    for (i, row) in a.chunks_exact(length.max(1)).enumerate() {
        for (j, other) in b.chunks_exact(length.max(1)).enumerate() {
            to[i * units + j] += crate::numeric::dot(row, other);
        }
    }
}

/// The assignment with the largest sum: unit i of A gets unit `order[i]` of B.
fn assignment(similarities: &[f64], units: usize) -> Vec<usize> {
    // The library works on whole numbers: 2⁵⁰ steps for the largest keep sums of up to 2¹² of them within 63 bits.
    let largest = similarities.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
    let scale = if largest > 0.0 { (1_i64 << 50) as f64 / largest } else { 0.0 };
    let weights =
        Matrix::from_fn(units, units, |(i, j)| (similarities[i * units + j] * scale).round() as i64);
    kuhn_munkres(&weights).1
}

/// For every group the order in which the units of `b` are most like those of `a`: at place i stands unit `order[i]` of `b`.
pub fn matching(a: &Weights, b: &Weights, groups: &[UnitGroup]) -> Vec<Vec<usize>> {
    let mut theta = b.theta.clone();
    let mut orders: Vec<Vec<usize>> = groups.iter().map(|g| (0..g.units).collect()).collect();
    let mut placed = vec![false; groups.len()];
    for round in 0..MOST_ROUNDS {
        let mut changed = false;
        for (g, group) in groups.iter().enumerate() {
            let in_theta: Vec<&UnitAxis> = group.axes.iter().filter(|axis| !axis.buffer).collect();
            // In the first round: tensors only whose other axis is in place.
            let ready = |axis: &&&UnitAxis| {
                groups.iter().enumerate().all(|(k, other)| {
                    let touches = other.axes.iter().any(|x| x.same_tensor(axis) && (k != g || x != **axis));
                    !touches || (k != g && placed[k])
                })
            };
            let mut used: Vec<&UnitAxis> = in_theta.iter().filter(ready).copied().collect();
            if round > 0 || used.is_empty() {
                used = in_theta;
            }
            let mut similar = vec![0.0; group.units * group.units];
            for axis in used {
                similarities(axis, group.units, &a.theta, &theta, &mut similar);
            }
            let order = assignment(&similar, group.units);
            placed[g] = true;
            if order.iter().enumerate().all(|(i, &j)| i == j) {
                continue;
            }
            let gain: f64 = (order.iter().enumerate())
                .map(|(i, &j)| similar[i * group.units + j] - similar[i * group.units + i])
                .sum();
            // Ties and rounding must not make the groups go round in circles.
            let size: f64 = similar.iter().fold(0.0, |m, s| f64::max(m, s.abs()));
            if gain <= 1e-12 * size * group.units as f64 {
                continue;
            }
            changed = true;
            for axis in group.axes.iter().filter(|axis| !axis.buffer) {
                axis.permute(&mut theta, &order);
            }
            orders[g] = order.iter().map(|&j| orders[g][j]).collect();
        }
        if !changed && round > 0 {
            break;
        }
    }
    orders
}

/// `b` with the units of every group in another order: unit i is the one that was number `orders[group][i]`.
pub fn reordered(
    a: &Weights,
    b: &Weights,
    groups: &[UnitGroup],
    orders: Vec<Vec<usize>>,
    risk: &dyn Risk,
) -> Alignment {
    let (mut theta, mut buffers) = (b.theta.clone(), b.buffers.clone());
    for (group, order) in groups.iter().zip(&orders) {
        for axis in &group.axes {
            axis.permute(if axis.buffer { &mut buffers } else { &mut theta }, order);
        }
    }
    let moved = orders.iter().flat_map(|o| o.iter().enumerate()).filter(|(i, j)| i != *j).count();
    let all = groups.iter().map(|g| g.units).sum();
    let mut hash = WeightsHash::new(risk.layout());
    hash.values(&theta);
    hash.values(&buffers);
    let weights = Weights {
        name: clean(&format!("{}-aligned", b.name)),
        origin: format!("{}, units in the order of {}", b.origin, a.origin),
        theta,
        buffers,
        sha256: hash.finish(),
        position: b.position,
    };
    Alignment { weights, orders, moved: [moved, all] }
}
