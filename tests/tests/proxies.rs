//! Synflow through the real plugins: it is the derivative that it is said to be, and neither rules
//! nor norms change it.

use biorule::nn::build::Placement;
use biorule::nn::rule::Role;
use biorule::nn::{Clock, InputShape, Network, Pass};
use biorule::ops::shape::copy_in_place;
use biorule::plan::shapes::DataShape;
use biorule::search::evaluate::proxy;
use biorule::search::network::{self, Stem};
use biorule::search::space::sets;
use biorule::search::{Genotype, Size};
use biorule_tests::Result;
use biorule_tests::network::{batch_norm, block, conv, layer, layer_block, relu};
use biorule_tests::plugins::registry;
use candle_core::{DType, Device, Tensor};

fn images(side: usize) -> DataShape {
    DataShape {
        sample: vec![2, side, side],
        classes: 3,
    }
}

fn small() -> Size {
    Size::new(4, 3, Stem::Cifar)
}

/// The sum of the outputs for an image of ones, with `factor` times the absolute values of all
/// weights; nothing here goes back.
fn output(blocks: &[biorule::plan::BlockPlan], data: &DataShape, factor: f64) -> Result<f64> {
    let input = InputShape {
        dims: data.sample.clone(),
        outputs: data.classes,
    };
    let place = Placement {
        device: Device::Cpu,
        dtype: DType::F64,
        seed: 5,
    };
    let mut network = Network::build(&proxy::bare(blocks), &input, registry(), &place)?;
    for named in network.tensors() {
        let factor = match named.role {
            Role::Weight => factor,
            Role::Bias => 1.0,
            _ => continue,
        };
        let positive = named.tensor.abs()?.affine(factor, 0.0)?;
        copy_in_place(&named.tensor, &positive)?;
    }
    let shape = [&[1], data.sample.as_slice()].concat();
    let x = Tensor::ones(shape, DType::F64, &Device::Cpu)?;
    let y = network.forward_all(&mut Pass::forward_only(Clock::default()), &x)?;
    Ok(y.sum_all()?.to_scalar::<f64>()?)
}

/// `Σ θ·∂R/∂θ` is the derivative of `R` by a common factor of all weights.
#[test]
fn synflow_is_the_derivative_by_a_common_factor_of_all_weights() -> Result<()> {
    for (name, _) in sets::NAMES {
        let space = sets::named(name)?;
        for number in 0..4 {
            let genotype = space.random(2, number);
            let (size, data) = (small(), images(8));
            let blocks = network::blocks(&genotype, &size)?;
            let step = 1e-5;
            let (up, down) = (
                output(&blocks, &data, 1.0 + step)?,
                output(&blocks, &data, 1.0 - step)?,
            );
            let slope = (up - down) / (2.0 * step);
            let score = proxy::synflow(&genotype, &size, &data, registry(), 5)?;
            let apart = (score.exp_m1() - slope).abs() / slope.max(1.0);
            assert!(apart < 1e-6, "{name} {number}: {score} {slope}");
        }
    }
    Ok(())
}

/// In a chain without biases the whole of `R` flows through each layer.
#[test]
fn each_layer_of_a_chain_has_the_whole_flow() -> Result<()> {
    let mut first = layer_block("one", layer("backprop", conv([3, 3]), 4, &[]));
    first.norm_inner = Some(batch_norm(true));
    first.activation = Some(relu());
    let mut second = layer_block("two", layer("backprop", conv([1, 1]), 3, &[]));
    second.norm_after = Some(batch_norm(false));
    let mut pool = block("mean");
    pool.flatten = true;
    for layer in [&mut first.layer, &mut second.layer].into_iter().flatten() {
        layer.bias = false;
    }
    let blocks = [first, second, pool];
    let whole = output(&blocks, &images(6), 1.0)?;
    let score = proxy::flow(&blocks, &images(6), registry(), 5)?;
    assert!(
        (score.exp_m1() - 2.0 * whole).abs() < 1e-9 * whole,
        "{score}"
    );
    Ok(())
}

#[test]
fn rules_and_hyperparameters_change_nothing_and_operations_do() -> Result<()> {
    let space = sets::named("bionas")?;
    let one = space.random(3, 1);
    let score = |genotype: &Genotype, size: &Size| {
        proxy::synflow(genotype, size, &images(8), registry(), 1).map(f64::to_bits)
    };
    let expected = score(&one, &small())?;
    for number in 0..4 {
        let other = space.random_rules(&one, 7, number);
        assert_ne!(other, one);
        assert_eq!(score(&other, &small())?, expected);
    }
    // Rules that compute something else in their forward pass, too.
    let mut local = one.clone();
    for edge in local.cells.values_mut().flat_map(|c| &mut c.edges) {
        if edge.op.operation.has_slots() {
            edge.op.rule = Some("softhebb".to_owned());
        }
    }
    assert_eq!(score(&local, &small())?, expected);
    let headed = Size {
        drop_path: Some(biorule::plan::DropPathPlan { p: 0.3, ramp: true }),
        ..small()
    };
    assert_eq!(score(&one, &headed)?, expected);
    assert_ne!(score(&space.random(3, 2), &small())?, expected);
    Ok(())
}
