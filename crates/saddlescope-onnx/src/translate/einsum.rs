//! Einsum: any equation with any number of operands, as sums, permutations and matrix products.

use std::collections::BTreeMap;

use super::reduce::sum_over;
use super::reshape::view;
use super::symbol::{PROBES, Symbol};
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::ops;

/// An operand and the label of each of its axes.
#[derive(Clone)]
struct Term {
    x: Symbol,
    labels: Vec<char>,
}

/// Labels of the axes that an ellipsis stands for, which are counted from the last: private characters.
fn ellipsis_label(from_last: usize) -> Option<char> {
    char::from_u32(0xE000 + u32::try_from(from_last).ok()?)
}

/// The labels of one operand of this rank.
fn labels(text: &str, rank: usize) -> Result<Vec<char>, OpError> {
    let wrong = |why: &str| OpError::new(format!("operand `{text}` of the equation: {why}"));
    let (before, after) = match text.split_once("...") {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    let letters = |part: &str| -> Result<Vec<char>, OpError> {
        if part.chars().all(|c| c.is_ascii_alphabetic()) {
            Ok(part.chars().collect())
        } else {
            Err(wrong("letters are expected"))
        }
    };
    let (mut all, after_letters) = (letters(before)?, letters(after.unwrap_or(""))?);
    if after.is_some() {
        let hidden =
            rank.checked_sub(all.len() + after_letters.len()).ok_or_else(|| wrong("too many letters"))?;
        for from_last in (0..hidden).rev() {
            all.push(ellipsis_label(from_last).ok_or_else(|| wrong("too many axes"))?);
        }
    }
    all.extend(after_letters);
    if all.len() == rank { Ok(all) } else { Err(wrong(&format!("{} labels for {rank} axes", all.len()))) }
}

pub(super) fn einsum(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let equation: String =
        site.node.text_or("equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left.to_string(), Some(right.to_string())),
        None => (equation.clone(), None),
    };
    let parts: Vec<&str> = left.split(',').collect();
    if parts.len() != site.inputs.len() {
        return Err(OpError::new(format!(
            "equation `{equation}` has {} operands, the node {}",
            parts.len(),
            site.inputs.len()
        )));
    }
    let mut terms = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        let x = site.input(i)?;
        let labels = labels(part, x.rank(site.b()))?;
        terms.push(Term { x, labels });
    }
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for label in terms.iter().flat_map(|t| &t.labels) {
        *counts.entry(*label).or_default() += 1;
    }
    let hidden: Vec<char> = {
        let mut hidden: Vec<char> = counts.keys().copied().filter(|c| !c.is_ascii()).collect();
        hidden.sort_by(|a, b| b.cmp(a));
        hidden
    };
    let output: Vec<char> = match right {
        // Without an arrow: the axes of the ellipsis, then the labels that occur once, in order.
        None => hidden
            .iter()
            .copied()
            .chain(counts.iter().filter(|(c, n)| c.is_ascii() && **n == 1).map(|(c, _)| *c))
            .collect(),
        Some(text) => {
            let letters = text.chars().filter(|c| c.is_ascii_alphabetic()).count();
            let rank = letters + if text.contains("...") { hidden.len() } else { 0 };
            labels(&text, rank)?
        }
    };
    for (i, label) in output.iter().enumerate() {
        if !counts.contains_key(label) || output[..i].contains(label) {
            return Err(OpError::new(format!(
                "equation `{equation}`: label `{label}` of the result occurs twice or in no operand"
            )));
        }
    }
    let terms = terms.into_iter().map(|t| diagonal(site, t)).collect::<Result<Vec<_>, _>>()?;
    let mut rest = terms.into_iter();
    let Some(mut total) = rest.next() else { return Err(OpError::new("no operands")) };
    let mut rest: Vec<Term> = rest.collect();
    while !rest.is_empty() {
        let next = rest.remove(0);
        let needed = |c: char| output.contains(&c) || rest.iter().any(|t| t.labels.contains(&c));
        total = contracted(site, total, next, &needed)?;
    }
    let total = summed(site, total, &|c| output.contains(&c))?;
    let perm: Vec<usize> = output.iter().filter_map(|c| total.labels.iter().position(|l| l == c)).collect();
    let out = site.permuted(&total.x, &perm)?;
    // A single operand with nothing to do is still a value of its own.
    Ok(vec![match out {
        Symbol::Engine(_) => out,
        other => super::unary::apply(site, &other, ops::Identity)?,
    }])
}

