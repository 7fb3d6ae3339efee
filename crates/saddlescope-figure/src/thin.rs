//! Long series with fewer points and the same picture.

/// Fewer points with the same picture: per 0.2 pt column the first, least, greatest and last.
pub(crate) fn thin(points: &[(usize, [f64; 2])]) -> Vec<(usize, [f64; 2])> {
    if points.len() < 1500 {
        return points.to_vec();
    }
    let column = |p: &(usize, [f64; 2])| (p.1[0] / 0.2).floor() as i64;
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let by_height = |a: &&(usize, [f64; 2]), b: &&(usize, [f64; 2])| a.1[1].total_cmp(&b.1[1]);
        let mut four: Vec<_> =
            [group.first(), group.iter().min_by(by_height), group.iter().max_by(by_height), group.last()]
                .into_iter()
                .flatten()
                .copied()
                .collect();
        four.sort_by_key(|p| p.0);
        four.dedup_by_key(|p| p.0);
        kept.extend(four);
    }
    kept
}
