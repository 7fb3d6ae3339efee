//! A first look at the wire format that bounds what decoding may allocate.
//!
//! A decoded protobuf message takes hundreds of bytes of memory while an empty one takes two in the file, so a small
//! hostile file could ask for a hundred times its size. Real models have few messages and long tensors. Counting the
//! messages before anything is decoded bounds memory by [`MAX_MESSAGES`] times a few hundred bytes plus a small
//! multiple of the file.

/// Most messages (nodes, attributes, tensors, dimensions, …) of a model file.
pub const MAX_MESSAGES: usize = 1 << 21;

/// Why the bytes are refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("truncated, or not protobuf, at byte {0}")]
    Malformed(usize),
    #[error("more than {MAX_MESSAGES} protobuf messages")]
    TooMany,
    #[error("messages nested too deep")]
    TooDeep,
}

#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Function,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Leaf,
}

/// The message type of a length-delimited field, or `None` for text, bytes and packed numbers.
fn child(kind: Kind, field: u64) -> Option<Kind> {
    use Kind::*;
    Some(match (kind, field) {
        (Model, 7) => Graph,
        (Model, 8 | 14) => Leaf,
        (Model, 25) => Function,
        (Graph, 1) | (Function, 7) => Node,
        (Graph, 5) => Tensor,
        (Graph, 11 | 12) => ValueInfo,
        (Function, 9) => Leaf,
        (Function, 11) | (Node, 5) => Attribute,
        (Attribute, 5) => Tensor,
        (Attribute, 6) => Graph,
        (Tensor, 13) => Leaf,
        (ValueInfo, 2) => Type,
        (Type, 1) => TensorType,
        (TensorType, 2) => Shape,
        (Shape, 1) => Leaf,
        // Repeated text and bytes: each costs a heap object when decoded.
        (Node, 1 | 2) | (Function, 4..=6) | (Attribute, 9) | (Tensor, 6) => Leaf,
        _ => return None,
    })
}

/// Checks that the bytes are well-formed protobuf with a bounded number of messages.
pub(crate) fn check(bytes: &[u8]) -> Result<(), ScanError> {
    let mut messages = 0;
    scan(bytes, 0, Kind::Model, &mut messages, 0)
}

fn scan(bytes: &[u8], start: usize, kind: Kind, messages: &mut usize, depth: usize) -> Result<(), ScanError> {
    if depth > 100 {
        return Err(ScanError::TooDeep);
    }
    if matches!(kind, Kind::Leaf) {
        return Ok(()); // The decoder checks what is inside; nothing in it repeats without bound.
    }
    let mut at = 0;
    while at < bytes.len() {
        let malformed = ScanError::Malformed(start + at);
        let Some(key) = varint(bytes, &mut at) else { return Err(malformed) };
        let skip = match key & 7 {
            0 => varint(bytes, &mut at).map(|_| 0),
            1 => Some(8),
            2 => varint(bytes, &mut at).and_then(|n| usize::try_from(n).ok()),
            5 => Some(4),
            _ => None,
        };
        let Some(end) = skip.and_then(|n| at.checked_add(n)).filter(|&end| end <= bytes.len()) else {
            return Err(malformed);
        };
        if key & 7 == 2
            && let Some(inner) = child(kind, key >> 3)
        {
            *messages += 1;
            if *messages > MAX_MESSAGES {
                return Err(ScanError::TooMany);
            }
            scan(&bytes[at..end], start + at, inner, messages, depth + 1)?;
        }
        at = end;
    }
    Ok(())
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floods_of_empty_messages_are_refused() {
        // Field 7 (graph) holding empty nodes (field 1, length 0).
        let nodes: Vec<u8> = [0x0a, 0x00].repeat(MAX_MESSAGES + 1);
        let mut model = vec![0x3a];
        let mut len = nodes.len();
        while len >= 0x80 {
            model.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        model.push(len as u8);
        model.extend(nodes);
        assert!(matches!(check(&model), Err(ScanError::TooMany)));
    }

    #[test]
    fn truncated_bytes_are_refused() {
        assert!(matches!(check(&[0x3a, 0x05, 0x0a]), Err(ScanError::Malformed(_))));
        assert!(matches!(check(&[0xff; 12]), Err(ScanError::Malformed(_))));
        assert!(check(&[]).is_ok());
    }
}