/// Repeated labels of one operand: the diagonal.
fn diagonal(site: &mut Site<'_>, mut term: Term) -> Result<Term, OpError> {
    while let Some((i, j)) = repeated(&term.labels) {
        let [shape, _] = term.x.shapes(site.b());
        let n = shape[i];
        for axis in [i, j] {
            site.refuse_batch_axis(&term.x, axis, "takes the diagonal of the batch")?;
        }
        if shape[j] != n {
            return Err(OpError::new(format!("axes of lengths {n} and {} have the same label", shape[j])));
        }
        // Both axes moved to the end, merged, and every (n + 1)-th entry taken.
        let others: Vec<usize> = (0..shape.len()).filter(|&a| a != i && a != j).collect();
        let perm: Vec<usize> = others.iter().copied().chain([i, j]).collect();
        let x = site.permuted(&term.x, &perm)?;
        let shapes = x.shapes(site.b()).map(|s| [&s[..s.len() - 2], &[n * n][..]].concat());
        let x = view(site, &x, &shapes)?;
        let indices = (0..n).map(|k| i64::try_from(k * (n + 1))).collect::<Result<Vec<_>, _>>()?;
        let x = site.taken(&x, others.len(), &indices)?;
        let labels = others.iter().map(|&a| term.labels[a]).chain([term.labels[i]]).collect();
        term = Term { x, labels };
    }
    Ok(term)
}

fn repeated(labels: &[char]) -> Option<(usize, usize)> {
    (0..labels.len()).find_map(|j| labels[..j].iter().position(|l| *l == labels[j]).map(|i| (i, j)))
}

/// Sums over the labels that nobody needs.
fn summed(site: &mut Site<'_>, term: Term, needed: &dyn Fn(char) -> bool) -> Result<Term, OpError> {
    let axes: Vec<usize> = (0..term.labels.len()).filter(|&a| !needed(term.labels[a])).collect();
    if axes.is_empty() {
        return Ok(term);
    }
    let x = sum_over(site, &term.x, &axes, false)?;
    Ok(Term { x, labels: term.labels.into_iter().filter(|&c| needed(c)).collect() })
}

