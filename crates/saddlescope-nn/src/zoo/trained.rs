//! Trained weights that are part of the library, so that there is something to analyse without any file.

/// Name of the network ([`by_name`](super::by_name)), its weights as the bytes of a safetensors file, and how they were trained.
pub const TRAINED: &[(&str, &[u8], &str)] = &[(
    "digits-mlp",
    include_bytes!("../../assets/weights/digits-mlp.safetensors"),
    "10 epochs of SGD on the digits at a constant rate of 0.1; training had not come to rest",
)];

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::network::LossKind;
    use crate::risk::{Risk, RiskOptions};
    use saddlescope_data::weights::TensorMap;
    use saddlescope_data::{Split, digits};

    #[test]
    fn weights_are_those_documented() {
        let readme = include_str!("../../assets/weights/README.md");
        for (name, bytes, _) in TRAINED {
            let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
            assert!(readme.contains(&hex), "{name}: {hex}");
            let mut network = crate::zoo::by_name(name).unwrap();
            let theta = network.load(&TensorMap::parse(bytes).unwrap()).unwrap();
            for (split, loss, correct) in [(Split::Train, 0.008661, 1297), (Split::Test, 0.238748, 469)] {
                let data = digits::load(split, None, None).unwrap();
                let objective = network.objective(LossKind::CrossEntropy, &data).unwrap();
                let found = Risk::<f64>::new(objective, RiskOptions::default()).unwrap().evaluate(&theta);
                // The documented losses have six decimals.
                assert!((found.loss - loss).abs() < 1e-6, "{name} {split}: {found:?}");
                assert_eq!(found.correct.unwrap().0, correct, "{name} {split}");
            }
        }
    }
}
