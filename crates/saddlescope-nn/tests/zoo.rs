//! The zoo's networks have the published numbers of parameters.

use saddlescope_nn::zoo;

#[test]
fn parameter_counts() {
    for (name, expected) in [
        ("resnet20-a", 269_722),
        ("resnet56-a", 853_018),
        ("resnet56-b", 855_770),
        ("densenet121", 6_956_298),
        ("mlp:784-128-10", 784 * 128 + 128 + 128 * 10 + 10),
        ("mlp:1x8x8-32-10", 64 * 32 + 32 + 32 * 10 + 10),
    ] {
        assert_eq!(zoo::by_name(name).unwrap().parameter_count(), expected, "{name}");
    }
    for depth in [20, 32, 44, 56, 110] {
        for shortcut in ["a", "b", "noshort"] {
            assert!(zoo::by_name(&format!("resnet{depth}-{shortcut}")).is_some());
        }
    }
}

#[test]
fn nonsense_is_no_network() {
    for name in [
        "",
        "resnet",
        "resnet21-a",
        "resnet56-c",
        "mlp:",
        "mlp:5",
        "mlp:0-3",
        "mlp:1x0x8-3",
        "mlp:1048576x1048576x1048576-3",
        "cnn:1x8-3-10",
        "cnn:1x8x8-10",
        "mlp:3-99999999999999999999-2",
    ] {
        assert!(zoo::by_name(name).is_none(), "{name}");
    }
}
