//! The stages, one file each.

pub(crate) mod critical_spectrum;
pub(crate) mod cuts;
pub(crate) mod density;
pub(crate) mod eigenpairs;
pub(crate) mod escape;
pub(crate) mod filtered_planes;
pub(crate) mod fits;
pub(crate) mod growing;
pub(crate) mod lines;
pub(crate) mod point;
pub(crate) mod probes;
pub(crate) mod reach;
pub(crate) mod rescaling;
pub(crate) mod self_check;
pub(crate) mod settle;
pub(crate) mod sharpness;
pub(crate) mod slice_samples;
pub(crate) mod slices;
pub(crate) mod split;
pub(crate) mod surfaces;
