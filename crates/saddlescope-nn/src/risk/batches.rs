//! How samples are cut into micro-batches and chunks. Both depend on the network and the number of samples only: never on
//! the machine, its threads or a measurement, because they decide the bits of every result.

use crate::graph::{Graph, GraphError, Source};
use crate::op::numel;

/// What value and tangent of one node's inputs and output may fill: about a core's share of the second and third level
/// of the cache. Measured on ResNet-56: 2 MiB (4 images at a time) is 1.2 times as fast as 512 KiB (one at a time), because
/// filters are read less often; see docs/performance.md.
const CACHE_BYTES: usize = 2 << 20;

const MAX_MICRO_BATCH: usize = 64;

/// One image at a time is slower even where two do not fit: DenseNet-121, 6 %.
const MIN_MICRO_BATCH: usize = 2;

/// Number of micro-batches that there should be at least: for load balance, and for standard errors over chunks.
const MICRO_BATCHES: usize = 4;

/// Number of chunks that there are at least where samples suffice: enough for load balance and for standard errors over chunks.
const CHUNKS: usize = 32;

/// Number of chunks that there are at most: as many owners can share a product. Sums of chunks that wait for each other take
/// memory by its logarithm.
const MOST_CHUNKS: usize = 1024;

/// Samples and micro-batches that a chunk need not exceed where there are many samples: so much work that adding its gradient
/// costs little. ResNet-56, 32 images: 0.4 %; a perceptron of 100,000 parameters, 8 micro-batches of 64: 2 %.
const CHUNK_SAMPLES: usize = 32;
const CHUNK_MICRO_BATCHES: usize = 8;

/// How often each parameter should be used in a micro-batch: below this, reading weights and writing their adjoints takes
/// longer than the arithmetic. Measured on transformers; see docs/performance.md.
const USES: u64 = 512;

/// What a micro-batch that is enlarged for [`USES`] may fill, over all values and tangents of the largest node.
const LARGE_BYTES: usize = 32 << 20;

/// Samples of a micro-batch of numbers of `size` bytes: as many as keep a core's cache busy, or more where parameters are many
/// and seldom used; a power of two, which divides more numbers of samples.
pub(super) fn micro_batch(graph: &Graph, samples: usize, size: usize) -> Result<usize, GraphError> {
    let shapes = graph.infer_shapes(1)?;
    let (mut largest, mut flops) = (1, 0_u64);
    for node in graph.nodes() {
        let inputs = node.inputs.iter().filter(|v| !matches!(graph.source(**v), Source::Parameter(_)));
        let numbers = inputs.map(|v| numel(&shapes[v.0])).sum::<usize>() + numel(&shapes[node.output.0]);
        largest = largest.max(numbers);
        if node.inputs.iter().any(|v| matches!(graph.source(*v), Source::Parameter(_))) {
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|v| shapes[v.0].as_slice()).collect();
            flops = flops.saturating_add(node.op.flops(&inputs, &shapes[node.output.0]));
        }
    }
    let bytes = 2 * largest * size;
    let fitting = (CACHE_BYTES / bytes).max(MIN_MICRO_BATCH);
    // A product of each parameter with one number is two operations.
    let uses = (flops / 2 / (graph.parameter_count() as u64).max(1)).max(1);
    let busy = usize::try_from(USES.div_ceil(uses)).unwrap_or(usize::MAX).min(LARGE_BYTES / bytes);
    let micro = fitting.max(busy).clamp(1, MAX_MICRO_BATCH).min(samples.div_ceil(MICRO_BATCHES));
    Ok(1 << micro.max(1).ilog2())
}

/// Samples of a chunk of whole micro-batches.
pub(super) fn chunk(samples: usize, micro: usize) -> usize {
    let enough = CHUNK_SAMPLES.max(CHUNK_MICRO_BATCHES * micro);
    let chunk = samples.div_ceil(CHUNKS).min(enough).max(samples.div_ceil(MOST_CHUNKS));
    chunk.next_multiple_of(micro).max(micro)
}

#[cfg(test)]
mod tests {
    use super::chunk;

    #[test]
    fn chunks_are_at_least_32_where_samples_suffice_and_at_most_1024() {
        // As many samples as the paper's figures have, and fewer: 32 chunks, whatever else there is.
        for (samples, micro, expected) in
            [(64, 2, 2), (128, 4, 4), (1000, 4, 32), (1024, 4, 32), (1297, 64, 64)]
        {
            assert_eq!(chunk(samples, micro), expected, "{samples} in micro-batches of {micro}");
        }
        assert_eq!(chunk(20_000, 4), 32);
        assert_eq!(chunk(20_000, 64), 512);
        assert_eq!(chunk(1_281_167, 2), 1252);
        for samples in (1..3_000).chain([50_000, 1_000_000]) {
            for micro in [1, 2, 4, 64] {
                let chunk = chunk(samples, micro);
                assert!(chunk.is_multiple_of(micro) && samples.div_ceil(chunk) <= 1024);
            }
        }
    }
}
