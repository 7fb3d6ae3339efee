//! Where the vectors of a Krylov basis are kept.

use std::fmt;
use std::ops::Range;

use crate::{BasisRows, ProductError};

/// The vectors of a Krylov basis, wherever their rows are: in this process ([`BasisRows`]), or split over several.
///
/// A solver takes the store of its operator ([`SymmetricOperator::new_basis`](crate::SymmetricOperator::new_basis)) and does
/// everything through it that touches a vector of the basis. A store of any kind gives the same bits as [`BasisRows`]: sums
/// run over blocks of [`DOT_BLOCK`](crate::DOT_BLOCK) rows, which are added in the tree described there; everything else is
/// done row by row.
///
/// # Errors
/// Every operation fails with [`ProductError`] where rows that are elsewhere cannot be reached. Those of [`BasisRows`] do not fail.
pub trait BasisStore: fmt::Debug + Send + Sync {
    /// Number of vectors held.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a block W of vectors that are to be orthogonalised, of the full length and stored one after the other, in
    /// place of any block before. What is done with it follows as calls with a [`Block`] of it. Rows that belong elsewhere
    /// are changed there; in `ws` they stay as they are until [`BasisStore::fetch`].
    fn load(&mut self, ws: &[f64]) -> Result<(), ProductError>;

    /// W ← W − M C for some vectors of the block, then the sums that the sweep asks for: for every vector, its dot products
    /// with the columns [`Sweep::dots`], then, with [`Sweep::squares`], with itself.
    fn sweep(&self, block: &mut Block<'_>, sweep: &Sweep<'_>) -> Result<Vec<f64>, ProductError>;

    /// Brings what the vectors of the block have become back to where they were loaded from, all rows of them.
    fn fetch(&self, block: &mut Block<'_>) -> Result<(), ProductError>;

    /// Appends factor·w for the one vector of the block, rounded to how vectors are stored.
    fn push(&mut self, factor: f64, block: &Block<'_>) -> Result<(), ProductError>;

    /// Forgets the oldest vector.
    fn drop_first(&mut self) -> Result<(), ProductError>;

    /// Vector i, of the full length.
    fn column(&self, i: usize, out: &mut [f64]) -> Result<(), ProductError>;

    /// The vectors Σᵢ `s[j * columns + i]` qᵢ over the first `columns` vectors, for every j, of the full length and stored one
    /// after the other.
    fn combine(&self, columns: usize, s: &[f64], out: &mut [f64]) -> Result<(), ProductError>;

    /// Replaces the first `columns` vectors by those of [`BasisStore::combine`], rounded; later ones follow them.
    fn rotate(&mut self, columns: usize, s: &[f64]) -> Result<(), ProductError>;

    /// A copy that lives where this one does. If it cannot be made, every operation of what is returned fails.
    fn duplicate(&self) -> Box<dyn BasisStore>;
}

/// Some vectors of the block that [`BasisStore::load`] was given last.
#[derive(Debug)]
pub struct Block<'a> {
    /// Their place in memory, one after the other. Of rows that belong elsewhere, no more than the place.
    pub values: &'a mut [f64],
    /// The number of the first of them in the block.
    pub first: usize,
}

impl Block<'_> {
    /// Vector j of these, all of length n.
    pub fn vector(&mut self, j: usize, n: usize) -> Block<'_> {
        Block { values: &mut self.values[j * n..(j + 1) * n], first: self.first + j }
    }
}

/// What one pass over a basis does with a block W.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep<'a> {
    /// The columns M of the basis of which multiples are taken away.
    pub minus: Range<usize>,
    /// C: `c[j * minus.len() + i]` belongs to column i of these and vector j.
    pub c: &'a [f64],
    /// The columns of the basis with which dot products are taken afterwards.
    pub dots: Range<usize>,
    /// Whether also the squares ‖w‖² are.
    pub squares: bool,
}

impl Sweep<'_> {
    /// Sums for each vector.
    pub fn width(&self) -> usize {
        self.dots.len() + usize::from(self.squares)
    }
}

impl BasisStore for BasisRows {
    fn len(&self) -> usize {
        BasisRows::len(self)
    }

    fn load(&mut self, _ws: &[f64]) -> Result<(), ProductError> {
        Ok(())
    }

    fn sweep(&self, block: &mut Block<'_>, sweep: &Sweep<'_>) -> Result<Vec<f64>, ProductError> {
        let ws = block.values.chunks_exact_mut(self.rows().max(1)).collect();
        Ok(crate::vector::tree_sums(self.block_sums(ws, sweep)))
    }

    fn fetch(&self, _block: &mut Block<'_>) -> Result<(), ProductError> {
        Ok(())
    }

    fn push(&mut self, factor: f64, block: &Block<'_>) -> Result<(), ProductError> {
        BasisRows::push(self, factor, block.values);
        Ok(())
    }

    fn drop_first(&mut self) -> Result<(), ProductError> {
        BasisRows::drop_first(self);
        Ok(())
    }

    fn column(&self, i: usize, out: &mut [f64]) -> Result<(), ProductError> {
        BasisRows::column(self, i, out);
        Ok(())
    }

    fn combine(&self, columns: usize, s: &[f64], out: &mut [f64]) -> Result<(), ProductError> {
        BasisRows::combine(self, columns, s, out.chunks_exact_mut(self.rows().max(1)).collect());
        Ok(())
    }

    fn rotate(&mut self, columns: usize, s: &[f64]) -> Result<(), ProductError> {
        BasisRows::rotate(self, columns, s);
        Ok(())
    }

    fn duplicate(&self) -> Box<dyn BasisStore> {
        Box::new(self.clone())
    }
}
