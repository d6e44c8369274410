//! Networks without training, digits, and lists of attacks on them.

use biorule::attack::method::{Wishes, names};
use biorule::attack::{Attack, Gradient, Method, Norm};
use biorule::config::{BlockPlan, DataPlan, LayerPlan, MapPlan};
use biorule::data::{Pixels, Scaling};
use biorule::device::{Place, budget::Budget};
use biorule::nn::InputShape;
use biorule::nn::Network;
use biorule::nn::build::Placement;
use biorule_tests::network::{batch_norm, block, conv, layer, layer_block, relu};
use biorule_tests::plugins::registry;
use candle_core::{DType, Device};

/// A convolution of one rule and a read-out, with a normalisation between them.
fn blocks(rule: &str) -> Vec<BlockPlan> {
    let features = BlockPlan {
        norm_inner: Some(batch_norm(true)),
        activation: Some(relu()),
        ..layer_block("features", layer(rule, conv([3, 3]), 6, &[]))
    };
    let read_out = BlockPlan {
        flatten: true,
        layer: Some(LayerPlan {
            bias: true,
            ..layer("backprop", MapPlan::Dense, 10, &[])
        }),
        ..block("readout")
    };
    vec![features, read_out]
}

pub fn network(rule: &str, dims: &[usize], dtype: DType) -> Network {
    let input = InputShape {
        dims: dims.to_vec(),
        outputs: 10,
    };
    let place = Placement {
        device: Device::Cpu,
        dtype,
        seed: 4,
    };
    Network::build(&blocks(rule), &input, registry(), &place).expect("a network")
}

pub fn place(dtype: DType) -> Place {
    Place {
        device: Device::Cpu,
        dtype,
        budget: Budget::bytes(0),
        stop: Default::default(),
    }
}

/// The first `n` digits of the test part, scaled to mean 0 and deviation 1.
pub fn digits(n: usize) -> Pixels {
    let plan = DataPlan {
        normalize: Scaling::Standard,
        ..DataPlan::default()
    };
    let data = plan.open().expect("embedded digits");
    let pixels = data.pixels("test", None).expect("pixels").expect("a part");
    pixels.limited(Some(n)).expect("fewer")
}

/// Every attack but the two that ask very often, at what `strength` gives for it.
pub fn all(norm: Norm, strength: impl Fn(&Method) -> f64) -> Vec<Attack> {
    let wishes = Wishes {
        norm: Some(norm),
        steps: Some(5),
        queries: Some(20),
        population: Some(6),
        ..Wishes::default()
    };
    names()
        .filter(|name| *name != "saturate")
        .map(|name| {
            let method = Method::named(name, &wishes).expect("an attack");
            let gradient = method.wants_gradient().then_some(Gradient::True);
            let strength = strength(&method);
            Attack {
                method,
                strength,
                gradient,
            }
        })
        .collect()
}
