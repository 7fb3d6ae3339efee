//! Numbers of the paper and identities of random projections.

mod distributions;
mod planes;
mod saddles;