/// The product of two operands, summed over what nobody else needs: a batch of matrix products.
fn contracted(site: &mut Site<'_>, a: Term, b: Term, needed: &dyn Fn(char) -> bool) -> Result<Term, OpError> {
    let a = {
        let other = b.labels.clone();
        summed(site, a, &|c| needed(c) || other.contains(&c))?
    };
    let b = {
        let other = a.labels.clone();
        summed(site, b, &|c| needed(c) || other.contains(&c))?
    };
    let (ashapes, bshapes) = (a.x.shapes(site.b()), b.x.shapes(site.b()));
    let len = |term: &Term, shapes: &[Vec<usize>; 2], c: char| -> Option<[usize; 2]> {
        let at = term.labels.iter().position(|&l| l == c)?;
        Some([shapes[0][at], shapes[1][at]])
    };
    // A common label of which one side has length 1 is broadcast: that side does not have it, in effect.
    let both: Vec<char> = a.labels.iter().copied().filter(|c| b.labels.contains(c)).collect();
    for &c in &both {
        let (m, n) = (len(&a, &ashapes, c), len(&b, &bshapes, c));
        if m != n {
            let one = Some([1, 1]);
            return if m == one {
                let at = a.labels.iter().position(|&l| l == c).unwrap_or(0);
                let x = site.without_axis(&a.x, at)?;
                let labels = a.labels.iter().copied().filter(|&l| l != c).collect();
                contracted(site, Term { x, labels }, b, needed)
            } else if n == one {
                let at = b.labels.iter().position(|&l| l == c).unwrap_or(0);
                let x = site.without_axis(&b.x, at)?;
                let labels = b.labels.iter().copied().filter(|&l| l != c).collect();
                contracted(site, a, Term { x, labels }, needed)
            } else {
                Err(OpError::new(format!(
                    "lengths {m:?} and {n:?} (at batch sizes {PROBES:?}) have the same label `{c}`"
                )))
            };
        }
    }
    let (batch, inner): (Vec<char>, Vec<char>) = both.iter().copied().partition(|&c| needed(c));
    for &c in &inner {
        if len(&a, &ashapes, c).is_some_and(|[m, n]| m != n) {
            return Err(OpError::new(
                "the sum runs over the samples of the batch: samples would not be independent",
            ));
        }
    }
    let only = |term: &Term| term.labels.iter().copied().filter(|c| !both.contains(c)).collect::<Vec<char>>();
    let (rows, columns) = (only(&a), only(&b));
    let perm = |term: &Term, order: &[&[char]]| -> Vec<usize> {
        order.concat().iter().filter_map(|c| term.labels.iter().position(|l| l == c)).collect()
    };
    let count = |list: &[char]| -> [usize; 2] {
        let each = |probe: usize| {
            list.iter()
                .filter_map(|&c| len(&a, &ashapes, c).or_else(|| len(&b, &bshapes, c)))
                .map(|n| n[probe])
                .product()
        };
        [each(0), each(1)]
    };
    let dims = |list: &[char], probe: usize| -> Vec<usize> {
        list.iter()
            .filter_map(|&c| len(&a, &ashapes, c).or_else(|| len(&b, &bshapes, c)))
            .map(|n| n[probe])
            .collect()
    };
    let (m, k, n) = (count(&rows), count(&inner), count(&columns));
    let x = site.permuted(&a.x, &perm(&a, &[&batch, &rows, &inner]))?;
    let y = site.permuted(&b.x, &perm(&b, &[&batch, &inner, &columns]))?;
    let out_labels: Vec<char> = [&batch[..], &rows, &columns].concat();
    let out_shapes = [0, 1].map(|p| [dims(&batch, p), dims(&rows, p), dims(&columns, p)].concat());
    let z = if inner.is_empty() {
        // An outer product needs no matrices.
        let wide = [0, 1].map(|p| [dims(&batch, p), dims(&rows, p), vec![1; columns.len()]].concat());
        let tall = [0, 1].map(|p| [dims(&batch, p), vec![1; rows.len()], dims(&columns, p)].concat());
        let (x, y) = (view(site, &x, &wide)?, view(site, &y, &tall)?);
        return Ok(Term { x: site.times(&x, &y)?, labels: out_labels });
    } else if batch.is_empty() {
        let x = view(site, &x, &[0, 1].map(|p| vec![m[p], k[p]]))?;
        let y = view(site, &y, &[0, 1].map(|p| vec![k[p], n[p]]))?;
        super::matmul::product(site, &x, &y)?
    } else {
        let batches = [0, 1].map(|p| dims(&batch, p));
        let x = view(site, &x, &[0, 1].map(|p| [&batches[p][..], &[m[p], k[p]]].concat()))?;
        let y = view(site, &y, &[0, 1].map(|p| [&batches[p][..], &[k[p], n[p]]].concat()))?;
        super::matmul::product(site, &x, &y)?
    };
    Ok(Term { x: view(site, &z, &out_shapes)?, labels: out_labels })
}
